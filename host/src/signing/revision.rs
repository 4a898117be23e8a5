//! Revision keys: kept wrapped in the store, unwrapped in memory, made, destroyed and wrapped anew.

use super::aead::{AesKey, KEY_BYTES};
use super::root::{RevisionKeyBytes, RootKeys};
use super::{KeyError, KeyFileError, Keyring, files, random_bytes};
use crate::storage::revision_keys::{NewRevisionKey, RevisionKeyRow, RevisionKeys, RewrappedKey};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use tocsin_domain::interval::Timestamp;
use tocsin_domain::key_rotation::{self, RevisionKeyInfo};
use tocsin_domain::settings::KeyRotationSettings;

/// What a rotation did or, in a dry run, would do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rotation {
    /// The key that was made, which is now the effective one.
    pub created: Option<u64>,
    /// The keys that were destroyed.
    pub destroyed: Vec<u64>,
    /// When a key is made or destroyed next.
    pub next: Option<Timestamp>,
}

/// What a rotation of the root key did or, in a dry run, would do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RootRotation {
    /// The new root key.
    pub root_key: u64,
    /// The revision keys that are under it now: all.
    pub rewrapped: Vec<u64>,
    /// Files of root keys that nothing in the database needs any more.
    pub unused: Vec<PathBuf>,
}

impl Keyring {
    /// All revision keys by id, destroyed ones too.
    pub fn revision_keys(&self) -> Result<Vec<RevisionKeyRow>, KeyError> {
        Ok(self.store.revision_keys()?)
    }

    /// Ids of the root keys.
    pub fn root_key_ids(&self) -> Vec<u64> {
        self.changes.lock().ids().collect()
    }

    /// Makes the first revision key if there is none; its id.
    pub fn create_first_revision_key(&self, now: Timestamp) -> Result<Option<u64>, KeyError> {
        let roots = self.changes.lock();
        if self.has_revision_key() {
            return Ok(None);
        }
        self.create_revision_key(&roots, next_id(&self.store.revision_keys()?), now).map(Some)
    }

    /// Makes and destroys the keys that are due; with `create_anyway`, a key even if none is due.
    pub fn rotate_revision_keys(
        &self,
        settings: &KeyRotationSettings,
        now: Timestamp,
        create_anyway: bool,
        dry_run: bool,
    ) -> Result<Rotation, KeyError> {
        let roots = self.changes.lock();
        let rows = self.store.revision_keys()?;
        let mut left: Vec<RevisionKeyInfo> = live(&rows).collect();
        let plan = key_rotation::plan(&left, now, settings);
        let created = (plan.create || create_anyway).then(|| next_id(&rows));
        left.retain(|key| !plan.destroy.contains(&key.id));
        left.extend(created.map(|id| RevisionKeyInfo { id, created_at: now }));
        let rotation = Rotation { created, destroyed: plan.destroy, next: key_rotation::next_change(&left, settings) };
        if dry_run {
            return Ok(rotation);
        }
        if let Some(id) = created {
            self.create_revision_key(&roots, id, now)?;
            tracing::info!(revision_key = id, "made a revision key, which seals from now on");
        }
        if !rotation.destroyed.is_empty() {
            self.store.destroy_revision_keys(&rotation.destroyed, now)?;
            self.keys.write().revision.retain(|id, _| !rotation.destroyed.contains(id));
            tracing::info!(revision_keys = ?rotation.destroyed, "destroyed old revision keys");
        }
        Ok(rotation)
    }

    /// Makes a new root key and wraps all revision keys under it. The files of the old ones stay.
    pub fn rotate_root_key(&self, dry_run: bool) -> Result<RootRotation, KeyError> {
        let mut roots = self.changes.lock();
        let rows = self.store.revision_keys()?;
        let keys = unwrap_all(&roots, &rows)?;
        let unused = roots.ids().map(|id| roots.file(id)).filter(|file| file.exists()).collect();
        let rewrapped = keys.iter().map(|(row, _)| row.id).collect();
        if dry_run {
            return Ok(RootRotation { root_key: roots.next_id(&rows), rewrapped, unused });
        }
        let root_key = roots.create(&rows)?;
        let wrapped: Vec<RewrappedKey> = keys
            .iter()
            .map(|(row, key)| {
                let NewRevisionKey { id, root_key_id, wrapped, created_at: _ } =
                    roots.wrap(row.id, key, row.created_at)?;
                Ok(RewrappedKey { id, root_key_id, wrapped })
            })
            .collect::<Result<_, KeyFileError>>()?;
        // All in one transaction: should it fail, the old root keys are still there and needed.
        self.store.rewrap_revision_keys(&wrapped)?;
        tracing::info!(root_key, revision_keys = ?rewrapped, "made a root key and wrapped the revision keys under it");
        Ok(RootRotation { root_key, rewrapped, unused })
    }

    /// The caller holds `changes`, so that no two keys get the same id.
    fn create_revision_key(&self, roots: &RootKeys, id: u64, now: Timestamp) -> Result<u64, KeyError> {
        let key = random_bytes::<KEY_BYTES>();
        self.store.insert_revision_keys(&[roots.wrap(id, &key, now)?])?;
        self.keys.write().revision.insert(id, AesKey::new(&key));
        Ok(id)
    }
}

/// Reads the root keys and unwraps all revision keys of a store. The first start makes the first root key, and takes over
/// the key files of older versions.
pub(super) fn open(folder: &Path, store: &dyn RevisionKeys) -> Result<(RootKeys, BTreeMap<u64, AesKey>), KeyError> {
    let mut roots = RootKeys::read(&folder.join("root"))?;
    let rows = store.revision_keys()?;
    // Only when nothing needs an old one: a lost root key must be told, not replaced.
    if roots.is_empty() && live(&rows).next().is_none() {
        let root_key = roots.create(&rows)?;
        tracing::info!(root_key, "made the first root key; a backup of the folder of keys should have it");
    }
    let mut keys: BTreeMap<u64, RevisionKeyBytes> =
        unwrap_all(&roots, &rows)?.into_iter().map(|(row, key)| (row.id, key)).collect();
    take_over_files(&folder.join("revision"), store, &roots, &rows, &mut keys)?;
    Ok((roots, keys.iter().map(|(id, key)| (*id, AesKey::new(key))).collect()))
}

/// Destroys the revision keys that no root key of `folder` unwraps, and returns their ids: what is left to do when a root
/// key is lost. For a store that no server uses.
pub fn destroy_unreadable(
    folder: &Path,
    store: &dyn RevisionKeys,
    now: Timestamp,
    dry_run: bool,
) -> Result<Vec<u64>, KeyError> {
    files::make_folder(folder)?;
    let roots = RootKeys::read(&folder.join("root"))?;
    let rows = store.revision_keys()?;
    let unreadable: Vec<u64> = rows.iter().filter(|row| roots.unwrap(row).is_err()).map(|row| row.id).collect();
    if !dry_run {
        store.destroy_revision_keys(&unreadable, now)?;
    }
    Ok(unreadable)
}

/// Imports `ID.key` files, in which older versions kept revision keys unwrapped. A file goes when its key is durable in the
/// store, so a crash at any point loses none and the next start finishes.
fn take_over_files(
    folder: &Path,
    store: &dyn RevisionKeys,
    roots: &RootKeys,
    rows: &[RevisionKeyRow],
    keys: &mut BTreeMap<u64, RevisionKeyBytes>,
) -> Result<(), KeyError> {
    if !folder.exists() {
        return Ok(());
    }
    let mut new = Vec::new();
    let mut done = Vec::new();
    for (name, path) in files::list(folder, "key")? {
        let id = files::number(&name, &path)?;
        let key = files::read_aes_key(&path)?;
        match (keys.get(&id), rows.iter().any(|row| row.id == id)) {
            (Some(stored), _) if *stored == key => {}
            (Some(_), _) => {
                return Err(KeyFileError::new(
                    &path,
                    format!(
                        "is another key than revision key {id} in the database, so they are of two servers or times; \
                         move the file away to go on without it, or restore the database that belongs to it"
                    ),
                )
                .into());
            }
            (None, true) => {
                tracing::warn!(revision_key = id, "removing the old file of a revision key that is destroyed")
            }
            (None, false) => {
                new.push(roots.wrap(id, &key, files::modified(&path)?)?);
                keys.insert(id, key);
            }
        }
        done.push(path);
    }
    if !new.is_empty() {
        let ids: Vec<u64> = new.iter().map(|key| key.id).collect();
        store.insert_revision_keys(&new)?;
        tracing::info!(revision_keys = ?ids, "took revision keys from their files into the database, wrapped");
    }
    for path in done {
        files::remove(&path)?;
    }
    // Something else may be in it.
    std::fs::remove_dir(folder).ok();
    Ok(())
}

fn unwrap_all<'a>(
    roots: &RootKeys,
    rows: &'a [RevisionKeyRow],
) -> Result<Vec<(&'a RevisionKeyRow, RevisionKeyBytes)>, KeyError> {
    let unwrapped = rows.iter().map(|row| Ok(roots.unwrap(row)?.map(|key| (row, key))));
    unwrapped.filter_map(Result::transpose).collect()
}

fn live(rows: &[RevisionKeyRow]) -> impl Iterator<Item = RevisionKeyInfo> {
    let live = rows.iter().filter(|row| row.wrapped.is_some());
    live.map(|row| RevisionKeyInfo { id: row.id, created_at: row.created_at })
}

fn next_id(rows: &[RevisionKeyRow]) -> u64 {
    rows.iter().map(|row| row.id).max().unwrap_or(0) + 1
}
