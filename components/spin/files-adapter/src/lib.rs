//! `tocsin:capability/blobs` over Spin's key-value store `default`: a file is the value of the key `BUCKET/NAME`.
//!
//! A value is written by one call, so no reader sees a part of it.

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
use tocsin_domain::ports::PortError;
use tocsin_spin_adapter::bindings::fermyon::spin::key_value::{Error, Store};
use tocsin_spin_adapter::bindings::tocsin::types::types::PortError as WitPortError;
use tocsin_spin_adapter::port_error_to_wit;

/// Label of the store, which the manifest grants with `key_value_stores`.
const LABEL: &str = "default";

struct Component;

impl Guest for Component {
    /// The kind of a file follows from its name; whoever serves it knows.
    fn put(bucket: String, name: String, _kind: BlobKind, content: Vec<u8>) -> Result<(), WitPortError> {
        let put = Store::open(LABEL).and_then(|store| store.set(&key(&bucket, &name), &content));
        put.map_err(|error| port_error_to_wit(port_error(error)))
    }

    fn delete(bucket: String, name: String) -> Result<(), WitPortError> {
        let deleted = Store::open(LABEL).and_then(|store| store.delete(&key(&bucket, &name)));
        deleted.map_err(|error| port_error_to_wit(port_error(error)))
    }
}

fn key(bucket: &str, name: &str) -> String {
    format!("{bucket}/{name}")
}

fn port_error(error: Error) -> PortError {
    match error {
        Error::StoreTableFull => PortError::Unavailable,
        Error::NoSuchStore => PortError::Internal(format!(
            "Spin has no key-value store {LABEL:?}; define it in the runtime configuration"
        )),
        Error::AccessDenied => PortError::Internal(format!(
            "the component may not use the key-value store {LABEL:?}; add it to key_value_stores in spin.toml"
        )),
        Error::Other(text) => PortError::Internal(format!("the key-value store failed: {text}")),
    }
}

#[cfg(target_family = "wasm")]
bindings::export!(Component with_types_in bindings);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn key_of_a_file_is_its_path() {
        assert_eq!(key("public", "US/index.txt"), "public/US/index.txt");
    }

    #[test]
    fn what_the_manifest_lacks_is_said() {
        let says = |error, words: &str| assert!(port_error(error).to_string().contains(words));
        says(Error::AccessDenied, "key_value_stores");
        says(Error::NoSuchStore, "runtime configuration");
        says(Error::Other("disk".to_owned()), "disk");
        assert_eq!(port_error(Error::StoreTableFull), PortError::Unavailable);
    }
}
