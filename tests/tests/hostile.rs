//! A component that misbehaves costs its request alone: an answer in time, other requests unharmed, memory back, nothing
//! told to the client. And a file that is no component of ours is refused at start, by name.

use bytes::Bytes;
use http::{Method, Request};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use tempfile::TempDir;
use tocsin_host::config::Config;
use tocsin_host::engine::ServiceName;
use tocsin_host::server::{load_components, open_services};
use tocsin_tests::harness::client::{Answer, Client};
use tocsin_tests::harness::components_folder;
use tocsin_tests::harness::process::resident_bytes;
use tocsin_tests::harness::server::{TestServer, test_config};

/// Behaviours of `tests/hostile` in its typed export, which the public listener calls.
const BAD: [&str; 11] =
    ["loop", "allocate", "recurse", "panic", "huge", "status", "sleep", "random", "handles", "headers", "exit"];
/// Those that end by themselves or at a limit other than time.
const BAD_AND_QUICK: [&str; 8] = ["allocate", "recurse", "panic", "huge", "status", "random", "handles", "exit"];
/// Behaviours of its `wasi:http` export.
const BAD_OVER_WASI_HTTP: [&str; 9] =
    ["silent", "half", "huge", "endless", "error", "loop", "panic", "handles", "headers"];
/// Stands for what a phone sent.
const SECRET: &str = "c2VjcmV0LXNlY3JldA==";
/// Far above every limit of time below.
const IN_TIME: Duration = Duration::from_secs(30);

/// The components, with others in the place of some.
fn components_with(replaced: &[(&str, &[u8])]) -> TempDir {
    let folder = tempfile::tempdir().expect("temporary folder");
    for name in ["publish", "verification", "export", "purge"] {
        let file = format!("{name}.wasm");
        let content = match replaced.iter().find(|(other, _)| *other == name) {
            Some((_, content)) => content.to_vec(),
            None => std::fs::read(components_folder().join(&file)).expect("the component is built"),
        };
        std::fs::write(folder.path().join(file), content).expect("written");
    }
    folder
}

fn hostile_component() -> Vec<u8> {
    let file = components_folder().join("test/hostile.wasm");
    std::fs::read(&file).expect("the hostile component is built: run the tests with `cargo xtask test`")
}

fn with_small_limits(components: &Path) -> impl FnOnce(&mut Config) {
    move |config| {
        config.folders.components = Some(components.to_owned());
        config.limits.publish.memory_mib = 16;
        config.limits.publish.compute_ms = 300;
        config.public.request_timeout_ms = 2_000;
    }
}

async fn hostile_server() -> (TempDir, TestServer) {
    let folder = components_with(&[("publish", &hostile_component())]);
    let server = TestServer::start_with(with_small_limits(folder.path())).await;
    (folder, server)
}

async fn ask(client: &mut Client, behaviour: &str) -> Answer {
    let body = format!("{behaviour} {SECRET}");
    client.send(Method::POST, "/v1/publish", &[("content-type", "application/json")], body).await
}

/// The request failed, the client was told so in JSON, and was told nothing else.
async fn check_fails(client: &mut Client, behaviour: &str) {
    let started = Instant::now();
    let answer = ask(client, behaviour).await;
    assert!(started.elapsed() < IN_TIME, "{behaviour} took {:?}", started.elapsed());
    assert!(answer.status.is_server_error(), "{behaviour}: {}", answer.status);
    assert_eq!(answer.header("content-type"), "application/json", "{behaviour}");
    assert_eq!(answer.code(), "internal_error", "{behaviour}");
    let text = String::from_utf8(answer.body.to_vec()).expect("UTF-8");
    for hidden in [SECRET, "wasm", "half", "panic"] {
        assert!(!text.contains(hidden), "{behaviour} told the client: {text}");
    }
}

async fn check_ok(client: &mut Client) {
    let answer = ask(client, "ok").await;
    assert_eq!((answer.status.as_u16(), &answer.body[..]), (200, &br#"{"status":"ok"}"#[..]));
}

#[tokio::test(flavor = "multi_thread")]
async fn each_bad_behaviour_is_a_5xx_in_time_and_the_next_request_works() {
    let (_components, mut server) = hostile_server().await;
    let mut client = server.client();
    check_ok(&mut client).await;
    for behaviour in BAD {
        check_fails(&mut client, behaviour).await;
        check_ok(&mut client).await;
    }
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn component_that_answers_over_wasi_http_can_do_no_more_harm() {
    let (_components, mut server) = hostile_server().await;
    let answer = async |behaviour: &str| {
        let body = Bytes::from(format!("{behaviour} {SECRET}"));
        let request = Request::post("/v1/publish").header("host", "localhost").body(body).expect("a request");
        let answer = server.components().handle_http(ServiceName::Publish, request);
        tokio::time::timeout(IN_TIME, answer).await.expect("in time")
    };
    for behaviour in BAD_OVER_WASI_HTTP {
        assert!(answer(behaviour).await.is_err(), "{behaviour}");
        assert_eq!(answer("ok").await.expect("it works").status(), 200, "after {behaviour}");
    }
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn other_connections_are_served_while_components_misbehave() {
    let (_components, mut server) = hostile_server().await;
    let attack_is_on = Arc::new(AtomicBool::new(true));
    let bystanders: Vec<_> = (0..4)
        .map(|_| {
            let (mut client, attack_is_on) = (server.client(), attack_is_on.clone());
            tokio::spawn(async move {
                let mut served = 0_u32;
                while attack_is_on.load(Ordering::Relaxed) {
                    check_ok(&mut client).await;
                    served += 1;
                }
                served
            })
        })
        .collect();
    let attackers: Vec<_> = (0..8)
        .map(|first| {
            let mut client = server.client();
            tokio::spawn(async move {
                for at in 0..BAD.len() {
                    check_fails(&mut client, BAD[(first + at) % BAD.len()]).await;
                }
            })
        })
        .collect();
    for attacker in attackers {
        attacker.await.expect("every attack fails");
    }
    attack_is_on.store(false, Ordering::Relaxed);
    for bystander in bystanders {
        assert!(bystander.await.expect("every good request is answered") > 0);
    }
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn memory_and_the_pool_of_instances_come_back() {
    let (_components, mut server) = hostile_server().await;
    let mut client = server.client();
    // What the engine allocates on first use is no leak.
    for _ in 0..3 {
        for behaviour in BAD_AND_QUICK {
            check_fails(&mut client, behaviour).await;
        }
    }
    let before = resident_bytes(std::process::id());
    for round in 0..500 {
        check_fails(&mut client, BAD_AND_QUICK[round % BAD_AND_QUICK.len()]).await;
    }
    for behaviour in ["loop", "headers"] {
        check_fails(&mut client, behaviour).await;
    }
    check_ok(&mut client).await;
    let after = resident_bytes(std::process::id());
    // Other tests of this process run at the same time; what 500 requests would leak is gigabytes.
    assert!(after < before + 256 * 1024 * 1024, "{} MiB before, {} MiB after", before >> 20, after >> 20);
    server.stop().await;
}

/// The text with which a server does not start.
fn start_error(replaced: &[(&str, &[u8])]) -> String {
    let components = components_with(replaced);
    let folder = tempfile::tempdir().expect("temporary folder");
    let mut config = test_config(folder.path());
    config.folders.components = Some(components.path().to_owned());
    let services = open_services(&config).expect("services open");
    load_components(&config, services).expect_err("such components are refused").to_string()
}

/// The bytes of a component that imports an instance with one function, and does nothing.
fn component_that_imports(name: &str) -> Vec<u8> {
    let length = |bytes: &[u8]| u8::try_from(bytes.len()).expect("short");
    let section = |id: u8, content: Vec<u8>| [vec![id, length(&content)], content].concat();
    let named = |name: &str| [vec![0, length(name.as_bytes())], name.as_bytes().to_vec()].concat();
    // One type: an instance (0x42) of two declarations, a function type without parameters and result, and an export.
    let instance_type = [vec![1, 0x42, 2, 0x01, 0x40, 0, 0x01, 0, 0x04], named("f"), vec![0x01, 0]].concat();
    // One import: an instance (0x05) of type 0.
    let import = [vec![1], named(name), vec![0x05, 0]].concat();
    [b"\0asm\x0d\0\x01\0".to_vec(), section(7, instance_type), section(10, import)].concat()
}

#[test]
fn what_is_no_component_of_ours_is_refused_at_start_by_name() {
    let check = |name: &str, content: &[u8], expect: &[&str]| {
        let error = start_error(&[(name, content)]);
        for part in expect {
            assert!(error.contains(part), "{name}: {part:?} is not in {error:?}");
        }
    };
    let real = |name: &str| std::fs::read(components_folder().join(format!("{name}.wasm"))).expect("built");
    for name in ["publish", "verification", "export", "purge"] {
        let file = format!("{name}.wasm");
        check(name, b"this is no component", &[&file]);
        check(name, b"", &[&file]);
        // A core module, and a component cut short.
        check(name, b"\0asm\x01\0\0\0", &[&file]);
        check(name, &real(name)[..10_000], &[&file]);
    }
    // Components, but of another service.
    check("publish", &real("purge"), &["publish.wasm", "verifier"]);
    check("verification", &real("purge"), &["verification.wasm", "verifier"]);
    check("export", &real("purge"), &["export.wasm", "exporter"]);
    check("purge", &real("export"), &["purge.wasm", "purger"]);
    // What the host does not grant.
    for import in ["wasi:http/outgoing-handler@0.2.12", "wasi:sockets/no-such@0.2.12", "somebody:else/everything@1.0.0"]
    {
        check("purge", &component_that_imports(import), &["purge.wasm", import]);
    }
}

#[test]
fn missing_component_is_named_with_what_to_do() {
    let components = components_with(&[]);
    std::fs::remove_file(components.path().join("export.wasm")).expect("it was there");
    let folder = tempfile::tempdir().expect("temporary folder");
    let mut config = test_config(folder.path());
    config.folders.components = Some(components.path().to_owned());
    let services = open_services(&config).expect("services open");
    let error = load_components(&config, services).expect_err("no export component").to_string();
    assert!(error.contains("export.wasm"), "{error}");
}
