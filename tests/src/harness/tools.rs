//! Tools that are not ours, for checks by a second implementation.

use std::path::Path;
use std::process::{Command, Output, Stdio};

/// Whether a tool can be run; if not, the test that needs it says so and stops.
pub fn has(tool: &str) -> bool {
    let found = Command::new(tool).arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok();
    if !found {
        assert!(std::env::var_os("CI").is_none(), "{tool} must be there in CI; `cargo xtask test` installs it");
        eprintln!("SKIPPED: {tool} is not installed; `cargo xtask test` says how to get it");
    }
    found
}

/// Runs a tool in a folder.
pub fn run(folder: &Path, tool: &str, arguments: &[&str]) -> Output {
    Command::new(tool).current_dir(folder).args(arguments).output().expect("the tool runs")
}
