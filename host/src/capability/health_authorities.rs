use super::convert::{WitPortError, port_error};
use crate::bindings::capabilities::tocsin::capability::health_authorities as wit;
use crate::state::InstanceState;
use tocsin_domain::health_authority::{HealthAuthority, HealthAuthorityKey};
use tocsin_domain::interval::Timestamp;
use tocsin_domain::ports::health_authorities::HealthAuthorities;

impl wit::Host for InstanceState {
    fn find_health_authority(&mut self, issuer: String) -> Result<Option<wit::HealthAuthority>, WitPortError> {
        let authority = self.services.store.find_health_authority(&issuer).map_err(port_error)?;
        Ok(authority.map(|HealthAuthority { id, issuer, audience, name, statistics_enabled, keys }| {
            wit::HealthAuthority {
                id: id.0,
                issuer,
                audience,
                name,
                statistics_enabled,
                keys: keys
                    .into_iter()
                    .map(|HealthAuthorityKey { version, from, thru, public_key }| wit::HealthAuthorityKey {
                        version,
                        valid_from: from.unix(),
                        valid_thru: thru.map(Timestamp::unix),
                        public_key,
                    })
                    .collect(),
            }
        }))
    }
}
