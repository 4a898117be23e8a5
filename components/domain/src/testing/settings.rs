//! Settings of tests.

use crate::ports::settings::Settings;
use crate::settings::{ExportSettings, PublishSettings, PurgeSettings, StatisticsSettings, VerificationSettings};

/// The defaults until a test changes them.
#[derive(Clone, Debug, Default)]
pub struct FakeSettings {
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
}

impl Settings for FakeSettings {
    fn publish(&self) -> PublishSettings {
        self.publish.clone()
    }

    fn statistics(&self) -> StatisticsSettings {
        self.statistics.clone()
    }

    fn verification(&self) -> VerificationSettings {
        self.verification.clone()
    }

    fn export(&self) -> ExportSettings {
        self.export.clone()
    }

    fn purge(&self) -> PurgeSettings {
        self.purge.clone()
    }
}
