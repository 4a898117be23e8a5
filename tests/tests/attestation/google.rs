//! Play Integrity: classic tokens are opened in the sandbox with keys that stay in the host; standard ones by Google, whom
//! our server shows a service account.

use super::binding::{ens_v4, ens_v4_with};
use super::upstream::{Asked, Upstream};
use super::{check, publish, refused, request, start};
use http::Method;
use serde_json::{Value, json};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use tocsin_domain::base64;
use tocsin_host::config::OnRefusal;
use tocsin_tests::harness::people::APP;
use tocsin_tests::harness::play_integrity::{self, WRAP_KEY, classic_token};
use tocsin_tests::harness::server::{NOON, TestServer};
use tocsin_tests::harness::tools;

fn secret(folder: &Path, name: &str, text: &str) -> std::path::PathBuf {
    let file = folder.join(name);
    std::fs::write(&file, text).expect("written");
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600)).expect("private");
    file
}

/// A verdict about a genuine device, made now.
fn verdict(hash: &[u8; 32], label: &str) -> Value {
    play_integrity::verdict(hash, label, NOON)
}

async fn classic_server(folder: &Path, on_refusal: OnRefusal) -> TestServer {
    let wrap = secret(folder, "wrap.key", &base64::encode(&WRAP_KEY));
    start(
        |section| {
            section.builtin = Some("play-integrity".to_owned());
            section.keys = [("wrap".to_owned(), wrap)].into();
            section.configuration = play_integrity::classic_configuration();
        },
        |chain| chain.on_refusal = on_refusal,
    )
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn classic_token_that_is_bound_to_the_publish_is_accepted_once() {
    const METHOD: &str = "play-integrity-classic";
    let folder = tempfile::tempdir().expect("temporary folder");
    let mut server = classic_server(folder.path(), OnRefusal::Refuse).await;
    let first = request(&server, 1);
    let token = classic_token(&verdict(&ens_v4(&first, METHOD), "MEETS_DEVICE_INTEGRITY"));
    let answer = publish(&server, &first, METHOD, token.clone()).await;
    check(&answer, 200, "");
    assert_eq!(answer.json()["insertedExposures"], 3);
    check(&publish(&server, &first, METHOD, token.clone()).await, 400, "missing_revision_token");

    let second = request(&server, 2);
    check(&publish(&server, &second, METHOD, token.clone()).await, 401, "submission_refused");
    assert_eq!(refused(&server, "refused", "binding-mismatch").await, 1);
    let emulator = classic_token(&verdict(&ens_v4(&second, METHOD), "MEETS_BASIC_INTEGRITY"));
    check(&publish(&server, &second, METHOD, emulator).await, 401, "submission_refused");
    assert_eq!(refused(&server, "refused", "integrity-device").await, 1);

    // The operator is told why; the phone was not.
    let mut asked = second.clone();
    asked.device.method = METHOD.into();
    asked.device.payload = token.into();
    let json_type: &[(&str, &str)] = &[("content-type", "application/json")];
    let explained = server.private_client().send(Method::POST, "/explain/publish", json_type, asked.to_json()).await;
    assert_eq!(
        explained.json()["validators"],
        json!({ "outcome": "refused", "reasons": ["attest: binding-mismatch"] })
    );
    let good = classic_token(&verdict(&ens_v4(&second, METHOD), "MEETS_DEVICE_INTEGRITY"));
    check(&publish(&server, &second, METHOD, good).await, 200, "");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn challenge_of_the_server_is_answered_once_and_in_time() {
    const METHOD: &str = "play-integrity-classic";
    let folder = tempfile::tempdir().expect("temporary folder");
    let mut server = classic_server(folder.path(), OnRefusal::Refuse).await;
    let fetch = async || {
        let answer = server.client().get("/v1/challenge").await;
        assert_eq!((answer.status.as_u16(), answer.header("cache-control")), (200, "no-store"));
        assert_eq!(answer.json()["expiresInSeconds"], 600);
        base64::decode(answer.json()["challenge"].as_str().expect("text")).expect("base64")
    };
    let send = async |seed, challenge: &[u8]| {
        let mut sent = request(&server, seed);
        let verdict = verdict(&ens_v4_with(&sent, METHOD, challenge), "MEETS_DEVICE_INTEGRITY");
        sent.device.method = METHOD.into();
        sent.device.payload = classic_token(&verdict).into();
        sent.device.challenge = base64::encode(challenge).into();
        server.client().publish(sent.to_json()).await
    };
    let (first, second) = (fetch().await, fetch().await);
    check(&send(1, &first).await, 200, "");
    check(&send(2, &first).await, 401, "submission_refused");
    check(&send(2, &[0; 32]).await, 401, "submission_refused");
    check(&send(2, &second).await, 200, "");
    let third = fetch().await;
    server.clock.advance_seconds(601);
    check(&send(3, &third).await, 401, "submission_refused");
    let status = server.private_client().get("/validators").await.json();
    assert_eq!(status["validators"][0]["counts"]["accepted"], 3, "the second was refused in the end only: {status}");
    server.stop().await;
    let without = TestServer::start().await;
    assert_eq!(without.client().get("/v1/challenge").await.status.as_u16(), 404);
}

#[tokio::test(flavor = "multi_thread")]
async fn refused_phone_can_be_answered_as_if_it_was_accepted() {
    const METHOD: &str = "play-integrity-classic";
    let folder = tempfile::tempdir().expect("temporary folder");
    let mut server = classic_server(folder.path(), OnRefusal::Pretend).await;
    let sent = request(&server, 1);
    let answer = publish(&server, &sent, METHOD, "a.b.c.d.e".to_owned()).await;
    check(&answer, 200, "");
    assert_eq!(answer.json()["insertedExposures"], 3);
    // Nothing was stored, or this would need a revision token.
    let token = classic_token(&verdict(&ens_v4(&sent, METHOD), "MEETS_DEVICE_INTEGRITY"));
    check(&publish(&server, &sent, METHOD, token).await, 200, "");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn standard_token_is_opened_by_google_with_the_operators_service_account() {
    const METHOD: &str = "play-integrity-standard";
    if !tools::has("openssl") {
        eprintln!("skipped: openssl makes and checks the service account's RSA key, and is not here");
        return;
    }
    let folder = tempfile::tempdir().expect("temporary folder");
    let made = tools::run(
        folder.path(),
        "openssl",
        &["genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048", "-out", "rsa.pem"],
    );
    assert!(made.status.success());
    let made = tools::run(folder.path(), "openssl", &["pkey", "-in", "rsa.pem", "-pubout", "-out", "rsa.pub"]);
    assert!(made.status.success());
    let private_key = std::fs::read_to_string(folder.path().join("rsa.pem")).expect("made");

    let hash = std::sync::Arc::new(std::sync::Mutex::new([0_u8; 32]));
    let bound_to = hash.clone();
    let google = Upstream::start(move |asked: &Asked| match asked.path.as_str() {
        "/token" => (200, json!({ "access_token": "opaque", "expires_in": 3600, "token_type": "Bearer" }).to_string()),
        path if path == format!("/v1/{APP}:decodeIntegrityToken")
            && asked.header("authorization") == "Bearer opaque" =>
        {
            let verdict = verdict(&bound_to.lock().expect("no panic"), "MEETS_DEVICE_INTEGRITY");
            (200, json!({ "tokenPayloadExternal": verdict }).to_string())
        }
        _ => (401, String::new()),
    });
    let account = json!({
        "type": "service_account",
        "client_email": "tocsin@project.iam.example",
        "private_key": private_key,
        "token_uri": format!("{}/token", google.origin),
    });
    let account = secret(folder.path(), "account.json", &account.to_string());
    let origin = google.origin.clone();
    let mut server = start(
        |section| {
            section.builtin = Some("play-integrity".to_owned());
            section.hosts = vec!["playintegrity.googleapis.com".to_owned()];
            section.origins = [("playintegrity.googleapis.com".to_owned(), origin)].into();
            section.allow_insecure_http = true;
            section.credentials = [("google".to_owned(), account)].into();
            let configuration = json!({
                "kinds": ["standard"],
                "certificate_sha256": [play_integrity::signer_text()],
                "credential": "google",
            });
            section.configuration = toml::Table::try_from(configuration).expect("a table");
        },
        |_| {},
    )
    .await;
    for (seed, token) in [(1, "dG9rZW4x"), (2, "dG9rZW4y")] {
        let sent = request(&server, seed);
        *hash.lock().expect("no panic") = ens_v4(&sent, METHOD);
        check(&publish(&server, &sent, METHOD, token.to_owned()).await, 200, "");
    }
    let asked = google.asked();
    let paths: Vec<_> = asked.iter().map(|asked| asked.path.rsplit('/').next().unwrap_or_default()).collect();
    let decode = format!("{APP}:decodeIntegrityToken");
    assert_eq!(paths, ["token", &decode, &decode], "the access token is kept");
    assert_eq!(
        serde_json::from_slice::<Value>(&asked[1].body).expect("JSON"),
        json!({ "integrity_token": "dG9rZW4x" })
    );
    check_assertion(folder.path(), &asked[0], &google.origin);
    server.stop().await;
}

/// The grant that the server asked for its access token with: openssl checks the signature.
fn check_assertion(folder: &Path, asked: &Asked, origin: &str) {
    let form = String::from_utf8(asked.body.clone()).expect("text");
    assert!(form.contains("grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Ajwt-bearer"), "{form}");
    let assertion = form.split('&').find_map(|field| field.strip_prefix("assertion=")).expect("an assertion");
    let (signed, signature) = assertion.rsplit_once('.').expect("a JWT");
    std::fs::write(folder.join("signed"), signed).expect("written");
    std::fs::write(folder.join("signature"), base64::decode_url(signature).expect("base64url")).expect("written");
    let arguments = ["dgst", "-sha256", "-verify", "rsa.pub", "-signature", "signature", "signed"];
    let verified = tools::run(folder, "openssl", &arguments);
    assert!(verified.status.success(), "{verified:?}");
    let claims = signed.split_once('.').expect("two parts").1;
    let claims: Value = serde_json::from_slice(&base64::decode_url(claims).expect("base64url")).expect("JSON");
    assert_eq!(claims["iss"], "tocsin@project.iam.example");
    assert_eq!(claims["aud"], format!("{origin}/token"));
    assert_eq!(claims["scope"], "https://www.googleapis.com/auth/playintegrity");
    assert_eq!(claims["iat"], NOON.unix());
}
