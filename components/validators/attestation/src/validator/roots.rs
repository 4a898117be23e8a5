//! Apple's root certificates, for operators who name none of their own.

use base64ct::{Base64, Encoding};

use crate::apple::app_attest::{ANCHORS, RECEIPT_ANCHORS};
use crate::contract::{AttestedKey, Services};

/// Apple App Attestation Root CA.
const APP_ATTEST: &str = include_str!("../apple/roots/apple-app-attest.pem");
/// Apple Root CA - G3, of receipts.
const G3: &str = include_str!("../apple/roots/apple-root-g3.pem");

/// The host, with Apple's roots where it has none.
pub(super) struct OrApples<'a>(pub(super) &'a dyn Services);

impl Services for OrApples<'_> {
    fn anchors(&self, set: &str) -> Vec<Vec<u8>> {
        let anchors = self.0.anchors(set);
        let root = match set {
            ANCHORS => APP_ATTEST,
            RECEIPT_ANCHORS => G3,
            _ => return anchors,
        };
        if anchors.is_empty() { certificate(root).into_iter().collect() } else { anchors }
    }

    fn now(&self) -> i64 {
        self.0.now()
    }

    fn random(&self, length: u32) -> Vec<u8> {
        self.0.random(length)
    }

    fn is_revoked(&self, serial: &str) -> Option<bool> {
        self.0.is_revoked(serial)
    }

    fn unwrap_key(&self, key: &str, wrapped: &[u8]) -> Option<Vec<u8>> {
        self.0.unwrap_key(key, wrapped)
    }

    fn sign_es256(&self, key: &str, message: &[u8]) -> Option<Vec<u8>> {
        self.0.sign_es256(key, message)
    }

    fn find_key(&self, app: &str, key_id: &[u8]) -> Option<AttestedKey> {
        self.0.find_key(app, key_id)
    }
}

/// The DER form of a PEM file of one certificate.
fn certificate(pem: &str) -> Option<Vec<u8>> {
    let lines = pem.lines().skip_while(|line| !line.starts_with("-----BEGIN")).skip(1);
    let body: String = lines.take_while(|line| !line.starts_with("-----END")).collect();
    Base64::decode_vec(&body).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use sha2::{Digest, Sha256};

    /// SHA-256 as Apple's certificates are known by (attestation.md 5.2 and 5.4 of the specification).
    #[test]
    fn roots_are_the_ones_that_apple_publishes() {
        for (pem, begins) in [(APP_ATTEST, [0x1c, 0xb9, 0x82, 0x3b, 0xa2]), (G3, [0x63, 0x34, 0x3a, 0xbf, 0xb8])] {
            let certificate = certificate(pem).expect("PEM");
            assert_eq!(Sha256::digest(&certificate)[..5], begins);
        }
    }
}
