//! `cargo xtask dist`.

use crate::components;
use crate::failure::Failure;
use crate::steps::Steps;
use crate::tools;
use crate::workspace::Workspace;
use std::path::Path;
use std::process::Command;

pub(crate) const HELP: &str = "\
The components inside can still be replaced by files: the configuration names a folder.

Example:
  cargo xtask dist && dist/tocsin --help";

pub(crate) fn run(workspace: &Workspace, steps: &mut Steps) -> Result<(), Failure> {
    components::build(workspace, steps)?;
    let mut cargo = workspace.cargo();
    cargo.args(["build", "--release", "--package", "tocsin-host", "--bin", "tocsin"]);
    cargo.args(["--features", "embedded-components"]);
    steps.run("building the host with the components inside", "see the compiler's message above", &mut cargo)?;

    let folder = workspace.root.join("dist");
    let file = folder.join("tocsin");
    // Copied to a new name first: a running server holds the old file, which then cannot be overwritten.
    let new = folder.join("tocsin.new");
    std::fs::create_dir_all(&folder)
        .and_then(|()| std::fs::copy(workspace.release_binary("tocsin"), &new))
        .inspect(|_| strip_debug_information(&new))
        .and_then(|_| std::fs::rename(&new, &file))
        .map_err(|error| {
            Failure::new(format!("cannot write {}: {error}", workspace.display(&file)), "check rights and free space")
        })?;
    report(workspace, &file);
    Ok(())
}

/// Drops line tables and keeps function names, which is what a backtrace needs. Without `strip` the file is only larger.
fn strip_debug_information(file: &Path) {
    let stripped = tools::output(Command::new("strip").arg("--strip-debug").arg(file)).is_some();
    if !stripped {
        eprintln!("    no usable `strip` (package binutils): the file keeps its debug information");
    }
}

fn report(workspace: &Workspace, file: &Path) {
    let bytes = std::fs::metadata(file).map_or(0, |metadata| metadata.len());
    println!("{bytes} bytes  {}", workspace.display(file));
    let sum = tools::output(Command::new("sha256sum").arg(file))
        .or_else(|| tools::output(Command::new("shasum").args(["-a", "256"]).arg(file)));
    match sum.as_deref().and_then(|line| line.split_whitespace().next()) {
        Some(sum) => println!("SHA-256 {sum}"),
        None => println!("SHA-256 unknown: neither sha256sum nor shasum is installed"),
    }
}
