//! Apps and health authorities in memory: they are asked for on every publish and change when an operator says so.

use super::super::AdminError;
use super::super::administration::{AuthorizedAppRecord, HealthAuthorityKeyRecord, HealthAuthorityRecord};
use super::{SqliteStore, out_of_range};
use rusqlite::Connection;
use std::collections::HashMap;
use std::sync::Arc;
use tocsin_domain::authorized_app::AuthorizedApp;
use tocsin_domain::health_authority::{HealthAuthority, HealthAuthorityId, HealthAuthorityKey};
use tocsin_domain::interval::Timestamp;
use tocsin_domain::ports::PortError;
use tocsin_domain::ports::authorized_apps::AuthorizedApps;
use tocsin_domain::ports::health_authorities::HealthAuthorities;

/// All apps by lower-case name, all health authorities by issuer.
#[derive(Debug, Default)]
pub(super) struct Directory {
    apps: HashMap<String, AuthorizedApp>,
    health_authorities: HashMap<String, HealthAuthority>,
}

impl Directory {
    pub(super) fn load(connection: &Connection) -> rusqlite::Result<Self> {
        let apps = load_apps(connection)?.into_iter().map(|app| (app.name.clone(), to_app(app))).collect();
        let health_authorities = load_health_authorities(connection)?
            .into_iter()
            .map(|authority| (authority.issuer.clone(), to_health_authority(authority)))
            .collect();
        Ok(Self { apps, health_authorities })
    }
}

impl SqliteStore {
    /// Does `work` on the writer thread in a transaction, then shows its outcome to publishes.
    pub(super) fn change_directory<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Connection) -> Result<T, AdminError> + Send + 'static,
    ) -> Result<T, AdminError> {
        self.writer.call(move |writer| {
            let result = writer.transaction(work)?;
            let directory = Directory::load(writer.connection())?;
            *writer.shared().directory.write() = Arc::new(directory);
            Ok(result)
        })
    }
}

impl AuthorizedApps for SqliteStore {
    fn find_app(&self, name: &str) -> Result<Option<AuthorizedApp>, PortError> {
        let directory = Arc::clone(&self.shared.directory.read());
        Ok(directory.apps.get(&name.to_lowercase()).cloned())
    }
}

impl SqliteStore {
    /// Issuer of the certificates of a health authority.
    pub fn issuer(&self, id: HealthAuthorityId) -> Option<String> {
        let directory = Arc::clone(&self.shared.directory.read());
        directory.health_authorities.values().find(|authority| authority.id == id).map(|found| found.issuer.clone())
    }
}

impl HealthAuthorities for SqliteStore {
    fn find_health_authority(&self, issuer: &str) -> Result<Option<HealthAuthority>, PortError> {
        let directory = Arc::clone(&self.shared.directory.read());
        Ok(directory.health_authorities.get(issuer).cloned())
    }
}

pub(super) fn load_apps(connection: &Connection) -> rusqlite::Result<Vec<AuthorizedAppRecord>> {
    let sql = "SELECT name, regions, health_authority_ids, bypass_verification, bypass_revision_token
               FROM authorized_app ORDER BY name";
    connection
        .prepare(sql)?
        .query_map([], |row| {
            Ok(AuthorizedAppRecord {
                name: row.get(0)?,
                regions: json_column(row, 1)?,
                health_authorities: json_column(row, 2)?,
                bypass_verification: row.get(3)?,
                bypass_revision_token: row.get(4)?,
            })
        })?
        .collect()
}

pub(super) fn load_health_authorities(connection: &Connection) -> rusqlite::Result<Vec<HealthAuthorityRecord>> {
    let mut authorities = connection.prepare(
        "SELECT id, issuer, audience, name, jwks_uri, allow_empty_key_set, statistics_enabled FROM health_authority
         ORDER BY id",
    )?;
    authorities
        .query_map([], |row| {
            let id: i64 = row.get(0)?;
            Ok(HealthAuthorityRecord {
                id: id.cast_unsigned(),
                issuer: row.get(1)?,
                audience: row.get(2)?,
                name: row.get(3)?,
                jwks_uri: row.get(4)?,
                allow_empty_key_set: row.get(5)?,
                statistics_enabled: row.get(6)?,
                keys: load_keys(connection, id)?,
            })
        })?
        .collect()
}

/// The keys of a health authority in the order they were added.
pub(super) fn load_keys(connection: &Connection, id: i64) -> rusqlite::Result<Vec<HealthAuthorityKeyRecord>> {
    connection
        .prepare_cached(
            "SELECT version, from_at, thru_at, public_key FROM health_authority_key
             WHERE health_authority_id = ?1 ORDER BY rowid",
        )?
        .query_map([id], |row| {
            Ok(HealthAuthorityKeyRecord {
                version: row.get(0)?,
                from_unix: row.get(1)?,
                thru_unix: row.get(2)?,
                public_key: row.get(3)?,
            })
        })?
        .collect()
}

/// A list in a column.
pub(super) fn json_column<T: serde::de::DeserializeOwned>(
    row: &rusqlite::Row<'_>,
    column: usize,
) -> rusqlite::Result<T> {
    serde_json::from_str(row.get_ref(column)?.as_str()?).map_err(|_| out_of_range(column, "not the expected JSON"))
}

fn to_app(record: AuthorizedAppRecord) -> AuthorizedApp {
    let AuthorizedAppRecord { name, regions, health_authorities, bypass_verification, bypass_revision_token } = record;
    AuthorizedApp {
        name,
        allowed_regions: regions,
        allowed_health_authorities: health_authorities.into_iter().map(HealthAuthorityId).collect(),
        bypass_verification,
        bypass_revision_token,
        // Validators are configured, not stored: whoever grants the capability knows.
        validated: false,
    }
}

fn to_health_authority(record: HealthAuthorityRecord) -> HealthAuthority {
    let HealthAuthorityRecord {
        id,
        issuer,
        audience,
        name,
        jwks_uri: _,
        allow_empty_key_set: _,
        statistics_enabled,
        keys,
    } = record;
    HealthAuthority {
        id: HealthAuthorityId(id),
        issuer,
        audience,
        name,
        statistics_enabled,
        keys: keys.into_iter().map(to_key).collect(),
    }
}

pub(super) fn to_key(record: HealthAuthorityKeyRecord) -> HealthAuthorityKey {
    let HealthAuthorityKeyRecord { version, from_unix, thru_unix, public_key } = record;
    HealthAuthorityKey {
        version,
        from: Timestamp::from_unix(from_unix),
        thru: thru_unix.map(Timestamp::from_unix),
        public_key,
    }
}
