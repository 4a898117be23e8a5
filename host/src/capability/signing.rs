use super::blocking;
use super::convert::WitPortError;
use crate::bindings::capabilities::tocsin::capability::signing as wit;
use crate::state::InstanceState;
use tocsin_domain::ports::signing::Signing;

impl wit::Host for InstanceState {
    /// Hashing a large file takes tens of milliseconds, too long for a thread that serves requests.
    async fn sign(&mut self, key: String, message: Vec<u8>) -> Result<Vec<u8>, WitPortError> {
        blocking(self, move |services| services.keyring.sign(&key, &message)).await
    }
}
