//! Port `blobs`: write and delete the files that phones download.

use super::PortError;

/// How a file is served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BlobKind {
    /// An export file: `application/zip`, may be cached for a day.
    ExportFile,
    /// An index file: `text/plain`, never to be used from a cache without asking.
    Index,
}

/// Writes files.
pub trait Blobs {
    /// Writes the file whole, replacing one of that name. No reader ever sees a part of it.
    fn put(&self, bucket: &str, name: &str, kind: BlobKind, content: &[u8]) -> Result<(), PortError>;

    /// Deletes the file. A file that does not exist is deleted already.
    fn delete(&self, bucket: &str, name: &str) -> Result<(), PortError>;
}
