//! The index file of an export config: the names of its export files, oldest first.
//!
//! One rule says what is live, for the index and for expiry alike: a file whose batch ended at [`oldest_listed_end`] or
//! later. (The reference lists by the start of the batch and expires by its end.)
//!
//! Whoever writes an index holds the lease [`lease_name`] from before it reads the live files until what it wrote is true
//! without it. Otherwise two batches of a config could overwrite each other's entries.

use super::names;
use crate::interval::Timestamp;
use crate::ports::PortError;
use crate::ports::blobs::{BlobKind, Blobs};

/// The name to lease for writing a config's index.
pub fn lease_name(config_id: u64) -> String {
    format!("export-config:{config_id}")
}

/// Files of batches that ended at this time or later are live.
pub fn oldest_listed_end(now: Timestamp, ttl_seconds: u64) -> Timestamp {
    now.plus_seconds(-i64::try_from(ttl_seconds).unwrap_or(i64::MAX))
}

/// The content: whole names, each once, in byte order, one a line, no line break at the end; empty without files. The ten
/// digits of the batch's start make byte order the order of time.
pub fn content(mut files: Vec<String>) -> String {
    files.sort_unstable();
    files.dedup();
    files.join("\n")
}

/// Writes the index that lists `files`.
pub fn write(blobs: &impl Blobs, bucket: &str, filename_root: &str, files: Vec<String>) -> Result<(), PortError> {
    blobs.put(bucket, &names::index_file(filename_root), BlobKind::Index, content(files).as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_sorted_unique_and_without_a_last_line_break() {
        let files = ["b/2.zip", "b/10.zip", "b/2.zip"].map(str::to_owned).to_vec();
        assert_eq!(content(files), "b/10.zip\nb/2.zip");
        assert_eq!(content(Vec::new()), "");
    }
}
