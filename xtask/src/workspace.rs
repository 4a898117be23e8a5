//! Where things are, and cargo.

use crate::components;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The packages that need wasmtime.
///
/// Cargo gives a dependency all features that the packages named in one command want of it, so that another selection of
/// packages can mean another build of wasmtime, minutes of it. Every native build therefore names exactly these two, or
/// none of them.
pub(crate) const HOST_PACKAGES: [&str; 2] = ["--package=tocsin-host", "--package=tocsin-tests"];
/// All other packages.
pub(crate) const LIGHT_PACKAGES: [&str; 3] = ["--workspace", "--exclude=tocsin-host", "--exclude=tocsin-tests"];

/// The folders of this checkout.
pub(crate) struct Workspace {
    /// Where the workspace's `Cargo.toml` is.
    pub(crate) root: PathBuf,
    /// Cargo's target folder: `CARGO_TARGET_DIR`, or `target` in the root.
    pub(crate) target: PathBuf,
}

impl Workspace {
    /// The workspace this program was built in. `cargo run` says where that is now, even if the checkout has moved
    /// since.
    pub(crate) fn locate() -> Self {
        let manifest_dir = std::env::var_os("CARGO_MANIFEST_DIR").unwrap_or_else(|| env!("CARGO_MANIFEST_DIR").into());
        let xtask = PathBuf::from(manifest_dir);
        let root = xtask.parent().map_or_else(|| xtask.clone(), Path::to_path_buf);
        let target = match std::env::var_os("CARGO_TARGET_DIR") {
            // Relative to where the user stands, as cargo does it; absolute from here on, because we run programs in
            // other folders.
            Some(dir) if !dir.is_empty() => std::path::absolute(&dir).unwrap_or_else(|_| PathBuf::from(dir)),
            _ => root.join("target"),
        };
        Self { root, target }
    }

    /// Cargo's target folder for all WebAssembly builds: apart, so that they and native builds neither wait for each
    /// other's lock nor rebuild what they share.
    pub(crate) fn wasm_target(&self) -> PathBuf {
        self.target.join("wasm")
    }

    /// Where the built components are collected.
    pub(crate) fn components(&self) -> PathBuf {
        self.target.join("components")
    }

    /// The release build of a program of ours.
    pub(crate) fn release_binary(&self, name: &str) -> PathBuf {
        self.target.join("release").join(format!("{name}{}", std::env::consts::EXE_SUFFIX))
    }

    /// A path as the user would write it: relative to the root where it is below it.
    pub(crate) fn display(&self, path: &Path) -> String {
        path.strip_prefix(&self.root).unwrap_or(path).display().to_string()
    }

    /// The cargo that runs us, to be run in the root with the target folder of native builds.
    ///
    /// It always gets the variable with the components' folder: the host's build script watches it, and a build without
    /// it followed by a test with it would build the host twice.
    pub(crate) fn cargo(&self) -> Command {
        let mut command = Command::new(cargo_program());
        command
            .current_dir(&self.root)
            .env("CARGO_TARGET_DIR", &self.target)
            .env(components::FOLDER_VARIABLE, self.components());
        forget_own_package(&mut command);
        command
    }
}

/// Path of the cargo that runs us.
pub(crate) fn cargo_program() -> OsString {
    std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into())
}

/// Removes what `cargo run` says about xtask itself. Build scripts that ask cargo to watch such a variable would run
/// again, and rebuild all that depends on them, each time somebody changes between `cargo build` and `cargo xtask build`.
fn forget_own_package(command: &mut Command) {
    const ABOUT_US: [&str; 5] = ["CARGO_PKG_", "CARGO_MANIFEST_", "CARGO_BIN_", "CARGO_CRATE_", "CARGO_PRIMARY_"];
    for (name, _) in std::env::vars_os() {
        if name.to_str().is_some_and(|name| ABOUT_US.iter().any(|prefix| name.starts_with(prefix))) {
            command.env_remove(name);
        }
    }
}
