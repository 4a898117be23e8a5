//! AES-256-GCM, as revision tokens and wrapped keys use it: 12-byte random nonce, ciphertext, 16-byte tag.

use aes_gcm::aead::{Aead, KeyInit, Payload};
use aes_gcm::{Aes256Gcm, Nonce};
use tocsin_domain::ports::{PortError, Random};

/// Bytes of a key.
pub(crate) const KEY_BYTES: usize = 32;

const NONCE_BYTES: usize = 12;

/// A key that seals and opens.
pub(crate) struct AesKey(Aes256Gcm);

impl AesKey {
    pub(crate) fn new(bytes: &[u8; KEY_BYTES]) -> Self {
        Self(Aes256Gcm::new(bytes.into()))
    }

    /// Seals `plaintext`, bound to `context`.
    pub(crate) fn seal(&self, context: &[u8], plaintext: &[u8], random: &impl Random) -> Result<Vec<u8>, PortError> {
        let mut nonce = [0; NONCE_BYTES];
        random.fill(&mut nonce);
        let payload = Payload { msg: plaintext, aad: context };
        let sealed = self.0.encrypt(&Nonce::from(nonce), payload);
        // For texts of 64 GiB and more.
        let sealed = sealed.map_err(|_| PortError::Internal("the text is too long to be sealed".to_owned()))?;
        Ok([nonce.as_slice(), &sealed].concat())
    }

    /// Opens what was sealed under this key and `context`; `None`: anything else.
    pub(crate) fn open(&self, context: &[u8], sealed: &[u8]) -> Option<Vec<u8>> {
        let (nonce, ciphertext) = sealed.split_first_chunk::<NONCE_BYTES>()?;
        self.0.decrypt(&Nonce::from(*nonce), Payload { msg: ciphertext, aad: context }).ok()
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// Bytes that follow from a number; for tests.
    pub(crate) struct Fixed(pub(crate) u8);

    impl Random for Fixed {
        fn fill(&self, bytes: &mut [u8]) {
            bytes.fill(self.0);
        }
    }

    fn bytes(hex: &str) -> Vec<u8> {
        (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).expect("hex")).collect()
    }

    /// Test cases 13 and 14 of "The Galois/Counter Mode of Operation" (McGrew and Viega, 2005): key, nonce and text of
    /// zeros.
    #[test]
    fn known_answers_of_the_specification() {
        let key = AesKey::new(&[0; KEY_BYTES]);
        for (plaintext, expected) in [
            (vec![], "530f8afbc74536b9a963b4f1c4cb738b"),
            (vec![0; 16], "cea7403d4d606b6e074ec5d3baf39d18d0d1c8a799996bf0265b98b5d48ab919"),
        ] {
            let sealed = key.seal(b"", &plaintext, &Fixed(0)).expect("sealed");
            assert_eq!(sealed, [vec![0; 12], bytes(expected)].concat());
            assert_eq!(key.open(b"", &sealed), Some(plaintext));
        }
    }

    #[test]
    fn nothing_opens_that_was_changed_or_sealed_for_another_use() {
        let key = AesKey::new(&[7; KEY_BYTES]);
        let sealed = key.seal(b"use", b"text", &Fixed(9)).expect("sealed");
        assert_eq!(sealed.len(), 12 + 4 + 16);
        assert_eq!(key.open(b"use", &sealed).as_deref(), Some(b"text".as_slice()));
        assert_eq!(key.open(b"another use", &sealed), None);
        assert_eq!(AesKey::new(&[8; KEY_BYTES]).open(b"use", &sealed), None);
        for byte in 0..sealed.len() {
            let mut changed = sealed.clone();
            changed[byte] ^= 1;
            assert_eq!(key.open(b"use", &changed), None, "byte {byte}");
            assert_eq!(key.open(b"use", &sealed[..byte]), None, "{byte} bytes");
        }
    }
}
