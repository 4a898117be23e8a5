//! Port `exports`: export configs, batches, and the rows a batch selects. Cannot delete, and stores nothing but padding.

use super::PortError;
use crate::interval::Timestamp;
use crate::signature_info::SignatureInfo;
use crate::tek::TemporaryExposureKey;

/// What an operator wants exported. A batch carries a snapshot, so later edits change later batches only.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExportConfig {
    /// The store's id.
    pub id: u64,
    /// Name of the blob store's bucket.
    pub bucket: String,
    /// Prefix of all file names; unique together with the bucket.
    pub filename_root: String,
    /// Length of a batch in seconds; divides a day.
    pub period_seconds: u64,
    /// Region written into the files.
    pub output_region: String,
    /// Regions whose keys are selected; empty: the output region.
    pub input_regions: Vec<String>,
    /// Regions whose keys are left out.
    pub exclude_regions: Vec<String>,
    /// Also select every traveler's keys, of any region.
    pub include_travelers: bool,
    /// Select only keys of people who did not travel.
    pub only_non_travelers: bool,
    /// Who signs.
    pub signature_info_ids: Vec<u64>,
    /// Keys per file, instead of the server's setting.
    pub max_records_override: Option<u32>,
}

/// An export config that is active, and how far its batches reach.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ActiveExportConfig {
    /// The config.
    pub config: ExportConfig,
    /// Latest end of its batches, whatever their state.
    pub latest_batch_end: Option<Timestamp>,
}

/// A window of time, start inclusive, end exclusive.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Window {
    /// First second.
    pub start: Timestamp,
    /// First second after.
    pub end: Timestamp,
}

/// An export batch to create.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NewBatch {
    /// Its config.
    pub config_id: u64,
    /// The times of upload (or revision) it covers.
    pub window: Window,
}

/// An export batch that this caller may work on until its lease expires.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeasedBatch {
    /// Proof of the lease.
    pub lease: BatchLease,
    /// The times of upload (or revision) it covers.
    pub window: Window,
    /// The config as it was when the batch was created, but for its signers: those are the config's of now, so that a
    /// signer that was replaced meanwhile has its successor.
    pub config: ExportConfig,
}

/// Proof that a batch is leased to the caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BatchLease {
    /// The batch.
    pub batch_id: u64,
    /// Changes with each lease of the batch.
    pub token: u64,
}

/// Which rows an export reads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Selection {
    /// Times of upload for primary rows, of revision for revised ones.
    pub window: Window,
    /// A row must have one of these regions ...
    pub regions: Vec<String>,
    /// ... or, if this is set, be a traveler's ...
    pub include_travelers: bool,
    /// ... and must have none of these ...
    pub exclude_regions: Vec<String>,
    /// ... and, if this is set, not be a traveler's.
    pub only_non_travelers: bool,
}

impl Selection {
    /// Whether it takes rows of these regions, whatever their time.
    pub fn takes(&self, regions: &[String], traveler: bool) -> bool {
        let Self { window: _, regions: wanted, include_travelers, exclude_regions, only_non_travelers } = self;
        let overlaps = |list: &[String]| regions.iter().any(|region| list.contains(region));
        (overlaps(wanted) || (*include_travelers && traveler))
            && !overlaps(exclude_regions)
            && !(*only_non_travelers && traveler)
    }
}

/// The two passes of an export.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pass {
    /// Rows uploaded in the window, as they were uploaded.
    Primary,
    /// Rows revised in the window, as they were revised.
    Revised,
}

/// How many rows a selection has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct SelectionSize {
    /// Rows of [`Pass::Primary`].
    pub primary: u64,
    /// Rows of [`Pass::Revised`].
    pub revised: u64,
}

/// A range of keys by their first eight bytes as a big-endian number, both ends inclusive. A large batch is read in
/// several ranges so that memory stays bounded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeyRange {
    /// Smallest.
    pub first: u64,
    /// Largest.
    pub last: u64,
}

impl KeyRange {
    /// Every key.
    pub const ALL: Self = Self { first: 0, last: u64::MAX };
}

/// A page of rows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page {
    /// Packed rows, see [`crate::exposure::SelectedExposure`].
    pub rows: Vec<u8>,
    /// Pass this to read the next page; `None` when this was the last.
    pub next: Option<u64>,
}

/// A padding key: a copy of a stored row under a random key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PaddingKey {
    /// Row id of the exposure whose metadata it copies.
    pub source: u64,
    /// Its own random key.
    pub key: TemporaryExposureKey,
}

/// Creates and works export batches.
pub trait Exports {
    /// The configs active at `at`, by id.
    fn active_configs(&self, at: Timestamp) -> Result<Vec<ActiveExportConfig>, PortError>;

    /// Creates those batches that do not exist yet (a batch is unique by config and window) and returns how many it
    /// created. From then on no exposure can be stored with a time before the latest end.
    fn create_batches(&self, batches: &[NewBatch]) -> Result<u32, PortError>;

    /// Leases, until `until`, the batch with the earliest end that is open, or leased with an expired lease, and whose
    /// end is before `now`.
    fn lease_batch(&self, now: Timestamp, until: Timestamp) -> Result<Option<LeasedBatch>, PortError>;

    /// Gives a leased batch back, to be leased again at once. A lost lease is not an error.
    fn release_batch(&self, lease: BatchLease) -> Result<(), PortError>;

    /// Counts the rows of a selection.
    fn count(&self, selection: &Selection) -> Result<SelectionSize, PortError>;

    /// Reads at most `limit` rows of one pass whose keys lie in `keys`, in the store's own order, which is stable.
    fn read(
        &self,
        selection: &Selection,
        pass: Pass,
        keys: KeyRange,
        cursor: u64,
        limit: u32,
    ) -> Result<Page, PortError>;

    /// Stores padding keys for a leased batch, all or none; each copies everything but the key from its source, except
    /// for a revision and the health authority, which it does not have. A batch takes padding once: a repeated call
    /// changes nothing. [`PortError::Conflict`] when the lease is lost.
    fn store_padding(&self, lease: BatchLease, padding: &[PaddingKey]) -> Result<(), PortError>;

    /// The signature infos of those ids that exist, by descending id.
    fn signature_infos(&self, ids: &[u64]) -> Result<Vec<SignatureInfo>, PortError>;

    /// Names of a config's export files whose batch ended at `ended_since` or later, in no particular order.
    fn live_files(&self, config_id: u64, ended_since: Timestamp) -> Result<Vec<String>, PortError>;

    /// Registers the files of a leased batch, which must exist, and completes it. [`PortError::Conflict`] when the lease
    /// is lost.
    fn complete_batch(&self, lease: BatchLease, files: &[String]) -> Result<(), PortError>;
}
