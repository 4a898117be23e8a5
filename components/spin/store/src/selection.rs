//! Reads the rows that an export selects.

use crate::Store;
use crate::append::PADDING_APP;
use crate::append::Provenance;
use crate::row_id::{Hour, RowId};
use crate::rows::{Columns, unreadable};
use crate::sql::{Row, Sql, Value, values};
use tocsin_domain::exposure::SelectedExposure;
use tocsin_domain::interval::{IntervalNumber, Timestamp};
use tocsin_domain::ports::PortError;
use tocsin_domain::ports::exports::{KeyRange, Page, Pass, Selection, SelectionSize, Window};

/// A cursor of the revised pass is the seconds since the window's start, then a row id: three days at most, where a batch
/// covers one.
const CURSOR_SECONDS: u64 = 1 << (u64::BITS - RowId::BITS);

/// Rows of one statement. All of them cross two boundaries as lists of values before the first is looked at, and Spin
/// refuses results that are too long.
const ROWS_PER_STATEMENT: u32 = 4_096;

impl<S: Sql> Store<S> {
    pub(crate) fn read_page(
        &self,
        selection: &Selection,
        pass: Pass,
        keys: KeyRange,
        cursor: u64,
        limit: u32,
    ) -> Result<Page, PortError> {
        let provenances = self.accepted(selection)?;
        let mut page = Page { rows: Vec::new(), next: None };
        let (mut cursor, mut left) = (cursor, limit);
        while left > 0 && !provenances.is_empty() {
            let wanted = left.min(ROWS_PER_STATEMENT);
            let mut query = Query::new(selection.window, pass, keys, cursor, &provenances);
            query.order(pass);
            // One more than wanted tells whether there is a next page.
            query.limit(wanted.saturating_add(1));
            let rows = self.run(&format!("{}{}", columns(pass), query.sql), &query.values)?;
            let wanted_rows = usize::try_from(wanted).unwrap_or(usize::MAX);
            for row in rows.iter().take(wanted_rows) {
                let (exposure, revised_at) = selected(row, pass)?;
                exposure.pack_into(&mut page.rows);
                cursor = match revised_at {
                    None => exposure.id,
                    Some(time) => revised_cursor(selection.window, time, exposure.id)?,
                };
            }
            left -= wanted;
            let is_last = rows.len() <= wanted_rows;
            if is_last {
                break;
            }
            if left == 0 {
                page.next = Some(cursor);
            }
        }
        Ok(page)
    }

    pub(crate) fn count_selection(&self, selection: &Selection) -> Result<SelectionSize, PortError> {
        let provenances = self.accepted(selection)?;
        if provenances.is_empty() {
            return Ok(SelectionSize::default());
        }
        let count = |pass| {
            let query = Query::new(selection.window, pass, KeyRange::ALL, 0, &provenances);
            let row = self.first(&format!("SELECT count(*){}", query.sql), &query.values)?.unwrap_or_default();
            Columns::of(&row).number()
        };
        Ok(SelectionSize { primary: count(Pass::Primary)?, revised: count(Pass::Revised)? })
    }

    /// Ids of the provenances that a selection takes, as a list for SQL: there are few, so the rows need no look at their
    /// regions. Empty: none.
    fn accepted(&self, selection: &Selection) -> Result<String, PortError> {
        let mut accepted = Vec::new();
        for row in self.run("SELECT id, regions, traveler FROM provenance ORDER BY id", &[])? {
            let mut columns = Columns::of(&row);
            let (id, regions, traveler) = (columns.integer()?, columns.json::<Vec<String>>()?, columns.flag()?);
            if selection.takes(&regions, traveler) {
                accepted.push(id.to_string());
            }
        }
        Ok(accepted.join(", "))
    }

    /// The provenance of a padding key made from a row of `source`: the same regions, but nobody's.
    pub(crate) fn padding_provenance(&self, source: i64) -> Result<Provenance, PortError> {
        let row = self.first("SELECT regions, traveler FROM provenance WHERE id = ?1", &values![source])?;
        let row = row.ok_or_else(|| unreadable("an exposure without a provenance"))?;
        let mut columns = Columns::of(&row);
        Ok(Provenance {
            app: PADDING_APP.to_owned(),
            regions: columns.string()?,
            traveler: columns.flag()?,
            local: true,
            health_authority: None,
        })
    }
}

/// The columns that [`selected`] reads.
fn columns(pass: Pass) -> &'static str {
    match pass {
        Pass::Primary => {
            "SELECT e.id, e.key, e.rolling_start, e.rolling_period, e.transmission_risk, e.report_type, e.days_since_onset"
        }
        Pass::Revised => {
            "SELECT e.id, e.key, e.rolling_start, e.rolling_period, e.transmission_risk, r.report_type,
                r.days_since_onset, r.revised_at"
        }
    }
}

/// A row of a pass, and when it was revised.
fn selected(row: &Row, pass: Pass) -> Result<(SelectedExposure, Option<Timestamp>), PortError> {
    let mut columns = Columns::of(row);
    let exposure = SelectedExposure {
        id: columns.row_id()?.get(),
        key: columns.key()?,
        rolling_start: IntervalNumber::new(columns.number()?),
        rolling_period: columns.rolling_period()?,
        transmission_risk: columns.transmission_risk()?,
        report_type: columns.report_type()?,
        days_since_onset: columns.optional_number()?,
    };
    let revised_at = match pass {
        Pass::Primary => None,
        Pass::Revised => Some(columns.time()?),
    };
    Ok((exposure, revised_at))
}

/// What follows the columns, with only the conditions that are needed.
struct Query {
    sql: String,
    values: Vec<Value>,
}

impl Query {
    fn new(window: Window, pass: Pass, keys: KeyRange, cursor: u64, provenances: &str) -> Self {
        let mut query = match pass {
            Pass::Primary => Self::primary(window, cursor),
            Pass::Revised => Self::revised(window, cursor),
        };
        query.require_keys(keys);
        query.sql.push_str(&format!(" AND e.provenance_id IN ({provenances})"));
        query
    }

    fn primary(window: Window, cursor: u64) -> Self {
        let Window { start, end } = window;
        let after = i64::try_from(cursor).unwrap_or(i64::MAX).max(Hour::clamped(start).first_id().cast_signed());
        let last_hour = Hour::clamped(end.plus_seconds(-1));
        let mut query = Self {
            sql: " FROM exposure e WHERE e.id > ? AND e.id < ?".to_owned(),
            values: vec![after.into(), last_hour.end_id().cast_signed().into()],
        };
        if !(is_hour(start) && is_hour(end)) {
            query.require(" AND e.created_at >= ?", start);
            query.require(" AND e.created_at < ?", end);
        }
        query
    }

    /// CROSS JOIN: the index on the time of revision first, then the rows.
    fn revised(window: Window, cursor: u64) -> Self {
        let Window { start, end } = window;
        let seconds = i64::try_from(cursor >> RowId::BITS).unwrap_or(i64::MAX);
        let after_id = RowId::from_low_bits(cursor).map_or(0, RowId::column);
        Self {
            sql: " FROM exposure_revision r CROSS JOIN exposure e ON e.id = r.exposure_id \
                  WHERE (r.revised_at, r.exposure_id) > (?, ?) AND r.revised_at < ?"
                .to_owned(),
            values: vec![start.plus_seconds(seconds).into(), after_id.into(), end.into()],
        }
    }

    fn order(&mut self, pass: Pass) {
        self.sql.push_str(match pass {
            Pass::Primary => " ORDER BY e.id",
            Pass::Revised => " ORDER BY r.revised_at, r.exposure_id",
        });
    }

    fn limit(&mut self, rows: u32) {
        self.require(" LIMIT ?", rows);
    }

    /// Blobs compare byte by byte, and a prefix is less than what continues it.
    fn require_keys(&mut self, keys: KeyRange) {
        if keys.first > 0 {
            self.require(" AND e.key >= ?", keys.first.to_be_bytes().as_slice());
        }
        if let Some(end) = keys.last.checked_add(1) {
            self.require(" AND e.key < ?", end.to_be_bytes().as_slice());
        }
    }

    fn require(&mut self, condition: &str, value: impl Into<Value>) {
        self.sql.push_str(condition);
        self.values.push(value.into());
    }
}

fn is_hour(time: Timestamp) -> bool {
    time == time.truncate(3_600) && Hour::of(time).is_some()
}

fn revised_cursor(window: Window, revised_at: Timestamp, id: u64) -> Result<u64, PortError> {
    let seconds = u64::try_from(revised_at.unix().saturating_sub(window.start.unix())).unwrap_or(u64::MAX);
    if seconds >= CURSOR_SECONDS {
        return Err(PortError::Internal("a window longer than three days has several pages".to_owned()));
    }
    Ok((seconds << RowId::BITS) | id)
}
