//! `tocsin keys`.

use super::Global;
use super::administration::{read, send};
use super::arguments::show_time;
use super::failure::{Failure, failed};
use super::output::{Table, joined, say, show};
use crate::admin::AdminRequest;
use crate::admin::keys::{KeyList, RevisionKey, RootKey, RootRotationReport};
use crate::services::SystemClock;
use crate::signing::{PublicKey, create_key_file, destroy_unreadable};
use crate::storage::{SqliteOptions, SqliteStore};
use clap::Subcommand;
use serde::Deserialize;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use tocsin_domain::ports::Clock;

#[derive(Subcommand)]
#[command(after_help = "\
Signing keys sign export files. Revision keys seal the tokens with which phones revise what they published; they are in the
database, wrapped under a root key. Signing and root keys are files in DATA/keys that only their owner can read. No private
key leaves the server's process.

Examples:
  tocsin keys list
  tocsin keys create export-2026
  tocsin keys public export-2026 > export-2026.pub.pem
  tocsin keys rotate --dry-run")]
pub(super) enum KeysCommand {
    /// Make a key that signs export files
    #[command(after_help = "Example:\n  tocsin keys create export-2026")]
    Create {
        /// Its name: letters, digits, '-', '_' and '.'
        name: String,
    },
    /// Make and destroy the revision keys that are due, as the server's timer does
    #[command(after_help = "\
A key is replaced after key_rotation.new_key_period_seconds and destroyed key_rotation.delete_old_key_period_seconds later.
Tokens sealed with a key stay good until it is destroyed.

Examples:
  tocsin keys rotate --dry-run
  tocsin keys rotate --now")]
    Rotate {
        /// Only say what would be done
        #[arg(long)]
        dry_run: bool,
        /// Make a key even if none is due
        #[arg(long)]
        now: bool,
    },
    /// Make a new root key and wrap the revision keys under it
    #[command(after_help = "\
Says which files of older root keys can be deleted. Whoever has an old one can unwrap old backups of the database with it.

Examples:
  tocsin keys rotate-root --dry-run
  tocsin keys rotate-root")]
    RotateRoot {
        /// Only say what would be done
        #[arg(long)]
        dry_run: bool,
    },
    /// When a root key is lost: destroy the revision keys that cannot be unwrapped without it
    #[command(after_help = "\
The server must be stopped. Phones cannot revise what they published under these keys; nothing else is lost. Look for a
backup of DATA/keys first.

Examples:
  tocsin keys destroy-unreadable --dry-run
  tocsin keys destroy-unreadable")]
    DestroyUnreadable {
        /// Only say what would be done
        #[arg(long)]
        dry_run: bool,
    },
    /// All keys
    #[command(after_help = "Example:\n  tocsin keys list")]
    List,
    /// The public half of a signing key, as PEM
    #[command(after_help = "Example:\n  tocsin keys public export > export.pub.pem")]
    Public {
        /// Name of the key
        name: String,
    },
    /// Make a key in a file of your own, such as that of a test health authority
    #[command(after_help = "\
Prints the public half if --public does not name a file for it.

Example:
  tocsin keys create-file authority.pem --public authority.pub.pem")]
    CreateFile {
        /// File for the private key; it must not exist
        file: PathBuf,
        /// File for the public half
        #[arg(long, value_name = "FILE")]
        public: Option<PathBuf>,
    },
}

pub(super) async fn run(global: &Global, command: KeysCommand) -> Result<(), Failure> {
    match command {
        KeysCommand::Create { name } => {
            let value = send(global, AdminRequest::CreateSigningKey { name }).await?;
            let key: PublicKey = read(&value)?;
            show(global, &value, || {
                format!("Made signing key {:?}. Its public half:\n{}", key.name, key.public_key_pem)
            });
        }
        KeysCommand::Rotate { dry_run, now } => {
            let value = send(global, AdminRequest::RotateRevisionKeys { create_anyway: now, dry_run }).await?;
            show(global, &value, || rotation_text(&value));
        }
        KeysCommand::RotateRoot { dry_run } => {
            let value = send(global, AdminRequest::RotateRootKey { dry_run }).await?;
            let report: RootRotationReport = read(&value)?;
            show(global, &value, || root_rotation_text(&report));
        }
        KeysCommand::DestroyUnreadable { dry_run } => destroy_unreadable_keys(global, dry_run)?,
        KeysCommand::List => {
            let value = send(global, AdminRequest::ListKeys).await?;
            let keys: KeyList = read(&value)?;
            show(global, &value, || list(&keys));
        }
        KeysCommand::Public { name } => {
            let KeyList { signing, revision: _, root: _ } = read(&send(global, AdminRequest::ListKeys).await?)?;
            let key = signing.into_iter().find(|key| key.name == name).ok_or_else(|| {
                Failure::new(
                    format!("there is no signing key {name:?}"),
                    "`tocsin keys list` shows all, `tocsin keys create NAME` makes one.",
                )
            })?;
            let value = json!({ "name": key.name, "public_key_pem": key.public_key_pem });
            show(global, &value, || key.public_key_pem.clone());
        }
        KeysCommand::CreateFile { file, public } => create_file(global, &file, public.as_deref())?,
    }
    Ok(())
}

fn create_file(global: &Global, file: &Path, public: Option<&Path>) -> Result<(), Failure> {
    let key = create_key_file(file).map_err(failed)?;
    if let Some(public) = public {
        std::fs::write(public, &key.public_key_pem)
            .map_err(|error| failed(format!("cannot write {}: {error}", public.display())))?;
    }
    if global.json {
        say(&json!({ "file": file, "public_file": public, "public_key_pem": key.public_key_pem }).to_string());
    } else if public.is_none() {
        say(key.public_key_pem.trim_end());
    }
    Ok(())
}

/// On the files themselves: with a lost root key no server starts, and neither does what other commands use.
fn destroy_unreadable_keys(global: &Global, dry_run: bool) -> Result<(), Failure> {
    let config = global.config()?;
    let store = SqliteStore::open(&config.storage.database, &SqliteOptions::default()).map_err(failed)?;
    let destroyed = destroy_unreadable(&config.folders.keys, &store, SystemClock.now(), dry_run).map_err(failed)?;
    let value = json!({ "dry_run": dry_run, "destroyed": destroyed });
    show(global, &value, || match (destroyed.is_empty(), dry_run) {
        (true, _) => "All revision keys can be unwrapped; nothing was done.".to_owned(),
        (false, true) => format!("Would destroy revision keys {}.", ids(&destroyed)),
        (false, false) => {
            format!("Destroyed revision keys {}. `tocsin serve` makes a new one if none is left.", ids(&destroyed))
        }
    });
    Ok(())
}

fn ids(ids: &[u64]) -> String {
    joined(&ids.iter().map(u64::to_string).collect::<Vec<_>>())
}

/// What a rotation of revision keys did, by command or as a job.
#[derive(Deserialize)]
struct RotationReport {
    already_running: bool,
    dry_run: bool,
    created: Option<u64>,
    destroyed: Vec<u64>,
    next_unix: Option<i64>,
}

pub(super) fn rotation_text(value: &Value) -> String {
    let Ok(RotationReport { already_running, dry_run, created, destroyed, next_unix }) =
        Deserialize::deserialize(value)
    else {
        return value.to_string();
    };
    if already_running {
        return "Another run is rotating keys; nothing was done.".to_owned();
    }
    let mut sentences = Vec::new();
    if let Some(id) = created {
        let made = if dry_run { "Would make" } else { "Made" };
        sentences.push(format!("{made} revision key {id}, which then seals all new tokens."));
    }
    if !destroyed.is_empty() {
        let destroyed_them = if dry_run { "Would destroy" } else { "Destroyed" };
        sentences.push(format!("{destroyed_them} revision keys {}.", ids(&destroyed)));
    }
    if sentences.is_empty() {
        sentences.push("No revision key was due.".to_owned());
    }
    sentences.extend(next_unix.map(|next| format!("Next: {}.", show_time(next))));
    sentences.join(" ")
}

fn root_rotation_text(report: &RootRotationReport) -> String {
    let RootRotationReport { dry_run, root_key_id, rewrapped, unused_files } = report;
    let made = if *dry_run { "Would make" } else { "Made" };
    let mut text = format!("{made} root key {root_key_id}, with revision keys {} under it.\n", ids(rewrapped));
    if !unused_files.is_empty() {
        let then = if *dry_run { "It would then need" } else { "Back up the new one. The database needs" };
        text.push_str(&format!(
            "{then} these no more; keep them only as long as backups of the database from before:\n"
        ));
        unused_files.iter().for_each(|file| text.push_str(&format!("  {}\n", file.display())));
    }
    text
}

fn list(keys: &KeyList) -> String {
    let KeyList { signing, revision, root } = keys;
    let names: Vec<String> = signing.iter().map(|key| key.name.clone()).collect();
    let mut table = Table::new(&["revision key", "created", "destroyed", "root key", "state"]);
    for RevisionKey { id, created_unix, destroyed_unix, root_key_id, effective } in revision {
        let state = match (effective, destroyed_unix) {
            (true, _) => "seals and opens",
            (false, None) => "opens",
            (false, Some(_)) => "destroyed",
        };
        table.row([
            id.to_string(),
            show_time(*created_unix),
            destroyed_unix.map_or("-".to_owned(), show_time),
            root_key_id.to_string(),
            state.to_owned(),
        ]);
    }
    let root: Vec<String> = root.iter().map(|RootKey { id, revision_keys: _ }| id.to_string()).collect();
    let revision = table.text_or("There is no revision key; `tocsin serve` makes the first.\n");
    format!("signing keys  {}\nroot keys     {}\n\n{revision}", joined(&names), joined(&root))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rotation(dry_run: bool, created: Option<u64>, destroyed: &[u64]) -> String {
        rotation_text(&json!({
            "already_running": false, "dry_run": dry_run, "created": created, "destroyed": destroyed,
            "next_unix": 1_600_041_600,
        }))
    }

    #[test]
    fn rotation_says_what_was_or_would_be_done_and_when_next() {
        let check = |text: String, expect: &str| assert_eq!(text, format!("{expect} Next: 2020-09-14 00:00:00 UTC."));
        check(rotation(false, None, &[]), "No revision key was due.");
        check(rotation(false, Some(3), &[]), "Made revision key 3, which then seals all new tokens.");
        check(rotation(true, None, &[1, 2]), "Would destroy revision keys 1, 2.");
        let both = "Would make revision key 3, which then seals all new tokens. Would destroy revision keys 1.";
        check(rotation(true, Some(3), &[1]), both);
        let busy = json!({
            "already_running": true, "dry_run": false, "created": null, "destroyed": [], "next_unix": null,
        });
        assert_eq!(rotation_text(&busy), "Another run is rotating keys; nothing was done.");
    }

    #[test]
    fn root_rotation_names_the_files_that_are_no_longer_needed() {
        let report = |dry_run, unused: &[&str]| RootRotationReport {
            dry_run,
            root_key_id: 2,
            rewrapped: vec![1, 4],
            unused_files: unused.iter().map(PathBuf::from).collect(),
        };
        let text = root_rotation_text(&report(false, &["keys/root/1.key"]));
        assert!(text.starts_with("Made root key 2, with revision keys 1, 4 under it.\nBack up"), "{text}");
        assert!(text.ends_with("\n  keys/root/1.key\n"), "{text}");
        assert_eq!(
            root_rotation_text(&report(true, &[])),
            "Would make root key 2, with revision keys 1, 4 under it.\n"
        );
    }

    #[test]
    fn list_shows_times_and_states() {
        let key = |id, destroyed_unix, effective| RevisionKey {
            id,
            created_unix: 1_600_041_600,
            destroyed_unix,
            root_key_id: 1,
            effective,
        };
        let keys = KeyList {
            signing: Vec::new(),
            revision: vec![key(1, Some(1_600_128_000), false), key(2, None, false), key(3, None, true)],
            root: vec![RootKey { id: 1, revision_keys: 2 }],
        };
        let text = list(&keys);
        for line in [
            "signing keys  -",
            "root keys     1",
            "           1  2020-09-14 00:00:00 UTC  2020-09-15 00:00:00 UTC         1  destroyed",
            "           2  2020-09-14 00:00:00 UTC  -                               1  opens",
            "           3  2020-09-14 00:00:00 UTC  -                               1  seals and opens",
        ] {
            assert!(text.lines().any(|found| found == line), "{line:?} in\n{text}");
        }
    }
}
