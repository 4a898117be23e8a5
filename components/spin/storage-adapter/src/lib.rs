//! The storage interfaces of `tocsin:capability` over Spin's SQLite. Conversions only: the store is `tocsin-spin-store`.

#![cfg_attr(
    target_family = "wasm",
    expect(unsafe_code, reason = "only in what the bindings generate, at the component boundary")
)]

mod bindings {
    wit_bindgen::generate!({
        path: "../../../wit",
        inline: "
            package tocsin:spin-storage;
            world adapter {
                export tocsin:capability/authorized-apps@0.1.0;
                export tocsin:capability/exports@0.1.0;
                export tocsin:capability/exposures@0.1.0;
                export tocsin:capability/health-authorities@0.1.0;
                export tocsin:capability/leases@0.1.0;
                export tocsin:capability/retention@0.1.0;
                export tocsin:capability/statistics@0.1.0;
            }
        ",
        world: "tocsin:spin-storage/adapter",
        with: { "tocsin:types/types@0.1.0": tocsin_spin_adapter::bindings::tocsin::types::types },
        generate_all,
        pub_export_macro: true,
    });
}

mod directory;
mod exports;
mod exposures;
mod retention;
mod statistics;

use tocsin_domain::ports::PortError;
use tocsin_spin_adapter::bindings::tocsin::types::types::PortError as WitPortError;
use tocsin_spin_adapter::{Connection, port_error_to_wit};
use tocsin_spin_store::Store;

struct Component;

/// Does `work` with the store of this instance.
fn with_store<T>(work: impl FnOnce(&Store<Connection>) -> Result<T, PortError>) -> Result<T, WitPortError> {
    tocsin_spin_adapter::store().and_then(|store| work(&store)).map_err(port_error_to_wit)
}

#[cfg(target_family = "wasm")]
bindings::export!(Component with_types_in bindings);
