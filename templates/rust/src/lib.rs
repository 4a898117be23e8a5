//! A validator for a Tocsin key server: `symptom-date`.
//!
//! This file is the connection to the server, the contract in `wit/validator.wit`; the rule itself is in `rule.rs`, which
//! knows nothing of WebAssembly and is tested like any other Rust code. For each submission the server makes a fresh
//! instance of this component and calls `validate` once. Nothing is kept in memory from one call to the next.

mod rule;

// Reads `wit/` and makes Rust types and functions of it: types in `tocsin::validator::types`, what the server offers in
// `tocsin::validator::services`, and the trait `Guest` to implement.
wit_bindgen::generate!({ path: "wit", world: "contract", generate_all });

use exports::tocsin::validator::validator::{Evidence, Guest, HttpResponse, Submission};
use rule::Settings;
use tocsin::validator::services;
use tocsin::validator::types::{Rejection, Stage, Verdict};

struct Validator;

impl Guest for Validator {
    /// Name and version, for the server's log.
    fn identity() -> String {
        concat!("symptom-date ", env!("CARGO_PKG_VERSION")).to_owned()
    }

    /// Judges one submission. This rule needs no evidence from the phone.
    fn validate(submission: Submission, _evidence: Option<Evidence>) -> Verdict {
        // What the operator wrote under `[validators.NAME.configuration]`, as JSON.
        let settings = match Settings::read(&services::configuration()) {
            Ok(settings) => settings,
            Err(rejection) => return Verdict::Reject(rejection),
        };
        match rule::judge(&settings, &submission, services::now()) {
            Ok(acceptance) => Verdict::Accept(acceptance),
            Err(rejection) => Verdict::Reject(rejection),
        }
    }

    /// Called with the answer after `validate` returned `Verdict::Ask`, which this validator never does.
    fn resume(_: Submission, _: Option<Evidence>, _: Vec<u8>, _: Option<HttpResponse>) -> Verdict {
        Verdict::Reject(Rejection {
            code: "nothing-asked".to_owned(),
            stage: Stage::Upstream,
            retryable: false,
            detail: "this validator asks nobody".to_owned(),
        })
    }
}

// Only in WebAssembly, so that `cargo test` can build the rest for this machine.
#[cfg(target_family = "wasm")]
export!(Validator);
