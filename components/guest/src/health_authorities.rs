use crate::Host;
use crate::bindings::tocsin::capability::health_authorities as wit;
use crate::convert::port_error;
use tocsin_domain::health_authority::{HealthAuthority, HealthAuthorityId, HealthAuthorityKey};
use tocsin_domain::interval::Timestamp;
use tocsin_domain::ports::PortError;
use tocsin_domain::ports::health_authorities::HealthAuthorities;

impl HealthAuthorities for Host {
    fn find_health_authority(&self, issuer: &str) -> Result<Option<HealthAuthority>, PortError> {
        let Some(authority) = wit::find_health_authority(issuer).map_err(port_error)? else {
            return Ok(None);
        };
        let wit::HealthAuthority { id, issuer, audience, name, statistics_enabled, keys } = authority;
        let keys = keys
            .into_iter()
            .map(|wit::HealthAuthorityKey { version, valid_from, valid_thru, public_key }| HealthAuthorityKey {
                version,
                from: Timestamp::from_unix(valid_from),
                thru: valid_thru.map(Timestamp::from_unix),
                public_key,
            })
            .collect();
        Ok(Some(HealthAuthority { id: HealthAuthorityId(id), issuer, audience, name, statistics_enabled, keys }))
    }
}
