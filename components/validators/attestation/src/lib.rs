//! Device attestation: does this submission come from a genuine device that runs the genuine app? Pure logic, without
//! WebAssembly, network, clock or files; the validator components around it only translate.
//!
//! [`contract`] has the words of `tocsin:validator` as Rust types. Each method is a module, and [`validator`] makes
//! validators of them.

pub mod android_key;
pub mod apple;
pub mod cbor;
pub mod challenge;
pub mod contract;
#[cfg(any(test, feature = "test-util"))]
pub mod fuzz_checks;
pub mod google;
pub mod jose;
pub mod validator;
pub mod x509;
