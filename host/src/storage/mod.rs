//! Where exposures, export batches and the operator's settings are kept.
//!
//! A store implements the storage ports of `tocsin-domain`, [`Administration`] and [`RevisionKeys`]. The embedded one,
//! [`SqliteStore`], is the default: one file, one process, no index on the random keys. `conformance` says what every store
//! must do; a new store starts by passing it.

pub mod administration;
#[cfg(test)]
mod conformance;
mod key_index;
pub mod revision_keys;
mod row_id;
mod sqlite;

pub use administration::{AdminError, Administration};
pub use revision_keys::RevisionKeys;
pub use sqlite::{OpenError, SqliteOptions, SqliteStore};
