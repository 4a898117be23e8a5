//! Every decision Tocsin makes, as pure code.
//!
//! This crate knows the exposure notification key server protocol and nothing else: no WebAssembly, no HTTP server, no
//! database, no clock and no random number generator. Time comes in as a value, randomness as a parameter, and storage,
//! signing and files as the traits in [`ports`]. The same code therefore runs inside the components, natively in tests
//! and benchmarks, and under any host.
//!
//! Map: [`publish`] (what a phone uploads), [`verification`] (why we believe it), [`export`] (what phones download),
//! [`purge`] (what goes), [`statistics`] (what health authorities are told), [`key_rotation`] (which key seals), and the words
//! they share: [`validation`], [`tek`], [`interval`], [`exposure`], [`health_authority`], [`authorized_app`], [`signature_info`].

pub mod authorized_app;
pub mod base64;
pub mod export;
pub mod exposure;
pub mod health_authority;
pub mod interval;
mod json;
pub mod key_rotation;
pub mod ports;
pub mod problem;
pub mod protobuf;
pub mod publish;
pub mod purge;
pub mod settings;
pub mod signature_info;
pub mod statistics;
pub mod tek;
#[cfg(any(test, feature = "test-util"))]
pub mod testing;
mod text;
pub mod validation;
pub mod verification;
