//! What `tocsin validator new` writes is built with the usual tools of its language, and then does what its cases say.
//!
//! The tools are fetched from their registries into `target/validator-tools`, once. Where that is not possible the test of
//! that language says so and stops.

use std::ffi::OsString;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};
use tempfile::TempDir;
use tocsin_tests::harness::{tocsin_binary, workspace};

/// For what fetches from a registry.
const FETCH_PATIENCE: Duration = Duration::from_secs(300);
/// For what only computes.
const PATIENCE: Duration = Duration::from_secs(600);
/// A shared machine is slow at times, and what is tested here is not how fast it is.
const COMPUTE_MS: &str = "10000";
/// The oldest Node.js that componentize-js runs on.
const OLDEST_NODE: u32 = 20;

#[test]
fn rust_project_builds_and_does_what_its_cases_say() {
    let project = new_project("rust");
    let folder = project.path();
    // The versions that this workspace was built with, so that nothing has to be fetched.
    std::fs::copy(workspace().join("Cargo.lock"), folder.join("Cargo.lock")).expect("the workspace has a lock file");
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let cargo = |arguments: &[&str]| {
        let mut command = Command::new(&cargo);
        command.current_dir(folder).args(arguments).env("CARGO_TARGET_DIR", tools_folder("rust"));
        command
    };
    succeeds(within(PATIENCE, &mut cargo(&["test"])));
    let mut build = cargo(&["build", "--release", "--target", "wasm32-wasip2"]);
    // Where the current compiler cannot build components, `cargo xtask test` names one that can.
    if let Some(rustc) = std::env::var_os("TOCSIN_WASM_RUSTC") {
        build.env("RUSTC", rustc);
    }
    succeeds(within(PATIENCE, &mut build));
    let component = tools_folder("rust").join("wasm32-wasip2/release/validator.wasm");
    std::fs::copy(component, folder.join("validator.wasm")).expect("cargo has built the component");
    check_component(folder, "symptom-date 0.1.0", 6);
    check_wrong_case(folder);
}

#[test]
fn javascript_project_builds_and_does_what_its_cases_say() {
    if let Some(reason) = node_is_missing() {
        return skip("JavaScript", &reason);
    }
    let project = new_project("js");
    let folder = project.path();
    succeeds(within(PATIENCE, in_folder(folder, "node").arg("--test")));
    let installed = install("javascript", &folder.join("package.json"), |tools| {
        let npm = ["install", "--no-audit", "--no-fund", "--no-package-lock"];
        fetch(in_folder(tools, "npm").args(npm))
    });
    let tools = match installed {
        Ok(tools) => tools,
        Err(reason) => return skip("JavaScript", &reason),
    };
    std::os::unix::fs::symlink(tools.join("node_modules"), folder.join("node_modules")).expect("a link");
    succeeds(within(PATIENCE, in_folder(folder, "npm").args(["run", "build"])));
    check_component(folder, "flood-brake 0.1.0", 5);
}

#[test]
fn python_project_builds_and_does_what_its_cases_say() {
    if !runs("python3") {
        return skip("Python", "python3 is not installed");
    }
    let project = new_project("python");
    let folder = project.path();
    succeeds(within(PATIENCE, in_folder(folder, "python3").args(["-m", "unittest"])));
    let installed = install("python", &folder.join("requirements.txt"), |tools| {
        fetch(in_folder(tools, "python3").args(["-m", "venv", "venv"]))?;
        let pip = ["-m", "pip", "install", "--disable-pip-version-check", "-r", "requirements.txt"];
        fetch(in_folder(tools, "venv/bin/python").args(pip))
    });
    let tools = match installed {
        Ok(tools) => tools,
        Err(reason) => return skip("Python", &reason),
    };
    let arguments = ["-d", "wit", "-w", "contract", "componentize", "--stub-wasi", "app", "-o", "validator.wasm"];
    succeeds(within(PATIENCE, in_folder(folder, tools.join("venv/bin/componentize-py")).args(arguments)));
    check_component(folder, "fresh-report 0.1.0", 5);
}

/// A folder that holds a project: `tocsin validator new` in a folder that is there and empty.
fn new_project(language: &str) -> TempDir {
    let folder = tempfile::tempdir().expect("temporary folder");
    succeeds(tocsin(folder.path(), &["validator", "new", "--lang", language, "."]));
    let again = tocsin(folder.path(), &["validator", "new", "--lang", language, "."]);
    let again = again.expect("tocsin runs");
    assert_eq!(again.status.code(), Some(1), "a folder that is in use is left alone");
    assert!(String::from_utf8_lossy(&again.stderr).contains("is not empty"));
    folder
}

/// The file passes the check, and all cases of the project go as they say.
fn check_component(folder: &Path, identity: &str, cases: usize) {
    // Keeps what is compiled: a runtime of a language takes a while.
    succeeds(tocsin(folder, &["init", "tocsin-data"]));
    let checked = succeeds(tocsin(folder, &["validator", "check", "validator.wasm", "--json"]));
    let checked: serde_json::Value = serde_json::from_str(&checked).expect("JSON");
    assert_eq!(checked["identity"], identity);
    let test = ["validator", "test", "validator.wasm", "--cases", "cases.json", "--compute-ms", COMPUTE_MS, "--json"];
    let tested = succeeds(tocsin(folder, &test));
    let tested: serde_json::Value = serde_json::from_str(&tested).expect("JSON");
    assert_eq!((&tested["passed"], &tested["failed"]), (&cases.into(), &0.into()), "{tested}");
    assert_eq!((&tested["identity"], &tested["digest"]), (&checked["identity"], &checked["digest"]));
    for case in tested["cases"].as_array().expect("a list") {
        assert_eq!(case["ok"], true, "{case}");
        for figure in ["fuel", "memory_bytes"] {
            assert!(case[figure].as_u64().is_some_and(|figure| figure > 0), "{case}");
        }
    }
}

/// A case that does not hold makes the command fail and is named.
fn check_wrong_case(folder: &Path) {
    let cases = r#"[{"name": "it accepts anything", "expect": {"accept": {}}}]"#;
    std::fs::write(folder.join("wrong.json"), cases).expect("written");
    let test = ["validator", "test", "validator.wasm", "--cases", "wrong.json", "--compute-ms", COMPUTE_MS];
    let output = tocsin(folder, &test).expect("tocsin runs");
    assert_eq!(output.status.code(), Some(1));
    let text = String::from_utf8_lossy(&output.stdout);
    for part in ["FAILED", "it accepts anything: expected accept, not reject config-invalid", "home_regions"] {
        assert!(text.contains(part), "{part:?} is not in {text}");
    }
}

fn tocsin(folder: &Path, arguments: &[&str]) -> Result<Output, String> {
    within(PATIENCE, in_folder(folder, tocsin_binary()).args(arguments))
}

/// Where the tools of a language are kept from run to run.
fn tools_folder(language: &str) -> PathBuf {
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| workspace().join("target"), PathBuf::from);
    workspace().join(target).join("validator-tools").join(language)
}

/// Installs tools unless those of this very list are there. `list` is copied into their folder first.
fn install(language: &str, list: &Path, fill: impl FnOnce(&Path) -> Result<(), String>) -> Result<PathBuf, String> {
    let folder = tools_folder(language);
    let done = folder.join("installed");
    let wanted = std::fs::read(list).expect("the project has it");
    if std::fs::read(&done).is_ok_and(|installed| installed == wanted) {
        return Ok(folder);
    }
    if folder.exists() {
        std::fs::remove_dir_all(&folder).expect("what is left of another installation can go");
    }
    std::fs::create_dir_all(&folder).expect("a folder below target");
    std::fs::copy(list, folder.join(list.file_name().expect("a name"))).expect("copied");
    fill(&folder)?;
    // Last, so that half an installation is never taken for a whole one.
    std::fs::write(done, wanted).expect("written");
    Ok(folder)
}

/// Fetching may fail for reasons that are not ours.
fn fetch(command: &mut Command) -> Result<(), String> {
    let program = command.get_program().to_string_lossy().into_owned();
    let output = within(FETCH_PATIENCE, command)?;
    if output.status.success() {
        return Ok(());
    }
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    let is_error = |line: &&str| line.starts_with("npm error") || line.starts_with("ERROR");
    let reason = text.lines().find(is_error).or(text.lines().last()).unwrap_or("no reason given");
    Err(format!("{program} could not install the tools: {reason}"))
}

fn node_is_missing() -> Option<String> {
    if !runs("npm") {
        return Some("npm is not installed".to_owned());
    }
    let output = Command::new("node").arg("--version").output().ok()?;
    let version = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    let major = version.trim_start_matches('v').split('.').next().and_then(|major| major.parse::<u32>().ok());
    match major {
        Some(major) if major >= OLDEST_NODE => None,
        _ => Some(format!("Node.js {OLDEST_NODE} is needed, and node says {version:?}")),
    }
}

fn runs(tool: &str) -> bool {
    let status = Command::new(tool).arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status();
    status.is_ok_and(|status| status.success())
}

/// Says so past the test harness, which shows nothing of tests that pass.
fn skip(language: &str, reason: &str) {
    let line = format!("SKIPPED: the {language} template of validators is not built: {reason}");
    writeln!(std::io::stderr().lock(), "{line}").expect("standard error");
}

fn in_folder(folder: &Path, program: impl Into<OsString>) -> Command {
    let mut command = Command::new(program.into());
    command.current_dir(folder);
    command
}

/// Runs a command to its end, and ends it when it takes too long.
fn within(patience: Duration, command: &mut Command) -> Result<Output, String> {
    let program = command.get_program().to_string_lossy().into_owned();
    let (out, error) = (tempfile::NamedTempFile::new(), tempfile::NamedTempFile::new());
    let (out, error) = (out.expect("temporary file"), error.expect("temporary file"));
    command.stdin(Stdio::null()).stdout(out.reopen().expect("opens")).stderr(error.reopen().expect("opens"));
    let mut child = command.spawn().map_err(|error| format!("{program} does not run: {error}"))?;
    let started = Instant::now();
    let status = loop {
        if let Some(status) = child.try_wait().expect("a child of ours") {
            break status;
        }
        if started.elapsed() > patience {
            child.kill().expect("killed");
            child.wait().expect("ended");
            return Err(format!("{program} took more than {} seconds", patience.as_secs()));
        }
        std::thread::sleep(Duration::from_millis(20));
    };
    let read = |file: &tempfile::NamedTempFile| std::fs::read(file.path()).expect("written by the child");
    Ok(Output { status, stdout: read(&out), stderr: read(&error) })
}

/// The command's standard output; fails the test unless it succeeded.
fn succeeds(output: Result<Output, String>) -> String {
    let output = output.expect("it runs");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{}: {text}{}", output.status, String::from_utf8_lossy(&output.stderr));
    text
}
