//! The ports: what a component may ask of its host, one trait per privilege.
//!
//! Each trait is one WIT interface of the same name in `wit/deps/tocsin-capability/`, one guest file, one host file. A
//! call is one whole decision: atomic, and harmless when repeated.

pub mod authorized_apps;
pub mod blobs;
pub mod exports;
pub mod exposures;
pub mod health_authorities;
pub mod leases;
pub mod retention;
pub mod sealing;
pub mod settings;
pub mod signature_check;
pub mod signing;
pub mod statistics;
pub mod validation;
pub mod verifier;

use crate::interval::Timestamp;
use std::fmt;

/// Why a port call did nothing.
#[derive(Clone, PartialEq, Eq)]
pub enum PortError {
    /// What the caller had read is no longer so. Read again and decide again.
    Conflict,
    /// The host cannot serve the call now; a later try may succeed.
    Unavailable,
    /// What was to be used once was used before.
    AlreadyUsed,
    /// Our fault. The text is for the host's log and never leaves the server.
    Internal(String),
}

impl fmt::Debug for PortError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Conflict => f.write_str("Conflict"),
            Self::Unavailable => f.write_str("Unavailable"),
            Self::AlreadyUsed => f.write_str("AlreadyUsed"),
            Self::Internal(text) => write!(f, "Internal({text})"),
        }
    }
}

impl fmt::Display for PortError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Conflict => f.write_str("the data changed meanwhile"),
            Self::Unavailable => f.write_str("the service is not available at the moment"),
            Self::AlreadyUsed => f.write_str("it was used before"),
            Self::Internal(text) => f.write_str(text),
        }
    }
}

impl std::error::Error for PortError {}

/// Where a shell gets the time. Domain functions take a [`Timestamp`]; only the few that must look again after a
/// conflict take a clock.
pub trait Clock {
    /// The current time.
    fn now(&self) -> Timestamp;
}

/// Where random bytes come from. Must be cryptographically secure outside tests.
pub trait Random {
    /// Fills `bytes`.
    fn fill(&self, bytes: &mut [u8]);

    /// A uniformly distributed number below `bound`; 0 when `bound` is 0 or 1.
    fn below(&self, bound: u32) -> u32 {
        if bound <= 1 {
            return 0;
        }
        // Values at or above the largest multiple of `bound` would favour small results; draw again.
        let limit = u32::MAX - u32::MAX % bound;
        loop {
            let mut bytes = [0; 4];
            self.fill(&mut bytes);
            let value = u32::from_le_bytes(bytes);
            if value < limit {
                return value % bound;
            }
        }
    }
}
