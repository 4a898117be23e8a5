//! Revision keys and root keys, as an operator sees them.

use crate::services::Services;
use crate::signing::{KeyError, PublicKey, RootRotation};
use crate::storage::revision_keys::RevisionKeyRow;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;
use tocsin_domain::interval::Timestamp;

/// All keys of a server; nothing secret.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct KeyList {
    /// Those that sign export files.
    pub(crate) signing: Vec<PublicKey>,
    /// Those that seal revision tokens, by id, destroyed ones too.
    pub(crate) revision: Vec<RevisionKey>,
    /// Those that wrap revision keys, by id.
    pub(crate) root: Vec<RootKey>,
}

/// A revision key.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct RevisionKey {
    pub(crate) id: u64,
    pub(crate) created_unix: i64,
    pub(crate) destroyed_unix: Option<i64>,
    /// The root key it is wrapped under; of a destroyed key, was.
    pub(crate) root_key_id: u64,
    /// It seals; the others open only.
    pub(crate) effective: bool,
}

/// A root key.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct RootKey {
    pub(crate) id: u64,
    /// Revision keys that need it.
    pub(crate) revision_keys: usize,
}

/// What a rotation of the root key did or, in a dry run, would do.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct RootRotationReport {
    pub(crate) dry_run: bool,
    pub(crate) root_key_id: u64,
    pub(crate) rewrapped: Vec<u64>,
    /// Files that the database needs no more.
    pub(crate) unused_files: Vec<PathBuf>,
}

pub(super) fn list(services: &Services) -> Result<KeyList, KeyError> {
    let rows = services.keyring.revision_keys()?;
    let effective = rows.iter().filter(|row| row.wrapped.is_some()).map(|row| row.id).max();
    let needs = |id: u64| rows.iter().filter(|row| row.wrapped.is_some() && row.root_key_id == id).count();
    let root = services.keyring.root_key_ids().into_iter().map(|id| RootKey { id, revision_keys: needs(id) }).collect();
    let revision = rows.iter().map(|row| {
        let RevisionKeyRow { id, root_key_id, wrapped: _, created_at, destroyed_at } = row;
        RevisionKey {
            id: *id,
            created_unix: created_at.unix(),
            destroyed_unix: destroyed_at.map(Timestamp::unix),
            root_key_id: *root_key_id,
            effective: Some(*id) == effective,
        }
    });
    Ok(KeyList { signing: services.keyring.public_keys(), revision: revision.collect(), root })
}

pub(super) fn rotate_root(services: &Services, dry_run: bool) -> Result<RootRotationReport, KeyError> {
    let RootRotation { root_key, rewrapped, unused } = services.keyring.rotate_root_key(dry_run)?;
    Ok(RootRotationReport { dry_run, root_key_id: root_key, rewrapped, unused_files: unused })
}
