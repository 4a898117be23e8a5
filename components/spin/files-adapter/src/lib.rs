//! `tocsin:capability/blobs` over Spin's key-value store.

#![cfg_attr(
    target_family = "wasm",
    expect(unsafe_code, reason = "only in what the bindings generate, at the component boundary")
)]

mod bindings {
    wit_bindgen::generate!({
        path: "../../../wit",
        inline: "package tocsin:spin-files; world adapter { export tocsin:capability/blobs@0.1.0; }",
        world: "tocsin:spin-files/adapter",
        with: { "tocsin:types/types@0.1.0": tocsin_spin_adapter::bindings::tocsin::types::types },
        pub_export_macro: true,
    });
}

use bindings::exports::tocsin::capability::blobs::{BlobKind, Guest};
use tocsin_spin_adapter::bindings::tocsin::types::types::PortError;
use tocsin_spin_adapter::{files, port_error_to_wit};

struct Component;

impl Guest for Component {
    /// The kind of a file follows from its name; whoever serves it knows.
    fn put(bucket: String, name: String, _kind: BlobKind, content: Vec<u8>) -> Result<(), PortError> {
        files::put(&bucket, &name, &content).map_err(port_error_to_wit)
    }

    fn delete(bucket: String, name: String) -> Result<(), PortError> {
        files::delete(&bucket, &name).map_err(port_error_to_wit)
    }
}

#[cfg(target_family = "wasm")]
bindings::export!(Component with_types_in bindings);
