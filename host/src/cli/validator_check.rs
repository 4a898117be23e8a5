//! `tocsin validator check`.

use super::Global;
use super::failure::{Failure, failed};
use super::output::{count, show};
use crate::validators::{CheckedValidator, check_file};
use clap::Args;
use serde_json::json;
use std::path::PathBuf;

#[derive(Args)]
#[command(after_help = "\
Compiles the file and checks what a server checks at its start: that it is a component, imports nothing but the contract
(and what the runtimes of some languages bring along), exports the contract, and says who it is.

Examples:
  tocsin validator check validator.wasm
  tocsin validator check validator.wasm --json")]
pub(super) struct ValidatorCheckArgs {
    /// The component file
    file: PathBuf,
}

pub(super) fn run(global: &Global, ValidatorCheckArgs { file }: &ValidatorCheckArgs) -> Result<(), Failure> {
    let bytes = std::fs::read(file).map_err(|error| failed(format!("cannot read {}: {error}", file.display())))?;
    let checked = check_file(&bytes).map_err(|error| failed(format!("{}: {error}", file.display())))?;
    show(global, &json!(checked), || text(&checked));
    Ok(())
}

fn text(checked: &CheckedValidator) -> String {
    let CheckedValidator { identity, digest, imports, size, compile, identity_usage: _ } = checked;
    let imports = if imports.is_empty() { "nothing".to_owned() } else { imports.join("\n          ") };
    format!(
        "good      {identity}\ndigest    {digest}\nsize      {} bytes\ncompiled  in {} ms\nimports   {imports}",
        count(u64::try_from(*size).unwrap_or(u64::MAX)),
        compile.as_millis()
    )
}
