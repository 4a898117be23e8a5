//! What an app's validators are shown of a submission, and what they want noted when it is stored.
//!
//! Validators are not part of the server (`tocsin:validator`): a health authority plugs them in. These are the words that
//! publish and storage share with them.

use crate::exposure::{ReportType, TransmissionRisk};
use crate::health_authority::HealthAuthorityId;
use crate::interval::{IntervalNumber, RollingPeriod, Timestamp};
use std::fmt;

pub use crate::publish::transcript::Transcript;

/// A submission as validators see it: no key bytes, no certificate, no HMAC key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Candidate {
    /// Name of the authorized app.
    pub app: String,
    /// Who vouched; `None` when verification was bypassed.
    pub health_authority: Option<HealthAuthorityId>,
    /// Report type of the certificate; `None` when verification was bypassed.
    pub report_type: Option<ReportType>,
    /// Symptom onset interval of the certificate; not checked to be plausible.
    pub symptom_onset: Option<u32>,
    /// The keys that can be stored, in the order of the request.
    pub keys: Vec<KeyMetadata>,
    /// Regions, upper case.
    pub regions: Vec<String>,
    /// Whether the person travelled.
    pub traveler: bool,
    /// Hashes of the request's canonical forms.
    pub transcripts: Vec<Transcript>,
    /// The server's challenge that the evidence answers.
    pub challenge: Option<Vec<u8>>,
}

/// What is known of one key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeyMetadata {
    /// First interval of validity.
    pub rolling_start: IntervalNumber,
    /// Intervals of validity.
    pub rolling_period: RollingPeriod,
    /// Transmission risk.
    pub transmission_risk: TransmissionRisk,
}

/// What the phone sent to show that it is genuine.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Evidence {
    /// How it was made, such as `app-attest`.
    pub method: String,
    /// The payload, as sent.
    pub token: Vec<u8>,
    /// Certificates in DER form, leaf first.
    pub chain: Vec<Vec<u8>>,
    /// Id of the device's key.
    pub key_id: Option<Vec<u8>>,
}

impl fmt::Debug for Evidence {
    /// Shows none of it but the method: it identifies a device.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Evidence").field("method", &self.method).finish_non_exhaustive()
    }
}

/// What the validators of an app say together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decision {
    /// The submission may be stored, with these commits.
    Accepted(Vec<ValidatorCommit>),
    /// It may not. Reasons are for the operator.
    Refused(Vec<String>),
    /// It may not be stored now, but perhaps later.
    TryLater(Vec<String>),
    /// It may not, and the phone is answered as if it was stored.
    Pretend(Vec<String>),
}

/// What must be noted in the transaction that stores a submission, or nothing is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CommitSet {
    /// Tells this submission from others, and is the same when it is sent again.
    pub binding: [u8; 32],
    /// The commits; not empty.
    pub commits: Vec<ValidatorCommit>,
}

/// A commit and the validator it is of. Values and keys of one are not those of another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ValidatorCommit {
    /// Name of the validator.
    pub validator: String,
    /// What to note.
    pub commit: Commit,
}

/// Something to note. Each fails if another submission was there before.
#[derive(Clone, PartialEq, Eq)]
pub enum Commit {
    /// A value is used, which may be used once.
    ClaimOnce {
        /// What kind of value.
        space: String,
        /// SHA-256 of it.
        digest: [u8; 32],
        /// After this time it may be forgotten.
        expires_at: Timestamp,
    },
    /// A device key's counter moves.
    AdvanceCounter {
        /// The key, of the submission's app.
        key_id: Vec<u8>,
        /// Its counter as it was found.
        expected: u32,
        /// Its counter now.
        next: u32,
    },
    /// A device key is kept for later submissions.
    StoreKey(AttestedKey),
}

impl fmt::Debug for Commit {
    /// Shows the kind only.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::ClaimOnce { .. } => "ClaimOnce",
            Self::AdvanceCounter { .. } => "AdvanceCounter",
            Self::StoreKey(_) => "StoreKey",
        })
    }
}

/// A device key that was attested.
#[derive(Clone, PartialEq, Eq)]
pub struct AttestedKey {
    /// Its id.
    pub key_id: Vec<u8>,
    /// The app it belongs to.
    pub app: String,
    /// Its public key, a SEC1 point.
    pub public_key: Vec<u8>,
    /// Whether a development build made it.
    pub development: bool,
    /// The counter of its last use.
    pub counter: u32,
    /// When it was attested.
    pub attested_at: Timestamp,
}

impl fmt::Debug for AttestedKey {
    /// Shows nothing that identifies a device.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AttestedKey").field("app", &self.app).finish_non_exhaustive()
    }
}
