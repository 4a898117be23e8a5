//! Adds rows at the right edge of the table.

use super::super::key_index::{KeyHash, KeyIndex};
use super::super::row_id::{Hour, RowId};
use super::failure::Failure;
use super::id_column;
use rusqlite::{CachedStatement, Connection, OptionalExtension};
use std::collections::HashMap;
use tocsin_domain::exposure::{NewExposure, ReportType};
use tocsin_domain::ports::PortError;

/// The app in the rows of padding keys; they belong to nobody.
pub(super) const PADDING_APP: &str = "export-generated";

/// Adds one row.
pub(super) const INSERT: &str = "INSERT INTO exposure(id, provenance_id, created_at, key, rolling_start, \
     rolling_period, transmission_risk, report_type, days_since_onset) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)";

/// What all keys of a publish share.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Provenance {
    pub(super) app: String,
    /// JSON list, sorted.
    pub(super) regions: String,
    pub(super) traveler: bool,
    pub(super) local: bool,
    pub(super) health_authority: Option<i64>,
}

/// Knows the last id of each hour and the ids of provenances, and what the running transaction added.
#[derive(Debug, Default)]
pub(super) struct Appender {
    last_ids: HashMap<Hour, RowId>,
    provenances: HashMap<Provenance, i64>,
    added: Vec<(KeyHash, RowId)>,
}

impl Appender {
    /// The next free id of an hour. Ids that are not used in the end leave a gap.
    pub(super) fn allocate(&mut self, connection: &Connection, hour: Hour) -> Result<RowId, Failure> {
        let next = match self.last_ids.get(&hour) {
            Some(last) => last.next(),
            None => match last_id(connection, hour)? {
                Some(last) => last.next(),
                None => Some(hour.first()),
            },
        };
        // 268 million keys in an hour: not on this planet, but an hour must not run into the next.
        let id = next.ok_or(PortError::Unavailable)?;
        self.last_ids.insert(hour, id);
        Ok(id)
    }

    /// The id of a provenance, which is added when it is new.
    pub(super) fn provenance_id(&mut self, connection: &Connection, provenance: &Provenance) -> rusqlite::Result<i64> {
        if let Some(id) = self.provenances.get(provenance) {
            return Ok(*id);
        }
        let Provenance { app, regions, traveler, local, health_authority } = provenance;
        let values = (app, regions, traveler, local, health_authority);
        let find = "SELECT id FROM provenance WHERE app = ?1 AND regions = ?2 AND traveler = ?3 AND local = ?4 \
                    AND health_authority_id IS ?5";
        let found = connection.query_row(find, values, |row| row.get(0)).optional()?;
        let id = match found {
            Some(id) => id,
            None => connection.query_row(
                "INSERT INTO provenance(app, regions, traveler, local, health_authority_id) \
                 VALUES (?1, ?2, ?3, ?4, ?5) RETURNING id",
                values,
                |row| row.get(0),
            )?,
        };
        self.provenances.insert(provenance.clone(), id);
        Ok(id)
    }

    /// Writes a row and enters it in the index.
    pub(super) fn append(
        &mut self,
        insert: &mut CachedStatement<'_>,
        index: &KeyIndex,
        (hash, id): (KeyHash, RowId),
        provenance_id: i64,
        exposure: &NewExposure,
    ) -> rusqlite::Result<()> {
        let NewExposure {
            key,
            rolling_start,
            rolling_period,
            transmission_risk,
            report_type,
            days_since_onset,
            created_at,
        } = exposure;
        insert.execute((
            id.column(),
            provenance_id,
            created_at.unix(),
            key.as_bytes().as_slice(),
            rolling_start.get(),
            rolling_period.get(),
            transmission_risk.get(),
            report_type.map_or(0, ReportType::number),
            days_since_onset,
        ))?;
        self.enter(index, (hash, id));
        Ok(())
    }

    /// Enters a row that this transaction wrote in the index.
    pub(super) fn enter(&mut self, index: &KeyIndex, (hash, id): (KeyHash, RowId)) {
        index.insert(hash, id);
        self.added.push((hash, id));
    }

    /// The transaction is durable.
    pub(super) fn settle(&mut self) {
        self.added.clear();
    }

    /// The transaction did not happen.
    pub(super) fn undo(&mut self, index: &KeyIndex) {
        for (hash, id) in self.added.drain(..) {
            index.remove(hash, id);
        }
        self.provenances.clear();
    }

    /// Forgets hours before `hour`: nothing will be created there any more, or if it is, the table knows the last id.
    pub(super) fn forget_before(&mut self, hour: Hour) {
        self.last_ids.retain(|known, _| *known >= hour);
    }
}

fn last_id(connection: &Connection, hour: Hour) -> rusqlite::Result<Option<RowId>> {
    connection
        .prepare_cached("SELECT id FROM exposure WHERE id >= ?1 AND id < ?2 ORDER BY id DESC LIMIT 1")?
        .query_row([hour.first_id().cast_signed(), hour.end_id().cast_signed()], |row| id_column(row, 0))
        .optional()
}
