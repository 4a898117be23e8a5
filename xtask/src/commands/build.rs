//! `cargo xtask build`.

use crate::components;
use crate::failure::Failure;
use crate::steps::Steps;
use crate::workspace::{HOST_PACKAGES, Workspace};

pub(crate) const HELP: &str = "\
Components go to target/components/{publish,verification,export,purge}.wasm, target/components/validators/*.wasm and, for
Spin, target/components/spin/*.wasm, the host to target/release/tocsin.

Examples:
  cargo xtask build
  cargo xtask build --components";

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Only the components
    #[arg(long, conflicts_with = "host")]
    components: bool,
    /// Only the host
    #[arg(long)]
    host: bool,
}

pub(crate) fn run(args: &Args, workspace: &Workspace, steps: &mut Steps) -> Result<(), Failure> {
    if !args.host {
        components::build(workspace, steps)?;
    }
    if !args.components {
        host(workspace, steps)?;
    }
    Ok(())
}

/// Components, then the host: what most commands need.
pub(crate) fn everything(workspace: &Workspace, steps: &mut Steps) -> Result<(), Failure> {
    components::build(workspace, steps)?;
    host(workspace, steps)
}

/// As [`everything`], with the components that only tests run.
pub(crate) fn everything_for_tests(workspace: &Workspace, steps: &mut Steps) -> Result<(), Failure> {
    components::build_with_tests(workspace, steps)?;
    host(workspace, steps)
}

fn host(workspace: &Workspace, steps: &mut Steps) -> Result<(), Failure> {
    let mut cargo = workspace.cargo();
    cargo.args(["build", "--release", "--bin", "tocsin"]).args(HOST_PACKAGES);
    steps.run("building the host", "see the compiler's message above", &mut cargo)
}
