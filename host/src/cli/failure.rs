//! A command that was not carried out.

use std::fmt;
use std::io::Write;
use std::process::ExitCode;

/// What went wrong, and what to do about it.
#[derive(Debug)]
pub(super) struct Failure {
    what: String,
    next: Option<String>,
}

impl Failure {
    /// With advice.
    pub(super) fn new(what: impl Into<String>, next: impl Into<String>) -> Self {
        Self { what: what.into(), next: Some(next.into()) }
    }

    /// Prints it and gives the exit code.
    pub(super) fn report(&self) -> ExitCode {
        // Nobody may be there to read it.
        let _ = writeln!(std::io::stderr().lock(), "error: {self}");
        ExitCode::FAILURE
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.what)?;
        match &self.next {
            Some(next) => write!(f, "\n  {next}"),
            None => Ok(()),
        }
    }
}

/// An error whose text says all there is to say.
pub(super) fn failed(error: impl fmt::Display) -> Failure {
    Failure { what: error.to_string(), next: None }
}
