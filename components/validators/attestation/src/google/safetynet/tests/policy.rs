//! Attestations of our own making, each wrong in one way.

use super::make::{Chain, claims, dns, nonce};
use super::*;
use crate::contract::Commit;
use base64ct::{Base64, Base64Unpadded, Base64UrlUnpadded, Encoding};
use rcgen::{BasicConstraints, CustomExtension, ExtendedKeyUsagePurpose, IsCa, KeyUsagePurpose, date_time_ymd};

#[test]
fn attestation_of_our_own_is_accepted() {
    assert_eq!(judged(&Attestation::genuine(), &config()), None);
}

fn check_part(expect: (&'static str, Stage), change: impl FnOnce(&mut Attestation)) {
    let mut attestation = Attestation::genuine();
    change(&mut attestation);
    assert_eq!(judged(&attestation, &config()), Some(expect));
}

#[test]
fn token_must_be_a_jws_of_objects() {
    let malformed = ("sn-malformed", Stage::Parse);
    check_part(malformed, |attestation| attestation.header = Some("[]".to_owned()));
    check_part(malformed, |attestation| attestation.payload = "[]".to_owned());
    check_part(malformed, |attestation| attestation.payload = r#"{"nonce":"a","nonce":"b"}"#.to_owned());
    check_part(malformed, |attestation| attestation.payload = " ".repeat(32 * 1024));
    let token = Attestation::genuine().token();
    for token in [String::new(), token.clone() + ".", token.clone() + "=", token.replacen('.', "", 1)] {
        let outcome = begin(&submission("ens-v3", make::HASH), &evidence(&token), &config(), &make::host());
        assert_eq!(refusal(&outcome), Some(malformed));
    }
}

/// The reference server took every algorithm of RSA.
#[test]
fn algorithm_is_rs256_and_nothing_else() {
    for algorithm in ["none", "HS256", "RS384", "RS512", "PS256", "ES256", "rs256", ""] {
        check_part(("sn-alg", Stage::Parse), |attestation| attestation.algorithm = algorithm);
    }
    let critical = r#"{"alg":"RS256","crit":["exp"]}"#;
    check_part(("sn-alg", Stage::Parse), |attestation| attestation.header = Some(critical.to_owned()));
}

#[test]
fn certificates_must_be_there_and_be_certificates() {
    let (missing, malformed) = (("sn-x5c-missing", Stage::Parse), ("sn-x5c-malformed", Stage::Parse));
    check_part(missing, |attestation| attestation.header = Some(r#"{"alg":"RS256"}"#.to_owned()));
    check_part(missing, |attestation| attestation.x5c.clear());
    for x5c in [json!("AAAA"), json!(null), json!([1]), json!([""]), json!(["-_-_"]), json!(["AAAA"]), json!(["A"])] {
        let header = json!({"alg": "RS256", "x5c": x5c}).to_string();
        check_part(malformed, |attestation| attestation.header = Some(header));
    }
    check_part(malformed, |attestation| attestation.x5c.push(vec![]));
    check_part(malformed, |attestation| attestation.x5c[1].push(0));
    // Five are read, even if the walk ends before.
    let fill = |attestation: &mut Attestation, count| {
        let last = attestation.x5c[1].clone();
        attestation.x5c.resize(count, last);
    };
    check_part(malformed, |attestation| fill(attestation, 6));
    let mut five = Attestation::genuine();
    fill(&mut five, 5);
    assert_eq!(judged(&five, &config()), None);
}

fn check_chain(expect: impl Into<Option<&'static str>>, change: impl FnOnce(&mut Chain)) {
    let mut chain = Chain::genuine();
    change(&mut chain);
    let found = judged(&Attestation::under(&chain), &config());
    let expect: Option<&'static str> = expect.into();
    assert_eq!(found.map(|(code, _)| code), expect);
}

#[test]
fn chain_leads_from_each_certificate_to_the_next_and_to_an_anchor() {
    let chain = ("sn-chain", Stage::Chain);
    check_part(chain, |attestation| attestation.x5c.truncate(1));
    check_part(chain, |attestation| attestation.x5c.reverse());
    check_part(chain, |attestation| {
        let leaf = attestation.x5c[0].clone();
        attestation.x5c.insert(1, leaf);
    });
    // The names fit, the signature is another key's.
    check_chain("sn-chain", |chain| chain.issuer_of_leaf = 14);
    // A root that comes with the evidence is no anchor.
    let [root, intermediate, leaf] = Chain::genuine().certificates();
    let own = Attestation { x5c: vec![leaf, intermediate, root], ..Attestation::genuine() };
    assert_eq!(judged(&own, &config()), None);
    let stranger = Host { anchors: vec![vec![0]], ..make::host() };
    let outcome = begin(&submission("ens-v3", make::HASH), &evidence(&own.token()), &config(), &stranger);
    assert_eq!(refusal(&outcome), Some(chain));
}

#[test]
fn certificates_are_used_for_what_they_are_for() {
    check_chain("sn-chain", |chain| chain.intermediate.is_ca = IsCa::ExplicitNoCa);
    check_chain("sn-chain", |chain| chain.intermediate.is_ca = IsCa::NoCa);
    check_chain("sn-chain", |chain| chain.intermediate.key_usages = vec![KeyUsagePurpose::CrlSign]);
    check_chain(None, |chain| chain.intermediate.key_usages.clear());
    check_chain(None, |chain| chain.intermediate.is_ca = IsCa::Ca(BasicConstraints::Unconstrained));
    check_chain("sn-chain", |chain| {
        chain.intermediate.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    });
    check_chain(None, |chain| chain.intermediate.extended_key_usages.clear());
    check_chain("sn-chain", |chain| chain.leaf.extended_key_usages.clear());
    check_chain("sn-chain", |chain| chain.leaf.extended_key_usages = vec![ExtendedKeyUsagePurpose::EmailProtection]);
    check_chain("sn-chain", |chain| chain.leaf.key_usages = vec![KeyUsagePurpose::KeyEncipherment]);
    let critical = |critical| {
        // Name constraints: a limit that is not enforced here.
        let mut extension = CustomExtension::from_oid_content(&[2, 5, 29, 30], vec![0x30, 0]);
        extension.set_criticality(critical);
        extension
    };
    check_chain("sn-chain", |chain| chain.intermediate.custom_extensions.push(critical(true)));
    check_chain(None, |chain| chain.intermediate.custom_extensions.push(critical(false)));
}

/// The reference server took the machine's own trust anchors and clock.
#[test]
fn all_but_the_anchor_must_be_valid() {
    check_chain("sn-chain-expired", |chain| chain.leaf.not_after = date_time_ymd(2020, 2, 1));
    check_chain("sn-chain-expired", |chain| chain.leaf.not_before = date_time_ymd(2020, 12, 1));
    check_chain("sn-chain-expired", |chain| chain.intermediate.not_after = date_time_ymd(2020, 2, 1));
}

#[test]
fn leaf_is_for_the_host_that_signs_attestations() {
    check_chain(None, |chain| chain.leaf.subject_alt_names = vec![dns("example.org"), dns("ATTEST.android.com")]);
    for name in ["example.org", "*.android.com", "attest.android.com.example.org", "xattest.android.com"] {
        check_chain("sn-hostname", |chain| chain.leaf.subject_alt_names = vec![dns(name)]);
    }
    // The common name does not count.
    check_chain("sn-hostname", |chain| {
        chain.leaf.subject_alt_names.clear();
        chain.leaf.distinguished_name.push(rcgen::DnType::CommonName, "attest.android.com");
    });
}

#[test]
fn signature_is_by_the_rsa_key_of_the_leaf() {
    check_chain("sn-signature", |chain| chain.ec_leaf = true);
    let token = Attestation::genuine().token();
    let other = Attestation { payload: "{}".to_owned(), ..Attestation::genuine() }.token();
    let (signed, _) = token.rsplit_once('.').expect("dots");
    let (_, signature) = other.rsplit_once('.').expect("dots");
    for signature in [signature, "AAAA", &"A".repeat(342)] {
        let token = format!("{signed}.{signature}");
        let outcome = begin(&submission("ens-v3", make::HASH), &evidence(&token), &config(), &make::host());
        assert_eq!(refusal(&outcome), Some(("sn-signature", Stage::Signature)));
    }
}

fn check_claim(name: &str, value: impl Into<Option<Value>>, expect: impl Into<Option<&'static str>>) {
    check_claim_with(name, value, |_| (), expect);
}

fn check_claim_with(
    name: &str,
    value: impl Into<Option<Value>>,
    change: impl FnOnce(&mut SafetyNetConfig),
    expect: impl Into<Option<&'static str>>,
) {
    let (mut claims, mut config) = (claims(), config());
    let value = value.into();
    let object = claims.as_object_mut().expect("an object");
    match value.clone() {
        Some(value) => object.insert(name.to_owned(), value),
        None => object.remove(name),
    };
    change(&mut config);
    let found = judged(&Attestation::of(&claims), &config);
    let expect: Option<&'static str> = expect.into();
    assert_eq!(found.map(|(code, _)| code), expect, "{name} {value:?}");
}

#[test]
fn nonce_is_the_base64_of_the_base64_of_the_hash() {
    let padded = Base64::encode_string(&make::HASH);
    check_claim("nonce", json!(nonce(&padded).trim_end_matches('=')), None);
    check_claim("nonce", json!(nonce(&Base64Unpadded::encode_string(&make::HASH))), "binding-mismatch");
    check_claim("nonce", json!(nonce(&Base64UrlUnpadded::encode_string(&make::HASH))), "binding-mismatch");
    check_claim("nonce", json!(padded), "binding-mismatch");
    check_claim("nonce", json!("!"), "binding-mismatch");
    check_claim("nonce", json!(""), "binding-mismatch");
    for missing in [None, Some(json!(1)), Some(json!(null)), Some(json!([nonce(&padded)]))] {
        check_claim("nonce", missing, "sn-nonce-missing");
    }
}

#[test]
fn fourth_format_is_spelled_as_the_third() {
    let mut submission = submission("ens-v4", make::HASH);
    let config = SafetyNetConfig { binding: Binding::EnsV4, ..config() };
    let evidence = evidence(&Attestation::genuine().token());
    assert_eq!(refusal(&begin(&submission, &evidence, &config, &make::host())), None);
    submission.transcripts[0].format = "ens-v3".to_owned();
    let outcome = begin(&submission, &evidence, &config, &make::host());
    assert_eq!(refusal(&outcome), Some(("binding-mismatch", Stage::Binding)));
}

#[test]
fn time_is_a_whole_number_within_the_window() {
    let at = |seconds: i64, milliseconds: i64| json!((NOW + seconds) * 1_000 + milliseconds);
    check_claim("timestampMs", at(-600, 0), None);
    check_claim("timestampMs", at(-601, 999), "stale");
    check_claim("timestampMs", at(60, 999), None);
    check_claim("timestampMs", at(61, 0), "in-future");
    check_claim("timestampMs", json!(i64::MIN), "stale");
    check_claim("timestampMs", json!(i64::MAX), "in-future");
    for bad in [None, Some(json!(1.6e12)), Some(json!(u64::MAX)), Some(json!("1600000000000")), Some(json!(null))] {
        check_claim("timestampMs", bad.clone(), "sn-malformed");
        check_claim_with("timestampMs", bad, |config| config.archive = true, "sn-malformed");
    }
}

/// The reference server had the name in its options and never compared it.
#[test]
fn app_is_the_configured_one() {
    check_claim("apkPackageName", json!("com.example.other"), "app-mismatch");
    check_claim("apkPackageName", json!(APP.to_uppercase()), "app-mismatch");
    check_claim("apkPackageName", json!([APP]), "app-mismatch");
    check_claim("apkPackageName", None, "app-mismatch");
}

/// The reference server refused a sole correct certificate and took any wrong one beside it, and fell over a claim that
/// was absent.
#[test]
fn one_of_the_signers_is_a_configured_one() {
    const NAME: &str = "apkCertificateDigestSha256";
    let (right, wrong) = (Base64::encode_string(&APP_SIGNER), Base64::encode_string(&[9; 32]));
    let only = |config: &mut SafetyNetConfig| config.certificate_sha256 = vec![CertificateDigest(APP_SIGNER)];
    check_claim_with(NAME, json!([right]), only, None);
    check_claim_with(NAME, json!([wrong]), only, "cert-digest-mismatch");
    check_claim(NAME, json!([right]), None);
    check_claim(NAME, json!([wrong]), "cert-digest-mismatch");
    check_claim(NAME, json!([wrong, right]), None);
    for bad in [json!([]), json!(right), json!([1]), json!(["!"]), json!(["AAAA"]), json!(null), json!({})] {
        check_claim(NAME, bad, "cert-digest-mismatch");
    }
    check_claim(NAME, None, "cert-digest-mismatch");
}

#[test]
fn verdicts_must_be_true_when_required() {
    for bad in [None, Some(json!(false)), Some(json!("true")), Some(json!(1)), Some(json!(null))] {
        check_claim("ctsProfileMatch", bad.clone(), "integrity-cts");
        check_claim("basicIntegrity", bad.clone(), "integrity-basic");
        check_claim_with("ctsProfileMatch", bad.clone(), |config| config.require_cts_profile_match = false, None);
        check_claim_with("basicIntegrity", bad, |config| config.require_basic_integrity = false, None);
    }
}

#[test]
fn signals_say_what_the_attestation_says() {
    let mut claims = claims();
    claims["ctsProfileMatch"] = json!(false);
    let config = SafetyNetConfig { require_cts_profile_match: false, ..config() };
    let evidence = evidence(&Attestation::of(&claims).token());
    let Outcome::Accept(acceptance) = begin(&submission("ens-v3", make::HASH), &evidence, &config, &make::host())
    else {
        panic!("not accepted")
    };
    let values: Vec<&str> = acceptance.signals.iter().map(|(_, value)| value.as_str()).collect();
    assert_eq!(values, ["false", "true", "true"]);
}

#[test]
fn claim_lasts_as_long_as_the_attestation_and_at_most_30_days() {
    let expires_at = |max_age_seconds: u32| {
        let config = SafetyNetConfig { max_age_seconds, ..config() };
        let evidence = evidence(&Attestation::genuine().token());
        match begin(&submission("ens-v3", make::HASH), &evidence, &config, &make::host()) {
            Outcome::Accept(Acceptance { commits, .. }) => match commits.as_slice() {
                [Commit::ClaimOnce { expires_at, .. }] => Some(*expires_at),
                _ => None,
            },
            Outcome::Reject(_) | Outcome::Exchange(_) => None,
        }
    };
    assert_eq!(expires_at(600), Some(NOW + 660));
    assert_eq!(expires_at(30 * 86_400), Some(NOW + 30 * 86_400));
    assert_eq!(expires_at(u32::MAX), Some(NOW + 30 * 86_400));
}

/// What the earlier steps find is said, whatever the later ones would.
#[test]
fn steps_are_taken_in_order() {
    let mut claims = json!({"timestampMs": 0});
    let code = |claims: &Value| judged(&Attestation::of(claims), &config()).map(|(code, _)| code);
    assert_eq!(code(&claims), Some("sn-nonce-missing"));
    for (code_of_next, name) in [
        ("stale", "nonce"),
        ("app-mismatch", "timestampMs"),
        ("cert-digest-mismatch", "apkPackageName"),
        ("integrity-cts", "apkCertificateDigestSha256"),
        ("integrity-basic", "ctsProfileMatch"),
    ] {
        claims[name] = make::claims()[name].clone();
        assert_eq!(code(&claims), Some(code_of_next));
    }
    claims["basicIntegrity"] = json!(true);
    assert_eq!(code(&claims), None);
}
