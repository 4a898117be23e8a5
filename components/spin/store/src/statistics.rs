//! Port `statistics`, and how its counts come about: each publish adds to the row of its hour, in its own transaction.

use crate::rows::{Columns, unreadable};
use crate::sql::{Row, Sql, values};
use crate::{Store, id_to_column};
use tocsin_domain::health_authority::HealthAuthorityId;
use tocsin_domain::interval::Timestamp;
use tocsin_domain::ports::PortError;
use tocsin_domain::ports::statistics::Statistics;
use tocsin_domain::statistics::{HourlyStatistics, PublishStatistics};

const COLUMNS: &str = "hour, requests_unknown, requests_android, requests_ios, keys, requests_with_revisions, \
                       oldest_key_days, onset_days, missing_onset";

impl<S: Sql> Statistics for Store<S> {
    fn hours(&self, health_authority: HealthAuthorityId) -> Result<Vec<HourlyStatistics>, PortError> {
        let sql = format!("SELECT {COLUMNS} FROM statistics WHERE health_authority_id = ?1 ORDER BY hour");
        self.run(&sql, &values![id_to_column(health_authority.0)])?.iter().map(hourly_statistics).collect()
    }
}

impl<S: Sql> Store<S> {
    /// Counts a publish that is being stored.
    pub(crate) fn count_publish(
        &self,
        authority: HealthAuthorityId,
        publish: &PublishStatistics,
    ) -> Result<(), PortError> {
        let id = id_to_column(authority.0);
        let sql = format!("SELECT {COLUMNS} FROM statistics WHERE health_authority_id = ?1 AND hour = ?2");
        let stored = self.first(&sql, &values![id, publish.hour])?;
        let mut sum = match stored {
            Some(row) => hourly_statistics(&row)?,
            None => HourlyStatistics::new(publish.hour),
        };
        sum.record(publish);
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
        let sql = format!(
            "INSERT OR REPLACE INTO statistics(health_authority_id, {COLUMNS})
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)"
        );
        self.run(
            &sql,
            &values![
                id,
                hour,
                count_to_column(requests_unknown),
                count_to_column(requests_android),
                count_to_column(requests_ios),
                count_to_column(keys),
                count_to_column(requests_with_revisions),
                counts_to_column(&oldest_key_days),
                counts_to_column(&onset_days),
                count_to_column(missing_onset),
            ],
        )?;
        Ok(())
    }

    /// Deletes the hours before `before`.
    pub(crate) fn delete_statistics(&self, before: Timestamp) -> Result<u64, PortError> {
        let deleted = self.run("DELETE FROM statistics WHERE hour < ?1 RETURNING 1", &values![before])?;
        Ok(u64::try_from(deleted.len()).unwrap_or(u64::MAX))
    }
}

fn hourly_statistics(row: &Row) -> Result<HourlyStatistics, PortError> {
    let mut columns = Columns::of(row);
    Ok(HourlyStatistics {
        hour: columns.time()?,
        requests_unknown: columns.number()?,
        requests_android: columns.number()?,
        requests_ios: columns.number()?,
        keys: columns.number()?,
        requests_with_revisions: columns.number()?,
        oldest_key_days: counts(&mut columns)?,
        onset_days: counts(&mut columns)?,
        missing_onset: columns.number()?,
    })
}

fn counts<const N: usize>(columns: &mut Columns<'_>) -> Result<[u64; N], PortError> {
    columns.json::<Vec<u64>>()?.try_into().map_err(|_| unreadable("a list of counts has another length"))
}

fn count_to_column(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

fn counts_to_column(counts: &[u64]) -> String {
    // Unwrap safety: a list of numbers is always valid JSON.
    serde_json::to_string(counts).unwrap()
}
