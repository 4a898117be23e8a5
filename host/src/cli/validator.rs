//! `tocsin validator`: for those who write validators (no data folder is needed for that), and for operators.

use super::Global;
use super::failure::Failure;
use super::validator_check::{self, ValidatorCheckArgs};
use super::validator_new::{self, ValidatorNewArgs};
use super::validator_status::{self, ValidatorStatusArgs};
use super::validator_test::{self, ValidatorTestArgs};
use clap::Subcommand;

#[derive(Subcommand)]
#[command(after_help = "\
Examples:
  tocsin validator new --lang rust acme
  tocsin validator check acme.wasm
  tocsin validator test acme.wasm --cases cases.json
  tocsin validator status")]
pub(super) enum ValidatorCommand {
    /// Make a project to start from
    New(ValidatorNewArgs),
    /// Say whether a server would take a component file as a validator, and what it is
    Check(ValidatorCheckArgs),
    /// Run cases against a component file, and say what each call cost
    Test(ValidatorTestArgs),
    /// Which validators run, and what they did
    Status(ValidatorStatusArgs),
}

pub(super) async fn run(global: &Global, command: ValidatorCommand) -> Result<(), Failure> {
    match command {
        ValidatorCommand::New(args) => validator_new::run(global, &args),
        ValidatorCommand::Check(args) => validator_check::run(global, &args),
        ValidatorCommand::Test(args) => validator_test::run(global, &args).await,
        ValidatorCommand::Status(args) => validator_status::run(global, &args).await,
    }
}
