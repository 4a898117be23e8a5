//! `tocsin validator`: before a validator goes to a server.

use super::Global;
use super::failure::{Failure, failed};
use super::output::show;
use super::validator_new::{self, ValidatorNewArgs};
use super::validator_test::{self, ValidatorTestArgs};
use crate::validators::{CheckedValidator, check_file, check_file_with_cache};
use clap::Subcommand;
use std::fmt::Write;
use std::path::{Path, PathBuf};

#[derive(Subcommand)]
#[command(after_help = "\
Examples:
  tocsin validator new --lang rust acme
  tocsin validator check acme.wasm
  tocsin validator test acme.wasm --cases cases.json")]
pub(super) enum ValidatorCommand {
    /// Make a project to start from
    New(ValidatorNewArgs),
    /// Say whether a server would take a component file as a validator, and what it is
    #[command(after_help = "\
Needs no data folder, and leaves compiled code for its server when there is one. The server makes the same check at its
start, and when the file changes.

Examples:
  tocsin validator check acme.wasm
  tocsin validator check acme.wasm --json | jq -r .digest")]
    Check {
        /// The component file
        file: PathBuf,
    },
    /// Run cases against a component file, and say what each call cost
    Test(ValidatorTestArgs),
}

pub(super) async fn run(global: &Global, command: ValidatorCommand) -> Result<(), Failure> {
    match command {
        ValidatorCommand::New(args) => validator_new::run(global, &args),
        ValidatorCommand::Check { file } => check(global, &file),
        ValidatorCommand::Test(args) => validator_test::run(global, &args).await,
    }
}

fn check(global: &Global, file: &Path) -> Result<(), Failure> {
    let bytes = std::fs::read(file).map_err(|error| failed(format!("cannot read {}: {error}", file.display())))?;
    // With a data folder its cache is used, and filled for its server.
    let checked = match global.config() {
        Ok(config) => check_file_with_cache(&bytes, &config.folders.cache),
        Err(_) => check_file(&bytes),
    };
    let checked = checked.map_err(|error| {
        Failure::new(format!("{} is no validator: {error}", file.display()), "docs/validators.md says how to build one")
    })?;
    let value = serde_json::json!({
        "identity": checked.identity,
        "digest": checked.digest,
        "imports": checked.imports,
        "size_bytes": checked.size,
        "compile_ms": u64::try_from(checked.compile.as_millis()).unwrap_or(u64::MAX),
        "identity_fuel": checked.identity_usage.fuel,
        "memory_bytes": checked.identity_usage.memory_bytes,
    });
    show(global, &value, || text(&checked));
    Ok(())
}

fn text(checked: &CheckedValidator) -> String {
    let CheckedValidator { identity, digest, imports, size, compile, identity_usage } = checked;
    let mut text = String::new();
    let mut line = |label: &str, value: &str| {
        // Writing to a string does not fail.
        let _ = writeln!(text, "{label:<10}{value}");
    };
    line("identity", identity);
    line("digest", digest);
    line("size", &format!("{size} bytes"));
    line("compiled", &format!("in {} ms", compile.as_millis()));
    line("memory", &format!("{} KiB at its start", identity_usage.memory_bytes / 1024));
    for (at, import) in imports.iter().enumerate() {
        line(if at == 0 { "imports" } else { "" }, import);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::validators::Usage;
    use std::time::Duration;

    #[test]
    fn good_file_is_described_line_by_line() {
        let checked = CheckedValidator {
            identity: "acme 1.0".to_owned(),
            digest: "0011223344556677".to_owned(),
            imports: vec!["tocsin:validator/services@0.1.0".to_owned(), "wasi:io/poll@0.2.6".to_owned()],
            size: 12_345,
            compile: Duration::from_millis(67),
            identity_usage: Usage { fuel: 1, memory_bytes: 1_114_112, compute: Duration::ZERO },
        };
        let expect = "\
identity  acme 1.0
digest    0011223344556677
size      12345 bytes
compiled  in 67 ms
memory    1088 KiB at its start
imports   tocsin:validator/services@0.1.0
          wasi:io/poll@0.2.6
";
        assert_eq!(text(&checked), expect);
    }
}
