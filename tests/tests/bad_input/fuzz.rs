//! Thousands of bodies that were good before they were changed.

use crate::{JSON, Target};
use http::Method;
use tocsin_domain::ports::Random;
use tocsin_domain::testing::random::FakeRandom;

const ROUNDS: u32 = 3_000;

/// Pieces that mean something to a parser.
const PIECES: [&[u8]; 24] = [
    b"null",
    b"{}",
    b"[]",
    b"{",
    b"}",
    b"[",
    b"]",
    b"\"",
    b"\\",
    b",",
    b":",
    b"-1",
    b"-0",
    b"1e9",
    b"2147483648",
    b"0.0",
    b"\\ud800",
    b"\xff",
    b"\xef\xbb\xbf",
    b"\0",
    b"true",
    b"\"key\":",
    b".",
    b"=",
];

fn below(random: &FakeRandom, end: usize) -> usize {
    usize::try_from(random.below(u32::try_from(end.max(1)).expect("short"))).expect("small")
}

fn mutate(random: &FakeRandom, body: &mut Vec<u8>) {
    let at = below(random, body.len());
    match random.below(7) {
        0 => body[at] ^= 1 << random.below(8),
        1 => {
            let mut byte = [0];
            random.fill(&mut byte);
            body[at] = byte[0];
        }
        2 => body.truncate(at.max(1)),
        3 => {
            let piece = PIECES[below(random, PIECES.len())];
            body.splice(at..at, piece.iter().copied());
        }
        4 => {
            let end = (at + below(random, 40)).min(body.len() - 1);
            body.drain(at..end);
        }
        5 => {
            let end = (at + below(random, 200)).min(body.len());
            let copy = body[at..end].to_vec();
            let to = below(random, body.len());
            body.splice(to..to, copy);
        }
        _ => {
            let piece = PIECES[below(random, PIECES.len())];
            let end = (at + piece.len()).min(body.len());
            body.splice(at..end, piece.iter().copied());
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn changed_bodies_never_upset_the_server() {
    let mut target = Target::start().await;
    let random = FakeRandom::seeded(2026);
    let mut refused = 0;
    for round in 0..ROUNDS {
        let days = 1 + i64::from(round % 14);
        let mut body = target.phone(days).body(&target.server.authority, "confirmed", target.now());
        for _ in 0..=random.below(3) {
            mutate(&random, &mut body);
        }
        let headers = [("content-type", JSON.expect("set"))];
        let answer = target.client.send(Method::POST, "/v1/publish", &headers, body.clone()).await;
        let shown = String::from_utf8_lossy(&body);
        assert!(matches!(answer.status.as_u16(), 200 | 400 | 401 | 413), "{}: {shown}", answer.status);
        let json = answer.json();
        assert!(json["padding"].is_string(), "{shown}");
        if answer.status != 200 {
            refused += 1;
            assert!(json["error"].as_str().is_some_and(|error| !error.is_empty()), "{shown}");
            assert!(answer.body.len() < 8_000, "{} bytes for {shown}", answer.body.len());
        }
    }
    // A change that leaves a request good is rare: of its bytes only those of names' case and white space are free.
    assert!(refused > ROUNDS * 9 / 10, "{refused} of {ROUNDS} were refused");
    let stored = target.stored().await;
    target.finish(stored).await;
}
