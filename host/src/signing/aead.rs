//! AES-256-GCM, as revision tokens and wrapped keys use it: 12-byte random nonce, ciphertext, 16-byte tag.

use super::random_bytes;
use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};

/// Bytes of a key.
pub(super) const KEY_BYTES: usize = 32;

/// A key that seals and opens.
#[derive(Debug)]
pub(super) struct AesKey(LessSafeKey);

impl AesKey {
    /// From its bytes.
    pub(super) fn new(bytes: &[u8; KEY_BYTES]) -> Self {
        // Unwrap safety: 32 bytes are an AES-256 key.
        Self(LessSafeKey::new(UnboundKey::new(&AES_256_GCM, bytes).unwrap()))
    }

    /// Seals `plaintext`, bound to `context`.
    pub(super) fn seal(&self, context: &[u8], plaintext: &[u8]) -> Vec<u8> {
        let nonce = random_bytes::<NONCE_LEN>();
        let mut sealed = Vec::with_capacity(NONCE_LEN + plaintext.len() + AES_256_GCM.tag_len());
        sealed.extend_from_slice(&nonce);
        sealed.extend_from_slice(plaintext);
        let nonce = Nonce::assume_unique_for_key(nonce);
        let tag = self.0.seal_in_place_separate_tag(nonce, Aad::from(context), &mut sealed[NONCE_LEN..]);
        // Unwrap safety: sealing fails for texts of 64 GiB and more, which do not fit in a message to the host.
        sealed.extend_from_slice(tag.unwrap().as_ref());
        sealed
    }

    /// Opens what was sealed under this key and `context`; `None`: anything else.
    pub(super) fn open(&self, context: &[u8], sealed: &[u8]) -> Option<Vec<u8>> {
        let (nonce, ciphertext) = sealed.split_first_chunk::<NONCE_LEN>()?;
        let mut buffer = ciphertext.to_vec();
        let nonce = Nonce::assume_unique_for_key(*nonce);
        let length = self.0.open_in_place(nonce, Aad::from(context), &mut buffer).ok()?.len();
        buffer.truncate(length);
        Some(buffer)
    }
}
