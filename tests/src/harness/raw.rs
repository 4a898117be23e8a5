//! A client that sees every byte of an answer, and when the last one came, as an observer of the connection does.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

/// One kept-alive connection.
#[derive(Debug)]
pub struct RawClient(TcpStream);

/// An answer, byte for byte.
#[derive(Clone, Debug)]
pub struct RawAnswer {
    /// Status line without its end, such as `HTTP/1.1 200 OK`.
    pub status_line: String,
    /// Headers in their order.
    pub headers: Vec<(String, String)>,
    /// Body.
    pub body: Vec<u8>,
    /// Length of all of it.
    pub bytes: usize,
    /// From when the request was sent until the last byte came.
    pub latency: Duration,
}

/// A request as bytes.
pub fn request(method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Vec<u8> {
    let mut request = format!("{method} {path} HTTP/1.1\r\nhost: localhost\r\n");
    for (name, value) in headers {
        request.push_str(&format!("{name}: {value}\r\n"));
    }
    request.push_str(&format!("content-length: {}\r\n\r\n", body.len()));
    let mut request = request.into_bytes();
    request.extend_from_slice(body);
    request
}

impl RawClient {
    /// Connects.
    pub fn connect(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).expect("connects");
        stream.set_nodelay(true).expect("set");
        Self(stream)
    }

    /// Sends a request and reads its answer, which has a `content-length`.
    pub fn send(&mut self, request: &[u8]) -> RawAnswer {
        let sent = Instant::now();
        self.0.write_all(request).expect("sent");
        let mut answer = Vec::new();
        let mut buffer = [0; 16 * 1024];
        loop {
            let read = self.0.read(&mut buffer).expect("an answer");
            assert!(read > 0, "the server closed the connection");
            answer.extend_from_slice(&buffer[..read]);
            if let Some(answer) = whole(&answer, sent) {
                return answer;
            }
        }
    }
}

fn whole(answer: &[u8], sent: Instant) -> Option<RawAnswer> {
    let head = answer.windows(4).position(|window| window == b"\r\n\r\n")?;
    let text = std::str::from_utf8(&answer[..head]).expect("ASCII");
    let mut lines = text.split("\r\n");
    let status_line = lines.next().expect("a status line").to_owned();
    let headers: Vec<(String, String)> = lines
        .map(|line| line.split_once(": ").expect("a header"))
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect();
    let (_, length) = headers.iter().find(|(name, _)| name == "content-length").expect("a content length");
    let bytes = head + 4 + length.parse::<usize>().expect("a number");
    assert!(answer.len() <= bytes, "nothing comes behind the answer");
    let latency = sent.elapsed();
    (answer.len() == bytes).then(|| RawAnswer {
        status_line,
        headers,
        body: answer[head + 4..].to_vec(),
        bytes,
        latency,
    })
}
