//! Purge: delete what is past its time. Two use cases, [`purge_exposures`] and [`purge_export_files`], run by the host's
//! timer.
//!
//! A file is deleted only after an index without it was written, and not by the run that wrote it, so that a phone that
//! read the index shortly before still finds the file.

use crate::export::index;
use crate::interval::Timestamp;
use crate::ports::PortError;
use crate::ports::blobs::Blobs;
use crate::ports::leases::Leases;
use crate::ports::retention::{ExpiredFile, Retention, StaleIndex};
use crate::settings::PurgeSettings;
use std::collections::BTreeSet;
use std::fmt;

/// Ten days. Phones look back 14 days, and a TTL far below that is a mistake of the operator.
const MIN_TTL_SECONDS: u64 = 240 * 3600;

/// How long an index is leased, and a run may take at most.
const LEASE_SECONDS: i64 = 600;

/// Files per store call.
const CHUNK: u32 = 500;

/// Files that could not be deleted, after which a run gives up: the blob store is not there.
const MAX_FAILED: usize = 5000;

/// Why nothing, or not everything, was purged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PurgeError {
    /// `ttl_seconds` is below the minimum of ten days and `allow_short_ttl` is not set. Nothing was deleted.
    TtlTooShort {
        /// The setting.
        ttl_seconds: u64,
    },
    /// A call failed. What was deleted before stays deleted.
    Port(PortError),
}

impl From<PortError> for PurgeError {
    fn from(error: PortError) -> Self {
        Self::Port(error)
    }
}

impl fmt::Display for PurgeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TtlTooShort { ttl_seconds } => write!(
                f,
                "nothing was purged: ttl_seconds = {ttl_seconds} is below the minimum of {MIN_TTL_SECONDS} (ten days); \
                 allow_short_ttl = true would permit it"
            ),
            Self::Port(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for PurgeError {}

/// What [`purge_exposures`] did.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct ExposuresReport {
    /// Exposures deleted.
    pub deleted: u64,
    /// Calls it took; each blocks publishing for a moment.
    pub slices: u64,
    /// Hours of statistics deleted.
    pub statistics_hours: u64,
}

/// What [`purge_export_files`] did.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct FilesReport {
    /// Files deleted.
    pub deleted: u64,
    /// Files that could not be deleted; the next run tries again.
    pub delete_failures: u64,
    /// Files kept because an index that may still list them could not be written.
    pub kept: u64,
    /// Index files written.
    pub indexes_written: u64,
    /// Export configs whose index could not be written, because an export had it leased or a call failed. Their expired
    /// files are kept until a later run has written it.
    pub index_failures: Vec<u64>,
}

/// Deletes the exposures that were created more than the TTL ago, slice by slice, and the statistics of days that ended
/// before. Harmless when repeated.
pub fn purge_exposures(
    retention: &impl Retention,
    settings: &PurgeSettings,
    now: Timestamp,
) -> Result<ExposuresReport, PurgeError> {
    let cutoff = cutoff(settings, now)?;
    let mut report = ExposuresReport::default();
    loop {
        let slice = retention.purge_exposures(cutoff)?;
        report.deleted += slice.deleted;
        report.slices += 1;
        if !slice.more {
            break;
        }
    }
    // Whole days, so that none is shown with less than it had.
    report.statistics_hours = retention.purge_statistics(cutoff.utc_midnight())?;
    Ok(report)
}

/// Deletes the export files that an earlier run expired, then expires those whose batch ended more than the TTL ago and
/// takes them out of their indexes. Harmless when repeated, and safe beside exports and beside itself.
pub fn purge_export_files(
    ports: &(impl Retention + Leases + Blobs),
    settings: &PurgeSettings,
    now: Timestamp,
) -> Result<FilesReport, PurgeError> {
    let cutoff = cutoff(settings, now)?;
    let mut report = FilesReport::default();

    // An earlier run may have expired files and died before it wrote their indexes. Expires nothing more.
    let nothing_more = Timestamp::from_unix(0);
    let unsafe_indexes = write_indexes(ports, ports.expire_files(nothing_more)?, cutoff, now, &mut report);
    delete_expired(ports, &unsafe_indexes, &mut report)?;

    write_indexes(ports, ports.expire_files(cutoff)?, cutoff, now, &mut report);
    report.index_failures.sort_unstable();
    report.index_failures.dedup();
    Ok(report)
}

fn cutoff(settings: &PurgeSettings, now: Timestamp) -> Result<Timestamp, PurgeError> {
    let PurgeSettings { ttl_seconds, allow_short_ttl } = *settings;
    if ttl_seconds < MIN_TTL_SECONDS && !allow_short_ttl {
        return Err(PurgeError::TtlTooShort { ttl_seconds });
    }
    // The rule of the index and of expiry is the same.
    Ok(index::oldest_listed_end(now, ttl_seconds))
}

/// Writes indexes anew; those that could not be written.
fn write_indexes(
    ports: &(impl Retention + Leases + Blobs),
    stale: Vec<StaleIndex>,
    oldest_listed: Timestamp,
    now: Timestamp,
    report: &mut FilesReport,
) -> Vec<StaleIndex> {
    let mut failed = Vec::new();
    for stale in stale {
        match write_index(ports, &stale, oldest_listed, now) {
            Ok(true) => report.indexes_written += 1,
            // Leased by an export, or failed: one index must not stop the others.
            Ok(false) | Err(_) => {
                report.index_failures.push(stale.config_id);
                failed.push(stale);
            }
        }
    }
    failed
}

/// Writes one index; `false` if an export has it leased.
fn write_index(
    ports: &(impl Retention + Leases + Blobs),
    stale: &StaleIndex,
    oldest_listed: Timestamp,
    now: Timestamp,
) -> Result<bool, PortError> {
    let StaleIndex { config_id, bucket, filename_root } = stale;
    let Some(lease) = ports.acquire(&[index::lease_name(*config_id)], now, now.plus_seconds(LEASE_SECONDS))? else {
        return Ok(false);
    };
    let files = ports.live_files(*config_id, oldest_listed);
    let written = files.and_then(|files| index::write(ports, bucket, filename_root, files));
    // A lease that cannot be given back expires.
    ports.release(lease).ok();
    written.map(|()| true)
}

/// Deletes expired files, except those below an index that may still list them.
fn delete_expired(
    ports: &(impl Retention + Blobs),
    unsafe_indexes: &[StaleIndex],
    report: &mut FilesReport,
) -> Result<(), PortError> {
    let may_be_listed = |file: &ExpiredFile| {
        unsafe_indexes.iter().any(|index| {
            let below = file.name.strip_prefix(&index.filename_root).and_then(|rest| rest.strip_prefix('/'));
            index.bucket == file.bucket && below.is_some_and(|name| !name.contains('/'))
        })
    };
    // The store keeps offering the files that stay.
    let mut staying = BTreeSet::new();
    loop {
        let limit = CHUNK.saturating_add(u32::try_from(staying.len()).unwrap_or(u32::MAX));
        let mut files = ports.expired_files(limit)?;
        files.retain(|file| !staying.contains(&file.id));
        if files.is_empty() {
            return Ok(());
        }
        let mut gone = Vec::new();
        for file in files {
            if may_be_listed(&file) {
                report.kept += 1;
                staying.insert(file.id);
            } else if ports.delete(&file.bucket, &file.name).is_ok() {
                gone.push(file.id);
            } else {
                report.delete_failures += 1;
                staying.insert(file.id);
            }
        }
        if !gone.is_empty() {
            ports.forget_files(&gone)?;
            report.deleted += gone.len() as u64;
        }
        if staying.len() > MAX_FAILED {
            return Ok(());
        }
    }
}

#[cfg(test)]
mod tests;
