//! With the feature `embedded-components`, puts the component files of `TOCSIN_COMPONENTS_DIR` into the binary: the four
//! that the server runs, and the validators that ship.

use std::path::PathBuf;

/// What the server runs: constants of these names.
const COMPONENTS: [&str; 4] = ["publish", "verification", "export", "purge"];
/// The validators that ship: in one constant, with their names.
const VALIDATORS: [&str; 5] = ["app-attest", "device-check", "play-integrity", "android-key", "safetynet"];

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    let folder = std::env::var_os("CARGO_FEATURE_EMBEDDED_COMPONENTS").map(|_| {
        println!("cargo:rerun-if-env-changed=TOCSIN_COMPONENTS_DIR");
        let folder = std::env::var_os("TOCSIN_COMPONENTS_DIR");
        PathBuf::from(
            folder.expect("the feature embedded-components needs TOCSIN_COMPONENTS_DIR; use `cargo xtask dist`"),
        )
    });
    // An expression: the bytes of that file, or none in a binary without components.
    let bytes = |file: String| match &folder {
        Some(folder) => {
            let file = folder.join(file);
            println!("cargo:rerun-if-changed={}", file.display());
            format!("include_bytes!({file:?})")
        }
        None => "&[]".to_owned(),
    };
    let mut source = String::new();
    for name in COMPONENTS {
        let bytes = bytes(format!("{name}.wasm"));
        source.push_str(&format!("pub(super) const {}: &[u8] = {bytes};\n", name.to_uppercase()));
    }
    source.push_str(&format!("pub(super) const VALIDATORS: [(&str, &[u8]); {}] = [\n", VALIDATORS.len()));
    for name in VALIDATORS {
        let bytes = bytes(format!("validators/{name}.wasm"));
        source.push_str(&format!("    ({name:?}, {bytes}),\n"));
    }
    source.push_str("];\n");
    let out = PathBuf::from(std::env::var_os("OUT_DIR").expect("set by cargo")).join("embedded.rs");
    std::fs::write(out, source).expect("the output folder can be written");
}
