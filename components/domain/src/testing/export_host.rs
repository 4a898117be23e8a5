//! A host in memory for export and purge: implements their ports with the semantics that the port docs promise, fails on
//! demand, and notes when an index lists a file that does not exist.

use crate::exposure::{ReportType, SelectedExposure};
use crate::interval::Timestamp;
use crate::ports::PortError;
use crate::ports::blobs::{BlobKind, Blobs};
use crate::ports::exports::{
    ActiveExportConfig, BatchLease, ExportConfig, Exports, KeyRange, LeasedBatch, NewBatch, PaddingKey, Page, Pass,
    Selection, SelectionSize, Window,
};
use crate::ports::leases::{LeaseToken, Leases};
use crate::ports::retention::{ExpiredFile, PurgeSlice, Retention, StaleIndex};
use crate::ports::signing::Signing;
use crate::signature_info::SignatureInfo;
use sha2::{Digest, Sha256};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// What goes wrong when. Failing calls answer [`PortError::Unavailable`]. Calls are numbered from 1, from [`FakeExportHost::set_fault`]
/// on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Fault {
    /// Never.
    #[default]
    Never,
    /// One call fails without doing anything.
    OnlyCall(u64),
    /// The caller dies before this call: it and all later ones do nothing.
    CrashBefore(u64),
    /// The caller dies after this call: it does its work, but no answer comes, and all later ones do nothing.
    CrashAfter(u64),
    /// Before this call, another worker takes over all leased batches.
    LeaseLostBefore(u64),
}

/// A stored exposure.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FakeExposure {
    /// As first uploaded. The host sets the id.
    pub row: SelectedExposure,
    /// Truncated time of upload.
    pub created_at: Timestamp,
    /// Time, report type and onset of its revision.
    pub revision: Option<(Timestamp, ReportType, Option<i8>)>,
    /// Its regions.
    pub regions: Vec<String>,
    /// Whether it is a traveler's.
    pub traveler: bool,
}

/// The host. See the module's description.
#[derive(Debug, Default)]
pub struct FakeExportHost(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    exposures: Vec<FakeExposure>,
    configs: Vec<ExportConfig>,
    signature_infos: Vec<SignatureInfo>,
    batches: Vec<Batch>,
    files: Vec<File>,
    leases: BTreeMap<u64, (BTreeSet<String>, Timestamp)>,
    blobs: BTreeMap<(String, String), Vec<u8>>,
    next_token: u64,
    calls: u64,
    fault: Fault,
    violations: Vec<String>,
    undeletable: BTreeSet<String>,
    corrupted: Option<ReportType>,
    statistics_hours: Vec<Timestamp>,
}

#[derive(Debug)]
struct Batch {
    config: ExportConfig,
    window: Window,
    lease: Option<(u64, Timestamp)>,
    padded: bool,
    complete: bool,
}

#[derive(Debug)]
struct File {
    batch: usize,
    name: String,
    state: FileState,
}

#[derive(Debug, PartialEq, Eq)]
enum FileState {
    Live,
    Expired,
    Deleted,
}

/// A config with a period of four hours, for region `US`, signed by the signature infos 1 and 2.
pub fn export_config(id: u64, filename_root: &str) -> ExportConfig {
    ExportConfig {
        id,
        bucket: "bucket".into(),
        filename_root: filename_root.into(),
        period_seconds: 4 * 3600,
        output_region: "US".into(),
        input_regions: Vec::new(),
        exclude_regions: Vec::new(),
        include_travelers: false,
        only_non_travelers: false,
        signature_info_ids: vec![1, 2],
        max_records_override: None,
    }
}

impl FakeExportHost {
    /// Adds an active config.
    pub fn add_config(&self, config: ExportConfig) {
        self.state().configs.push(config);
    }

    /// Adds a signer; its private key is named `key-{id}`.
    pub fn add_signature_info(&self, id: u64, thru: Option<Timestamp>) {
        self.state().signature_infos.push(SignatureInfo {
            id,
            signing_key: format!("key-{id}"),
            verification_key_id: "310".into(),
            verification_key_version: format!("v{id}"),
            thru,
        });
    }

    /// Has statistics of that hour.
    pub fn add_statistics(&self, hour: Timestamp) {
        self.state().statistics_hours.push(hour);
    }

    /// The hours that have statistics.
    pub fn statistics(&self) -> Vec<Timestamp> {
        self.state().statistics_hours.clone()
    }

    /// Stores an exposure.
    pub fn add_exposure(&self, mut exposure: FakeExposure) {
        let mut state = self.state();
        exposure.row.id = state.exposures.len() as u64 + 1;
        state.exposures.push(exposure);
    }

    /// Every stored exposure, padding included.
    pub fn exposures(&self) -> Vec<FakeExposure> {
        self.state().exposures.clone()
    }

    /// Sets when calls fail, and counts them anew.
    pub fn set_fault(&self, fault: Fault) {
        let mut state = self.state();
        (state.fault, state.calls) = (fault, 0);
    }

    /// How many calls there were since [`Self::set_fault`].
    pub fn calls(&self) -> u64 {
        self.state().calls
    }

    /// Lets every later deletion of that file fail, until called with `false`.
    pub fn set_undeletable(&self, name: &str, undeletable: bool) {
        let mut state = self.state();
        if undeletable {
            state.undeletable.insert(name.to_owned());
        } else {
            state.undeletable.remove(name);
        }
    }

    /// Hands out rows of that report type with an impossible rolling period.
    pub fn corrupt_rows_of(&self, report_type: ReportType) {
        self.state().corrupted = Some(report_type);
    }

    /// All files of a bucket by name.
    pub fn blobs(&self, bucket: &str) -> BTreeMap<String, Vec<u8>> {
        let state = self.state();
        let of_bucket = state.blobs.iter().filter(|((of, _), _)| of == bucket);
        of_bucket.map(|((_, name), content)| (name.clone(), content.clone())).collect()
    }

    /// The lines of an index file; `None` if there is no such file.
    pub fn index(&self, bucket: &str, filename_root: &str) -> Option<Vec<String>> {
        let content = self.blobs(bucket).remove(&format!("{filename_root}/index.txt"))?;
        Some(lines(&content))
    }

    /// Names of the registered files that are not deleted.
    pub fn registered_files(&self) -> Vec<String> {
        let state = self.state();
        state.files.iter().filter(|file| file.state != FileState::Deleted).map(|file| file.name.clone()).collect()
    }

    /// Windows of the completed batches.
    pub fn completed(&self) -> Vec<Window> {
        self.state().batches.iter().filter(|batch| batch.complete).map(|batch| batch.window).collect()
    }

    /// Moments at which an index listed a file that did not exist.
    pub fn violations(&self) -> Vec<String> {
        self.state().violations.clone()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn call<T>(&self, act: impl FnOnce(&mut State) -> Result<T, PortError>) -> Result<T, PortError> {
        let mut state = self.state();
        state.calls += 1;
        let call = state.calls;
        match state.fault {
            Fault::OnlyCall(at) if call == at => Err(PortError::Unavailable),
            Fault::CrashBefore(at) if call >= at => Err(PortError::Unavailable),
            Fault::CrashAfter(at) if call > at => Err(PortError::Unavailable),
            Fault::CrashAfter(at) if call == at => {
                act(&mut state).ok();
                Err(PortError::Unavailable)
            }
            Fault::LeaseLostBefore(at) if call == at => {
                let token = state.token();
                for (held, _) in state.batches.iter_mut().filter_map(|batch| batch.lease.as_mut()) {
                    *held = token;
                }
                act(&mut state)
            }
            Fault::Never
            | Fault::OnlyCall(_)
            | Fault::CrashBefore(_)
            | Fault::CrashAfter(_)
            | Fault::LeaseLostBefore(_) => act(&mut state),
        }
    }
}

fn lines(index: &[u8]) -> Vec<String> {
    String::from_utf8_lossy(index).split('\n').filter(|line| !line.is_empty()).map(str::to_owned).collect()
}

impl State {
    fn token(&mut self) -> u64 {
        self.next_token += 1;
        self.next_token
    }

    fn leased(&mut self, lease: BatchLease) -> Result<&mut Batch, PortError> {
        let index = usize::try_from(lease.batch_id).ok().and_then(|id| id.checked_sub(1));
        let batch = index.and_then(|index| self.batches.get_mut(index)).ok_or(PortError::Conflict)?;
        match batch.lease {
            Some((token, _)) if token == lease.token && !batch.complete => Ok(batch),
            Some(_) | None => Err(PortError::Conflict),
        }
    }

    fn selected(&self, selection: &Selection, pass: Pass) -> Vec<SelectedExposure> {
        let window = &selection.window;
        let chosen = self.exposures.iter().filter(|exposure| selection.takes(&exposure.regions, exposure.traveler));
        let of_pass = chosen.filter_map(|exposure| match pass {
            Pass::Primary => Some((exposure.created_at, exposure.row)),
            Pass::Revised => {
                let (revised_at, report_type, onset) = exposure.revision?;
                let row = SelectedExposure { report_type: Some(report_type), days_since_onset: onset, ..exposure.row };
                Some((revised_at, row))
            }
        });
        of_pass.filter(|(at, _)| window.start <= *at && *at < window.end).map(|(_, row)| row).collect()
    }

    fn live_files(&self, config_id: u64, ended_since: Timestamp) -> Vec<String> {
        let live = self.files.iter().filter(|file| {
            let batch = &self.batches[file.batch];
            file.state == FileState::Live && batch.config.id == config_id && batch.window.end >= ended_since
        });
        live.map(|file| file.name.clone()).collect()
    }

    /// Notes index lines without a file.
    fn check_indexes(&mut self, moment: &str) {
        for ((bucket, name), content) in &self.blobs {
            if !name.ends_with("/index.txt") {
                continue;
            }
            for line in lines(content) {
                if !self.blobs.contains_key(&(bucket.clone(), line.clone())) {
                    self.violations.push(format!("{moment}: {name} lists {line}"));
                }
            }
        }
    }
}

impl Exports for FakeExportHost {
    fn active_configs(&self, _at: Timestamp) -> Result<Vec<ActiveExportConfig>, PortError> {
        self.call(|state| {
            let latest = |id| {
                let own = state.batches.iter().filter(|batch| batch.config.id == id);
                own.map(|batch| batch.window.end).max()
            };
            let active = state.configs.iter();
            Ok(active
                .map(|config| ActiveExportConfig { config: config.clone(), latest_batch_end: latest(config.id) })
                .collect())
        })
    }

    fn create_batches(&self, batches: &[NewBatch]) -> Result<u32, PortError> {
        self.call(|state| {
            let mut created = 0;
            for new in batches {
                let exists = |batch: &Batch| batch.config.id == new.config_id && batch.window == new.window;
                let Some(config) = state.configs.iter().find(|config| config.id == new.config_id) else { continue };
                if !state.batches.iter().any(exists) {
                    let config = config.clone();
                    let window = new.window;
                    state.batches.push(Batch { config, window, lease: None, padded: false, complete: false });
                    created += 1;
                }
            }
            Ok(created)
        })
    }

    fn lease_batch(&self, now: Timestamp, until: Timestamp) -> Result<Option<LeasedBatch>, PortError> {
        self.call(|state| {
            let token = state.token();
            let open = state.batches.iter_mut().enumerate().filter(|(_, batch)| {
                !batch.complete && batch.window.end < now && batch.lease.is_none_or(|(_, until)| until < now)
            });
            let Some((index, batch)) = open.min_by_key(|(index, batch)| (batch.window.end, *index)) else {
                return Ok(None);
            };
            batch.lease = Some((token, until));
            let lease = BatchLease { batch_id: index as u64 + 1, token };
            Ok(Some(LeasedBatch { lease, window: batch.window, config: batch.config.clone() }))
        })
    }

    fn release_batch(&self, lease: BatchLease) -> Result<(), PortError> {
        self.call(|state| {
            if let Ok(batch) = state.leased(lease) {
                batch.lease = None;
            }
            Ok(())
        })
    }

    fn count(&self, selection: &Selection) -> Result<SelectionSize, PortError> {
        self.call(|state| {
            let [primary, revised] =
                [Pass::Primary, Pass::Revised].map(|pass| state.selected(selection, pass).len() as u64);
            Ok(SelectionSize { primary, revised })
        })
    }

    fn read(
        &self,
        selection: &Selection,
        pass: Pass,
        keys: KeyRange,
        cursor: u64,
        limit: u32,
    ) -> Result<Page, PortError> {
        self.call(|state| {
            let mut page = Page { rows: Vec::new(), next: None };
            let rows = state.selected(selection, pass).into_iter();
            let in_range = |row: &SelectedExposure| (keys.first..=keys.last).contains(&row.key.to_words().0);
            for (taken, row) in rows.filter(|row| row.id > cursor && in_range(row)).enumerate() {
                if taken == limit as usize {
                    break;
                }
                row.pack_into(&mut page.rows);
                if row.report_type.is_some() && row.report_type == state.corrupted {
                    let period = page.rows.len() - 4;
                    page.rows[period] = 255;
                }
                page.next = Some(row.id);
            }
            // Like a real store, it does not look ahead: a full page may be the last.
            if page.rows.len() < limit as usize * SelectedExposure::PACKED_LENGTH {
                page.next = None;
            }
            Ok(page)
        })
    }

    fn store_padding(&self, lease: BatchLease, padding: &[PaddingKey]) -> Result<(), PortError> {
        self.call(|state| {
            let batch = state.leased(lease)?;
            if std::mem::replace(&mut batch.padded, true) {
                return Ok(());
            }
            for PaddingKey { source, key } in padding {
                let id = state.exposures.len() as u64 + 1;
                let source = state.exposures.iter().find(|exposure| exposure.row.id == *source);
                let mut copy = source.cloned().ok_or_else(|| PortError::Internal("no such source".into()))?;
                copy.row = SelectedExposure { id, key: *key, ..copy.row };
                copy.revision = None;
                state.exposures.push(copy);
            }
            Ok(())
        })
    }

    fn signature_infos(&self, ids: &[u64]) -> Result<Vec<SignatureInfo>, PortError> {
        self.call(|state| {
            let mut infos: Vec<_> =
                state.signature_infos.iter().filter(|info| ids.contains(&info.id)).cloned().collect();
            infos.sort_by_key(|info| std::cmp::Reverse(info.id));
            Ok(infos)
        })
    }

    fn live_files(&self, config_id: u64, ended_since: Timestamp) -> Result<Vec<String>, PortError> {
        self.call(|state| Ok(state.live_files(config_id, ended_since)))
    }

    fn complete_batch(&self, lease: BatchLease, files: &[String]) -> Result<(), PortError> {
        self.call(|state| {
            let batch = state.leased(lease)?;
            batch.complete = true;
            let bucket = batch.config.bucket.clone();
            for name in files {
                if !state.blobs.contains_key(&(bucket.clone(), name.clone())) {
                    state.violations.push(format!("registered without a file: {name}"));
                }
                let batch = usize::try_from(lease.batch_id - 1).map_err(|_| PortError::Conflict)?;
                state.files.push(File { batch, name: name.clone(), state: FileState::Live });
            }
            Ok(())
        })
    }
}

impl Retention for FakeExportHost {
    fn purge_exposures(&self, created_before: Timestamp) -> Result<PurgeSlice, PortError> {
        self.call(|state| {
            let expired = |exposure: &FakeExposure| exposure.created_at < created_before;
            let Some(oldest) = state.exposures.iter().filter(|e| expired(e)).map(|e| e.created_at).min() else {
                return Ok(PurgeSlice { deleted: 0, more: false });
            };
            let before = state.exposures.len();
            state.exposures.retain(|exposure| !expired(exposure) || exposure.created_at > oldest);
            let deleted = (before - state.exposures.len()) as u64;
            Ok(PurgeSlice { deleted, more: state.exposures.iter().any(expired) })
        })
    }

    fn purge_statistics(&self, before: Timestamp) -> Result<u64, PortError> {
        self.call(|state| {
            let rows = state.statistics_hours.len();
            state.statistics_hours.retain(|hour| *hour >= before);
            Ok((rows - state.statistics_hours.len()) as u64)
        })
    }

    fn expire_files(&self, ended_before: Timestamp) -> Result<Vec<StaleIndex>, PortError> {
        self.call(|state| {
            let mut stale = BTreeSet::new();
            for file in &mut state.files {
                let Batch { window, config, .. } = &state.batches[file.batch];
                if file.state == FileState::Live && window.end < ended_before {
                    file.state = FileState::Expired;
                }
                if file.state == FileState::Expired {
                    stale.insert(StaleIndex {
                        config_id: config.id,
                        bucket: config.bucket.clone(),
                        filename_root: config.filename_root.clone(),
                    });
                }
            }
            Ok(stale.into_iter().collect())
        })
    }

    fn live_files(&self, config_id: u64, ended_since: Timestamp) -> Result<Vec<String>, PortError> {
        Exports::live_files(self, config_id, ended_since)
    }

    fn expired_files(&self, limit: u32) -> Result<Vec<ExpiredFile>, PortError> {
        self.call(|state| {
            let expired = state.files.iter().enumerate().filter(|(_, file)| file.state == FileState::Expired);
            Ok(expired
                .take(limit as usize)
                .map(|(index, file)| ExpiredFile {
                    id: index as u64,
                    bucket: state.batches[file.batch].config.bucket.clone(),
                    name: file.name.clone(),
                })
                .collect())
        })
    }

    fn forget_files(&self, ids: &[u64]) -> Result<(), PortError> {
        self.call(|state| {
            for (index, file) in state.files.iter_mut().enumerate() {
                if ids.contains(&(index as u64)) {
                    file.state = FileState::Deleted;
                }
            }
            Ok(())
        })
    }
}

impl Leases for FakeExportHost {
    fn acquire(&self, names: &[String], now: Timestamp, until: Timestamp) -> Result<Option<LeaseToken>, PortError> {
        self.call(|state| {
            state.leases.retain(|_, (_, until)| *until > now);
            if state.leases.values().any(|(held, _)| names.iter().any(|name| held.contains(name))) {
                return Ok(None);
            }
            let token = state.token();
            state.leases.insert(token, (names.iter().cloned().collect(), until));
            Ok(Some(LeaseToken(token)))
        })
    }

    fn release(&self, token: LeaseToken) -> Result<(), PortError> {
        self.call(|state| {
            state.leases.remove(&token.0);
            Ok(())
        })
    }
}

impl Blobs for FakeExportHost {
    fn put(&self, bucket: &str, name: &str, _kind: BlobKind, content: &[u8]) -> Result<(), PortError> {
        self.call(|state| {
            state.blobs.insert((bucket.to_owned(), name.to_owned()), content.to_vec());
            state.check_indexes("put");
            Ok(())
        })
    }

    fn delete(&self, bucket: &str, name: &str) -> Result<(), PortError> {
        self.call(|state| {
            if state.undeletable.contains(name) {
                return Err(PortError::Unavailable);
            }
            state.blobs.remove(&(bucket.to_owned(), name.to_owned()));
            state.check_indexes("delete");
            Ok(())
        })
    }
}

impl Signing for FakeExportHost {
    /// Not a signature; the digest of key name and message, which is as deterministic.
    fn sign(&self, key: &str, message: &[u8]) -> Result<Vec<u8>, PortError> {
        self.call(|_| {
            let digest = Sha256::new().chain_update(key).chain_update(message).finalize();
            Ok(digest.to_vec())
        })
    }
}
