//! `tocsin init`: a data folder with configuration, keys and database.

use super::Global;
use super::failure::{Failure, failed};
use super::output::show;
use crate::config::{Config, FILE_NAME};
use crate::server::open_services;
use crate::signing::KeyError;
use clap::Args;
use serde_json::json;
use std::fs::{DirBuilder, OpenOptions};
use std::io::Write;
use std::net::SocketAddr;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

const TEMPLATE: &str = include_str!("../../../docs/tocsin.example.toml");

/// Name of the signing key that every new folder has.
pub(super) const SIGNING_KEY: &str = "export";

#[derive(Args)]
#[command(after_help = "\
Makes the folder (default ./tocsin-data) with tocsin.toml, where every setting is explained, a root key, a revision key, a
signing key named \"export\", and the database. A folder that is in use is never touched.

Examples:
  tocsin init
  tocsin init /var/lib/tocsin --listen 0.0.0.0:8080
  tocsin init --set publish.truncate_window_seconds=60 --set 'log.format=\"json\"'")]
pub(super) struct InitArgs {
    /// The folder to make; the same as --data DIR
    #[arg(value_name = "DIR")]
    folder: Option<PathBuf>,
    /// Address and port for phones
    #[arg(long, value_name = "ADDRESS:PORT")]
    listen: Option<SocketAddr>,
    /// Set a field of the configuration to a TOML value; can be repeated
    #[arg(long = "set", value_name = "SECTION.FIELD=VALUE", value_parser = setting)]
    settings: Vec<(String, String)>,
}

fn setting(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((field, value)) => Ok((field.trim().to_owned(), value.trim().to_owned())),
        None => Err("write it like public.listen='\"127.0.0.1:8080\"' or log.level='\"debug\"'".to_owned()),
    }
}

pub(super) fn run(global: &Global, args: &InitArgs) -> Result<(), Failure> {
    let global = Global { data: args.folder.clone().unwrap_or_else(|| global.data.clone()), ..global.clone() };
    let mut settings = args.settings.clone();
    if let Some(address) = args.listen {
        settings.push(("public.listen".to_owned(), format!("\"{address}\"")));
    }
    if let Some(folder) = &global.components {
        let folder = std::path::absolute(folder).map_err(failed)?;
        settings.push(("folders.components".to_owned(), toml::Value::String(folder.display().to_string()).to_string()));
    }
    let config = config_text(&settings)?;
    let is_new = make_folder(&global.data)?;
    if let Err(failure) = fill(&global.data, &config) {
        if is_new {
            // Half a folder would be refused the next time.
            std::fs::remove_dir_all(&global.data).ok();
        }
        return Err(failure);
    }
    let value = json!({ "data": global.data, "config": global.data.join(FILE_NAME), "signing_key": SIGNING_KEY });
    show(&global, &value, || next_commands(&global));
    Ok(())
}

/// Makes the folder; false when an empty one was there.
fn make_folder(folder: &Path) -> Result<bool, Failure> {
    let refuse = |what: &str| {
        Failure::new(
            format!("{} {what}", folder.display()),
            "Name another folder (`tocsin init DIR`), or run the server that is there: `tocsin serve --data DIR`.",
        )
    };
    match std::fs::read_dir(folder) {
        Ok(mut entries) => {
            return match entries.next() {
                None => Ok(false),
                Some(_) if folder.join(FILE_NAME).exists() => Err(refuse("is a Tocsin data folder already")),
                Some(_) => Err(refuse("exists and is not empty")),
            };
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
        Err(error) => return Err(refuse(&format!("cannot be used: {error}"))),
    }
    let made = DirBuilder::new().recursive(true).mode(0o700).create(folder);
    made.map(|()| true).map_err(|error| refuse(&format!("cannot be made: {error}")))
}

fn fill(folder: &Path, config: &str) -> Result<(), Failure> {
    let file = folder.join(FILE_NAME);
    write_config(&file, config)?;
    let services = open_services(&Config::load(&file).map_err(failed)?).map_err(failed)?;
    // Opening has made the root key.
    let made: Result<(), KeyError> = (|| {
        services.keyring.create_first_revision_key(services.clock.now())?;
        services.keyring.create_signing_key(SIGNING_KEY)?;
        Ok(())
    })();
    made.map_err(failed)
}

/// Writes a configuration file that only its owner reads, replacing one that is there.
pub(super) fn write_config(file: &Path, text: &str) -> Result<(), Failure> {
    let mut options = OpenOptions::new();
    let written = options.write(true).create(true).truncate(true).mode(0o600).open(file).and_then(|mut open| {
        open.write_all(text.as_bytes())?;
        open.sync_all()
    });
    written.map_err(|error| failed(format!("cannot write {}: {error}", file.display())))
}

fn next_commands(global: &Global) -> String {
    let folder = global.data_option();
    format!(
        "Made {data} with {FILE_NAME}, a root key, a revision key, the signing key \"{SIGNING_KEY}\" and an empty database.

Next:
  tocsin serve{folder}
        runs the server; all settings are explained in {file}
  tocsin health-authority add{folder} --issuer ISSUER --audience AUDIENCE --name NAME
  tocsin health-authority key add{folder} --issuer ISSUER --version v1 --public-key FILE.pem
        says who may vouch for a diagnosis, and by which key you know them
  tocsin app add{folder} APP --region US --health-authority ISSUER
        says which app may publish, and where
  tocsin export-config add{folder} --root us --region US --period 4h --signing-key {SIGNING_KEY} --key-id 310 --key-version v1
        says which files phones download
  tocsin status{folder}
        says what is there and what is missing
",
        data = global.data.display(),
        file = global.data.join(FILE_NAME).display(),
    )
}

/// The example configuration with all values commented out, except `settings`, and except sections.
pub(super) fn config_text(settings: &[(String, String)]) -> Result<String, Failure> {
    let mut used = vec![false; settings.len()];
    let mut text = String::with_capacity(TEMPLATE.len() + 256);
    let mut section = "";
    for line in TEMPLATE.lines() {
        if let Some(name) = line.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            section = name;
        }
        let bare = line.strip_prefix("# ").unwrap_or(line);
        match field_of(bare) {
            Some(field) => {
                let path = format!("{section}.{field}");
                // The last one wins, as with other options.
                match settings.iter().rposition(|(name, _)| *name == path) {
                    Some(index) => text.push_str(&format!("{field} = {}", settings[index].1)),
                    None => text.push_str(&format!("# {bare}")),
                }
                settings
                    .iter()
                    .zip(&mut used)
                    .filter(|((name, _), _)| *name == path)
                    .for_each(|(_, used)| *used = true);
            }
            None => text.push_str(line),
        }
        text.push('\n');
    }
    if let Some(((name, _), _)) = settings.iter().zip(&used).find(|(_, used)| !**used) {
        return Err(Failure::new(
            format!("there is no setting {name:?}"),
            "docs/tocsin.example.toml and every tocsin.toml show all of them, as [SECTION] and FIELD.",
        ));
    }
    let text = text.replace(", with its default.\n", ". Lines that begin with # state the defaults.\n");
    Config::parse(&text).map_err(failed)?;
    Ok(text)
}

/// The name of the field that a line sets.
fn field_of(line: &str) -> Option<&str> {
    let (name, _) = line.split_once(" = ")?;
    let is_of_name = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
    (!name.is_empty() && name.bytes().all(is_of_name)).then_some(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(list: &[(&str, &str)]) -> Vec<(String, String)> {
        list.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn config_without_settings_is_all_comments_and_sections() {
        let text = config_text(&[]).expect("template");
        assert!(text.lines().all(|line| line.is_empty() || line.starts_with(['#', '['])), "{text}");
        assert_eq!(Config::parse(&text).expect("valid"), Config::default());
    }

    #[test]
    fn settings_take_the_place_of_their_comment_in_their_section() {
        let list = [
            ("public.listen", "\"127.0.0.1:0\""),
            ("limits.export.memory_mib", "64"),
            ("private.listen", "\"127.0.0.1:9\""),
            ("folders.components", "\"x\""),
            ("limits.export.memory_mib", "65"),
        ];
        let config = Config::parse(&config_text(&settings(&list)).expect("known fields")).expect("valid");
        assert_eq!(config.public.listen.port(), 0);
        assert_eq!((config.limits.export.memory_mib, config.limits.purge.memory_mib), (65, 256));
        assert_eq!(config.private.listen.map(|address| address.port()), Some(9));
        assert_eq!(config.folders.components, Some("x".into()));
    }

    #[test]
    fn settings_that_do_not_exist_or_make_no_sense_are_refused() {
        for (name, value) in [("purge.ttl", "5"), ("purge.ttl_seconds", "\"x\""), ("public.listen", "nowhere")] {
            assert!(config_text(&settings(&[(name, value)])).is_err(), "{name}");
        }
    }

    #[test]
    fn folder_in_use_is_never_touched() {
        let folder = tempfile::tempdir().expect("temporary folder");
        assert!(!make_folder(folder.path()).expect("an empty folder will do"));
        std::fs::write(folder.path().join("file"), "x").expect("written");
        assert!(make_folder(folder.path()).expect_err("refused").to_string().contains("not empty"));
        std::fs::write(folder.path().join(FILE_NAME), "").expect("written");
        assert!(make_folder(folder.path()).expect_err("refused").to_string().contains("already"));
        assert!(make_folder(&folder.path().join("a/b")).expect("made"));
    }
}
