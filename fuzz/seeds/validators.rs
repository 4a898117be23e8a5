//! Evidence for the validators. None of it is anybody's, and none is accepted: where there is a certificate, it is
//! Apple's root.

use crate::{Seed, seed};
use serde_json::json;
use tocsin_attestation::fuzz_checks::{APP, HASH, NOW, SIGNER, apple_root};

/// CBOR: a head of that major type.
fn head(major: u8, length: usize) -> Vec<u8> {
    match u16::try_from(length).expect("short").to_be_bytes() {
        [0, low] if low < 24 => vec![major << 5 | low],
        [0, low] => vec![major << 5 | 24, low],
        [high, low] => vec![major << 5 | 25, high, low],
    }
}

fn bytes(content: &[u8]) -> Vec<u8> {
    [head(2, content.len()), content.to_vec()].concat()
}

fn text(content: &str) -> Vec<u8> {
    [head(3, content.len()), content.as_bytes().to_vec()].concat()
}

fn array(members: &[Vec<u8>]) -> Vec<u8> {
    [head(4, members.len()), members.concat()].concat()
}

fn map(entries: &[(&str, Vec<u8>)]) -> Vec<u8> {
    let entries: Vec<Vec<u8>> = entries.iter().map(|(name, value)| [text(name), value.clone()].concat()).collect();
    [head(5, entries.len()), entries.concat()].concat()
}

/// Authenticator data: what it begins with, and the rest.
fn auth_data(rest: &[Vec<u8>]) -> Vec<u8> {
    [&[5; 32][..], &[0x40, 0, 0, 0, 1], &rest.concat()].concat()
}

fn credential() -> Vec<u8> {
    let cose = [&[0xa5, 1, 2, 3, 0x26, 0x20, 1, 0x21][..], &bytes(&[1; 32]), &[0x22], &bytes(&[2; 32])].concat();
    [&b"appattestdevelop"[..], &[0, 32], &[0; 32], &cose].concat()
}

fn attestation(x5c: &[Vec<u8>], auth_data: &[u8], receipt: &[u8]) -> Vec<u8> {
    let statement = map(&[("x5c", array(x5c)), ("receipt", bytes(receipt))]);
    map(&[("fmt", text("apple-appattest")), ("attStmt", statement), ("authData", bytes(auth_data))])
}

fn after(select: u8, rest: &[u8]) -> Vec<u8> {
    [&[select], rest].concat()
}

/// See `fuzz_checks::app_attest`.
pub(crate) fn app_attest() -> Vec<Seed> {
    let root = bytes(&apple_root());
    let both = [root.clone(), root.clone()];
    let extensions =
        map(&[("apple_validation_category_01", bytes(&[4, 0, 0, 0])), ("apple_bundle_version_01", text("17"))]);
    let good = attestation(&both, &auth_data(&[credential()]), &[]);
    let signed = |rest: &[Vec<u8>]| {
        map(&[("signature", bytes(&[0x30, 6, 2, 1, 1, 2, 1, 1])), ("authenticatorData", bytes(&auth_data(rest)))])
    };
    // BER, as receipts are: signed data of indefinite length without anything in it.
    let receipt =
        [0x30, 0x80, 6, 9, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 7, 2, 0xa0, 0x80, 0x30, 0x80, 0, 0, 0, 0, 0, 0];
    vec![
        seed("attestation", after(0, &good)),
        seed(
            "attestation_of_ios_27",
            after(0, &attestation(&both, &auth_data(&[credential(), extensions.clone()]), &[])),
        ),
        seed("attestation_with_receipt", after(1, &attestation(&both, &auth_data(&[credential()]), &receipt))),
        seed("attestation_without_credential", after(0, &attestation(&both, &auth_data(&[]), &[]))),
        seed("one_certificate", after(0, &attestation(&both[..1], &auth_data(&[credential()]), &[]))),
        seed("no_certificate", after(0, &attestation(&[bytes(&[0x30, 0]), root], &auth_data(&[credential()]), &[]))),
        seed("other_format", after(0, &map(&[("fmt", text("packed"))]))),
        seed("assertion", after(6, &signed(&[]))),
        seed("assertion_of_ios_27", after(6, &signed(&[extensions]))),
        seed("assertion_of_unknown_key", after(2, &signed(&[]))),
        seed("assertion_without_signature", after(6, &map(&[("authenticatorData", bytes(&auth_data(&[])))]))),
        seed("cut", after(0, &good[..good.len() / 2])),
        seed("trailing_bytes", after(0, &[good, vec![0]].concat())),
        seed("deep", after(0, &[0x81; 64])),
        seed("indefinite_length", after(0, &[0xbf, 0xff])),
        seed("empty", ""),
    ]
}

/// DER: one value. The tag may have several bytes.
fn der(tag: &[u8], content: &[u8]) -> Vec<u8> {
    let length = match u16::try_from(content.len()).expect("short").to_be_bytes() {
        [0, low] if low < 0x80 => vec![low],
        [0, low] => vec![0x81, low],
        [high, low] => vec![0x82, high, low],
    };
    [tag, &length, content].concat()
}

fn integer(number: u64) -> Vec<u8> {
    let bytes = number.to_be_bytes();
    let first = bytes.iter().position(|byte| *byte != 0).unwrap_or(7);
    let sign = if bytes[first] >= 0x80 { &[0][..] } else { &[] };
    der(&[2], &[sign, &bytes[first..]].concat())
}

/// The description of a key, right in everything, with these lists.
fn description(software: &[Vec<u8>], hardware: &[Vec<u8>]) -> Vec<u8> {
    let level = der(&[0x0a], &[1]);
    let lists = [der(&[0x30], &software.concat()), der(&[0x30], &hardware.concat())].concat();
    let members = [integer(300), level.clone(), integer(300), level, der(&[4], &HASH), der(&[4], &[]), lists].concat();
    der(&[0x30], &members)
}

/// See `fuzz_checks::android_key`.
pub(crate) fn android_key() -> Vec<Seed> {
    let created = der(&[0xbf, 0x85, 0x3d], &integer(NOW.unsigned_abs() * 1_000));
    let package = der(&[0x30], &[der(&[4], APP.as_bytes()), integer(7)].concat());
    let application = der(&[0x30], &[der(&[0x31], &package), der(&[0x31], &der(&[4], &SIGNER))].concat());
    let application = der(&[0xbf, 0x85, 0x45], &der(&[4], &application));
    let purpose = der(&[0xa1], &der(&[0x31], &integer(2)));
    let origin = der(&[0xbf, 0x85, 0x3e], &integer(0));
    let boot = [der(&[4], &[1; 32]), der(&[1], &[0xff]), der(&[0x0a], &[0]), der(&[4], &[2; 32])].concat();
    let boot = der(&[0xbf, 0x85, 0x40], &der(&[0x30], &boot));
    let software = [created, application];
    let hardware = [purpose, origin, boot];
    let good = description(&software, &hardware);
    let piece = |der: &[u8]| [&u16::try_from(der.len()).expect("short").to_be_bytes()[..], der].concat();
    let root = apple_root();
    vec![
        seed("description", &good),
        seed("description_of_software_alone", description(&software, &[])),
        seed("description_without_app", description(&software[..1], &hardware)),
        seed("description_of_unlocked_device", description(&software, &hardware[..2])),
        seed("description_out_of_order", description(&[software[1].clone(), software[0].clone()], &hardware)),
        seed("description_cut", &good[..good.len() - 40]),
        seed("chain_of_three", piece(&root).repeat(3)),
        seed("chain_of_four", piece(&root).repeat(4)),
        seed("chain_of_two", piece(&root).repeat(2)),
        seed("chain_of_seven", piece(&root).repeat(7)),
        seed("chain_with_rubbish", [piece(&root).repeat(2), piece(&[0x30, 0])].concat()),
        seed("text", "MAA=,MAA=,MAA="),
        seed("empty", ""),
    ]
}

fn base64url(bytes: &[u8]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let mut text = String::new();
    for chunk in bytes.chunks(3) {
        let bits = (0..3).fold(0_usize, |bits, at| bits << 8 | usize::from(*chunk.get(at).unwrap_or(&0)));
        let characters = (0..=chunk.len()).map(|at| char::from(ALPHABET[bits >> (18 - 6 * at) & 63]));
        text.extend(characters);
    }
    text
}

/// See `fuzz_checks::play_integrity`.
pub(crate) fn play_integrity() -> Vec<Seed> {
    let header = base64url(br#"{"alg":"A256KW","enc":"A256GCM"}"#);
    let parts = [base64url(&[1; 40]), base64url(&[2; 12]), base64url(&[3; 90]), base64url(&[4; 16])].join(".");
    let verdict = json!({
        "requestDetails": {
            "requestPackageName": APP,
            "nonce": base64url(&HASH),
            "requestHash": base64url(&HASH),
            "timestampMillis": format!("{NOW}000"),
        },
        "appIntegrity": {
            "appRecognitionVerdict": "PLAY_RECOGNIZED",
            "packageName": APP,
            "certificateSha256Digest": [base64url(&SIGNER)],
            "versionCode": "42",
        },
        "deviceIntegrity": {"deviceRecognitionVerdict": ["MEETS_DEVICE_INTEGRITY"]},
        "accountDetails": {"appLicensingVerdict": "LICENSED"},
    });
    let answer = |change: &dyn Fn(&mut serde_json::Value)| {
        let mut verdict = verdict.clone();
        change(&mut verdict);
        json!({"tokenPayloadExternal": verdict}).to_string()
    };
    vec![
        seed("token", format!("{header}.{parts}")),
        seed("token_of_other_algorithm", format!("{}.{parts}", base64url(br#"{"alg":"dir","enc":"A256GCM"}"#))),
        seed("token_of_four_parts", &format!("{header}.{parts}")[..header.len() + 100]),
        seed("standard_token", "AAAA.BBBB-_.CCCC"),
        seed("verdict", answer(&|_| ())),
        seed("verdict_about_another", answer(&|verdict| verdict["requestDetails"]["nonce"] = json!("AAAA"))),
        seed("verdict_of_old", answer(&|verdict| verdict["requestDetails"]["timestampMillis"] = json!("1"))),
        seed(
            "verdict_cleared",
            answer(&|verdict| {
                verdict["deviceIntegrity"] = json!({});
                verdict["appIntegrity"] = json!({"appRecognitionVerdict": "UNEVALUATED"});
                verdict["accountDetails"] = json!({"appLicensingVerdict": "UNEVALUATED"});
            }),
        ),
        seed("verdict_for_tests", answer(&|verdict| verdict["testingDetails"] = json!({"isTestingResponse": true}))),
        seed("verdict_of_wrong_types", answer(&|verdict| verdict["appIntegrity"] = json!([1]))),
        seed("answer_without_verdict", "{}"),
        seed("empty", ""),
    ]
}

/// See `fuzz_checks::safetynet`.
pub(crate) fn safetynet() -> Vec<Seed> {
    let certificate = base64url(&apple_root()).replace('-', "+").replace('_', "/");
    let certificate = format!("{certificate}{}", "=".repeat((4 - certificate.len() % 4) % 4));
    let claims = json!({"nonce": "AAAA", "timestampMs": NOW * 1_000, "apkPackageName": APP}).to_string();
    let token = |header: serde_json::Value, claims: &str| {
        let parts = [header.to_string().as_bytes(), claims.as_bytes(), &[9; 256]].map(base64url);
        parts.join(".")
    };
    let good = token(json!({"alg": "RS256", "x5c": [certificate]}), &claims);
    vec![
        seed("token", after(0, good.as_bytes())),
        seed("token_in_an_archive", after(1, good.as_bytes())),
        seed("token_of_the_first_format", after(2, good.as_bytes())),
        seed("token_of_the_fourth_format", after(4, good.as_bytes())),
        seed(
            "two_certificates",
            after(0, token(json!({"alg": "RS256", "x5c": [certificate, certificate]}), &claims).as_bytes()),
        ),
        seed("no_certificates", after(0, token(json!({"alg": "RS256"}), &claims).as_bytes())),
        seed("other_algorithm", after(0, token(json!({"alg": "none"}), &claims).as_bytes())),
        seed(
            "time_in_quotes",
            after(1, token(json!({"alg": "RS256", "x5c": [certificate]}), r#"{"timestampMs":"1"}"#).as_bytes()),
        ),
        seed("claims_twice", after(0, token(json!({"alg": "RS256"}), r#"{"nonce":"a","nonce":"b"}"#).as_bytes())),
        seed("configuration", r#"{"enabled":true,"certificate_sha256":["00"],"score":101}"#),
        seed("empty", ""),
    ]
}

/// See `fuzz_checks::device_check`.
pub(crate) fn device_check() -> Vec<Seed> {
    let answer = |status: u16, body: &str| [&status.to_be_bytes()[..], body.as_bytes()].concat();
    vec![
        seed("token", answer(200, "dG9rZW4=")),
        seed("token_without_padding", answer(200, "dG9rZW4")),
        seed("token_of_another_spelling", answer(200, "dG9rZW5=")),
        seed("bad_token", answer(400, "Bad Device Token")),
        seed("missing_token", answer(400, "Missing or badly formatted device token payload")),
        seed("bad_request", answer(400, "Bad Timestamp")),
        seed("unauthorized", answer(401, "Unable to verify authorization token")),
        seed("too_many", answer(429, "")),
        seed("fault", answer(503, "")),
        seed("redirect", answer(302, "")),
        seed("empty", ""),
    ]
}
