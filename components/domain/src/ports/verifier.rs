//! Port `verifier`: is there proof of the diagnosis? Implemented by the verification component, or by another one that
//! knows another proof.

use super::PortError;
use crate::exposure::ReportType;
use crate::health_authority::HealthAuthorityId;

/// What a request presents as proof of a diagnosis.
#[derive(Clone, PartialEq, Eq)]
pub struct Proof<'a> {
    /// The verification certificate, a compact JWS. A bearer credential: never logged.
    pub verification_payload: &'a str,
    /// The secret of the HMAC over the keys, base64 as sent.
    pub hmac_key: &'a str,
    /// Health authorities the app may present certificates of.
    pub allowed_health_authorities: &'a [HealthAuthorityId],
    /// The keys exactly as sent: the HMAC covers their text.
    pub keys: Vec<ProofKey<'a>>,
}

/// A key exactly as sent.
#[derive(Clone, PartialEq, Eq)]
pub struct ProofKey<'a> {
    /// Base64 text.
    pub key: &'a str,
    /// Rolling start interval number.
    pub rolling_start: i32,
    /// Rolling period.
    pub rolling_period: i32,
    /// Transmission risk; 0 when absent.
    pub transmission_risk: i64,
}

/// What a valid proof says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claims {
    /// Who vouches.
    pub health_authority: HealthAuthorityId,
    /// Kind of diagnosis.
    pub report_type: ReportType,
    /// Interval of symptom onset, if known. As claimed: not yet checked to be plausible.
    pub symptom_onset: Option<u32>,
}

/// Why there are no claims.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum VerificationError {
    /// The proof is not valid. The text goes to the phone and says what is wrong with the request, no more.
    Rejected(String),
    /// It could not be checked.
    Port(PortError),
}

impl From<PortError> for VerificationError {
    fn from(error: PortError) -> Self {
        Self::Port(error)
    }
}

/// Checks proofs.
pub trait Verifier {
    /// The claims of a valid proof.
    fn verify(&self, proof: &Proof<'_>) -> Result<Claims, VerificationError>;

    /// What in a rejected proof would have to change, for people; empty when nothing is known beyond the rejection.
    fn diagnose(&self, proof: &Proof<'_>) -> Vec<String>;

    /// The health authority that signed `token`, a bearer token for its statistics.
    fn authenticate(&self, token: &str) -> Result<HealthAuthorityId, VerificationError>;
}
