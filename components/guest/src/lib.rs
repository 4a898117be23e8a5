//! The ports of `tocsin-domain` over WIT imports, and the edge to `wasi:http`.
//!
//! This is the only crate that binds the imports; a component that uses [`Host`] still imports no more than the
//! interfaces whose functions it calls. Conversions only: nothing is decided here.

pub mod bindings {
    wit_bindgen::generate!({
        path: "../../wit",
        world: "guest",
        generate_all,
    });
}

mod authorized_apps;
mod blobs;
mod convert;
mod exports;
mod exposures;
mod health_authorities;
pub mod http;
mod leases;
mod retention;
mod sealing;
mod settings;
mod signature_check;
mod signing;
mod statistics;
mod validation;
mod verifier;

pub use convert::{port_error_to_wit, report_type_from_wit, report_type_to_wit};

use tocsin_domain::interval::Timestamp;
use tocsin_domain::ports::{Clock, Random};
// The allocator and the C library's system functions of every component.
use tocsin_runtime as _;

/// The host, as the component sees it: every port of the domain.
#[derive(Clone, Copy, Debug, Default)]
pub struct Host;

impl Clock for Host {
    fn now(&self) -> Timestamp {
        let seconds = wasip2::clocks::wall_clock::now().seconds;
        Timestamp::from_unix(i64::try_from(seconds).unwrap_or(i64::MAX))
    }
}

impl Random for Host {
    fn fill(&self, bytes: &mut [u8]) {
        let random = wasip2::random::random::get_random_bytes(bytes.len() as u64);
        bytes.copy_from_slice(&random);
    }
}
