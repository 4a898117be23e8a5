//! Where the demo plays: a folder, and this very binary, started again for each command and for the server.

use super::super::failure::{Failure, failed};
use serde::de::DeserializeOwned;
use serde_json::Value;
use std::ffi::OsStr;
use std::fs::{File, OpenOptions};
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

const START_TIMEOUT: Duration = Duration::from_secs(120);
const STOP_TIMEOUT: Duration = Duration::from_secs(30);

/// Runs commands on one data folder and writes down what it ran.
pub(super) struct Stage {
    binary: PathBuf,
    /// The data folder.
    pub(super) data: PathBuf,
    commands: File,
}

impl Stage {
    /// On a folder that exists. `notes` (the commands, the server's log) go into another one.
    pub(super) fn new(data: PathBuf, notes: &Path) -> Result<Self, Failure> {
        let commands = File::create(notes.join("commands.txt")).map_err(failed)?;
        Ok(Self { binary: std::env::current_exe().map_err(failed)?, data, commands })
    }

    /// Adds a line to the list of commands.
    pub(super) fn note(&mut self, line: &str) -> Result<(), Failure> {
        writeln!(self.commands, "{line}").map_err(failed)
    }

    fn command<S: AsRef<OsStr>>(&mut self, args: &[S]) -> Result<Command, Failure> {
        let texts = args.iter().map(|arg| shell_word(&arg.as_ref().to_string_lossy())).collect::<Vec<_>>().join(" ");
        self.note(&format!("tocsin --data {} {texts}", self.data.display()))?;
        let mut command = Command::new(&self.binary);
        command.arg("--json").arg("--data").arg(&self.data).args(args);
        Ok(command)
    }

    /// Runs a command to its end and reads its JSON.
    pub(super) fn run<S: AsRef<OsStr>, T: DeserializeOwned>(&mut self, args: &[S]) -> Result<T, Failure> {
        let output = self.command(args)?.stderr(Stdio::inherit()).output().map_err(failed)?;
        let name = args.iter().take(3).map(|arg| arg.as_ref().to_string_lossy()).collect::<Vec<_>>().join(" ");
        if !output.status.success() {
            return Err(unexpected(format!("`tocsin {name} ...` failed ({})", output.status)));
        }
        let text = if output.stdout.is_empty() { b"null" } else { output.stdout.as_slice() };
        serde_json::from_slice(text).map_err(|error| unexpected(format!("`tocsin {name} ...` answered oddly: {error}")))
    }

    /// Runs a command whose answer does not matter.
    pub(super) fn do_run<S: AsRef<OsStr>>(&mut self, args: &[S]) -> Result<(), Failure> {
        self.run::<S, Value>(args).map(|_| ())
    }

    /// Starts a server and waits until it listens.
    pub(super) fn serve(&mut self, log: &Path) -> Result<RunningServer, Failure> {
        let started = Instant::now();
        let log_file = OpenOptions::new().create(true).append(true).open(log).map_err(failed)?;
        let mut child = self
            .command(&["serve", "--until-stdin-closes"])?
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(log_file)
            .spawn()
            .map_err(failed)?;
        let (sender, lines) = mpsc::channel();
        let stdout = child.stdout.take();
        std::thread::spawn(move || {
            for line in stdout.into_iter().flat_map(|stdout| BufReader::new(stdout).lines()).map_while(Result::ok) {
                sender.send(line).ok();
            }
        });
        let stdin = child.stdin.take();
        let mut server = RunningServer { child, stdin, url: String::new(), ready_after: Duration::ZERO };
        let line = lines
            .recv_timeout(START_TIMEOUT)
            .map_err(|_| Failure::new("the server did not start", format!("Its log says why: {}", log.display())))?;
        let value: Value = serde_json::from_str(&line).map_err(failed)?;
        server.url = value["listening"].as_str().unwrap_or_default().to_owned();
        server.ready_after = started.elapsed();
        Ok(server)
    }
}

/// The server's process. It goes when this does.
pub(super) struct RunningServer {
    child: Child,
    stdin: Option<ChildStdin>,
    /// Its public address.
    pub(super) url: String,
    /// How long it took until it listened.
    pub(super) ready_after: Duration,
}

impl RunningServer {
    /// Memory of the process in bytes, where the system tells.
    pub(super) fn memory_bytes(&self) -> Option<u64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).ok()?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
        line.trim().strip_suffix(" kB")?.trim().parse::<u64>().ok()?.checked_mul(1024)
    }

    /// Stops it, as Ctrl-C would: it finishes what it accepted.
    pub(super) fn stop(mut self) -> Result<(), Failure> {
        drop(self.stdin.take());
        let started = Instant::now();
        while started.elapsed() < STOP_TIMEOUT {
            match self.child.try_wait().map_err(failed)? {
                Some(status) if status.success() => return Ok(()),
                Some(status) => return Err(unexpected(format!("the server stopped with {status}"))),
                None => std::thread::sleep(Duration::from_millis(10)),
            }
        }
        Err(unexpected("the server did not stop within 30 seconds".to_owned()))
    }
}

impl Drop for RunningServer {
    fn drop(&mut self) {
        if !matches!(self.child.try_wait(), Ok(Some(_))) {
            self.child.kill().ok();
            self.child.wait().ok();
        }
    }
}

/// The demo itself failed: something did not turn out as it must.
pub(super) fn unexpected(what: String) -> Failure {
    Failure::new(
        format!("the demo did not work: {what}"),
        "Its folder holds commands.txt (what it ran) and server.log (what the server said).",
    )
}

/// A word as a shell would need it.
fn shell_word(word: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_./:=,".contains(&byte);
    if !word.is_empty() && word.bytes().all(plain) { word.to_owned() } else { format!("'{word}'") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_quoted_only_where_a_shell_would_take_them_apart() {
        for (word, expect) in [("--set", "--set"), ("a=b", "a=b"), ("Example Health", "'Example Health'"), ("", "''")] {
            assert_eq!(shell_word(word), expect);
        }
    }
}
