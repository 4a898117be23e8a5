//! Port `exposures`.

use crate::append::{Allocator, CHUNK, Provenance, key_values};
use crate::row_id::{Hour, RowId};
use crate::rows::Columns;
use crate::sql::{Row, Sql, Value, placeholders, values};
use crate::{Store, id_to_column};
use std::collections::BTreeMap;
use tocsin_domain::exposure::{NewExposure, Revision, StoredExposure};
use tocsin_domain::interval::{IntervalNumber, Timestamp};
use tocsin_domain::ports::PortError;
use tocsin_domain::ports::exposures::{Exposures, Found, RevisionOf, Submission};
use tocsin_domain::tek::TemporaryExposureKey;

impl<S: Sql> Exposures for Store<S> {
    fn find(&self, keys: &[TemporaryExposureKey]) -> Result<Found, PortError> {
        // Read first: a batch that is created in between makes the publish conflict, and that is seen.
        let open_from = self.open_from()?;
        let mut existing = Vec::new();
        for keys in keys.chunks(CHUNK) {
            let sql = format!(
                "SELECT e.id, r.version, e.key, e.rolling_start, e.rolling_period, e.report_type, r.report_type, p.local,
                    e.created_at
                 FROM exposure e JOIN provenance p ON p.id = e.provenance_id
                 LEFT JOIN exposure_revision r ON r.exposure_id = e.id WHERE e.key IN ({})",
                placeholders(keys.len())
            );
            for row in self.run(&sql, &key_values(keys))? {
                existing.push(stored_exposure(&row)?);
            }
        }
        Ok(Found { existing, open_from })
    }

    fn insert_and_revise(&self, submission: &Submission) -> Result<(), PortError> {
        check_distinct(submission)?;
        self.transaction(|| {
            self.check(submission)?;
            self.write(submission)
        })
    }
}

fn stored_exposure(row: &Row) -> Result<StoredExposure, PortError> {
    let mut columns = Columns::of(row);
    Ok(StoredExposure {
        id: columns.row_id()?.get(),
        version: columns.optional_number()?.unwrap_or(0),
        key: columns.key()?,
        rolling_start: IntervalNumber::new(columns.number()?),
        rolling_period: columns.rolling_period()?,
        report_type: columns.report_type()?,
        revised_report_type: columns.report_type()?,
        local_provenance: columns.flag()?,
        created_at: columns.time()?,
    })
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

impl<S: Sql> Store<S> {
    /// Latest end of any export batch.
    fn open_from(&self) -> Result<Timestamp, PortError> {
        let row = self.first("SELECT ifnull(max(end_at), 0) FROM export_batch", &[])?.unwrap_or_default();
        Columns::of(&row).time()
    }

    /// Everything that could refuse a submission, before the first write.
    fn check(&self, submission: &Submission) -> Result<(), PortError> {
        let open_from = self.open_from()?;
        let mut inserts = submission.inserts.iter().map(|exposure| exposure.created_at);
        let mut revisions = submission.revisions.iter().map(|revision| revision.revision.revised_at);
        if inserts.any(|time| time < open_from) || revisions.any(|time| time < open_from) {
            return Err(PortError::Conflict);
        }
        self.check_revisions(&submission.revisions)?;
        self.check_commits(submission)?;
        let keys: Vec<_> = submission.inserts.iter().map(|exposure| exposure.key).collect();
        if self.any_key_exists(&keys)? { Err(PortError::Conflict) } else { Ok(()) }
    }

    fn check_revisions(&self, revisions: &[RevisionOf]) -> Result<(), PortError> {
        for revisions in revisions.chunks(CHUNK) {
            let sql = format!(
                "SELECT e.id, e.key, ifnull(r.version, 0) FROM exposure e
                 LEFT JOIN exposure_revision r ON r.exposure_id = e.id WHERE e.id IN ({})",
                placeholders(revisions.len())
            );
            let ids: Vec<Value> = revisions.iter().map(|revision| Value::from(id_to_column(revision.id))).collect();
            let mut found = BTreeMap::new();
            for row in self.run(&sql, &ids)? {
                let mut columns = Columns::of(&row);
                found.insert(columns.row_id()?.get(), (columns.key()?, columns.number()?));
            }
            for RevisionOf { id, expected_version, key, revision: _ } in revisions {
                if found.get(id) != Some(&(*key, *expected_version)) {
                    return Err(PortError::Conflict);
                }
            }
        }
        Ok(())
    }

    fn write(&self, submission: &Submission) -> Result<(), PortError> {
        let Submission { app, regions, traveler, health_authority, inserts, revisions, statistics, commits: _ } =
            submission;
        let authority_column = health_authority.map(|id| id_to_column(id.0));
        if !inserts.is_empty() {
            let mut regions: Vec<&str> = regions.iter().map(String::as_str).collect();
            regions.sort_unstable();
            regions.dedup();
            // Unwrap safety: a list of strings is always valid JSON.
            let regions = serde_json::to_string(&regions).unwrap();
            let provenance = Provenance {
                app: app.clone(),
                regions,
                traveler: *traveler,
                local: true,
                health_authority: authority_column,
            };
            let provenance_id = self.provenance_id(&provenance)?;
            self.append(&self.places(inserts)?, provenance_id)?;
        }
        for revision in revisions {
            self.revise(revision, authority_column)?;
        }
        if let (Some(id), Some(publish)) = (health_authority, statistics) {
            self.count_publish(*id, publish)?;
        }
        self.note_commits(submission)
    }

    /// Where the inserts go.
    fn places(&self, inserts: &[NewExposure]) -> Result<Vec<(RowId, NewExposure)>, PortError> {
        let mut allocator = Allocator::default();
        let place = |exposure: &NewExposure| {
            let hour = Hour::of(exposure.created_at).ok_or_else(|| {
                PortError::Internal("a time of upload lies outside the years 2020 to 2049".to_owned())
            })?;
            Ok((self.allocate(&mut allocator, hour)?, *exposure))
        };
        inserts.iter().map(place).collect()
    }

    fn revise(&self, revision: &RevisionOf, health_authority: Option<i64>) -> Result<(), PortError> {
        let RevisionOf { id, expected_version: _, key: _, revision } = revision;
        let Revision { report_type, revised_at, days_since_onset, transmission_risk } = revision;
        self.run(
            "INSERT INTO exposure_revision(exposure_id, version, revised_at, report_type, days_since_onset,
                transmission_risk, health_authority_id) VALUES (?1, 1, ?2, ?3, ?4, ?5, ?6)
             ON CONFLICT(exposure_id) DO UPDATE SET version = version + 1, revised_at = excluded.revised_at,
                report_type = excluded.report_type, days_since_onset = excluded.days_since_onset,
                transmission_risk = excluded.transmission_risk, health_authority_id = excluded.health_authority_id",
            &values![
                id_to_column(*id),
                *revised_at,
                report_type.number(),
                *days_since_onset,
                transmission_risk.get(),
                health_authority,
            ],
        )?;
        Ok(())
    }
}
