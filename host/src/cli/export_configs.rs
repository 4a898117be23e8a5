//! `tocsin export-config`.

use super::Global;
use super::administration::{read, send};
use super::arguments::{duration, show_duration, show_time, time};
use super::failure::Failure;
use super::output::{Table, count, joined, show};
use crate::admin::AdminRequest;
use crate::services::SystemClock;
use crate::storage::administration::{
    BatchState, ExportBatchRecord, ExportConfigRecord, NewExportConfig, SignerRecord,
};
use clap::{Args, Subcommand};
use tocsin_domain::ports::Clock;

#[derive(Subcommand)]
#[command(after_help = "\
Examples:
  tocsin export-config add --root us --region US --period 4h --signing-key export --key-id 310 --key-version v1
  tocsin export-config list
  tocsin export-config batches
  tocsin export-config end 1")]
pub(super) enum ExportConfigCommand {
    /// Make export files for a region
    #[command(after_help = "\
Phones read the names of the files from ROOT/index.txt. The first batch is the newest whose time is over; there is no
history to fill. Durations are written like 300s, 5m, 4h or 1d.

Examples:
  tocsin export-config add --root us --region US --period 4h --signing-key export --key-id 310 --key-version v1
  tocsin export-config add --root eu --region EU --input-region DE --input-region FR --period 1d \\
    --signer export:262:v1 --signer export-2026:262:v2")]
    Add(Box<AddArgs>),
    /// All export configs
    #[command(after_help = "Example:\n  tocsin export-config list --json")]
    List,
    /// The latest batches
    #[command(after_help = "Example:\n  tocsin export-config batches --limit 5")]
    Batches {
        /// At most so many
        #[arg(long, default_value_t = 20)]
        limit: u32,
    },
    /// Make no more files; those that are out stay until they are purged
    #[command(after_help = "Example:\n  tocsin export-config end 1")]
    End {
        /// Its id, from `tocsin export-config list`
        id: u64,
    },
}

#[derive(Args)]
pub(super) struct AddArgs {
    /// Prefix of all file names, a folder below the bucket
    #[arg(long)]
    root: String,
    /// Region written into the files
    #[arg(long)]
    region: String,
    /// Length of a batch; divides a day
    #[arg(long, value_parser = duration)]
    period: u64,
    /// Bucket for the files; the server serves one (public.exports_bucket)
    #[arg(long, default_value = "public")]
    bucket: String,
    /// Region whose keys are taken; can be repeated [default: the region]
    #[arg(long = "input-region", value_name = "REGION")]
    input_regions: Vec<String>,
    /// Region whose keys are left out; can be repeated
    #[arg(long = "exclude-region", value_name = "REGION")]
    exclude_regions: Vec<String>,
    /// Also take the keys of all travelers, of any region
    #[arg(long, conflicts_with = "only_non_travelers")]
    include_travelers: bool,
    /// Leave out the keys of travelers
    #[arg(long)]
    only_non_travelers: bool,
    /// Keys in a file at most [default: export.max_records]
    #[arg(long, value_name = "NUMBER")]
    max_records: Option<u32>,
    /// Name of the key that signs
    #[arg(long, value_name = "NAME", required_unless_present = "signers")]
    signing_key: Option<String>,
    /// Verification key id, by which phones know it; often the mobile country code
    #[arg(long, value_name = "ID", requires = "signing_key", default_value = "", hide_default_value = true)]
    key_id: String,
    /// Verification key version
    #[arg(long, value_name = "VERSION", requires = "signing_key", default_value = "", hide_default_value = true)]
    key_version: String,
    /// A further key that signs, all in one; can be repeated
    #[arg(long = "signer", value_name = "NAME:ID:VERSION", value_parser = signer)]
    signers: Vec<SignerRecord>,
    /// Active after this time (UTC date, time, or unix seconds) [default: now]
    #[arg(long, value_name = "TIME", value_parser = time)]
    from: Option<i64>,
    /// Active before this time [default: no end]
    #[arg(long, value_name = "TIME", value_parser = time)]
    thru: Option<i64>,
}

fn signer(text: &str) -> Result<SignerRecord, String> {
    let parts: Vec<&str> = text.split(':').collect();
    match parts[..] {
        [key, id, version] if !key.is_empty() => Ok(SignerRecord {
            signing_key: key.to_owned(),
            verification_key_id: id.to_owned(),
            verification_key_version: version.to_owned(),
        }),
        _ => Err("write it as NAME:ID:VERSION, like export:310:v1".to_owned()),
    }
}

impl AddArgs {
    fn into_new(self, now: i64) -> NewExportConfig {
        let Self {
            root,
            region,
            period,
            bucket,
            input_regions,
            exclude_regions,
            include_travelers,
            only_non_travelers,
            max_records,
            signing_key,
            key_id,
            key_version,
            mut signers,
            from,
            thru,
        } = self;
        if let Some(signing_key) = signing_key {
            let first =
                SignerRecord { signing_key, verification_key_id: key_id, verification_key_version: key_version };
            signers.insert(0, first);
        }
        NewExportConfig {
            bucket,
            filename_root: root,
            period_seconds: period,
            output_region: region,
            input_regions,
            exclude_regions,
            include_travelers,
            only_non_travelers,
            max_records_override: max_records,
            signers,
            from_unix: from.unwrap_or(now),
            thru_unix: thru,
        }
    }
}

pub(super) async fn run(global: &Global, command: ExportConfigCommand) -> Result<(), Failure> {
    match command {
        ExportConfigCommand::Add(args) => {
            let request = AdminRequest::AddExportConfig(args.into_new(SystemClock.now().unix()));
            let value = send(global, request).await?;
            let ExportConfigRecord { id, filename_root, period_seconds, .. } = read(&value)?;
            show(global, &value, || {
                let period = show_duration(period_seconds);
                format!("Added export config {id}: a batch every {period}. Its index is {filename_root}/index.txt.")
            });
        }
        ExportConfigCommand::List => {
            let value = send(global, AdminRequest::ListExportConfigs).await?;
            let configs: Vec<ExportConfigRecord> = read(&value)?;
            show(global, &value, || list(&configs));
        }
        ExportConfigCommand::Batches { limit } => {
            let value = send(global, AdminRequest::ListBatches { limit }).await?;
            let batches: Vec<ExportBatchRecord> = read(&value)?;
            show(global, &value, || list_batches(&batches));
        }
        ExportConfigCommand::End { id } => {
            let value = send(global, AdminRequest::EndExportConfig { id }).await?;
            show(global, &value, || format!("Ended export config {id}."));
        }
    }
    Ok(())
}

fn list(configs: &[ExportConfigRecord]) -> String {
    let mut table = Table::new(&["id", "root", "region", "input regions", "period", "travelers", "from", "thru"]);
    for config in configs {
        let travelers = match (config.include_travelers, config.only_non_travelers) {
            (true, _) => "all",
            (_, true) => "none",
            (false, false) => "of the regions",
        };
        table.row([
            config.id.to_string(),
            format!("{}/{}", config.bucket, config.filename_root),
            config.output_region.clone(),
            joined(&config.input_regions),
            show_duration(config.period_seconds),
            travelers.to_owned(),
            show_time(config.from_unix),
            config.thru_unix.map_or("-".to_owned(), show_time),
        ]);
    }
    table.text_or("There is no export config; `tocsin export-config add --help` shows how to add one.")
}

fn list_batches(batches: &[ExportBatchRecord]) -> String {
    let mut table = Table::new(&["batch", "config", "from", "until", "state", "files"]);
    for ExportBatchRecord { id, config_id, start_unix, end_unix, state, lease_expires_unix: _, files } in batches {
        let state = match state {
            BatchState::Open => "open",
            BatchState::Leased => "leased",
            BatchState::Complete => "complete",
            BatchState::Deleted => "deleted",
        };
        let (start, end) = (show_time(*start_unix), show_time(*end_unix));
        table.row([id.to_string(), config_id.to_string(), start, end, state.to_owned(), count(*files)]);
    }
    table.text_or("There is no batch yet; the server's timer or `tocsin job run create-batches` makes them.")
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        args: AddArgs,
    }

    fn parsed(line: &str) -> Result<NewExportConfig, clap::Error> {
        Line::try_parse_from(format!("x {line}").split(' ')).map(|line| line.args.into_new(7))
    }

    #[test]
    fn defaults_are_the_public_bucket_the_own_region_and_now() {
        let line = "--root us --region US --period 4h --signing-key export --key-id 310 --key-version v1";
        let config = parsed(line).expect("complete");
        assert_eq!((config.period_seconds, config.from_unix, config.bucket.as_str()), (14_400, 7, "public"));
        assert_eq!(config.signers, [signer("export:310:v1").expect("a signer")]);
        assert!(config.input_regions.is_empty());
    }

    #[test]
    fn several_signers_keep_their_order() {
        let line = "--root us --region US --period 1d --signing-key a --signer b:1:v1 --signer c::";
        let names: Vec<_> =
            parsed(line).expect("complete").signers.into_iter().map(|signer| signer.signing_key).collect();
        assert_eq!(names, ["a", "b", "c"]);
    }

    #[test]
    fn config_needs_a_signer_and_a_period_with_a_unit() {
        assert!(parsed("--root us --region US --period 4h").is_err());
        assert!(parsed("--root us --region US --period 4 --signing-key export").is_err());
        assert!(parsed("--root us --region US --period 4h --signer :1:2").is_err());
    }
}
