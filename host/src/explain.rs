//! Where is my key? What publish would do with a request, and which export would carry each key first. Changes nothing.

use crate::engine::{Components, InstanceFailure};
use serde::{Deserialize, Serialize};
use tocsin_domain::export::forecast::{FirstExport, first_export};
use tocsin_domain::interval::{Timestamp, rfc3339};
use tocsin_domain::ports::PortError;
use tocsin_domain::ports::exports::{ActiveExportConfig, Exports, Window};
use tocsin_domain::publish::request::ApiVersion;
use tocsin_domain::publish::service::explain::Explanation;

/// An explanation with its forecasts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExplainedPublish {
    /// What publish would do.
    #[serde(flatten)]
    pub publish: Explanation,
    /// For each key that would be stored or revised, in which exports it would be first.
    pub first_exports: Vec<KeyForecast>,
}

/// Where a key would appear.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyForecast {
    /// Its place in the request, from 0.
    pub index: usize,
    /// One for each active export config that selects it.
    pub exports: Vec<ForecastExport>,
}

/// The first batch of a config that would carry a key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ForecastExport {
    /// The export config.
    pub export_config: u64,
    /// Its prefix of file names.
    pub filename_root: String,
    /// First second that the batch covers, unix seconds.
    pub window_start_unix: i64,
    /// First second that it covers no more.
    pub window_end_unix: i64,
    /// The batch is cut by the first run of the jobs at this time or later.
    pub not_before_unix: i64,
    /// The same, for people.
    pub not_before: String,
}

/// Why there is no explanation.
#[derive(Debug)]
pub enum ExplainFailure {
    /// The component.
    Instance(InstanceFailure),
    /// The store.
    Store(PortError),
}

impl std::fmt::Display for ExplainFailure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Instance(error) => error.fmt(f),
            Self::Store(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for ExplainFailure {}

/// Explains a publish.
pub async fn explain(
    components: &Components,
    api: ApiVersion,
    body: Vec<u8>,
) -> Result<ExplainedPublish, ExplainFailure> {
    let publish = components.explain(api, body).await.map_err(ExplainFailure::Instance)?;
    let services = components.services().clone();
    let now = services.clock.now();
    let configs = tokio::task::spawn_blocking(move || services.store.active_configs(now)).await;
    let configs = configs
        .unwrap_or_else(|_| Err(PortError::Internal("reading the export configs panicked".to_owned())))
        .map_err(ExplainFailure::Store)?;
    let settings = &components.services().settings.export;
    let forecast = |index, time| {
        let forecast = |active: &ActiveExportConfig| {
            let first = first_export(active, &publish.regions, publish.traveler, time, settings)?;
            Some(forecast_export(active, first))
        };
        KeyForecast { index, exports: configs.iter().filter_map(forecast).collect() }
    };
    let first_exports = publish
        .keys
        .iter()
        .filter_map(|key| Some(forecast(key.index, Timestamp::from_unix(key.counts_from_unix?))))
        .collect();
    Ok(ExplainedPublish { first_exports, publish })
}

fn forecast_export(active: &ActiveExportConfig, first: FirstExport) -> ForecastExport {
    let FirstExport { window: Window { start, end }, not_before } = first;
    ForecastExport {
        export_config: active.config.id,
        filename_root: active.config.filename_root.clone(),
        window_start_unix: start.unix(),
        window_end_unix: end.unix(),
        not_before_unix: not_before.unix(),
        not_before: rfc3339(not_before),
    }
}
