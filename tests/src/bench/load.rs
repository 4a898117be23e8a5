//! A load generator that costs little: prepared requests over raw connections.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};
use tocsin_tests::harness::raw;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// What a run of load measured.
#[derive(Debug)]
pub(crate) struct Measured {
    /// Requests answered with 200.
    pub(crate) answered: usize,
    /// Requests answered otherwise.
    pub(crate) refused: usize,
    /// Length of the run.
    pub(crate) elapsed: Duration,
    /// Latencies, sorted.
    pub(crate) latencies: Vec<Duration>,
}

impl Measured {
    /// Requests per second.
    pub(crate) fn rate(&self) -> f64 {
        self.answered as f64 / self.elapsed.as_secs_f64()
    }

    /// Latency in milliseconds below which a share of the requests stayed.
    pub(crate) fn quantile_ms(&self, share: f64) -> f64 {
        let place = ((self.latencies.len() as f64 * share) as usize).min(self.latencies.len().saturating_sub(1));
        self.latencies.get(place).map_or(f64::NAN, |latency| latency.as_secs_f64() * 1000.0)
    }
}

/// An answer, as seen from outside.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Seen {
    /// Which request it answers.
    pub(crate) request: usize,
    /// Its status.
    pub(crate) status: u16,
    /// Length of all of it.
    pub(crate) bytes: usize,
    /// From when the request was sent until the last byte came.
    pub(crate) latency: Duration,
}

/// Sends each body once, over that many connections, and waits for all answers.
pub(crate) async fn publish_all(address: SocketAddr, bodies: Vec<Vec<u8>>, connections: usize) -> Measured {
    let (seen, elapsed) = send_all(address, bodies.iter().map(|body| request(body)).collect(), connections).await;
    measure(seen.iter(), elapsed)
}

/// Sums up some of the answers of a run.
pub(crate) fn measure<'a>(seen: impl Iterator<Item = &'a Seen>, elapsed: Duration) -> Measured {
    let (mut refused, mut latencies) = (0, Vec::new());
    for Seen { status, latency, .. } in seen {
        latencies.push(*latency);
        refused += usize::from(*status != 200);
    }
    latencies.sort_unstable();
    Measured { answered: latencies.len() - refused, refused, elapsed, latencies }
}

/// Sends each request once, over that many connections; all answers, in no order, and how long it took.
pub(crate) async fn send_all(address: SocketAddr, requests: Vec<Vec<u8>>, connections: usize) -> (Vec<Seen>, Duration) {
    let (requests, next) = (Arc::new(requests), Arc::new(AtomicUsize::new(0)));
    let started = Instant::now();
    let workers: Vec<_> =
        (0..connections).map(|_| tokio::spawn(connection(address, requests.clone(), next.clone()))).collect();
    let mut seen = Vec::with_capacity(requests.len());
    for worker in workers {
        seen.extend(worker.await.expect("the connection works"));
    }
    (seen, started.elapsed())
}

/// The same without measuring: the bodies of the answers, in the order of the requests.
pub(crate) async fn publish_and_keep(address: SocketAddr, bodies: Vec<Vec<u8>>, connections: usize) -> Vec<Vec<u8>> {
    let requests: Arc<Vec<Vec<u8>>> = Arc::new(bodies.into_iter().map(|body| request(&body)).collect());
    let next = Arc::new(AtomicUsize::new(0));
    let worker = |requests: Arc<Vec<Vec<u8>>>, next: Arc<AtomicUsize>| async move {
        let mut stream = TcpStream::connect(address).await.expect("connects");
        let mut buffer = vec![0; 16 * 1024];
        let mut answers = Vec::new();
        loop {
            let place = next.fetch_add(1, Ordering::Relaxed);
            let Some(request) = requests.get(place) else { return answers };
            stream.write_all(request).await.expect("sent");
            let Read { status, bytes, body_start } = read_answer(&mut stream, &mut buffer).await;
            assert_eq!(status, 200, "every publish is accepted");
            answers.push((place, buffer[body_start..bytes].to_vec()));
        }
    };
    let workers: Vec<_> = (0..connections).map(|_| tokio::spawn(worker(requests.clone(), next.clone()))).collect();
    let mut answers = Vec::with_capacity(requests.len());
    for worker in workers {
        answers.extend(worker.await.expect("the connection works"));
    }
    answers.sort_unstable_by_key(|(place, _)| *place);
    answers.into_iter().map(|(_, body)| body).collect()
}

fn request(body: &[u8]) -> Vec<u8> {
    raw::request("POST", "/v1/publish", &[("content-type", "application/json")], body)
}

async fn connection(address: SocketAddr, requests: Arc<Vec<Vec<u8>>>, next: Arc<AtomicUsize>) -> Vec<Seen> {
    let mut stream = TcpStream::connect(address).await.expect("connects");
    stream.set_nodelay(true).expect("set");
    let mut seen = Vec::new();
    let mut buffer = vec![0; 16 * 1024];
    loop {
        let request = next.fetch_add(1, Ordering::Relaxed);
        let Some(bytes) = requests.get(request) else { return seen };
        let sent = Instant::now();
        stream.write_all(bytes).await.expect("sent");
        let Read { status, bytes, .. } = read_answer(&mut stream, &mut buffer).await;
        seen.push(Seen { request, status, bytes, latency: sent.elapsed() });
    }
}

/// An answer in a buffer.
struct Read {
    status: u16,
    /// Length of all of it.
    bytes: usize,
    /// Where its body begins.
    body_start: usize,
}

/// Reads one answer with a `content-length`.
async fn read_answer(stream: &mut TcpStream, buffer: &mut [u8]) -> Read {
    let mut filled = 0;
    loop {
        let read = stream.read(&mut buffer[filled..]).await.expect("an answer");
        assert!(read > 0, "the server closed a connection");
        filled += read;
        let answer = &buffer[..filled];
        let Some(head) = answer.windows(4).position(|window| window == b"\r\n\r\n") else { continue };
        let text = std::str::from_utf8(&answer[..head]).expect("ASCII");
        let length: usize = text
            .lines()
            .find_map(|line| {
                line.to_ascii_lowercase().strip_prefix("content-length:").map(|value| value.trim().to_owned())
            })
            .and_then(|value| value.parse().ok())
            .expect("a content length");
        if filled >= head + 4 + length {
            return Read { status: text[9..12].parse().expect("a status"), bytes: filled, body_start: head + 4 };
        }
    }
}
