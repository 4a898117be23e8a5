//! Port `settings`: what the operator configured.

use crate::settings::{ExportSettings, PublishSettings, PurgeSettings, VerificationSettings};

/// Hands out the settings of each service.
pub trait Settings {
    /// Of publish.
    fn publish(&self) -> PublishSettings;
    /// Of verification.
    fn verification(&self) -> VerificationSettings;
    /// Of export.
    fn export(&self) -> ExportSettings;
    /// Of purge.
    fn purge(&self) -> PurgeSettings;
}
