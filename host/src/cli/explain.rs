//! `tocsin explain`: where is my key?

use super::Global;
use super::administration::{read, send};
use super::failure::{Failure, failed};
use super::output::show;
use crate::admin::AdminRequest;
use crate::explain::{ExplainedPublish, ForecastExport, KeyForecast};
use clap::Subcommand;
use std::fmt::Write;
use std::path::{Path, PathBuf};
use tocsin_domain::publish::service::explain::{
    ExplainedAnswer, ExplainedCertificate, ExplainedKey, ExplainedToken, ExplainedValidators, Explanation, KeyOutcome,
    ValidatorsOutcome,
};

#[derive(Subcommand)]
#[command(after_help = "\
Example:
  tocsin explain publish request.json")]
pub(super) enum ExplainCommand {
    /// What a publish would be answered, what would become of each key, and which export would carry it first
    #[command(after_help = "\
The file holds the body of a request as a phone sends it. Nothing is stored, and nothing of it is printed but its numbers.
An app developer can have the same from the private listener: POST /explain/publish.

Examples:
  tocsin explain publish request.json
  tocsin explain publish request.json --json | jq .certificate.hints")]
    Publish {
        /// The body of the request, JSON
        file: PathBuf,
        /// The request speaks v1alpha1 (`/`, not `/v1/publish`)
        #[arg(long)]
        v1alpha1: bool,
    },
}

pub(super) async fn run(global: &Global, command: ExplainCommand) -> Result<(), Failure> {
    let ExplainCommand::Publish { file, v1alpha1 } = command;
    let body = read_body(&file)?;
    let value = send(global, AdminRequest::ExplainPublish { v1alpha1, body }).await?;
    let explained: ExplainedPublish = read(&value)?;
    show(global, &value, || text(&explained));
    Ok(())
}

fn read_body(file: &Path) -> Result<String, Failure> {
    let bytes = std::fs::read(file).map_err(|error| failed(format!("cannot read {}: {error}", file.display())))?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

fn text(explained: &ExplainedPublish) -> String {
    let ExplainedPublish { publish, first_exports } = explained;
    let Explanation { answer, app, regions, traveler, certificate, validators, revision_token, keys } = publish;
    let mut text = String::new();
    let mut line = |label: &str, value: &str| {
        // Writing to a string does not fail.
        let _ = writeln!(text, "{label:<12}{value}");
    };
    line("answer", &answer_text(answer));
    if !answer.error.is_empty() {
        line("error", answer.error.trim_end());
    }
    answer.warnings.iter().for_each(|warning| line("warning", warning));
    if let Some(app) = app {
        let traveler = if *traveler { ", as a traveler's" } else { "" };
        line("app", &format!("{app}, for {}{traveler}", regions.join(", ")));
    }
    if let Some(certificate) = certificate {
        line("certificate", &certificate_text(certificate));
        certificate.hints.iter().for_each(|hint| line("  hint", hint));
    }
    if let Some(ExplainedValidators { outcome, reasons }) = validators {
        line("validators", validators_text(*outcome));
        reasons.iter().for_each(|reason| line("  reason", reason));
    }
    if let Some(token) = revision_token {
        line("token", &token_text(token));
    }
    for key in keys {
        line(&format!("key {}", key.index), &key_text(key));
        if let Some(KeyForecast { index: _, exports }) = first_exports.iter().find(|first| first.index == key.index) {
            if exports.is_empty() {
                line("", "in no export: no active export config selects these regions");
            }
            exports.iter().for_each(|export| line("", &forecast_text(export)));
        }
    }
    text
}

fn answer_text(answer: &ExplainedAnswer) -> String {
    let ExplainedAnswer { status, code, error: _, inserted_exposures, warnings: _ } = answer;
    let code = if code.is_empty() { String::new() } else { format!(" {code}") };
    format!("{status}{code}, {inserted_exposures} stored for the first time")
}

fn certificate_text(certificate: &ExplainedCertificate) -> String {
    let ExplainedCertificate { valid, reason, hints: _, bypassed, report_type, symptom_onset_interval } = certificate;
    let report_type = report_type.as_deref().unwrap_or("unknown");
    match (valid, symptom_onset_interval) {
        (true, Some(onset)) => format!("valid: {report_type}, symptom onset in interval {onset}"),
        (true, None) => format!("valid: {report_type}, no symptom onset"),
        (false, _) => {
            let bypassed = if *bypassed { " (the app bypasses verification)" } else { "" };
            format!("not valid: {}{bypassed}", reason.as_deref().unwrap_or("unknown"))
        }
    }
}

const fn validators_text(outcome: ValidatorsOutcome) -> &'static str {
    match outcome {
        ValidatorsOutcome::Accepted => "accept it",
        ValidatorsOutcome::Refused => "refuse it",
        ValidatorsOutcome::TryLater => "cannot say now: the phone may try later",
        ValidatorsOutcome::Pretended => {
            "refuse it, and the phone is told that it was stored (on_refusal = \"pretend\")"
        }
    }
}

fn token_text(token: &ExplainedToken) -> String {
    match token {
        ExplainedToken::Absent => "none".to_owned(),
        ExplainedToken::Unreadable => "unreadable: not sealed by this server, or its key was destroyed".to_owned(),
        ExplainedToken::Holds(keys) => format!("holds {keys} keys"),
    }
}

fn key_text(key: &ExplainedKey) -> String {
    let ExplainedKey { index: _, outcome, reason, counts_from_unix: _, counts_from, held_back } = key;
    let word = match outcome {
        KeyOutcome::Refused => "refused",
        KeyOutcome::Dropped => "dropped",
        KeyOutcome::Stored => "stored",
        KeyOutcome::Revised => "revised",
        KeyOutcome::Unchanged => "unchanged",
        KeyOutcome::NothingToTakeBack => "not stored",
        KeyOutcome::Repeated => "left out",
    };
    match (counts_from, held_back) {
        (Some(time), true) => format!("{word}, held back until {time} because it is still valid"),
        (Some(time), false) => format!("{word}, counts from {time}"),
        (None, _) => format!("{word}: {}", reason.trim_end()),
    }
}

fn forecast_text(export: &ForecastExport) -> String {
    let ForecastExport { export_config, filename_root, not_before, .. } = export;
    format!("first in export config {export_config} ({filename_root}), not before {not_before}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn explanation_reads_like_an_answer_to_a_question() {
        let key = |index, outcome, reason: &str, counts_from: Option<&str>, held_back| ExplainedKey {
            index,
            outcome,
            reason: reason.to_owned(),
            counts_from_unix: counts_from.map(|_| 0),
            counts_from: counts_from.map(str::to_owned),
            held_back,
        };
        let explained = ExplainedPublish {
            publish: Explanation {
                answer: ExplainedAnswer {
                    status: 200,
                    code: "partial_failure".to_owned(),
                    error: "1 error occurred:\n\t* key 1 ...\n\n".to_owned(),
                    inserted_exposures: 2,
                    warnings: vec![],
                },
                app: Some("app".to_owned()),
                regions: vec!["US".to_owned(), "CA".to_owned()],
                traveler: true,
                certificate: Some(ExplainedCertificate {
                    valid: true,
                    reason: None,
                    hints: vec![],
                    bypassed: false,
                    report_type: Some("likely".to_owned()),
                    symptom_onset_interval: None,
                }),
                validators: Some(ExplainedValidators {
                    outcome: ValidatorsOutcome::Refused,
                    reasons: vec!["attest: replayed".to_owned()],
                }),
                revision_token: Some(ExplainedToken::Holds(3)),
                keys: vec![
                    key(0, KeyOutcome::Stored, "", Some("T1"), false),
                    key(1, KeyOutcome::Dropped, "key 1 cannot be imported", None, false),
                    key(2, KeyOutcome::Stored, "", Some("T2"), true),
                ],
            },
            first_exports: vec![
                KeyForecast {
                    index: 0,
                    exports: vec![ForecastExport {
                        export_config: 7,
                        filename_root: "us".to_owned(),
                        window_start_unix: 0,
                        window_end_unix: 1,
                        not_before_unix: 2,
                        not_before: "T3".to_owned(),
                    }],
                },
                KeyForecast { index: 2, exports: vec![] },
            ],
        };
        let expect = "\
answer      200 partial_failure, 2 stored for the first time
error       1 error occurred:
\t* key 1 ...
app         app, for US, CA, as a traveler's
certificate valid: likely, no symptom onset
validators  refuse it
  reason    attest: replayed
token       holds 3 keys
key 0       stored, counts from T1
            first in export config 7 (us), not before T3
key 1       dropped: key 1 cannot be imported
key 2       stored, held back until T2 because it is still valid
            in no export: no active export config selects these regions
";
        assert_eq!(text(&explained), expect);
    }
}
