//! `cargo xtask`: builds, checks and runs Tocsin, on any machine with rustup and a C compiler.
//!
//! Progress goes to standard error, one `==>` line a step; standard output is that of the programs run. The exit code
//! is that of the program that failed.

mod commands;
mod components;
mod failure;
mod steps;
mod tools;
mod wasm_target;
mod workspace;

use crate::commands::{bench, build, conformance, demo, dist, fuzz, lint, serve, test};
use crate::failure::Failure;
use crate::steps::Steps;
use crate::workspace::Workspace;
use clap::{Parser, Subcommand};
use std::process::ExitCode;

/// Build, check and run Tocsin. Every command first makes sure of the WebAssembly target by itself.
#[derive(Parser)]
#[command(bin_name = "cargo xtask", after_help = "Example, from a clean clone:\n  cargo xtask demo")]
struct Cli {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Make sure that a rustc of this machine can build for wasm32-wasip2
    #[command(after_help = wasm_target::HELP)]
    Setup,
    /// Build the components, and then the host
    #[command(after_help = build::HELP)]
    Build(build::Args),
    /// Make dist/tocsin: one binary with the components inside
    #[command(after_help = dist::HELP)]
    Dist,
    /// Formatting and clippy, native and WebAssembly; warnings are errors
    #[command(after_help = lint::HELP)]
    Lint,
    /// Build, then run all tests against the built components and the real binary
    #[command(after_help = test::HELP)]
    Test(test::Args),
    /// Invent inputs for what reads requests, certificates and tokens, and see that the checks hold
    #[command(after_help = fuzz::HELP)]
    Fuzz(fuzz::Args),
    /// Build, then show it all at work: phones publish, files are exported, verified and purged
    #[command(after_help = demo::HELP)]
    Demo(demo::Args),
    /// Build, make a data folder when there is none, and run the server
    #[command(after_help = serve::HELP)]
    Serve(serve::Args),
    /// Build, then measure
    #[command(after_help = bench::HELP)]
    Bench(bench::Args),
    /// Build the runner of the conformance suite, and run it against a server
    #[command(after_help = conformance::HELP)]
    Conformance(conformance::Args),
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    let workspace = Workspace::locate();
    let mut steps = Steps::start();
    let result = run(cli.task, &workspace, &mut steps);
    steps.print_times();
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("{failure}");
            ExitCode::from(failure.exit_code)
        }
    }
}

fn run(task: Task, workspace: &Workspace, steps: &mut Steps) -> Result<(), Failure> {
    match task {
        Task::Setup => wasm_target::ensure(workspace, steps).map(|rustc| rustc.explain()),
        Task::Build(args) => build::run(&args, workspace, steps),
        Task::Dist => dist::run(workspace, steps),
        Task::Lint => lint::run(workspace, steps),
        Task::Test(args) => test::run(&args, workspace, steps),
        Task::Fuzz(args) => fuzz::run(&args, workspace, steps),
        Task::Demo(args) => demo::run(&args, workspace, steps),
        Task::Serve(args) => serve::run(&args, workspace, steps),
        Task::Bench(args) => bench::run(&args, workspace, steps),
        Task::Conformance(args) => conformance::run(&args, workspace, steps),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn every_command_shows_an_example() {
        let cli = Cli::command();
        cli.clone().debug_assert();
        for command in cli.get_subcommands() {
            let help = command.get_after_help().map(ToString::to_string).unwrap_or_default();
            assert!(help.contains(&format!("cargo xtask {}", command.get_name())), "{}", command.get_name());
        }
    }
}
