use super::*;
use crate::health_authority::HealthAuthorityId;
use crate::ports::PortError;
use crate::ports::verifier::ProofKey;
use crate::testing::clock::FakeClock;
use crate::testing::health_authorities::FakeHealthAuthorities;
use crate::testing::signature_check::FakeSignatureCheck;
use crate::verification::issue::{CertificateRequest, assemble, phone_hmac, signing_input};
use p256::ecdsa::signature::{Signer, Verifier as _};
use p256::ecdsa::{Signature, SigningKey, VerifyingKey};
use proptest::prelude::*;
use serde_json::{Value, json};

const NOW: i64 = 1_600_000_000;
const KEY: &[u8] = b"fake public key";
const SECRET: &[u8] = b"a secret of the phone";

/// A world in which the default certificate is valid; each test bends one thing.
pub(super) struct World {
    pub(super) authorities: FakeHealthAuthorities,
    pub(super) signatures: FakeSignatureCheck,
    pub(super) settings: VerificationSettings,
    pub(super) now: i64,
    pub(super) allowed: Vec<HealthAuthorityId>,
    pub(super) header: Value,
    pub(super) claims: Value,
    pub(super) signing_key: Vec<u8>,
    pub(super) keys: Vec<(&'static str, i64)>,
    pub(super) hmac_key: String,
}

fn proof_keys<'k>(keys: &[(&'k str, i64)]) -> Vec<ProofKey<'k>> {
    let key =
        |&(key, transmission_risk)| ProofKey { key, rolling_start: 2_660_000, rolling_period: 144, transmission_risk };
    keys.iter().map(key).collect()
}

impl World {
    pub(super) fn new() -> Self {
        let keys = vec![("bbbbbbbbbbbbbbbbbbbbbQ==", 2), ("aaaaaaaaaaaaaaaaaaaaaQ==", 0)];
        let tekmac = base64::encode(&keys_hmac(SECRET, &proof_keys(&keys), Transcript::WithRisk));
        let key = HealthAuthorityKey {
            version: "v1".into(),
            from: Timestamp::from_unix(NOW - 1000),
            thru: None,
            public_key: KEY.to_vec(),
        };
        let authority = HealthAuthority {
            id: HealthAuthorityId(5),
            issuer: "issuer".into(),
            audience: "audience".into(),
            name: "Health".into(),
            statistics_enabled: true,
            keys: vec![key],
        };
        Self {
            authorities: FakeHealthAuthorities { authorities: vec![authority], ..Default::default() },
            signatures: FakeSignatureCheck::default(),
            settings: VerificationSettings::default(),
            now: NOW,
            allowed: vec![HealthAuthorityId(4), HealthAuthorityId(5)],
            header: json!({"alg": "ES256", "kid": "v1"}),
            claims: json!({"iss": "issuer", "aud": "audience", "iat": NOW, "exp": NOW + 300,
                "reportType": "confirmed", "symptomOnsetInterval": 2_659_000, "tekmac": tekmac}),
            signing_key: KEY.to_vec(),
            keys,
            hmac_key: base64::encode(SECRET),
        }
    }

    pub(super) fn claim(mut self, name: &str, value: Value) -> Self {
        self.claims[name] = value;
        self
    }

    pub(super) fn token(&self) -> String {
        let segment = |value: &Value| base64::encode_url(value.to_string().as_bytes());
        let signed = format!("{}.{}", segment(&self.header), segment(&self.claims));
        assemble(&signed, &FakeSignatureCheck::sign(&self.signing_key, signed.as_bytes()))
    }

    pub(super) fn with_proof<T>(&self, token: &str, look: impl FnOnce(&Proof<'_>) -> T) -> T {
        look(&Proof {
            verification_payload: token,
            hmac_key: &self.hmac_key,
            allowed_health_authorities: &self.allowed,
            keys: proof_keys(&self.keys),
        })
    }

    fn verify_token(&self, token: &str) -> Result<Claims, VerificationError> {
        let now = Timestamp::from_unix(self.now);
        self.with_proof(token, |proof| verify(proof, now, &self.settings, &self.authorities, &self.signatures))
    }

    fn verify(&self) -> Result<Claims, VerificationError> {
        self.verify_token(&self.token())
    }

    #[track_caller]
    fn check(&self, expect: &str) {
        match (self.verify(), expect) {
            (Ok(_), "") => {}
            (Err(VerificationError::Rejected(text)), expect) => assert_eq!(text, expect),
            (other, expect) => panic!("{other:?} instead of {expect:?}"),
        }
    }
}

#[test]
fn valid_certificate_gives_its_claims() {
    let expect = Claims {
        health_authority: HealthAuthorityId(5),
        report_type: ReportType::ConfirmedTest,
        symptom_onset: Some(2_659_000),
    };
    assert_eq!(World::new().verify(), Ok(expect.clone()));
    let without = World::new().claim("symptomOnsetInterval", json!(0)).verify();
    assert_eq!(without, Ok(Claims { symptom_onset: None, ..expect }));
}

#[test]
fn claims_are_read_as_the_reference_reads_them() {
    let mut world = World::new();
    world.claims = Value::Object(
        world
            .claims
            .as_object()
            .expect("object")
            .iter()
            .map(|(name, value)| (name.to_uppercase(), value.clone()))
            .collect(),
    );
    world.check("");
    World::new().claim("trisk", json!([{"tr": 1}])).claim("other", json!({"a": [1]})).check("");
    World::new().claim("sub", json!("x")).claim("jti", json!(null)).check("");
    for (name, value) in [
        ("aud", json!(["audience"])),
        ("exp", json!("1")),
        ("iat", json!(1.5)),
        ("nbf", json!(true)),
        ("symptomOnsetInterval", json!(-1)),
        ("symptomOnsetInterval", json!(4_294_967_296u64)),
        ("reportType", json!(1)),
        ("tekmac", json!([])),
        ("jti", json!(3)),
    ] {
        World::new().claim(name, value).check(&format!("token claims: invalid value of \"{name}\""));
    }
}

#[test]
fn damaged_tokens_are_refused_without_being_quoted() {
    let world = World::new();
    let good = world.token();
    let [header, claims, signature] = good.split('.').collect::<Vec<_>>()[..] else { panic!("three segments") };
    let json = |text: &str| base64::encode_url(text.as_bytes());
    for (token, expect) in [
        (String::new(), "token contains an invalid number of segments"),
        (format!("{header}.{claims}"), "token contains an invalid number of segments"),
        (format!("{good}.x"), "token contains an invalid number of segments"),
        (format!("*.{claims}.{signature}"), "token header is not a base64url JSON object"),
        (format!("{header}=.{claims}.{signature}"), "token header is not a base64url JSON object"),
        (format!("{}.{claims}.{signature}", json("[]")), "token header is not a base64url JSON object"),
        (format!("{header}.{claims}/.{signature}"), "token claims are not a base64url JSON object"),
        (format!("{header}.{}.{signature}", json("7")), "token claims are not a base64url JSON object"),
        (format!("{header}.{}.{signature}", json("{}{}")), "token claims are not a base64url JSON object"),
        (format!("{header}.{claims}."), "signature is invalid"),
        (format!("{header}.{claims}.{}", &signature[1..]), "signature is invalid"),
        (format!("{header}.{claims}.*"), "signature is invalid"),
    ] {
        assert_eq!(world.verify_token(&token), Err(VerificationError::Rejected(expect.to_owned())), "{token}");
    }
}

#[test]
fn header_must_name_es256_and_a_key() {
    let method = "unsupported signing method, must be ES256";
    for (header, expect) in [
        (json!({"kid": "v1"}), method),
        (json!({"alg": "none", "kid": "v1"}), method),
        (json!({"alg": "HS256", "kid": "v1"}), method),
        (json!({"alg": "es256", "kid": "v1"}), method),
        (json!({"alg": 1, "kid": "v1"}), method),
        (json!({"alg": "ES256"}), "missing required header field, 'kid' indicating key id"),
        (json!({"alg": "ES256", "kid": 1}), "no active public keys for health authority"),
        (json!({"alg": "ES256", "kid": null}), "no active public keys for health authority"),
        (json!({"alg": "ES256", "kid": "v2"}), "no active public keys for health authority"),
        (json!({"alg": "ES256", "kid": "v1", "typ": "other"}), ""),
    ] {
        World { header, ..World::new() }.check(expect);
    }
}

#[test]
fn issuer_audience_and_key_window_decide_before_the_signature() {
    let unsigned = |world: World| World { signing_key: b"wrong".to_vec(), ..world };
    unsigned(World::new().claim("iss", json!("Issuer"))).check("issuer not found: Issuer");
    let audience = "audience mismatch for issuer: issuer (+Audience, -audience)";
    unsigned(World::new().claim("aud", json!("Audience"))).check(audience);
    for (from, thru, valid) in
        [(NOW - 1, None, true), (NOW, None, false), (NOW - 1, Some(NOW + 1), true), (NOW - 1, Some(NOW), false)]
    {
        let mut world = World::new();
        let key = &mut world.authorities.authorities[0].keys[0];
        (key.from, key.thru) = (Timestamp::from_unix(from), thru.map(Timestamp::from_unix));
        let expect = if valid { "" } else { "no active public keys for health authority" };
        world.check(expect);
        unsigned(world).check(if valid { "signature is invalid" } else { expect });
    }
}

#[test]
fn times_are_tolerated_up_to_the_configured_skew() {
    const FUTURE: &str = "not valid yet (NBF or IAT) in the future";
    for (claim, offset, expect) in [
        ("exp", -10, ""),
        ("exp", -11, "token is expired by 11s"),
        ("iat", 10, ""),
        ("iat", 11, FUTURE),
        ("nbf", 10, ""),
        ("nbf", 11, FUTURE),
    ] {
        World::new().claim(claim, json!(NOW + offset)).check(expect);
    }
    let strict = |world| World {
        settings: VerificationSettings { clock_skew_seconds: 0, ..VerificationSettings::default() },
        ..world
    };
    strict(World::new().claim("exp", json!(NOW))).check("");
    strict(World::new().claim("exp", json!(NOW - 1))).check("token is expired by 1s");
    strict(World::new().claim("iat", json!(NOW + 1))).check(FUTURE);
    for extreme in [i64::MIN, i64::MAX] {
        let _ = World::new().claim("exp", json!(extreme)).claim("iat", json!(extreme)).verify();
    }
    for claim in ["exp", "iat", "nbf"] {
        World::new().claim(claim, json!(0)).check("");
        World::new().claim(claim, json!(null)).check("");
    }
}

#[test]
fn future_certificate_outranks_bad_signature_outranks_expiry() {
    let unsigned = |world: World| World { signing_key: b"wrong".to_vec(), ..world };
    unsigned(World::new().claim("iat", json!(NOW + 99))).check("not valid yet (NBF or IAT) in the future");
    unsigned(World::new().claim("exp", json!(NOW - 99))).check("signature is invalid");
    World::new()
        .claim("exp", json!(NOW - 99))
        .claim("nbf", json!(NOW + 99))
        .check("not valid yet (NBF or IAT) in the future");
}

#[test]
fn app_report_type_and_hmac_are_checked_in_that_order() {
    let mut world = World::new().claim("reportType", json!("nonsense")).claim("tekmac", json!("*"));
    world.allowed = vec![];
    world.hmac_key = "*".into();
    world.check("app has not authorized health authority issuer: issuer");
    world.allowed = vec![HealthAuthorityId(5)];
    world.check("invalid report type: \"nonsense\"");
    world = world.claim("reportType", json!(null));
    world.check("invalid report type: \"\"");
    world = world.claim("reportType", json!("user-report"));
    world.check("error decoding HMAC from claims");
    world = world.claim("tekmac", json!("AAAA"));
    world.check("error decoding HMAC secret from publish request");
    world.hmac_key = base64::encode(SECRET);
    let mismatch = "HMAC mismatch, publish request does not match diagnosis verification certificate";
    world.check(mismatch);
    world.claim("tekmac", json!("")).check(mismatch);
    World { keys: vec![], ..World::new() }
        .check("calculating expected HMAC: cannot calculate hmac on empty exposure keys");
}

#[test]
fn every_known_report_type_is_accepted() {
    for (text, report_type) in [
        ("confirmed", ReportType::ConfirmedTest),
        ("likely", ReportType::ConfirmedClinicalDiagnosis),
        ("negative", ReportType::Revoked),
        ("user-report", ReportType::SelfReport),
    ] {
        let claims = World::new().claim("reportType", json!(text)).verify();
        assert_eq!(claims.map(|claims| claims.report_type), Ok(report_type));
    }
}

#[test]
fn hmac_without_risks_counts_only_when_every_risk_is_zero() {
    let world = |keys: Vec<(&'static str, i64)>| {
        let hmac = keys_hmac(SECRET, &proof_keys(&keys), Transcript::WithoutRisk);
        World { keys, ..World::new() }.claim("tekmac", json!(base64::encode_url(&hmac)))
    };
    world(vec![("b", 0), ("a", 0)]).check("");
    let mismatch = "HMAC mismatch, publish request does not match diagnosis verification certificate";
    world(vec![("b", 0), ("a", 1)]).check(mismatch);
}

#[test]
fn failing_ports_are_not_rejections() {
    let error = || PortError::Internal("the disk is gone".into());
    let world = World::new();
    world.authorities.faults.fail_next(error());
    assert_eq!(world.verify(), Err(VerificationError::Port(error())));
    world.signatures.faults.fail_next(PortError::Unavailable);
    assert_eq!(world.verify(), Err(VerificationError::Port(PortError::Unavailable)));
    world.check("");
}

/// The real thing: P-256 as a health authority signs.
struct P256Check;

impl SignatureCheck for P256Check {
    fn verify_es256(&self, public_key: &[u8], message: &[u8], signature: &[u8]) -> Result<bool, PortError> {
        let key = VerifyingKey::from_sec1_bytes(public_key);
        let signature = Signature::from_slice(signature);
        Ok(matches!((key, signature), (Ok(key), Ok(signature)) if key.verify(message, &signature).is_ok()))
    }
}

#[test]
fn issued_certificate_is_accepted_with_real_signatures() {
    let mut world = World::new();
    let signing = SigningKey::from_slice(&[7; 32]).expect("a scalar");
    world.authorities.authorities[0].keys[0].public_key =
        signing.verifying_key().to_sec1_point(false).as_bytes().to_vec();
    let keys = proof_keys(&world.keys);
    let input = signing_input(&CertificateRequest {
        issuer: "issuer",
        audience: "audience",
        key_version: "v1",
        report_type: "likely",
        symptom_onset: 0,
        issued_at: Timestamp::from_unix(NOW),
        expires_at: Timestamp::from_unix(NOW + 300),
        hmac: phone_hmac(SECRET, &keys),
    });
    let signature: Signature = signing.sign(input.as_bytes());
    let signature: [u8; 64] = signature.to_bytes().into();
    let clock = FakeClock::at(Timestamp::from_unix(NOW));
    let verifier = CertificateVerifier {
        settings: &world.settings,
        health_authorities: &world.authorities,
        signature_check: &P256Check,
        clock: &clock,
    };
    let verify = |payload: &str| {
        verifier.verify(&Proof {
            verification_payload: payload,
            hmac_key: &world.hmac_key,
            allowed_health_authorities: &world.allowed,
            keys: keys.clone(),
        })
    };
    let expect = Claims {
        health_authority: HealthAuthorityId(5),
        report_type: ReportType::ConfirmedClinicalDiagnosis,
        symptom_onset: None,
    };
    assert_eq!(verify(&assemble(&input, &signature)), Ok(expect));
    let mut forged = signature;
    forged[40] ^= 1;
    assert_eq!(verify(&assemble(&input, &forged)), Err(VerificationError::Rejected("signature is invalid".into())));
}

proptest! {
    #[test]
    fn verification_never_panics_and_quotes_no_secret(token in "[A-Za-z0-9_.-]{0,120}", json in "\\PC{0,60}") {
        let world = World::new();
        let header = base64::encode_url(br#"{"alg":"ES256","kid":"v1"}"#);
        for token in [token.clone(), format!("{header}.{}.{token}", base64::encode_url(json.as_bytes()))] {
            let Err(VerificationError::Rejected(text)) = world.verify_token(&token) else {
                panic!("random text is no certificate");
            };
            prop_assert!(token.len() < 12 || !text.contains(&token));
            prop_assert!(!text.contains(&world.hmac_key));
        }
    }

    #[test]
    fn any_change_to_a_covered_key_is_noticed(index in 0usize..2, field in 0usize..4, amount in 1i32..1000) {
        let world = World::new();
        let mut keys = proof_keys(&world.keys);
        match field {
            0 => keys[index].key = "cccccccccccccccccccccQ==",
            1 => keys[index].rolling_start += amount,
            2 => keys[index].rolling_period += amount,
            _ => keys[index].transmission_risk += i64::from(amount),
        }
        let token = world.token();
        let proof = Proof {
            verification_payload: &token,
            hmac_key: &world.hmac_key,
            allowed_health_authorities: &world.allowed,
            keys,
        };
        let now = Timestamp::from_unix(NOW);
        let verified = verify(&proof, now, &world.settings, &world.authorities, &world.signatures);
        let mismatch = "HMAC mismatch, publish request does not match diagnosis verification certificate";
        prop_assert_eq!(verified, Err(VerificationError::Rejected(mismatch.into())));
    }
}
