//! `tocsin export-config`.

use super::Global;
use super::administration::{read, send};
use super::arguments::{duration, show_duration, show_time, time};
use super::failure::Failure;
use super::output::{Table, count, joined, show};
use crate::admin::AdminRequest;
use crate::admin::signers::{ConfigSigner, SignerRotation};
use crate::services::SystemClock;
use crate::storage::administration::{
    BatchState, ExportBatchRecord, ExportConfigRecord, NewExportConfig, SignatureInfoRecord, SignerRecord,
};
use clap::{Args, Subcommand};
use tocsin_domain::ports::Clock;

#[derive(Subcommand)]
#[command(after_help = "\
Examples:
  tocsin export-config add --root us --region US --period 4h --signing-key export --key-id 310 --key-version v1
  tocsin export-config list
  tocsin export-config batches
  tocsin export-config rotate-signer --id 1 --signing-key export-2 --key-id 310 --key-version v2
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
    /// Who signs the files, and until when
    #[command(after_help = "Example:\n  tocsin export-config signers")]
    Signers,
    /// Have another key sign the files, beside the present ones for a while
    #[command(after_help = "\
Files made during the overlap carry the signatures of both, so that phones that know either key take them. Register the new
key with the phone platforms before the overlap ends; it is made if there is none of that name. The default overlap is how
long files are kept, so that afterwards no file is left that only the old key signed.

Examples:
  tocsin export-config rotate-signer --id 1 --signing-key export-2 --key-id 310 --key-version v2 --dry-run
  tocsin export-config rotate-signer --id 1 --signing-key export-2 --key-id 310 --key-version v2 --overlap 21d")]
    RotateSigner(RotateSignerArgs),
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

#[derive(Args)]
pub(super) struct RotateSignerArgs {
    /// Id of the export config, from `tocsin export-config list`
    #[arg(long)]
    id: u64,
    /// Name of the key that signs from now on
    #[arg(long, value_name = "NAME")]
    signing_key: String,
    /// Its verification key id, by which phones know it
    #[arg(long, value_name = "ID", default_value = "", hide_default_value = true)]
    key_id: String,
    /// Its verification key version
    #[arg(long, value_name = "VERSION", default_value = "", hide_default_value = true)]
    key_version: String,
    /// How long the present keys go on signing
    #[arg(long, value_parser = duration, default_value = "14d")]
    overlap: u64,
    /// Only say what would be done
    #[arg(long)]
    dry_run: bool,
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
        ExportConfigCommand::Signers => {
            let value = send(global, AdminRequest::ListExportConfigSigners).await?;
            let signers: Vec<ConfigSigner> = read(&value)?;
            show(global, &value, || list_signers(&signers));
        }
        ExportConfigCommand::RotateSigner(args) => {
            let RotateSignerArgs { id, signing_key, key_id, key_version, overlap, dry_run } = args;
            let signer =
                SignerRecord { signing_key, verification_key_id: key_id, verification_key_version: key_version };
            let request = AdminRequest::RotateExportConfigSigner { id, signer, overlap_seconds: overlap, dry_run };
            let value = send(global, request).await?;
            let rotation: SignerRotation = read(&value)?;
            show(global, &value, || rotation_text(&rotation));
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

fn list_signers(signers: &[ConfigSigner]) -> String {
    let mut table = Table::new(&["config", "root", "signing key", "key id", "version", "until", "signs"]);
    for ConfigSigner { config_id, filename_root, signature_info, active } in signers {
        let SignatureInfoRecord { id: _, signer, thru_unix } = signature_info;
        table.row([
            config_id.to_string(),
            filename_root.clone(),
            signer.signing_key.clone(),
            or_dash(&signer.verification_key_id),
            or_dash(&signer.verification_key_version),
            thru_unix.map_or("-".to_owned(), show_time),
            if *active { "yes" } else { "no" }.to_owned(),
        ]);
    }
    table.text_or("There is no export config; `tocsin export-config add --help` shows how to add one.")
}

fn rotation_text(rotation: &SignerRotation) -> String {
    let SignerRotation { id, dry_run, signer, key_created, public_key_pem, ended } = rotation;
    let signed = if *dry_run { "would be signed" } else { "are signed" };
    let mut text = format!("Files of export config {id} {signed} by {} from now on", signer_text(signer));
    for SignatureInfoRecord { id: _, signer, thru_unix } in ended {
        let until = thru_unix.map_or("-".to_owned(), show_time);
        text.push_str(&format!(",\nand by {} until {until}", signer_text(signer)));
    }
    text.push_str(".\n");
    if *key_created {
        let made = if *dry_run { "The key would be made." } else { "The key was made." };
        text.push_str(&format!("{made}\n"));
    }
    if let Some(pem) = public_key_pem {
        text.push_str(&format!("Its public half, to register with the phone platforms:\n{pem}"));
    }
    text
}

fn signer_text(signer: &SignerRecord) -> String {
    let SignerRecord { signing_key, verification_key_id, verification_key_version } = signer;
    format!("{signing_key} (key id {}, version {})", or_dash(verification_key_id), or_dash(verification_key_version))
}

fn or_dash(text: &str) -> String {
    if text.is_empty() { "-".to_owned() } else { text.to_owned() }
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
    fn rotation_of_a_signer_says_who_signs_until_when() {
        let ended = SignatureInfoRecord {
            id: 1,
            signer: signer("export:310:v1").expect("a signer"),
            thru_unix: Some(1_600_041_600),
        };
        let rotation = |dry_run, pem: Option<&str>| SignerRotation {
            id: 7,
            dry_run,
            signer: signer("export-2::v2").expect("a signer"),
            key_created: true,
            public_key_pem: pem.map(str::to_owned),
            ended: vec![ended.clone()],
        };
        let expect = "Files of export config 7 are signed by export-2 (key id -, version v2) from now on,
and by export (key id 310, version v1) until 2020-09-14 00:00:00 UTC.
The key was made.
Its public half, to register with the phone platforms:
PEM";
        assert_eq!(rotation_text(&rotation(false, Some("PEM"))), expect);
        let dry = rotation_text(&rotation(true, None));
        assert!(dry.contains("would be signed by export-2") && dry.ends_with("The key would be made.\n"), "{dry}");
    }

    #[test]
    fn config_needs_a_signer_and_a_period_with_a_unit() {
        assert!(parsed("--root us --region US --period 4h").is_err());
        assert!(parsed("--root us --region US --period 4 --signing-key export").is_err());
        assert!(parsed("--root us --region US --period 4h --signer :1:2").is_err());
    }
}
