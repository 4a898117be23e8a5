//! Port `statistics`, and how its counts come about.
//!
//! Every publish of an hour would change the same row. So a group of publishes is summed in memory and changes it once, in
//! the transaction that stores them: what is counted is what was acknowledged, even after a crash.

use super::failure::{Failure, id_to_column};
use super::{SqliteStore, out_of_range};
use rusqlite::{Connection, OptionalExtension, Row};
use std::collections::BTreeMap;
use tocsin_domain::health_authority::HealthAuthorityId;
use tocsin_domain::interval::Timestamp;
use tocsin_domain::ports::PortError;
use tocsin_domain::ports::exposures::Submission;
use tocsin_domain::ports::statistics::Statistics;
use tocsin_domain::statistics::HourlyStatistics;

impl Statistics for SqliteStore {
    fn hours(&self, health_authority: HealthAuthorityId) -> Result<Vec<HourlyStatistics>, PortError> {
        let hours = self.shared.readers.read(|connection| {
            let mut statement = connection.prepare_cached(&format!(
                "SELECT {COLUMNS} FROM statistics WHERE health_authority_id = ?1 ORDER BY hour"
            ))?;
            let rows = statement.query_map([id_to_column(health_authority.0)], row)?;
            Ok::<_, Failure>(rows.collect::<rusqlite::Result<Vec<_>>>()?)
        });
        hours.map_err(PortError::from)
    }
}

const COLUMNS: &str = "hour, requests_unknown, requests_android, requests_ios, keys, requests_with_revisions, \
                       oldest_key_days, onset_days, missing_onset";

/// Rows as they are after the last commit, so that they need not be read for each: the writer alone changes them.
#[derive(Debug, Default)]
pub(super) struct KnownRows(BTreeMap<(u64, Timestamp), HourlyStatistics>);

impl KnownRows {
    fn keep(&mut self, health_authority: u64, row: &HourlyStatistics) {
        const MOST: usize = 64;
        // Hours pass, and what is not known is read.
        if self.0.len() >= MOST {
            self.0.clear();
        }
        self.0.insert((health_authority, row.hour), row.clone());
    }
}

/// What a group of publishes counts.
#[derive(Debug, Default)]
pub(super) struct Tally(BTreeMap<(u64, Timestamp), HourlyStatistics>);

impl Tally {
    /// Counts a publish that is being stored.
    pub(super) fn add(&mut self, submission: &Submission) {
        if let (Some(id), Some(publish)) = (submission.health_authority, &submission.statistics) {
            let sum = self.0.entry((id.0, publish.hour)).or_insert_with(|| HourlyStatistics::new(publish.hour));
            sum.record(publish);
        }
    }

    /// Adds the counts to the rows of their hours.
    pub(super) fn write(self, connection: &Connection, known: &mut KnownRows) -> rusqlite::Result<()> {
        for ((authority, hour), mut sum) in self.0 {
            let id = id_to_column(authority);
            let stored = match known.0.remove(&(authority, hour)) {
                Some(row) => Some(row),
                None => connection
                    .prepare_cached(&format!(
                        "SELECT {COLUMNS} FROM statistics WHERE health_authority_id = ?1 AND hour = ?2"
                    ))?
                    .query_row((id, hour.unix()), row)
                    .optional()?,
            };
            if let Some(stored) = stored {
                sum.add(&stored);
            }
            known.keep(authority, &sum);
            let HourlyStatistics {
                hour,
                requests_unknown,
                requests_android,
                requests_ios,
                keys,
                requests_with_revisions,
                oldest_key_days,
                onset_days,
                missing_onset,
            } = sum;
            connection
                .prepare_cached(&format!(
                    "INSERT OR REPLACE INTO statistics(health_authority_id, {COLUMNS}) \
                     VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)"
                ))?
                .execute((
                    id,
                    hour.unix(),
                    count_to_column(requests_unknown),
                    count_to_column(requests_android),
                    count_to_column(requests_ios),
                    count_to_column(keys),
                    count_to_column(requests_with_revisions),
                    counts_to_column(&oldest_key_days),
                    counts_to_column(&onset_days),
                    count_to_column(missing_onset),
                ))?;
        }
        Ok(())
    }
}

/// Deletes the hours before `before`.
pub(super) fn delete(connection: &Connection, before: Timestamp) -> rusqlite::Result<u64> {
    let deleted = connection.execute("DELETE FROM statistics WHERE hour < ?1", [before.unix()])?;
    Ok(u64::try_from(deleted).unwrap_or(u64::MAX))
}

fn row(row: &Row<'_>) -> rusqlite::Result<HourlyStatistics> {
    Ok(HourlyStatistics {
        hour: Timestamp::from_unix(row.get(0)?),
        requests_unknown: count_column(row, 1)?,
        requests_android: count_column(row, 2)?,
        requests_ios: count_column(row, 3)?,
        keys: count_column(row, 4)?,
        requests_with_revisions: count_column(row, 5)?,
        oldest_key_days: counts_column(row, 6)?,
        onset_days: counts_column(row, 7)?,
        missing_onset: count_column(row, 8)?,
    })
}

fn count_column(row: &Row<'_>, column: usize) -> rusqlite::Result<u64> {
    u64::try_from(row.get::<_, i64>(column)?).map_err(|_| out_of_range(column, "a count is negative"))
}

fn count_to_column(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

fn counts_column<const N: usize>(row: &Row<'_>, column: usize) -> rusqlite::Result<[u64; N]> {
    let counts: Option<Vec<u64>> = serde_json::from_str(row.get_ref(column)?.as_str()?).ok();
    counts
        .and_then(|counts| counts.try_into().ok())
        .ok_or_else(|| out_of_range(column, "a list of counts is unreadable"))
}

fn counts_to_column(counts: &[u64]) -> String {
    // Unwrap safety: a list of numbers is always valid JSON.
    serde_json::to_string(counts).unwrap()
}
