//! Why a task stopped, and what to do about it.

use std::fmt;

/// The task stops here.
#[derive(Debug)]
pub(crate) struct Failure {
    /// What went wrong: one sentence, without the final full stop.
    pub(crate) what: String,
    /// What to do next.
    pub(crate) next: String,
    /// What the process exits with: the failed program's own code where there is one.
    pub(crate) exit_code: u8,
}

impl Failure {
    /// A failure of our own, with exit code 1.
    pub(crate) fn new(what: impl Into<String>, next: impl Into<String>) -> Self {
        Self { what: what.into(), next: next.into(), exit_code: 1 }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "xtask: error: {}", self.what)?;
        if !self.next.is_empty() {
            write!(f, "\nxtask: what to do: {}", self.next)?;
        }
        Ok(())
    }
}
