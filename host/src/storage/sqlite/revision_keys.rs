//! Revision keys.

use super::super::revision_keys::{NewRevisionKey, RevisionKeyRow, RevisionKeys, RewrappedKey};
use super::SqliteStore;
use super::failure::{Failure, id_to_column};
use rusqlite::{Connection, ErrorCode};
use tocsin_domain::interval::Timestamp;
use tocsin_domain::ports::PortError;

impl RevisionKeys for SqliteStore {
    fn revision_keys(&self) -> Result<Vec<RevisionKeyRow>, PortError> {
        self.shared.readers.read(list).map_err(PortError::from)
    }

    fn insert_revision_keys(&self, keys: &[NewRevisionKey]) -> Result<(), PortError> {
        let keys = keys.to_vec();
        self.writer
            .call(move |writer| writer.transaction(|connection| insert(connection, &keys)).map_err(PortError::from))
    }

    fn destroy_revision_keys(&self, ids: &[u64], now: Timestamp) -> Result<(), PortError> {
        let ids = ids.to_vec();
        self.writer.call(move |writer| {
            writer.transaction(|connection| destroy(connection, &ids, now)).map_err(PortError::from)
        })
    }

    fn rewrap_revision_keys(&self, keys: &[RewrappedKey]) -> Result<(), PortError> {
        let keys = keys.to_vec();
        self.writer
            .call(move |writer| writer.transaction(|connection| rewrap(connection, &keys)).map_err(PortError::from))
    }
}

fn list(connection: &Connection) -> Result<Vec<RevisionKeyRow>, Failure> {
    let sql = "SELECT id, root_key_id, wrapped, created_at, destroyed_at FROM revision_key ORDER BY id";
    let mut statement = connection.prepare_cached(sql)?;
    let rows = statement.query_map([], |row| {
        Ok(RevisionKeyRow {
            id: row.get::<_, i64>(0)?.cast_unsigned(),
            root_key_id: row.get::<_, i64>(1)?.cast_unsigned(),
            wrapped: row.get(2)?,
            created_at: Timestamp::from_unix(row.get(3)?),
            destroyed_at: row.get::<_, Option<i64>>(4)?.map(Timestamp::from_unix),
        })
    })?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

fn insert(connection: &Connection, keys: &[NewRevisionKey]) -> Result<(), Failure> {
    let mut insert = connection
        .prepare_cached("INSERT INTO revision_key(id, root_key_id, wrapped, created_at) VALUES (?1, ?2, ?3, ?4)")?;
    for NewRevisionKey { id, root_key_id, wrapped, created_at } in keys {
        let inserted = insert.execute((id_to_column(*id), id_to_column(*root_key_id), wrapped, created_at.unix()));
        inserted.map_err(|error| match error.sqlite_error_code() {
            Some(ErrorCode::ConstraintViolation) => PortError::Conflict.into(),
            Some(_) | None => Failure::from(error),
        })?;
    }
    Ok(())
}

fn destroy(connection: &Connection, ids: &[u64], now: Timestamp) -> Result<(), Failure> {
    // The connection overwrites what an update frees (`secure_delete`).
    let mut destroy = connection.prepare_cached(
        "UPDATE revision_key SET wrapped = NULL, destroyed_at = ?2 WHERE id = ?1 AND wrapped IS NOT NULL",
    )?;
    for id in ids {
        destroy.execute((id_to_column(*id), now.unix()))?;
    }
    Ok(())
}

fn rewrap(connection: &Connection, keys: &[RewrappedKey]) -> Result<(), Failure> {
    let mut rewrap = connection.prepare_cached(
        "UPDATE revision_key SET root_key_id = ?2, wrapped = ?3 WHERE id = ?1 AND wrapped IS NOT NULL",
    )?;
    for RewrappedKey { id, root_key_id, wrapped } in keys {
        if rewrap.execute((id_to_column(*id), id_to_column(*root_key_id), wrapped))? == 0 {
            return Err(PortError::Conflict.into());
        }
    }
    Ok(())
}
