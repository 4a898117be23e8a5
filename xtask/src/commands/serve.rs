//! `cargo xtask serve`.

use crate::commands::build;
use crate::components::FOLDER_VARIABLE;
use crate::failure::Failure;
use crate::steps::Steps;
use crate::workspace::Workspace;
use std::path::{Path, PathBuf};
use std::process::Command;

pub(crate) const HELP: &str = "\
Stop it with Ctrl-C: it finishes the requests it has accepted.

Examples:
  cargo xtask serve
  cargo xtask serve --data /var/lib/tocsin";

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Folder with configuration, keys, database and files; made with `tocsin init` when there is none
    #[arg(long, value_name = "DIR", default_value = "tocsin-data")]
    data: PathBuf,
    /// More arguments for `tocsin serve`
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, value_name = "ARGS")]
    rest: Vec<String>,
}

pub(crate) fn run(args: &Args, workspace: &Workspace, steps: &mut Steps) -> Result<(), Failure> {
    build::everything(workspace, steps)?;
    let tocsin = || {
        let mut command = Command::new(workspace.release_binary("tocsin"));
        command.env(FOLDER_VARIABLE, workspace.components());
        command
    };
    if args.data.join("tocsin.toml").exists() {
        eprintln!("==> using {}", args.data.display());
    } else {
        prepare(&args.data, tocsin(), steps)?;
    }
    steps.print_times();
    let mut serve = tocsin();
    serve.arg("serve").arg("--data").arg(&args.data).args(&args.rest);
    Err(become_program(&mut serve))
}

fn prepare(data: &Path, mut tocsin: Command, steps: &mut Steps) -> Result<(), Failure> {
    let name = format!("making {}", data.display());
    steps.run(&name, "see its message above", tocsin.arg("init").arg(data))
}

/// Becomes the server, so that signals reach it and not a parent that waits for it.
#[cfg(unix)]
fn become_program(command: &mut Command) -> Failure {
    use std::os::unix::process::CommandExt;
    eprintln!("==> serving");
    let error = command.exec();
    Failure::new(format!("the server did not start: {error}"), "run `cargo xtask build` and look for errors")
}

#[cfg(not(unix))]
fn become_program(_: &mut Command) -> Failure {
    Failure::new("the server needs a Unix", "use Linux")
}
