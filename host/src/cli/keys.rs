//! `tocsin keys`.

use super::Global;
use super::administration::{read, send};
use super::failure::{Failure, failed};
use super::output::{joined, say, show};
use crate::admin::AdminRequest;
use crate::signing::create_key_file;
use clap::Subcommand;
use serde::Deserialize;
use serde_json::json;
use std::path::{Path, PathBuf};

#[derive(Subcommand)]
#[command(after_help = "\
Private keys are files in DATA/keys that only their owner can read. They never leave the server's process.

Examples:
  tocsin keys create export-2026
  tocsin keys public export-2026 > export-2026.pub.pem")]
pub(super) enum KeysCommand {
    /// Make a key that signs export files
    #[command(after_help = "Example:\n  tocsin keys create export-2026")]
    Create {
        /// Its name: letters, digits, '-', '_' and '.'
        name: String,
    },
    /// Make the next key that seals revision tokens; tokens sealed with older ones stay valid
    #[command(after_help = "Example:\n  tocsin keys create-revision")]
    CreateRevision,
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

#[derive(Deserialize)]
struct Keys {
    signing: Vec<SigningKey>,
    revision: Vec<u64>,
}

#[derive(Deserialize)]
struct SigningKey {
    name: String,
    public_key_pem: String,
}

pub(super) async fn run(global: &Global, command: KeysCommand) -> Result<(), Failure> {
    match command {
        KeysCommand::Create { name } => {
            let value = send(global, AdminRequest::CreateSigningKey { name }).await?;
            let key: SigningKey = read(&value)?;
            show(global, &value, || {
                format!("Made signing key {:?}. Its public half:\n{}", key.name, key.public_key_pem)
            });
        }
        KeysCommand::CreateRevision => {
            let value = send(global, AdminRequest::CreateRevisionKey).await?;
            show(global, &value, || format!("Made revision key {}, which is used from now on.", value["id"]));
        }
        KeysCommand::List => {
            let value = send(global, AdminRequest::ListKeys).await?;
            let Keys { signing, revision } = read(&value)?;
            show(global, &value, || {
                let signing: Vec<String> = signing.into_iter().map(|key| key.name).collect();
                let revision: Vec<String> = revision.iter().map(u64::to_string).collect();
                format!("signing   {}\nrevision  {}", joined(&signing), joined(&revision))
            });
        }
        KeysCommand::Public { name } => {
            let Keys { signing, revision: _ } = read(&send(global, AdminRequest::ListKeys).await?)?;
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
