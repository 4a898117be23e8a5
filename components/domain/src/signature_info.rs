//! The signature info: which key signs an export file and how phones know it.

use crate::interval::Timestamp;

/// One signer of export files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignatureInfo {
    /// The store's id. Files list their signers by descending id, that is, newest first.
    pub id: u64,
    /// Name of the private key, known to the `signing` capability only.
    pub signing_key: String,
    /// Verification key id, registered with the phone platforms; for Apple the mobile country code. May be empty.
    pub verification_key_id: String,
    /// Verification key version, for instance `v1`. May be empty.
    pub verification_key_version: String,
    /// Signs no more after this time; `None`: no end.
    pub thru: Option<Timestamp>,
}

impl SignatureInfo {
    /// Whether this signer still signs at `now`. The end itself still counts.
    pub fn is_active_at(&self, now: Timestamp) -> bool {
        self.thru.is_none_or(|thru| thru >= now)
    }
}
