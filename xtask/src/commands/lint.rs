//! `cargo xtask lint`.

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
    steps.run("checking the layout", NO_RUSTFMT, workspace.cargo().args(["fmt", "--all", "--check"]))?;
    // Release, as the tests are: the slow C code and the macros are then built once for both.
    for (name, packages) in
        [("clippy, native", LIGHT_PACKAGES.as_slice()), ("clippy, host and tests", HOST_PACKAGES.as_slice())]
    {
        let mut cargo = workspace.cargo();
        cargo.args(["clippy", "--all-targets", "--release"]).args(packages).args(["--", "--deny", "warnings"]);
        steps.run(name, NO_CLIPPY, &mut cargo)?;
    }
    wasm(workspace, steps)
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
    for name in ["domain", "guest"].iter().chain(&components::NAMES) {
        cargo.arg("--package").arg(components::package(name));
    }
    if !fallback {
        cargo.args(["--", "--deny", "warnings"]);
    }
    steps.run("clippy, WebAssembly", NO_CLIPPY, &mut cargo)
}
