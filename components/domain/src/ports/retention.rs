//! Port `retention`: delete what is past its time. Cannot insert or read exposures.

use super::PortError;
use crate::interval::Timestamp;

/// What one call of [`Retention::purge_exposures`] did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PurgeSlice {
    /// Rows deleted.
    pub deleted: u64,
    /// Whether there is more to delete.
    pub more: bool,
}

/// An index file that must be written anew.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct StaleIndex {
    /// The export config.
    pub config_id: u64,
    /// Its bucket.
    pub bucket: String,
    /// Its prefix of file names.
    pub filename_root: String,
}

/// An export file that is in no index any more and can be deleted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExpiredFile {
    /// The store's id.
    pub id: u64,
    /// Its bucket.
    pub bucket: String,
    /// Its name.
    pub name: String,
}

/// Deletes exposures and export files.
pub trait Retention {
    /// Deletes a slice (at most about an hour's worth) of the exposures created before `created_before`, oldest first.
    /// Slices keep the time short during which nothing can be published.
    fn purge_exposures(&self, created_before: Timestamp) -> Result<PurgeSlice, PortError>;

    /// Deletes the statistics of hours before `before`, and returns how many rows that were.
    fn purge_statistics(&self, before: Timestamp) -> Result<u64, PortError>;

    /// Export files whose batch ended before `ended_before` are expired: they are in [`Self::live_files`] no more. Returns
    /// the indexes that may still list an expired file: those of all configs, active or not, that have expired files not
    /// forgotten yet, whichever call expired them.
    fn expire_files(&self, ended_before: Timestamp) -> Result<Vec<StaleIndex>, PortError>;

    /// Names of a config's export files whose batch ended at `ended_since` or later, in no particular order.
    fn live_files(&self, config_id: u64, ended_since: Timestamp) -> Result<Vec<String>, PortError>;

    /// At most `limit` expired files, oldest first.
    fn expired_files(&self, limit: u32) -> Result<Vec<ExpiredFile>, PortError>;

    /// Marks files as deleted; a batch whose files all are is marked as well.
    fn forget_files(&self, ids: &[u64]) -> Result<(), PortError>;
}
