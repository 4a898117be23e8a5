//! `tocsin validator`.

use super::Global;
use super::failure::Failure;
use super::validator_status::{self, ValidatorStatusArgs};
use clap::Subcommand;

#[derive(Subcommand)]
#[command(after_help = "Example:\n  tocsin validator status")]
pub(super) enum ValidatorCommand {
    /// Which validators run, and what they did
    Status(ValidatorStatusArgs),
}

pub(super) async fn run(global: &Global, command: ValidatorCommand) -> Result<(), Failure> {
    match command {
        ValidatorCommand::Status(args) => validator_status::run(global, &args).await,
    }
}
