//! `cargo xtask fuzz`.

mod keep;

use crate::components::VALIDATORS;
use crate::failure::Failure;
use crate::steps::Steps;
use crate::tools;
use crate::workspace::Workspace;
use std::ffi::OsString;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;

pub(crate) const HELP: &str = "\
Runs on the stable toolchain; needs a C++ compiler for libFuzzer, and no cargo-fuzz. docs/testing.md says how to go on
from a finding.

Examples:
  cargo xtask fuzz
  cargo xtask fuzz publish_request --seconds 600 --keep
  cargo xtask fuzz publish_request --input fuzz/artifacts/publish_request/crash-0123";

/// Seconds for each target, by default and, but for those of the validators, in `cargo xtask test`.
const SHORT: u32 = 10;
/// Seconds for each target of a validator in `cargo xtask test`: they are many, and most evidence is refused early.
const SHORT_FOR_VALIDATORS: u32 = 5;

/// What cargo-fuzz passes, apart from the address sanitizer, which needs a nightly compiler (and would find little in
/// code without `unsafe`): coverage counters, which code they belong to, and the operands of comparisons.
const INSTRUMENTATION: [&str; 8] = [
    "--cfg=fuzzing",
    "-Cpasses=sancov-module",
    "-Cllvm-args=-sanitizer-coverage-level=4",
    "-Cllvm-args=-sanitizer-coverage-inline-8bit-counters",
    "-Cllvm-args=-sanitizer-coverage-pc-table",
    "-Cllvm-args=-sanitizer-coverage-trace-compares",
    "-Ccodegen-units=1",
    "-Cforce-frame-pointers",
];

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Target, a file of fuzz/fuzz_targets; default: all of them
    #[arg(value_name = "TARGET")]
    target: Option<String>,
    /// How long each target runs, in seconds
    #[arg(long, default_value_t = SHORT, value_name = "N")]
    seconds: u32,
    /// Afterwards add to fuzz/corpus what reaches much code that nothing there reaches
    #[arg(long)]
    keep: bool,
    /// Run the target once, on this file: repeats a finding
    #[arg(long, value_name = "FILE", requires = "target", conflicts_with_all = ["seconds", "keep"])]
    input: Option<PathBuf>,
}

pub(crate) fn run(args: &Args, workspace: &Workspace, steps: &mut Steps) -> Result<(), Failure> {
    let fuzzing = Fuzzing { workspace };
    let targets = fuzzing.chosen(args.target.as_deref())?;
    ensure_compiler().map_err(|reason| Failure::new(format!("no {reason}"), "install it, and repeat this command"))?;
    fuzzing.build(&targets, steps)?;
    match (&args.input, targets.as_slice()) {
        (Some(input), [target, ..]) => fuzzing.repeat(target, input, steps),
        _ => fuzzing.fuzz(&targets, |_| args.seconds, args.keep, steps),
    }
}

/// All targets, for a short time. [`ensure_compiler`] has been called.
pub(crate) fn short(workspace: &Workspace, steps: &mut Steps) -> Result<(), Failure> {
    let fuzzing = Fuzzing { workspace };
    let targets = fuzzing.chosen(None)?;
    fuzzing.build(&targets, steps)?;
    fuzzing.fuzz(&targets, short_seconds, false, steps)
}

fn short_seconds(target: &str) -> u32 {
    let is_validator = VALIDATORS.iter().any(|name| name.replace('-', "_") == target);
    if is_validator { SHORT_FOR_VALIDATORS } else { SHORT }
}

/// Installs a C++ compiler if there is none. The error says what is missing and why.
pub(crate) fn ensure_compiler() -> Result<(), String> {
    let is_there = || std::env::var_os("CXX").is_some() || tools::find("c++").is_some();
    if is_there() {
        return Ok(());
    }
    let reason = tools::apt_install(&["g++"]).err();
    if is_there() {
        return Ok(());
    }
    Err(format!("c++ (package g++): {}", reason.unwrap_or_else(|| "installed, but not on the path".to_owned())))
}

/// Cargo for the targets, which are a workspace of their own.
pub(crate) fn cargo(workspace: &Workspace, command: &str) -> Command {
    let mut cargo = workspace.cargo();
    cargo.env("CARGO_TARGET_DIR", target_folder(workspace)).args([command, "--manifest-path", "fuzz/Cargo.toml"]);
    cargo
}

/// Apart from the other builds, which have other flags.
fn target_folder(workspace: &Workspace) -> PathBuf {
    workspace.target.join("fuzz")
}

struct Fuzzing<'w> {
    workspace: &'w Workspace,
}

impl Fuzzing<'_> {
    fn folder(&self) -> PathBuf {
        self.workspace.root.join("fuzz")
    }

    /// The named target, or all.
    fn chosen(&self, name: Option<&str>) -> Result<Vec<String>, Failure> {
        let sources = self.folder().join("fuzz_targets");
        let entries = fs::read_dir(&sources).map_err(|error| cannot_read(&sources, &error))?;
        let stem = |path: PathBuf| Some(path.file_stem()?.to_str()?.to_owned());
        let mut all: Vec<String> = entries.flatten().filter_map(|entry| stem(entry.path())).collect();
        all.sort();
        match name {
            None => Ok(all),
            Some(name) if all.iter().any(|target| target == name) => Ok(vec![name.to_owned()]),
            Some(name) => {
                Err(Failure::new(format!("there is no target {name}"), format!("choose one of: {}", all.join(", "))))
            }
        }
    }

    fn build(&self, targets: &[String], steps: &mut Steps) -> Result<(), Failure> {
        let host = host()?;
        let mut cargo = cargo(self.workspace, "build");
        // With a target named, the flags are not for build scripts and macros, which have nobody to count for.
        cargo.args(["--release", "--target", &host]).env("RUSTFLAGS", flags()).env_remove("CARGO_ENCODED_RUSTFLAGS");
        for target in targets {
            cargo.args(["--bin", target]);
        }
        steps.run("building the fuzz targets", "see the compiler's message above", &mut cargo)
    }

    fn binary(&self, target: &str) -> Result<PathBuf, Failure> {
        let name = format!("{target}{}", std::env::consts::EXE_SUFFIX);
        Ok(target_folder(self.workspace).join(host()?).join("release").join(name))
    }

    /// All are run in any case; the first failure decides the exit code.
    fn fuzz(
        &self,
        targets: &[String],
        seconds: impl Fn(&str) -> u32,
        keep: bool,
        steps: &mut Steps,
    ) -> Result<(), Failure> {
        let mut result = Ok(());
        for target in targets {
            let ended = self.fuzz_one(target, seconds(target), steps);
            let ended = if keep { ended.and_then(|()| self.keep(target, steps)) } else { ended };
            result = result.and(ended);
        }
        result
    }

    fn fuzz_one(&self, target: &str, seconds: u32, steps: &mut Steps) -> Result<(), Failure> {
        let found = self.found(target);
        let artifacts = self.folder().join("artifacts").join(target);
        for folder in [&found, &artifacts] {
            fs::create_dir_all(folder).map_err(|error| cannot_write(folder, &error))?;
        }
        let log = target_folder(self.workspace).join("logs").join(format!("{target}.log"));
        let file = create(&log)?;
        let mut command = Command::new(self.binary(target)?);
        command
            .arg(format!("-max_total_time={seconds}"))
            .args(["-rss_limit_mb=2048", "-timeout=60", "-print_final_stats=1"])
            .arg(option("-dict=", &self.folder().join("dictionaries").join(format!("{target}.dict"))))
            // libFuzzer appends the name of the file.
            .arg(option("-artifact_prefix=", &artifacts.join("")))
            // What is found goes into the first folder; those behind it are only read.
            .arg(&found)
            .arg(self.kept(target))
            .current_dir(&self.workspace.root)
            .stderr(file);
        let name = format!("fuzzing {target} for {seconds} s");
        let result = steps.run(&name, "", &mut command);
        let log_text = fs::read_to_string(&log).map_err(|error| cannot_read(&log, &error))?;
        match result {
            Ok(()) => {
                eprintln!("    {}; log: {}", summary(&log_text), self.workspace.display(&log));
                Ok(())
            }
            Err(failure) => {
                eprintln!("{}", last_lines(&log_text, 40));
                Err(Failure { next: self.what_to_do(target, &log, &log_text), ..failure })
            }
        }
    }

    fn what_to_do(&self, target: &str, log: &Path, log_text: &str) -> String {
        match written_input(log_text) {
            Some(input) => {
                let input = self.workspace.display(&input);
                format!("the input is in {input}; repeat it with\n  cargo xtask fuzz {target} --input {input}")
            }
            None => format!("see the message above and {}", self.workspace.display(log)),
        }
    }

    fn repeat(&self, target: &str, input: &Path, steps: &mut Steps) -> Result<(), Failure> {
        // The target runs in the root, as its other runs do.
        let input = std::path::absolute(input).map_err(|error| cannot_read(input, &error))?;
        File::open(&input).map_err(|error| cannot_read(&input, &error))?;
        let mut command = Command::new(self.binary(target)?);
        command.arg(&input).current_dir(&self.workspace.root).env("RUST_BACKTRACE", "1");
        let next = "the input still fails: see the message above, and docs/testing.md";
        steps.run(&format!("running {target} on one input"), next, &mut command)
    }

    /// Of what was found, the inputs that reach much that no other reaches go into the repository.
    fn keep(&self, target: &str, steps: &mut Steps) -> Result<(), Failure> {
        let (kept, found) = (self.kept(target), self.found(target));
        let logs = target_folder(self.workspace).join("logs");
        let (log, control_file) = (logs.join(format!("{target}.keep.log")), logs.join(format!("{target}.control")));
        // libFuzzer copies what it would keep, and goes on from the control file of an earlier merge.
        let merged = logs.join(format!("{target}.merged"));
        let _ = (fs::remove_dir_all(&merged), fs::remove_file(&control_file));
        fs::create_dir_all(&merged).map_err(|error| cannot_write(&merged, &error))?;
        let mut command = Command::new(self.binary(target)?);
        // All that each input reaches (the other merge tells only what is new in each), and not how often: the latter
        // guides the search, and there is no end of it.
        command.args(["-set_cover_merge=1", "-use_counters=0"]).arg(option("-merge_control_file=", &control_file));
        command.args([&merged, &kept, &found]).current_dir(&self.workspace.root).stderr(create(&log)?);
        let next = format!("see {}", self.workspace.display(&log));
        steps.run(&format!("looking for inputs of {target} to keep"), &next, &mut command)?;
        let text = fs::read_to_string(&control_file).map_err(|error| cannot_read(&control_file, &error))?;
        let chosen = keep::choose(&text, &kept).map_err(|what| {
            Failure::new(format!("{}: {what}", self.workspace.display(&control_file)), "has libFuzzer changed it?")
        })?;
        for input in &chosen {
            let Some(name) = input.file_name() else { continue };
            fs::copy(input, kept.join(name)).map_err(|error| cannot_write(&kept, &error))?;
        }
        eprintln!("    {} more in {}", chosen.len(), self.workspace.display(&kept));
        Ok(())
    }

    /// What earlier runs found, on this machine only.
    fn found(&self, target: &str) -> PathBuf {
        target_folder(self.workspace).join("found").join(target)
    }

    /// The inputs in the repository.
    fn kept(&self, target: &str) -> PathBuf {
        self.folder().join("corpus").join(target)
    }
}

/// The user's own flags stay.
fn flags() -> String {
    let own = std::env::var("RUSTFLAGS").unwrap_or_default();
    [own.as_str()].into_iter().filter(|own| !own.is_empty()).chain(INSTRUMENTATION).collect::<Vec<_>>().join(" ")
}

/// The platform of this machine, as rustc names it.
fn host() -> Result<String, Failure> {
    let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| OsString::from("rustc"));
    tools::output(Command::new(rustc).arg("-vV"))
        .and_then(|version| Some(version.lines().find_map(|line| line.strip_prefix("host: "))?.to_owned()))
        .ok_or_else(|| Failure::new("rustc -vV tells no host", "make sure that rustc is on the path"))
}

fn option(name: &str, path: &Path) -> OsString {
    let mut option = OsString::from(name);
    option.push(path);
    option
}

fn create(path: &Path) -> Result<File, Failure> {
    path.parent().map_or(Ok(()), fs::create_dir_all).map_err(|error| cannot_write(path, &error))?;
    File::create(path).map_err(|error| cannot_write(path, &error))
}

fn cannot_read(path: &Path, error: &std::io::Error) -> Failure {
    Failure::new(format!("cannot read {}: {error}", path.display()), "make sure that it exists")
}

fn cannot_write(path: &Path, error: &std::io::Error) -> Failure {
    Failure::new(format!("cannot write {}: {error}", path.display()), "check rights and free space")
}

/// `12345 inputs, 678 edges of code covered`, from libFuzzer's log.
fn summary(log: &str) -> String {
    let runs = log.lines().find_map(|line| line.strip_prefix("stat::number_of_executed_units:")).map_or("?", str::trim);
    let covered = |line: &str| Some(line.split_once(" cov: ")?.1.split(' ').next()?.to_owned());
    let edges = log.lines().rev().find_map(covered).unwrap_or_else(|| "?".to_owned());
    format!("{runs} inputs, {edges} edges of code covered")
}

/// Where libFuzzer says that it wrote the input that failed.
fn written_input(log: &str) -> Option<PathBuf> {
    log.lines().find_map(|line| Some(line.split_once("Test unit written to ")?.1.trim().into()))
}

fn last_lines(text: &str, count: usize) -> String {
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(count)..].join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOG: &str = "#4\tINITED cov: 91 ft: 92 corp: 1/1b exec/s: 0 rss: 40Mb\n\
        #900\tDONE   cov: 412 ft: 990 corp: 80/9Kb exec/s: 90 rss: 50Mb\n\
        stat::number_of_executed_units: 900\nstat::average_exec_per_sec:     90\n";

    #[test]
    fn targets_of_validators_are_short_in_tests() {
        assert_eq!(["app_attest", "safetynet", "certificate"].map(short_seconds), [5, 5, 10]);
    }

    #[test]
    fn log_is_summed_up() {
        assert_eq!(summary(LOG), "900 inputs, 412 edges of code covered");
        assert_eq!(summary("nothing"), "? inputs, ? edges of code covered");
    }

    #[test]
    fn file_of_a_finding_is_named() {
        let log = "thread panicked\nartifact_prefix='/x/'; Test unit written to /x/crash-12ab\nBase64: AA==\n";
        assert_eq!(written_input(log), Some(PathBuf::from("/x/crash-12ab")));
        assert_eq!(written_input(LOG), None);
    }

    #[test]
    fn end_of_a_log_is_cut_off() {
        assert_eq!(last_lines("a\nb\nc\n", 2), "b\nc");
        assert_eq!(last_lines("a", 2), "a");
    }
}
