//! Where is my key? The command and the private route, on the real binary; the forecast comes true.

use http::Method;
use serde_json::Value;
use tocsin_domain::ports::Clock;
use tocsin_domain::testing::random::FakeRandom;
use tocsin_host::admin::AdminRequest;
use tocsin_host::jobs::Job;
use tocsin_tests::harness::export_files::download;
use tocsin_tests::harness::people::Phone;
use tocsin_tests::harness::process::tocsin_ok;
use tocsin_tests::harness::server::TestServer;

const JSON: &[(&str, &str)] = &[("content-type", "application/json")];

async fn start() -> TestServer {
    TestServer::start_with(|config| config.private.listen = Some(([127, 0, 0, 1], 0).into())).await
}

#[tokio::test(flavor = "multi_thread")]
async fn forecast_of_the_first_export_comes_true_to_the_second() {
    let mut server = start().await;
    server.add_export_config("xx", 4 * 3600, |_| {}).await;
    server.add_export_config("elsewhere", 3600, |config| config.output_region = "YY".to_owned()).await;
    server.job(Job::CreateBatches).await;
    server.job(Job::DoWork).await;
    let phone = Phone::new(&FakeRandom::seeded(9), 2, server.clock.now());
    let body = phone.body(&server.authority, "confirmed", server.clock.now());
    let explained = server.private_client().send(Method::POST, "/explain/publish", JSON, body.clone()).await;
    assert_eq!(explained.status, 200);
    let explained = explained.json();
    assert_eq!(explained["answer"]["status"], 200);
    assert_eq!(explained["answer"]["inserted_exposures"], 2);
    assert_eq!(explained["keys"][0]["outcome"], "stored");
    let exports = explained["first_exports"][1]["exports"].as_array().expect("a list");
    assert_eq!(exports.len(), 1, "the other config is of another region");
    assert_eq!(exports[0]["filename_root"], "xx");
    let not_before = exports[0]["not_before_unix"].as_i64().expect("a time");

    // Nothing was stored by asking; then the phone publishes for real.
    assert_eq!(server.admin(AdminRequest::Status).await["store"]["exposures"], 0);
    let mut client = server.client();
    assert_eq!(client.publish(body).await.json()["insertedExposures"], 2);
    let pem = server.export_public_key().await;
    for (seconds_off, files) in [(-1, 0), (0, 1)] {
        server.clock.advance_seconds(not_before + seconds_off - server.clock.now().unix());
        server.job(Job::CreateBatches).await;
        server.job(Job::DoWork).await;
        assert_eq!(download(&mut client, "xx", &pem).await.len(), files);
    }
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn hmac_mismatch_is_explained() {
    let mut server = start().await;
    let phone = Phone::new(&FakeRandom::seeded(9), 3, server.clock.now());
    let mut request = phone.request(&server.authority, "confirmed", server.clock.now());
    // The health authority signed an HMAC over keys without a risk, as this app sent them there.
    request.keys[0].transmission_risk = 3;
    let explained =
        server.private_client().send(Method::POST, "/explain/publish", JSON, request.to_json()).await.json();
    assert_eq!(explained["answer"]["status"], 401);
    assert_eq!(explained["answer"]["code"], "health_authority_verification_certificate_invalid");
    let hints = explained["certificate"]["hints"].as_array().expect("hints");
    assert_eq!(hints.len(), 1);
    assert!(hints[0].as_str().is_some_and(|hint| hint.contains("`transmissionRisk` of 0")), "{hints:?}");
    let answer = server.client().publish(request.to_json()).await;
    assert_eq!(answer.code(), explained["answer"]["code"]);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn dry_run_is_for_operators_and_refuses_what_is_no_question() {
    let mut server = start().await;
    let mut private = server.private_client();
    for (method, path, headers, status) in [
        (Method::POST, "/explain/publish?api=v2", JSON, 400),
        (Method::POST, "/explain/publish", &[][..], 415),
        (Method::GET, "/explain/publish", JSON, 405),
    ] {
        assert_eq!(private.send(method, path, headers, "{}").await.status, status, "{path}");
    }
    let alpha = private.send(Method::POST, "/explain/publish?api=v1alpha1", JSON, r#"{"appPackageName":"x"}"#).await;
    assert_eq!(alpha.json()["answer"]["error"], "unauthorized health authority: x");
    assert_eq!(server.client().send(Method::POST, "/explain/publish", JSON, "{}").await.status, 404);
    server.stop().await;
}

#[test]
fn command_explains_a_file_without_a_server() {
    let folder = tempfile::tempdir().expect("temporary folder");
    let authority = tocsin_tests::harness::people::HealthAuthority::new();
    let (config, services) = tocsin_tests::harness::folder::set_up(folder.path(), &authority);
    tocsin_tests::harness::folder::write_config(folder.path(), &config);
    drop(services);
    let now = tocsin_host::services::SystemClock.now();
    let phone = Phone::new(&FakeRandom::seeded(4), 1, now);
    let file = folder.path().join("request.json");
    std::fs::write(&file, phone.body(&authority, "confirmed", now)).expect("written");
    let file_name = file.to_str().expect("UTF-8");
    let text = tocsin_ok(folder.path(), &["explain", "publish", file_name]);
    assert!(text.starts_with("answer      200, 1 stored for the first time\n"), "{text}");
    assert!(text.contains("key 0       stored, counts from "), "{text}");
    let json: Value =
        serde_json::from_str(&tocsin_ok(folder.path(), &["explain", "publish", file_name, "--json"])).expect("JSON");
    assert_eq!(json["keys"][0]["outcome"], "stored");
    let secret = serde_json::from_slice::<Value>(&std::fs::read(&file).expect("read")).expect("JSON");
    let key = secret["temporaryExposureKeys"][0]["key"].as_str().expect("a key");
    assert!(!text.contains(key) && !json.to_string().contains(key), "no key in any answer");
}
