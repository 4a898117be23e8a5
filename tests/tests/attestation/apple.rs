//! DeviceCheck: our server asks Apple's, which checks the signature of the question.

use super::upstream::{Asked, Upstream};
use super::{check, publish, refused, request, start};
use p256::ecdsa::signature::Verifier as _;
use p256::ecdsa::{Signature, SigningKey, VerifyingKey};
use p256::pkcs8::{EncodePrivateKey, LineEnding};
use serde_json::Value;
use std::os::unix::fs::PermissionsExt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};
use tocsin_domain::base64;
use tocsin_domain::ports::Clock;
use tocsin_tests::harness::server::{NOON, TestServer};

const HOST: &str = "api.devicecheck.apple.com";
const TEAM: &str = "TEAM123456";
const KEY: &str = "KEY1234567";

fn apple_key() -> SigningKey {
    SigningKey::from_slice(&[3; 32]).expect("a key")
}

/// A server that asks Apple at that origin, with the team's key in a file.
async fn server(apple: &str, folder: &std::path::Path) -> TestServer {
    let file = folder.join("apple.p8");
    std::fs::write(&file, apple_key().to_pkcs8_pem(LineEnding::LF).expect("PEM").as_bytes()).expect("written");
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600)).expect("private");
    let origin = apple.to_owned();
    start(
        |section| {
            section.builtin = Some("device-check".to_owned());
            section.hosts = vec![HOST.to_owned()];
            section.origins = [(HOST.to_owned(), origin)].into();
            section.allow_insecure_http = true;
            section.keys = [("apple".to_owned(), file)].into();
            section.configuration = toml::toml! { team_id = "TEAM123456" key_id = "KEY1234567" sign_key = "apple" };
        },
        |_| {},
    )
    .await
}

/// Apple's view of the question: the token it is authorized by, checked by a library that the server does not use.
fn claims(asked: &Asked) -> (Value, Value) {
    let bearer = asked.header("authorization").strip_prefix("Bearer ").expect("a bearer token");
    let (signed, signature) = bearer.rsplit_once('.').expect("a JWT");
    let signature = Signature::from_slice(&base64::decode_url(signature).expect("base64url")).expect("r and s");
    VerifyingKey::from(&apple_key()).verify(signed.as_bytes(), &signature).expect("Apple accepts the signature");
    let (header, claims) = signed.split_once('.').expect("two parts");
    let json = |text| serde_json::from_slice(&base64::decode_url(text).expect("base64url")).expect("JSON");
    (json(header), json(claims))
}

#[tokio::test(flavor = "multi_thread")]
async fn apple_is_asked_once_about_each_token_and_decides() {
    let status = Arc::new(AtomicU16::new(200));
    let answer = status.clone();
    let apple = Upstream::start(move |_| match answer.load(Ordering::Relaxed) {
        400 => (400, "Missing or badly formatted device token payload".to_owned()),
        status => (status, String::new()),
    });
    let folder = tempfile::tempdir().expect("temporary folder");
    let mut server = server(&apple.origin, folder.path()).await;
    let token = |byte: u8| base64::encode(&[byte; 900]);

    let first = request(&server, 1);
    let answer = publish(&server, &first, "device-check", token(1)).await;
    check(&answer, 200, "");
    assert_eq!(answer.json()["insertedExposures"], 3);
    let asked = apple.asked();
    assert_eq!(asked.len(), 1);
    assert_eq!((asked[0].method.as_str(), asked[0].path.as_str()), ("POST", "/v1/validate_device_token"));
    assert_eq!(asked[0].header("content-type"), "application/json");
    let (header, claimed) = claims(&asked[0]);
    assert_eq!(header, serde_json::json!({ "alg": "ES256", "kid": KEY }));
    assert_eq!(claimed, serde_json::json!({ "iss": TEAM, "iat": NOON.unix() }));
    let body: Value = serde_json::from_slice(&asked[0].body).expect("JSON");
    assert_eq!(body["device_token"], token(1));
    assert_eq!(body["timestamp"], NOON.unix() * 1000);
    assert_eq!(body.as_object().map(serde_json::Map::len), Some(3), "{body}");
    assert!(body["transaction_id"].as_str().is_some_and(|id| !id.is_empty()));

    // The token was used; but the phone may repeat the same publish.
    check(&publish(&server, &request(&server, 2), "device-check", token(1)).await, 401, "submission_refused");
    check(&publish(&server, &first, "device-check", token(1)).await, 400, "missing_revision_token");

    for (apples, phones, code, kind, reason) in [
        (400, 401, "submission_refused", "refused", "dc-token-rejected"),
        (401, 503, "validators_unavailable", "retryable", "upstream-auth"),
        (500, 503, "validators_unavailable", "retryable", "upstream-unavailable"),
    ] {
        status.store(apples, Ordering::Relaxed);
        let answer = publish(&server, &request(&server, 3), "device-check", token(3)).await;
        check(&answer, phones, code);
        assert!(!answer.json().to_string().contains(reason), "reasons are for the operator");
        assert_eq!(refused(&server, kind, reason).await, 1);
    }
    // What was refused is not used up.
    status.store(200, Ordering::Relaxed);
    check(&publish(&server, &request(&server, 3), "device-check", token(3)).await, 200, "");
    assert_eq!(server.clock.now(), NOON);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn evidence_is_needed_of_the_right_kind_and_apple_is_not_asked_without() {
    let apple = Upstream::start(|_| (200, String::new()));
    let folder = tempfile::tempdir().expect("temporary folder");
    let mut server = server(&apple.origin, folder.path()).await;
    check(&server.client().publish(request(&server, 1).to_json()).await, 401, "submission_refused");
    assert_eq!(refused(&server, "refused", "evidence-missing").await, 1);
    check(&publish(&server, &request(&server, 1), "app-attest", "AAAA".to_owned()).await, 401, "submission_refused");
    assert_eq!(refused(&server, "refused", "method-unsupported").await, 1);
    check(&publish(&server, &request(&server, 1), "device-check", "*".to_owned()).await, 401, "submission_refused");
    assert_eq!(apple.asked().len(), 0);
    server.add_app("org.example.other", &[tocsin_tests::harness::people::ISSUER], false, false).await;
    let mut other = request(&server, 1);
    other.health_authority_id = "org.example.other".into();
    check(&server.client().publish(other.to_json()).await, 200, "");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn apple_that_does_not_answer_is_a_reason_to_try_later() {
    // Nobody listens there.
    let listener = std::net::TcpListener::bind(("127.0.0.1", 0)).expect("a port");
    let origin = format!("http://{}", listener.local_addr().expect("bound"));
    drop(listener);
    let folder = tempfile::tempdir().expect("temporary folder");
    let mut server = server(&origin, folder.path()).await;
    let token = base64::encode(&[1; 900]);
    check(&publish(&server, &request(&server, 1), "device-check", token).await, 503, "validators_unavailable");
    assert_eq!(refused(&server, "retryable", "upstream-unavailable").await, 1);
    server.stop().await;
}
