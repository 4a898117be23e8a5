//! `cargo xtask demo`.

use crate::commands::build;
use crate::components::FOLDER_VARIABLE;
use crate::failure::Failure;
use crate::steps::Steps;
use crate::workspace::Workspace;
use std::path::PathBuf;
use std::process::Command;

pub(crate) const HELP: &str = "\
Other arguments go to `tocsin demo` as they are.

Examples:
  cargo xtask demo
  cargo xtask demo --phones 100 --keep demo-data";

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Number of simulated phones
    #[arg(long, default_value_t = 1000)]
    phones: u32,
    /// Keep the data in this folder instead of deleting it at the end
    #[arg(long, value_name = "DIR")]
    keep: Option<PathBuf>,
    /// More arguments for `tocsin demo`
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, value_name = "ARGS")]
    rest: Vec<String>,
}

pub(crate) fn run(args: &Args, workspace: &Workspace, steps: &mut Steps) -> Result<(), Failure> {
    build::everything(workspace, steps)?;
    let mut demo = Command::new(workspace.release_binary("tocsin"));
    demo.args(["demo", "--phones", &args.phones.to_string()]);
    if let Some(folder) = &args.keep {
        demo.arg("--keep").arg(folder);
    }
    demo.args(&args.rest).env(FOLDER_VARIABLE, workspace.components());
    steps.run("the demo", "see its message above; `--keep DIR` leaves its data for a look", &mut demo)
}
