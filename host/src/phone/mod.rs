//! Simulated phones: they publish as an app does ([`publish`]), and download, verify and match as an app does
//! ([`download`], [`check`]). For demonstrations, tests and operators who want to see a server from outside.

pub mod check;
pub mod client;
pub mod download;
pub mod keys;
pub mod publish;

use std::fmt;

/// A simulated phone could not do what it should; the text says why, and holds no key.
#[derive(Debug)]
pub struct PhoneError(pub(crate) String);

impl fmt::Display for PhoneError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for PhoneError {}
