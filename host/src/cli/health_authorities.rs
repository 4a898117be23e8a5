//! `tocsin health-authority`.

use super::Global;
use super::administration::{read, send};
use super::arguments::{show_time, time};
use super::failure::{Failure, failed};
use super::output::{Table, counted, joined, show};
use crate::admin::AdminRequest;
use crate::key_sets::ImportReport;
use crate::services::SystemClock;
use crate::signing::public_key_from_pem;
use crate::storage::administration::{
    HealthAuthorityKeyRecord, HealthAuthorityRecord, HealthAuthorityUpdate, NewHealthAuthority,
};
use clap::{Args, Subcommand};
use serde::Deserialize;
use serde_json::Value;
use std::path::{Path, PathBuf};
use tocsin_domain::ports::Clock;

#[derive(Subcommand)]
#[command(after_help = "\
Examples:
  tocsin health-authority add --issuer gov.example.health --audience keys.example.org --name 'Example Health'
  tocsin health-authority key add --issuer gov.example.health --version v1 --public-key authority.pub.pem
  tocsin health-authority update --issuer gov.example.health --jwks-uri https://health.example/jwks.json
  tocsin health-authority list")]
pub(super) enum HealthAuthorityCommand {
    /// Add a health authority; give it a key next, or the URI where it publishes its keys
    #[command(after_help = "\
Examples:
  tocsin health-authority add --issuer gov.example.health --audience keys.example.org --name 'Example Health'
  tocsin health-authority add --issuer gov.example.health --audience keys.example.org --name 'Example Health' \
    --jwks-uri https://health.example/jwks.json")]
    Add {
        /// `iss` of its verification certificates
        #[arg(long)]
        issuer: String,
        /// `aud` of its verification certificates
        #[arg(long)]
        audience: String,
        /// Its name, for people
        #[arg(long)]
        name: String,
        /// Where it publishes its keys; the server imports them from there
        #[arg(long, value_name = "URI")]
        jwks_uri: Option<String>,
    },
    /// Change a health authority
    #[command(after_help = "\
Examples:
  tocsin health-authority update --issuer gov.example.health --jwks-uri https://health.example/jwks.json
  tocsin health-authority update --issuer gov.example.health --no-jwks-uri")]
    Update(UpdateArgs),
    /// Import the keys of a health authority from its JWKS URI now
    #[command(after_help = "\
Keys that are not in the set are revoked. The server does the same for all health authorities by its timer; `tocsin job run
import-key-sets` does it for all of them now.

Examples:
  tocsin health-authority import-keys --issuer gov.example.health --dry-run
  tocsin health-authority import-keys --issuer gov.example.health")]
    ImportKeys {
        /// Issuer of the health authority
        #[arg(long)]
        issuer: String,
        /// Only say what would change
        #[arg(long)]
        dry_run: bool,
    },
    /// All health authorities and their keys
    #[command(after_help = "Example:\n  tocsin health-authority list --json")]
    List,
    /// The keys with which it signs verification certificates
    #[command(subcommand)]
    Key(KeyCommand),
}

#[derive(Args)]
pub(super) struct UpdateArgs {
    /// Issuer of the health authority
    #[arg(long)]
    issuer: String,
    /// Where it publishes its keys; the server imports them from there, and revokes those that are not there
    #[arg(long, value_name = "URI", conflicts_with = "no_jwks_uri")]
    jwks_uri: Option<String>,
    /// Import its keys no more; those it has stay as they are
    #[arg(long)]
    no_jwks_uri: bool,
    /// Whether an import may revoke all of its keys
    #[arg(long, value_name = "true|false", hide_possible_values = true)]
    allow_empty_key_set: Option<bool>,
    /// Whether it may read its statistics
    #[arg(long, value_name = "true|false", hide_possible_values = true)]
    statistics: Option<bool>,
}

#[derive(Subcommand)]
#[command(after_help = "\
Examples:
  tocsin health-authority key add --issuer gov.example.health --version v2 --public-key v2.pub.pem
  tocsin health-authority key revoke --issuer gov.example.health --version v1")]
pub(super) enum KeyCommand {
    /// Accept certificates signed with a key
    #[command(after_help = "\
Example:
  tocsin health-authority key add --issuer gov.example.health --version v1 --public-key authority.pub.pem")]
    Add(AddKeyArgs),
    /// Accept a key no more, from now on
    #[command(after_help = "\
Example:
  tocsin health-authority key revoke --issuer gov.example.health --version v1")]
    Revoke {
        /// Issuer of the health authority
        #[arg(long)]
        issuer: String,
        /// Version of the key
        #[arg(long)]
        version: String,
    },
    /// Accept a revoked key again: takes its end away
    #[command(after_help = "\
A key that is not in the set behind the health authority's JWKS URI is revoked again by the next import.

Example:
  tocsin health-authority key reinstate --issuer gov.example.health --version v1")]
    Reinstate {
        /// Issuer of the health authority
        #[arg(long)]
        issuer: String,
        /// Version of the key
        #[arg(long)]
        version: String,
    },
    /// Accept a key that begins later from now on
    #[command(after_help = "\
Example:
  tocsin health-authority key activate --issuer gov.example.health --version v2")]
    Activate {
        /// Issuer of the health authority
        #[arg(long)]
        issuer: String,
        /// Version of the key
        #[arg(long)]
        version: String,
    },
}

#[derive(Args)]
pub(super) struct AddKeyArgs {
    /// Issuer of the health authority
    #[arg(long)]
    issuer: String,
    /// `kid` of the certificates it signs
    #[arg(long)]
    version: String,
    /// The public key: P-256, PEM
    #[arg(long, value_name = "FILE")]
    public_key: PathBuf,
    /// Valid after this time (UTC date, time, or unix seconds) [default: now]
    #[arg(long, value_name = "TIME", value_parser = time)]
    from: Option<i64>,
    /// Valid before this time [default: no end]
    #[arg(long, value_name = "TIME", value_parser = time)]
    thru: Option<i64>,
}

pub(super) async fn run(global: &Global, command: HealthAuthorityCommand) -> Result<(), Failure> {
    match command {
        HealthAuthorityCommand::Add { issuer, audience, name, jwks_uri } => {
            let request = AdminRequest::AddHealthAuthority(NewHealthAuthority {
                issuer,
                audience,
                name,
                jwks_uri,
                allow_empty_key_set: false,
                statistics_enabled: true,
            });
            let value = send(global, request).await?;
            let added: HealthAuthorityRecord = read(&value)?;
            show(global, &value, || added_text(&added, &global.data_option()));
        }
        HealthAuthorityCommand::Update(args) => {
            let (issuer, update) = args.update()?;
            let text = format!("Changed health authority {issuer:?}.");
            let value = send(global, AdminRequest::UpdateHealthAuthority { issuer, update }).await?;
            show(global, &value, || text);
        }
        HealthAuthorityCommand::ImportKeys { issuer, dry_run } => {
            let value = send(global, AdminRequest::ImportKeySet { issuer, dry_run }).await?;
            let report: ImportReport = read(&value)?;
            show(global, &value, || report_text(&report, dry_run));
        }
        HealthAuthorityCommand::List => {
            let value = send(global, AdminRequest::ListHealthAuthorities).await?;
            let all: Vec<HealthAuthorityRecord> = read(&value)?;
            show(global, &value, || list(&all));
        }
        HealthAuthorityCommand::Key(KeyCommand::Add(args)) => {
            let AddKeyArgs { issuer, version, public_key, from, thru } = args;
            let key = HealthAuthorityKeyRecord {
                // A key is valid after this second, and "now" means that it is valid at once.
                from_unix: from.unwrap_or_else(|| SystemClock.now().unix() - 1),
                thru_unix: thru,
                public_key: read_public_key(&public_key)?,
                version,
            };
            let text = format!("Added key {:?} of health authority {issuer:?}.", key.version);
            let value = send(global, AdminRequest::AddHealthAuthorityKey { issuer, key }).await?;
            show(global, &value, || text);
        }
        HealthAuthorityCommand::Key(KeyCommand::Revoke { issuer, version }) => {
            let text = format!("Revoked key {version:?} of health authority {issuer:?}.");
            let value = send(global, AdminRequest::RevokeHealthAuthorityKey { issuer, version }).await?;
            show(global, &value, || text);
        }
        HealthAuthorityCommand::Key(KeyCommand::Reinstate { issuer, version }) => {
            let text = format!("Reinstated key {version:?} of health authority {issuer:?}.");
            let value = send(global, AdminRequest::ReinstateHealthAuthorityKey { issuer, version }).await?;
            show(global, &value, || text);
        }
        HealthAuthorityCommand::Key(KeyCommand::Activate { issuer, version }) => {
            let text = format!("Key {version:?} of health authority {issuer:?} is valid from now on.");
            let value = send(global, AdminRequest::ActivateHealthAuthorityKey { issuer, version }).await?;
            show(global, &value, || text);
        }
    }
    Ok(())
}

impl UpdateArgs {
    fn update(self) -> Result<(String, HealthAuthorityUpdate), Failure> {
        let Self { issuer, jwks_uri, no_jwks_uri, allow_empty_key_set, statistics } = self;
        let update = HealthAuthorityUpdate {
            jwks_uri: if no_jwks_uri { Some(String::new()) } else { jwks_uri },
            allow_empty_key_set,
            statistics_enabled: statistics,
        };
        if update == HealthAuthorityUpdate::default() {
            return Err(Failure::new(
                "there is nothing to change",
                "`tocsin health-authority update --help` shows what can be changed.",
            ));
        }
        Ok((issuer, update))
    }
}

fn added_text(added: &HealthAuthorityRecord, folder: &str) -> String {
    let issuer = &added.issuer;
    let next = match added.jwks_uri {
        Some(_) => format!(
            "The server will import its keys. To see which:\n  tocsin health-authority import-keys{folder} --issuer \
             {issuer} --dry-run"
        ),
        None => format!(
            "Next, the key it signs with:\n  tocsin health-authority key add{folder} --issuer {issuer} --version v1 \
             --public-key FILE.pem"
        ),
    };
    format!("Added health authority {issuer:?}. {next}")
}

/// What an import of all key sets did.
pub(super) fn import_text(reports: &Value) -> String {
    let reports = Vec::<ImportReport>::deserialize(reports).unwrap_or_default();
    if reports.is_empty() {
        return "No health authority has a JWKS URI.".to_owned();
    }
    reports.iter().map(|report| report_text(report, false)).collect()
}

fn report_text(report: &ImportReport, dry_run: bool) -> String {
    let ImportReport { issuer, keys, added, revoked, purged, still_revoked, skipped } = report;
    let found = counted(u64::try_from(*keys).unwrap_or(u64::MAX), "usable key", "usable keys");
    let mut text = format!("The key set of health authority {issuer:?} has {found}.\n");
    let (tense, nothing) = if dry_run { ("would be ", "Nothing would change.") } else { ("", "Nothing has changed.") };
    for (what, versions) in [("added", added), ("revoked", revoked), ("deleted", purged)] {
        if !versions.is_empty() {
            text.push_str(&format!("  {tense}{what}: {}\n", quoted(versions)));
        }
    }
    if added.is_empty() && revoked.is_empty() && purged.is_empty() {
        text.push_str(&format!("  {nothing}\n"));
    }
    if !still_revoked.is_empty() {
        text.push_str(&format!("  not accepted, since they were revoked here: {}\n", quoted(still_revoked)));
    }
    skipped.iter().for_each(|sentence| text.push_str(&format!("  skipped: {sentence}\n")));
    text
}

/// Somebody else chose these names: they must not move the cursor of a terminal.
fn quoted(versions: &[String]) -> String {
    joined(&versions.iter().map(|version| format!("{version:?}")).collect::<Vec<_>>())
}

/// The point of a public key in a PEM file.
pub(super) fn read_public_key(file: &Path) -> Result<Vec<u8>, Failure> {
    let pem = std::fs::read_to_string(file)
        .map_err(|error| failed(format!("cannot read the public key {}: {error}", file.display())))?;
    public_key_from_pem(&pem).ok_or_else(|| {
        let what = if pem.contains("PRIVATE KEY") { "is a private key" } else { "is no P-256 public key in PEM form" };
        Failure::new(
            format!("{} {what}", file.display()),
            "`openssl pkey -in PRIVATE.pem -pubout` makes a public key from a private one; its first line says BEGIN \
             PUBLIC KEY.",
        )
    })
}

fn list(all: &[HealthAuthorityRecord]) -> String {
    let mut table = Table::new(&["issuer", "audience", "name", "key", "from", "thru"]);
    let mut imports = String::new();
    for authority in all {
        let HealthAuthorityRecord {
            id: _,
            issuer,
            audience,
            name,
            jwks_uri,
            allow_empty_key_set,
            statistics_enabled: _,
            keys,
        } = authority;
        if let Some(uri) = jwks_uri {
            let empty = if *allow_empty_key_set { "; an empty set revokes all of them" } else { "" };
            imports.push_str(&format!("keys of {issuer} are imported from {uri}{empty}\n"));
        }
        let mut names = [issuer.clone(), audience.clone(), name.clone()];
        if keys.is_empty() {
            table.row(names.clone().into_iter().chain(["(none)".to_owned()]));
        }
        for HealthAuthorityKeyRecord { version, from_unix, thru_unix, public_key: _ } in keys {
            let thru = thru_unix.map_or("-".to_owned(), show_time);
            table.row(names.into_iter().chain([version.clone(), show_time(*from_unix), thru]));
            // Once is enough.
            names = Default::default();
        }
    }
    table.text_or("There is no health authority; `tocsin health-authority add --help` shows how to add one.") + &imports
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::signing::create_key_file;

    #[test]
    fn private_key_given_for_a_public_one_is_recognized() {
        let folder = tempfile::tempdir().expect("temporary folder");
        let (private, public) = (folder.path().join("key.pem"), folder.path().join("key.pub.pem"));
        std::fs::write(&public, create_key_file(&private).expect("made").public_key_pem).expect("written");
        assert_eq!(read_public_key(&public).expect("a public key").len(), 65);
        assert!(read_public_key(&private).expect_err("refused").to_string().contains("is a private key"));
        assert!(read_public_key(folder.path()).is_err());
    }

    #[test]
    fn list_names_an_authority_once_and_every_key() {
        let key = |version: &str| HealthAuthorityKeyRecord {
            version: version.to_owned(),
            from_unix: 0,
            thru_unix: None,
            public_key: vec![],
        };
        let authority = |issuer: &str, keys| HealthAuthorityRecord {
            id: 1,
            issuer: issuer.to_owned(),
            audience: "a".to_owned(),
            name: "n".to_owned(),
            jwks_uri: Some(format!("https://{issuer}.example/jwks")).filter(|_| issuer == "two"),
            allow_empty_key_set: true,
            statistics_enabled: true,
            keys,
        };
        let text = list(&[authority("alpha", vec![key("v1"), key("v2")]), authority("two", vec![])]);
        assert_eq!(text.matches("alpha").count(), 1);
        assert!(text.contains("v1") && text.contains("v2") && text.contains("two") && text.contains("(none)"));
        assert!(
            text.ends_with(
                "\nkeys of two are imported from https://two.example/jwks; an empty set revokes all of them\n"
            )
        );
        assert!(list(&[]).contains("health-authority add"));
    }

    #[test]
    fn import_is_told_in_sentences() {
        let report = ImportReport {
            issuer: "gov".to_owned(),
            keys: 2,
            added: vec!["v2".to_owned(), "v\u{1b}3".to_owned()],
            revoked: vec!["v1".to_owned()],
            purged: vec![],
            still_revoked: vec![],
            skipped: vec!["key number 3 of the set has the type \"RSA\", not EC".to_owned()],
        };
        assert_eq!(
            report_text(&report, true),
            "The key set of health authority \"gov\" has 2 usable keys.\n  would be added: \"v2\", \"v\\u{1b}3\"\n  \
             would be revoked: \"v1\"\n  skipped: key number 3 of the set has the type \"RSA\", not EC\n"
        );
        let quiet = ImportReport {
            keys: 1,
            added: vec![],
            revoked: vec![],
            still_revoked: vec!["v1".to_owned()],
            skipped: vec![],
            ..report
        };
        let expect = "The key set of health authority \"gov\" has 1 usable key.\n  Nothing has changed.\n  not accepted, \
                      since they were revoked here: \"v1\"\n";
        assert_eq!(report_text(&quiet, false), expect);
        assert_eq!(import_text(&serde_json::json!([quiet])), expect);
    }

    #[test]
    fn update_must_change_something() {
        let args = |jwks_uri: Option<&str>, no_jwks_uri| UpdateArgs {
            issuer: "gov".to_owned(),
            jwks_uri: jwks_uri.map(str::to_owned),
            no_jwks_uri,
            allow_empty_key_set: None,
            statistics: None,
        };
        assert!(args(None, false).update().is_err());
        assert_eq!(args(None, true).update().expect("a change").1.jwks_uri, Some(String::new()));
        assert_eq!(args(Some("https://x"), false).update().expect("a change").1.jwks_uri, Some("https://x".to_owned()));
    }
}
