//! The contract of validators, `tocsin:validator`, around the validators of `tocsin-attestation`. Conversions only:
//! nothing is decided here.
//!
//! A component is `type Component = Validating<V>` and the bindings' `export!` of it.

#![warn(missing_docs)]

/// The world `contract`, as the component sees it.
#[expect(missing_docs, reason = "generated from the interfaces, which have them")]
pub mod bindings {
    wit_bindgen::generate!({
        path: "../../../wit",
        world: "tocsin:validator/contract",
        generate_all,
        pub_export_macro: true,
    });
}

mod convert;
mod services;

use std::marker::PhantomData;

use bindings::exports::tocsin::validator::validator::Guest;
use bindings::tocsin::validator::services as imports;
use bindings::tocsin::validator::types::{Evidence, HttpResponse, Submission, Verdict};
use tocsin_attestation::validator::{self, Validator};
// The allocator and the C library's system functions of every component.
use tocsin_runtime as _;

pub use services::Host;

/// What the component of a validator exports.
#[derive(Clone, Copy, Debug)]
pub struct Validating<V>(PhantomData<V>);

impl<V: Validator> Guest for Validating<V> {
    fn identity() -> String {
        format!("tocsin-{} {}", V::NAME, env!("CARGO_PKG_VERSION"))
    }

    fn validate(submission: Submission, evidence: Option<Evidence>) -> Verdict {
        let submission = convert::submission_from_wit(submission);
        let evidence = evidence.map(convert::evidence_from_wit);
        let configuration = imports::configuration();
        convert::verdict_to_wit(validator::validate::<V>(&submission, evidence.as_ref(), &configuration, &Host))
    }

    fn resume(
        submission: Submission,
        evidence: Option<Evidence>,
        // Always empty: all that is needed comes again.
        _continuation: Vec<u8>,
        response: Option<HttpResponse>,
    ) -> Verdict {
        let submission = convert::submission_from_wit(submission);
        let evidence = evidence.map(convert::evidence_from_wit);
        let configuration = imports::configuration();
        let answer = convert::answer_from_wit(response);
        convert::verdict_to_wit(validator::resume::<V>(&submission, evidence.as_ref(), &configuration, &Host, &answer))
    }
}
