//! Logs of a run in which everything happens hold no key, code, certificate, token or address, at the most talkative
//! level, and hold what an operator looks for.

use http::Method;
use std::path::Path;
use tocsin_domain::base64;
use tocsin_domain::ports::Clock;
use tocsin_domain::testing::random::FakeRandom;
use tocsin_host::config::LogFormat;
use tocsin_host::services::SystemClock;
use tocsin_tests::harness::client::Client;
use tocsin_tests::harness::export_files::index;
use tocsin_tests::harness::folder::{add_export_config, set_up, write_config};
use tocsin_tests::harness::people::{HealthAuthority, Phone};
use tocsin_tests::harness::process::{ServerProcess, tocsin_ok};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

/// What must not be in a log, and what it is.
#[derive(Default)]
struct Secrets(Vec<(String, &'static str)>);

impl Secrets {
    fn text(&mut self, what: &'static str, text: &str) {
        // Shorter texts occur by chance.
        if text.len() >= 12 {
            self.0.push((text.to_owned(), what));
        }
    }

    /// Bytes in all the forms in which programs print them.
    fn bytes(&mut self, what: &'static str, bytes: &[u8]) {
        let list: Vec<String> = bytes.iter().take(12).map(u8::to_string).collect();
        let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        self.text(what, base64::encode(bytes).trim_end_matches('='));
        self.text(what, &base64::encode_url(bytes));
        self.text(what, &hex.to_uppercase());
        self.text(what, &hex);
        self.text(what, &list.join(", "));
        self.text(what, &list.join(","));
    }

    /// A publish that was sent.
    fn body(&mut self, phone: &Phone, body: &[u8]) {
        for key in &phone.keys {
            self.bytes("a TEK", key.key.as_bytes());
        }
        let json: serde_json::Value = serde_json::from_slice(body).expect("JSON");
        let certificate = json["verificationPayload"].as_str().expect("a certificate");
        // All health authorities of the world have the same header; it is public.
        certificate.split('.').skip(1).for_each(|segment| self.text("a certificate", segment));
        let claims = base64::decode_url(certificate.split('.').nth(1).expect("claims")).expect("base64url");
        let claims: serde_json::Value = serde_json::from_slice(&claims).expect("JSON");
        let hmac = base64::decode(claims["tekmac"].as_str().expect("a HMAC")).expect("base64");
        self.bytes("an HMAC", &hmac);
        let hmac_key = base64::decode(json["hmacKey"].as_str().expect("an HMAC key")).expect("base64");
        self.bytes("an HMAC key", &hmac_key);
    }

    fn answer(&mut self, answer: &serde_json::Value) {
        for field in ["revisionToken", "padding"] {
            if let Some(text) = answer[field].as_str() {
                self.text("a revision token, or padding", &text[..text.len().min(60)]);
            }
        }
    }

    /// All private keys of a data folder, line by line.
    fn key_files(&mut self, folder: &Path) {
        for entry in std::fs::read_dir(folder).expect("a folder") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                self.key_files(&path);
                continue;
            }
            let content = std::fs::read(&path).expect("a key file");
            match std::str::from_utf8(&content) {
                Ok(text) => text
                    .lines()
                    .filter(|line| !line.starts_with("---"))
                    .for_each(|line| self.text("a private key", line)),
                Err(_) => self.bytes("a private key", &content),
            }
        }
    }

    fn check(&self, log: &str) {
        for (secret, what) in &self.0 {
            let at = log.find(secret.as_str());
            assert!(at.is_none(), "the log holds {what}: {}", at.map_or("", |at| line_at(log, at)));
        }
    }
}

fn line_at(log: &str, at: usize) -> &str {
    let start = log[..at].rfind('\n').map_or(0, |newline| newline + 1);
    log[start..].lines().next().unwrap_or_default()
}

/// Runs a server at a level through everything, and returns its log, all that must not be in it, and its address.
async fn everything_happens(format: LogFormat, level: &str) -> (String, Secrets, String) {
    let folder = tempfile::tempdir().expect("temporary folder");
    let authority = HealthAuthority::new();
    let (mut config, services) = set_up(folder.path(), &authority);
    // Compiles, which is logged too.
    config.folders.cache = folder.path().join("cache");
    config.log.level = level.to_owned();
    config.log.format = format;
    config.publish.truncate_window_seconds = 1;
    config.export.min_window_age_seconds = 0;
    config.public.read_timeout_ms = 500;
    write_config(folder.path(), &config);
    add_export_config(&services, "xx", 1);
    let mut secrets = Secrets::default();
    secrets.key_files(&config.folders.keys);
    drop(services);

    let server = ServerProcess::start(folder.path());
    let mut client = Client::new(server.address);
    let job = |name: &str| tocsin_ok(folder.path(), &["job", "run", name]);
    // The first window ends now: it must hold the keys that come.
    job("create-batches");
    let random = FakeRandom::seeded(77);
    for round in 0..20_u64 {
        let mut phone = Phone::new(&random, 14, SystemClock.now());
        for report_type in ["likely", "confirmed", "negative", "plague"] {
            let body = phone.body(&authority, report_type, SystemClock.now());
            secrets.body(&phone, &body);
            // Good, and cut, spoilt, declared as text.
            let answer = client.publish(body.clone()).await;
            secrets.answer(&answer.json());
            if let Some(token) = answer.json()["revisionToken"].as_str() {
                phone.revision_token = token.to_owned();
                secrets.text("a revision token", token);
                secrets.text("a revision token", &token[24..80]);
            }
            client.publish(body[..body.len() - 1].to_vec()).await;
            let spoilt =
                String::from_utf8(body.clone()).expect("UTF-8").replace("confirmed", "spoilt").replacen('A', "!", 1);
            client.publish(spoilt).await;
            client.send(Method::POST, "/v1/publish", &[("content-type", "text/plain")], body.clone()).await;
            // Secrets where they do not belong.
            let key = base64::encode_url(phone.keys[0].key.as_bytes());
            client.get(&format!("/exports/xx/{key}")).await;
            client.get(&format!("/exports/xx/index.txt/{key}")).await;
            client.get(&format!("/exports/{}", key.repeat(30))).await;
            client
                .send(Method::PUT, &format!("/{key}?key={key}"), &[("cookie", &key), ("authorization", &key)], "")
                .await;
            let named = format!("{{\"healthAuthorityID\":\"{key}\",\"hmacKey\":\"{key}\"}}");
            client.publish(named).await;
            client.publish(format!("{{\"{key}\":1}}")).await;
            if round == 0 {
                break_off(&server, &body).await;
            }
        }
    }
    for round in 0.. {
        job("create-batches");
        job("do-work");
        // There is no index before the first batch.
        if client.get("/exports/xx/index.txt").await.body.ends_with(b".zip") {
            break;
        }
        assert!(round < 1_000, "an export comes");
    }
    for name in index(&mut client, "xx").await {
        assert_eq!(client.get(&format!("/exports/{name}")).await.status, 200);
    }
    tocsin_ok(folder.path(), &["keys", "create", "another"]);
    tocsin_ok(folder.path(), &["status"]);
    secrets.key_files(&config.folders.keys);
    job("purge");
    let address = server.address.to_string();
    let log_file = folder.path().join("server.log");
    assert!(server.terminate().success());
    let log = std::fs::read_to_string(log_file).expect("the log");
    (log, secrets, address)
}

/// Connections that end in the middle of things.
async fn break_off(server: &ServerProcess, body: &[u8]) {
    let head = format!(
        "POST /v1/publish HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    for bytes in [b"".as_slice(), b"GET / HT", &body[..200], &[head.as_bytes(), &body[..300]].concat()] {
        let mut stream = TcpStream::connect(server.address).await.expect("connected");
        stream.write_all(bytes).await.expect("sent");
        drop(stream);
    }
}

async fn check(format: LogFormat, level: &str) {
    let (log, secrets, address) = everything_happens(format, level).await;
    assert!(secrets.0.len() > 2_000, "{}", secrets.0.len());
    secrets.check(&log);
    // Every client of this test has an address on loopback; the server's own is no secret.
    let clients = log.replace(&address, "").matches("127.0.0.1").count();
    assert_eq!(clients, 0, "the log holds an address of a client");
    for expect in ["compiled a component", "created batches", "completed an export batch", "purged", "stopped"] {
        assert!(log.contains(expect), "{expect:?} is not in the log: {log}");
    }
    if format == LogFormat::Json {
        for line in log.lines() {
            let line: serde_json::Value = serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
            assert!(
                line["level"].is_string() && line["message"].is_string() && line["timestamp"].is_string(),
                "{line}"
            );
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_that_phones_sent_is_in_the_most_talkative_log() {
    check(LogFormat::Human, "trace").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nor_in_the_log_for_machines_and_each_of_its_lines_is_an_object() {
    check(LogFormat::Json, "debug").await;
}
