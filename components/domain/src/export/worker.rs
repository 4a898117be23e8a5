//! Use case: export one batch.
//!
//! Order of the steps: lease the batch, lease its regions and its index, pad, write all files, write the index, complete.
//! A worker that dies at any point leaves a batch that the next one exports again, with the same names and, because padding
//! is stored before anything is written, the same bytes.

use super::file::{FileEncoder, FileInfo, KeyList, SIGNATURE_ALGORITHM, Signer, encode_signatures};
use super::record::{self, Record};
use super::{BatchFailure, ExportError, index, names, padding, selection, zip};
use crate::interval::Timestamp;
use crate::ports::blobs::{BlobKind, Blobs};
use crate::ports::exports::{Exports, LeasedBatch, Pass, Selection, SelectionSize, Window};
use crate::ports::leases::{LeaseToken, Leases};
use crate::ports::signing::Signing;
use crate::ports::{PortError, Random};
use crate::settings::ExportSettings;
use crate::signature_info::SignatureInfo;

/// What the export worker asks of its host.
pub trait ExportPorts: Exports + Leases + Blobs + Signing {}

impl<T: Exports + Leases + Blobs + Signing> ExportPorts for T {}

/// Rows that are in memory at once, at most, besides those of one file: 24 MB. Each further range reads the window's
/// rows once more, which is why there are not more of them.
const PART_ROWS: u64 = 1_000_000;

/// A count of the store must not make us reserve more than a range can need.
const MAX_RESERVE: usize = 1_100_000;

/// Batches to pass over, at most, because someone exports the same regions.
const MAX_BUSY: usize = 16;

/// What a call did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WorkReport {
    /// No batch is waiting.
    NoBatch,
    /// Batches are waiting, but others hold their regions. They were given back; try again later, not at once.
    Busy,
    /// The lease of the batch was lost meanwhile; whoever has it now completes it.
    LostLease {
        /// The batch.
        batch_id: u64,
    },
    /// A batch was exported. Call again: there may be more.
    Completed(BatchReport),
}

/// A batch that was exported.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BatchReport {
    /// The batch.
    pub batch_id: u64,
    /// Its config.
    pub config_id: u64,
    /// Its window.
    pub window: Window,
    /// Names of its files.
    pub files: Vec<String>,
    /// New keys in them, padding and left-out rows included.
    pub new_keys: u64,
    /// Revised keys in them, left-out rows included.
    pub revised_keys: u64,
    /// Padding keys made by this call.
    pub padding_keys: u64,
    /// Rows left out because the store handed out values outside their range.
    pub bad_rows: u64,
}

/// Exports the batch that has waited longest, if there is one. One batch per call, so that the memory of a component's
/// instance can be given back after each.
///
/// When this fails with [`ExportError::Batch`], the batch stays leased until its lease expires, so that a batch that fails
/// again and again does not keep the others waiting: the caller can call again at once.
pub fn do_work(
    ports: &impl ExportPorts,
    random: &impl Random,
    settings: &ExportSettings,
    now: Timestamp,
) -> Result<WorkReport, ExportError> {
    do_work_in_parts(ports, random, settings, now, PART_ROWS)
}

fn do_work_in_parts(
    ports: &impl ExportPorts,
    random: &impl Random,
    settings: &ExportSettings,
    now: Timestamp,
    part_rows: u64,
) -> Result<WorkReport, ExportError> {
    let (batch, lease) = match claim(ports, settings, now)? {
        Claim::Batch(batch, lease) => (batch, lease),
        Claim::Nothing => return Ok(WorkReport::NoBatch),
        Claim::Busy => return Ok(WorkReport::Busy),
    };
    let result = BatchExport { ports, random, settings, now, part_rows, batch: &batch }.run();
    // A lease that cannot be given back expires.
    ports.release(lease).ok();
    match result {
        Ok(report) => Ok(WorkReport::Completed(report)),
        Err(BatchFailure::Port(PortError::Conflict)) => Ok(WorkReport::LostLease { batch_id: batch.lease.batch_id }),
        Err(cause) => Err(ExportError::Batch { batch_id: batch.lease.batch_id, config_id: batch.config.id, cause }),
    }
}

enum Claim {
    Nothing,
    Busy,
    Batch(Box<LeasedBatch>, LeaseToken),
}

/// Leases a batch together with its regions and its index. Batches whose regions are busy are given back at once.
fn claim(ports: &impl ExportPorts, settings: &ExportSettings, now: Timestamp) -> Result<Claim, ExportError> {
    let until = now.plus_seconds(settings.worker_timeout_seconds.try_into().unwrap_or(i64::MAX));
    let mut busy = Vec::new();
    let claimed = loop {
        let Some(batch) = ports.lease_batch(now, until)? else {
            break if busy.is_empty() { Claim::Nothing } else { Claim::Busy };
        };
        let mut names = selection::region_leases(&batch.config);
        names.push(index::lease_name(batch.config.id));
        match ports.acquire(&names, now, until) {
            Ok(Some(lease)) => break Claim::Batch(Box::new(batch), lease),
            Ok(None) => busy.push(batch.lease),
            Err(error) => {
                ports.release_batch(batch.lease).ok();
                return Err(error.into());
            }
        }
        if busy.len() >= MAX_BUSY {
            break Claim::Busy;
        }
    };
    for lease in busy {
        // Otherwise it expires.
        ports.release_batch(lease).ok();
    }
    Ok(claimed)
}

struct BatchExport<'a, P, R> {
    ports: &'a P,
    random: &'a R,
    settings: &'a ExportSettings,
    now: Timestamp,
    part_rows: u64,
    batch: &'a LeasedBatch,
}

impl<P: ExportPorts, R: Random> BatchExport<'_, P, R> {
    fn run(&self) -> Result<BatchReport, BatchFailure> {
        let LeasedBatch { lease, window, config } = self.batch;
        let selection = selection::selection(config, *window);
        let mut size = self.ports.count(&selection)?;
        let padding_keys = self.pad(&selection, size)?;
        if padding_keys > 0 {
            size = self.ports.count(&selection)?;
        }
        let (files, bad_rows) = self.write_files(&selection, size)?;

        let oldest = index::oldest_listed_end(self.now, self.settings.ttl_seconds);
        let mut listed = self.ports.live_files(config.id, oldest)?;
        // A window may be made up for so late that its files are no longer live.
        if window.end >= oldest {
            listed.extend_from_slice(&files);
        }
        // Also without files: that is how expired ones leave the index, and how a config gets its first.
        index::write(self.ports, &config.bucket, &config.filename_root, listed)?;
        self.ports.complete_batch(*lease, &files)?;
        Ok(BatchReport {
            batch_id: lease.batch_id,
            config_id: config.id,
            window: *window,
            files,
            new_keys: size.primary,
            revised_keys: size.revised,
            padding_keys,
            bad_rows,
        })
    }

    fn max_records(&self) -> u32 {
        let own = self.batch.config.max_records_override.filter(|max| *max > 0);
        own.unwrap_or(self.settings.max_records).max(1)
    }

    /// Stores padding if the batch needs it; how many keys.
    fn pad(&self, selection: &Selection, size: SelectionSize) -> Result<u64, BatchFailure> {
        let Some(need) = padding::need(size, self.max_records(), self.settings, self.random) else { return Ok(0) };
        let mut rows = Vec::new();
        for range in selection::key_ranges(size.primary, self.part_rows) {
            selection::read_all(self.ports, selection, Pass::Primary, range, |row| rows.push(row))?;
        }
        let padding = padding::make(need, rows, self.random);
        self.ports.store_padding(self.batch.lease, &padding)?;
        Ok(padding.len() as u64)
    }

    /// Writes the files of the batch; their names, and how many rows were left out.
    fn write_files(&self, selection: &Selection, size: SelectionSize) -> Result<(Vec<String>, u64), BatchFailure> {
        let max_records = u64::from(self.max_records());
        let total = size.primary.saturating_add(size.revised);
        if total == 0 {
            return Ok((Vec::new(), 0));
        }
        let mut files = Files::new(self, total > max_records)?;
        let max_records = usize::try_from(max_records).unwrap_or(usize::MAX);
        let (mut new, mut revised) = (Vec::new(), Vec::new());
        let mut bad = 0;

        bad += self.read_parts(selection, Pass::Primary, size.primary, &mut new, |new| {
            let mut chunks = new.chunks_exact_mut(max_records);
            let written = chunks.len() * max_records;
            chunks.try_for_each(|chunk| files.write(chunk, &mut []))?;
            Ok(written)
        })?;
        // What is left of the new keys shares a file with the first revised ones.
        bad += self.read_parts(selection, Pass::Revised, size.revised, &mut revised, |revised| {
            let mut written = 0;
            while new.len() + revised.len() - written >= max_records {
                let end = written + max_records - new.len();
                files.write(&mut new, &mut revised[written..end])?;
                new.clear();
                written = end;
            }
            Ok(written)
        })?;
        if new.len() + revised.len() > 0 {
            files.write(&mut new, &mut revised)?;
        }
        Ok((files.names, bad))
    }

    /// Reads one pass in ranges of keys. After each, `pending` holds what is not written yet, in the order of key bytes,
    /// and `write` tells how many from its start it wrote. How many rows were left out.
    fn read_parts(
        &self,
        selection: &Selection,
        pass: Pass,
        expected: u64,
        pending: &mut Vec<Record>,
        mut write: impl FnMut(&mut [Record]) -> Result<usize, BatchFailure>,
    ) -> Result<u64, BatchFailure> {
        let (mut rows, mut bad) = (0, 0);
        let ranges = selection::key_ranges(expected, self.part_rows);
        // Growing by doubling would take twice the memory for a moment; ranges differ by far less than a sixty-fourth.
        let per_range = expected / ranges.len() as u64;
        let capacity = usize::try_from(per_range + per_range / 64).unwrap_or(usize::MAX);
        for range in ranges {
            pending.reserve(capacity.min(MAX_RESERVE));
            let sorted = pending.len();
            let read = selection::read_all(self.ports, selection, pass, range, |row| pending.push(Record::new(&row)))?;
            rows += read.rows;
            bad += read.bad;
            // All of this range's keys come after those of the last.
            pending[sorted..].sort_unstable();
            let written = write(pending)?;
            pending.drain(..written);
        }
        // The count decided on padding and on the files' end timestamps.
        if rows == expected { Ok(bad) } else { Err(BatchFailure::SelectionChanged) }
    }
}

/// Writes the files of a batch one after the other.
struct Files<'a, P, R> {
    export: &'a BatchExport<'a, P, R>,
    split: bool,
    infos: Vec<SignatureInfo>,
    signers: Vec<Signer>,
    names: Vec<String>,
}

impl<'a, P: ExportPorts, R: Random> Files<'a, P, R> {
    fn new(export: &'a BatchExport<'a, P, R>, split: bool) -> Result<Self, BatchFailure> {
        let mut infos = export.ports.signature_infos(&export.batch.config.signature_info_ids)?;
        infos.retain(|info| info.is_active_at(export.now));
        let signers = infos.iter().map(|info| Signer {
            verification_key_version: info.verification_key_version.clone(),
            verification_key_id: info.verification_key_id.clone(),
            signature_algorithm: SIGNATURE_ALGORITHM.to_owned(),
        });
        let signers = signers.collect();
        Ok(Self { export, split, infos, signers, names: Vec::new() })
    }

    fn write(&mut self, new: &mut [Record], revised: &mut [Record]) -> Result<(), BatchFailure> {
        let BatchExport { ports, settings, batch, .. } = self.export;
        let number = u32::try_from(self.names.len() + 1).map_err(|_| BatchFailure::TooLarge)?;
        // Android drops a file whose (start, end, region) it has seen, so each file of a split batch ends a second later.
        let later = if self.split { i64::from(number) } else { 0 };
        let info = FileInfo {
            start: batch.window.start,
            end: batch.window.end.plus_seconds(later),
            region: &batch.config.output_region,
            signers: &self.signers,
        };
        let mut encoder = FileEncoder::new(&info, new.len() + revised.len());
        for (list, records) in [(KeyList::New, new), (KeyList::Revised, revised)] {
            record::sort(records, settings.key_order);
            for group in records.chunk_by(|a, b| a.metadata() == b.metadata()) {
                let metadata = group[0].metadata().unpack();
                for record in group {
                    encoder.push(list, &record.key(), &metadata);
                }
            }
        }
        let (bin, runs) = encoder.finish();
        let signatures: Vec<_> =
            self.infos.iter().map(|info| ports.sign(&info.signing_key, &bin)).collect::<Result<_, _>>()?;
        let sig = encode_signatures(self.signers.iter().zip(signatures.iter().map(Vec::as_slice)));
        let content = zip::export_zip(&bin, &runs, &sig)?;
        let name = names::export_file(&batch.config.filename_root, batch.window, settings.reprocess_count, number);
        ports.put(&batch.config.bucket, &name, BlobKind::ExportFile, &content)?;
        self.names.push(name);
        Ok(())
    }
}

#[cfg(test)]
mod tests;
