//! DeviceCheck: the question to Apple, and what its answers mean.

use base64ct::{Base64UrlUnpadded, Encoding};
use p256::ecdsa::signature::Verifier;
use p256::ecdsa::{Signature, SigningKey, VerifyingKey};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use tocsin_attestation::apple::device_check::{DeviceCheckConfig, DownRule, Server, begin, resume};
use tocsin_attestation::contract::{
    Acceptance, Commit, Evidence, Exchange, HttpAnswer, Outcome, Rejection, Stage, Submission,
};

use crate::support::{Host, check_rejected, submission};

const NOW: i64 = 1_790_000_000;
const TOKEN: &str = "dG9rZW4=";

fn key() -> SigningKey {
    SigningKey::from_slice(&[5; 32]).unwrap()
}

fn host() -> Host {
    Host { now: NOW, signing: [("device-check".to_owned(), key())].into(), ..Host::default() }
}

fn config() -> DeviceCheckConfig {
    DeviceCheckConfig {
        team_id: "A1B2C3D4E5".to_owned(),
        key_id: "KEY4567890".to_owned(),
        sign_key: "device-check".to_owned(),
        ..DeviceCheckConfig::default()
    }
}

fn evidence(token: &[u8]) -> Evidence {
    Evidence { method: "device-check".to_owned(), token: token.to_vec(), ..Evidence::default() }
}

fn ask(submission: &Submission, token: &[u8], config: &DeviceCheckConfig) -> Result<Exchange, Rejection> {
    match begin(submission, &evidence(token), config, &host()) {
        Outcome::Exchange(exchange) => Ok(exchange),
        Outcome::Reject(rejection) => Err(rejection),
        Outcome::Accept(_) => panic!("accepted without asking Apple"),
    }
}

fn hear(config: &DeviceCheckConfig, answer: &HttpAnswer) -> Result<Acceptance, Rejection> {
    match resume(&submission("app", [9; 32]), &evidence(TOKEN.as_bytes()), config, &host(), answer) {
        Outcome::Accept(acceptance) => Ok(acceptance),
        Outcome::Reject(rejection) => Err(rejection),
        Outcome::Exchange(_) => panic!("asked again"),
    }
}

fn answer(status: u16, body: &str) -> HttpAnswer {
    HttpAnswer::Response { status, body: body.as_bytes().to_vec() }
}

#[test]
fn the_question_is_what_apple_wants() {
    let request = ask(&submission("app", [0xab; 32]), TOKEN.as_bytes(), &config()).unwrap().request;
    assert_eq!(request.method, "POST");
    assert_eq!(request.url, "https://api.devicecheck.apple.com/v1/validate_device_token");
    assert_eq!(request.credential, None);
    let body: Value = serde_json::from_slice(&request.body).unwrap();
    let expected = json!({ "device_token": TOKEN, "transaction_id": "ab".repeat(32), "timestamp": NOW * 1_000 });
    assert_eq!(body, expected);
    let header = |name: &str| &request.headers.iter().find(|(known, _)| known == name).unwrap().1;
    assert_eq!(header("content-type"), "application/json");

    let jwt = header("authorization").strip_prefix("Bearer ").unwrap();
    let parts: Vec<&str> = jwt.split('.').collect();
    let [head, claims, signature] = parts.as_slice() else { panic!("three parts") };
    let decode = |text: &str| Base64UrlUnpadded::decode_vec(text).unwrap();
    let read = |text: &str| serde_json::from_slice::<Value>(&decode(text)).unwrap();
    assert_eq!(read(head), json!({ "alg": "ES256", "kid": "KEY4567890" }));
    assert_eq!(read(claims), json!({ "iss": "A1B2C3D4E5", "iat": NOW }));
    let signature = Signature::from_slice(&decode(signature)).unwrap();
    VerifyingKey::from(&key()).verify(format!("{head}.{claims}").as_bytes(), &signature).unwrap();
}

#[test]
fn development_builds_have_their_own_server() {
    let config = DeviceCheckConfig { environment: Server::Development, ..config() };
    let exchange = ask(&submission("app", [0; 32]), TOKEN.as_bytes(), &config).unwrap();
    assert_eq!(exchange.request.url, "https://api.development.devicecheck.apple.com/v1/validate_device_token");
}

#[test]
fn without_its_settings_nothing_is_asked() {
    let check = |change: fn(&mut DeviceCheckConfig)| {
        let mut config = config();
        change(&mut config);
        let judged = ask(&submission("app", [0; 32]), TOKEN.as_bytes(), &config);
        check_rejected(judged, "config-missing", Stage::Config);
    };
    check(|config| config.team_id.clear());
    check(|config| config.key_id = "key-456789".to_owned());
    check(|config| config.sign_key.clear());
    check(|config| config.sign_key = "another".to_owned());
    check(|config| config.remember_days = 0);
    check(|config| config.remember_days = 31);
    let short = Host { careless: true, ..host() };
    match begin(&submission("app", [0; 32]), &evidence(TOKEN.as_bytes()), &config(), &short) {
        Outcome::Reject(rejection) => assert_eq!(rejection.code, "config-missing"),
        outcome => panic!("a signature of another length is sent: {outcome:?}"),
    }
    let judged = ask(&Submission::default(), TOKEN.as_bytes(), &config());
    check_rejected(judged, "config-missing", Stage::Config);
}

#[test]
fn config_is_strict_and_its_defaults_are_secure() {
    let defaults: DeviceCheckConfig = serde_json::from_str("{}").unwrap();
    assert_eq!(defaults, DeviceCheckConfig::default());
    let secure = (Server::Production, DownRule::Reject, 14);
    assert_eq!((defaults.environment, defaults.upstream_down, defaults.remember_days), secure);
    assert!(serde_json::from_str::<DeviceCheckConfig>(r#"{"private_key":"x"}"#).is_err());
}

#[test]
fn tokens_that_are_not_base64_are_not_sent() {
    for token in
        [&b""[..], b"dG9rZW4", b"dG9rZW5=", b"dG9r ZW4=", b"dG9rZW4=\n", b"\xff\xff\xff\xff", &[b'A'; 8 * 1024 + 4]]
    {
        check_rejected(ask(&submission("app", [0; 32]), token, &config()), "dc-malformed", Stage::Parse);
    }
    assert!(ask(&submission("app", [0; 32]), &[b'A'; 8 * 1024], &config()).is_ok());
}

#[test]
fn a_genuine_device_is_accepted_and_its_token_claimed_once() {
    let acceptance = hear(&config(), &answer(200, "")).unwrap();
    assert_eq!(acceptance.signals, [("device".to_owned(), "genuine".to_owned())]);
    let claim = Commit::ClaimOnce {
        space: "device-check".to_owned(),
        digest: Sha256::digest(TOKEN).into(),
        expires_at: NOW + 14 * 86_400,
    };
    assert_eq!(acceptance.commits, [claim]);
}

#[test]
fn each_other_answer_has_its_code() {
    for (status, body, code) in [
        (400, "Missing or badly formatted device token payload", "dc-token-rejected"),
        (400, "Missing or incorrectly formatted device token payload", "dc-token-rejected"),
        (400, "Bad Device Token", "dc-token-rejected"),
        (400, "Bad Timestamp", "upstream-config"),
        (400, "Bad Payload", "upstream-config"),
        (400, "Bad Bits", "upstream-config"),
        (400, "Missing or badly formatted authorization token", "upstream-config"),
        (400, "", "upstream-config"),
        (401, "Unable to verify authorization token", "upstream-auth"),
        (401, "Bad Device Token", "upstream-auth"),
        (403, "Forbidden", "upstream-config"),
        (405, "Method Not Allowed", "upstream-config"),
        (100, "", "upstream-config"),
        (201, "", "upstream-config"),
        (302, "", "upstream-config"),
        (404, "", "upstream-config"),
    ] {
        for upstream_down in [DownRule::Reject, DownRule::Accept] {
            let judged = hear(&DeviceCheckConfig { upstream_down, ..config() }, &answer(status, body));
            check_rejected(judged, code, Stage::Upstream);
        }
    }
}

#[test]
fn while_apple_is_down_the_operator_decides() {
    let accepting = DeviceCheckConfig { upstream_down: DownRule::Accept, ..config() };
    for answer in [HttpAnswer::None, answer(429, ""), answer(500, ""), answer(503, ""), answer(599, "")] {
        let rejection = hear(&config(), &answer).unwrap_err();
        assert_eq!(
            (rejection.code, rejection.stage, rejection.retryable),
            ("upstream-unavailable", Stage::Upstream, true)
        );
        let acceptance = hear(&accepting, &answer).unwrap();
        assert_eq!(acceptance.signals, [("device".to_owned(), "unavailable".to_owned())]);
        assert_eq!(acceptance.commits.len(), 1);
    }
}
