//! The interfaces that hold types only, as exports: with it a composed component imports nothing of `tocsin` any more, and
//! a host that knows only Spin's and WASI's interfaces has nothing to wonder about. There is no code in it.

#![cfg_attr(
    target_family = "wasm",
    expect(unsafe_code, reason = "only in what the bindings generate, at the component boundary")
)]

mod bindings {
    wit_bindgen::generate!({
        path: "../../../wit",
        inline: "
            package tocsin:spin-types;
            world adapter {
                export tocsin:types/types@0.1.0;
                export tocsin:validator/types@0.1.0;
            }
        ",
        world: "tocsin:spin-types/adapter",
        pub_export_macro: true,
    });
}

// The allocator and the C library's system functions of every component.
use tocsin_runtime as _;

#[cfg(target_family = "wasm")]
#[expect(dead_code, reason = "types have no functions that would need it")]
struct Component;

#[cfg(target_family = "wasm")]
bindings::export!(Component with_types_in bindings);
