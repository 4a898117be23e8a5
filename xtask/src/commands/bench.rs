//! `cargo xtask bench`.

use crate::commands::build;
use crate::components::FOLDER_VARIABLE;
use crate::failure::Failure;
use crate::steps::Steps;
use crate::workspace::{HOST_PACKAGES, Workspace};
use clap::ValueEnum;
use std::process::Command;

pub(crate) const HELP: &str = "\
Arguments after `--` go to each benchmark as they are. docs/benchmarks.md explains the figures.

Examples:
  cargo xtask bench publish
  cargo xtask bench export start
  cargo xtask bench publish -- --help";

#[derive(Clone, Copy, PartialEq, ValueEnum)]
enum Name {
    /// Publishes over HTTP through the components, durable
    Publish,
    /// The same, when half of the publishes are revisions
    Revise,
    /// Publishes and chaff mixed
    Chaff,
    /// The same domain code called natively and in a component
    Sandbox,
    /// What validators add to a publish, and what one call of each costs
    Validator,
    /// Millions of keys to signed files
    Export,
    /// Process start to first answer
    Start,
    /// All of them, one after the other
    All,
}

#[derive(clap::Args)]
pub(crate) struct Args {
    /// What to measure
    #[arg(required = true, value_name = "NAME")]
    names: Vec<Name>,
    /// More arguments for the benchmark
    #[arg(last = true, value_name = "ARGS")]
    rest: Vec<String>,
}

pub(crate) fn run(args: &Args, workspace: &Workspace, steps: &mut Steps) -> Result<(), Failure> {
    build::everything_for_tests(workspace, steps)?;
    let mut cargo = workspace.cargo();
    cargo.args(["build", "--release", "--bin", "tocsin-bench"]).args(HOST_PACKAGES);
    steps.run("building the benchmarks", "see the compiler's message above", &mut cargo)?;
    for name in chosen(&args.names) {
        let mut bench = Command::new(workspace.release_binary("tocsin-bench"));
        bench
            .arg(name)
            .args(&args.rest)
            .env(FOLDER_VARIABLE, workspace.components())
            .env("TOCSIN_BIN", workspace.release_binary("tocsin"));
        steps.run(&format!("bench {name}"), "see its message above", &mut bench)?;
    }
    Ok(())
}

fn chosen(names: &[Name]) -> Vec<&'static str> {
    const EACH: [(Name, &str); 7] = [
        (Name::Publish, "publish"),
        (Name::Revise, "revise"),
        (Name::Chaff, "chaff"),
        (Name::Sandbox, "sandbox"),
        (Name::Validator, "validator"),
        (Name::Export, "export"),
        (Name::Start, "start"),
    ];
    EACH.iter()
        .filter(|(name, _)| names.contains(name) || names.contains(&Name::All))
        .map(|(_, argument)| *argument)
        .collect()
}
