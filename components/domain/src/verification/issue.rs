//! What phones and health authorities do: build the HMAC and the certificate. For tests, benchmarks and the simulated
//! phone; the server only checks.

use crate::base64;
use crate::interval::Timestamp;
use crate::ports::verifier::ProofKey;
use crate::verification::hmac::{Transcript, keys_hmac};
use serde::Serialize;

/// A certificate to issue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CertificateRequest<'a> {
    /// `iss`.
    pub issuer: &'a str,
    /// `aud`.
    pub audience: &'a str,
    /// `kid`: version of the health authority key that signs.
    pub key_version: &'a str,
    /// Wire string of the report type.
    pub report_type: &'a str,
    /// Interval of symptom onset; 0: none.
    pub symptom_onset: u32,
    /// `iat`.
    pub issued_at: Timestamp,
    /// `exp`.
    pub expires_at: Timestamp,
    /// The HMAC of the phone, from [`phone_hmac`].
    pub hmac: [u8; 32],
}

/// The HMAC a phone sends to the health authority, over the keys it is about to publish.
pub fn phone_hmac(secret: &[u8], keys: &[ProofKey<'_>]) -> [u8; 32] {
    keys_hmac(secret, keys, Transcript::WithRisk)
}

#[derive(Serialize)]
struct Header<'a> {
    alg: &'static str,
    kid: &'a str,
    typ: &'static str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Payload<'a> {
    iss: &'a str,
    aud: &'a str,
    iat: i64,
    exp: i64,
    report_type: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    symptom_onset_interval: Option<u32>,
    tekmac: String,
}

/// The text the health authority signs: header and claims.
pub fn signing_input(certificate: &CertificateRequest<'_>) -> String {
    let CertificateRequest { issuer, audience, key_version, report_type, symptom_onset, issued_at, expires_at, hmac } =
        certificate;
    let header = Header { alg: "ES256", kid: key_version, typ: "JWT" };
    let payload = Payload {
        iss: issuer,
        aud: audience,
        iat: issued_at.unix(),
        exp: expires_at.unix(),
        report_type,
        symptom_onset_interval: Some(*symptom_onset).filter(|onset| *onset != 0),
        tekmac: base64::encode(hmac),
    };
    format!("{}.{}", segment(&header), segment(&payload))
}

/// The certificate: what was signed, and its signature (ES256: r and s, 32 bytes each).
pub fn assemble(signing_input: &str, signature: &[u8; 64]) -> String {
    format!("{signing_input}.{}", base64::encode_url(signature))
}

fn segment(value: &impl Serialize) -> String {
    // Structs of strings and numbers always serialize.
    base64::encode_url(&serde_json::to_vec(value).unwrap_or_default())
}
