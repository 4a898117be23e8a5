//! The keys of a health authority, from the JSON Web Key Set (RFC 7517) that it publishes.
//!
//! Two steps, both pure. [`parse`] makes keys of the bytes that were fetched; [`reconcile`] decides what they change. What
//! is unclear changes nothing: a set that is garbled, empty or at odds with the stored keys is an error as a whole, so that
//! an accident at the health authority's web server cannot make its certificates worthless. The keys that are stored go on
//! to be valid meanwhile.

mod parse;
mod reconcile;
#[cfg(test)]
mod tests;

pub use parse::parse;
pub use reconcile::{Changes, KeySetPolicy, Revocation, reconcile, still_revoked};

use crate::text::shortened;
use std::fmt;

/// Most keys in a set, those that are skipped included. Health authorities have one or two.
pub const MAX_KEYS: usize = 100;
/// Longest `kid`, in bytes.
pub const MAX_VERSION_BYTES: usize = 256;

/// A key set as it was fetched: at most [`MAX_KEYS`] keys, no two with the same version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeySet {
    keys: Vec<KeySetKey>,
    skipped: Vec<SkippedKey>,
}

impl KeySet {
    /// The keys that can check certificates, in the order of the set.
    pub fn keys(&self) -> &[KeySetKey] {
        &self.keys
    }

    /// The others.
    pub fn skipped(&self) -> &[SkippedKey] {
        &self.skipped
    }
}

/// A P-256 key of the set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeySetKey {
    /// Its `kid`: 1 to [`MAX_VERSION_BYTES`] bytes.
    pub version: String,
    /// The point, uncompressed: 65 bytes, the first 4.
    pub public_key: Vec<u8>,
}

/// A key of the set that is not used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SkippedKey {
    /// Its place in the set, from 1.
    pub position: usize,
    /// Its `kid`, if it has one.
    pub version: Option<String>,
    /// Why.
    pub reason: SkipReason,
}

/// Why a key is not used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SkipReason {
    /// `kty` is not `EC`.
    KeyType(String),
    /// `crv` is not `P-256`.
    Curve(String),
    /// `use` is not `sig`.
    Use(String),
    /// `alg` is not `ES256`.
    Algorithm(String),
    /// `key_ops` lacks `verify`.
    Operations,
    /// The private half is in it, so anybody can sign with it.
    PrivateKey,
}

impl fmt::Display for SkippedKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ", KeyName(self.position, self.version.as_deref()))?;
        match &self.reason {
            SkipReason::KeyType(found) => write!(f, "has the type {found:?}, not EC"),
            SkipReason::Curve(found) => write!(f, "is on the curve {found:?}, not P-256"),
            SkipReason::Use(found) => write!(f, "has the use {found:?}, not sig"),
            SkipReason::Algorithm(found) => write!(f, "is for the algorithm {found:?}, not ES256"),
            SkipReason::Operations => f.write_str("has key_ops without verify"),
            SkipReason::PrivateKey => f.write_str(
                "holds its private half, so anybody can sign with it: the health authority must replace it at once",
            ),
        }
    }
}

/// Why a key set changes nothing. The texts quote versions of keys and nothing else of the set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeySetError {
    /// It is not JSON.
    NotJson {
        /// Where, from 1.
        line: usize,
        /// Where, from 1; 0: at the start.
        column: usize,
    },
    /// It is JSON, and neither a list of keys nor an object whose `keys` is one.
    NotAKeySet,
    /// It has more than [`MAX_KEYS`] keys.
    TooManyKeys(usize),
    /// One of its keys makes no sense.
    BadKey {
        /// Its place in the set, from 1.
        position: usize,
        /// Its `kid`, if it has one.
        version: Option<String>,
        /// What is wrong with it.
        problem: KeyProblem,
    },
    /// Two of its keys have the same `kid`.
    VersionTwice(String),
    /// It has no key that can check certificates.
    Empty,
    /// All of its keys have been revoked here, and the keys that are valid are not in it.
    NoneLeft,
    /// The `kid` of a stored key that is valid stands for another key now.
    VersionOfAnotherKey(String),
    /// The `kid` of a revoked key stands for another key now, while the revoked one is in the set under another `kid`.
    VersionOfRevokedKey(String),
}

/// What is wrong with a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyProblem {
    /// It is no JSON object.
    NotAnObject,
    /// A member that it needs is missing.
    Missing(&'static str),
    /// A member has the wrong type.
    Member(&'static str),
    /// Its `kid` is longer than [`MAX_VERSION_BYTES`].
    LongVersion,
    /// A coordinate is not 32 bytes of base64url without padding.
    Coordinate(&'static str),
    /// The coordinates are no point of P-256.
    NotOnCurve,
}

impl fmt::Display for KeySetError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotJson { line, column } => write!(f, "the key set is not JSON (line {line}, column {column})"),
            Self::NotAKeySet => f.write_str(
                "the key set is neither a list of keys nor an object with a list named \"keys\": does the URI lead to it?",
            ),
            Self::TooManyKeys(count) => write!(f, "the key set has {count} keys, and at most {MAX_KEYS} are accepted"),
            Self::BadKey { position, version, problem } => {
                write!(f, "{} {problem}; nothing was changed", KeyName(*position, version.as_deref()))
            }
            Self::VersionTwice(version) => {
                write!(f, "two different keys of the set have the kid {:?}; nothing was changed", shortened(version))
            }
            Self::Empty => f.write_str(
                "the key set has no key that can check certificates; nothing was changed. If all keys of this health \
                 authority are really to be revoked, set allow_empty_key_set for it",
            ),
            Self::NoneLeft => f.write_str(
                "all keys of the set have been revoked here, and without the others none would be valid; nothing was \
                 changed. Reinstate a key, have the health authority publish a new one, or set allow_empty_key_set for it",
            ),
            Self::VersionOfAnotherKey(version) => write!(
                f,
                "the kid {:?} is that of a stored key that is valid, and the set has another key under it; nothing was \
                 changed. A new key needs a new kid; if the health authority confirms the change, revoke the stored key, \
                 and the next import takes the new one",
                shortened(version)
            ),
            Self::VersionOfRevokedKey(version) => write!(
                f,
                "the kid {:?} is that of a revoked key, which the set has under another kid; nothing was changed. The \
                 health authority must take the revoked key out of its set",
                shortened(version)
            ),
        }
    }
}

impl std::error::Error for KeySetError {}

impl fmt::Display for KeyProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotAnObject => f.write_str("is no JSON object"),
            Self::Missing(member) => write!(f, "has no {member:?}"),
            Self::Member(member) => write!(f, "has a {member:?} of the wrong type"),
            Self::LongVersion => write!(f, "has a kid of more than {MAX_VERSION_BYTES} bytes"),
            Self::Coordinate(member) => {
                write!(f, "has an {member:?} that is not 32 bytes of base64url without padding")
            }
            Self::NotOnCurve => f.write_str("is no point of P-256"),
        }
    }
}

/// A key of the set, as texts call it.
struct KeyName<'a>(usize, Option<&'a str>);

impl fmt::Display for KeyName<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(position, version) = self;
        match version {
            Some(version) => write!(f, "key {:?} (number {position} of the set)", shortened(version)),
            None => write!(f, "key number {position} of the set"),
        }
    }
}
