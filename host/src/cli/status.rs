//! `tocsin status`.

use super::Global;
use super::administration::{read, send};
use super::arguments::show_time;
use super::failure::Failure;
use super::output::{count, show};
use crate::admin::AdminRequest;
use crate::key_sets::KeySetState;
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
    maintenance_mode: bool,
    store: StoreStatus,
    health_authorities: u64,
    #[serde(default)]
    key_sets: Vec<KeySetState>,
    apps: u64,
    export_configs: u64,
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
    let Status {
        version,
        maintenance_mode,
        store,
        health_authorities,
        key_sets,
        apps,
        export_configs,
        apps_that_bypass_checks,
        can_seal_revision_tokens,
    } = status;
    let StoreStatus { exposures, open_batches, oldest_open_batch_end_unix } = store;
    let mut text = String::new();
    let mut line = |name: &str, value: &str| text.push_str(&format!("{name:<20}{value}\n"));
    line("version", version);
    line("exposures", &count(*exposures));
    line("health authorities", &count(*health_authorities));
    line("apps", &count(*apps));
    line("export configs", &count(*export_configs));
    line("open batches", &count(*open_batches));
    if let Some(end) = oldest_open_batch_end_unix {
        line("oldest of them", &format!("ended {}", show_time(*end)));
    }
    if *maintenance_mode {
        text.push_str("warning: there is maintenance: nobody can publish; `tocsin maintenance off` ends it\n");
    }
    for (number, missing, command) in [
        (health_authorities, "health authority, so no diagnosis can be verified", "health-authority add"),
        (apps, "app that may publish", "app add"),
        (export_configs, "export config, so no files are made", "export-config add"),
    ] {
        if *number == 0 {
            text.push_str(&format!("warning: there is no {missing}; see `tocsin {command} --help`\n"));
        }
    }
    if !can_seal_revision_tokens {
        text.push_str(&format!(
            "warning: there is no revision key, so nobody gets a revision token; `tocsin serve` makes one, and `tocsin \
             keys rotate{folder}` too\n"
        ));
    }
    for KeySetState { issuer, last_success_unix: _, last_failure_unix: _, last_failure } in key_sets {
        if let Some(failure) = last_failure {
            text.push_str(&format!("warning: the keys of health authority {issuer:?} were not imported: {failure}\n"));
        }
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
        let status = |can_seal_revision_tokens, apps, bypassing: &[&str]| Status {
            version: "1".to_owned(),
            maintenance_mode: apps == 0,
            health_authorities: 1,
            key_sets: [None, Some("the server answered 404".to_owned()).filter(|_| !bypassing.is_empty())]
                .into_iter()
                .map(|last_failure| KeySetState {
                    issuer: "gov".to_owned(),
                    last_success_unix: Some(0),
                    last_failure_unix: None,
                    last_failure,
                })
                .collect(),
            apps,
            export_configs: 1,
            store: StoreStatus { exposures: 14_000, open_batches: 1, oldest_open_batch_end_unix: Some(1_600_041_600) },
            apps_that_bypass_checks: bypassing.iter().map(|&app| app.to_owned()).collect(),
            can_seal_revision_tokens,
        };
        let good = text(&status(true, 1, &[]), "");
        assert!(good.contains("14,000") && good.contains("2020-09-14") && !good.contains("warning"), "{good}");
        let bad = text(&status(false, 0, &["test"]), " --data x");
        assert!(bad.contains("tocsin keys rotate --data x") && bad.contains("\"test\" bypasses"), "{bad}");
        assert!(bad.contains("nobody can publish") && bad.contains("tocsin maintenance off"), "{bad}");
        assert!(bad.contains("\"gov\" were not imported: the server answered 404"), "{bad}");
        assert!(bad.contains("tocsin app add --help") && !bad.contains("export-config add"), "{bad}");
    }
}
