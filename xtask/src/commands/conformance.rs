//! `cargo xtask conformance`.

use crate::failure::Failure;
use crate::steps::Steps;
use crate::workspace::{HOST_PACKAGES, Workspace};
use std::process::Command;

pub(crate) const HELP: &str = "\
The server must know the suite's health authorities and apps: tests/conformance/README.md says how. Arguments after `--` go
to the runner as they are.

Examples:
  cargo xtask conformance --url http://127.0.0.1:8080
  cargo xtask conformance --url http://127.0.0.1:8080 --filter 4.1-certificate
  cargo xtask conformance --url http://127.0.0.1:8080 -- --skip-needs statistics,v1alpha1 --json";

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Where the server is
    #[arg(long, value_name = "URL")]
    url: String,
    /// Only cases whose name contains this
    #[arg(long, value_name = "TEXT")]
    filter: Option<String>,
    /// More arguments for the runner
    #[arg(last = true, value_name = "ARGS")]
    rest: Vec<String>,
}

pub(crate) fn run(args: &Args, workspace: &Workspace, steps: &mut Steps) -> Result<(), Failure> {
    let mut cargo = workspace.cargo();
    cargo.args(["build", "--release", "--bin", "tocsin-conformance"]).args(HOST_PACKAGES);
    steps.run("building the runner", "see the compiler's message above", &mut cargo)?;
    let mut runner = Command::new(workspace.release_binary("tocsin-conformance"));
    runner.args(["--url", &args.url]);
    if let Some(filter) = &args.filter {
        runner.args(["--filter", filter]);
    }
    steps.run("conformance", "see the failures above", runner.args(&args.rest))
}
