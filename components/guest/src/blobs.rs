use crate::Host;
use crate::bindings::tocsin::capability::blobs as wit;
use crate::convert::port_error;
use tocsin_domain::ports::PortError;
use tocsin_domain::ports::blobs::{BlobKind, Blobs};

impl Blobs for Host {
    fn put(&self, bucket: &str, name: &str, kind: BlobKind, content: &[u8]) -> Result<(), PortError> {
        let kind = match kind {
            BlobKind::ExportFile => wit::BlobKind::ExportFile,
            BlobKind::Index => wit::BlobKind::Index,
        };
        wit::put(bucket, name, kind, content).map_err(port_error)
    }

    fn delete(&self, bucket: &str, name: &str) -> Result<(), PortError> {
        wit::delete(bucket, name).map_err(port_error)
    }
}
