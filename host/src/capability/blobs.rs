use super::convert::{WitPortError, port_error};
use crate::bindings::capabilities::tocsin::capability::blobs as wit;
use crate::state::InstanceState;
use std::time::Instant;

impl wit::Host for InstanceState {
    /// The kind is not kept with the file: a server derives the headers from the name.
    async fn put(
        &mut self,
        bucket: String,
        name: String,
        _kind: wit::BlobKind,
        content: Vec<u8>,
    ) -> Result<(), WitPortError> {
        let since = Instant::now();
        let outcome = self.services.blobs.put(&bucket, &name, content).await;
        self.add_wait(since);
        outcome.map_err(port_error)
    }

    async fn delete(&mut self, bucket: String, name: String) -> Result<(), WitPortError> {
        let since = Instant::now();
        let outcome = self.services.blobs.delete(&bucket, &name).await;
        self.add_wait(since);
        outcome.map_err(port_error)
    }
}
