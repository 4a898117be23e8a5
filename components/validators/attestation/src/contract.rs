//! What a validator is told, may ask for, and answers: the records of `tocsin:validator`, one to one.

use serde::{Deserialize, Serialize};
use std::fmt;

/// A submission as a validator sees it: no key bytes, no certificate, no HMAC key.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Submission {
    /// Name of the authorized app as the operator wrote it. Platforms compare case, so never the request's spelling.
    pub app: String,
    /// Issuer of the verification certificate; `None` when verification was bypassed.
    pub issuer: Option<String>,
    /// Report type that the certificate vouches for.
    pub report_type: Option<ReportType>,
    /// Symptom onset interval of the certificate, if it has one.
    pub symptom_onset: Option<u32>,
    /// Metadata of the keys, in the order of the request.
    pub keys: Vec<KeyMetadata>,
    /// Regions, upper case.
    pub regions: Vec<String>,
    /// Whether the person travelled.
    pub traveler: bool,
    /// SHA-256 of each canonical transcript of the submission, so that evidence can be bound to it.
    pub transcripts: Vec<Transcript>,
    /// The server's challenge, if the evidence answers one.
    pub challenge: Option<Vec<u8>>,
}

impl Submission {
    /// The hash of the transcript of that format.
    pub fn transcript(&self, format: &str) -> Option<&[u8; 32]> {
        self.transcripts.iter().find(|transcript| transcript.format == format).map(|transcript| &transcript.sha256)
    }
}

/// Why a key was published.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReportType {
    /// A positive laboratory test.
    ConfirmedTest,
    /// A clinical diagnosis.
    ConfirmedClinicalDiagnosis,
    /// The person's own report.
    SelfReport,
    /// Reserved by the export format.
    Recursive,
    /// The earlier report was wrong.
    Revoked,
}

/// What is known of one key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeyMetadata {
    /// First 10-minute interval of validity.
    pub rolling_start: i32,
    /// Intervals of validity, 1 to 144.
    pub rolling_period: u8,
    /// Transmission risk, 0 to 8.
    pub transmission_risk: u8,
}

/// The hash of one canonical form of the submission: `ens-v1`, `ens-v3` (historic SafetyNet nonces) or `ens-v4`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Transcript {
    /// Its format.
    pub format: String,
    /// SHA-256 of its bytes.
    pub sha256: [u8; 32],
}

/// What the phone sent as evidence.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Evidence {
    /// How it was made, such as `app-attest`.
    pub method: String,
    /// The token: a JWS, JWE, CBOR object or whatever the method says.
    pub token: Vec<u8>,
    /// Certificates in DER form, leaf first, where the method sends them apart.
    pub chain: Vec<Vec<u8>>,
    /// Id of the device's key, where there is one.
    pub key_id: Option<Vec<u8>>,
}

impl fmt::Debug for Evidence {
    /// Shows none of it: it identifies a device.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Evidence").field("method", &self.method).finish_non_exhaustive()
    }
}

/// What a validator may ask of its host. Private keys and credentials stay there.
///
/// The configuration is handed to [`crate::validator::validate`] instead.
pub trait Services {
    /// Unix seconds.
    fn now(&self) -> i64;
    /// Random bytes.
    fn random(&self, length: u32) -> Vec<u8>;
    /// The certificates (DER) of a set of trust anchors; empty when there is none of that name.
    fn anchors(&self, set: &str) -> Vec<Vec<u8>>;
    /// Whether a certificate's serial number (lower-case hexadecimal, no leading zeros) is revoked; `None` when the host has
    /// no revocation list that is fresh enough.
    fn is_revoked(&self, serial: &str) -> Option<bool>;
    /// Unwraps (AES-256 key wrap, RFC 3394) with the host's key of that name; `None` when it does not unwrap.
    fn unwrap_key(&self, key: &str, wrapped: &[u8]) -> Option<Vec<u8>>;
    /// An ES256 signature (64 bytes, r and s) by the host's key of that name; `None` when there is no such key.
    fn sign_es256(&self, key: &str, message: &[u8]) -> Option<Vec<u8>>;
    /// A device key that an earlier submission stored.
    fn find_key(&self, app: &str, key_id: &[u8]) -> Option<AttestedKey>;
}

/// A `verdict`: what a validator says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The submission may be stored.
    Accept(Acceptance),
    /// It may not.
    Reject(Rejection),
    /// The host must ask somebody first, and then call again with the answer.
    Exchange(Exchange),
}

/// Why a submission may be stored, and what must be noted together with it.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Acceptance {
    /// How sure the validator is; counts where the app's validators are scored together.
    pub score: Score,
    /// What the evidence says, name and value, for counting; nothing that identifies a device.
    pub signals: Vec<(String, String)>,
    /// Applied in the transaction that stores the keys; if one fails, the submission is refused.
    pub commits: Vec<Commit>,
}

/// How sure a validator is, 0 to 100. What operators set for acceptances; 100 by default.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "u64", into = "u64")]
pub struct Score(u8);

impl Score {
    /// As a number.
    pub const fn get(self) -> u8 {
        self.0
    }
}

impl Default for Score {
    fn default() -> Self {
        Self(100)
    }
}

impl TryFrom<u64> for Score {
    type Error = &'static str;

    fn try_from(number: u64) -> Result<Self, Self::Error> {
        match u8::try_from(number) {
            Ok(score @ 0..=100) => Ok(Self(score)),
            Ok(_) | Err(_) => Err("a score is 0 to 100"),
        }
    }
}

impl From<Score> for u64 {
    fn from(Score(score): Score) -> Self {
        score.into()
    }
}

/// Something to note.
#[derive(Clone, PartialEq, Eq)]
pub enum Commit {
    /// A value that may be used once.
    ClaimOnce {
        /// What kind of value.
        space: String,
        /// SHA-256 of it.
        digest: [u8; 32],
        /// Unix seconds after which it may be forgotten.
        expires_at: i64,
    },
    /// A device key's counter, which only grows.
    AdvanceCounter {
        /// The key.
        key_id: Vec<u8>,
        /// What it was.
        expected: u32,
        /// What it is now.
        next: u32,
    },
    /// A device key for later submissions.
    StoreKey(AttestedKey),
}

impl fmt::Debug for Commit {
    /// Shows only the kind.
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
    /// Whether it was made by a development build.
    pub development: bool,
    /// The counter of its last use.
    pub counter: u32,
    /// When it was attested, unix seconds.
    pub attested_at: i64,
}

impl fmt::Debug for AttestedKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AttestedKey").field("app", &self.app).finish_non_exhaustive()
    }
}

/// At which step a submission was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// The validator's own configuration.
    Config,
    /// The evidence cannot be read, or is missing.
    Parse,
    /// Its certificates lead to no trust anchor.
    Chain,
    /// A signature is wrong.
    Signature,
    /// It is not about this submission.
    Binding,
    /// It is of another app.
    Identity,
    /// It is too old or too new.
    Freshness,
    /// The device or the app is not genuine enough.
    Integrity,
    /// It was used before, or its key is unknown.
    State,
    /// Somebody who had to be asked did not answer well.
    Upstream,
    /// A rule of the health authority's own; none of the validators here has one.
    Policy,
}

/// Why a submission may not be stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rejection {
    /// Stable, of `[a-z0-9-]`.
    pub code: &'static str,
    /// At which step.
    pub stage: Stage,
    /// The same submission may be accepted later.
    pub retryable: bool,
    /// For the operator's log: which rule, and nothing that identifies a device.
    pub detail: String,
}

impl Rejection {
    /// One that trying again does not help.
    pub fn new(code: &'static str, stage: Stage, detail: impl Into<String>) -> Self {
        Self { code, stage, retryable: false, detail: detail.into() }
    }

    /// One that may go away by itself.
    pub fn retryable(code: &'static str, stage: Stage, detail: impl Into<String>) -> Self {
        Self { retryable: true, ..Self::new(code, stage, detail) }
    }
}

/// A question that the host asks over HTTPS, within the operator's allow-list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exchange {
    /// The request.
    pub request: HttpRequest,
    /// Handed back with the answer.
    pub continuation: Vec<u8>,
}

/// A request to somebody else.
#[derive(Clone, PartialEq, Eq)]
pub struct HttpRequest {
    /// `GET` or `POST`.
    pub method: String,
    /// An https URL.
    pub url: String,
    /// Headers.
    pub headers: Vec<(String, String)>,
    /// Body.
    pub body: Vec<u8>,
    /// Name of a credential that the host adds as a bearer token.
    pub credential: Option<String>,
}

impl fmt::Debug for HttpRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpRequest").field("method", &self.method).field("url", &self.url).finish_non_exhaustive()
    }
}

/// The answer to an exchange.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HttpAnswer {
    /// Status and body (at most 64 KiB).
    Response {
        /// HTTP status.
        status: u16,
        /// Body.
        body: Vec<u8>,
    },
    /// None came: no connection, a timeout, an answer that is too long.
    None,
}
