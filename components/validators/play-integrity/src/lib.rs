//! The `play-integrity` validator as a component: Google Play Integrity.

use tocsin_attestation::validator::PlayIntegrity;
use tocsin_validator_guest::Validating;

/// What is exported.
#[cfg_attr(not(target_family = "wasm"), expect(dead_code, reason = "exported on WebAssembly only"))]
type Component = Validating<PlayIntegrity>;

#[cfg(target_family = "wasm")]
tocsin_validator_guest::bindings::export!(Component with_types_in tocsin_validator_guest::bindings);
