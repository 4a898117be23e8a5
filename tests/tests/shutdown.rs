//! A server that is told to stop finishes what it accepted, and one that is told to start where another runs does not.

use http::Method;
use std::collections::HashSet;
use std::os::unix::net::UnixListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tempfile::TempDir;
use tocsin_domain::ports::Clock;
use tocsin_domain::ports::exposures::Exposures;
use tocsin_domain::tek::TemporaryExposureKey;
use tocsin_domain::testing::random::FakeRandom;
use tocsin_host::server::open_services;
use tocsin_host::services::SystemClock;
use tocsin_tests::harness::client::Client;
use tocsin_tests::harness::folder::{set_up, write_config};
use tocsin_tests::harness::people::{HealthAuthority, Phone};
use tocsin_tests::harness::process::{ServerProcess, tocsin, tocsin_ok};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

const CONNECTIONS: usize = 32;

/// A folder that can be served.
fn prepare(authority: &HealthAuthority) -> (TempDir, tocsin_host::config::Config) {
    let folder = tempfile::tempdir().expect("temporary folder");
    let (config, services) = set_up(folder.path(), authority);
    write_config(folder.path(), &config);
    drop(services);
    (folder, config)
}

/// Publishes of one phone after the other, until the server is gone; the phones that were acknowledged and those that
/// were not. Fails on an answer that is not whole.
async fn publish_until_gone(
    mut client: Client,
    phones: Arc<Vec<(Phone, Vec<u8>)>>,
    next: Arc<AtomicUsize>,
) -> (Vec<usize>, Vec<usize>) {
    let (mut acknowledged, mut refused) = (Vec::new(), Vec::new());
    loop {
        let at = next.fetch_add(1, Ordering::SeqCst);
        let Some((_, body)) = phones.get(at) else { return (acknowledged, refused) };
        let headers = [("content-type", "application/json")];
        match client.try_send(Method::POST, "/v1/publish", &headers, body.clone()).await {
            Ok(answer) => {
                assert_eq!(answer.status, 200);
                assert_eq!(answer.json()["insertedExposures"], 3, "the answer is whole");
                acknowledged.push(at);
            }
            Err(_) => {
                refused.push(at);
                return (acknowledged, refused);
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_that_were_accepted_are_finished_and_durable_and_others_leave_no_trace() {
    let authority = HealthAuthority::new();
    let (folder, config) = prepare(&authority);
    let random = FakeRandom::seeded(SystemClock.now().unix().unsigned_abs());
    for round in 0..3 {
        let phones: Vec<_> = (0..4_000)
            .map(|_| {
                let phone = Phone::new(&random, 3, SystemClock.now());
                let body = phone.body(&authority, "confirmed", SystemClock.now());
                (phone, body)
            })
            .collect();
        let (phones, next) = (Arc::new(phones), Arc::new(AtomicUsize::new(0)));
        // A second start on the same folder works.
        let server = ServerProcess::start(folder.path());
        let clients: Vec<_> = (0..CONNECTIONS)
            .map(|_| tokio::spawn(publish_until_gone(Client::new(server.address), phones.clone(), next.clone())))
            .collect();
        while next.load(Ordering::SeqCst) < 100 + 300 * round {
            tokio::task::yield_now().await;
        }
        let status = tokio::task::spawn_blocking(move || server.terminate()).await.expect("ended");
        assert_eq!(status.code(), Some(0));
        let (mut acknowledged, mut refused) = (Vec::new(), Vec::new());
        for client in clients {
            let (done, failed) = client.await.expect("all answers are whole");
            acknowledged.extend(done);
            refused.extend(failed);
        }
        assert!(!acknowledged.is_empty() && next.load(Ordering::SeqCst) < phones.len(), "it was in the midst of it");
        let services = open_services(&config).expect("the store is free and whole");
        let stored = |at: usize| {
            let keys: Vec<TemporaryExposureKey> = phones[at].0.keys.iter().map(|key| key.key).collect();
            services.store.find(&keys).expect("found").existing.len()
        };
        for at in acknowledged {
            assert_eq!(stored(at), 3, "an acknowledged publish is stored");
        }
        for at in refused {
            assert_eq!(stored(at), 0, "a request without an answer was not processed");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn request_that_is_half_sent_is_awaited_and_answered() {
    let authority = HealthAuthority::new();
    let (folder, _) = prepare(&authority);
    let server = ServerProcess::start(folder.path());
    let (address, id) = (server.address, server.id());
    let body =
        Phone::new(&FakeRandom::seeded(5), 3, SystemClock.now()).body(&authority, "confirmed", SystemClock.now());
    let head = format!(
        "POST /v1/publish HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\
         Expect: 100-continue\r\n\r\n",
        body.len()
    );
    let mut stream = TcpStream::connect(address).await.expect("connected");
    stream.write_all(head.as_bytes()).await.expect("sent");
    // The server says so when it has the head.
    let mut go_on = [0; 25];
    stream.read_exact(&mut go_on).await.expect("100 Continue");
    assert!(go_on.starts_with(b"HTTP/1.1 100"));
    let ended = tokio::task::spawn_blocking(move || server.terminate());
    // Once it has stopped to accept, nobody can connect; the accepted request is still served.
    let deadline = tokio::time::Instant::now() + Duration::from_secs(10);
    while TcpStream::connect(address).await.is_ok() {
        assert!(tokio::time::Instant::now() < deadline, "it stops to accept (process {id})");
        tokio::task::yield_now().await;
    }
    stream.write_all(&body).await.expect("sent");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.expect("an answer, and the end");
    assert!(answer.starts_with("HTTP/1.1 200") && answer.ends_with("\"}"), "{answer}");
    assert!(answer.contains("\"insertedExposures\":3"));
    assert_eq!(ended.await.expect("ended").code(), Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn idle_connections_do_not_delay_the_end_and_a_second_signal_ends_at_once() {
    let authority = HealthAuthority::new();
    let (folder, _) = prepare(&authority);
    let server = ServerProcess::start(folder.path());
    let mut idle = Client::new(server.address);
    assert_eq!(idle.get("/health").await.status, 200);
    let silent = TcpStream::connect(server.address).await.expect("connected");
    let started = std::time::Instant::now();
    let status = tokio::task::spawn_blocking(move || server.terminate()).await.expect("ended");
    assert_eq!(status.code(), Some(0));
    assert!(started.elapsed() < Duration::from_secs(8), "{:?}", started.elapsed());
    drop(silent);

    // A request that never comes whole keeps the server until the grace is over, or until it is told twice.
    let server = ServerProcess::start(folder.path());
    let mut stream = TcpStream::connect(server.address).await.expect("connected");
    let head = b"POST /v1/publish HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\nExpect: 100-continue\r\n\r\n";
    stream.write_all(head).await.expect("sent");
    stream.read_exact(&mut [0; 25]).await.expect("100 Continue");
    let address = server.address;
    signal(server.id());
    while TcpStream::connect(address).await.is_ok() {
        tokio::task::yield_now().await;
    }
    let started = std::time::Instant::now();
    let status = tokio::task::spawn_blocking(move || server.terminate()).await.expect("ended");
    assert_eq!(status.code(), Some(1));
    assert!(started.elapsed() < Duration::from_secs(8), "{:?}", started.elapsed());
    // And that did no harm.
    assert!(ServerProcess::start(folder.path()).terminate().success());
}

fn signal(id: u32) {
    let sent = std::process::Command::new("kill").args(["-TERM", &id.to_string()]).status().expect("kill runs");
    assert!(sent.success());
}

#[tokio::test(flavor = "multi_thread")]
async fn second_server_on_the_same_folder_is_refused_and_the_first_unharmed() {
    let authority = HealthAuthority::new();
    let (folder, config) = prepare(&authority);
    let first = ServerProcess::start(folder.path());
    for _ in 0..3 {
        let second = tocsin(folder.path(), &["serve"]);
        assert_eq!(second.status.code(), Some(1));
        let error = String::from_utf8(second.stderr).expect("UTF-8");
        assert!(error.contains("tocsin.db") && error.contains("another process"), "{error}");
        assert!(second.stdout.is_empty(), "it never listened");
    }
    // Commands still reach the first one through its socket, and phones publish.
    assert!(config.private.socket.exists());
    tocsin_ok(folder.path(), &["status"]);
    let mut client = Client::new(first.address);
    let mut published = HashSet::new();
    for seed in 0..5 {
        let phone = Phone::new(&FakeRandom::seeded(seed), 3, SystemClock.now());
        let answer = client.publish(phone.body(&authority, "confirmed", SystemClock.now())).await;
        assert_eq!((answer.status.as_u16(), &answer.json()["insertedExposures"]), (200, &3.into()));
        published.insert(seed);
    }
    assert_eq!(published.len(), 5);
    assert!(first.terminate().success());
}

#[tokio::test(flavor = "multi_thread")]
async fn socket_that_was_left_over_does_not_hinder() {
    let authority = HealthAuthority::new();
    let (folder, config) = prepare(&authority);
    // As after a crash: a socket that nobody listens on.
    drop(UnixListener::bind(&config.private.socket).expect("bound"));
    assert!(config.private.socket.exists());
    tocsin_ok(folder.path(), &["status"]);
    let server = ServerProcess::start(folder.path());
    tocsin_ok(folder.path(), &["status"]);
    server.kill();
    assert!(config.private.socket.exists(), "killed servers do not tidy up");
    tocsin_ok(folder.path(), &["status"]);
    let server = ServerProcess::start(folder.path());
    assert_eq!(Client::new(server.address).get("/health").await.status, 200);
    assert!(server.terminate().success());
}
