//! `tocsin:capability/signature-check` in pure Rust: imports nothing, several times slower than the host.

#![cfg_attr(
    target_family = "wasm",
    expect(unsafe_code, reason = "only in what the bindings generate, at the component boundary")
)]

mod bindings {
    wit_bindgen::generate!({
        path: "../../../wit",
        inline: "package tocsin:spin-signature; world adapter { export tocsin:capability/signature-check@0.1.0; }",
        world: "tocsin:spin-signature/adapter",
        with: { "tocsin:types/types@0.1.0": tocsin_spin_adapter::bindings::tocsin::types::types },
        pub_export_macro: true,
    });
}

use bindings::exports::tocsin::capability::signature_check::Guest;
use tocsin_spin_adapter::bindings::tocsin::types::types::PortError;

struct Component;

impl Guest for Component {
    fn verify_es256(public_key: Vec<u8>, message: Vec<u8>, signature: Vec<u8>) -> Result<bool, PortError> {
        Ok(tocsin_spin_crypto::verify_es256(&public_key, &message, &signature))
    }
}

#[cfg(target_family = "wasm")]
bindings::export!(Component with_types_in bindings);
