//! `tocsin maintenance`.

use super::Global;
use super::administration::send;
use super::failure::Failure;
use super::output::show;
use crate::admin::AdminRequest;
use clap::Subcommand;
use serde_json::{Value, json};

#[derive(Subcommand)]
#[command(after_help = "\
During maintenance whoever publishes is answered 429 and tries again later; export files and their verification keys can
still be downloaded, jobs and administration go on. It ends at a restart, unless the configuration says
maintenance_mode = true under [public].

Examples:
  tocsin maintenance on
  tocsin maintenance status --json")]
pub(super) enum MaintenanceCommand {
    /// Start it, in the running server
    #[command(after_help = "Example:\n  tocsin maintenance on")]
    On,
    /// End it, in the running server
    #[command(after_help = "Example:\n  tocsin maintenance off")]
    Off,
    /// Whether there is maintenance
    #[command(after_help = "Example:\n  tocsin maintenance status")]
    Status,
}

pub(super) async fn run(global: &Global, command: &MaintenanceCommand) -> Result<(), Failure> {
    let request = match command {
        MaintenanceCommand::On => AdminRequest::SetMaintenance { on: true },
        MaintenanceCommand::Off => AdminRequest::SetMaintenance { on: false },
        MaintenanceCommand::Status => AdminRequest::Status,
    };
    let value = json!({ "maintenance_mode": send(global, request).await?["maintenance_mode"] });
    show(global, &value, || text(&value).to_owned());
    Ok(())
}

fn text(value: &Value) -> &'static str {
    if value["maintenance_mode"] == true {
        "Maintenance: phones are asked to come back later."
    } else {
        "No maintenance: phones are served."
    }
}
