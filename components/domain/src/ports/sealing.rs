//! Port `sealing`: encrypt revision tokens under keys that stay in the host.

use super::PortError;

/// A sealed message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sealed {
    /// Decimal id of the revision key.
    pub key_id: String,
    /// 12-byte nonce, AES-256-GCM ciphertext, 16-byte tag.
    pub data: Vec<u8>,
}

/// Seals and opens revision tokens.
pub trait Sealing {
    /// Encrypts under the effective revision key.
    fn seal(&self, plaintext: &[u8]) -> Result<Sealed, PortError>;

    /// Decrypts. `None` when the key id is not allowed or the data was not sealed under it.
    fn open(&self, sealed: &Sealed) -> Result<Option<Vec<u8>>, PortError>;
}
