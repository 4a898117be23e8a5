//! The command line of `tocsin`.
//!
//! Each command group has a file. Administration goes to the running server or, when none runs, to the files themselves
//! ([`administration`]); nobody has to know which.

mod administration;
mod apps;
mod arguments;
mod demo;
mod explain;
mod export_configs;
mod exports;
mod failure;
mod health_authorities;
mod init;
mod jobs;
mod keys;
mod maintenance;
mod output;
mod phones;
mod serve;
mod status;
mod validator;
mod validator_check;
mod validator_new;
mod validator_status;
mod validator_test;

use crate::config::{Config, FILE_NAME};
use clap::{Args, Parser, Subcommand};
use failure::{Failure, failed};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

const EXAMPLES: &str = "\
Examples:
  tocsin demo                      see everything work, in half a minute
  tocsin init && tocsin serve      a server of your own, in ./tocsin-data
  tocsin status                    what is in it, and what is wrong with it
  tocsin help keys create          about one command

Exit codes: 0 done, 1 not done (the message says why and what to do), 2 wrong usage.";

/// An exposure notification key server: phones publish keys, signed export files come out, old keys go.
#[derive(Parser)]
#[command(name = "tocsin", version, after_help = EXAMPLES, arg_required_else_help = true, max_term_width = 110)]
struct CommandLine {
    #[command(subcommand)]
    command: Command,
    #[command(flatten)]
    global: Global,
}

/// Options of all commands.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Options of all commands")]
struct Global {
    /// Folder with configuration, keys, database and export files
    #[arg(long, global = true, env = "TOCSIN_DATA", default_value = "tocsin-data", value_name = "DIR")]
    data: PathBuf,
    /// Folder with component files to use instead of those built in (overrides folders.components)
    #[arg(long, global = true, env = "TOCSIN_COMPONENTS_DIR", value_name = "DIR")]
    components: Option<PathBuf>,
    /// Answer with JSON, for scripts
    #[arg(long, global = true)]
    json: bool,
}

impl Global {
    /// Reads the configuration of the data folder.
    fn config(&self) -> Result<Config, Failure> {
        // A short relative path keeps the path of the socket short, which may have about 100 bytes.
        let mut config = Config::load(&self.data.join(FILE_NAME)).map_err(failed)?;
        if let Some(folder) = &self.components {
            config.folders.components = Some(folder.clone());
        }
        Ok(config)
    }

    /// The options that let another command act on the same folder, for texts that say what to do next.
    fn data_option(&self) -> String {
        if self.data == Path::new("tocsin-data") { String::new() } else { format!(" --data {}", self.data.display()) }
    }
}

#[derive(Subcommand)]
enum Command {
    /// Make a data folder: configuration, keys, database
    Init(init::InitArgs),
    /// Run the server
    Serve(serve::ServeArgs),
    /// Counts and warnings
    Status(status::StatusArgs),
    /// Keys that sign export files and seal revision tokens
    #[command(subcommand)]
    Keys(keys::KeysCommand),
    /// Who may vouch for a diagnosis
    #[command(subcommand)]
    HealthAuthority(health_authorities::HealthAuthorityCommand),
    /// Which apps may publish
    #[command(subcommand)]
    App(apps::AppCommand),
    /// Which export files are made
    #[command(subcommand)]
    ExportConfig(export_configs::ExportConfigCommand),
    /// Say what the server would do with a request, and why; changes nothing
    #[command(subcommand)]
    Explain(explain::ExplainCommand),
    /// Ask phones to come back later
    #[command(subcommand)]
    Maintenance(maintenance::MaintenanceCommand),
    /// Run a job now
    #[command(subcommand)]
    Job(jobs::JobCommand),
    /// Look into export files
    #[command(subcommand)]
    Export(exports::ExportCommand),
    /// Components that judge submissions
    #[command(subcommand)]
    Validator(validator::ValidatorCommand),
    /// Simulated phones
    #[command(subcommand)]
    Phone(phones::PhoneCommand),
    /// Show everything at work: a server, simulated phones, export, verification, purge
    Demo(demo::DemoArgs),
}

/// Runs the command that the process was started with.
pub fn main() -> ExitCode {
    let CommandLine { command, global } = CommandLine::parse();
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return failed(format!("cannot start: {error}")).report(),
    };
    let done = runtime.block_on(run(&global, command));
    // A thread that still waits (for standard input, say) must not keep the process.
    runtime.shutdown_background();
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.report(),
    }
}

async fn run(global: &Global, command: Command) -> Result<(), Failure> {
    match command {
        Command::Init(args) => init::run(global, &args),
        Command::Serve(args) => serve::run(global, &args).await,
        Command::Status(args) => status::run(global, &args).await,
        Command::Keys(command) => keys::run(global, command).await,
        Command::HealthAuthority(command) => health_authorities::run(global, command).await,
        Command::App(command) => apps::run(global, command).await,
        Command::ExportConfig(command) => export_configs::run(global, command).await,
        Command::Explain(command) => explain::run(global, command).await,
        Command::Maintenance(command) => maintenance::run(global, &command).await,
        Command::Job(command) => jobs::run(global, command).await,
        Command::Export(command) => exports::run(global, command),
        Command::Validator(command) => validator::run(global, command).await,
        Command::Phone(command) => phones::run(global, command).await,
        Command::Demo(args) => demo::run(global, &args),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn command_line_is_consistent() {
        CommandLine::command().debug_assert();
    }

    #[test]
    fn every_command_shows_an_example() {
        fn check(command: &clap::Command, path: &str) {
            let help = command.get_after_help().map(ToString::to_string).unwrap_or_default();
            assert!(help.contains("tocsin "), "{path} shows no example");
            for inner in command.get_subcommands() {
                check(inner, &format!("{path} {}", inner.get_name()));
            }
        }
        check(&CommandLine::command(), "tocsin");
    }

    #[test]
    fn folder_may_be_named_before_or_after_the_command() {
        for line in ["tocsin --data x status --json", "tocsin --json status --data x"] {
            let CommandLine { global, .. } = CommandLine::try_parse_from(line.split(' ')).expect(line);
            assert_eq!((global.data, global.json), (PathBuf::from("x"), true), "{line}");
        }
    }
}
