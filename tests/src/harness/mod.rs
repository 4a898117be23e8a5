//! A real server, phones and a health authority.

pub mod client;
pub mod distinguisher;
pub mod export_files;
pub mod folder;
pub mod people;
pub mod play_integrity;
pub mod process;
pub mod raw;
pub mod server;
pub mod tools;

use std::path::PathBuf;

/// Folder of the built components, from `TOCSIN_COMPONENTS_DIR` or where `cargo xtask build` puts them.
///
/// # Panics
/// When they have not been built.
pub fn components_folder() -> PathBuf {
    let folder =
        std::env::var_os("TOCSIN_COMPONENTS_DIR").map_or_else(|| workspace().join("target/components"), PathBuf::from);
    assert!(
        folder.join("publish.wasm").exists(),
        "the components are not in {}: run the tests with `cargo xtask test`, which builds them",
        folder.display()
    );
    folder
}

/// The `tocsin` binary, from `TOCSIN_BIN` or where `cargo xtask build` puts it.
///
/// # Panics
/// When it has not been built.
pub fn tocsin_binary() -> PathBuf {
    let binary =
        std::env::var_os("TOCSIN_BIN").map_or_else(|| workspace().join("target/release/tocsin"), PathBuf::from);
    assert!(
        binary.exists(),
        "there is no {}: run the tests with `cargo xtask test`, which builds it",
        binary.display()
    );
    binary
}

/// The root of the checkout.
pub fn workspace() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).parent().expect("the crate is in the workspace").to_owned()
}
