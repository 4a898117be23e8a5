//! With the feature `embedded-components`, puts the four component files of `TOCSIN_COMPONENTS_DIR` into the binary, and
//! the validators of its folder `validators`, if there is one.

use std::path::PathBuf;

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    if std::env::var_os("CARGO_FEATURE_EMBEDDED_COMPONENTS").is_some() {
        println!("cargo:rerun-if-env-changed=TOCSIN_COMPONENTS_DIR");
    }
    let mut source = String::new();
    for name in ["publish", "verification", "export", "purge"] {
        let constant = name.to_uppercase();
        if std::env::var_os("CARGO_FEATURE_EMBEDDED_COMPONENTS").is_some() {
            let folder = std::env::var("TOCSIN_COMPONENTS_DIR")
                .expect("the feature embedded-components needs TOCSIN_COMPONENTS_DIR; use `cargo xtask dist`");
            let file = PathBuf::from(folder).join(format!("{name}.wasm"));
            println!("cargo:rerun-if-changed={}", file.display());
            source.push_str(&format!("pub(super) const {constant}: &[u8] = include_bytes!({file:?});\n"));
        } else {
            source.push_str(&format!("pub(super) const {constant}: &[u8] = &[];\n"));
        }
    }
    source.push_str(&validators());
    let out = PathBuf::from(std::env::var_os("OUT_DIR").expect("set by cargo")).join("embedded.rs");
    std::fs::write(out, source).expect("the output folder can be written");
}

/// A list of names and contents.
fn validators() -> String {
    let mut files = Vec::new();
    if let Some(folder) = std::env::var_os("TOCSIN_COMPONENTS_DIR")
        && std::env::var_os("CARGO_FEATURE_EMBEDDED_COMPONENTS").is_some()
    {
        let folder = PathBuf::from(folder).join("validators");
        println!("cargo:rerun-if-changed={}", folder.display());
        files.extend(std::fs::read_dir(&folder).into_iter().flatten().flatten().map(|entry| entry.path()));
        files.retain(|file| file.extension().is_some_and(|extension| extension == "wasm"));
        files.sort();
    }
    let entries = files.iter().filter_map(|file| {
        let name = file.file_stem()?.to_str()?;
        Some(format!("({name:?}, include_bytes!({file:?})), "))
    });
    format!("pub(super) const VALIDATORS: &[(&str, &[u8])] = &[{}];\n", entries.collect::<String>())
}
