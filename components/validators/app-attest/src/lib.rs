//! The `app-attest` validator as a component: Apple App Attest.

use tocsin_attestation::validator::AppAttest;
use tocsin_validator_guest::Validating;

/// What is exported.
#[cfg_attr(not(target_family = "wasm"), expect(dead_code, reason = "exported on WebAssembly only"))]
type Component = Validating<AppAttest>;

#[cfg(target_family = "wasm")]
tocsin_validator_guest::bindings::export!(Component with_types_in tocsin_validator_guest::bindings);
