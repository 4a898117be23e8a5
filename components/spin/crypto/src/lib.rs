//! What the host's keyring does, in pure Rust, for components that have no host to ask: signatures of export files, checks
//! of certificates' signatures, and sealing of revision tokens.
//!
//! Formats are the host's to the byte: a token sealed by one opens under the other, if both have the revision keys (rows of
//! the database, wrapped) and the root keys (secrets of the operator). The secrets are Spin variables here, so whoever can
//! read the application's variables, and the memory of its instances, has the keys. They are read for each use and kept
//! nowhere.

#![warn(missing_docs)]

mod aead;
mod revision;
mod root;
mod signing;

pub use revision::{open, seal};
pub use root::RootKeys;
pub use signing::{SigningKeys, verify_es256};

use std::collections::BTreeMap;
use tocsin_domain::ports::PortError;

/// A JSON object of texts: the form of every variable that holds keys. The error names the variable and never its content.
fn named_texts(variable: &str, json: &str) -> Result<BTreeMap<String, String>, PortError> {
    serde_json::from_str(json).map_err(|_| unusable(variable, "is not a JSON object of strings"))
}

/// The error for a variable that cannot be used.
fn unusable(variable: &str, reason: &str) -> PortError {
    PortError::Internal(format!("the variable {variable} {reason}; the README of the Spin adapters shows its form"))
}
