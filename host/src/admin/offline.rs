//! Applies administration requests when no server runs: opens what a server would, for the time of one request.

use super::AdminRequest;
use super::apply::{AdminFailure, apply, apply_without_components};
use crate::config::Config;
use crate::server::{StartError, load_components, open_services};
use serde_json::Value;
use std::fmt;

/// Why a request was not carried out without a server.
#[derive(Debug)]
pub enum OfflineFailure {
    /// Store, keys, files or components cannot be opened. If a server has started meanwhile, the text says so.
    Open(StartError),
    /// The request is about a running server, and none runs.
    NeedsServer,
    /// The request itself.
    Request(AdminFailure),
}

impl fmt::Display for OfflineFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Open(error) => error.fmt(f),
            Self::NeedsServer => f.write_str(
                "no server is running. To start one in maintenance, set `maintenance_mode = true` under [public] in \
                 tocsin.toml.",
            ),
            Self::Request(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for OfflineFailure {}

/// Carries out a request on the files themselves. The store's lock keeps servers and other commands out meanwhile.
pub async fn apply_offline(config: &Config, request: AdminRequest) -> Result<Value, OfflineFailure> {
    if matches!(request, AdminRequest::SetMaintenance { .. }) {
        return Err(OfflineFailure::NeedsServer);
    }
    let services = open_services(config).map_err(OfflineFailure::Open)?;
    let applied = match request {
        AdminRequest::RunJob { .. } | AdminRequest::ExplainPublish { .. } | AdminRequest::ListValidators => {
            let components = load_components(config, services).map_err(OfflineFailure::Open)?;
            apply(&components, request).await
        }
        request => apply_without_components(services, request).await,
    };
    applied.map_err(OfflineFailure::Request)
}
