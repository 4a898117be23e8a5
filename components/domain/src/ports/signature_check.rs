//! Port `signature-check`: verify signatures natively. No secret is involved; the host is only faster.

use super::PortError;

/// Verifies ES256 signatures.
pub trait SignatureCheck {
    /// Whether `signature` (r and s, 32 bytes each, as in JWS) is the ECDSA P-256 SHA-256 signature of `message` under
    /// `public_key` (uncompressed point, 65 bytes). Malformed keys and signatures are simply not valid.
    fn verify_es256(&self, public_key: &[u8], message: &[u8], signature: &[u8]) -> Result<bool, PortError>;
}
