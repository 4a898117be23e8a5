//! Why a validator gave no usable answer, and why one cannot be used at all.

use serde::Serialize;
use std::fmt;

/// A validator cannot be used; the text says what to do.
#[derive(Debug)]
pub struct ValidatorError(String);

impl ValidatorError {
    pub(super) fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }
}

impl fmt::Display for ValidatorError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for ValidatorError {}

/// How a validator failed. The names (`as_str`) are the codes that operators see.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum FailureKind {
    /// It trapped: a panic, mostly.
    Trapped,
    /// It used up its fuel.
    OutOfFuel,
    /// It used up its time, or waited for nothing.
    OutOfTime,
    /// It wanted more memory or tables than it may have.
    OutOfMemory,
    /// It passed more bytes to the host than it may.
    TooLong,
    /// Its answer is against the contract.
    BadAnswer,
    /// It wanted to ask a host that the operator does not allow.
    HostNotAllowed,
    /// It asked more often than three times.
    TooManyExchanges,
    /// The host could not serve it.
    HostFailed,
    /// There is no room for another instance.
    Busy,
}

impl FailureKind {
    /// The code: `[a-z-]`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Trapped => "trapped",
            Self::OutOfFuel => "out-of-fuel",
            Self::OutOfTime => "out-of-time",
            Self::OutOfMemory => "out-of-memory",
            Self::TooLong => "too-long",
            Self::BadAnswer => "bad-answer",
            Self::HostNotAllowed => "host-not-allowed",
            Self::TooManyExchanges => "too-many-exchanges",
            Self::HostFailed => "host-failed",
            Self::Busy => "busy",
        }
    }
}

impl fmt::Display for FailureKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A failed call. The rule is for the log; it holds nothing of the submission, and of what the validator said at most the
/// name of a host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// How.
    pub kind: FailureKind,
    /// Which rule was broken, or which limit reached.
    pub rule: String,
}

impl Failure {
    pub(super) fn new(kind: FailureKind, rule: impl Into<String>) -> Self {
        Self { kind, rule: rule.into() }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.kind, self.rule)
    }
}

impl std::error::Error for Failure {}
