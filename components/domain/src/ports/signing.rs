//! Port `signing`: sign with a private key that stays in the host.

use super::PortError;

/// Signs export files.
pub trait Signing {
    /// ECDSA P-256 with SHA-256 over `message`, deterministic (RFC 6979), as ASN.1 DER.
    ///
    /// [`PortError::Internal`] when there is no key of that name.
    fn sign(&self, key: &str, message: &[u8]) -> Result<Vec<u8>, PortError>;
}
