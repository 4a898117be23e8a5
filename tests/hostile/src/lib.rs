//! A component that tests put in the place of publish: it does what no component may do. The first word of the request
//! body says what.

#![cfg_attr(
    target_family = "wasm",
    expect(unsafe_code, reason = "only in what the bindings generate, at the component boundary")
)]

use std::hint::black_box;
use tocsin_domain::ports::verifier::{Proof, Verifier};
use tocsin_guest::{Host, http};
use wasip2::http::types::{ErrorCode, Fields, IncomingRequest, OutgoingBody, OutgoingResponse, ResponseOutparam};

mod bindings {
    wit_bindgen::generate!({
        path: "../../wit",
        inline: "package tocsin:guest; world publish { export tocsin:component/publisher@0.1.0; }",
        world: "tocsin:guest/publish",
        pub_export_macro: true,
    });
}

use bindings::exports::tocsin::component::publisher::{Guest, PublishRequest, Response, StatisticsRequest};

/// More than any request of the tests holds.
const MAX_BODY_BYTES: usize = 64_000;
const MIB: usize = 1024 * 1024;
const OK: &[u8] = b"{\"status\":\"ok\"}";

struct Component;

impl Guest for Component {
    fn publish(request: PublishRequest) -> Response {
        let PublishRequest { api: _, content_type: _, user_agent: _, body } = request;
        let text = String::from_utf8_lossy(&body);
        let response = |status, body| Response { status, chaff: false, body };
        match word(&text) {
            "ok" => response(200, OK.to_vec()),
            "huge" => response(200, vec![b'x'; 12 * MIB]),
            "status" => response(7, OK.to_vec()),
            // As publish does it; also what makes the component import the verifier, and compose with verification.
            "verify" => response(verify(&text), OK.to_vec()),
            _ => misbehave(&text),
        }
    }

    fn statistics(request: StatisticsRequest) -> Response {
        let StatisticsRequest { content_type: _, authorization: _, body } = request;
        misbehave(&String::from_utf8_lossy(&body))
    }

    fn explain(request: PublishRequest) -> String {
        let PublishRequest { api: _, content_type: _, user_agent: _, body } = request;
        let text = String::from_utf8_lossy(&body);
        match word(&text) {
            "ok" => "{}".to_owned(),
            _ => misbehave(&text),
        }
    }
}

impl wasip2::exports::http::incoming_handler::Guest for Component {
    fn handle(request: IncomingRequest, out: ResponseOutparam) {
        let body = http::read_body(&request, MAX_BODY_BYTES).unwrap_or_default();
        let text = String::from_utf8_lossy(&body);
        match word(&text) {
            "ok" => answer(out, OK),
            "huge" => answer(out, &vec![b'x'; 12 * MIB]),
            "silent" => drop(out),
            "half" => answer_half(out, &text),
            "endless" => answer_for_ever(out),
            "error" => ResponseOutparam::set(out, Err(ErrorCode::InternalError(Some(text.into_owned())))),
            _ => misbehave(&text),
        }
    }
}

fn word(text: &str) -> &str {
    text.split_whitespace().next().unwrap_or_default()
}

/// Does what the text says and never returns.
fn misbehave(text: &str) -> ! {
    match word(text) {
        "loop" => run_for_ever(),
        "allocate" => allocate_for_ever(),
        "recurse" => {
            black_box(recurse(black_box(1)));
        }
        "sleep" => wasip2::clocks::monotonic_clock::subscribe_duration(3_600_000_000_000).block(),
        "random" => {
            black_box(wasip2::random::random::get_random_bytes(1 << 40));
        }
        "handles" => make_handles_for_ever(),
        "headers" => grow_headers_for_ever(),
        "exit" => wasip2::cli::exit::exit(Ok(())),
        _ => {}
    }
    eprintln!("to the log: {text}");
    panic!("the body was {text}");
}

fn verify(text: &str) -> u16 {
    let proof = Proof { verification_payload: text, hmac_key: "", allowed_health_authorities: &[], keys: vec![] };
    if Host.verify(&proof).is_ok() { 200 } else { 401 }
}

fn answer(out: ResponseOutparam, body: &[u8]) {
    http::respond(out, &http::Response { status: 200, headers: &[("content-type", "application/json")], body });
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

fn begin_answer(out: ResponseOutparam) -> OutgoingBody {
    let outgoing = OutgoingResponse::new(Fields::new());
    let body = outgoing.body().expect("a new response has a body");
    ResponseOutparam::set(out, Ok(outgoing));
    body
}

fn answer_half(out: ResponseOutparam, text: &str) {
    let body = begin_answer(out);
    let stream = body.write().expect("a new body has a stream");
    stream.blocking_write_and_flush(b"{\"half\":").expect("somebody reads");
    panic!("half of the answer to {text}");
}

fn answer_for_ever(out: ResponseOutparam) {
    let body = begin_answer(out);
    let stream = body.write().expect("a new body has a stream");
    loop {
        // A reader that has had enough is no reason to stop.
        let _ = black_box(stream.blocking_write_and_flush(&[b'x'; 4096]));
    }
}

/// Each costs the host some memory, and the component none.
fn make_handles_for_ever() -> ! {
    loop {
        std::mem::forget(black_box(Fields::new()));
    }
}

/// The same, with one handle.
fn grow_headers_for_ever() -> ! {
    let fields = Fields::new();
    let value = vec![b'x'; 16 * 1024];
    loop {
        let _ = black_box(fields.append("x-hostile", &value));
    }
}

#[cfg(target_family = "wasm")]
bindings::export!(Component with_types_in bindings);
#[cfg(target_family = "wasm")]
wasip2::http::proxy::export!(Component);
