use crate::bindings::exports::tocsin::capability::{authorized_apps, health_authorities, leases};
use crate::{Component, WitPortError, with_store};
use tocsin_domain::authorized_app::AuthorizedApp;
use tocsin_domain::health_authority::{HealthAuthority, HealthAuthorityKey};
use tocsin_domain::interval::Timestamp;
use tocsin_domain::ports::authorized_apps::AuthorizedApps;
use tocsin_domain::ports::health_authorities::HealthAuthorities;
use tocsin_domain::ports::leases::{LeaseToken, Leases};

impl authorized_apps::Guest for Component {
    fn find_app(name: String) -> Result<Option<authorized_apps::AuthorizedApp>, WitPortError> {
        let app = with_store(|store| store.find_app(&name))?;
        Ok(app.map(
            |AuthorizedApp {
                 name,
                 allowed_regions,
                 allowed_health_authorities,
                 bypass_verification,
                 bypass_revision_token,
                 validated,
             }| authorized_apps::AuthorizedApp {
                name,
                allowed_regions,
                allowed_health_authorities: allowed_health_authorities.into_iter().map(|id| id.0).collect(),
                bypass_verification,
                bypass_revision_token,
                validated,
            },
        ))
    }
}

impl health_authorities::Guest for Component {
    fn find_health_authority(issuer: String) -> Result<Option<health_authorities::HealthAuthority>, WitPortError> {
        let authority = with_store(|store| store.find_health_authority(&issuer))?;
        Ok(authority.map(|HealthAuthority { id, issuer, audience, name, statistics_enabled, keys }| {
            health_authorities::HealthAuthority {
                id: id.0,
                issuer,
                audience,
                name,
                statistics_enabled,
                keys: keys.into_iter().map(key).collect(),
            }
        }))
    }
}

fn key(key: HealthAuthorityKey) -> health_authorities::HealthAuthorityKey {
    let HealthAuthorityKey { version, from, thru, public_key } = key;
    health_authorities::HealthAuthorityKey {
        version,
        valid_from: from.unix(),
        valid_thru: thru.map(Timestamp::unix),
        public_key,
    }
}

impl leases::Guest for Component {
    fn acquire(names: Vec<String>, now: i64, until: i64) -> Result<Option<u64>, WitPortError> {
        let (now, until) = (Timestamp::from_unix(now), Timestamp::from_unix(until));
        let token = with_store(|store| store.acquire(&names, now, until))?;
        Ok(token.map(|LeaseToken(token)| token))
    }

    fn release(token: u64) -> Result<(), WitPortError> {
        with_store(|store| store.release(LeaseToken(token)))
    }
}
