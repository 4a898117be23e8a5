//! `tocsin phone`.

use super::Global;
use super::failure::{Failure, failed};
use super::health_authorities::read_public_key;
use super::output::{Progress, Table, count, counted, seconds, show};
use crate::phone::download::{self, DownloadPlan, DownloadReport, DownloadedFile, Matching};
use crate::phone::keys;
use crate::phone::publish::{self, PublishPlan, PublishReport, TestHealthAuthority};
use crate::signing::read_key_file;
use clap::{Args, Subcommand};
use http::Uri;
use serde_json::json;
use std::path::PathBuf;
use tocsin_domain::exposure::ReportType;

#[derive(Subcommand)]
#[command(after_help = "\
Simulated phones see a server from outside, over HTTP. They need no data folder.

Examples:
  tocsin phone publish --url http://127.0.0.1:8080 --app org.example.app --health-authority-key authority.pem \\
    --issuer gov.example.health --audience keys.example.org --key-version v1 --count 100 --keys-out keys.jsonl
  tocsin phone download --index http://127.0.0.1:8080/exports/us/index.txt --base http://127.0.0.1:8080/exports/ \\
    --key export.pub.pem --match keys.jsonl")]
pub(super) enum PhoneCommand {
    /// Phones of people who tested positive publish their keys
    #[command(after_help = "\
Each phone makes one key a day for the days before today, has the test health authority certify their HMAC, publishes,
and checks the answer. Exits with 1 unless all are accepted.

Example:
  tocsin phone publish --url http://127.0.0.1:8080 --app org.example.app --health-authority-key authority.pem \\
    --issuer gov.example.health --audience keys.example.org --key-version v1 --count 100 --keys-out keys.jsonl")]
    Publish(PublishArgs),
    /// A phone downloads all files of an index, verifies them, and looks for keys
    #[command(after_help = "\
Exits with 1 if a file is refused or a key of --match is not found.

Example:
  tocsin phone download --index http://127.0.0.1:8080/exports/us/index.txt --base http://127.0.0.1:8080/exports/ \\
    --key export.pub.pem --match keys.jsonl")]
    Download(DownloadArgs),
}

#[derive(Args)]
pub(super) struct PublishArgs {
    /// The server, such as http://127.0.0.1:8080; a path replaces /v1/publish
    #[arg(long)]
    url: Uri,
    /// Name of the app, from `tocsin app add`
    #[arg(long, value_name = "NAME")]
    app: String,
    /// Private key of the test health authority, from `tocsin keys create-file`
    #[arg(long, value_name = "FILE")]
    health_authority_key: PathBuf,
    /// Issuer of the test health authority
    #[arg(long)]
    issuer: String,
    /// Audience of the test health authority
    #[arg(long)]
    audience: String,
    /// Version of its key
    #[arg(long, value_name = "VERSION", default_value = "v1")]
    key_version: String,
    /// How many phones
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..=10_000_000))]
    count: u64,
    /// How many of them at the same time
    #[arg(long, default_value_t = 16, value_parser = clap::value_parser!(u64).range(1..=4096))]
    concurrency: u64,
    /// Keys of each phone, one a day
    #[arg(long, default_value_t = 14, value_parser = clap::value_parser!(u32).range(1..=14))]
    days: u32,
    /// What the health authority certifies: confirmed, likely or user-report
    #[arg(long, value_name = "TYPE", default_value = "confirmed", value_parser = report_type)]
    report_type: ReportType,
    /// Write the accepted keys to this file, for `tocsin phone download --match`
    #[arg(long, value_name = "FILE")]
    keys_out: Option<PathBuf>,
}

fn report_type(text: &str) -> Result<ReportType, String> {
    match ReportType::from_wire(text) {
        Some(first @ (ReportType::ConfirmedTest | ReportType::ConfirmedClinicalDiagnosis | ReportType::SelfReport)) => {
            Ok(first)
        }
        Some(ReportType::Revoked | ReportType::Recursive) | None => {
            Err("a first report is confirmed, likely or user-report".to_owned())
        }
    }
}

#[derive(Args)]
pub(super) struct DownloadArgs {
    /// Address of the index
    #[arg(long, value_name = "URL")]
    index: Uri,
    /// What the names in the index are relative to
    #[arg(long, value_name = "URL")]
    base: String,
    /// The public key that phones know (PEM)
    #[arg(long, value_name = "FILE")]
    key: PathBuf,
    /// Look for the keys in this file, from `tocsin phone publish --keys-out`
    #[arg(long = "match", value_name = "FILE")]
    look_for: Option<PathBuf>,
    /// Keep the files in this folder
    #[arg(long, value_name = "DIR")]
    save: Option<PathBuf>,
}

pub(super) async fn run(global: &Global, command: PhoneCommand) -> Result<(), Failure> {
    match command {
        PhoneCommand::Publish(args) => publish(global, args).await,
        PhoneCommand::Download(args) => download(global, args).await,
    }
}

async fn publish(global: &Global, args: PublishArgs) -> Result<(), Failure> {
    let phones = args.count;
    let plan = PublishPlan {
        url: publish_address(args.url)?,
        app: args.app,
        authority: TestHealthAuthority {
            key: read_key_file(&args.health_authority_key).map_err(failed)?,
            key_version: args.key_version,
            issuer: args.issuer,
            audience: args.audience,
            report_type: args.report_type,
        },
        phones,
        concurrency: args.concurrency,
        days: args.days,
    };
    if let Some(file) = args.keys_out.as_deref().filter(|file| file.exists()) {
        return Err(Failure::new(
            format!("{} exists already", file.display()),
            "Keys are never overwritten: name another file with --keys-out, or remove it.",
        ));
    }
    let progress = Progress::new();
    let done = publish::run(plan, |done| progress.show(&format!("{} of {} phones", count(done), count(phones)))).await;
    drop(progress);
    let (report, accepted) = done.map_err(failed)?;
    if let Some(file) = &args.keys_out {
        keys::write(file, &accepted).map_err(failed)?;
    }
    show(global, &json!(report), || publish_text(&report));
    match report.refused.iter().next() {
        None => Ok(()),
        Some((reason, _)) => Err(Failure::new(
            format!(
                "{} of {} phones were not accepted: {reason}",
                count(report.phones - report.accepted),
                count(phones)
            ),
            "`tocsin app list` and `tocsin health-authority list` show what the server accepts.",
        )),
    }
}

/// The path is `/v1/publish` unless there is one.
fn publish_address(url: Uri) -> Result<Uri, Failure> {
    if url.path() != "/" && !url.path().is_empty() {
        return Ok(url);
    }
    let mut parts = url.into_parts();
    parts.path_and_query = Some(http::uri::PathAndQuery::from_static("/v1/publish"));
    Uri::from_parts(parts)
        .map_err(|_| Failure::new("--url is no whole address", "Write it like http://127.0.0.1:8080."))
}

fn publish_text(report: &PublishReport) -> String {
    let PublishReport { phones, accepted, keys, sent_bytes: _, seconds: time, p50_seconds, p99_seconds, refused } =
        report;
    let mut text = format!(
        "{} of {} published {} in {} ({:.0} a second; half were answered within {}, 99 of 100 within {})\n",
        count(*accepted),
        counted(*phones, "phone", "phones"),
        counted(*keys, "key", "keys"),
        seconds(*time),
        *phones as f64 / time.max(1e-9),
        seconds(*p50_seconds),
        seconds(*p99_seconds),
    );
    for (reason, number) in refused {
        text.push_str(&format!("  {} refused: {reason}\n", count(*number)));
    }
    text
}

async fn download(global: &Global, args: DownloadArgs) -> Result<(), Failure> {
    let DownloadArgs { index, base, key, look_for, save } = args;
    let plan = DownloadPlan {
        index,
        base,
        public_key: read_public_key(&key)?,
        save,
        look_for: look_for.as_deref().map(keys::read).transpose().map_err(failed)?,
    };
    let progress = Progress::new();
    let done = download::run(&plan, |done, all| progress.show(&format!("{done} of {all} files"))).await;
    drop(progress);
    let report = done.map_err(failed)?;
    show(global, &json!(report), || download_text(&report));
    if let Some(first) = report.refused.first() {
        let number = u64::try_from(report.refused.len()).unwrap_or(u64::MAX);
        return Err(Failure::new(
            format!("{} refused: {first}", counted(number, "file was", "files were")),
            "`tocsin export inspect FILE --key PEM` shows what a file holds.",
        ));
    }
    match report.matching {
        Some(Matching { looked_for, found }) if found < looked_for => Err(Failure::new(
            format!("{} of {} were not found", count(looked_for - found), counted(looked_for, "key", "keys")),
            "Keys come out with the batch of their time: `tocsin export-config batches` shows which are complete.",
        )),
        Some(_) | None => Ok(()),
    }
}

fn download_text(report: &DownloadReport) -> String {
    let mut table = Table::new(&["file", "bytes", "keys", "revised", "bytes a key"]);
    for file in &report.files {
        let DownloadedFile { name, bytes, keys, revised_keys, region: _, start_unix: _, end_unix: _, warnings: _ } =
            file;
        let each = per_key(*bytes, keys + revised_keys);
        table.row([name.clone(), count(*bytes), count(*keys), count(*revised_keys), each]);
    }
    let mut text = table.text_or("The index names no file.\n");
    for file in &report.files {
        file.warnings.iter().for_each(|warning| text.push_str(&format!("warning: {}: {warning}\n", file.name)));
    }
    report.refused.iter().for_each(|refused| text.push_str(&format!("refused: {refused}\n")));
    let number = u64::try_from(report.files.len()).unwrap_or(u64::MAX);
    text.push_str(&format!(
        "{} downloaded and verified in {}\n",
        counted(number, "file", "files"),
        seconds(report.seconds)
    ));
    if let Some(Matching { looked_for, found }) = report.matching {
        text.push_str(&format!("{} of {} found\n", count(found), counted(looked_for, "key", "keys")));
    }
    text
}

/// With one digit; a dash without keys.
pub(super) fn per_key(bytes: u64, keys: u64) -> String {
    if keys == 0 { "-".to_owned() } else { format!("{:.1}", bytes as f64 / keys as f64) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn server_address_gets_the_path_of_publish_and_keeps_another() {
        let check = |url: &'static str| publish_address(Uri::from_static(url)).expect("an address").to_string();
        assert_eq!(check("http://h:1"), "http://h:1/v1/publish");
        assert_eq!(check("http://h:1/"), "http://h:1/v1/publish");
        assert_eq!(check("http://h:1/x"), "http://h:1/x");
    }

    #[test]
    fn first_report_cannot_revoke() {
        assert!(report_type("likely").is_ok() && report_type("negative").is_err() && report_type("x").is_err());
    }

    #[test]
    fn reports_are_readable() {
        let report = DownloadReport {
            files: vec![DownloadedFile {
                name: "us/1.zip".to_owned(),
                bytes: 2000,
                keys: 99,
                revised_keys: 1,
                region: "US".to_owned(),
                start_unix: 0,
                end_unix: 0,
                warnings: vec!["odd".to_owned()],
            }],
            refused: vec!["us/2.zip: no".to_owned()],
            matching: Some(Matching { looked_for: 5, found: 4 }),
            seconds: 0.5,
        };
        let text = download_text(&report);
        for part in ["2,000", "20.0", "warning: us/1.zip: odd", "refused: us/2.zip: no", "4 of 5 keys found"] {
            assert!(text.contains(part), "{part} in {text}");
        }
    }
}
