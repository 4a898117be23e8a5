//! Android SafetyNet Attestation. Google turned it off in January 2025, so this judges evidence that was recorded.
//!
//! The evidence is the compact JWS that `attest()` returned. Its nonce is the standard base64 text of the hash of the
//! submission's transcript, with padding except in `ens-v1`; the claim holds that text in base64 once more.
//!
//! Differs from the reference server (google/exposure-notifications-server until 2020-05-31) where that was wrong: the
//! package is compared, any of the configured certificates is enough and no other is, the trust anchors (set [`ANCHORS`])
//! and the time are given, only RS256 passes, and no claim of the wrong type does harm.

mod chain;
#[cfg(test)]
mod tests;

use super::{Binding, Window, binding_mismatch, config_missing, decode_lenient, elements, same_bytes, signals, text};
use crate::android_key::CertificateDigest;
use crate::contract::{Acceptance, Evidence, Outcome, Rejection, Score, Services, Stage, Submission};
use crate::jose::Jws;
use base64ct::{Base64, Base64Unpadded, Encoding};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// Name of the method in evidence, and space of the claims that make a token usable once.
pub const METHOD: &str = "safetynet";
/// Name of the set of trust anchors.
pub const ANCHORS: &str = "safetynet";

/// What an operator sets for SafetyNet attestations of one app.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SafetyNetConfig {
    /// Whether such evidence is taken at all. Off by default: nothing new can be made.
    pub enabled: bool,
    /// Package name; the name of the authorized app if absent.
    pub package: Option<String>,
    /// SHA-256 of the certificates that sign the app, 64 hexadecimal digits each. Required: anybody can build an app of
    /// the same name.
    pub certificate_sha256: Vec<CertificateDigest>,
    /// Whether the device must have passed Android's compatibility tests.
    pub require_cts_profile_match: bool,
    /// Whether the device must show no sign of tampering.
    pub require_basic_integrity: bool,
    /// How old an attestation may be, seconds, at least 1. Also how long a used one is
    /// remembered, up to 30 days.
    pub max_age_seconds: u32,
    /// How far Google's clock may be ahead, seconds, at least 1.
    pub skew_seconds: u32,
    /// Whether certificates must have been valid when the attestation was made instead of now. For recorded evidence,
    /// whose certificates have all expired; who holds the key of an expired certificate can then date attestations back.
    pub archive: bool,
    /// What the nonce is the hash of.
    pub binding: Binding,
    /// Score of acceptances.
    pub score: Score,
}

impl Default for SafetyNetConfig {
    fn default() -> Self {
        Self {
            enabled: false,
            package: None,
            certificate_sha256: Vec::new(),
            require_cts_profile_match: true,
            require_basic_integrity: true,
            max_age_seconds: 600,
            skew_seconds: 60,
            archive: false,
            binding: Binding::EnsV3,
            score: Score::default(),
        }
    }
}

/// Judges an attestation. Never asks for an exchange.
pub fn begin(
    submission: &Submission,
    evidence: &Evidence,
    config: &SafetyNetConfig,
    services: &dyn Services,
) -> Outcome {
    match judge(submission, evidence, config, services) {
        Ok(acceptance) => Outcome::Accept(acceptance),
        Err(rejection) => Outcome::Reject(rejection),
    }
}

/// The steps in order; the numbers are those of the list of steps that the tests follow.
fn judge(
    submission: &Submission,
    evidence: &Evidence,
    config: &SafetyNetConfig,
    services: &dyn Services,
) -> Result<Acceptance, Rejection> {
    // 1
    let anchors = services.anchors(ANCHORS);
    check_config(config, &anchors)?;
    // 2
    let jws = Jws::parse(&evidence.token).ok_or_else(|| malformed("the token is no compact JWS of JSON objects"))?;
    // 3
    if !jws.has_algorithm("RS256") {
        return Err(Rejection::new("sn-alg", Stage::Parse, "the algorithm of the token is not plain RS256"));
    }
    // 4 to 7
    let now = services.now();
    let certificates = chain::read(&jws.header)?;
    let valid_at = if config.archive { made_at(&jws.payload)? } else { now };
    chain::verify(&certificates, &anchors, valid_at)?.verify(&jws)?;
    // 8
    check_nonce(submission, &jws.payload, config.binding)?;
    // 9
    let made = made_at(&jws.payload)?;
    let window = Window { now, max_age_seconds: config.max_age_seconds, skew_seconds: config.skew_seconds };
    window.check(made)?;
    // 10, 11
    check_app(&jws.payload, config, &submission.app)?;
    // 12, 13
    let cts_profile_match = is_true(&jws.payload, "ctsProfileMatch");
    if config.require_cts_profile_match && !cts_profile_match {
        return Err(integrity("integrity-cts", "the device does not match a profile of the compatibility tests"));
    }
    let basic_integrity = is_true(&jws.payload, "basicIntegrity");
    if config.require_basic_integrity && !basic_integrity {
        return Err(integrity("integrity-basic", "the device may have been tampered with"));
    }
    // 14
    let hardware = text(&jws.payload, &["evaluationType"])
        .is_some_and(|kinds| kinds.split(',').any(|kind| kind.trim() == "HARDWARE_BACKED"));
    let yes_no = |yes: bool| if yes { "true" } else { "false" };
    Ok(Acceptance {
        score: config.score,
        signals: signals([
            ("cts-profile-match", yes_no(cts_profile_match)),
            ("basic-integrity", yes_no(basic_integrity)),
            ("hardware-backed", yes_no(hardware)),
        ]),
        commits: vec![window.claim(METHOD, &evidence.token, made)],
    })
}

fn check_config(config: &SafetyNetConfig, anchors: &[Vec<u8>]) -> Result<(), Rejection> {
    if !config.enabled {
        return Err(config_missing("SafetyNet is not enabled"));
    }
    if config.max_age_seconds == 0 || config.skew_seconds == 0 {
        return Err(config_missing("max_age_seconds or skew_seconds is 0"));
    }
    if config.certificate_sha256.is_empty() {
        return Err(config_missing("certificate_sha256 is empty: list the certificates that sign the app"));
    }
    if anchors.is_empty() {
        return Err(config_missing("the trust anchor set safetynet is empty"));
    }
    Ok(())
}

fn check_nonce(submission: &Submission, claims: &Map<String, Value>, binding: Binding) -> Result<(), Rejection> {
    let missing = || Rejection::new("sn-nonce-missing", Stage::Binding, "the attestation has no nonce");
    let nonce = text(claims, &["nonce"]).ok_or_else(missing)?;
    let hash = binding.expected(submission)?;
    let expected = match binding {
        Binding::EnsV1 => Base64Unpadded::encode_string(hash),
        Binding::EnsV3 | Binding::EnsV4 => Base64::encode_string(hash),
    };
    let nonce = decode_lenient(nonce).ok_or_else(|| binding_mismatch("the nonce is not base64"))?;
    if same_bytes(&nonce, expected.as_bytes()) {
        Ok(())
    } else {
        Err(binding_mismatch("the attestation is about another submission"))
    }
}

/// When the attestation was made, unix seconds, rounded down.
fn made_at(claims: &Map<String, Value>) -> Result<i64, Rejection> {
    let milliseconds = claims.get("timestampMs").and_then(Value::as_i64);
    Ok(milliseconds.ok_or_else(|| malformed("timestampMs is no whole number"))?.div_euclid(1_000))
}

fn check_app(claims: &Map<String, Value>, config: &SafetyNetConfig, app: &str) -> Result<(), Rejection> {
    let package = config.package.as_deref().unwrap_or(app);
    if text(claims, &["apkPackageName"]) != Some(package) {
        return Err(Rejection::new(
            "app-mismatch",
            Stage::Identity,
            "another app asked for it, or Google does not say",
        ));
    }
    let is_expected = |digest: &[u8]| config.certificate_sha256.iter().any(|expected| expected.0 == *digest);
    let digests = elements(claims, &["apkCertificateDigestSha256"]);
    if !digests.iter().filter_map(|digest| decode_lenient(digest.as_str()?)).any(|digest| is_expected(&digest)) {
        return Err(Rejection::new("cert-digest-mismatch", Stage::Identity, "the app is signed by somebody else"));
    }
    Ok(())
}

fn is_true(claims: &Map<String, Value>, name: &str) -> bool {
    claims.get(name) == Some(&Value::Bool(true))
}

fn malformed(detail: &'static str) -> Rejection {
    Rejection::new("sn-malformed", Stage::Parse, detail)
}

fn integrity(code: &'static str, detail: &'static str) -> Rejection {
    Rejection::new(code, Stage::Integrity, detail)
}
