//! Keys of health authorities come from where these publish them: rotation, and everything that can go wrong with it.

mod host;
mod https;

use host::{KeySetHost, jwk};
use serde_json::{Value, json};
use tocsin_domain::base64;
use tocsin_domain::ports::Clock;
use tocsin_domain::testing::random::FakeRandom;
use tocsin_host::admin::{AdminRequest, apply};
use tocsin_host::config::Config;
use tocsin_host::jobs::{self, Job};
use tocsin_host::storage::administration::{HealthAuthorityUpdate, NewHealthAuthority};
use tocsin_tests::harness::folder::{set_up, write_config};
use tocsin_tests::harness::people::{AUDIENCE, HealthAuthority, ISSUER, KEY_VERSION, Phone};
use tocsin_tests::harness::process::{tocsin, tocsin_ok};
use tocsin_tests::harness::server::TestServer;

const DAY: i64 = 86_400;

fn allow_http(config: &mut Config) {
    config.jwks.allow_insecure_http = true;
}

/// Has the test health authority publish its keys there.
async fn import_from(server: &TestServer, uri: &str) {
    update(server, HealthAuthorityUpdate { jwks_uri: Some(uri.to_owned()), ..HealthAuthorityUpdate::default() }).await;
}

async fn update(server: &TestServer, update: HealthAuthorityUpdate) {
    server.admin(AdminRequest::UpdateHealthAuthority { issuer: ISSUER.to_owned(), update }).await;
}

async fn import(server: &TestServer) -> Result<Value, String> {
    jobs::run(server.components(), Job::ImportKeySets).await.map_err(|error| error.to_string())
}

/// The status that a phone gets with a certificate of that health authority.
async fn publish(server: &TestServer, random: &FakeRandom, authority: &HealthAuthority) -> u16 {
    let now = server.clock.now();
    let answer = server.client().publish(Phone::new(random, 3, now).body(authority, "confirmed", now)).await;
    if answer.status != 200 {
        assert_eq!(answer.code(), "health_authority_verification_certificate_invalid");
    }
    answer.status.as_u16()
}

async fn keys(server: &TestServer) -> Value {
    server.admin(AdminRequest::ListHealthAuthorities).await[0]["keys"].clone()
}

/// A report of the test health authority in which only `changes` happened.
fn report(keys: usize, changes: &[(&str, &[&str])]) -> Value {
    let mut report = json!({
        "issuer": ISSUER, "keys": keys, "added": [], "revoked": [], "purged": [], "still_revoked": [], "skipped": [],
    });
    for (what, versions) in changes {
        report[*what] = json!(versions);
    }
    json!({ "already_running": false, "health_authorities": [report] })
}

#[tokio::test(flavor = "multi_thread")]
async fn rotated_key_is_accepted_once_it_is_published_and_the_old_one_refused_once_it_is_not() {
    let mut server = TestServer::start_with(allow_http).await;
    let host = KeySetHost::start().await;
    import_from(&server, &host.uri()).await;
    let random = FakeRandom::seeded(1);
    let (old, new) = (server.authority.clone(), HealthAuthority::with_key_version("v2"));
    assert_eq!(publish(&server, &random, &old).await, 200);
    assert_eq!(publish(&server, &random, &new).await, 401);

    host.publish(&json!([jwk(KEY_VERSION, &old), jwk("v2", &new)]));
    assert_eq!(import(&server).await, Ok(report(2, &[("added", &["v2"])])));
    // In the same second.
    assert_eq!(publish(&server, &random, &new).await, 200);
    assert_eq!(publish(&server, &random, &old).await, 200);

    host.publish(&json!({ "keys": [jwk("v2", &new)] }));
    assert_eq!(import(&server).await, Ok(report(1, &[("revoked", &[KEY_VERSION])])));
    assert_eq!(publish(&server, &random, &old).await, 401);
    assert_eq!(publish(&server, &random, &new).await, 200);

    // It ages, is not revoked anew, and goes after 30 days. A restart forgets nothing.
    let revoked_at = server.clock.now().unix();
    for days in [1, 29] {
        server.clock.advance_seconds(days * DAY);
        server.restart().await;
        assert_eq!(import(&server).await, Ok(report(1, &[])));
        assert_eq!(keys(&server).await[0]["thru_unix"], revoked_at);
    }
    server.clock.advance_seconds(1);
    assert_eq!(import(&server).await, Ok(report(1, &[("purged", &[KEY_VERSION])])));
    assert_eq!(keys(&server).await.as_array().map(Vec::len), Some(1));
    assert_eq!(publish(&server, &random, &new).await, 200);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn key_revoked_here_stays_revoked_although_it_is_published() {
    let mut server = TestServer::start_with(allow_http).await;
    let host = KeySetHost::start().await;
    import_from(&server, &host.uri()).await;
    let random = FakeRandom::seeded(2);
    let (leaked, other) = (server.authority.clone(), HealthAuthority::with_key_version("v2"));
    host.publish(&json!([jwk(KEY_VERSION, &leaked), jwk("v2", &other)]));
    import(&server).await.expect("imported");
    let named = |version: &str| (ISSUER.to_owned(), version.to_owned());
    let (issuer, version) = named(KEY_VERSION);
    server.admin(AdminRequest::RevokeHealthAuthorityKey { issuer, version }).await;
    assert_eq!(import(&server).await, Ok(report(2, &[("still_revoked", &[KEY_VERSION])])));
    host.publish(&json!([jwk("renamed", &leaked), jwk("v2", &other)]));
    assert_eq!(import(&server).await, Ok(report(2, &[("still_revoked", &["renamed"])])));
    assert_eq!(publish(&server, &random, &leaked).await, 401);
    // Neither does it take the place of the last one that is valid.
    host.publish(&json!([jwk(KEY_VERSION, &leaked)]));
    let error = import(&server).await.expect_err("no key would be left");
    assert!(error.contains("without the others none would be valid"), "{error}");
    assert_eq!(publish(&server, &random, &other).await, 200);
    let (issuer, version) = named(KEY_VERSION);
    server.admin(AdminRequest::ReinstateHealthAuthorityKey { issuer, version }).await;
    assert_eq!(publish(&server, &random, &leaked).await, 200);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn empty_key_set_revokes_all_keys_only_where_that_is_allowed() {
    let mut server = TestServer::start_with(allow_http).await;
    let host = KeySetHost::start().await;
    import_from(&server, &host.uri()).await;
    let random = FakeRandom::seeded(3);
    let authority = server.authority.clone();
    host.publish(&json!([]));
    let error = import(&server).await.expect_err("refused");
    assert!(error.contains(ISSUER) && error.contains("allow_empty_key_set"), "{error}");
    assert_eq!(publish(&server, &random, &authority).await, 200);
    update(&server, HealthAuthorityUpdate { allow_empty_key_set: Some(true), ..HealthAuthorityUpdate::default() })
        .await;
    assert_eq!(import(&server).await, Ok(report(0, &[("revoked", &[KEY_VERSION])])));
    assert_eq!(publish(&server, &random, &authority).await, 401);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_answers_change_nothing_and_do_not_hold_up_other_health_authorities() {
    let mut server = TestServer::start_with(|config| {
        allow_http(config);
        config.jwks.max_body_bytes = 2000;
        config.jwks.request_timeout_ms = 2000;
        config.jwks.max_workers = 1;
    })
    .await;
    let (host, good_host) = (KeySetHost::start().await, KeySetHost::start().await);
    import_from(&server, &host.uri()).await;
    server
        .admin(AdminRequest::AddHealthAuthority(NewHealthAuthority {
            issuer: "good.example".to_owned(),
            audience: AUDIENCE.to_owned(),
            name: "Good".to_owned(),
            jwks_uri: Some(good_host.uri()),
            allow_empty_key_set: false,
            statistics_enabled: true,
        }))
        .await;
    let before = keys(&server).await;
    let other = HealthAuthority::with_key_version("other");
    let with = |member: &str, value: Value| {
        let mut key = jwk("v2", &other);
        key[member] = value;
        json!([key]).to_string()
    };
    let rsa = json!([{ "kty": "RSA", "kid": "r1", "n": "AQAB", "e": "AQAB" }]).to_string();
    let padded = format!("{}=", base64::encode_url(&[1; 32]));
    let cases: [(&str, &str, String, &str); 13] = [
        ("404", "404 Not Found", "[]".to_owned(), "the server answered 404 Not Found instead of 200"),
        ("500", "500 Oh No", "[]".to_owned(), "instead of 200"),
        ("no content", "204 No Content", String::new(), "instead of 200"),
        ("redirect", "302 Found", String::new(), "redirects are not followed"),
        ("empty body", "200 OK", String::new(), "is not JSON"),
        ("a web page", "200 OK", "<html>welcome</html>".to_owned(), "is not JSON (line 1, column 1)"),
        ("other JSON", "200 OK", "{\"a\":1}".to_owned(), "neither a list of keys nor an object"),
        ("too long", "200 OK", format!("[{}]", " ".repeat(2000)), "the answer is longer than 2000 bytes"),
        ("empty set", "200 OK", "{\"keys\":[]}".to_owned(), "no key that can check certificates"),
        ("keys of other types only", "200 OK", rsa, "no key that can check certificates"),
        ("padded coordinate", "200 OK", with("x", json!(padded)), "key \"v2\" (number 1 of the set) has an \"x\""),
        ("point off the curve", "200 OK", with("x", json!(base64::encode_url(&[1; 32]))), "is no point of P-256"),
        ("reused kid", "200 OK", with("kid", json!(KEY_VERSION)), "the set has another key under it"),
    ];
    for (number, (what, status, body, expect)) in cases.iter().enumerate() {
        host.publish_text(status, body);
        let good_key = HealthAuthority::new();
        good_host.publish(&json!([jwk(&format!("good{number}"), &good_key)]));
        let error = import(&server).await.expect_err(what);
        assert!(error.starts_with(&format!("health authority {ISSUER:?}: ")), "{what}: {error}");
        assert!(error.contains(expect), "{what}: {error}");
        let secrets = ["127.0.0.1", "good.example", &base64::encode_url(&other.public_key()[1..33])[..20], "welcome"];
        assert!(secrets.iter().all(|secret| !error.contains(secret)), "{what}: {error}");
        let status = server.admin(AdminRequest::Status).await;
        assert_eq!(status["key_sets"][0]["last_failure"], error.split_once(": ").expect("an issuer").1, "{what}");
        assert_eq!(status["key_sets"][1]["last_success_unix"], server.clock.now().unix(), "{what}");
        let all = server.admin(AdminRequest::ListHealthAuthorities).await;
        assert_eq!(all[0]["keys"], before, "{what}");
        let newest = all[1]["keys"].as_array().and_then(|keys| keys.last()).expect("a key");
        assert_eq!(newest["version"], format!("good{number}"), "{what}");
        server.clock.advance_seconds(60);
    }
    // All is well again.
    host.publish(&json!([jwk(KEY_VERSION, &server.authority)]));
    import(&server).await.expect("imported");
    let status = server.admin(AdminRequest::Status).await;
    assert_eq!(status["key_sets"][0]["last_failure"], Value::Null);
    assert_eq!(status["key_sets"][0]["last_failure_unix"], server.clock.now().unix() - 60);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn server_that_never_answers_fails_alone() {
    let mut server = TestServer::start_with(|config| {
        allow_http(config);
        config.jwks.request_timeout_ms = 50;
    })
    .await;
    let host = KeySetHost::start().await;
    import_from(&server, &host.uri()).await;
    host.hang();
    let error = import(&server).await.expect_err("no answer");
    assert!(error.contains(ISSUER) && error.contains("did not answer in time"), "{error}");
    let uri = host.uri();
    drop(host);
    import_from(&server, &uri).await;
    let error = import(&server).await.expect_err("nobody there");
    assert!(error.contains("cannot be reached") && !error.contains("127.0.0.1"), "{error}");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn import_ends_when_its_time_is_over() {
    let mut server = TestServer::start_with(|config| {
        allow_http(config);
        config.jwks.max_runtime_seconds = 1;
    })
    .await;
    let host = KeySetHost::start().await;
    import_from(&server, &host.uri()).await;
    host.hang();
    let error = import(&server).await.expect_err("no answer");
    assert!(error.contains(ISSUER) && error.contains("jwks.max_runtime_seconds"), "{error}");
    let status = server.admin(AdminRequest::Status).await;
    assert_eq!(status["key_sets"][0]["last_failure_unix"], server.clock.now().unix());
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn scheduler_imports_through_the_private_listener_one_at_a_time() {
    let mut server = TestServer::start_with(|config| {
        allow_http(config);
        config.private.listen = Some(([127, 0, 0, 1], 0).into());
    })
    .await;
    let mut private = server.private_client();
    assert_eq!(private.get("/jwks").await.json(), json!({ "ok": true }), "nobody has a URI");
    assert_eq!(server.client().get("/jwks").await.status, 404, "not public");

    let host = KeySetHost::start().await;
    import_from(&server, &host.uri()).await;
    host.publish(&json!([jwk(KEY_VERSION, &server.authority)]));
    let permits = host.hold();
    let mut first = server.private_client();
    let first = tokio::spawn(async move { first.get("/jwks").await });
    host.asked().await;
    let second = private.get("/jwks").await;
    assert_eq!((second.status.as_u16(), second.json()), (200, json!({ "error": "too early" })));
    let report = server.job(Job::ImportKeySets).await;
    assert_eq!(report, json!({ "already_running": true, "health_authorities": [] }));
    permits.add_permits(2);
    let first = first.await.expect("answered");
    assert_eq!((first.status.as_u16(), first.json()), (200, json!({ "ok": true })));
    assert_eq!(private.get("/jwks").await.json(), json!({ "ok": true }));

    host.publish_text("404 Not Found", "");
    permits.add_permits(1);
    let failed = private.get("/jwks").await;
    let text = format!("health authority {ISSUER:?}: the server answered 404 Not Found instead of 200");
    assert_eq!((failed.status.as_u16(), failed.json()), (500, json!({ "errors": [text] })));
    assert_eq!(private.get("/health").await.json()["key_sets"][0]["issuer"], ISSUER);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn uris_that_would_be_asked_in_clear_or_with_a_password_are_refused() {
    let mut server = TestServer::start().await;
    for (uri, expect) in [
        ("http://health.example/jwks.json", "use https://"),
        ("https://user:secret@health.example/", "must not hold a user name or password"),
        ("health.example", "whole URI"),
    ] {
        let update = HealthAuthorityUpdate { jwks_uri: Some(uri.to_owned()), ..HealthAuthorityUpdate::default() };
        let request = AdminRequest::UpdateHealthAuthority { issuer: ISSUER.to_owned(), update };
        let error = apply(server.components(), request).await.expect_err(uri);
        assert_eq!(error.status(), 400);
        assert!(error.to_string().contains(expect) && !error.to_string().contains("secret"), "{error}");
    }
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn commands_import_keys_without_a_server() {
    let folder = tempfile::tempdir().expect("temporary folder");
    let authority = HealthAuthority::new();
    let (mut config, services) = set_up(folder.path(), &authority);
    drop(services);
    allow_http(&mut config);
    write_config(folder.path(), &config);
    let host = KeySetHost::start().await;
    host.publish(&json!([jwk("v2", &HealthAuthority::new()), { "kty": "RSA", "kid": "r1" }]));
    let run = |arguments: &[&str]| tokio::task::block_in_place(|| tocsin_ok(folder.path(), arguments));
    let command = ["health-authority"];
    let own = |rest: &[&str]| run(&[&command, rest].concat());

    run(&["health-authority", "update", "--issuer", ISSUER, "--jwks-uri", &host.uri(), "--statistics", "false"]);
    let would = own(&["import-keys", "--issuer", ISSUER, "--dry-run"]);
    assert!(would.contains("would be added: \"v2\"") && would.contains("would be revoked: \"v1\""), "{would}");
    assert!(would.contains("skipped: key \"r1\" (number 2 of the set) has the type \"RSA\", not EC"), "{would}");
    assert_eq!(own(&["import-keys", "--issuer", ISSUER, "--dry-run"]), would, "a dry run changes nothing");
    let did = own(&["import-keys", "--issuer", ISSUER]);
    assert_eq!(did, would.replace("would be ", ""));
    let again = run(&["job", "run", "import-key-sets"]);
    assert!(again.contains("Nothing has changed."), "{again}");

    own(&["key", "reinstate", "--issuer", ISSUER, "--version", KEY_VERSION]);
    own(&["key", "activate", "--issuer", ISSUER, "--version", KEY_VERSION]);
    let listed: Value = serde_json::from_str(&own(&["list", "--json"])).expect("JSON");
    assert_eq!(listed[0]["statistics_enabled"], false);
    assert_eq!(listed[0]["keys"][0]["thru_unix"], Value::Null);
    assert!(own(&["list"]).contains(&format!("keys of {ISSUER} are imported from {}", host.uri())));

    own(&["update", "--issuer", ISSUER, "--no-jwks-uri", "--allow-empty-key-set", "true"]);
    let refused =
        tokio::task::block_in_place(|| tocsin(folder.path(), &["health-authority", "import-keys", "--issuer", ISSUER]));
    assert!(!refused.status.success());
    assert!(String::from_utf8_lossy(&refused.stderr).contains("it has no JWKS URI"));
    let added = own(&["add", "--issuer", "b", "--audience", "b", "--name", "b", "--jwks-uri", &host.uri()]);
    assert!(added.contains("import-keys") && added.contains("--dry-run"), "{added}");
}
