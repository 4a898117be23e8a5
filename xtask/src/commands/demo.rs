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
  cargo xtask demo --phones 100 --dir demo-data";

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Number of simulated phones
    #[arg(long, default_value_t = 1000)]
    phones: u32,
    /// Folder for all that the demo makes; must not exist. Default: a new one among the temporary files, which stays too
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
    /// More arguments for `tocsin demo`
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, value_name = "ARGS")]
    rest: Vec<String>,
}

pub(crate) fn run(args: &Args, workspace: &Workspace, steps: &mut Steps) -> Result<(), Failure> {
    build::everything(workspace, steps)?;
    let mut demo = Command::new(workspace.release_binary("tocsin"));
    demo.args(["demo", "--phones", &args.phones.to_string()]);
    if let Some(folder) = &args.dir {
        demo.arg("--dir").arg(folder);
    }
    demo.args(&args.rest).env(FOLDER_VARIABLE, workspace.components());
    steps.run("the demo", "see its message above, and server.log in the folder it names", &mut demo)
}
