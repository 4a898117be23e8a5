//! Revision keys, wrapped, as the host keeps them.

use crate::revision_keys::{NewRevisionKey, RevisionKeyRow, RevisionKeys, RewrappedKey};
use crate::rows::Columns;
use crate::sql::{Row, Sql, values};
use crate::{Store, id_to_column};
use tocsin_domain::interval::Timestamp;
use tocsin_domain::ports::PortError;

impl<S: Sql> RevisionKeys for Store<S> {
    fn revision_keys(&self) -> Result<Vec<RevisionKeyRow>, PortError> {
        let sql = "SELECT id, root_key_id, wrapped, created_at, destroyed_at FROM revision_key ORDER BY id";
        self.run(sql, &[])?.iter().map(revision_key).collect()
    }

    fn insert_revision_keys(&self, keys: &[NewRevisionKey]) -> Result<(), PortError> {
        self.transaction(|| {
            for NewRevisionKey { id, root_key_id, wrapped, created_at } in keys {
                let inserted = self.run(
                    "INSERT INTO revision_key(id, root_key_id, wrapped, created_at) VALUES (?1, ?2, ?3, ?4)
                     ON CONFLICT(id) DO NOTHING RETURNING 1",
                    &values![id_to_column(*id), id_to_column(*root_key_id), wrapped.as_slice(), *created_at],
                )?;
                if inserted.is_empty() {
                    return Err(PortError::Conflict);
                }
            }
            Ok(())
        })
    }

    fn destroy_revision_keys(&self, ids: &[u64], now: Timestamp) -> Result<(), PortError> {
        self.transaction(|| {
            for id in ids {
                self.run(
                    "UPDATE revision_key SET wrapped = NULL, destroyed_at = ?2 WHERE id = ?1 AND wrapped IS NOT NULL",
                    &values![id_to_column(*id), now],
                )?;
            }
            Ok(())
        })
    }

    fn rewrap_revision_keys(&self, keys: &[RewrappedKey]) -> Result<(), PortError> {
        self.transaction(|| {
            for RewrappedKey { id, root_key_id, wrapped } in keys {
                let rewrapped = self.run(
                    "UPDATE revision_key SET root_key_id = ?2, wrapped = ?3 WHERE id = ?1 AND wrapped IS NOT NULL
                     RETURNING 1",
                    &values![id_to_column(*id), id_to_column(*root_key_id), wrapped.as_slice()],
                )?;
                if rewrapped.is_empty() {
                    return Err(PortError::Conflict);
                }
            }
            Ok(())
        })
    }
}

fn revision_key(row: &Row) -> Result<RevisionKeyRow, PortError> {
    let mut columns = Columns::of(row);
    Ok(RevisionKeyRow {
        id: columns.number()?,
        root_key_id: columns.number()?,
        wrapped: columns.optional_blob()?.map(<[u8]>::to_vec),
        created_at: columns.time()?,
        destroyed_at: columns.optional_time()?,
    })
}
