//! Health authorities in memory.

use super::faults::Faults;
use crate::health_authority::HealthAuthority;
use crate::ports::PortError;
use crate::ports::health_authorities::HealthAuthorities;

/// A fixed list of health authorities.
#[derive(Debug, Default)]
pub struct FakeHealthAuthorities {
    /// The health authorities.
    pub authorities: Vec<HealthAuthority>,
    /// Which look-ups fail.
    pub faults: Faults,
}

impl HealthAuthorities for FakeHealthAuthorities {
    fn find_health_authority(&self, issuer: &str) -> Result<Option<HealthAuthority>, PortError> {
        self.faults.check()?;
        Ok(self.authorities.iter().find(|authority| authority.issuer == issuer).cloned())
    }
}
