//! Chaff and maintenance from outside: the bytes on the connection, and when they come. The built components in the real
//! host, over real HTTP.

use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use tocsin_domain::interval::Timestamp;
use tocsin_domain::ports::{Clock, Random};
use tocsin_domain::testing::random::FakeRandom;
use tocsin_host::admin::AdminRequest;
use tocsin_host::jobs::Job;
use tocsin_tests::harness::distinguisher::{by_bins, by_threshold, median};
use tocsin_tests::harness::folder::{set_up, write_config};
use tocsin_tests::harness::people::{HealthAuthority, Phone};
use tocsin_tests::harness::process::{ServerProcess, tocsin, tocsin_ok};
use tocsin_tests::harness::raw::{RawAnswer, RawClient, request};
use tocsin_tests::harness::server::TestServer;

const JSON: (&str, &str) = ("content-type", "application/json");
const CHAFF: (&str, &str) = ("x-chaff", "1");

fn publish(body: &[u8]) -> Vec<u8> {
    request("POST", "/v1/publish", &[JSON], body)
}

fn chaff(body: &[u8]) -> Vec<u8> {
    request("POST", "/v1/publish", &[JSON, CHAFF], body)
}

/// The client blocks, so that its own runtime adds nothing to what it measures.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    tokio::task::spawn_blocking(work).await.expect("it does not panic")
}

async fn send(server: &TestServer, bytes: Vec<u8>) -> RawAnswer {
    let address = server.public_address();
    blocking(move || RawClient::connect(address).send(&bytes)).await
}

fn names(answer: &RawAnswer) -> Vec<String> {
    answer.headers.iter().map(|(name, _)| name.clone()).collect()
}

/// Headers that are the same in all answers.
fn constant_headers(answer: &RawAnswer) -> Vec<(String, String)> {
    let varies = |name: &str| name == "date" || name == "content-length";
    answer.headers.iter().filter(|(name, _)| !varies(name)).cloned().collect()
}

/// Bodies of real requests as a server sees them: most publish, some fail, some revise.
struct Mix {
    random: FakeRandom,
    authority: HealthAuthority,
    now: Timestamp,
    /// Published already, with their tokens: a revision each, or a refusal without the token.
    published: Vec<Phone>,
}

impl Mix {
    fn next(&mut self) -> Vec<u8> {
        match self.random.below(10) {
            0 => b"{\"temporaryExposureKeys\": 7}".to_vec(),
            1 => br#"{"healthAuthorityID": "org.example.unknown"}"#.to_vec(),
            2 => self.published.pop().expect("enough").body(&self.authority, "confirmed", self.now),
            3 => {
                let phone = self.published.pop().expect("enough");
                Phone { revision_token: String::new(), ..phone }.body(&self.authority, "confirmed", self.now)
            }
            _ => self.phone().body(&self.authority, "confirmed", self.now),
        }
    }

    fn phone(&self) -> Phone {
        Phone::new(&self.random, 1 + i64::from(self.random.below(14)), self.now)
    }

    fn publish_some(&mut self, address: SocketAddr, count: usize) {
        let mut client = RawClient::connect(address);
        for _ in 0..count {
            let mut phone = self.phone();
            let answer = client.send(&publish(&phone.body(&self.authority, "likely", self.now)));
            let body: serde_json::Value = serde_json::from_slice(&answer.body).expect("JSON");
            phone.revision_token = body["revisionToken"].as_str().expect("a token").to_owned();
            self.published.push(phone);
        }
    }
}

/// Real requests and as many chaff requests, in random order, one after the other: their answers, in that order.
fn observe(address: SocketAddr, mix: &mut Mix, each: usize) -> (Vec<RawAnswer>, Vec<RawAnswer>) {
    let mut client = RawClient::connect(address);
    let (mut real, mut imitated) = (Vec::new(), Vec::new());
    while real.len() < each || imitated.len() < each {
        let is_chaff = real.len() >= each || (imitated.len() < each && mix.random.below(2) == 0);
        if is_chaff {
            // Marked in the header, or in the body.
            let request = match mix.random.below(2) {
                0 => chaff(b"{\"padding\":\"what an app sends\"}"),
                _ => publish(b"{\"chaff\":true,\"padding\":\"what an app sends\"}"),
            };
            imitated.push(client.send(&request));
        } else {
            real.push(client.send(&publish(&mix.next())));
        }
    }
    (real, imitated)
}

#[tokio::test(flavor = "multi_thread")]
async fn chaff_and_real_answers_are_not_told_apart() {
    const EACH: usize = 1_000;
    let mut server = TestServer::start().await;
    let mut mix = Mix {
        random: FakeRandom::seeded(1),
        authority: server.authority.clone(),
        now: server.clock.now(),
        published: Vec::new(),
    };
    // What is published to be revised is no part of the mix: the restart forgets it.
    let address = server.public_address();
    let mut mix = blocking(move || {
        mix.publish_some(address, EACH / 2);
        mix
    })
    .await;
    server.restart().await;
    let address = server.public_address();
    let (real, imitated) = blocking(move || {
        // The model is forgotten after 32 real answers; these make it likely that each kind of answer has been there.
        observe(address, &mut mix, 200);
        observe(address, &mut mix, EACH)
    })
    .await;

    let statuses: BTreeSet<&str> = real.iter().map(|answer| answer.status_line.as_str()).collect();
    let expect = ["HTTP/1.1 200 OK", "HTTP/1.1 400 Bad Request", "HTTP/1.1 401 Unauthorized"];
    assert_eq!(statuses, BTreeSet::from(expect), "real answers are a mixture");
    for answer in real.iter().chain(&imitated) {
        assert_eq!(names(answer), ["x-api-version", "content-type", "content-length", "date"], "all have these");
        assert_eq!(constant_headers(answer), constant_headers(&real[0]));
    }
    for answer in &imitated {
        assert_eq!(answer.status_line, "HTTP/1.1 200 OK");
        let body: serde_json::Value = serde_json::from_slice(&answer.body).expect("JSON");
        assert_eq!(body.as_object().map(serde_json::Map::len), Some(1), "there is nothing but padding");
    }

    let sizes = |answers: &[RawAnswer]| answers.iter().map(|answer| answer.bytes as f64).collect::<Vec<_>>();
    let (real_sizes, chaff_sizes) = (sizes(&real), sizes(&imitated));
    let latencies = |answers: &[RawAnswer]| -> Vec<f64> {
        answers.iter().map(|answer| answer.latency.as_secs_f64() * 1e3).collect()
    };
    let (real_latencies, chaff_latencies) = (latencies(&real), latencies(&imitated));
    let one = |values: &[f64]| values.iter().map(|value| [*value]).collect::<Vec<_>>();
    let two = |sizes: &[f64], latencies: &[f64]| {
        sizes.iter().zip(latencies).map(|(size, latency)| [*size, *latency]).collect::<Vec<_>>()
    };
    // Base64 comes in fours, which a size of another origin would not keep.
    let rests = |sizes: &[f64]| sizes.iter().map(|size| [size.rem_euclid(4.0)]).collect::<Vec<_>>();
    let advantages = [
        ("size, threshold", by_threshold(&real_sizes, &chaff_sizes), true),
        ("size, 20 ranges", by_bins(&one(&real_sizes), &one(&chaff_sizes), 20), true),
        ("size modulo 4", by_bins(&rests(&real_sizes), &rests(&chaff_sizes), 4), true),
        ("latency, threshold", by_threshold(&real_latencies, &chaff_latencies), false),
        ("latency, 20 ranges", by_bins(&one(&real_latencies), &one(&chaff_latencies), 20), false),
        (
            "size and latency, 8 ranges each",
            by_bins(&two(&real_sizes, &real_latencies), &two(&chaff_sizes, &chaff_latencies), 8),
            false,
        ),
    ];
    let medians = (median(&real_latencies), median(&chaff_latencies));
    println!("median latency in ms: real {:.3}, chaff {:.3}", medians.0, medians.1);
    for (name, advantage, is_exact) in advantages {
        println!("advantage by {name}: {advantage:+.3}");
        // 1,000 answers are judged, so that chance alone is 0.016 and this is six times that. A latency is also the
        // machine's: noise must not fail a test, so of latencies only the order of magnitude is asserted.
        assert!(!is_exact || advantage < 0.1, "{name} tells real answers with an advantage of {advantage:.3}");
    }
    assert!(medians.0 < medians.1 * 5.0 && medians.1 < medians.0 * 5.0, "{medians:?}");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn chaff_is_read_and_nothing_else() {
    let mut server = TestServer::start().await;
    let phone = Phone::new(&FakeRandom::seeded(2), 14, server.clock.now());
    let body = phone.body(&server.authority, "confirmed", server.clock.now());
    for bytes in [
        chaff(&body),
        chaff(b"no JSON"),
        chaff(&vec![b'x'; 70_000]),
        request("POST", "/v1/publish", &[CHAFF], b""),
        request("GET", "/v1/publish", &[CHAFF], b""),
        request("POST", "/v1/publish?query", &[JSON, ("X-CHAFF", "false")], &body),
    ] {
        let answer = send(&server, bytes).await;
        assert_eq!(answer.status_line, "HTTP/1.1 200 OK");
        assert!(answer.body.starts_with(b"{\"padding\":\"") && answer.body.len() > 1_368);
    }
    let status = server.admin(AdminRequest::Status).await;
    assert_eq!(status["store"]["exposures"], 0, "nothing was published");

    let real = send(&server, request("POST", "/v1/publish", &[JSON, ("x-chaff", "")], &body)).await;
    let answer: serde_json::Value = serde_json::from_slice(&real.body).expect("JSON");
    assert_eq!(answer["insertedExposures"], 14, "an empty header marks no chaff");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn chaff_on_other_routes_looks_like_them() {
    let mut server = TestServer::start().await;
    for _ in 0..20 {
        let real = send(&server, request("GET", "/health", &[], b"")).await;
        let imitated = send(&server, request("GET", "/health", &[CHAFF], b"")).await;
        assert_eq!(real.body, br#"{"status":"ok"}"#);
        assert_eq!((imitated.bytes, names(&imitated)), (real.bytes, names(&real)));
        assert_eq!(constant_headers(&imitated), constant_headers(&real));
    }
    for path in ["/v1/publish/", "/nothing", "/exports/xx/index.txt"] {
        let (real, marked) = (request("GET", path, &[], b""), request("GET", path, &[CHAFF], b""));
        let (real, marked) = (send(&server, real).await, send(&server, marked).await);
        assert_eq!(real.status_line, "HTTP/1.1 404 Not Found");
        assert_eq!((marked.status_line, marked.body), (real.status_line, real.body), "{path} has no chaff");
    }
    server.stop().await;
}

/// The whole answer to a request whose body does not come, until the server closes; without the date.
fn unfinished(address: SocketAddr, headers: &str) -> Vec<String> {
    let mut stream = TcpStream::connect(address).expect("connects");
    let request = format!("POST /v1/publish HTTP/1.1\r\nhost: x\r\n{headers}content-length: 100\r\n\r\nonly this");
    stream.write_all(request.as_bytes()).expect("sent");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("an answer, and the end");
    answer.lines().filter(|line| !line.starts_with("date:")).map(str::to_owned).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn chaff_that_does_not_arrive_is_answered_as_any_other_request() {
    let mut server = TestServer::start_with(|config| config.public.read_timeout_ms = 500).await;
    let address = server.public_address();
    let (real, marked) = blocking(move || (unfinished(address, ""), unfinished(address, "x-chaff: 1\r\n"))).await;
    assert_eq!(real[0], "HTTP/1.1 408 Request Timeout");
    assert_eq!(marked, real);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn in_maintenance_phones_come_back_later_and_everybody_can_download() {
    let mut server = TestServer::start_with(|config| config.public.maintenance_mode = true).await;
    server.add_export_config("xx", 3600, |_| {}).await;
    server.job(Job::CreateBatches).await;
    server.clock.advance_seconds(4 * 3600);
    server.job(Job::CreateBatches).await;
    server.job(Job::DoWork).await;
    let phone = Phone::new(&FakeRandom::seeded(3), 3, server.clock.now());
    let body = phone.body(&server.authority, "confirmed", server.clock.now());
    for (real, marked) in [
        (publish(&body), chaff(&body)),
        (publish(b"no JSON"), chaff(b"no JSON")),
        (request("GET", "/v1/publish", &[], b""), request("GET", "/v1/publish", &[CHAFF], b"")),
        (request("GET", "/health", &[], b""), request("GET", "/health", &[CHAFF], b"")),
    ] {
        let (real, imitated) = (send(&server, real).await, send(&server, marked).await);
        assert_eq!(real.status_line, "HTTP/1.1 429 Too Many Requests");
        assert_eq!(real.body, br#"{"error": "please try again later"}"#);
        assert_eq!(names(&real), ["content-type", "content-length", "date"]);
        assert_eq!(imitated.status_line, "HTTP/1.1 200 OK");
        assert!(imitated.body.starts_with(b"{\"padding\":\""));
        assert_eq!((imitated.bytes, names(&imitated)), (real.bytes, names(&real)), "as long as the other, to the byte");
        assert_eq!(constant_headers(&imitated), constant_headers(&real));
    }
    for path in ["/exports/xx/index.txt", "/.well-known/export-verification-keys.json"] {
        assert_eq!(send(&server, request("GET", path, &[], b"")).await.status_line, "HTTP/1.1 200 OK", "{path}");
    }
    assert_eq!(send(&server, request("GET", "/nothing", &[], b"")).await.status_line, "HTTP/1.1 404 Not Found");

    server.admin(AdminRequest::SetMaintenance { on: false }).await;
    let answer = send(&server, publish(&body)).await;
    assert_eq!(answer.status_line, "HTTP/1.1 200 OK");
    assert_eq!(names(&answer), ["x-api-version", "content-type", "content-length", "date"]);
    let imitated = send(&server, chaff(&body)).await;
    assert!(imitated.bytes > 1_368, "chaff looks like normal answers at once: {} bytes", imitated.bytes);
    assert_eq!(names(&imitated), names(&answer));
    server.admin(AdminRequest::SetMaintenance { on: true }).await;
    assert_eq!(send(&server, publish(&body)).await.status_line, "HTTP/1.1 429 Too Many Requests");
    server.stop().await;
}

#[test]
fn operator_switches_maintenance_of_the_running_server_only() {
    let folder = tempfile::tempdir().expect("temporary folder");
    let (mut config, services) = set_up(folder.path(), &HealthAuthority::new());
    write_config(folder.path(), &config);
    drop(services);
    let folder = folder.path();
    let is_on = || tocsin_ok(folder, &["maintenance", "status", "--json"]);
    assert_eq!(is_on().trim(), r#"{"maintenance_mode":false}"#);
    let refused = tocsin(folder, &["maintenance", "on"]);
    assert!(!refused.status.success(), "there is no server to switch");
    let text = String::from_utf8(refused.stderr).expect("UTF-8");
    assert!(text.contains("no server is running") && text.contains("maintenance_mode = true"), "{text}");

    let health = |address| RawClient::connect(address).send(&request("GET", "/health", &[], b"")).status_line;
    let server = ServerProcess::start(folder);
    assert_eq!(health(server.address), "HTTP/1.1 200 OK");
    tocsin_ok(folder, &["maintenance", "on"]);
    assert_eq!(health(server.address), "HTTP/1.1 429 Too Many Requests");
    assert_eq!(is_on().trim(), r#"{"maintenance_mode":true}"#);
    assert!(tocsin_ok(folder, &["status"]).contains("warning: there is maintenance"));
    tocsin_ok(folder, &["maintenance", "off"]);
    assert_eq!(health(server.address), "HTTP/1.1 200 OK");
    server.terminate();

    config.public.maintenance_mode = true;
    write_config(folder, &config);
    let server = ServerProcess::start(folder);
    assert_eq!(health(server.address), "HTTP/1.1 429 Too Many Requests");
    server.terminate();
}
