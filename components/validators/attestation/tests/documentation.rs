//! `docs/attestation.md` names every code and every setting, and every code is reached by a test.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use serde::Serialize;
use tocsin_attestation::android_key::AndroidKeyConfig;
use tocsin_attestation::apple::app_attest::AppAttestConfig;
use tocsin_attestation::apple::device_check::DeviceCheckConfig;
use tocsin_attestation::google::play_integrity::PlayIntegrityConfig;
use tocsin_attestation::google::safetynet::SafetyNetConfig;

/// Texts in the source that look like codes and are none: methods, sets of trust anchors, formats, signals and labels.
const NO_CODES: [&str; 24] = [
    "android-key",
    "android-key-attestation",
    "app-attest",
    "app-attest-assertion",
    "apple-app-attest",
    "apple-appattest",
    "apple-root-g3",
    "attestation-version",
    "basic-integrity",
    "content-type",
    "cts-profile-match",
    "device-check",
    "ens-v1",
    "ens-v3",
    "ens-v4",
    "hardware-backed",
    "kebab-case",
    "play-integrity",
    "play-integrity-classic",
    "play-integrity-standard",
    "safetynet",
    "security-level",
    "strong-box",
    "test-util",
];

/// Codes of one word.
const SHORT_CODES: [&str; 3] = ["replayed", "stale", "unlicensed"];

const STAGES: [&str; 10] =
    ["config", "parse", "chain", "signature", "binding", "identity", "freshness", "integrity", "state", "upstream"];

fn manifest() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn document() -> String {
    std::fs::read_to_string(manifest().join("../../../docs/attestation.md")).expect("the document")
}

/// The Rust files below a folder.
fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("readable").path());
    entries
        .flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] })
        .filter(|path| path.extension().is_some_and(|extension| extension == "rs"))
        .collect()
}

fn is_test(path: &Path) -> bool {
    let path = path.strip_prefix(manifest()).expect("below the crate");
    path.components().any(|part| matches!(part.as_os_str().to_str(), Some("tests" | "tests.rs" | "testing.rs")))
}

/// The texts in quotes that could be codes.
fn candidates(source: &str) -> impl Iterator<Item = &str> {
    let known = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    source.split('"').filter(move |text| {
        let is_word = !text.is_empty() && text.bytes().all(known) && !text.starts_with('-') && !text.ends_with('-');
        is_word && (text.contains('-') || SHORT_CODES.contains(text))
    })
}

/// The codes in the source.
fn codes() -> BTreeSet<String> {
    let mut codes = BTreeSet::new();
    for path in files(&manifest().join("src")) {
        let source = std::fs::read_to_string(&path).expect("a text");
        let is_check = path.ends_with("src/fuzz_checks.rs");
        if is_test(&path) || is_check {
            continue;
        }
        let code = source.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default();
        codes.extend(candidates(code).filter(|text| !NO_CODES.contains(text)).map(str::to_owned));
    }
    codes
}

/// The cells of the first columns of tables, by the heading above them: name and second cell.
fn rows(document: &str) -> Vec<(&str, &str, &str)> {
    let mut heading = "";
    let mut rows = Vec::new();
    for line in document.lines() {
        if let Some(text) = line.strip_prefix("## ") {
            heading = text;
        }
        let mut cells = line.trim_matches('|').split('|').map(str::trim);
        if let (true, Some(name), Some(second)) = (line.starts_with("| `"), cells.next(), cells.next()) {
            rows.push((heading, name.trim_matches('`'), second));
        }
    }
    rows
}

#[test]
fn every_code_is_documented_with_its_stage_and_no_other_is() {
    let document = document();
    let documented: BTreeSet<String> = rows(&document)
        .into_iter()
        .filter(|(_, _, second)| STAGES.contains(second))
        .map(|(_, name, _)| name.to_owned())
        .collect();
    assert_eq!(documented, codes());
}

#[test]
fn every_code_is_reached_by_a_test() {
    let sources: String = ["src", "tests"]
        .iter()
        .flat_map(|folder| files(&manifest().join(folder)))
        .filter(|path| is_test(path) && !path.ends_with("documentation.rs"))
        .map(|path| std::fs::read_to_string(path).expect("a text"))
        .collect();
    let tested: BTreeSet<&str> = candidates(&sources).collect();
    let missing: Vec<String> = codes().into_iter().filter(|code| !tested.contains(code.as_str())).collect();
    assert_eq!(missing, Vec::<String>::new());
}

/// The codes of the specification that validators give. `replayed` after a lost race, `challenge-unknown` and
/// `challenge-expired` are the host's.
#[test]
fn no_step_was_left_out() {
    let expected = "config-missing sn-malformed sn-alg sn-x5c-missing sn-x5c-malformed sn-chain sn-chain-expired sn-hostname \
        sn-signature sn-nonce-missing binding-mismatch stale in-future app-mismatch cert-digest-mismatch integrity-cts \
        integrity-basic pi-malformed pi-alg pi-decrypt pi-inner-alg pi-signature pi-token-rejected upstream-auth \
        upstream-unavailable binding-missing pi-testing-response app-unrecognized version-too-old integrity-device \
        unlicensed environment-risk replayed ka-chain-shape ka-root ka-chain ka-chain-expired ka-chain-extended \
        ka-revoked revocation-unavailable ka-extension integrity-security-level ka-key-origin integrity-boot \
        patch-too-old dc-token-rejected upstream-config aa-malformed aa-fmt aa-authdata aa-chain aa-chain-expired \
        aa-nonce-missing aa-key-id aa-counter aa-environment aa-credential-id aa-cose-key aa-category \
        aa-bundle-version aa-receipt-malformed aa-receipt-signature aa-receipt-chain aa-receipt-app aa-receipt-key \
        aa-receipt-binding key-exists aa-assert-malformed aa-unknown-key aa-assert-signature challenge-missing";
    let codes = codes();
    let missing: Vec<&str> = expected.split_whitespace().filter(|code| !codes.contains(*code)).collect();
    assert_eq!(missing, Vec::<&str>::new());
}

#[test]
fn every_setting_is_documented_and_no_other_is() {
    fn fields(config: impl Serialize) -> BTreeSet<String> {
        let value = serde_json::to_value(config).expect("JSON");
        value.as_object().expect("an object").keys().cloned().collect()
    }
    let document = document();
    let mut documented: BTreeMap<&str, BTreeSet<String>> = BTreeMap::new();
    for (heading, name, second) in rows(&document) {
        if !STAGES.contains(&second) {
            documented.entry(heading).or_default().insert(name.to_owned());
        }
    }
    let check = |heading: &str, expected| assert_eq!(documented.get(heading), Some(&expected), "{heading}");
    check("app-attest", fields(AppAttestConfig::default()));
    check("device-check", fields(DeviceCheckConfig::default()));
    check("play-integrity", fields(PlayIntegrityConfig::default()));
    check("android-key", fields(AndroidKeyConfig::default()));
    check("safetynet", fields(SafetyNetConfig::default()));
}
