//! `tocsin export`: look into export files and check them as a phone does. Needs no data folder.

use super::Global;
use super::arguments::show_time;
use super::failure::{Failure, failed};
use super::health_authorities::read_public_key;
use super::output::{Table, count, say};
use crate::phone::check::{Inspected, MAX_ZIP_BYTES, inspect, unzip};
use clap::Subcommand;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use tocsin_domain::export::file::{KeyMetadata, Signer};
use tocsin_domain::export::read::{FileKey, FileSignature};
use tocsin_domain::exposure::ReportType;

#[derive(Subcommand)]
#[command(after_help = "\
Examples:
  tocsin export inspect us_1600041600-1600056000-00001.zip
  tocsin keys public export > export.pub.pem && tocsin export verify FILE.zip --key export.pub.pem")]
pub(super) enum ExportCommand {
    /// Show what a file holds
    #[command(after_help = "\
With --key it also says whether a phone would take the file, and still exits with 0 if not.

Example:
  tocsin export inspect 1600041600-1600056000-00001.zip --json")]
    Inspect {
        /// The export file, a zip archive
        file: PathBuf,
        /// The public key that phones know (PEM)
        #[arg(long, value_name = "FILE")]
        key: Option<PathBuf>,
    },
    /// Check a file as a phone does; exits with 1 if a phone would refuse it
    #[command(after_help = "\
Example:
  tocsin export verify 1600041600-1600056000-00001.zip --key export.pub.pem")]
    Verify {
        /// The export file, a zip archive
        file: PathBuf,
        /// The public key that phones know (PEM); `tocsin keys public NAME` prints the server's
        #[arg(long, value_name = "FILE")]
        key: PathBuf,
    },
}

pub(super) fn run(global: &Global, command: ExportCommand) -> Result<(), Failure> {
    match command {
        ExportCommand::Inspect { file, key } => look(global, &file, key.as_deref()).map(|_| ()),
        ExportCommand::Verify { file, key } => match look(global, &file, Some(&key))? {
            Verdict::Refused(reason) => {
                Err(Failure::new(format!("{}: {reason}", file.display()), "A phone would refuse this file."))
            }
            Verdict::Accepted | Verdict::NotAsked => Ok(()),
        },
    }
}

enum Verdict {
    NotAsked,
    Accepted,
    Refused(String),
}

fn look(global: &Global, file: &Path, key: Option<&Path>) -> Result<Verdict, Failure> {
    let public_key = key.map(read_public_key).transpose()?;
    let zip = read_file(file)?;
    let unreadable = |reason| Failure::new(format!("{}: {reason}", file.display()), "A phone would refuse this file.");
    let members = unzip(&zip).map_err(unreadable)?;
    let inspected = inspect(&members).map_err(unreadable)?;
    let (verdict, signed_by) = match public_key.map(|key| inspected.verify(&key).cloned()) {
        None => (Verdict::NotAsked, None),
        Some(Ok(signature)) => (Verdict::Accepted, Some(signature.signer)),
        Some(Err(refusal)) => (Verdict::Refused(refusal.to_string()), None),
    };
    if global.json {
        say(&to_json(&inspected, zip.len(), &verdict, signed_by.as_ref()).to_string());
    } else {
        say(to_text(&inspected, zip.len(), &verdict, signed_by.as_ref()).trim_end());
    }
    Ok(verdict)
}

fn read_file(file: &Path) -> Result<Vec<u8>, Failure> {
    let cannot = |error: std::io::Error| failed(format!("cannot read {}: {error}", file.display()));
    let length = std::fs::metadata(file).map_err(cannot)?.len();
    if usize::try_from(length).is_ok_and(|length| length <= MAX_ZIP_BYTES) {
        std::fs::read(file).map_err(cannot)
    } else {
        Err(failed(format!("{} has {} bytes, more than any phone would read", file.display(), count(length))))
    }
}

/// Keys of a list, by report type.
fn by_report_type(keys: &[FileKey<'_>]) -> BTreeMap<&'static str, u64> {
    let mut counts = BTreeMap::new();
    for FileKey { key: _, metadata: KeyMetadata { report_type, .. } } in keys {
        *counts.entry(report_type.map_or("none", name_of)).or_default() += 1;
    }
    counts
}

/// The name in the file format.
fn name_of(report_type: ReportType) -> &'static str {
    match report_type {
        ReportType::ConfirmedTest => "CONFIRMED_TEST",
        ReportType::ConfirmedClinicalDiagnosis => "CONFIRMED_CLINICAL_DIAGNOSIS",
        ReportType::SelfReport => "SELF_REPORT",
        ReportType::Recursive => "RECURSIVE",
        ReportType::Revoked => "REVOKED",
    }
}

fn to_json(inspected: &Inspected<'_>, zip_bytes: usize, verdict: &Verdict, signed_by: Option<&Signer>) -> Value {
    let signer = |signer: &Signer| {
        let Signer { verification_key_version, verification_key_id, signature_algorithm } = signer;
        json!({
            "verification_key_id": verification_key_id,
            "verification_key_version": verification_key_version,
            "signature_algorithm": signature_algorithm,
        })
    };
    let signatures = inspected.signatures.iter().map(|FileSignature { signer: by, batch_num, batch_size, signature }| {
        json!({ "signer": signer(by), "batch_num": batch_num, "batch_size": batch_size, "bytes": signature.len() })
    });
    let file = &inspected.file;
    let sanity = &inspected.sanity;
    let verified = match verdict {
        Verdict::NotAsked => Value::Null,
        Verdict::Accepted => json!({ "accepted": true, "signer": signed_by.map(signer) }),
        Verdict::Refused(reason) => json!({ "accepted": false, "reason": reason }),
    };
    json!({
        "bytes": zip_bytes,
        "start_unix": file.start.unix(),
        "end_unix": file.end.unix(),
        "region": file.region,
        "batch_num": file.batch_num,
        "batch_size": file.batch_size,
        "signature_infos": file.signature_infos.iter().map(signer).collect::<Vec<_>>(),
        "signatures": signatures.collect::<Vec<_>>(),
        "keys": { "total": file.keys.len(), "by_report_type": by_report_type(&file.keys) },
        "revised_keys": { "total": file.revised_keys.len(), "by_report_type": by_report_type(&file.revised_keys) },
        "sanity": {
            "bad_length": sanity.bad_length, "too_old": sanity.too_old, "in_future": sanity.in_future,
            "bad_period": sanity.bad_period, "bad_onset": sanity.bad_onset, "repeated": sanity.repeated,
            "bad_window": sanity.bad_window,
        },
        "warnings": inspected.warnings(),
        "verified": verified,
    })
}

fn to_text(inspected: &Inspected<'_>, zip_bytes: usize, verdict: &Verdict, signed_by: Option<&Signer>) -> String {
    let file = &inspected.file;
    let mut table = Table::new(&["size", &format!("{} bytes", figure(zip_bytes))]);
    let mut row = |name: &str, text: String| table.row([name.to_owned(), text]);
    row("from", show_time(file.start.unix()));
    row("until", show_time(file.end.unix()));
    row("region", file.region.clone());
    row("number", format!("{} of {}", file.batch_num, file.batch_size));
    row("new keys", keys_text(&file.keys));
    row("revised keys", keys_text(&file.revised_keys));
    for signer in &file.signature_infos {
        row("signer", signer_text(signer));
    }
    row("signatures", inspected.signatures.len().to_string());
    for warning in inspected.warnings() {
        row("warning", warning);
    }
    match verdict {
        Verdict::NotAsked => row("verified", "no; name the public key with --key".to_owned()),
        Verdict::Accepted => {
            row(
                "verified",
                format!("yes, a phone takes it; signed by {}", signed_by.map(signer_text).unwrap_or_default()),
            );
        }
        Verdict::Refused(reason) => row("verified", format!("NO: {reason}")),
    }
    table.text_or("")
}

fn keys_text(keys: &[FileKey<'_>]) -> String {
    let types = by_report_type(keys);
    let types: Vec<String> = types.iter().map(|(name, number)| format!("{} {name}", count(*number))).collect();
    if types.is_empty() { "0".to_owned() } else { format!("{} ({})", figure(keys.len()), types.join(", ")) }
}

fn signer_text(Signer { verification_key_version, verification_key_id, signature_algorithm }: &Signer) -> String {
    let or_dash = |text: &str| if text.is_empty() { "-".to_owned() } else { text.to_owned() };
    let (id, version) = (or_dash(verification_key_id), or_dash(verification_key_version));
    format!("key id {id}, version {version}, algorithm {}", or_dash(signature_algorithm))
}

fn figure(number: usize) -> String {
    count(u64::try_from(number).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;
    use tocsin_domain::export::file::{FileEncoder, FileInfo, KeyList};
    use tocsin_domain::interval::Timestamp;

    #[test]
    fn inspection_counts_keys_by_report_type() {
        let end = Timestamp::from_unix(1_600_041_600);
        let info = FileInfo { start: end.plus_seconds(-3600), end, region: "US", signers: &[] };
        let mut encoder = FileEncoder::new(&info, 3);
        for (list, byte, report_type) in [
            (KeyList::New, 1, Some(ReportType::ConfirmedTest)),
            (KeyList::New, 2, None),
            (KeyList::Revised, 3, Some(ReportType::Revoked)),
        ] {
            let metadata = KeyMetadata {
                transmission_risk: 0,
                rolling_start: end.interval().get() - 144,
                rolling_period: 144,
                report_type,
                days_since_onset: None,
            };
            encoder.push(list, &[byte; 16], &metadata);
        }
        let members = crate::phone::check::Members { bin: encoder.finish().0, sig: Vec::new() };
        let inspected = inspect(&members).expect("readable");
        let value = to_json(&inspected, 1234, &Verdict::NotAsked, None);
        assert_eq!(value["keys"]["by_report_type"], json!({ "CONFIRMED_TEST": 1, "none": 1 }));
        assert_eq!(value["revised_keys"], json!({ "total": 1, "by_report_type": { "REVOKED": 1 } }));
        let text = to_text(&inspected, 1234, &Verdict::Refused("no".to_owned()), None);
        assert!(text.contains("2 (1 CONFIRMED_TEST, 1 none)") && text.contains("NO: no"), "{text}");
        assert!(text.starts_with("size          1,234 bytes\n"), "{text}");
    }
}
