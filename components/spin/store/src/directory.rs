//! Ports `authorized-apps` and `health-authorities`.

use crate::Store;
use crate::rows::Columns;
use crate::sql::{Sql, values};
use tocsin_domain::authorized_app::AuthorizedApp;
use tocsin_domain::health_authority::{HealthAuthority, HealthAuthorityId, HealthAuthorityKey};
use tocsin_domain::ports::PortError;
use tocsin_domain::ports::authorized_apps::AuthorizedApps;
use tocsin_domain::ports::health_authorities::HealthAuthorities;

impl<S: Sql> AuthorizedApps for Store<S> {
    fn find_app(&self, name: &str) -> Result<Option<AuthorizedApp>, PortError> {
        let row = self.first(
            "SELECT name, regions, health_authority_ids, bypass_verification, bypass_revision_token
             FROM authorized_app WHERE name = ?1",
            &values![name.to_lowercase()],
        )?;
        let Some(row) = row else { return Ok(None) };
        let mut columns = Columns::of(&row);
        Ok(Some(AuthorizedApp {
            name: columns.string()?,
            allowed_regions: columns.json()?,
            allowed_health_authorities: columns.json::<Vec<u64>>()?.into_iter().map(HealthAuthorityId).collect(),
            bypass_verification: columns.flag()?,
            bypass_revision_token: columns.flag()?,
            // Validators are configured, not stored: whoever grants the capability knows.
            validated: false,
        }))
    }
}

impl<S: Sql> HealthAuthorities for Store<S> {
    fn find_health_authority(&self, issuer: &str) -> Result<Option<HealthAuthority>, PortError> {
        // One statement: the keys are those of the authority that was read. An authority without keys has one row.
        let rows = self.run(
            "SELECT a.id, a.issuer, a.audience, a.name, a.statistics_enabled,
                k.version IS NOT NULL, k.version, k.from_at, k.thru_at, k.public_key
             FROM health_authority a LEFT JOIN health_authority_key k ON k.health_authority_id = a.id
             WHERE a.issuer = ?1 ORDER BY k.rowid",
            &values![issuer],
        )?;
        let mut found: Option<HealthAuthority> = None;
        for row in &rows {
            let mut columns = Columns::of(row);
            let authority = HealthAuthority {
                id: HealthAuthorityId(columns.number()?),
                issuer: columns.string()?,
                audience: columns.string()?,
                name: columns.string()?,
                statistics_enabled: columns.flag()?,
                keys: Vec::new(),
            };
            let authority = found.get_or_insert(authority);
            if columns.flag()? {
                authority.keys.push(HealthAuthorityKey {
                    version: columns.string()?,
                    from: columns.time()?,
                    thru: columns.optional_time()?,
                    public_key: columns.blob()?.to_vec(),
                });
            }
        }
        Ok(found)
    }
}
