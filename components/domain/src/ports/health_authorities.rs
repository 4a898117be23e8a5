//! Port `health-authorities`: whose certificates are believed.

use super::PortError;
use crate::health_authority::HealthAuthority;

/// Looks up health authorities.
pub trait HealthAuthorities {
    /// The health authority whose issuer is exactly `issuer`, with all its keys, if there is one.
    fn find_health_authority(&self, issuer: &str) -> Result<Option<HealthAuthority>, PortError>;
}
