//! A validator that does, well or badly, what it is told: by the evidence's token if there is one, and otherwise by
//! `behaviour` in its configuration. The first word says what, the second with what.

#![cfg_attr(
    target_family = "wasm",
    expect(unsafe_code, reason = "only in what the bindings generate, at the component boundary")
)]

use std::hint::black_box;

mod bindings {
    wit_bindgen::generate!({
        path: "../../../wit",
        world: "tocsin:validator/contract",
        generate_all,
        pub_export_macro: true,
    });
}

use bindings::exports::tocsin::validator::validator::Guest;
use bindings::tocsin::validator::services;
use bindings::tocsin::validator::types::{
    Acceptance, AttestedKey, Claim, Commit, CounterStep, Evidence, Exchange, HttpRequest, HttpResponse, Rejection,
    Stage, Submission, Verdict,
};

const MIB: usize = 1024 * 1024;
const DAY: i64 = 86_400;

struct Component;

impl Guest for Component {
    fn identity() -> String {
        match configured("identity").as_str() {
            "" => "hostile 1.0".to_owned(),
            "empty" => String::new(),
            "loop" => run_for_ever(),
            "panic" => panic!("no identity"),
            other => other.to_owned(),
        }
    }

    fn validate(submission: Submission, evidence: Option<Evidence>) -> Verdict {
        let told = match &evidence {
            Some(evidence) => String::from_utf8_lossy(&evidence.token).into_owned(),
            None => configured("behaviour"),
        };
        let (what, with) = told.split_once(' ').unwrap_or((&told, ""));
        judge(what, with, &submission)
    }

    fn resume(
        submission: Submission,
        _evidence: Option<Evidence>,
        continuation: Vec<u8>,
        response: Option<HttpResponse>,
    ) -> Verdict {
        let told = String::from_utf8_lossy(&continuation).into_owned();
        match told.split_once(' ') {
            Some(("ask-for-ever", url)) => ask(url, &told, None),
            Some(("ask-and-loop", _)) => run_for_ever(),
            _ => {
                let (status, body) = match response {
                    Some(HttpResponse { status, body }) => (status.to_string(), body),
                    None => ("none".to_owned(), Vec::new()),
                };
                let body = String::from_utf8_lossy(&body).into_owned();
                let signals = [("status", status), ("body", body), ("app", submission.app), ("continuation", told)];
                accept(100, signals.map(|(name, value)| (name.to_owned(), value)).to_vec(), vec![])
            }
        }
    }
}

fn configured(field: &str) -> String {
    let configuration: serde_json::Value = serde_json::from_str(&services::configuration()).expect("JSON");
    configuration[field].as_str().unwrap_or_default().to_owned()
}

fn judge(what: &str, with: &str, submission: &Submission) -> Verdict {
    match what {
        "accept" => accept(with.parse().unwrap_or(100), vec![], vec![Commit::ClaimOnce(claim("good"))]),
        "pass" => accept(100, vec![], vec![]),
        "reject" => reject(with, false),
        "retry" => reject(with, true),
        "services" => accept(100, ask_services(&submission.app), vec![]),
        "ask" | "ask-for-ever" | "ask-and-loop" => ask(with, &format!("{what} {with}"), None),
        "ask-with-credential" => ask(with, "", Some("api".to_owned())),
        "loop" => run_for_ever(),
        "recurse" => {
            black_box(recurse(black_box(1)));
            reject("recursed", false)
        }
        "allocate" => allocate_for_ever(),
        "return-100-mb" => {
            let huge = "x".repeat(100 * MIB);
            reject(&huge, false)
        }
        "return-1-mb" => {
            let huge = "x".repeat(MIB);
            reject(&huge, false)
        }
        "sleep" => {
            wasip2::clocks::monotonic_clock::subscribe_duration(3_600_000_000_000).block();
            accept(100, vec![], vec![])
        }
        "random" => {
            black_box(services::random(1_025));
            accept(100, vec![], vec![])
        }
        "handles" => loop {
            std::mem::forget(black_box(wasip2::clocks::monotonic_clock::subscribe_duration(1)));
        },
        "exit" => {
            wasip2::cli::exit::exit(Ok(()));
            accept(100, vec![], vec![])
        }
        "print" => {
            println!("to the log: {with}");
            eprintln!("to the log: {with}");
            accept(100, vec![], vec![])
        }
        "other-app" => accept(100, vec![], vec![Commit::StoreKey(key("com.example.other"))]),
        "bad-code" => reject("Bad Code!", false),
        "bad-score" => accept(101, vec![], vec![]),
        "bad-digest" => accept(100, vec![], vec![Commit::ClaimOnce(Claim { digest: vec![0; 31], ..claim("bad") })]),
        "bad-counter" => {
            let step = CounterStep { key_id: vec![1], expected: 2, next: 2 };
            accept(100, vec![], vec![Commit::AdvanceCounter(step)])
        }
        "late-claim" => {
            let expires_at = services::now() + 31 * DAY;
            accept(100, vec![], vec![Commit::ClaimOnce(Claim { expires_at, ..claim("bad") })])
        }
        "many-signals" => accept(100, vec![("a".to_owned(), "b".to_owned()); 17], vec![]),
        "many-commits" => accept(100, vec![], vec![Commit::ClaimOnce(claim("bad")); 9]),
        _ => panic!("told to do {what}"),
    }
}

fn accept(score: u8, signals: Vec<(String, String)>, commits: Vec<Commit>) -> Verdict {
    Verdict::Accept(Acceptance { score, signals, commits })
}

fn reject(code: &str, retryable: bool) -> Verdict {
    Verdict::Reject(Rejection { code: code.to_owned(), stage: Stage::Policy, retryable, detail: "told to".to_owned() })
}

fn ask(url: &str, continuation: &str, credential: Option<String>) -> Verdict {
    let request =
        HttpRequest { method: "GET".to_owned(), url: url.to_owned(), headers: vec![], body: vec![], credential };
    Verdict::Ask(Exchange { request, continuation: continuation.as_bytes().to_vec() })
}

fn claim(space: &str) -> Claim {
    Claim { space: space.to_owned(), digest: vec![7; 32], expires_at: services::now() + DAY }
}

fn key(app: &str) -> AttestedKey {
    AttestedKey {
        key_id: vec![1],
        app: app.to_owned(),
        public_key: vec![4; 65],
        development: false,
        counter: 0,
        attested_at: services::now(),
    }
}

/// What each service answers, as signals.
fn ask_services(app: &str) -> Vec<(String, String)> {
    let found = |app: &str| services::find_key(app, &[1]).map_or("none".to_owned(), |key| key.counter.to_string());
    let length = |bytes: Option<Vec<u8>>| bytes.map_or("none".to_owned(), |bytes| bytes.len().to_string());
    let signals = [
        ("now", services::now().to_string()),
        ("random", services::random(1_024).len().to_string()),
        ("anchors", services::anchors("a set").len().to_string()),
        ("revoked", format!("{:?}", services::is_revoked("1"))),
        ("unwrapped", length(services::unwrap_key("none", &[0; 40]))),
        ("signed", length(services::sign_es256("sign", b"message"))),
        ("key", found(app)),
        ("key of another app", found("com.example.other")),
        ("arguments", std::env::args().count().to_string()),
        ("environment", std::env::vars().count().to_string()),
    ];
    signals.map(|(name, value)| (name.to_owned(), value)).to_vec()
}

fn run_for_ever() -> ! {
    let mut number = 0_u64;
    loop {
        number = black_box(number.wrapping_add(1));
    }
}

fn allocate_for_ever() -> ! {
    let mut all = Vec::new();
    loop {
        all.push(black_box(vec![1_u8; MIB]));
    }
}

/// Never ends; not a tail call.
fn recurse(depth: u64) -> u64 {
    let frame = black_box([depth; 64]);
    if depth == 0 { 0 } else { frame[7].wrapping_add(recurse(black_box(depth.wrapping_add(1)))) }
}

#[cfg(target_family = "wasm")]
bindings::export!(Component with_types_in bindings);
