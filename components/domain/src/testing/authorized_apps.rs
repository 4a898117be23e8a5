//! Authorized apps in memory.

use super::faults::Faults;
use crate::authorized_app::AuthorizedApp;
use crate::health_authority::HealthAuthorityId;
use crate::ports::PortError;
use crate::ports::authorized_apps::AuthorizedApps;

/// A fixed list of apps.
#[derive(Debug, Default)]
pub struct FakeAuthorizedApps {
    /// The apps.
    pub apps: Vec<AuthorizedApp>,
    /// Which look-ups fail.
    pub faults: Faults,
}

impl FakeAuthorizedApps {
    /// One app `app` for region `de` that may present certificates of `health_authority`.
    pub fn with_app(health_authority: HealthAuthorityId) -> Self {
        let app = AuthorizedApp {
            name: "app".into(),
            allowed_regions: vec!["de".into()],
            allowed_health_authorities: vec![health_authority],
            bypass_verification: false,
            bypass_revision_token: false,
            validated: false,
        };
        Self { apps: vec![app], faults: Faults::default() }
    }
}

impl AuthorizedApps for FakeAuthorizedApps {
    fn find_app(&self, name: &str) -> Result<Option<AuthorizedApp>, PortError> {
        self.faults.check()?;
        Ok(self.apps.iter().find(|app| app.name == name.to_lowercase()).cloned())
    }
}
