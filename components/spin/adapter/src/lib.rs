//! What the adapters for Spin share: Spin's interfaces, the settings, and the words of `tocsin:types`.
//!
//! An adapter is a component that exports interfaces of `tocsin:capability` and imports Spin's. Each keeps only the imports
//! it uses. An instance lives for one request.

#![warn(missing_docs)]

/// Spin's interfaces and the shared types.
#[expect(missing_docs, reason = "generated from the interfaces, which have them")]
pub mod bindings {
    wit_bindgen::generate!({
        path: "../../../wit",
        inline: "
            package tocsin:spin-adapter;
            world imports {
                import fermyon:spin/key-value@2.0.0;
                import fermyon:spin/sqlite@2.0.0;
                import fermyon:spin/variables@2.0.0;
                import tocsin:types/types@0.1.0;
            }
        ",
        world: "tocsin:spin-adapter/imports",
        generate_all,
    });
}

mod convert;
mod database;
pub mod files;
pub mod settings;
mod system;
mod variables;

pub use convert::{
    key_from_wit, key_to_wit, out_of_range, port_error_to_wit, report_type_from_wit, report_type_to_wit,
    rolling_period, transmission_risk,
};
pub use database::{Connection, store};
pub use system::{System, fail, log};
pub use variables::{required_variable, variable};

// The allocator and the C library's system functions of every component.
use tocsin_runtime as _;
