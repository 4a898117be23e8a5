//! Changes to a health authority and to its keys as a whole, in the transaction of the caller.

use super::super::administration::{AdminError, HealthAuthorityUpdate, trimmed_uri};
use super::directory::{load_keys, to_key};
use super::failure::id_to_column;
use rusqlite::{Connection, OptionalExtension};
use tocsin_domain::health_authority::HealthAuthorityKey;
use tocsin_domain::interval::Timestamp;
use tocsin_domain::ports::PortError;
use tocsin_domain::verification::key_set::{Changes, Revocation};

/// Changes what an update names of a health authority.
pub(super) fn update(connection: &Connection, id: u64, update: &HealthAuthorityUpdate) -> rusqlite::Result<()> {
    let HealthAuthorityUpdate { jwks_uri, allow_empty_key_set, statistics_enabled } = update;
    let id = id_to_column(id);
    if let Some(uri) = jwks_uri {
        connection.execute("UPDATE health_authority SET jwks_uri = ?2 WHERE id = ?1", (id, trimmed_uri(uri)))?;
    }
    if let Some(allow) = allow_empty_key_set {
        connection.execute("UPDATE health_authority SET allow_empty_key_set = ?2 WHERE id = ?1", (id, allow))?;
    }
    if let Some(enabled) = statistics_enabled {
        connection.execute("UPDATE health_authority SET statistics_enabled = ?2 WHERE id = ?1", (id, enabled))?;
    }
    Ok(())
}

/// Has a key that begins later begin a second ago, which makes it valid now.
pub(super) fn activate_key(connection: &Connection, id: u64, version: &str, now: Timestamp) -> Result<(), AdminError> {
    let find = "SELECT thru_at IS NOT NULL AND thru_at <= max(from_at, ?3) FROM health_authority_key
                WHERE health_authority_id = ?1 AND version = ?2";
    let ended = connection.query_row(find, (id_to_column(id), version, now.unix()), |row| row.get(0)).optional()?;
    match ended {
        Some(false) => {}
        Some(true) => {
            return Err(AdminError::Invalid(format!(
                "the key `{version}` was revoked or has ended: reinstate it first"
            )));
        }
        None => return Err(AdminError::NotFound(format!("health authority {id} has no key `{version}`"))),
    }
    let activate = "UPDATE health_authority_key SET from_at = min(from_at, ?3)
                    WHERE health_authority_id = ?1 AND version = ?2";
    connection.execute(activate, (id_to_column(id), version, now.plus_seconds(-1).unix()))?;
    Ok(())
}

/// Makes all changes, unless the keys are others than those that the changes were decided on.
pub(super) fn apply_changes(
    connection: &Connection,
    id: u64,
    stored: &[HealthAuthorityKey],
    changes: &Changes,
) -> Result<(), AdminError> {
    let id = id_to_column(id);
    let current = load_keys(connection, id)?.into_iter().map(to_key);
    if !current.eq(stored.iter().cloned()) {
        return Err(PortError::Conflict.into());
    }
    let Changes { purge, revoke, insert } = changes;
    let mut delete =
        connection.prepare("DELETE FROM health_authority_key WHERE health_authority_id = ?1 AND version = ?2")?;
    for version in purge {
        found(delete.execute((id, version))?)?;
    }
    let mut end = connection
        .prepare("UPDATE health_authority_key SET thru_at = ?3 WHERE health_authority_id = ?1 AND version = ?2")?;
    for Revocation { version, thru } in revoke {
        found(end.execute((id, version, thru.unix()))?)?;
    }
    let mut add = connection.prepare(
        "INSERT INTO health_authority_key(health_authority_id, version, from_at, thru_at, public_key)
         VALUES (?1, ?2, ?3, ?4, ?5)",
    )?;
    for HealthAuthorityKey { version, from, thru, public_key } in insert {
        add.execute((id, version, from.unix(), thru.map(Timestamp::unix), public_key))?;
    }
    Ok(())
}

/// Changes that name a key which is not there were not decided on these keys.
fn found(changed: usize) -> Result<(), AdminError> {
    if changed == 1 { Ok(()) } else { Err(PortError::Conflict.into()) }
}
