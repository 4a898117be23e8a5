//! Port `authorized-apps`: which apps may publish.

use super::PortError;
use crate::authorized_app::AuthorizedApp;

/// Looks up authorized apps.
pub trait AuthorizedApps {
    /// The app of that name (compared without regard to case), if there is one.
    fn find_app(&self, name: &str) -> Result<Option<AuthorizedApp>, PortError>;
}
