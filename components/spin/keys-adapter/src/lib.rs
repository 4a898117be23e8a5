//! `tocsin:capability/sealing` and `signing`. Signing keys and root keys are Spin variables; revision keys are in the
//! database, wrapped under root keys, as on the host.

#![cfg_attr(
    target_family = "wasm",
    expect(unsafe_code, reason = "only in what the bindings generate, at the component boundary")
)]

mod bindings {
    wit_bindgen::generate!({
        path: "../../../wit",
        inline: "
            package tocsin:spin-keys;
            world adapter {
                export tocsin:capability/sealing@0.1.0;
                export tocsin:capability/signing@0.1.0;
            }
        ",
        world: "tocsin:spin-keys/adapter",
        with: { "tocsin:types/types@0.1.0": tocsin_spin_adapter::bindings::tocsin::types::types },
        pub_export_macro: true,
    });
}

use bindings::exports::tocsin::capability::{sealing, signing};
use tocsin_domain::ports::sealing::Sealed;
use tocsin_domain::ports::{Clock, PortError};
use tocsin_spin_adapter::bindings::tocsin::types::types::PortError as WitPortError;
use tocsin_spin_adapter::settings::Settings;
use tocsin_spin_adapter::{System, port_error_to_wit, required_variable, store};
use tocsin_spin_crypto::{RootKeys, SigningKeys};

/// Root keys by id.
const ROOT_KEYS: &str = "tocsin_root_keys";
/// Signing keys by name.
const SIGNING_KEYS: &str = "tocsin_signing_keys";

struct Component;

impl sealing::Guest for Component {
    fn seal(plaintext: Vec<u8>) -> Result<sealing::Sealed, WitPortError> {
        let Sealed { key_id, data } = seal(&plaintext).map_err(port_error_to_wit)?;
        Ok(sealing::Sealed { key_id, data })
    }

    fn open(sealed: sealing::Sealed) -> Result<Option<Vec<u8>>, WitPortError> {
        let sealing::Sealed { key_id, data } = sealed;
        open(&Sealed { key_id, data }).map_err(port_error_to_wit)
    }
}

impl signing::Guest for Component {
    fn sign(key: String, message: Vec<u8>) -> Result<Vec<u8>, WitPortError> {
        let keys = required_variable(SIGNING_KEYS).and_then(|json| SigningKeys::parse(SIGNING_KEYS, &json));
        keys.and_then(|keys| keys.sign(&key, &message)).map_err(port_error_to_wit)
    }
}

fn seal(plaintext: &[u8]) -> Result<Sealed, PortError> {
    let rotation = Settings::read()?.key_rotation;
    tocsin_spin_crypto::seal(&*store()?, &root_keys()?, &rotation, System.now(), &System, plaintext)
}

fn open(sealed: &Sealed) -> Result<Option<Vec<u8>>, PortError> {
    tocsin_spin_crypto::open(&*store()?, &root_keys()?, sealed)
}

fn root_keys() -> Result<RootKeys, PortError> {
    RootKeys::parse(ROOT_KEYS, &required_variable(ROOT_KEYS)?)
}

#[cfg(target_family = "wasm")]
bindings::export!(Component with_types_in bindings);
