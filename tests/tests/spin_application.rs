//! Tocsin composed for Spin: what the files import, and that publishing, exporting and purging work there as on the host.

use std::sync::Arc;
use tocsin_domain::ports::Clock;
use tocsin_domain::testing::random::FakeRandom;
use tocsin_host::admin::AdminRequest;
use tocsin_tests::harness::client::Client;
use tocsin_tests::harness::export_files::download;
use tocsin_tests::harness::people::Phone;
use tocsin_tests::harness::server::TestServer;
use tocsin_tests::spin::{Resources, SpinApp, SpinServer, compose};

/// What Spin 3 and 4 serve, as far as we use it.
const SERVED: [&str; 10] = [
    "fermyon:spin/key-value@2.0.0",
    "fermyon:spin/sqlite@2.0.0",
    "fermyon:spin/variables@2.0.0",
    "wasi:cli/stderr@0.2.",
    "wasi:clocks/wall-clock@0.2.",
    "wasi:http/types@0.2.",
    "wasi:io/error@0.2.",
    "wasi:io/poll@0.2.",
    "wasi:io/streams@0.2.",
    "wasi:random/random@0.2.",
];

#[test]
fn composed_files_import_what_spin_serves_and_export_one_handler() {
    for name in ["publish", "export", "purge"] {
        let composed = compose(name);
        for import in &composed.imports {
            assert!(SERVED.iter().any(|served| import.starts_with(served)), "{name} imports {import}");
        }
        assert_eq!(composed.exports, ["wasi:http/incoming-handler@0.2.12"], "{name}");
        let stores_files = composed.imports.iter().any(|import| import.starts_with("fermyon:spin/key-value"));
        assert_eq!(stores_files, name != "publish", "{name}");
    }
}

/// The application over the database and keys of a host that was prepared and stopped.
async fn start(host: &mut TestServer) -> (Arc<SpinApp>, SpinServer) {
    host.stop().await;
    let resources = Resources::of_data_folder(host.folder(), &serde_json::json!({}));
    let app = SpinApp::new(resources, host.clock.clone());
    let server = SpinServer::start(app.clone()).await;
    (app, server)
}

async fn job(client: &mut Client, path: &str) {
    let answer = client.get(path).await;
    assert_eq!(answer.status.as_u16(), 200, "{path}: {}", String::from_utf8_lossy(&answer.body));
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_are_published_exported_and_purged() {
    let mut host = TestServer::start().await;
    host.add_export_config("xx", 4 * 3600, |_| {}).await;
    let pem = host.export_public_key().await;
    let (app, server) = start(&mut host).await;
    let mut client = Client::new(server.address);
    // Exports begin with the window before now.
    job(&mut client, "/create-batches").await;
    let phone = Phone::new(&FakeRandom::seeded(4), 3, host.clock.now());
    let body = phone.body(&host.authority, "confirmed", host.clock.now());
    let answer = client.publish(body.clone()).await;
    assert_eq!(answer.json()["insertedExposures"], 3);
    assert!(!answer.json()["revisionToken"].as_str().unwrap_or_default().is_empty());
    assert_eq!(client.publish(body).await.code(), "missing_revision_token");

    host.clock.advance_seconds(12 * 3600);
    job(&mut client, "/create-batches").await;
    for _ in 0..8 {
        job(&mut client, "/do-work").await;
    }
    let files = download(&mut client, "xx", &pem).await;
    let keys: Vec<[u8; 16]> = files.iter().flat_map(|file| file.keys.iter().map(|(key, _)| *key)).collect();
    for key in &phone.keys {
        assert!(keys.contains(key.key.as_bytes()), "a key of the phone is missing");
    }

    host.clock.advance_seconds(15 * 86_400);
    job(&mut client, "/cleanup-exposure").await;
    for _ in 0..2 {
        job(&mut client, "/cleanup-export").await;
    }
    let left = app.resources.values.lock().expect("no panic").keys().filter(|name| name.ends_with(".zip")).count();
    assert_eq!(left, 0, "files past their time are deleted");
    drop(server);
    host.restart().await;
    let status = host.admin(AdminRequest::Status).await;
    assert_eq!(status["store"]["exposures"], 0, "and so are the keys, as the host sees it");
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn of_publishes_at_the_same_time_each_is_stored_whole_and_once() {
    let mut host = TestServer::start().await;
    let (_app, server) = start(&mut host).await;
    let now = host.clock.now();
    let bodies: Vec<Vec<u8>> = (0..12)
        .map(|seed| Phone::new(&FakeRandom::seeded(seed / 2), 3, now).body(&host.authority, "confirmed", now))
        .collect();
    let tasks: Vec<_> = bodies
        .into_iter()
        .map(|body| {
            let address = server.address;
            tokio::spawn(async move { Client::new(address).publish(body).await })
        })
        .collect();
    let mut stored = 0;
    for task in tasks {
        let answer = task.await.expect("no panic");
        match answer.status.as_u16() {
            200 => stored += answer.json()["insertedExposures"].as_u64().unwrap_or_default(),
            // The same keys from the other of the two.
            400 => assert_eq!(answer.code(), "missing_revision_token"),
            status => panic!("{status}: {}", answer.json()),
        }
    }
    assert_eq!(stored, 18, "six phones with three keys, each sent twice");
}
