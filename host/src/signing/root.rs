//! Root keys, which wrap revision keys: files `root/ID.key` of 256 random bits in base64. The one with the greatest id
//! wraps, all of them unwrap.

use super::aead::{AesKey, KEY_BYTES};
use super::{KeyError, KeyFileError, files, random_bytes};
use crate::storage::revision_keys::{NewRevisionKey, RevisionKeyRow};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use tocsin_domain::interval::Timestamp;

/// Binds a wrapped key to its use. Its id follows, so that rows cannot change places.
const WRAP_CONTEXT: &[u8] = b"tocsin revision key 1 ";

/// All root keys of a folder.
#[derive(Debug)]
pub(super) struct RootKeys {
    folder: PathBuf,
    keys: BTreeMap<u64, AesKey>,
}

/// The bytes of a revision key. Not `Debug`.
pub(super) type RevisionKeyBytes = [u8; KEY_BYTES];

impl RootKeys {
    /// Reads the keys of a folder, which exists.
    pub(super) fn read(folder: &Path) -> Result<Self, KeyFileError> {
        let mut keys = BTreeMap::new();
        for (name, path) in files::list(folder, "key")? {
            keys.insert(files::number(&name, &path)?, AesKey::new(&files::read_aes_key(&path)?));
        }
        Ok(Self { folder: folder.to_owned(), keys })
    }

    pub(super) fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// The file of a key.
    pub(super) fn file(&self, id: u64) -> PathBuf {
        self.folder.join(format!("{id}.key"))
    }

    /// Ids, ascending.
    pub(super) fn ids(&self) -> impl Iterator<Item = u64> {
        self.keys.keys().copied()
    }

    /// The id that the next key will have: none that a row names or ever named, so that no id has two meanings.
    pub(super) fn next_id(&self, rows: &[RevisionKeyRow]) -> u64 {
        self.ids().chain(rows.iter().map(|row| row.root_key_id)).max().unwrap_or(0) + 1
    }

    /// Makes the next key, which wraps from now on.
    pub(super) fn create(&mut self, rows: &[RevisionKeyRow]) -> Result<u64, KeyFileError> {
        let id = self.next_id(rows);
        let bytes = random_bytes::<KEY_BYTES>();
        files::write_secret(&self.file(id), &tocsin_domain::base64::encode(&bytes))?;
        self.keys.insert(id, AesKey::new(&bytes));
        Ok(id)
    }

    /// Wraps a revision key under the newest root key.
    pub(super) fn wrap(
        &self,
        id: u64,
        key: &RevisionKeyBytes,
        created_at: Timestamp,
    ) -> Result<NewRevisionKey, KeyFileError> {
        let Some((root_key_id, root)) = self.keys.last_key_value() else {
            return Err(KeyFileError::new(&self.folder, "holds no root key; restart the server, which makes one"));
        };
        let wrapped = root.seal(&context(id), key);
        Ok(NewRevisionKey { id, root_key_id: *root_key_id, wrapped, created_at })
    }

    /// Unwraps a revision key; `None`: it was destroyed.
    pub(super) fn unwrap(&self, row: &RevisionKeyRow) -> Result<Option<RevisionKeyBytes>, KeyError> {
        let RevisionKeyRow { id, root_key_id, wrapped, created_at: _, destroyed_at: _ } = row;
        let Some(wrapped) = wrapped else { return Ok(None) };
        let unreadable = |is_root_missing| KeyError::Unreadable {
            revision_key: *id,
            root_key: *root_key_id,
            root_file: self.file(*root_key_id),
            is_root_missing,
        };
        let root = self.keys.get(root_key_id).ok_or_else(|| unreadable(true))?;
        let key = root.open(&context(*id), wrapped).and_then(|key| key.try_into().ok());
        key.map(Some).ok_or_else(|| unreadable(false))
    }
}

fn context(id: u64) -> Vec<u8> {
    [WRAP_CONTEXT, &id.to_be_bytes()].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn roots() -> (tempfile::TempDir, RootKeys) {
        let folder = tempfile::tempdir().expect("temporary folder");
        let mut roots = RootKeys::read(folder.path()).expect("empty");
        roots.create(&[]).expect("created");
        (folder, roots)
    }

    fn row(new: NewRevisionKey) -> RevisionKeyRow {
        let NewRevisionKey { id, root_key_id, wrapped, created_at } = new;
        RevisionKeyRow { id, root_key_id, wrapped: Some(wrapped), created_at, destroyed_at: None }
    }

    fn wrap(roots: &RootKeys, id: u64) -> RevisionKeyRow {
        row(roots.wrap(id, &[7; KEY_BYTES], Timestamp::from_unix(0)).expect("wrapped"))
    }

    #[test]
    fn wrapped_key_unwraps_with_its_root_key_and_shows_nothing() {
        let (_folder, mut roots) = roots();
        let first = wrap(&roots, 5);
        assert_eq!(roots.create(&[]).expect("created"), 2);
        let second = wrap(&roots, 5);
        assert_eq!((first.root_key_id, second.root_key_id), (1, 2), "the newest root key wraps");
        for row in [&first, &second] {
            assert!(matches!(roots.unwrap(row), Ok(Some(key)) if key == [7; KEY_BYTES]));
            let wrapped = row.wrapped.as_ref().expect("there");
            assert_eq!(wrapped.len(), 12 + 32 + 16);
            assert!(!wrapped.windows(8).any(|window| window == [7; 8]));
        }
    }

    #[test]
    fn row_with_anything_changed_is_unreadable_and_the_error_names_it() {
        let (_folder, mut roots) = roots();
        let good = wrap(&roots, 5);
        roots.create(&[]).expect("created");
        let check = |bad: &RevisionKeyRow, text: &str| {
            let error = roots.unwrap(bad).map(drop).expect_err("unreadable").to_string();
            assert!(error.contains(text) && error.contains("destroy-unreadable"), "{error}");
        };
        check(&RevisionKeyRow { id: 6, ..good.clone() }, "revision key 6");
        check(&RevisionKeyRow { root_key_id: 2, ..good.clone() }, "root key 2");
        check(&RevisionKeyRow { root_key_id: 3, ..good.clone() }, "3.key");
        for byte in 0..60 {
            let mut bad = good.clone();
            bad.wrapped.as_mut().expect("there")[byte] ^= 1;
            check(&bad, "revision key 5");
        }
        check(&RevisionKeyRow { wrapped: Some(Vec::new()), ..good.clone() }, "revision key 5");
        let destroyed = RevisionKeyRow { wrapped: None, root_key_id: 3, ..good };
        assert!(matches!(roots.unwrap(&destroyed), Ok(None)), "of a destroyed key nothing is needed");
    }

    #[test]
    fn id_of_a_root_key_is_never_used_again() {
        let (_folder, roots) = roots();
        let named = RevisionKeyRow { root_key_id: 8, wrapped: None, ..wrap(&roots, 1) };
        assert_eq!((roots.next_id(&[]), roots.next_id(&[named])), (2, 9));
    }

    #[test]
    fn files_are_private_and_what_is_no_key_is_refused() {
        use std::os::unix::fs::PermissionsExt;
        let (folder, _roots) = roots();
        let file = folder.path().join("1.key");
        assert_eq!(std::fs::metadata(&file).expect("there").permissions().mode() & 0o777, 0o600);
        let refused = |text: &str| {
            let error = RootKeys::read(folder.path()).expect_err("refused").to_string();
            assert!(error.contains(text), "{error}");
        };
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o604)).expect("chmod");
        refused("chmod 600");
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600)).expect("chmod");
        for bad in ["", "AAAA", "not base64"] {
            std::fs::write(&file, bad).expect("written");
            refused("256 bits");
        }
        std::fs::rename(&file, folder.path().join("one.key")).expect("renamed");
        refused("number");
    }
}
