//! Reads the rows that an export selects.

use super::super::row_id::{Hour, RowId};
use super::append::PADDING_APP;
use super::directory::json_column;
use super::exposures::period_column;
use super::failure::Failure;
use super::{id_column, key_column, out_of_range};
use rusqlite::types::Value;
use rusqlite::{Connection, Row, params_from_iter};
use tocsin_domain::exposure::{ReportType, SelectedExposure, TransmissionRisk};
use tocsin_domain::interval::{IntervalNumber, Timestamp};
use tocsin_domain::ports::PortError;
use tocsin_domain::ports::exports::{KeyRange, Page, Pass, Selection, SelectionSize, Window};

/// A cursor of the revised pass is the seconds since the window's start, then a row id: three days at most, where a batch
/// covers one.
const CURSOR_SECONDS: u64 = 1 << (u64::BITS - RowId::BITS);

/// The columns of both passes, in the order of [`exposure`].
const COLUMNS: &str = "e.id, e.provenance_id, e.key, e.rolling_start, e.rolling_period, e.transmission_risk";

pub(super) fn read(
    connection: &Connection,
    selection: &Selection,
    pass: Pass,
    keys: KeyRange,
    cursor: u64,
    limit: u32,
) -> Result<Page, Failure> {
    let accepted = Accepted::load(connection, selection)?;
    let query = match pass {
        Pass::Primary => Query::primary(selection.window, keys, cursor),
        Pass::Revised => Query::revised(selection.window, keys, cursor),
    };
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    let mut rows_left = limit;
    let mut page = Page { rows: Vec::new(), next: None };
    let mut statement = connection.prepare_cached(&query.sql(COLUMNS))?;
    let mut rows = statement.query(params_from_iter(query.values))?;
    while let Some(row) = rows.next()? {
        if !accepted.contains(row.get_ref(1)?.as_i64()?) {
            continue;
        }
        if rows_left == 0 {
            return Ok(page);
        }
        let exposure = exposure(row)?;
        exposure.pack_into(&mut page.rows);
        rows_left -= 1;
        if rows_left == 0 {
            page.next = Some(match pass {
                Pass::Primary => exposure.id,
                Pass::Revised => revised_cursor(selection.window, row.get(8)?, exposure.id)?,
            });
        }
    }
    page.next = None;
    Ok(page)
}

pub(super) fn count(connection: &Connection, selection: &Selection) -> Result<SelectionSize, Failure> {
    let accepted = Accepted::load(connection, selection)?;
    let count = |query: Query| -> Result<u64, Failure> {
        let mut statement = connection.prepare_cached(&query.sql("e.provenance_id"))?;
        let mut rows = statement.query(params_from_iter(query.values))?;
        let mut count = 0;
        while let Some(row) = rows.next()? {
            count += u64::from(accepted.contains(row.get_ref(0)?.as_i64()?));
        }
        Ok(count)
    };
    Ok(SelectionSize {
        primary: count(Query::primary(selection.window, KeyRange::ALL, 0))?,
        revised: count(Query::revised(selection.window, KeyRange::ALL, 0))?,
    })
}

/// Which provenances a selection takes: there are few, so the rows need no look at their regions.
struct Accepted(Vec<bool>);

impl Accepted {
    fn load(connection: &Connection, selection: &Selection) -> rusqlite::Result<Self> {
        let mut statement = connection.prepare_cached("SELECT id, regions, traveler FROM provenance ORDER BY id")?;
        let mut rows = statement.query([])?;
        let mut accepted = Vec::new();
        while let Some(row) = rows.next()? {
            // Ids count from 1 and none is ever deleted, so gaps take no room.
            let id = usize::try_from(row.get::<_, i64>(0)?).map_err(|_| out_of_range(0, "a negative id"))?;
            let regions: Vec<String> = json_column(row, 1)?;
            accepted.resize(id, false);
            accepted.push(selection.takes(&regions, row.get(2)?));
        }
        Ok(Self(accepted))
    }

    fn contains(&self, provenance_id: i64) -> bool {
        usize::try_from(provenance_id).is_ok_and(|id| self.0.get(id) == Some(&true))
    }
}

/// A statement with only the conditions it needs: each one costs on every row.
struct Query {
    after_columns: String,
    values: Vec<Value>,
}

impl Query {
    fn primary(window: Window, keys: KeyRange, cursor: u64) -> Self {
        let Window { start, end } = window;
        let after = i64::try_from(cursor).unwrap_or(i64::MAX).max(Hour::clamped(start).first_id().cast_signed());
        let last_hour = Hour::clamped(end.plus_seconds(-1));
        let mut query = Self {
            after_columns: ", e.report_type, e.days_since_onset FROM exposure e WHERE e.id > ? AND e.id < ?".to_owned(),
            values: vec![after.into(), last_hour.end_id().cast_signed().into()],
        };
        if !(is_hour(start) && is_hour(end)) {
            query.require(" AND e.created_at >= ?", start.unix());
            query.require(" AND e.created_at < ?", end.unix());
        }
        query.require_keys(keys);
        query.after_columns.push_str(" ORDER BY e.id");
        query
    }

    /// CROSS JOIN: the index on the time of revision first, then the rows.
    fn revised(window: Window, keys: KeyRange, cursor: u64) -> Self {
        let Window { start, end } = window;
        let seconds = i64::try_from(cursor >> RowId::BITS).unwrap_or(i64::MAX);
        let after_id = RowId::from_low_bits(cursor).map_or(0, RowId::column);
        let after = start.plus_seconds(seconds).unix();
        let mut query = Self {
            after_columns: ", r.report_type, r.days_since_onset, r.revised_at FROM exposure_revision r \
                 CROSS JOIN exposure e ON e.id = r.exposure_id \
                 WHERE (r.revised_at, r.exposure_id) > (?, ?) AND r.revised_at < ?"
                .to_owned(),
            values: vec![after.into(), after_id.into(), end.unix().into()],
        };
        query.require_keys(keys);
        query.after_columns.push_str(" ORDER BY r.revised_at, r.exposure_id");
        query
    }

    fn sql(&self, columns: &str) -> String {
        format!("SELECT {columns}{}", self.after_columns)
    }

    /// Blobs compare byte by byte, and a prefix is less than what continues it.
    fn require_keys(&mut self, keys: KeyRange) {
        if keys.first > 0 {
            self.require(" AND e.key >= ?", keys.first.to_be_bytes().to_vec());
        }
        if let Some(end) = keys.last.checked_add(1) {
            self.require(" AND e.key < ?", end.to_be_bytes().to_vec());
        }
    }

    fn require(&mut self, condition: &str, value: impl Into<Value>) {
        self.after_columns.push_str(condition);
        self.values.push(value.into());
    }
}

fn is_hour(time: Timestamp) -> bool {
    time == time.truncate(3_600) && Hour::of(time).is_some()
}

fn revised_cursor(window: Window, revised_at: i64, id: u64) -> Result<u64, Failure> {
    let seconds = u64::try_from(revised_at.saturating_sub(window.start.unix())).unwrap_or(u64::MAX);
    if seconds >= CURSOR_SECONDS {
        return Err(PortError::Internal("a window longer than three days has several pages".to_owned()).into());
    }
    Ok((seconds << RowId::BITS) | id)
}

fn exposure(row: &Row<'_>) -> rusqlite::Result<SelectedExposure> {
    let risk = row.get_ref(5)?.as_i64()?;
    Ok(SelectedExposure {
        id: id_column(row, 0)?.get(),
        key: key_column(row, 2)?,
        rolling_start: IntervalNumber::new(row.get(3)?),
        rolling_period: period_column(row, 4)?,
        transmission_risk: TransmissionRisk::try_from(risk)
            .map_err(|_| out_of_range(5, "a transmission risk is not 0 to 8"))?,
        report_type: ReportType::from_number(row.get(6)?),
        days_since_onset: row.get(7)?,
    })
}

/// The provenance of a padding key made from a row of `source`: the same regions, but nobody's.
pub(super) fn padding_provenance(connection: &Connection, source: i64) -> rusqlite::Result<super::append::Provenance> {
    connection.prepare_cached("SELECT regions, traveler FROM provenance WHERE id = ?1")?.query_row([source], |row| {
        Ok(super::append::Provenance {
            app: PADDING_APP.to_owned(),
            regions: row.get(0)?,
            traveler: row.get(1)?,
            local: true,
            health_authority: None,
        })
    })
}
