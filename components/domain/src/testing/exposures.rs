//! A store of exposures in memory.

use super::faults::Faults;
use crate::exposure::{NewExposure, Revision, StoredExposure};
use crate::health_authority::HealthAuthorityId;
use crate::interval::Timestamp;
use crate::ports::PortError;
use crate::ports::exposures::{Exposures, Found, RevisionOf, Submission};
use crate::ports::statistics::Statistics;
use crate::statistics::HourlyStatistics;
use crate::tek::TemporaryExposureKey;
use crate::validation::{AttestedKey, Commit, CommitSet, ValidatorCommit};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// A row of [`FakeExposures`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FakeRow {
    /// Row id.
    pub id: u64,
    /// Number of changes.
    pub version: u32,
    /// As it was inserted.
    pub exposure: NewExposure,
    /// Name of the authorized app.
    pub app: String,
    /// Regions.
    pub regions: Vec<String>,
    /// Whether the person travelled.
    pub traveler: bool,
    /// Who vouched, last.
    pub health_authority: Option<HealthAuthorityId>,
    /// Its revision, if it was revised.
    pub revision: Option<Revision>,
    /// Whether it was uploaded here.
    pub local_provenance: bool,
}

/// What others do while the code under test is not looking.
#[derive(Clone, Debug)]
pub enum Rival {
    /// Another publish is stored.
    Store(Submission),
    /// Exports are cut up to this time.
    ExportUpTo(Timestamp),
}

/// Stores exposures with the rules of the port: all or nothing, conflicts on anything that changed.
#[derive(Debug, Default)]
pub struct FakeExposures {
    state: Mutex<State>,
    /// Which calls fail; `find` and `insert_and_revise` are counted together.
    pub faults: Faults,
}

#[derive(Debug, Default)]
struct State {
    rows: BTreeMap<TemporaryExposureKey, FakeRow>,
    next_id: u64,
    open_from: Timestamp,
    rivals: VecDeque<Rival>,
    statistics: BTreeMap<(u64, Timestamp), HourlyStatistics>,
    commits: Commits,
}

impl FakeExposures {
    /// All rows, in the order of keys.
    pub fn rows(&self) -> Vec<FakeRow> {
        self.state().rows.values().cloned().collect()
    }

    /// The row of a key.
    pub fn row(&self, key: TemporaryExposureKey) -> Option<FakeRow> {
        self.state().rows.get(&key).cloned()
    }

    /// Changes or adds a row by hand.
    pub fn put_row(&self, row: FakeRow) {
        let mut state = self.state();
        state.next_id = state.next_id.max(row.id + 1);
        state.rows.insert(row.exposure.key, row);
    }

    /// Exports have been cut up to `time`.
    pub fn set_open_from(&self, time: Timestamp) {
        self.state().open_from = time;
    }

    /// Lets `rival` happen right after the next `find` that has no other rival before it.
    pub fn after_next_find(&self, rival: Rival) {
        self.state().rivals.push_back(rival);
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Statistics for FakeExposures {
    fn hours(&self, health_authority: HealthAuthorityId) -> Result<Vec<HourlyStatistics>, PortError> {
        self.faults.check()?;
        let state = self.state();
        let rows = state.statistics.iter().filter(|((id, _), _)| *id == health_authority.0);
        Ok(rows.map(|(_, hour)| hour.clone()).collect())
    }
}

impl Exposures for FakeExposures {
    fn find(&self, keys: &[TemporaryExposureKey]) -> Result<Found, PortError> {
        self.faults.check()?;
        let mut state = self.state();
        let existing = keys.iter().filter_map(|key| state.rows.get(key)).map(FakeRow::stored).collect();
        let found = Found { existing, open_from: state.open_from };
        match state.rivals.pop_front() {
            None => {}
            Some(Rival::Store(submission)) => state.apply(&submission)?,
            Some(Rival::ExportUpTo(time)) => state.open_from = time,
        }
        Ok(found)
    }

    fn insert_and_revise(&self, submission: &Submission) -> Result<(), PortError> {
        self.faults.check()?;
        self.state().apply(submission)
    }
}

impl FakeRow {
    fn stored(&self) -> StoredExposure {
        StoredExposure {
            id: self.id,
            version: self.version,
            key: self.exposure.key,
            rolling_start: self.exposure.rolling_start,
            rolling_period: self.exposure.rolling_period,
            report_type: self.exposure.report_type,
            revised_report_type: self.revision.map(|revision| revision.report_type),
            local_provenance: self.local_provenance,
            created_at: self.exposure.created_at,
        }
    }
}

impl State {
    /// Checks everything before it changes anything.
    fn apply(&mut self, submission: &Submission) -> Result<(), PortError> {
        let Submission { app, regions, traveler, health_authority, inserts, revisions, statistics, commits } =
            submission;
        let insertable =
            |exposure: &NewExposure| exposure.created_at >= self.open_from && !self.rows.contains_key(&exposure.key);
        let revisable = |change: &RevisionOf| {
            let same = |row: &FakeRow| row.id == change.id && row.version == change.expected_version;
            change.revision.revised_at >= self.open_from && self.rows.get(&change.key).is_some_and(same)
        };
        let keys = inserts.iter().map(|exposure| exposure.key).chain(revisions.iter().map(|change| change.key));
        let distinct = keys.collect::<BTreeSet<_>>().len() == inserts.len() + revisions.len();
        if !distinct || !inserts.iter().all(insertable) || !revisions.iter().all(revisable) {
            return Err(PortError::Conflict);
        }
        if let Some(commits) = commits {
            self.commits.note(app, commits)?;
        }
        for exposure in inserts {
            let row = FakeRow {
                id: self.next_id,
                version: 0,
                exposure: *exposure,
                app: app.clone(),
                regions: regions.clone(),
                traveler: *traveler,
                health_authority: *health_authority,
                revision: None,
                local_provenance: true,
            };
            self.next_id += 1;
            self.rows.insert(exposure.key, row);
        }
        for change in revisions {
            if let Some(row) = self.rows.get_mut(&change.key) {
                row.version += 1;
                row.revision = Some(change.revision);
                row.health_authority = *health_authority;
            }
        }
        if let (Some(id), Some(publish)) = (health_authority, statistics) {
            let row = self.statistics.entry((id.0, publish.hour));
            row.or_insert_with(|| HourlyStatistics::new(publish.hour)).record(publish);
        }
        Ok(())
    }
}

/// Which submission it was.
type Binding = [u8; 32];

/// What validators had noted: the name of the validator is the first part of each key, the binding comes last.
#[derive(Clone, Debug, Default)]
struct Commits {
    used: BTreeMap<(String, String, [u8; 32]), Binding>,
    keys: BTreeMap<(String, String, Vec<u8>), (AttestedKey, Binding)>,
}

impl Commits {
    /// All or nothing.
    fn note(&mut self, app: &str, set: &CommitSet) -> Result<(), PortError> {
        let mut changed = self.clone();
        set.commits.iter().try_for_each(|commit| changed.note_one(app, commit, set.binding))?;
        *self = changed;
        Ok(())
    }

    fn note_one(&mut self, app: &str, commit: &ValidatorCommit, binding: Binding) -> Result<(), PortError> {
        let ValidatorCommit { validator, commit } = commit;
        let fresh = match commit {
            Commit::ClaimOnce { space, digest, expires_at: _ } => {
                *self.used.entry((validator.clone(), space.clone(), *digest)).or_insert(binding) == binding
            }
            Commit::StoreKey(key) => {
                let place = (validator.clone(), app.to_owned(), key.key_id.clone());
                self.keys.entry(place).or_insert_with(|| (key.clone(), binding)).1 == binding
            }
            Commit::AdvanceCounter { key_id, expected, next } => {
                match self.keys.get_mut(&(validator.clone(), app.to_owned(), key_id.clone())) {
                    Some((key, last)) if key.counter == *expected => {
                        key.counter = *next;
                        *last = binding;
                        true
                    }
                    Some((key, last)) => key.counter == *next && *last == binding,
                    None => false,
                }
            }
        };
        if fresh { Ok(()) } else { Err(PortError::AlreadyUsed) }
    }
}
