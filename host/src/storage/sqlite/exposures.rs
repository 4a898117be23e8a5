//! Port `exposures`.

use super::super::key_index::{KeyHash, KeyIndex};
use super::super::row_id::{Hour, RowId};
use super::append::{Appender, INSERT, Provenance};
use super::failure::{Failure, id_to_column};
use super::writer::split;
use super::{Shared, SqliteStore, commits, key_column, out_of_range};
use rusqlite::{CachedStatement, Connection, OptionalExtension, Row};
use std::sync::mpsc;
use tocsin_domain::exposure::{ReportType, Revision, StoredExposure};
use tocsin_domain::interval::{IntervalNumber, RollingPeriod, Timestamp};
use tocsin_domain::ports::PortError;
use tocsin_domain::ports::exposures::{Exposures, Found, RevisionOf, Submission};
use tocsin_domain::tek::TemporaryExposureKey;

impl Exposures for SqliteStore {
    fn find(&self, keys: &[TemporaryExposureKey]) -> Result<Found, PortError> {
        let index = &self.shared.index;
        let open_from = self.shared.open_from();
        let hits: Vec<_> = keys.iter().flat_map(|key| candidates(index, key)).collect();
        if hits.is_empty() {
            return Ok(Found { existing: Vec::new(), open_from });
        }
        let existing = self.shared.readers.read(|connection| {
            let mut statement = connection.prepare_cached(STORED)?;
            let rows = hits.iter().map(|hit| stored_row(&mut statement, hit));
            rows.filter_map(Result::transpose).collect::<Result<Vec<_>, Failure>>()
        })?;
        Ok(Found { existing, open_from })
    }

    fn insert_and_revise(&self, submission: &Submission) -> Result<(), PortError> {
        let (reply, result) = mpsc::sync_channel(1);
        // A caller that no longer waits is nobody's error.
        self.writer.publish(submission.clone(), Box::new(move |outcome| drop(reply.send(outcome))));
        result.recv().unwrap_or(Err(PortError::Unavailable))
    }
}

impl SqliteStore {
    /// [`Exposures::insert_and_revise`] for asynchronous code. A caller that stops waiting does not stop the publish.
    pub async fn insert_and_revise_async(&self, submission: Submission) -> Result<(), PortError> {
        let (reply, result) = tokio::sync::oneshot::channel();
        // As above.
        self.writer.publish(submission, Box::new(move |outcome| drop(reply.send(outcome))));
        result.await.unwrap_or(Err(PortError::Unavailable))
    }
}

fn candidates<'k>(
    index: &KeyIndex,
    key: &'k TemporaryExposureKey,
) -> impl Iterator<Item = (RowId, &'k TemporaryExposureKey)> {
    index.candidates(index.hash(key)).into_iter().map(move |id| (id, key))
}

const STORED: &str =
    "SELECT e.key, e.rolling_start, e.rolling_period, e.report_type, p.local, r.version, r.report_type,
            e.created_at
     FROM exposure e JOIN provenance p ON p.id = e.provenance_id
     LEFT JOIN exposure_revision r ON r.exposure_id = e.id WHERE e.id = ?1";

/// The row, if it is there and has that key.
fn stored_row(
    statement: &mut CachedStatement<'_>,
    (id, key): &(RowId, &TemporaryExposureKey),
) -> Result<Option<StoredExposure>, Failure> {
    let mut rows = statement.query([id.column()])?;
    let Some(row) = rows.next()? else { return Ok(None) };
    if key_column(row, 0)? != **key {
        return Ok(None);
    }
    Ok(Some(StoredExposure {
        id: id.get(),
        version: row.get::<_, Option<u32>>(5)?.unwrap_or(0),
        key: **key,
        rolling_start: IntervalNumber::new(row.get(1)?),
        rolling_period: period_column(row, 2)?,
        report_type: ReportType::from_number(row.get(3)?),
        revised_report_type: row.get::<_, Option<u8>>(6)?.and_then(ReportType::from_number),
        local_provenance: row.get(4)?,
        created_at: Timestamp::from_unix(row.get(7)?),
    }))
}

/// A rolling period in a column.
pub(super) fn period_column(row: &Row<'_>, column: usize) -> rusqlite::Result<RollingPeriod> {
    let number = row.get_ref(column)?.as_i64()?;
    RollingPeriod::try_from(number).map_err(|_| out_of_range(column, "a rolling period is not 1 to 144"))
}

/// The statements that every publish needs.
pub(super) struct Statements<'c> {
    insert: CachedStatement<'c>,
    key: CachedStatement<'c>,
    version: CachedStatement<'c>,
    revise: CachedStatement<'c>,
}

impl<'c> Statements<'c> {
    pub(super) fn prepare(connection: &'c Connection) -> rusqlite::Result<Self> {
        Ok(Self {
            insert: connection.prepare_cached(INSERT)?,
            key: connection.prepare_cached("SELECT key FROM exposure WHERE id = ?1")?,
            version: connection.prepare_cached(
                "SELECT e.key, ifnull(r.version, 0) FROM exposure e
                 LEFT JOIN exposure_revision r ON r.exposure_id = e.id WHERE e.id = ?1",
            )?,
            revise: connection.prepare_cached(
                "INSERT INTO exposure_revision(exposure_id, version, revised_at, report_type, days_since_onset,
                    transmission_risk, health_authority_id) VALUES (?1, 1, ?2, ?3, ?4, ?5, ?6)
                 ON CONFLICT(exposure_id) DO UPDATE SET version = version + 1, revised_at = excluded.revised_at,
                    report_type = excluded.report_type, days_since_onset = excluded.days_since_onset,
                    transmission_risk = excluded.transmission_risk, health_authority_id = excluded.health_authority_id",
            )?,
        })
    }

    fn key_exists(&mut self, index: &KeyIndex, hash: KeyHash, key: &TemporaryExposureKey) -> rusqlite::Result<bool> {
        for id in index.candidates(hash) {
            if self.key.query_row([id.column()], |row| key_column(row, 0)).optional()?.as_ref() == Some(key) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn is_as_expected(&mut self, revision: &RevisionOf) -> rusqlite::Result<bool> {
        let RevisionOf { id, expected_version, key, revision: _ } = revision;
        let row = |row: &Row<'_>| Ok((key_column(row, 0)?, row.get::<_, u32>(1)?));
        let found = self.version.query_row([id_to_column(*id)], row).optional()?;
        Ok(found == Some((*key, *expected_version)))
    }
}

/// Stores one submission in the running transaction. Everything that could refuse it is checked before the first write,
/// so a refused one leaves nothing behind although it shares the transaction with others.
pub(super) fn store(
    submission: &Submission,
    statements: &mut Statements<'_>,
    connection: &Connection,
    appender: &mut Appender,
    shared: &Shared,
) -> rusqlite::Result<Result<(), PortError>> {
    split(check(submission, statements, connection, appender, shared).and_then(|places| {
        write(submission, &places, statements, connection, appender, shared)?;
        Ok(())
    }))
}

/// Where the inserts go.
fn check(
    submission: &Submission,
    statements: &mut Statements<'_>,
    connection: &Connection,
    appender: &mut Appender,
    shared: &Shared,
) -> Result<Vec<(KeyHash, RowId)>, Failure> {
    check_distinct(submission)?;
    let open_from = shared.open_from();
    let mut inserts = submission.inserts.iter().map(|exposure| exposure.created_at);
    let mut revisions = submission.revisions.iter().map(|revision| revision.revision.revised_at);
    if inserts.any(|time| time < open_from) || revisions.any(|time| time < open_from) {
        return Err(PortError::Conflict.into());
    }
    for revision in &submission.revisions {
        if !statements.is_as_expected(revision)? {
            return Err(PortError::Conflict.into());
        }
    }
    commits::check(submission, connection)?;
    let mut places = Vec::with_capacity(submission.inserts.len());
    for exposure in &submission.inserts {
        let hash = shared.index.hash(&exposure.key);
        if statements.key_exists(&shared.index, hash, &exposure.key)? {
            return Err(PortError::Conflict.into());
        }
        let hour = Hour::of(exposure.created_at)
            .ok_or_else(|| PortError::Internal("a time of upload lies outside the years 2020 to 2049".to_owned()))?;
        places.push((hash, appender.allocate(connection, hour)?));
    }
    Ok(places)
}

/// The caller promises that each key occurs once. A promise across a sandbox boundary is checked.
fn check_distinct(submission: &Submission) -> Result<(), PortError> {
    let inserts = submission.inserts.iter().map(|exposure| exposure.key);
    let mut keys: Vec<_> = inserts.chain(submission.revisions.iter().map(|revision| revision.key)).collect();
    keys.sort_unstable();
    if keys.windows(2).any(|pair| pair[0] == pair[1]) {
        return Err(PortError::Internal("a key occurs twice in one submission".to_owned()));
    }
    Ok(())
}

fn write(
    submission: &Submission,
    places: &[(KeyHash, RowId)],
    statements: &mut Statements<'_>,
    connection: &Connection,
    appender: &mut Appender,
    shared: &Shared,
) -> rusqlite::Result<()> {
    let Submission { app, regions, traveler, health_authority, inserts, revisions, statistics: _, commits: _ } =
        submission;
    let health_authority = health_authority.map(|id| id_to_column(id.0));
    if !inserts.is_empty() {
        let mut regions: Vec<&str> = regions.iter().map(String::as_str).collect();
        regions.sort_unstable();
        regions.dedup();
        // Unwrap safety: a list of strings is always valid JSON.
        let regions = serde_json::to_string(&regions).unwrap();
        let provenance = Provenance { app: app.clone(), regions, traveler: *traveler, local: true, health_authority };
        let provenance_id = appender.provenance_id(connection, &provenance)?;
        for (exposure, place) in inserts.iter().zip(places) {
            appender.append(&mut statements.insert, &shared.index, *place, provenance_id, exposure)?;
        }
    }
    for RevisionOf { id, expected_version: _, key: _, revision } in revisions {
        let Revision { report_type, revised_at, days_since_onset, transmission_risk } = revision;
        statements.revise.execute((
            id_to_column(*id),
            revised_at.unix(),
            report_type.number(),
            days_since_onset,
            transmission_risk.get(),
            health_authority,
        ))?;
    }
    commits::note(submission, connection)
}
