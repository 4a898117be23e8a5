//! The components: which, from which packages, and where they go.

use crate::failure::Failure;
use crate::steps::Steps;
use crate::wasm_target::{self, TARGET, WasmRustc};
use crate::workspace::Workspace;
use std::path::Path;
use std::process::Command;

/// Names of the components. The package of `publish` is `tocsin-publish`, its file `publish.wasm`.
pub(crate) const NAMES: [&str; 4] = ["publish", "verification", "export", "purge"];

/// The validators that ship, in `target/components/validators`.
pub(crate) const VALIDATORS: [&str; 5] = ["app-attest", "device-check", "play-integrity", "android-key", "safetynet"];

/// What stands in for the host in Spin, and serves its files there, in `target/components/spin`. The package of `spin-storage-adapter` is
/// `tocsin-spin-storage-adapter`, its file `storage-adapter.wasm`.
pub(crate) const SPIN: [&str; 7] = [
    "spin-storage-adapter",
    "spin-keys-adapter",
    "spin-signature-adapter",
    "spin-files-adapter",
    "spin-settings-adapter",
    "spin-types-adapter",
    "spin-files-route",
];

/// Components that only tests run, in `target/components/test`: neither `build` nor `dist` knows them.
pub(crate) const TEST_NAMES: [&str; 2] = ["hostile", "hostile-validator"];

/// Cargo profile of the components: `[profile.component]` in the workspace's manifest.
pub(crate) const PROFILE: &str = "component";

/// Tells programs and builds where the components are; a folder.
pub(crate) const FOLDER_VARIABLE: &str = "TOCSIN_COMPONENTS_DIR";

/// Builds all components into `target/components`.
pub(crate) fn build(workspace: &Workspace, steps: &mut Steps) -> Result<(), Failure> {
    let all: Vec<&str> = NAMES.into_iter().chain(VALIDATORS).chain(SPIN).collect();
    build_some(&all, workspace, steps)?;
    collect_shipped(workspace)
}

/// As [`build`], and those that only tests run.
pub(crate) fn build_with_tests(workspace: &Workspace, steps: &mut Steps) -> Result<(), Failure> {
    let all: Vec<&str> = NAMES.into_iter().chain(VALIDATORS).chain(SPIN).chain(TEST_NAMES).collect();
    build_some(&all, workspace, steps)?;
    collect_shipped(workspace)?;
    collect(&TEST_NAMES, &workspace.components().join("test"), workspace)
}

fn build_some(names: &[&str], workspace: &Workspace, steps: &mut Steps) -> Result<(), Failure> {
    let rustc = wasm_target::ensure(workspace, steps)?;
    let mut cargo = cargo(workspace, &rustc);
    cargo.args(["build", "--profile", PROFILE, "--target", TARGET]);
    for name in names {
        cargo.arg("--package").arg(package(name));
    }
    steps.run("building components", "see the compiler's message above", &mut cargo)
}

/// The package of a component.
pub(crate) fn package(name: &str) -> String {
    format!("tocsin-{name}")
}

/// Cargo for WebAssembly builds. A fallback compiler is for these alone.
pub(crate) fn cargo(workspace: &Workspace, rustc: &WasmRustc) -> Command {
    let mut cargo = workspace.cargo();
    cargo.env("CARGO_TARGET_DIR", workspace.wasm_target());
    if let WasmRustc::Fallback(path) = rustc {
        cargo.env("RUSTC", path);
    }
    cargo
}

fn collect_shipped(workspace: &Workspace) -> Result<(), Failure> {
    collect(&NAMES, &workspace.components(), workspace)?;
    collect(&VALIDATORS, &workspace.components().join("validators"), workspace)?;
    collect(&SPIN, &workspace.components().join("spin"), workspace)
}

/// Copies what cargo built to the names the host knows, and prints sizes.
fn collect(names: &[&str], folder: &Path, workspace: &Workspace) -> Result<(), Failure> {
    std::fs::create_dir_all(folder).map_err(|error| cannot_write(workspace, folder, &error))?;
    for name in names {
        let file = format!("{}.wasm", package(name).replace('-', "_"));
        let built = workspace.wasm_target().join(TARGET).join(PROFILE).join(file);
        let content = std::fs::read(&built).map_err(|error| {
            Failure::new(
                format!("no {name} component at {}: {error}", workspace.display(&built)),
                format!("make sure that {} is a cdylib", package(name)),
            )
        })?;
        let file = folder.join(format!("{}.wasm", name.strip_prefix("spin-").unwrap_or(name)));
        let changed = std::fs::read(&file).ok().as_ref() != Some(&content);
        // An unchanged file keeps its time, so that a build that embeds it has nothing to do.
        if changed {
            std::fs::write(&file, &content).map_err(|error| cannot_write(workspace, &file, &error))?;
        }
        let unchanged = if changed { "" } else { "  (unchanged)" };
        eprintln!("{:>9} bytes  {}{unchanged}", content.len(), workspace.display(&file));
    }
    Ok(())
}

fn cannot_write(workspace: &Workspace, path: &Path, error: &std::io::Error) -> Failure {
    Failure::new(format!("cannot write {}: {error}", workspace.display(path)), "check rights and free space")
}
