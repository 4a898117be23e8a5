//! `tocsin status`.

use super::Global;
use super::administration::{read, send};
use super::arguments::show_time;
use super::failure::Failure;
use super::output::{count, show};
use crate::admin::AdminRequest;
use crate::storage::administration::StoreStatus;
use clap::Args;
use serde::Deserialize;

#[derive(Args)]
#[command(after_help = "\
Examples:
  tocsin status
  tocsin status --data /var/lib/tocsin --json")]
pub(super) struct StatusArgs {}

#[derive(Deserialize)]
struct Status {
    version: String,
    store: StoreStatus,
    apps_that_bypass_checks: Vec<String>,
    can_seal_revision_tokens: bool,
}

pub(super) async fn run(global: &Global, StatusArgs {}: &StatusArgs) -> Result<(), Failure> {
    let value = send(global, AdminRequest::Status).await?;
    let status: Status = read(&value)?;
    show(global, &value, || text(&status, &global.data_option()));
    Ok(())
}

fn text(status: &Status, folder: &str) -> String {
    let Status { version, store, apps_that_bypass_checks, can_seal_revision_tokens } = status;
    let StoreStatus { exposures, open_batches, oldest_open_batch_end_unix } = store;
    let mut text = format!(
        "version       {version}\nexposures     {}\nopen batches  {}\n",
        count(*exposures),
        count(*open_batches)
    );
    if let Some(end) = oldest_open_batch_end_unix {
        text.push_str(&format!("oldest ended  {}\n", show_time(*end)));
    }
    if !can_seal_revision_tokens {
        text.push_str(&format!(
            "warning: there is no revision key, so nobody gets a revision token; make one with `tocsin keys \
             create-revision{folder}`\n"
        ));
    }
    for app in apps_that_bypass_checks {
        text.push_str(&format!("warning: app {app:?} bypasses checks: anybody can publish or revise through it\n"));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn warnings_say_what_to_do() {
        let status = |can_seal_revision_tokens, apps: &[&str]| Status {
            version: "1".to_owned(),
            store: StoreStatus { exposures: 14_000, open_batches: 1, oldest_open_batch_end_unix: Some(1_600_041_600) },
            apps_that_bypass_checks: apps.iter().map(|&app| app.to_owned()).collect(),
            can_seal_revision_tokens,
        };
        let good = text(&status(true, &[]), "");
        assert!(good.contains("14,000") && good.contains("2020-09-14") && !good.contains("warning"), "{good}");
        let bad = text(&status(false, &["test"]), " --data x");
        assert!(bad.contains("tocsin keys create-revision --data x") && bad.contains("\"test\" bypasses"), "{bad}");
    }
}
