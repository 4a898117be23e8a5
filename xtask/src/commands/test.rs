//! `cargo xtask test`.

use crate::commands::{build, fuzz};
use crate::failure::Failure;
use crate::steps::Steps;
use crate::tools;
use crate::wasm_target::{self, WasmRustc};
use crate::workspace::{HOST_PACKAGES, LIGHT_PACKAGES, Workspace};
use std::process::Command;

pub(crate) const HELP: &str = "\
Arguments are those of `cargo test`: a part of a test's name, `-p PACKAGE`, and after `--` those of the test programs.
Without arguments the fuzz targets run too, each for five or ten seconds.

Examples:
  cargo xtask test
  cargo xtask test revision_token
  cargo xtask test -p tocsin-domain -- --nocapture
  cargo xtask test --crash --rounds 200";

/// Rounds of the crash test; the test has its own, smaller default.
const ROUNDS_VARIABLE: &str = "TOCSIN_CRASH_ROUNDS";

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Only the crash test, with many rounds: the server is killed under load, and nothing it acknowledged may be lost
    #[arg(long)]
    crash: bool,
    /// Rounds of the crash test
    #[arg(long, default_value_t = 50, requires = "crash")]
    rounds: u32,
    /// Arguments for `cargo test`
    #[arg(allow_hyphen_values = true, value_name = "ARGS")]
    rest: Vec<String>,
    /// Arguments for the test programs, such as --nocapture
    #[arg(last = true, value_name = "TEST_ARGS")]
    programs: Vec<String>,
}

impl Args {
    /// What goes to cargo and what to the test programs. The `--` between them stays in `rest` when something precedes
    /// it.
    fn split(&self) -> (&[String], &[String]) {
        match self.rest.iter().position(|argument| argument == "--") {
            Some(at) => (&self.rest[..at], &self.rest[at + 1..]),
            None => (&self.rest, &self.programs),
        }
    }
}

pub(crate) fn run(args: &Args, workspace: &Workspace, steps: &mut Steps) -> Result<(), Failure> {
    build::everything_for_tests(workspace, steps)?;
    let rustc = wasm_target::ensure(workspace, steps)?;
    if args.crash {
        return crash(args, &rustc, workspace, steps);
    }
    let mut missing = steps.time("looking for unzip, openssl and protoc", ensure_external_tools);

    let mut totals = Totals::default();
    let mut result = Ok(());
    for (name, packages) in selections(args.split().0) {
        let ended = one_run(name, packages, args, &rustc, workspace, steps, &mut totals);
        // All of it is run in any case; the first failure decides the exit code.
        result = result.and(ended);
    }
    if args.rest.is_empty() && args.programs.is_empty() {
        match fuzz::ensure_compiler() {
            Ok(()) => result = result.and(fuzz::short(workspace, steps)),
            Err(reason) => missing.push(reason),
        }
    }
    println!("{totals}");
    for missing in missing {
        println!("skipped: tests that need {missing}");
    }
    result
}

/// The runs of cargo test, quick tests first: for each a name and the arguments that select packages.
fn selections(for_cargo: &[String]) -> Vec<(&'static str, &'static [&'static str])> {
    if names_packages(for_cargo) {
        return vec![("testing", &[])];
    }
    let host = ("testing host and whole", HOST_PACKAGES.as_slice());
    // A file of tests, which is there and would be an error elsewhere.
    if for_cargo.iter().any(|argument| argument == "--test" || argument.starts_with("--test=")) {
        return vec![host];
    }
    vec![("testing what needs no host", LIGHT_PACKAGES.as_slice()), host]
}

fn one_run(
    name: &str,
    packages: &[&str],
    args: &Args,
    rustc: &WasmRustc,
    workspace: &Workspace,
    steps: &mut Steps,
    totals: &mut Totals,
) -> Result<(), Failure> {
    let (for_cargo, for_programs) = args.split();
    let mut cargo = cargo_test(workspace, rustc);
    cargo.arg("--no-fail-fast").args(packages).args(for_cargo).arg("--").args(for_programs);
    steps.run_and_watch(name, "see the failures above", &mut cargo, |piece| totals.watch(piece))
}

fn crash(args: &Args, rustc: &WasmRustc, workspace: &Workspace, steps: &mut Steps) -> Result<(), Failure> {
    let mut cargo = cargo_test(workspace, rustc);
    let (for_cargo, for_programs) = args.split();
    cargo.args(HOST_PACKAGES).args(["--test", "crash"]).args(for_cargo);
    // Not captured, one at a time: the rounds are seen as they pass.
    cargo
        .args(["--", "--nocapture", "--test-threads", "1"])
        .args(for_programs)
        .env(ROUNDS_VARIABLE, args.rounds.to_string());
    let name = format!("crash test, {} rounds", args.rounds);
    steps.run(&name, "see the failure above: it says what was lost and where the data is", &mut cargo)
}

/// Release, because a server without optimisation is too slow for the tests of the whole.
fn cargo_test(workspace: &Workspace, rustc: &WasmRustc) -> Command {
    let mut cargo = workspace.cargo();
    cargo.args(["test", "--release"]).env("TOCSIN_BIN", workspace.release_binary("tocsin"));
    // Tests that build components themselves need the compiler that can.
    if let WasmRustc::Fallback(path) = rustc {
        cargo.env("TOCSIN_WASM_RUSTC", path);
    }
    cargo
}

fn names_packages(arguments: &[String]) -> bool {
    arguments.iter().any(|argument| argument.starts_with("-p") || argument.starts_with("--package"))
}

/// Export files are also checked with programs that are not ours. Installs those that are missing; returns those that
/// could not be had, with the reason.
fn ensure_external_tools() -> Vec<String> {
    const TOOLS: [(&str, &str); 3] = [("unzip", "unzip"), ("openssl", "openssl"), ("protoc", "protobuf-compiler")];
    let missing = || TOOLS.into_iter().filter(|(program, _)| tools::find(program).is_none());
    let packages: Vec<&str> = missing().map(|(_, package)| package).collect();
    if packages.is_empty() {
        return Vec::new();
    }
    let reason = tools::apt_install(&packages).err().unwrap_or_else(|| "installed, but not on the path".to_owned());
    missing().map(|(program, package)| format!("{program} (package {package}): {reason}")).collect()
}

/// Sums cargo test's `test result:` lines, of which there is one for each test program.
#[derive(Debug, Default, PartialEq)]
struct Totals {
    passed: u64,
    failed: u64,
    ignored: u64,
    line: Vec<u8>,
}

impl Totals {
    fn watch(&mut self, piece: &[u8]) {
        for byte in piece {
            if *byte == b'\n' {
                let line = std::mem::take(&mut self.line);
                self.add(&String::from_utf8_lossy(&line));
            } else {
                self.line.push(*byte);
            }
        }
    }

    /// `test result: ok. 12 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.01s`
    fn add(&mut self, line: &str) {
        let Some(result) = line.strip_prefix("test result: ") else { return };
        let words: Vec<&str> = result.split([' ', ';']).collect();
        for pair in words.windows(2) {
            let [number, what] = pair else { continue };
            let Ok(number) = number.parse::<u64>() else { continue };
            match *what {
                "passed" => self.passed += number,
                "failed" => self.failed += number,
                "ignored" => self.ignored += number,
                _ => {}
            }
        }
    }
}

impl std::fmt::Display for Totals {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "all test programs: {} passed, {} failed, {} ignored", self.passed, self.failed, self.ignored)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_of_all_test_programs_are_summed() {
        let mut totals = Totals::default();
        let output = "running 12 tests\ntest result: ok. 12 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out; \
                      finished in 0.01s\n\ntest result: FAILED. 3 passed; 2 failed; 0 ignored; 0 measured\n";
        // In pieces, as a pipe delivers it.
        for piece in output.as_bytes().chunks(7) {
            totals.watch(piece);
        }
        assert_eq!(totals, Totals { passed: 15, failed: 2, ignored: 1, line: Vec::new() });
    }

    #[test]
    fn arguments_are_split_where_cargo_test_splits_them() {
        #[derive(clap::Parser)]
        struct Cli {
            #[command(flatten)]
            args: Args,
        }
        let check = |line: &str, cargo: &[&str], programs: &[&str]| {
            let cli: Cli = clap::Parser::try_parse_from(format!("test {line}").split_whitespace()).unwrap();
            assert_eq!(cli.args.split(), (to_strings(cargo).as_slice(), to_strings(programs).as_slice()), "{line}");
        };
        check("", &[], &[]);
        check("revision_token", &["revision_token"], &[]);
        check("-- --nocapture", &[], &["--nocapture"]);
        check("-p tocsin-domain -- --nocapture", &["-p", "tocsin-domain"], &["--nocapture"]);
        check("--crash --rounds 3 kill -- --list", &["kill"], &["--list"]);
    }

    #[test]
    fn named_packages_are_seen() {
        let check = |arguments: &[&str], expect| assert_eq!(names_packages(&to_strings(arguments)), expect);
        check(&["revision_token"], false);
        check(&["-p", "tocsin-domain"], true);
        check(&["--package=tocsin-domain"], true);
    }

    fn to_strings(words: &[&str]) -> Vec<String> {
        words.iter().map(|word| (*word).to_owned()).collect()
    }
}
