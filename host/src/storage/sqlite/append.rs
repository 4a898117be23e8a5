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

/// Rows in one statement, at most: a publish has 14 as a rule.
const ROWS: usize = 16;
/// Values in a row.
const VALUES: usize = 9;

/// Statements that add rows, one for each number of rows. One statement for all keys of a publish is a third faster than
/// one for each.
pub(super) struct InsertStatements<'c> {
    connection: &'c Connection,
    by_rows: [Option<CachedStatement<'c>>; ROWS],
}

impl<'c> InsertStatements<'c> {
    pub(super) fn new(connection: &'c Connection) -> Self {
        Self { connection, by_rows: [const { None }; ROWS] }
    }

    /// `rows` is 1 to [`ROWS`].
    fn of(&mut self, rows: usize) -> rusqlite::Result<&mut CachedStatement<'c>> {
        let statement = &mut self.by_rows[rows - 1];
        match statement {
            Some(statement) => Ok(statement),
            None => {
                let values = ["(?,?,?,?,?,?,?,?,?)"].repeat(rows).join(",");
                let sql = format!(
                    "INSERT INTO exposure(id, provenance_id, created_at, key, rolling_start, rolling_period, \
                     transmission_risk, report_type, days_since_onset) VALUES {values}"
                );
                Ok(statement.insert(self.connection.prepare_cached(&sql)?))
            }
        }
    }
}

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

    /// Writes rows and enters them in the index.
    pub(super) fn append(
        &mut self,
        insert: &mut InsertStatements<'_>,
        index: &KeyIndex,
        places: &[(KeyHash, RowId)],
        provenance_id: i64,
        exposures: &[NewExposure],
    ) -> rusqlite::Result<()> {
        for (places, exposures) in places.chunks(ROWS).zip(exposures.chunks(ROWS)) {
            let statement = insert.of(exposures.len())?;
            for (row, ((_, id), exposure)) in places.iter().zip(exposures).enumerate() {
                bind(statement, row * VALUES, *id, provenance_id, exposure)?;
            }
            statement.raw_execute()?;
            places.iter().for_each(|place| self.enter(index, *place));
        }
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

fn bind(
    statement: &mut CachedStatement<'_>,
    before: usize,
    id: RowId,
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
    statement.raw_bind_parameter(before + 1, id.column())?;
    statement.raw_bind_parameter(before + 2, provenance_id)?;
    statement.raw_bind_parameter(before + 3, created_at.unix())?;
    statement.raw_bind_parameter(before + 4, key.as_bytes().as_slice())?;
    statement.raw_bind_parameter(before + 5, rolling_start.get())?;
    statement.raw_bind_parameter(before + 6, rolling_period.get())?;
    statement.raw_bind_parameter(before + 7, transmission_risk.get())?;
    statement.raw_bind_parameter(before + 8, report_type.map_or(0, ReportType::number))?;
    statement.raw_bind_parameter(before + 9, days_since_onset)
}

fn last_id(connection: &Connection, hour: Hour) -> rusqlite::Result<Option<RowId>> {
    connection
        .prepare_cached("SELECT id FROM exposure WHERE id >= ?1 AND id < ?2 ORDER BY id DESC LIMIT 1")?
        .query_row([hour.first_id().cast_signed(), hour.end_id().cast_signed()], |row| id_column(row, 0))
        .optional()
}
