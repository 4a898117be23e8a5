//! `tocsin validator`: for those who write validators. Needs no data folder.

use super::Global;
use super::failure::Failure;
use super::validator_new::{self, ValidatorNewArgs};
use super::validator_test::{self, ValidatorTestArgs};
use clap::Subcommand;

#[derive(Subcommand)]
#[command(after_help = "\
Examples:
  tocsin validator new --lang rust my-validator
  tocsin validator test validator.wasm --cases cases.json")]
pub(super) enum ValidatorCommand {
    /// Make a project to start from
    New(ValidatorNewArgs),
    /// Run cases against a component file, and say what each call cost
    Test(ValidatorTestArgs),
}

pub(super) async fn run(global: &Global, command: ValidatorCommand) -> Result<(), Failure> {
    match command {
        ValidatorCommand::New(args) => validator_new::run(global, &args),
        ValidatorCommand::Test(args) => validator_test::run(global, &args).await,
    }
}
