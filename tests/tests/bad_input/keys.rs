//! Requests that are well-formed and hold keys or revision tokens that are not acceptable.

use crate::{JSON, Target, refusal};
use tocsin_domain::base64;
use tocsin_domain::ports::verifier::ProofKey;
use tocsin_domain::publish::request::{PublishRequest, RequestKey};
use tocsin_domain::verification::issue::phone_hmac;
use tocsin_tests::harness::people::APP;

const BAD_REQUEST: &str = "bad_request";
const SECRET: [u8; 16] = [9; 16];

impl Target {
    /// A key of yesterday, to be spoilt.
    fn key(&self) -> RequestKey<'static> {
        let phone = self.phone(1);
        RequestKey {
            key: base64::encode(phone.keys[0].key.as_bytes()).into(),
            rolling_start: phone.keys[0].rolling_start.get(),
            rolling_period: 144,
            transmission_risk: 0,
        }
    }

    /// A body with these keys, vouched for as they are.
    fn vouched(&self, keys: Vec<RequestKey<'static>>) -> Vec<u8> {
        let proof: Vec<_> = keys
            .iter()
            .map(|key| ProofKey {
                key: &key.key,
                rolling_start: key.rolling_start,
                rolling_period: key.rolling_period,
                transmission_risk: key.transmission_risk,
            })
            .collect();
        let certificate = self.server.authority.certificate(phone_hmac(&SECRET, &proof), "confirmed", self.now());
        drop(proof);
        let request = PublishRequest {
            keys,
            health_authority_id: APP.into(),
            verification_payload: certificate.into(),
            hmac_key: base64::encode(&SECRET).into(),
            ..PublishRequest::default()
        };
        request.to_json()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn key_that_cannot_be_stored_is_refused_with_the_reason() {
    let mut target = Target::start().await;
    let now = target.now().interval().get();
    type Spoil = Box<dyn Fn(&mut RequestKey<'static>) + Send>;
    let key_of = |text: String| -> Spoil { Box::new(move |key| key.key = text.clone().into()) };
    let start = |start: i32| -> Spoil { Box::new(move |key| key.rolling_start = start) };
    let period = |period: i32| -> Spoil { Box::new(move |key| key.rolling_period = period) };
    let risk = |risk: i64| -> Spoil { Box::new(move |key| key.transmission_risk = risk) };
    let cases: Vec<(&str, Spoil, &str)> = vec![
        ("no key", key_of(String::new()), "invalid key length, 0, must be 16"),
        ("15 bytes", key_of(base64::encode(&[1; 15])), "invalid key length, 15, must be 16"),
        ("17 bytes", key_of(base64::encode(&[1; 17])), "invalid key length, 17, must be 16"),
        ("long", key_of("A".repeat(40_000)), "invalid key length, 30000, must be 16"),
        ("not base64", key_of("!".repeat(24)), "illegal base64 data at input byte 0"),
        ("one character too many", key_of("A".repeat(25)), "illegal base64 data"),
        ("unicode", key_of("\u{1f980}".repeat(6)), "illegal base64 data at input byte 0"),
        ("period 0", period(0), "invalid interval count, 0, must be >= 1 && <= 144"),
        ("period -1", period(-1), "invalid interval count, -1, must be"),
        ("period 145", period(145), "invalid interval count, 145, must be"),
        ("largest period", period(i32::MAX), "invalid interval count, 2147483647, must be"),
        ("smallest period", period(i32::MIN), "invalid interval count, -2147483648, must be"),
        ("start 0", start(0), "which is too old"),
        ("smallest start", start(i32::MIN), "which is too old"),
        ("too old by one", start(now - 360 * 6 - 145), "which is too old"),
        ("tomorrow", start(now + 1), "is in the future"),
        ("largest start", start(i32::MAX), "key 0 cannot be imported"),
        ("risk -1", risk(-1), "invalid transmission risk: -1, must be >= 0 && <= 8"),
        ("risk 9", risk(9), "invalid transmission risk: 9, must be"),
        ("largest risk", risk(i64::MAX), "invalid transmission risk: 9223372036854775807, must be"),
    ];
    for (name, spoil, error) in cases {
        let mut key = target.key();
        spoil(&mut key);
        let body = target.vouched(vec![key]);
        target.check(name, JSON, body, refusal(400, BAD_REQUEST, error)).await;
    }
    target.finish(0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn too_many_overlapping_or_no_keys_are_refused() {
    let mut target = Target::start().await;
    let many = (0..31).map(|_| target.key()).collect();
    let body = target.vouched(many);
    target.check("31", JSON, body, refusal(400, BAD_REQUEST, "too many exposure keys in publish: 31, max of 30")).await;
    let four = (0..4).map(|_| target.key()).collect();
    let body = target.vouched(four);
    target.check("4", JSON, body, refusal(400, BAD_REQUEST, "too many overlapping keys for start interval")).await;
    let (first, mut second) = (target.key(), target.key());
    second.rolling_start -= 1;
    let body = target.vouched(vec![first, second]);
    target.check("overlap", JSON, body, refusal(400, BAD_REQUEST, "non aligned overlapping intervals")).await;
    let body = target.vouched(vec![]);
    let invalid = "health_authority_verification_certificate_invalid";
    target.check("none", JSON, body, refusal(401, invalid, "cannot calculate hmac on empty exposure keys")).await;
    // As many empty keys as fit.
    let thousands = vec!["{}"; 20_000].join(",");
    let body = format!("{{\"healthAuthorityID\":\"{APP}\",\"temporaryExposureKeys\":[{thousands}]}}");
    target.check("20,000", JSON, body, refusal(401, invalid, "token contains an invalid number of segments")).await;
    target.finish(0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_key_among_good_ones_costs_itself_alone() {
    let mut target = Target::start().await;
    let good = target.key();
    let mut bad = target.key();
    bad.rolling_period = 145;
    let answer = target.client.publish(target.vouched(vec![good, bad])).await;
    assert_eq!((answer.status.as_u16(), answer.code().as_str()), (200, "partial_failure"));
    assert_eq!(answer.json()["insertedExposures"], 1);
    assert!(answer.json()["error"].as_str().is_some_and(|error| error.contains("invalid interval count, 145")));
    target.finish(1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn unknown_app_is_refused_and_a_long_name_not_echoed() {
    let mut target = Target::start().await;
    for name in ["", "no.such.app", "org.example.app ", "org.example.app\0", "' OR 1=1 --", "%", "\u{130}"] {
        let body = PublishRequest { health_authority_id: name.into(), ..PublishRequest::default() }.to_json();
        let expect = refusal(401, "unknown_health_authority_id", "unauthorized health authority: ");
        target.check(name, JSON, body, expect).await;
    }
    let long = "\u{130}".repeat(30_000);
    let body = PublishRequest { health_authority_id: long.into(), ..PublishRequest::default() }.to_json();
    let answer = target.client.publish(body).await;
    assert_eq!(answer.status, 401);
    assert!(answer.body.len() < 8_000, "{} bytes", answer.body.len());
    target.finish(0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn only_the_token_of_a_key_revises_it() {
    let mut target = Target::start().await;
    let mut publish = async |days: i64| {
        let phone = target.phone(days);
        let answer = target.client.publish(phone.body(&target.server.authority, "likely", target.now())).await;
        assert_eq!(answer.status, 200);
        (phone, answer.json()["revisionToken"].as_str().expect("a token").to_owned())
    };
    let (mut phone, token) = publish(3).await;
    let (_, of_another) = publish(3).await;
    let bytes = base64::decode(&token).expect("base64");
    let changed = |at: usize| {
        let mut changed = bytes.clone();
        changed[at] ^= 1;
        base64::encode(&changed)
    };
    let mut cases = vec![
        ("no token", String::new(), "missing_revision_token"),
        ("not base64", "!!!".to_owned(), "missing_revision_token"),
        ("of another", of_another, "invalid_revision_token"),
        ("one byte", base64::encode(b"x"), "invalid_revision_token"),
        ("zeros", base64::encode(&[0; 600]), "invalid_revision_token"),
        ("half", base64::encode(&bytes[..bytes.len() / 2]), "invalid_revision_token"),
        ("cut by one", base64::encode(&bytes[..bytes.len() - 1]), "invalid_revision_token"),
        ("longer", base64::encode(&[bytes.clone(), vec![0]].concat()), "invalid_revision_token"),
        ("long", "A".repeat(40_000), "invalid_revision_token"),
        ("endless number", base64::encode(&[0xff; 300]), "invalid_revision_token"),
    ];
    cases.extend((0..bytes.len()).step_by(13).map(|at| ("changed", changed(at), "invalid_revision_token")));
    for (name, bad, code) in cases {
        phone.revision_token = bad;
        let body = phone.body(&target.server.authority, "confirmed", target.now());
        target.check(name, JSON, body, refusal(400, code, "revision token")).await;
    }
    phone.revision_token = token;
    let answer = target.client.publish(phone.body(&target.server.authority, "confirmed", target.now())).await;
    assert_eq!(answer.status, 200, "{:?}", answer.json());
    target.finish(6).await;
}
