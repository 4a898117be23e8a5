//! A web server on loopback where a health authority publishes its keys, well or badly.

use serde_json::{Value, json};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use tocsin_domain::base64;
use tocsin_tests::harness::people::HealthAuthority;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::sync::{Notify, Semaphore};
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;

/// Answers every request in the same way, until told another.
pub struct KeySetHost {
    address: SocketAddr,
    state: Arc<State>,
    task: JoinHandle<()>,
}

#[derive(Default)]
struct State {
    /// All bytes of the answer; `None`: never answer.
    answer: Mutex<Option<Vec<u8>>>,
    /// Told at each request.
    asked: Notify,
    /// With [`KeySetHost::hold`], an answer takes a permit.
    held: Mutex<Option<Arc<Semaphore>>>,
}

impl KeySetHost {
    /// Over HTTP.
    pub async fn start() -> Self {
        Self::start_with(None).await
    }

    /// Over HTTPS.
    pub async fn start_tls(acceptor: TlsAcceptor) -> Self {
        Self::start_with(Some(acceptor)).await
    }

    async fn start_with(acceptor: Option<TlsAcceptor>) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a port");
        let address = listener.local_addr().expect("bound");
        let state = Arc::new(State::default());
        let of_task = state.clone();
        let task = tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.expect("a connection");
                let (state, acceptor) = (of_task.clone(), acceptor.clone());
                tokio::spawn(async move {
                    match acceptor {
                        None => answer(stream, &state).await,
                        Some(acceptor) => match acceptor.accept(stream).await {
                            Ok(stream) => answer(stream, &state).await,
                            // The client does not trust us.
                            Err(_) => Ok(()),
                        },
                    }
                });
            }
        });
        Self { address, state, task }
    }

    /// The URI of the key set.
    pub fn uri(&self) -> String {
        format!("http://{}/jwks.json", self.address)
    }

    /// Its port.
    pub fn port(&self) -> u16 {
        self.address.port()
    }

    /// Publishes a key set.
    pub fn publish(&self, set: &Value) {
        self.publish_text("200 OK", &set.to_string());
    }

    /// Answers with that status and body.
    pub fn publish_text(&self, status: &str, body: &str) {
        let length = body.len();
        let head = "content-type: application/json\r\nlocation: https://elsewhere.example/";
        let answer = format!("HTTP/1.1 {status}\r\n{head}\r\ncontent-length: {length}\r\n\r\n{body}");
        *self.state.answer.lock().expect("not poisoned") = Some(answer.into_bytes());
    }

    /// Answers no more.
    pub fn hang(&self) {
        *self.state.answer.lock().expect("not poisoned") = None;
    }

    /// Holds answers back until permits are added to what is returned.
    pub fn hold(&self) -> Arc<Semaphore> {
        let permits = Arc::new(Semaphore::new(0));
        *self.state.held.lock().expect("not poisoned") = Some(permits.clone());
        permits
    }

    /// Waits for the next request.
    pub async fn asked(&self) {
        self.state.asked.notified().await;
    }
}

impl Drop for KeySetHost {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn answer(mut stream: impl AsyncRead + AsyncWrite + Unpin, state: &State) -> std::io::Result<()> {
    let mut request = Vec::new();
    while !request.ends_with(b"\r\n\r\n") {
        request.push(stream.read_u8().await?);
    }
    state.asked.notify_one();
    let held = state.held.lock().expect("not poisoned").clone();
    if let Some(permits) = held {
        permits.acquire().await.expect("never closed").forget();
    }
    let answer = state.answer.lock().expect("not poisoned").clone();
    match answer {
        Some(answer) => {
            stream.write_all(&answer).await?;
            stream.shutdown().await
        }
        // Until the client gives up.
        None => stream.read_u8().await.map(drop),
    }
}

/// A key as its health authority publishes it.
pub fn jwk(version: &str, authority: &HealthAuthority) -> Value {
    let point = authority.public_key();
    json!({
        "kty": "EC", "crv": "P-256", "kid": version, "use": "sig", "alg": "ES256",
        "x": base64::encode_url(&point[1..33]), "y": base64::encode_url(&point[33..]),
    })
}
