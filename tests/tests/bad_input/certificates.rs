//! Publishes whose verification certificate is not valid, each for another reason.

use crate::{JSON, Target, refusal};
use p256::ecdsa::signature::Signer;
use p256::ecdsa::{Signature, SigningKey};
use serde_json::{Value, json};
use tocsin_domain::base64;
use tocsin_domain::ports::verifier::ProofKey;
use tocsin_domain::publish::request::PublishRequest;
use tocsin_domain::verification::issue::phone_hmac;
use tocsin_host::admin::AdminRequest;
use tocsin_host::storage::administration::{HealthAuthorityKeyRecord, NewHealthAuthority};
use tocsin_tests::harness::people::{AUDIENCE, ISSUER};

const INVALID: &str = "health_authority_verification_certificate_invalid";
const APP: &str = "org.example.other";
const OWN_ISSUER: &str = "own.example";

/// Another signature for a certificate.
type Change = Box<dyn Fn(&str) -> Vec<u8> + Send>;

/// A health authority that signs anything.
struct Forger {
    target: Target,
    key: SigningKey,
}

/// A certificate before it is written.
struct Draft {
    header: Value,
    claims: Value,
}

impl Forger {
    async fn start() -> Self {
        let target = Target::start().await;
        let key = tocsin_host::signing::generate().0;
        target
            .server
            .admin(AdminRequest::AddHealthAuthority(NewHealthAuthority {
                issuer: OWN_ISSUER.to_owned(),
                audience: AUDIENCE.to_owned(),
                name: "Own".to_owned(),
                jwks_uri: None,
                allow_empty_key_set: false,
                statistics_enabled: true,
            }))
            .await;
        let now = target.now().unix();
        // The second was valid until yesterday, the third is from tomorrow on.
        for (version, from_unix, thru_unix) in
            [("v1", 0, None), ("old", 0, Some(now - 86_400)), ("new", now + 86_400, None)]
        {
            let public_key = key.verifying_key().to_sec1_point(false).as_bytes().to_vec();
            let key = HealthAuthorityKeyRecord { version: version.to_owned(), from_unix, thru_unix, public_key };
            target.server.admin(AdminRequest::AddHealthAuthorityKey { issuer: OWN_ISSUER.to_owned(), key }).await;
        }
        target.server.add_app(APP, &[OWN_ISSUER], false, false).await;
        Self { target, key }
    }

    /// A request, and the certificate that would be right for it.
    fn draft(&self) -> (PublishRequest<'static>, Draft) {
        let now = self.target.now();
        let mut request = self.target.phone(3).request(&self.target.server.authority, "confirmed", now);
        request.health_authority_id = APP.into();
        let secret = base64::decode(&request.hmac_key).expect("base64");
        let keys: Vec<_> = request
            .keys
            .iter()
            .map(|key| ProofKey {
                key: &key.key,
                rolling_start: key.rolling_start,
                rolling_period: key.rolling_period,
                transmission_risk: key.transmission_risk,
            })
            .collect();
        let tekmac = base64::encode(&phone_hmac(&secret, &keys));
        drop(keys);
        let draft = Draft {
            header: json!({"alg": "ES256", "kid": "v1", "typ": "JWT"}),
            claims: json!({"iss": OWN_ISSUER, "aud": AUDIENCE, "iat": now.unix(), "exp": now.unix() + 3600,
                "reportType": "confirmed", "tekmac": tekmac}),
        };
        (request, draft)
    }

    fn sign(&self, draft: &Draft) -> String {
        let input = format!("{}.{}", segment(&draft.header), segment(&draft.claims));
        let signature: Signature = self.key.sign(input.as_bytes());
        format!("{input}.{}", base64::encode_url(&signature.to_bytes()))
    }

    /// A publish with a certificate that was changed before it was signed.
    async fn check(&mut self, name: &str, change: impl FnOnce(&mut Draft), error: &str) {
        let (mut request, mut draft) = self.draft();
        change(&mut draft);
        request.verification_payload = self.sign(&draft).into();
        self.target.check(name, JSON, request.to_json(), refusal(401, INVALID, error)).await;
    }

    /// A publish with another text in the place of the certificate.
    async fn check_text(&mut self, name: &str, text: impl FnOnce(String) -> String, error: &str) {
        let (mut request, draft) = self.draft();
        request.verification_payload = text(self.sign(&draft)).into();
        self.target.check(name, JSON, request.to_json(), refusal(401, INVALID, error)).await;
    }
}

fn segment(value: &Value) -> String {
    base64::encode_url(value.to_string().as_bytes())
}

/// The certificate with another signature.
fn with_signature(certificate: &str, signature: &[u8]) -> String {
    let (signed, _) = certificate.rsplit_once('.').expect("three segments");
    format!("{signed}.{}", base64::encode_url(signature))
}

fn signature_of(certificate: &str) -> Vec<u8> {
    base64::decode_url(certificate.rsplit_once('.').expect("three segments").1).expect("base64url")
}

#[tokio::test(flavor = "multi_thread")]
async fn each_wrong_claim_is_named() {
    let mut forger = Forger::start().await;
    let now = forger.target.now().unix();
    let cases: Vec<(&str, Value, &str)> = vec![
        ("iss", json!("nobody.example"), "issuer not found: nobody.example"),
        ("iss", json!(""), "issuer not found"),
        ("iss", Value::Null, "issuer not found"),
        ("iss", json!(7), "invalid value of \"iss\""),
        ("iss", json!([OWN_ISSUER]), "invalid value of \"iss\""),
        ("aud", json!("somebody.example"), "audience mismatch"),
        ("aud", json!(""), "audience mismatch"),
        ("aud", json!([AUDIENCE]), "invalid value of \"aud\""),
        ("exp", json!(now - 11), "token is expired by 11s"),
        ("exp", json!(1), "token is expired"),
        ("exp", json!(i64::MIN), "token is expired"),
        ("exp", json!("tomorrow"), "invalid value of \"exp\""),
        ("exp", json!(1e300), "invalid value of \"exp\""),
        ("iat", json!(now + 11), "not valid yet"),
        ("iat", json!(i64::MAX), "not valid yet"),
        ("nbf", json!(now + 11), "not valid yet"),
        ("reportType", json!("plague"), "invalid report type: \"plague\""),
        ("reportType", json!("Confirmed"), "invalid report type"),
        ("reportType", json!(1), "invalid value of \"reportType\""),
        ("symptomOnsetInterval", json!(-1), "invalid value of \"symptomOnsetInterval\""),
        ("symptomOnsetInterval", json!("x"), "invalid value of \"symptomOnsetInterval\""),
        ("tekmac", json!("!"), "error decoding HMAC from claims"),
        ("tekmac", json!(""), "HMAC mismatch"),
        ("tekmac", json!(base64::encode(&[0; 32])), "HMAC mismatch"),
        ("tekmac", json!(base64::encode(&[0; 31])), "HMAC mismatch"),
        ("tekmac", json!("A".repeat(30_000)), "HMAC mismatch"),
        ("tekmac", json!({}), "invalid value of \"tekmac\""),
    ];
    for (claim, value, error) in cases {
        let name = format!("{claim}: {value:.40}");
        forger.check(&name, |draft| draft.claims[claim] = value, error).await;
    }
    forger.target.finish(0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn only_es256_under_a_key_that_is_valid_now_counts() {
    let mut forger = Forger::start().await;
    for algorithm in
        [json!("none"), json!("None"), json!("HS256"), json!("RS256"), json!("ES384"), json!("es256"), json!(1)]
    {
        let name = algorithm.to_string();
        forger.check(&name, |draft| draft.header["alg"] = algorithm, "unsupported signing method").await;
    }
    forger.check("no alg", |draft| draft.header = json!({"kid": "v1"}), "unsupported signing method").await;
    forger
        .check("no kid", |draft| draft.header = json!({"alg": "ES256"}), "missing required header field, 'kid'")
        .await;
    for id in [json!("v2"), json!(""), json!("old"), json!("new"), json!(1), Value::Null, json!(["v1"]), json!("v1 ")] {
        let name = id.to_string();
        forger.check(&name, |draft| draft.header["kid"] = id, "no active public keys").await;
    }
    // Without a signature, as `alg: none` has it, whatever the header says.
    let unsigned = |certificate: String| with_signature(&certificate, b"");
    forger.check_text("unsigned", unsigned, "signature is invalid").await;
    forger.target.finish(0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_signatures_are_refused() {
    let mut forger = Forger::start().await;
    const INVALID_SIGNATURE: &str = "signature is invalid";
    let another = tocsin_host::signing::generate().0;
    let cases: Vec<(&str, Change)> = vec![
        ("zeros", Box::new(|_| vec![0; 64])),
        ("ones", Box::new(|_| vec![0xff; 64])),
        ("of a larger curve", Box::new(|_| vec![1; 96])),
        ("short", Box::new(|certificate| signature_of(certificate)[..63].to_vec())),
        ("long", Box::new(|certificate| [signature_of(certificate), vec![0]].concat())),
        (
            "r and s exchanged",
            Box::new(|certificate| {
                let signature = signature_of(certificate);
                [&signature[32..], &signature[..32]].concat()
            }),
        ),
        (
            "a bit",
            Box::new(|certificate| {
                let mut signature = signature_of(certificate);
                signature[40] ^= 4;
                signature
            }),
        ),
        (
            "DER",
            Box::new(|certificate| {
                Signature::from_slice(&signature_of(certificate)).expect("64 bytes").to_der().as_bytes().to_vec()
            }),
        ),
        (
            "another key",
            Box::new(move |certificate| {
                let (signed, _) = certificate.rsplit_once('.').expect("three segments");
                let signature: Signature = another.sign(signed.as_bytes());
                signature.to_bytes().to_vec()
            }),
        ),
    ];
    for (name, signature) in cases {
        let forged = |certificate: String| with_signature(&certificate, &signature(&certificate));
        forger.check_text(name, forged, INVALID_SIGNATURE).await;
    }
    forger.check_text("not base64url", |text| text + "!", INVALID_SIGNATURE).await;
    // The claims of one and the signature of another.
    let (_, draft) = forger.draft();
    let other = forger.sign(&draft);
    forger.check_text("of another", |text| with_signature(&text, &signature_of(&other)), INVALID_SIGNATURE).await;
    forger.target.finish(0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_certificate_is_refused() {
    let mut forger = Forger::start().await;
    const SEGMENTS: &str = "invalid number of segments";
    for (name, text, error) in [
        ("empty", String::new(), SEGMENTS),
        ("one", "abc".to_owned(), SEGMENTS),
        ("two", "a.b".to_owned(), SEGMENTS),
        ("four", "a.b.c.d".to_owned(), SEGMENTS),
        ("dots", ".".repeat(50_000), SEGMENTS),
        ("empty segments", "..".to_owned(), "token header is not a base64url JSON object"),
        ("unicode", "\u{1f980}.\u{1f980}.\u{1f980}".to_owned(), "token header is not"),
        ("long header", format!("{}.e30.AA", "A".repeat(50_000)), "token header is not"),
        ("deep header", format!("{}.e30.AA", base64::encode_url("[".repeat(30_000).as_bytes())), "token header is not"),
        (
            "deeper in",
            {
                let deep = format!("{{\"x\":{}1{}}}", "[".repeat(15_000), "]".repeat(15_000));
                format!("{}.e30.AA", base64::encode_url(deep.as_bytes()))
            },
            "token header is not",
        ),
        ("header null", "bnVsbA.e30.AA".to_owned(), "token header is not"),
        ("claims list", format!("{}.W10.AA", segment(&json!({"alg": "ES256", "kid": "v1"}))), "token claims"),
        ("claims text", format!("{}.eA.AA", segment(&json!({"alg": "ES256", "kid": "v1"}))), "token claims"),
        ("claims empty", format!("{}..AA", segment(&json!({"alg": "ES256", "kid": "v1"}))), "token claims"),
        (
            "deep claims",
            {
                let deep = base64::encode_url(format!("{{\"x\":{}", "[".repeat(30_000)).as_bytes());
                format!("{}.{deep}.AA", segment(&json!({"alg": "ES256", "kid": "v1"})))
            },
            "token claims",
        ),
    ] {
        forger.check_text(name, |_| text, error).await;
    }
    forger.target.finish(0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn certificate_covers_its_keys_and_its_app_alone() {
    let mut forger = Forger::start().await;
    const MISMATCH: &str = "HMAC mismatch";
    type Change = fn(&mut PublishRequest<'static>);
    let cases: [(&str, Change, &str); 9] = [
        ("another key", |request| request.keys[1].key = base64::encode(&[5; 16]).into(), MISMATCH),
        (
            "same key in other base64",
            |request| request.keys[1].key = request.keys[1].key.trim_end_matches('=').to_owned().into(),
            MISMATCH,
        ),
        ("start", |request| request.keys[1].rolling_start += 1, MISMATCH),
        ("period", |request| request.keys[1].rolling_period -= 1, MISMATCH),
        ("risk", |request| request.keys[1].transmission_risk = 1, MISMATCH),
        (
            "fewer",
            |request| {
                request.keys.pop();
            },
            MISMATCH,
        ),
        ("one twice", |request| request.keys.push(request.keys[0].clone()), MISMATCH),
        ("another secret", |request| request.hmac_key = base64::encode(&[8; 16]).into(), MISMATCH),
        ("secret not base64", |request| request.hmac_key = "?".into(), "error decoding HMAC secret"),
    ];
    for (name, change, error) in cases {
        let (mut request, draft) = forger.draft();
        request.verification_payload = forger.sign(&draft).into();
        change(&mut request);
        forger.target.check(name, JSON, request.to_json(), refusal(401, INVALID, error)).await;
    }
    // A health authority that exists, and that this app does not trust.
    let mut request = forger.target.phone(3).request(&forger.target.server.authority, "confirmed", forger.target.now());
    request.health_authority_id = APP.into();
    let error = format!("app has not authorized health authority issuer: {ISSUER}");
    forger.target.check("of another app", JSON, request.to_json(), refusal(401, INVALID, &error)).await;
    forger.target.finish(0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn order_of_keys_does_not_matter_and_the_unchanged_draft_is_good() {
    let mut forger = Forger::start().await;
    let (mut request, draft) = forger.draft();
    request.verification_payload = forger.sign(&draft).into();
    request.keys.reverse();
    let answer = forger.target.client.publish(request.to_json()).await;
    assert_eq!((answer.status.as_u16(), &answer.json()["insertedExposures"]), (200, &3.into()), "{:?}", answer.json());
    forger.target.finish(3).await;
}
