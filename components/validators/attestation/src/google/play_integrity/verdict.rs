//! Judging a verdict, wherever it was decoded. Its labels are open: one that is not known never passes.

use super::config::{Kind, PlayIntegrityConfig};
use crate::contract::{Acceptance, Rejection, Stage, Submission};
use crate::google::{Window, binding_mismatch, decode_lenient, elements, field, same_bytes, signals, text};
use base64ct::{Base64UrlUnpadded, Encoding};
use serde_json::{Map, Value};

type Verdict = Map<String, Value>;

const DEVICE_LABELS: [&str; 2] = ["deviceIntegrity", "deviceRecognitionVerdict"];
const RECOGNITION: [&str; 2] = ["appIntegrity", "appRecognitionVerdict"];
const LICENSING: [&str; 2] = ["accountDetails", "appLicensingVerdict"];
const PLAY_PROTECT: [&str; 2] = ["environmentDetails", "playProtectVerdict"];
const APPS_DETECTED: [&str; 3] = ["environmentDetails", "appAccessRiskVerdict", "appsDetected"];

/// Steps 5 to 13, in order: what the request was comes before what Google thinks of it.
pub(super) fn judge(
    verdict: &Verdict,
    submission: &Submission,
    kind: Kind,
    package: &str,
    window: Window,
    token: &[u8],
    config: &PlayIntegrityConfig,
) -> Result<Acceptance, Rejection> {
    // 5
    if text(verdict, &["requestDetails", "requestPackageName"]) != Some(package) {
        return Err(identity("app-mismatch", "another app asked for the token"));
    }
    // 6
    check_binding(verdict, submission, kind, config)?;
    // 7
    let made = field(verdict, &["requestDetails", "timestampMillis"]).and_then(whole_number);
    let made =
        made.ok_or_else(|| Rejection::new("pi-malformed", Stage::Parse, "timestampMillis is no whole number"))?;
    let made = made.div_euclid(1_000);
    window.check(made)?;
    // 8
    let testing = field(verdict, &["testingDetails", "isTestingResponse"]);
    if !config.allow_testing && !matches!(testing, None | Some(Value::Bool(false))) {
        return Err(integrity("pi-testing-response", "the verdict was set up in the Play Console for tests"));
    }
    if kind == Kind::Standard && is_cleared(verdict) {
        return Err(Rejection::new("replayed", Stage::State, "Google decoded the token before and has cleared it"));
    }
    // 9 to 12
    check_app(verdict, package, config)?;
    check_surroundings(verdict, config)?;
    // 13
    Ok(Acceptance {
        score: config.score,
        signals: signals([
            (
                "recognition",
                known(text(verdict, &RECOGNITION), &["PLAY_RECOGNIZED", "UNRECOGNIZED_VERSION", UNEVALUATED]),
            ),
            ("device", strongest_label(verdict)),
            ("licensing", known(text(verdict, &LICENSING), &["LICENSED", "UNLICENSED", UNEVALUATED])),
        ]),
        commits: vec![window.claim(kind.method(), token, made)],
    })
}

const UNEVALUATED: &str = "UNEVALUATED";

/// Step 6.
fn check_binding(
    verdict: &Verdict,
    submission: &Submission,
    kind: Kind,
    config: &PlayIntegrityConfig,
) -> Result<(), Rejection> {
    let name = match kind {
        Kind::Classic => "nonce",
        Kind::Standard => "requestHash",
    };
    let missing = || Rejection::new("binding-missing", Stage::Binding, format!("the verdict has no {name}"));
    let found = text(verdict, &["requestDetails", name]).ok_or_else(missing)?;
    let expected = Base64UrlUnpadded::encode_string(config.binding.expected(submission)?);
    if same_bytes(found.as_bytes(), expected.as_bytes()) {
        Ok(())
    } else {
        Err(binding_mismatch("the token is about another submission"))
    }
}

/// What is left of a standard token that was decoded before.
fn is_cleared(verdict: &Verdict) -> bool {
    let unevaluated = |path: &[&str]| text(verdict, path) == Some(UNEVALUATED);
    elements(verdict, &DEVICE_LABELS).is_empty() && unevaluated(&RECOGNITION) && unevaluated(&LICENSING)
}

/// Steps 9 and 10.
fn check_app(verdict: &Verdict, package: &str, config: &PlayIntegrityConfig) -> Result<(), Rejection> {
    if !is_allowed(text(verdict, &RECOGNITION), &config.recognition) {
        return Err(integrity("app-unrecognized", "Google does not recognize the app as one of those that pass"));
    }
    if text(verdict, &["appIntegrity", "packageName"]) != Some(package) {
        return Err(identity("app-mismatch", "the verdict is about another app"));
    }
    let is_expected = |digest: &[u8]| config.certificate_sha256.iter().any(|expected| expected.0 == *digest);
    let digests = elements(verdict, &["appIntegrity", "certificateSha256Digest"]);
    if !digests.iter().filter_map(|digest| decode_lenient(digest.as_str()?)).any(|digest| is_expected(&digest)) {
        return Err(identity("cert-digest-mismatch", "the app is signed by somebody else"));
    }
    let version = field(verdict, &["appIntegrity", "versionCode"]).and_then(whole_number);
    let version = version.and_then(|version| u64::try_from(version).ok());
    if config.min_version_code > 0 && version.is_none_or(|version| version < config.min_version_code) {
        return Err(integrity("version-too-old", "the app is older than min_version_code, or of unknown version"));
    }
    Ok(())
}

/// Steps 11 and 12.
fn check_surroundings(verdict: &Verdict, config: &PlayIntegrityConfig) -> Result<(), Rejection> {
    if !elements(verdict, &DEVICE_LABELS).iter().any(|label| label.as_str() == Some(config.device.as_str())) {
        return Err(integrity("integrity-device", "Google does not give the device the required label"));
    }
    if config.require_licensed && text(verdict, &LICENSING) != Some("LICENSED") {
        return Err(integrity(
            "unlicensed",
            "the account did not get the app from Google Play, or Google does not say",
        ));
    }
    if !config.play_protect.is_empty() && !is_allowed(text(verdict, &PLAY_PROTECT), &config.play_protect) {
        return Err(integrity("environment-risk", "the verdict of Play Protect is none of those that pass, or absent"));
    }
    // There is always some app, so an empty list means that Google did not look.
    let apps = elements(verdict, &APPS_DETECTED);
    let all_allowed = !apps.is_empty() && apps.iter().all(|kind| is_allowed(kind.as_str(), &config.apps_detected));
    if !config.apps_detected.is_empty() && !all_allowed {
        return Err(integrity(
            "environment-risk",
            "apps of a kind that does not pass are there, or Google does not say",
        ));
    }
    Ok(())
}

fn is_allowed(found: Option<&str>, allowed: &[String]) -> bool {
    found.is_some_and(|found| allowed.iter().any(|allowed| allowed == found))
}

/// A 64-bit number as Google's JSON has it: as text. Older documentation shows numbers.
fn whole_number(value: &Value) -> Option<i64> {
    match value {
        Value::String(digits) => digits.parse().ok(),
        Value::Number(number) => number.as_i64(),
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => None,
    }
}

/// The strongest label of the device.
fn strongest_label(verdict: &Verdict) -> &'static str {
    const LABELS: [&str; 4] =
        ["MEETS_STRONG_INTEGRITY", "MEETS_DEVICE_INTEGRITY", "MEETS_BASIC_INTEGRITY", "MEETS_VIRTUAL_INTEGRITY"];
    let has = |label: &&str| elements(verdict, &DEVICE_LABELS).iter().any(|found| found.as_str() == Some(*label));
    LABELS.into_iter().find(has).unwrap_or("NONE")
}

/// One of the labels that are known, so that a signal cannot hold anything else.
fn known(found: Option<&str>, labels: &[&'static str]) -> &'static str {
    labels.iter().copied().find(|label| found == Some(*label)).unwrap_or("UNKNOWN")
}

fn identity(code: &'static str, detail: &'static str) -> Rejection {
    Rejection::new(code, Stage::Identity, detail)
}

fn integrity(code: &'static str, detail: &'static str) -> Rejection {
    Rejection::new(code, Stage::Integrity, detail)
}
