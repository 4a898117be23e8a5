//! The main job: phones publish over HTTP, signed files come out, old keys go. The built components in the real host, with
//! a clock of the test's.

use std::collections::BTreeSet;
use tocsin_domain::exposure::ReportType;
use tocsin_domain::ports::Clock;
use tocsin_domain::testing::random::FakeRandom;
use tocsin_host::admin::AdminRequest;
use tocsin_host::jobs::Job;
use tocsin_tests::harness::export_files::{download, index};
use tocsin_tests::harness::people::Phone;
use tocsin_tests::harness::server::TestServer;

const HOUR: i64 = 3600;
const DAY: i64 = 24 * HOUR;

async fn export(server: &TestServer) {
    server.job(Job::CreateBatches).await;
    server.job(Job::DoWork).await;
}

fn key_set(phones: &[Phone]) -> BTreeSet<[u8; 16]> {
    phones.iter().flat_map(|phone| &phone.keys).map(|key| *key.key.as_bytes()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn published_keys_come_out_once_in_signed_files_and_go_after_two_weeks() {
    let mut server = TestServer::start().await;
    server.add_export_config("xx", 3600, |_| {}).await;
    export(&server).await;
    let random = FakeRandom::seeded(1);
    let mut client = server.client();
    let mut phones = Vec::new();
    for _ in 0..100 {
        let phone = Phone::new(&random, 14, server.clock.now());
        let answer = client.publish(phone.body(&server.authority, "confirmed", server.clock.now())).await;
        assert_eq!(answer.status, 200, "{:?}", answer.json());
        assert_eq!(answer.json()["insertedExposures"], 14);
        assert_eq!(answer.header("x-api-version"), "v1");
        assert_eq!(answer.header("content-type"), "application/json");
        phones.push(phone);
    }
    let published = key_set(&phones);
    assert_eq!(published.len(), 1400);

    // Nothing may be exported before the window is two hours old.
    let pem = server.export_public_key().await;
    server.clock.advance_seconds(2 * HOUR + HOUR - 1);
    export(&server).await;
    assert!(download(&mut client, "xx", &pem).await.is_empty(), "nothing is exported early");

    server.clock.advance_seconds(1);
    export(&server).await;
    export(&server).await;
    let files = download(&mut client, "xx", &pem).await;
    assert_eq!(files.len(), 1);
    let exported: BTreeSet<_> = files[0].keys.iter().map(|(key, _)| *key).collect();
    assert_eq!(exported, published, "1400 keys need no padding");
    assert_eq!(files[0].keys.len(), published.len(), "each key once");
    assert!(files[0].keys.iter().all(|(_, report_type)| *report_type == Some(ReportType::ConfirmedTest)));
    assert!(files[0].revised_keys.is_empty());
    assert_eq!(files[0].region, "XX");
    assert_eq!(files[0].end - files[0].start, HOUR);

    // A restart loses nothing.
    server.restart().await;
    let mut client = server.client();
    assert_eq!(download(&mut client, "xx", &pem).await, files);

    // The file leaves the index first and is deleted by the next purge.
    server.clock.advance_seconds(14 * DAY + 2 * HOUR);
    let report = server.job(Job::Purge).await;
    assert_eq!(report["exposures_deleted"], 1400);
    assert_eq!(report["files_deleted"], 0, "phones may still be reading the old index");
    assert!(index(&mut client, "xx").await.is_empty());
    assert_eq!(client.get(&format!("/exports/{}", files[0].name)).await.status, 200);
    assert_eq!(server.job(Job::Purge).await["files_deleted"], 1);
    assert_eq!(client.get(&format!("/exports/{}", files[0].name)).await.status, 404);
    let status = server.admin(AdminRequest::Status).await;
    assert_eq!(status["store"]["exposures"], 0, "{status}");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn few_keys_are_padded_and_the_padding_is_the_same_in_every_export() {
    let mut server = TestServer::start().await;
    server.add_export_config("hourly", 3600, |_| {}).await;
    server.add_export_config("daily", 86_400, |config| config.filename_root = "daily".to_owned()).await;
    export(&server).await;
    let random = FakeRandom::seeded(2);
    let mut client = server.client();
    let phone = Phone::new(&random, 14, server.clock.now());
    assert_eq!(client.publish(phone.body(&server.authority, "confirmed", server.clock.now())).await.status, 200);
    let pem = server.export_public_key().await;

    server.clock.advance_seconds(3 * HOUR);
    export(&server).await;
    let hourly = download(&mut client, "hourly", &pem).await;
    assert_eq!(hourly.len(), 1);
    let hourly_keys: BTreeSet<_> = hourly[0].keys.iter().map(|(key, _)| *key).collect();
    assert_eq!(hourly_keys.len(), hourly[0].keys.len());
    assert!((1000..=1113).contains(&hourly_keys.len()), "{} keys", hourly_keys.len());
    assert!(hourly_keys.is_superset(&key_set(&[phone])));

    server.clock.advance_seconds(DAY);
    export(&server).await;
    let daily = download(&mut client, "daily", &pem).await;
    let daily_keys: BTreeSet<_> = daily.iter().flat_map(|file| &file.keys).map(|(key, _)| *key).collect();
    assert_eq!(daily_keys, hourly_keys, "nobody can tell padding by comparing two exports");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_is_revised_with_its_token_once_and_comes_out_as_revised() {
    let mut server = TestServer::start().await;
    server.add_export_config("xx", 3600, |_| {}).await;
    export(&server).await;
    let random = FakeRandom::seeded(3);
    let mut client = server.client();
    let mut phone = Phone::new(&random, 3, server.clock.now());
    let answer = client.publish(phone.body(&server.authority, "likely", server.clock.now())).await;
    assert_eq!(answer.status, 200);
    let token = answer.json()["revisionToken"].as_str().expect("a token").to_owned();

    let refused = client.publish(phone.body(&server.authority, "confirmed", server.clock.now())).await;
    assert_eq!((refused.status.as_u16(), refused.code().as_str()), (400, "missing_revision_token"));
    phone.revision_token = "bm90IGEgdG9rZW4=".to_owned();
    let refused = client.publish(phone.body(&server.authority, "confirmed", server.clock.now())).await;
    assert_eq!((refused.status.as_u16(), refused.code().as_str()), (400, "invalid_revision_token"));

    server.clock.advance_seconds(5 * HOUR);
    phone.revision_token = token;
    let revised = client.publish(phone.body(&server.authority, "confirmed", server.clock.now())).await;
    assert_eq!(revised.status, 200, "{:?}", revised.json());
    assert!(revised.json().get("insertedExposures").is_none(), "a revision inserts nothing");
    phone.revision_token = revised.json()["revisionToken"].as_str().expect("a token").to_owned();
    let again = client.publish(phone.body(&server.authority, "negative", server.clock.now())).await;
    assert_eq!((again.status.as_u16(), again.code().as_str()), (400, "key_already_revised"));

    server.clock.advance_seconds(4 * HOUR);
    export(&server).await;
    let pem = server.export_public_key().await;
    let files = download(&mut client, "xx", &pem).await;
    let published = key_set(std::slice::from_ref(&phone));
    let revised: BTreeSet<_> = files.iter().flat_map(|file| &file.revised_keys).copied().collect();
    let expect: BTreeSet<_> = published.iter().map(|key| (*key, Some(ReportType::ConfirmedTest))).collect();
    assert_eq!(revised, expect);
    let first: Vec<_> =
        files.iter().flat_map(|file| &file.keys).filter(|(key, _)| published.contains(key)).copied().collect();
    assert_eq!(first.len(), 3, "as new exactly once");
    assert!(first.iter().all(|(_, report_type)| *report_type == Some(ReportType::ConfirmedClinicalDiagnosis)));
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn exporting_the_same_rows_twice_gives_the_same_bytes() {
    let mut server = TestServer::start().await;
    server.add_export_config("one", 3600, |_| {}).await;
    server.add_export_config("two", 3600, |config| config.filename_root = "two".to_owned()).await;
    export(&server).await;
    let random = FakeRandom::seeded(4);
    let mut client = server.client();
    for _ in 0..80 {
        let phone = Phone::new(&random, 14, server.clock.now());
        assert_eq!(client.publish(phone.body(&server.authority, "confirmed", server.clock.now())).await.status, 200);
    }
    server.clock.advance_seconds(3 * HOUR);
    export(&server).await;
    let pem = server.export_public_key().await;
    let (one, two) = (download(&mut client, "one", &pem).await, download(&mut client, "two", &pem).await);
    assert_eq!(one.len(), 1);
    assert_eq!(one[0].zip, two[0].zip);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn files_are_served_with_caching_headers_and_conditional_requests() {
    let mut server = TestServer::start().await;
    server.add_export_config("xx", 3600, |_| {}).await;
    export(&server).await;
    let random = FakeRandom::seeded(5);
    let mut client = server.client();
    let phone = Phone::new(&random, 14, server.clock.now());
    client.publish(phone.body(&server.authority, "confirmed", server.clock.now())).await;
    server.clock.advance_seconds(3 * HOUR);
    export(&server).await;

    let listed = client.get("/exports/xx/index.txt").await;
    assert_eq!(listed.header("content-type"), "text/plain");
    assert_eq!(listed.header("cache-control"), "no-cache, max-age=0");
    let name = String::from_utf8(listed.body.to_vec()).expect("ASCII");
    assert!(!name.ends_with('\n'), "no newline at the end");
    let path = format!("/exports/{name}");
    let file = client.get(&path).await;
    assert_eq!(file.header("content-type"), "application/zip");
    assert_eq!(file.header("cache-control"), "public, max-age=86400");
    let etag = file.header("etag").to_owned();
    assert_eq!(etag.len(), 34);
    let unchanged = client.send(http::Method::GET, &path, &[("if-none-match", &etag)], "").await;
    assert_eq!((unchanged.status.as_u16(), unchanged.body.len()), (304, 0));
    let head = client.send(http::Method::HEAD, &path, &[], "").await;
    assert_eq!((head.status.as_u16(), head.body.len()), (200, 0));
    assert_eq!(head.header("content-length"), file.body.len().to_string());
    for missing in ["/exports/", "/exports/xx", "/exports/../tocsin.db", "/exports/xx/none.zip", "/", "/v1/publish/"] {
        assert_eq!(client.get(missing).await.status, 404, "{missing}");
    }
    let keys = client.get("/.well-known/export-verification-keys.json").await.json();
    assert_eq!(keys["keys"][0]["verification_key_id"], "310");
    assert_eq!(keys["keys"][0]["public_key_pem"], server.export_public_key().await);
    assert_eq!(client.get("/health").await.json()["status"], "ok");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn schedulers_run_jobs_through_the_private_listener_and_phones_cannot() {
    let mut server = TestServer::start_with(|config| config.private.listen = Some(([127, 0, 0, 1], 0).into())).await;
    server.add_export_config("xx", 3600, |_| {}).await;
    let mut private = server.private_client();
    for path in ["/create-batches", "/do-work", "/cleanup-exposure", "/cleanup-export"] {
        let answer = private.get(path).await;
        assert_eq!((answer.status.as_u16(), &answer.body[..]), (200, &br#"{"ok":true}"#[..]), "{path}");
        assert_eq!(answer.header("content-type"), "application/json");
        assert_eq!(server.client().get(path).await.status, 404, "{path} is not public");
    }
    assert_eq!(server.client().get("/admin").await.status, 404);
    let status = r#"{"command":"status"}"#;
    for (content_type, expected) in [("text/plain", 415), ("application/json", 200)] {
        let answer = private.send(http::Method::POST, "/admin", &[("content-type", content_type)], status).await;
        assert_eq!(answer.status, expected, "a web page must not be able to administer: {content_type}");
    }
    assert_eq!(private.get("/health").await.json()["store"]["exposures"], 0);
    server.stop().await;
}
