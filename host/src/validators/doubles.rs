//! What the tests of this module share.

use crate::bindings::validator::tocsin::validator::types::{KeyMetadata, Submission, Transcript};
use parking_lot::Mutex;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tocsin_domain::interval::Timestamp;
use tocsin_domain::ports::Clock;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// Always the same time, in unix seconds.
pub(super) struct FixedClock(pub(super) i64);

impl Clock for FixedClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_unix(self.0)
    }
}

/// Of one key.
pub(super) fn submission(app: &str) -> Submission {
    Submission {
        app: app.to_owned(),
        issuer: None,
        report_type: None,
        symptom_onset: None,
        keys: vec![KeyMetadata { rolling_start: 2_650_000, rolling_period: 144, transmission_risk: 0 }],
        regions: vec!["US".to_owned()],
        traveler: false,
        transcripts: vec![Transcript { format: "ens-v4".to_owned(), sha256: vec![0; 32] }],
        challenge: None,
    }
}

/// Writes a file that only we can read.
pub(super) fn secret_file(folder: &Path, name: &str, content: &str) -> PathBuf {
    let file = folder.join(name);
    std::fs::write(&file, content).expect("written");
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600)).expect("chmod");
    file
}

/// A server on loopback that gives its answers in their order, then keeps silent, and remembers what it was asked.
pub(super) struct HttpDouble {
    address: std::net::SocketAddr,
    asked: Arc<Mutex<Vec<String>>>,
}

impl HttpDouble {
    pub(super) async fn start(answers: Vec<(u16, String)>) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a port");
        let address = listener.local_addr().expect("bound");
        let asked = Arc::new(Mutex::new(Vec::new()));
        let remember = asked.clone();
        tokio::spawn(async move {
            let mut silent = Vec::new();
            let mut answers = answers.into_iter();
            while let Ok((mut stream, _)) = listener.accept().await {
                let request = read_request(&mut stream).await;
                remember.lock().push(request);
                let Some((status, body)) = answers.next() else {
                    silent.push(stream);
                    continue;
                };
                let head = format!("HTTP/1.1 {status} X\r\ncontent-length: {}\r\n\r\n", body.len());
                stream.write_all(head.as_bytes()).await.ok();
                stream.write_all(body.as_bytes()).await.ok();
            }
        });
        Self { address, asked }
    }

    /// Host and port.
    pub(super) fn host(&self) -> String {
        self.address.to_string()
    }

    pub(super) fn uri(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    pub(super) fn asked(&self) -> Vec<String> {
        self.asked.lock().clone()
    }
}

async fn read_request(stream: &mut TcpStream) -> String {
    let mut request = Vec::new();
    while !request.ends_with(b"\r\n\r\n") {
        let Ok(byte) = stream.read_u8().await else { break };
        request.push(byte);
    }
    let head = String::from_utf8_lossy(&request).into_owned();
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")?.parse().ok()).unwrap_or(0);
    let mut body = vec![0; length];
    stream.read_exact(&mut body).await.ok();
    head + &String::from_utf8_lossy(&body)
}
