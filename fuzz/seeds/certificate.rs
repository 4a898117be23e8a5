//! Certificates, whole and as the JSON of header and claims with a line break between.

use crate::{Seed, seed};
use serde_json::{Value, json};
use tocsin_domain::base64;
use tocsin_domain::testing::fuzz_checks::{AUDIENCE, HMAC_SECRET, ISSUER, KEY_VERSION, NOW, proof_keys};
use tocsin_domain::verification::hmac::{Transcript, keys_hmac};
use tocsin_domain::verification::issue::{CertificateRequest, assemble, phone_hmac, signing_input};

fn header() -> Value {
    json!({"alg": "ES256", "kid": KEY_VERSION, "typ": "JWT"})
}

fn claims() -> Value {
    json!({"iss": ISSUER, "aud": AUDIENCE, "iat": NOW.unix(), "exp": NOW.unix() + 300, "nbf": NOW.unix(),
        "reportType": "confirmed", "symptomOnsetInterval": NOW.interval().get() - 500,
        "tekmac": base64::encode(&phone_hmac(HMAC_SECRET, &proof_keys()))})
}

fn lines(name: &str, header: &Value, claims: &Value) -> Seed {
    seed(name, format!("{header}\n{claims}"))
}

pub(crate) fn seeds() -> Vec<Seed> {
    let request = CertificateRequest {
        issuer: ISSUER,
        audience: AUDIENCE,
        key_version: KEY_VERSION,
        report_type: "likely",
        symptom_onset: 0,
        issued_at: NOW,
        expires_at: NOW.plus_seconds(300),
        hmac: phone_hmac(HMAC_SECRET, &proof_keys()),
    };
    let whole = assemble(&signing_input(&request), &[7; 64]);
    let empty = base64::encode_url(b"{}");
    let mut seeds = vec![
        seed("valid", &whole),
        seed("valid_without_signature", whole.rsplit_once('.').map_or("", |(signed, _)| signed).to_owned() + "."),
        seed("two_segments", whole.rsplit_once('.').map_or("", |(signed, _)| signed)),
        seed("four_segments", format!("{whole}.x")),
        seed("empty", ""),
        seed("dots", ".."),
        seed("padded_segment", format!("{empty}=.{empty}.")),
        seed("empty_objects", format!("{empty}.{empty}.{empty}")),
        seed("not_base64", "*.*.*"),
        lines("valid_lines", &header(), &claims()),
        seed("header_is_no_object", format!("[]\n{}", claims())),
        seed("header_twice", format!("{}{}\n{}", header(), header(), claims())),
        seed("header_deep", format!("{{\"alg\":{}\n{}", "[".repeat(300), claims())),
        seed("claims_null", format!("{}\nnull", header())),
        seed("claims_cut", format!("{}\n{{\"iss\":\"iss", header())),
        seed("claims_deep", format!("{}\n{{\"x\":{}1{}}}", header(), "[".repeat(300), "]".repeat(300))),
        seed("claims_surrogate", format!("{}\n{{\"iss\":\"\\ud800\"}}", header())),
        seed("claims_large_number", format!("{}\n{{\"exp\":1e999,\"iat\":{}}}", header(), "9".repeat(400))),
        seed(
            "claims_twice",
            format!("{}\n{}", header(), claims().to_string().replacen('{', "{\"ISS\":\"x\",\"Exp\":1,", 1)),
        ),
        seed("claims_invalid_utf8", [format!("{}\n", header()).as_bytes(), b"{\"iss\":\"\xff\"}"].concat()),
    ];
    for (name, field, value) in [
        ("alg_none", "alg", json!("none")),
        ("alg_hs256", "alg", json!("HS256")),
        ("alg_number", "alg", json!(256)),
        ("kid_number", "kid", json!(1)),
        ("kid_null", "kid", json!(null)),
        ("kid_expired", "kid", json!("expired")),
        ("kid_unknown", "kid", json!("v2")),
    ] {
        let mut header = header();
        header[field] = value;
        seeds.push(lines(&format!("header_{name}"), &header, &claims()));
    }
    let without_risk = base64::encode_url(&keys_hmac(HMAC_SECRET, &proof_keys(), Transcript::WithoutRisk));
    for (name, field, value) in [
        ("other_issuer", "iss", json!("other.example")),
        ("unknown_issuer", "iss", json!("\u{1f600}".repeat(200))),
        ("other_audience", "aud", json!("\u{1f600}".repeat(200))),
        ("audience_array", "aud", json!([AUDIENCE])),
        ("expired", "exp", json!(NOW.unix() - 100)),
        ("expiry_smallest", "exp", json!(i64::MIN)),
        ("expiry_largest", "exp", json!(i64::MAX)),
        ("expiry_text", "exp", json!("1")),
        ("issued_later", "iat", json!(NOW.unix() + 100)),
        ("issued_fraction", "iat", json!(1.5)),
        ("not_before_later", "nbf", json!(i64::MAX)),
        ("negative", "reportType", json!("negative")),
        ("user_report", "reportType", json!("user-report")),
        ("report_type_unknown", "reportType", json!("recursive")),
        ("report_type_missing", "reportType", json!(null)),
        ("onset_none", "symptomOnsetInterval", json!(0)),
        ("onset_largest", "symptomOnsetInterval", json!(u32::MAX)),
        ("onset_negative", "symptomOnsetInterval", json!(-1)),
        ("hmac_without_risk", "tekmac", json!(without_risk)),
        ("hmac_other", "tekmac", json!("AAAA")),
        ("hmac_not_base64", "tekmac", json!("*")),
        ("legacy", "trisk", json!([{"tr": 1, "sinceRollingInterval": 2}])),
    ] {
        let mut claims = claims();
        claims[field] = value;
        seeds.push(lines(&format!("claims_{name}"), &header(), &claims));
    }
    seeds
}
