//! The conformance suite: what a server of this protocol must answer, as data files that know nothing of this one.
//!
//! `tests/conformance/README.md` describes the files. This runner reads them, prepares requests, sends them over HTTP and
//! compares the answers. HMACs, certificates and revision tokens are made and read here from the specification alone, not
//! with the server's own code: a mistake in that code must not be able to agree with itself.

pub mod base64;
mod case;
mod check;
mod context;
mod jwt;
mod prepare;
mod report;
mod runner;
mod state;
mod token;

pub use case::{Case, Need, load_cases, parse_case};
pub use prepare::{commands, script};
pub use report::{Summary, json, line};
pub use runner::{Outcome, Selection, Target, Verdict, rehearse, run};
pub use state::{App, Authority, AuthorityKey, State};

use std::fmt;
use std::path::{Path, PathBuf};

/// What is wrong with the files of the suite, or with a server's answer; for people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem(pub String);

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Problem {}

pub(crate) fn problem<T>(text: impl Into<String>) -> Result<T, Problem> {
    Err(Problem(text.into()))
}

/// The folder of the suite in this checkout.
pub fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("conformance")
}
