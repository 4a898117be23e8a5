//! `tocsin job`.

use super::Global;
use super::administration::send;
use super::failure::Failure;
use super::health_authorities::import_text;
use super::keys::rotation_text;
use super::output::{count, counted, show};
use crate::admin::AdminRequest;
use crate::jobs::Job;
use clap::Subcommand;
use serde_json::Value;

#[derive(Subcommand)]
#[command(after_help = "\
Examples:
  tocsin job run create-batches
  tocsin job run purge --json")]
pub(super) enum JobCommand {
    /// Run a job now, besides the server's timer
    #[command(after_help = "\
Examples:
  tocsin job run create-batches && tocsin job run do-work
  tocsin job run purge")]
    Run {
        /// Which
        job: Job,
    },
}

pub(super) async fn run(global: &Global, command: JobCommand) -> Result<(), Failure> {
    let JobCommand::Run { job } = command;
    let value = send(global, AdminRequest::RunJob { job }).await?;
    show(global, &value, || text(job, &value));
    Ok(())
}

fn text(job: Job, value: &Value) -> String {
    let number = |name: &str| value[name].as_u64().unwrap_or(0);
    match job {
        Job::CreateBatches if value["already_running"] == true => {
            "Another run is creating batches; nothing was done.".to_owned()
        }
        Job::CreateBatches => format!("Created {}.", counted(number("created"), "batch", "batches")),
        Job::DoWork => {
            let files: Vec<&str> = value["files"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
            let mut text = format!(
                "Completed {}: {} ({} of them padding), {}.\n",
                counted(number("batches"), "batch", "batches"),
                counted(number("new_keys"), "new key", "new keys"),
                count(number("padding_keys")),
                counted(number("revised_keys"), "revised key", "revised keys"),
            );
            files.iter().for_each(|file| text.push_str(&format!("  {file}\n")));
            text
        }
        Job::Purge => format!(
            "Deleted {} and {}.",
            counted(number("exposures_deleted"), "exposure", "exposures"),
            counted(number("files_deleted"), "export file", "export files"),
        ),
        Job::ImportKeySets if value["already_running"] == true => {
            "Another run is importing key sets; nothing was done.".to_owned()
        }
        Job::ImportKeySets => import_text(&value["health_authorities"]),
        Job::RotateKeys => rotation_text(value),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn reports_are_sentences() {
        let check = |job, value: Value, expect: &str| assert_eq!(text(job, &value).trim_end(), expect);
        check(Job::CreateBatches, json!({"created": 1, "already_running": false}), "Created 1 batch.");
        check(
            Job::Purge,
            json!({"exposures_deleted": 14_000, "files_deleted": 1}),
            "Deleted 14,000 exposures and 1 export file.",
        );
        check(
            Job::RotateKeys,
            json!({"already_running": false, "dry_run": false, "created": null, "destroyed": [], "next_unix": 0}),
            "No revision key was due. Next: 1970-01-01 00:00:00 UTC.",
        );
        let work =
            json!({"batches": 2, "files": ["us/1.zip"], "new_keys": 1001, "revised_keys": 1, "padding_keys": 987});
        check(
            Job::ImportKeySets,
            json!({"already_running": false, "health_authorities": []}),
            "No health authority has a JWKS URI.",
        );
        check(
            Job::ImportKeySets,
            json!({"already_running": true, "health_authorities": []}),
            "Another run is importing key sets; nothing was done.",
        );
        let expect = "Completed 2 batches: 1,001 new keys (987 of them padding), 1 revised key.\n  us/1.zip";
        check(Job::DoWork, work, expect);
    }
}
