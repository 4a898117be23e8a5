//! What the host can do for a component, shared by all requests.

use crate::blobs::BlobStore;
use crate::http::maintenance::Maintenance;
use crate::key_sets::KeySets;
use crate::signing::Keyring;
use crate::storage::SqliteStore;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};
use tocsin_domain::interval::Timestamp;
use tocsin_domain::ports::Clock;
use tocsin_domain::settings::{
    ExportSettings, KeyRotationSettings, PublishSettings, PurgeSettings, StatisticsSettings, VerificationSettings,
};

/// Storage, keys, files, settings and the clock.
pub struct Services {
    /// The store.
    pub store: Arc<SqliteStore>,
    /// Private keys.
    pub keyring: Arc<Keyring>,
    /// Export files.
    pub blobs: BlobStore,
    /// Import of health authorities' keys.
    pub key_sets: KeySets,
    /// What the operator set.
    pub settings: ServiceSettings,
    /// The time, for components and host alike; tests inject their own.
    pub clock: Arc<dyn Clock + Send + Sync>,
    /// Whether phones are asked to come back later.
    pub maintenance: Maintenance,
}

impl std::fmt::Debug for Services {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Services").finish_non_exhaustive()
    }
}

/// Settings of each service.
#[derive(Clone, Debug, Default)]
pub struct ServiceSettings {
    /// Of publish.
    pub publish: PublishSettings,
    /// Of the statistics.
    pub statistics: StatisticsSettings,
    /// Of verification.
    pub verification: VerificationSettings,
    /// Of export.
    pub export: ExportSettings,
    /// Of purge.
    pub purge: PurgeSettings,
    /// Of the rotation of revision keys.
    pub key_rotation: KeyRotationSettings,
}

/// The operating system's clock.
#[derive(Clone, Copy, Debug)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        let seconds = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |elapsed| elapsed.as_secs());
        Timestamp::from_unix(i64::try_from(seconds).unwrap_or(i64::MAX))
    }
}
