//! Running programs one after the other: progress, times, exit codes.

use crate::failure::Failure;
use std::io::{Read, Write};
use std::process::{Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

/// The steps of one task.
pub(crate) struct Steps {
    started: Instant,
    done: Vec<(String, Duration)>,
}

impl Steps {
    pub(crate) fn start() -> Self {
        Self { started: Instant::now(), done: Vec::new() }
    }

    /// Does something under a progress line and remembers how long it took.
    pub(crate) fn time<T>(&mut self, name: &str, work: impl FnOnce() -> T) -> T {
        eprintln!("==> {name}");
        let started = Instant::now();
        let result = work();
        self.done.push((name.to_owned(), started.elapsed()));
        result
    }

    /// Runs a program to its end; its output is ours. `next` is what to do if it fails.
    pub(crate) fn run(&mut self, name: &str, next: &str, command: &mut Command) -> Result<(), Failure> {
        let status = self.time(name, || command.status());
        check(name, next, command, status)
    }

    /// As [`Steps::run`]; `seen` also gets the program's standard output, piece by piece.
    pub(crate) fn run_and_watch(
        &mut self,
        name: &str,
        next: &str,
        command: &mut Command,
        mut seen: impl FnMut(&[u8]),
    ) -> Result<(), Failure> {
        let status = self.time(name, || {
            let mut child = command.stdout(Stdio::piped()).spawn()?;
            if let Some(mut output) = child.stdout.take() {
                copy(&mut output, &mut seen)?;
            }
            child.wait()
        });
        check(name, next, command, status)
    }

    /// Prints how long each step took, if there is more than one.
    pub(crate) fn print_times(&self) {
        let [_, _, ..] = self.done.as_slice() else { return };
        eprintln!("==> times");
        for (name, time) in &self.done {
            eprintln!("{:>9.1} s  {name}", time.as_secs_f64());
        }
        eprintln!("{:>9.1} s  in all", self.started.elapsed().as_secs_f64());
    }
}

/// Copies to standard output as it comes: a reader of the log sees a test's line when the test ends.
fn copy(from: &mut impl Read, seen: &mut impl FnMut(&[u8])) -> std::io::Result<()> {
    let mut buffer = [0; 8192];
    let mut to = std::io::stdout().lock();
    loop {
        let length = from.read(&mut buffer)?;
        if length == 0 {
            return Ok(());
        }
        to.write_all(&buffer[..length])?;
        to.flush()?;
        seen(&buffer[..length]);
    }
}

fn check(name: &str, next: &str, command: &Command, status: std::io::Result<ExitStatus>) -> Result<(), Failure> {
    let program = command.get_program().to_string_lossy();
    match status {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => {
            Err(Failure { what: format!("{name}: {status}"), next: next.to_owned(), exit_code: exit_code(status) })
        }
        Err(error) => Err(Failure {
            what: format!("{name}: {program} did not start: {error}"),
            next: format!("make sure that {program} exists and can be executed"),
            // What a shell says of a program it cannot find.
            exit_code: 127,
        }),
    }
}

/// The program's exit code; 128 + signal, as a shell has it, when a signal ended it.
fn exit_code(status: ExitStatus) -> u8 {
    #[cfg(unix)]
    if let Some(signal) = std::os::unix::process::ExitStatusExt::signal(&status) {
        return u8::try_from(128 + signal).unwrap_or(1);
    }
    status.code().and_then(|code| u8::try_from(code).ok()).unwrap_or(1)
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    fn fails_with(script: &str) -> u8 {
        let failure = Steps::start().run("test", "", Command::new("sh").args(["-c", script])).unwrap_err();
        failure.exit_code
    }

    #[test]
    fn exit_code_of_the_program_is_kept() {
        assert_eq!(fails_with("exit 101"), 101);
        assert_eq!(fails_with("kill -9 $$"), 137);
    }

    #[test]
    fn missing_program_is_127() {
        let failure = Steps::start().run("test", "", &mut Command::new("no-such-program-of-ours")).unwrap_err();
        assert_eq!(failure.exit_code, 127);
    }
}
