//! `tocsin health-authority`.

use super::Global;
use super::administration::{read, send};
use super::arguments::{show_time, time};
use super::failure::{Failure, failed};
use super::output::{Table, show};
use crate::admin::AdminRequest;
use crate::services::SystemClock;
use crate::signing::public_key_from_pem;
use crate::storage::administration::{HealthAuthorityKeyRecord, HealthAuthorityRecord, NewHealthAuthority};
use clap::{Args, Subcommand};
use std::path::{Path, PathBuf};
use tocsin_domain::ports::Clock;

#[derive(Subcommand)]
#[command(after_help = "\
Examples:
  tocsin health-authority add --issuer gov.example.health --audience keys.example.org --name 'Example Health'
  tocsin health-authority key add --issuer gov.example.health --version v1 --public-key authority.pub.pem
  tocsin health-authority list")]
pub(super) enum HealthAuthorityCommand {
    /// Add a health authority; give it a key next
    #[command(after_help = "\
Example:
  tocsin health-authority add --issuer gov.example.health --audience keys.example.org --name 'Example Health'")]
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
    },
    /// All health authorities and their keys
    #[command(after_help = "Example:\n  tocsin health-authority list --json")]
    List,
    /// The keys with which it signs verification certificates
    #[command(subcommand)]
    Key(KeyCommand),
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
        HealthAuthorityCommand::Add { issuer, audience, name } => {
            let request = AdminRequest::AddHealthAuthority(NewHealthAuthority { issuer, audience, name });
            let value = send(global, request).await?;
            let added: HealthAuthorityRecord = read(&value)?;
            show(global, &value, || {
                let (issuer, folder) = (&added.issuer, global.data_option());
                format!(
                    "Added health authority {issuer:?}. Next, the key it signs with:\n  tocsin health-authority key \
                     add{folder} --issuer {issuer} --version v1 --public-key FILE.pem"
                )
            });
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
    }
    Ok(())
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
    for HealthAuthorityRecord { id: _, issuer, audience, name, keys } in all {
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
    table.text_or("There is no health authority; `tocsin health-authority add --help` shows how to add one.")
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
            keys,
        };
        let text = list(&[authority("alpha", vec![key("v1"), key("v2")]), authority("two", vec![])]);
        assert_eq!(text.matches("alpha").count(), 1);
        assert!(text.contains("v1") && text.contains("v2") && text.contains("two") && text.contains("(none)"));
        assert!(list(&[]).contains("health-authority add"));
    }
}
