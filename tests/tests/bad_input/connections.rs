//! What is not quite HTTP: bytes on a raw connection.

use crate::Target;
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// Far above the read timeout below.
const IN_TIME: Duration = Duration::from_secs(20);

impl Target {
    /// Sends bytes and returns all that comes back until the server closes, or `None` if it closes without a word.
    async fn raw(&self, bytes: &[u8]) -> Option<String> {
        let mut stream = TcpStream::connect(self.server.public_address()).await.expect("connected");
        // The server may have had enough before all is sent.
        stream.write_all(bytes).await.ok();
        read_to_end(stream).await
    }

    /// The status of the only answer to some bytes; 0 when the connection is closed without one.
    async fn check_raw(&self, name: &str, bytes: &[u8], expect: u16) {
        let started = Instant::now();
        let answer = self.raw(bytes).await;
        assert!(started.elapsed() < IN_TIME, "{name}: {:?}", started.elapsed());
        let status = answer.as_deref().map_or(0, status_of);
        assert_eq!(status, expect, "{name}: {answer:?}");
    }

    /// As [`Self::check_raw`], for more than the server reads: closing on unread bytes can cost the client the answer.
    async fn check_raw_unread(&self, name: &str, bytes: &[u8], expect: u16) {
        let answer = self.raw(bytes).await;
        assert!(answer.as_deref().is_none_or(|answer| status_of(answer) == expect), "{name}: {answer:?}");
    }
}

async fn read_to_end(mut stream: TcpStream) -> Option<String> {
    let mut answer = Vec::new();
    // A reset after the answer is an end too.
    let read = tokio::time::timeout(IN_TIME, stream.read_to_end(&mut answer)).await;
    assert!(read.is_ok(), "the server closes the connection");
    (!answer.is_empty()).then(|| String::from_utf8_lossy(&answer).into_owned())
}

fn status_of(answer: &str) -> u16 {
    answer.split(' ').nth(1).and_then(|status| status.parse().ok()).expect("a status line")
}

async fn impatient() -> Target {
    Target::start_with(|config| config.public.read_timeout_ms = 500).await
}

fn post(headers: &str, body: &str) -> Vec<u8> {
    format!("POST /v1/publish HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Type: application/json\r\n{headers}\r\n{body}")
        .into_bytes()
}

#[tokio::test(flavor = "multi_thread")]
async fn garbage_is_a_400_or_a_closed_connection() {
    let target = impatient().await;
    let zeros = [0; 4096];
    let tls = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03".as_slice();
    let http2 = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".as_slice();
    for (name, bytes, expect) in [
        ("zeros", zeros.as_slice(), 400),
        ("TLS", tls, 400),
        ("words", b"hello there, server\r\n\r\n", 400),
        ("no version", b"GET /\r\n\r\n", 400),
        ("another version", b"GET / HTTP/3.0\r\nHost: x\r\n\r\n", 400),
        ("header without colon", b"GET / HTTP/1.1\r\nHost\r\n\r\n", 400),
        ("space in a header name", b"GET / HTTP/1.1\r\nHo st: x\r\n\r\n", 400),
        ("NUL in a header", b"GET / HTTP/1.1\r\nHost: \0\r\n\r\n", 400),
        ("NUL in the path", b"GET /\0 HTTP/1.1\r\nHost: x\r\n\r\n", 400),
        ("newline in the method", b"GE\nT / HTTP/1.1\r\nHost: x\r\n\r\n", 400),
        (
            "two lengths",
            b"POST /v1/publish HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n{}",
            400,
        ),
        ("negative length", b"POST /v1/publish HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n", 400),
        ("length of words", b"POST /v1/publish HTTP/1.1\r\nHost: x\r\nContent-Length: two\r\n\r\n{}", 400),
        ("large length", b"POST /v1/publish HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999999999999\r\n\r\n", 400),
        ("unknown coding", b"POST /v1/publish HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: gzip\r\n\r\n", 400),
        ("CONNECT", b"CONNECT example.org:443 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", 404),
        ("asterisk", b"OPTIONS * HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", 404),
    ] {
        target.check_raw(name, bytes, expect).await;
    }
    // The preface of HTTP/2, which is not spoken here.
    let answer = target.raw(http2).await;
    assert!(answer.as_deref().is_none_or(|answer| status_of(answer) == 400), "{answer:?}");
    target.finish(0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn hosts_and_old_versions_do_not_matter() {
    let target = impatient().await;
    for (name, bytes, expect) in [
        ("HTTP/1.0 without Host", b"POST /v1/publish HTTP/1.0\r\n\r\n".as_slice(), 415),
        ("HTTP/1.0 health", b"GET /health HTTP/1.0\r\n\r\n", 200),
        ("no Host", b"POST /v1/publish HTTP/1.1\r\nConnection: close\r\n\r\n", 415),
        ("empty Host", b"POST /v1/publish HTTP/1.1\r\nHost:\r\nConnection: close\r\n\r\n", 415),
        ("odd Host", b"POST /v1/publish HTTP/1.1\r\nHost: [:::]:x/../@\r\nConnection: close\r\n\r\n", 415),
        ("Host that is not ASCII", b"POST /v1/publish HTTP/1.1\r\nHost: \xe4\xff\r\nConnection: close\r\n\r\n", 415),
        ("two Hosts", b"POST /v1/publish HTTP/1.1\r\nHost: x\r\nHost: y\r\nConnection: close\r\n\r\n", 415),
        ("absolute form", b"POST http://a.example/v1/publish HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", 415),
        (
            "headers of a proxy",
            b"POST /v1/publish HTTP/1.1\r\nHost: x\r\nConnection: close, x-a\r\nX-A: 1\r\nUpgrade: h2c\r\nTE: trailers\r\n\
              Keep-Alive: 1\r\nProxy-Connection: x\r\nProxy-Authorization: x\r\nHTTP2-Settings: x\r\n\r\n",
            415,
        ),
        ("bytes in a header", b"POST /v1/publish HTTP/1.1\r\nHost: x\r\nConnection: close\r\nX-A: \xff\xfe\r\n\r\n", 415),
        ("bytes as content type", b"POST /v1/publish HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Type: \xff\r\n\r\n", 415),
    ] {
        target.check_raw(name, bytes, expect).await;
    }
    target.finish(0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn headers_that_are_too_many_or_too_long_are_refused() {
    let target = impatient().await;
    let many = "X-Header: 1\r\n".repeat(1_000);
    target.check_raw_unread("1,000 headers", &post(&many, ""), 431).await;
    let long = format!("X-Header: {}\r\n", "h".repeat(1_000_000));
    target.check_raw_unread("1 MB of header", &post(&long, ""), 431).await;
    let long = format!("GET /{} HTTP/1.1\r\nHost: x\r\n\r\n", "p".repeat(70_000));
    target.check_raw_unread("70 kB of path", long.as_bytes(), 414).await;
    // As long as hyper lets through.
    let long = format!("X-Header: {}\r\n", "h".repeat(300_000));
    target.check_raw("300 kB of header", &post(&(long + "Content-Length: 2\r\n"), "{}"), 401).await;
    target.finish(0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn bodies_that_do_not_come_are_given_up() {
    let target = impatient().await;
    target.check_raw("slow body", &post("Content-Length: 100\r\n", "{"), 408).await;
    target.check_raw("slow chunk", &post("Transfer-Encoding: chunked\r\n", "5\r\n{"), 408).await;
    target.check_raw("slow headers", b"POST /v1/publish HTTP/1.1\r\nHost: x\r\n", 0).await;
    target.check_raw("nothing", b"", 0).await;
    // The client closes its half after less than it promised.
    let mut stream = TcpStream::connect(target.server.public_address()).await.expect("connected");
    stream.write_all(&post("Content-Length: 100\r\n", "{\"padding\":")).await.expect("sent");
    stream.shutdown().await.expect("closed");
    let answer = read_to_end(stream).await;
    assert!(answer.as_deref().is_none_or(|answer| status_of(answer) == 400), "{answer:?}");
    target.finish(0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn drop_by_drop_a_body_has_to_come_in_time() {
    let target = impatient().await;
    let mut stream = TcpStream::connect(target.server.public_address()).await.expect("connected");
    stream.write_all(&post("Content-Length: 60000\r\n", "")).await.expect("sent");
    let (mut reader, mut writer) = stream.into_split();
    let drops = tokio::spawn(async move {
        let mut pause = tokio::time::interval(Duration::from_millis(50));
        for _ in 0..400 {
            pause.tick().await;
            if writer.write_all(b" ").await.is_err() {
                break;
            }
        }
    });
    let mut answer = Vec::new();
    let read = tokio::time::timeout(IN_TIME / 2, reader.read_to_end(&mut answer)).await;
    assert!(read.is_ok(), "each byte must not renew the time");
    assert_eq!(status_of(&String::from_utf8_lossy(&answer)), 408);
    drops.abort();
    target.finish(0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn chunked_bodies_are_bodies() {
    let target = impatient().await;
    let chunked = |body: &str| post("Transfer-Encoding: chunked\r\n", body);
    target.check_raw("an object", &chunked("1\r\n{\r\n1\r\n}\r\n0\r\n\r\n"), 401).await;
    target.check_raw("nothing", &chunked("0\r\n\r\n"), 400).await;
    target.check_raw("trailers", &chunked("2\r\n{}\r\n0\r\nX-Trailer: 1\r\n\r\n"), 401).await;
    target.check_raw("extension", &chunked("2;x=y\r\n{}\r\n0\r\n\r\n"), 401).await;
    target.check_raw("size of words", &chunked("zz\r\n{}\r\n0\r\n\r\n"), 400).await;
    target.check_raw("large size", &chunked("fffffffffffffffff\r\n{}\r\n0\r\n\r\n"), 400).await;
    target.check_raw("no end of chunk", &chunked("1\r\n{}}}\r\n0\r\n\r\n"), 400).await;
    let endless = "1000\r\n".to_owned() + &"x".repeat(4096) + "\r\n";
    target.check_raw_unread("200 kB", &chunked(&endless.repeat(50)), 413).await;
    target.check_raw("tiny chunks", &chunked(&("1\r\n \r\n".repeat(63_000) + "2\r\n{}\r\n0\r\n\r\n")), 401).await;
    target
        .check_raw(
            "both lengths",
            &post("Transfer-Encoding: chunked\r\nContent-Length: 2\r\n", "2\r\n{}\r\n0\r\n\r\n"),
            401,
        )
        .await;
    target.finish(0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn pipelined_requests_are_answered_in_their_order() {
    let target = impatient().await;
    let one = |content_type: &str, body: &str| {
        let length = body.len();
        format!(
            "POST /v1/publish HTTP/1.1\r\nHost: x\r\nContent-Type: {content_type}\r\nContent-Length: {length}\r\n\r\n{body}"
        )
    };
    let requests = [
        one("application/json", "{}"),
        one("text/plain", "{}"),
        "GET /health HTTP/1.1\r\nHost: x\r\n\r\n".to_owned(),
        one("application/json", "{"),
        "GET /nowhere HTTP/1.1\r\nHost: x\r\n\r\n".to_owned(),
    ];
    let all = requests.concat().repeat(20) + "GET /health HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
    let answers = target.raw(all.as_bytes()).await.expect("answers");
    let statuses: Vec<u16> =
        answers.split("HTTP/1.1 ").skip(1).map(|rest| rest[..3].parse().expect("a status")).collect();
    let mut expect = [401, 415, 200, 400, 404].repeat(20);
    expect.push(200);
    assert_eq!(statuses, expect);
    target.finish(0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_that_say_nothing_do_not_keep_others_out() {
    let target = impatient().await;
    let mut silent = Vec::new();
    for _ in 0..500 {
        silent.push(TcpStream::connect(target.server.public_address()).await.expect("connected"));
    }
    target.finish(0).await;
    drop(silent);
}
