//! Makes sure that some rustc can build for wasm32-wasip2.
//!
//! In this order, and the first that works ends it: the current rustc can; a standard library built earlier from
//! Debian's sources; rustup adds the target; building a standard library. Whether it works is always found out by
//! building a program, since a folder full of files proves nothing.

mod debian;

use crate::failure::Failure;
use crate::steps::Steps;
use crate::tools;
use crate::workspace::Workspace;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// What the components are built for.
pub(crate) const TARGET: &str = "wasm32-wasip2";

pub(crate) const HELP: &str = "\
When rustup cannot add the target, Debian's packages rustc-web, rust-web-src and wasi-libc are installed, and a standard
library is built from them once, in about a minute.

Environment:
  TOCSIN_SKIP_RUSTUP=1     go to Debian's packages at once
  TOCSIN_WASM_SYSROOT=DIR  where that standard library lives (default: tocsin/wasm32-wasip2-sysroot in the user's cache)

Example:
  cargo xtask setup";

/// A rustup that cannot reach its server may try for very long.
const RUSTUP_PATIENCE: Duration = Duration::from_secs(300);

/// Which compiler can build for [`TARGET`].
pub(crate) enum WasmRustc {
    /// The one cargo uses anyway.
    Current,
    /// This one: a component build needs `RUSTC` set to it.
    Fallback(PathBuf),
}

impl WasmRustc {
    /// Tells the user which one it is.
    pub(crate) fn explain(&self) {
        match self {
            Self::Current => eprintln!("xtask: the current rustc builds for {TARGET}"),
            Self::Fallback(path) => {
                eprintln!("xtask: cargo xtask uses a rustc of its own for {TARGET}; to do the same by hand:");
                println!("export RUSTC={}", debian::shell_quoted(&path.to_string_lossy()));
            }
        }
    }
}

/// Makes sure of a compiler. Quick when there is nothing to do.
pub(crate) fn ensure(workspace: &Workspace, steps: &mut Steps) -> Result<WasmRustc, Failure> {
    steps.time("making sure of the WebAssembly target", || {
        let current = std::env::var_os("RUSTC").unwrap_or_else(|| OsString::from("rustc"));
        let use_rustup = std::env::var_os("TOCSIN_SKIP_RUSTUP").is_none();
        if use_rustup && can_build(&current, workspace) {
            return Ok(WasmRustc::Current);
        }
        // Before rustup, which failed when this was made and may take minutes to fail again.
        if let Some(rustc) = debian::made_earlier(workspace)? {
            return Ok(WasmRustc::Fallback(rustc));
        }
        // With RUSTC set, what rustup does changes nothing.
        let ask_rustup = use_rustup && std::env::var_os("RUSTC").is_none();
        if ask_rustup && rustup_adds_target() && can_build(&current, workspace) {
            return Ok(WasmRustc::Current);
        }
        debian::make(workspace).map(WasmRustc::Fallback)
    })
}

/// Whether this compiler has a standard library for the target and can link a program with it.
fn can_build(rustc: impl AsRef<Path>, workspace: &Workspace) -> bool {
    let rustc = rustc.as_ref();
    // Asked first because it costs little and spares the user the compiler's long complaint.
    let library = tools::output(Command::new(rustc).args(["--print", "target-libdir", "--target", TARGET]));
    let has_library = library.is_some_and(|folder| has_std(Path::new(&folder)));
    if !has_library {
        eprintln!("    {} has no standard library for {TARGET}", rustc.display());
        return false;
    }
    // The process id keeps two xtasks apart.
    let folder = workspace.wasm_target().join(format!("probe-{}", std::process::id()));
    let built = build_probe(rustc, &folder);
    // A left-over folder does no harm.
    let _ = std::fs::remove_dir_all(&folder);
    built.unwrap_or_else(|error| {
        eprintln!("    cannot try {}: {error}", rustc.display());
        false
    })
}

fn has_std(folder: &Path) -> bool {
    let Ok(entries) = std::fs::read_dir(folder) else { return false };
    entries.flatten().any(|entry| {
        let name = entry.file_name();
        let name = name.to_string_lossy();
        name.starts_with("libstd-") && name.ends_with(".rlib")
    })
}

/// Builds a program that needs an allocator, randomness and output.
fn build_probe(rustc: &Path, folder: &Path) -> std::io::Result<bool> {
    const PROBE: &str = r#"fn main() { println!("{:?}", std::collections::HashMap::from([(1, 2)])); }"#;
    std::fs::create_dir_all(folder)?;
    let source = folder.join("probe.rs");
    std::fs::write(&source, PROBE)?;
    let mut command = Command::new(rustc);
    command.args(["--edition", "2024", "--target", TARGET, "-o"]).arg(folder.join("probe.wasm")).arg(&source);
    Ok(command.status()?.success())
}

/// Asks rustup for the target. Its own messages go to standard error.
fn rustup_adds_target() -> bool {
    if tools::find("rustup").is_none() {
        eprintln!("    there is no rustup to ask for it");
        return false;
    }
    eprintln!("    rustup target add {TARGET}");
    let mut command = Command::new("rustup");
    command.args(["target", "add", TARGET]).stdin(Stdio::null()).stdout(std::io::stderr());
    let added = finishes_within(&mut command, RUSTUP_PATIENCE);
    if !added {
        eprintln!("    rustup could not add it");
    }
    added
}

/// Whether the program succeeds in that time; it is killed when it takes longer.
fn finishes_within(command: &mut Command, patience: Duration) -> bool {
    let Ok(mut child) = command.spawn() else { return false };
    let deadline = Instant::now() + patience;
    while Instant::now() < deadline {
        match child.try_wait() {
            Ok(Some(status)) => return status.success(),
            Ok(None) => std::thread::sleep(Duration::from_millis(50)),
            Err(_) => return false,
        }
    }
    eprintln!("    no end after {} s: stopping it", patience.as_secs());
    // It may have ended just now; either way it is over.
    let _ = child.kill();
    let _ = child.wait();
    false
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    #[test]
    fn program_that_takes_too_long_is_stopped() {
        let started = Instant::now();
        assert!(!finishes_within(Command::new("sleep").arg("60"), Duration::from_millis(100)));
        assert!(started.elapsed() < Duration::from_secs(30));
    }

    #[test]
    fn outcome_of_a_program_that_ends_in_time_is_its_own() {
        assert!(finishes_within(&mut Command::new("true"), Duration::from_secs(60)));
        assert!(!finishes_within(&mut Command::new("false"), Duration::from_secs(60)));
    }
}
