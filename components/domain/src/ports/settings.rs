//! Port `settings`: what the operator configured.

use crate::settings::{ExportSettings, PublishSettings, PurgeSettings, StatisticsSettings, VerificationSettings};

/// Hands out the settings of each service.
pub trait Settings {
    /// Of publish.
    fn publish(&self) -> PublishSettings;
    /// Of the statistics.
    fn statistics(&self) -> StatisticsSettings;
    /// Of verification.
    fn verification(&self) -> VerificationSettings;
    /// Of export.
    fn export(&self) -> ExportSettings;
    /// Of purge.
    fn purge(&self) -> PurgeSettings;
}
