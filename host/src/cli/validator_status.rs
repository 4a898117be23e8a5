//! `tocsin validator status`.

use super::Global;
use super::administration::{read, send};
use super::arguments::show_time;
use super::failure::Failure;
use super::output::{Table, count, show};
use crate::admin::AdminRequest;
use crate::validators::{
    AppStatus, DecisionCounts, RevocationStatus, ValidatorCounts, ValidatorStatus, ValidatorsStatus,
};
use clap::Args;
use std::collections::BTreeMap;

#[derive(Args)]
#[command(after_help = "\
Counts are since the start of the server. Without a running server it says which validators would run.

Examples:
  tocsin validator status
  tocsin validator status --json")]
pub(super) struct ValidatorStatusArgs {}

pub(super) async fn run(global: &Global, ValidatorStatusArgs {}: &ValidatorStatusArgs) -> Result<(), Failure> {
    let value = send(global, AdminRequest::ListValidators).await?;
    let status: ValidatorsStatus = read(&value)?;
    show(global, &value, || text(&status));
    Ok(())
}

fn text(status: &ValidatorsStatus) -> String {
    let ValidatorsStatus { validators, apps, revocation } = status;
    let mut table =
        Table::new(&["validator", "version", "digest", "accepted", "refused", "later", "failed", "us a call"]);
    let sum = |counts: &BTreeMap<_, u64>| counts.values().sum::<u64>();
    for ValidatorStatus { name, identity, digest, file: _, error: _, counts } in validators {
        let ValidatorCounts { accepted, refused, retryable, failed, asked: _, signals: _, compute_microseconds } =
            counts;
        let failures: u64 = failed.values().sum();
        let calls = accepted + sum(refused) + sum(retryable) + failures;
        let each = compute_microseconds.checked_div(calls);
        table.row([
            name.clone(),
            identity.clone(),
            digest.clone(),
            count(*accepted),
            count(sum(refused)),
            count(sum(retryable)),
            count(failures),
            each.map_or_else(|| "-".to_owned(), count),
        ]);
    }
    let mut text = table.text_or("no validators; see docs/validators.md, and [validators] of tocsin.toml");
    for ValidatorStatus { name, counts, error, .. } in validators {
        for (code, number) in counts.refused.iter().chain(&counts.retryable) {
            text.push_str(&format!("\n{name} refused {} with {code}", count(*number)));
        }
        if let Some(error) = error {
            text.push_str(&format!("\nwarning: the changed file of {name} is not in use: {error}"));
        }
    }
    for AppStatus { app, validators, observe, decisions } in apps {
        let DecisionCounts { accepted, refused, try_later, pretended, not_observed: _ } = decisions;
        let names = if validators.is_empty() { "nobody is asked".to_owned() } else { validators.join(", ") };
        let observed = if observe.is_empty() { String::new() } else { format!(", observed by {}", observe.join(", ")) };
        text.push_str(&format!(
            "\napp {app} ({names}{observed}): {} accepted, {} refused, {} later, {} pretended",
            count(*accepted),
            count(*refused),
            count(*try_later),
            count(*pretended)
        ));
    }
    if let Some(RevocationStatus { fetched_at_unix, revoked, is_fresh }) = revocation {
        let fetched =
            fetched_at_unix.map_or_else(|| "never fetched".to_owned(), |time| format!("of {}", show_time(time)));
        text.push_str(&format!("\nrevoked certificates: {revoked}, {fetched}"));
        if !is_fresh {
            text.push_str(
                "\nwarning: the list of revoked certificates is missing or too old: those who need it refuse for now",
            );
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_validators_did_is_a_table_with_reasons_and_warnings_below() {
        let counts = ValidatorCounts {
            accepted: 3,
            refused: [("stale".to_owned(), 1)].into(),
            compute_microseconds: 200,
            ..ValidatorCounts::default()
        };
        let status = ValidatorsStatus {
            validators: vec![ValidatorStatus {
                name: "acme".to_owned(),
                identity: "acme 1.0".to_owned(),
                digest: "0011223344556677".to_owned(),
                file: Some("acme.wasm".to_owned()),
                error: Some("it is no component".to_owned()),
                counts,
            }],
            apps: vec![AppStatus {
                app: "org.example.app".to_owned(),
                validators: vec![],
                observe: vec!["acme".to_owned()],
                decisions: DecisionCounts { accepted: 4, ..DecisionCounts::default() },
            }],
            revocation: Some(RevocationStatus { fetched_at_unix: None, revoked: 0, is_fresh: false }),
        };
        let text = text(&status);
        for part in [
            "acme       acme 1.0  0011223344556677         3        1      0       0         50",
            "acme refused 1 with stale",
            "warning: the changed file of acme is not in use: it is no component",
            "app org.example.app (nobody is asked, observed by acme): 4 accepted, 0 refused, 0 later, 0 pretended",
            "revoked certificates: 0, never fetched",
            "warning: the list of revoked certificates",
        ] {
            assert!(text.contains(part), "{part:?} is not in\n{text}");
        }
        let none = ValidatorsStatus { validators: vec![], apps: vec![], revocation: None };
        assert!(super::text(&none).contains("docs/validators.md"));
    }
}
