//! The real binary in its own process, for crash tests, benchmarks and tests of the command line.

use std::io::{BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};

/// Runs a command of `tocsin` on a data folder and returns its output.
pub fn tocsin(data: &Path, arguments: &[&str]) -> Output {
    command(data).args(arguments).output().expect("tocsin runs")
}

/// As [`tocsin`]; fails the test unless the command succeeds. Returns its standard output.
pub fn tocsin_ok(data: &Path, arguments: &[&str]) -> String {
    let output = tocsin(data, arguments);
    assert!(
        output.status.success(),
        "tocsin {arguments:?} failed: {}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout).expect("UTF-8")
}

fn command(data: &Path) -> Command {
    let mut command = Command::new(super::tocsin_binary());
    command.arg("--data").arg(data).arg("--components").arg(super::components_folder());
    command
}

/// A `tocsin serve` in its own process. Killed when dropped.
#[derive(Debug)]
pub struct ServerProcess {
    child: Child,
    /// Where phones reach it.
    pub address: SocketAddr,
    log: PathBuf,
}

impl ServerProcess {
    /// Starts the server and waits until it listens. Its log goes to a file in the folder.
    ///
    /// # Panics
    /// When it does not come to listen.
    pub fn start(data: &Path) -> Self {
        let log = data.join("server.log");
        let log_file = std::fs::OpenOptions::new().create(true).append(true).open(&log).expect("log file");
        let mut child = command(data)
            .arg("serve")
            .stdout(Stdio::piped())
            .stderr(log_file)
            .stdin(Stdio::null())
            .spawn()
            .expect("tocsin starts");
        let mut lines = BufReader::new(child.stdout.take().expect("piped")).lines();
        let address = lines
            .by_ref()
            .map_while(Result::ok)
            .find_map(|line| line.strip_prefix("listening on http://").and_then(|address| address.trim().parse().ok()));
        let Some(address) = address else {
            child.kill().ok();
            child.wait().ok();
            panic!("the server did not start: {}", std::fs::read_to_string(&log).unwrap_or_default());
        };
        Self { child, address, log }
    }

    /// Process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// All it has logged.
    pub fn log(&self) -> String {
        let mut log = String::new();
        std::fs::File::open(&self.log).and_then(|mut file| file.read_to_string(&mut log)).expect("log file");
        log
    }

    /// `kill -9`.
    pub fn kill(mut self) {
        self.child.kill().expect("killed");
        self.child.wait().expect("ended");
    }

    /// `SIGTERM`, and how it ended.
    pub fn terminate(mut self) -> ExitStatus {
        let ended = Command::new("kill").args(["-TERM", &self.child.id().to_string()]).status().expect("kill runs");
        assert!(ended.success());
        self.child.wait().expect("ended")
    }

    /// Resident memory in bytes.
    pub fn resident_bytes(&self) -> u64 {
        resident_bytes(self.child.id())
    }
}

impl Drop for ServerProcess {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

/// Resident memory of a process in bytes (`VmRSS` of `/proc/PID/status`).
pub fn resident_bytes(id: u32) -> u64 {
    status_bytes(id, "VmRSS:")
}

/// Largest resident memory of a process so far, in bytes (`VmHWM`).
pub fn peak_resident_bytes(id: u32) -> u64 {
    status_bytes(id, "VmHWM:")
}

fn status_bytes(id: u32, field: &str) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{id}/status")).expect("Linux");
    let line = status.lines().find_map(|line| line.strip_prefix(field)).expect("the field exists");
    let kibibytes: u64 = line.trim().trim_end_matches("kB").trim().parse().expect("a number");
    kibibytes * 1024
}
