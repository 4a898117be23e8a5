//! Signatures that anyone can make.

use super::faults::Faults;
use crate::ports::PortError;
use crate::ports::signature_check::SignatureCheck;
use sha2::{Digest, Sha256};

/// Accepts the "signatures" of [`FakeSignatureCheck::sign`].
#[derive(Debug, Default)]
pub struct FakeSignatureCheck {
    /// Which checks fail.
    pub faults: Faults,
}

impl FakeSignatureCheck {
    /// 64 bytes that depend on the public key and the message.
    pub fn sign(public_key: &[u8], message: &[u8]) -> [u8; 64] {
        let half = |name: &[u8]| -> [u8; 32] {
            Sha256::new().chain_update(name).chain_update(public_key).chain_update(message).finalize().into()
        };
        let (r, s) = (half(b"r"), half(b"s"));
        std::array::from_fn(|i| if i < 32 { r[i] } else { s[i - 32] })
    }
}

impl SignatureCheck for FakeSignatureCheck {
    fn verify_es256(&self, public_key: &[u8], message: &[u8], signature: &[u8]) -> Result<bool, PortError> {
        self.faults.check()?;
        Ok(signature == Self::sign(public_key, message))
    }
}
