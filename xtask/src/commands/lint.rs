//! `cargo xtask lint`.

use crate::commands::fuzz;
use crate::components::{self, PROFILE};
use crate::failure::Failure;
use crate::steps::Steps;
use crate::wasm_target::{self, TARGET, WasmRustc};
use crate::workspace::{HOST_PACKAGES, LIGHT_PACKAGES, Workspace};

pub(crate) const HELP: &str = "\
Example:
  cargo xtask lint";

const NO_RUSTFMT: &str = "`cargo fmt --all` repairs the layout; if rustfmt is missing: rustup component add rustfmt";
const NO_CLIPPY: &str = "see clippy's messages above; if clippy is missing: rustup component add clippy";

pub(crate) fn run(workspace: &Workspace, steps: &mut Steps) -> Result<(), Failure> {
    let layout = steps.run("checking the layout", NO_RUSTFMT, workspace.cargo().args(["fmt", "--all", "--check"]));
    let light = native("clippy, what needs no host", &LIGHT_PACKAGES, workspace, steps);
    let host = native("clippy, host and whole", &HOST_PACKAGES, workspace, steps);
    let fuzz = fuzz_targets(workspace, steps);
    let wasm = wasm(workspace, steps);
    // All of it is shown in any case; the first failure decides the exit code.
    layout.and(light).and(host).and(fuzz).and(wasm)
}

/// Release, as the tests are: the slow C code and the macros are then built once for both.
fn native(name: &str, packages: &[&str], workspace: &Workspace, steps: &mut Steps) -> Result<(), Failure> {
    let mut cargo = workspace.cargo();
    cargo.args(["clippy", "--all-targets", "--release"]).args(packages).args(["--", "--deny", "warnings"]);
    steps.run(name, NO_CLIPPY, &mut cargo)
}

/// A workspace of their own. Without libFuzzer, which takes a while to build and a C++ compiler.
fn fuzz_targets(workspace: &Workspace, steps: &mut Steps) -> Result<(), Failure> {
    let mut fmt = fuzz::cargo(workspace, "fmt");
    let layout = steps.run("checking the layout of the fuzz targets", NO_RUSTFMT, fmt.arg("--check"));
    let mut clippy = fuzz::cargo(workspace, "clippy");
    clippy.args(["--no-default-features", "--all-targets", "--", "--deny", "warnings"]);
    layout.and(steps.run("clippy, fuzz targets", NO_CLIPPY, &mut clippy))
}

/// What `#[cfg(target_family = "wasm")]` hides from the native run.
fn wasm(workspace: &Workspace, steps: &mut Steps) -> Result<(), Failure> {
    let rustc = wasm_target::ensure(workspace, steps)?;
    let mut cargo = components::cargo(workspace, &rustc);
    // Clippy is a compiler of its own and cannot read the standard library of the fallback, which another version
    // built.
    let fallback = matches!(rustc, WasmRustc::Fallback(_));
    if fallback {
        eprintln!("xtask: rustup has no {TARGET}: the WebAssembly code is only compiled, not run through clippy");
    }
    cargo.args([if fallback { "check" } else { "clippy" }, "--profile", PROFILE, "--target", TARGET, "--lib"]);
    let libraries = ["domain", "guest", "runtime", "attestation", "validator-guest"];
    let shipped = components::NAMES.iter().chain(&components::VALIDATORS);
    for name in libraries.iter().chain(shipped).chain(&components::TEST_NAMES) {
        cargo.arg("--package").arg(components::package(name));
    }
    if !fallback {
        cargo.args(["--", "--deny", "warnings"]);
    }
    steps.run("clippy, WebAssembly", NO_CLIPPY, &mut cargo)
}
