//! Seals and opens revision tokens. Nothing calls anybody at a given time in Spin, so whoever seals also makes and destroys
//! the revision keys that are due.

use crate::aead::{AesKey, KEY_BYTES};
use crate::root::RootKeys;
use tocsin_domain::interval::Timestamp;
use tocsin_domain::key_rotation::{self, Plan, RevisionKeyInfo};
use tocsin_domain::ports::sealing::Sealed;
use tocsin_domain::ports::{PortError, Random};
use tocsin_domain::settings::KeyRotationSettings;
use tocsin_spin_store::revision_keys::{RevisionKeyRow, RevisionKeys};

/// Binds sealed data to its use, as the host does.
pub(crate) const REVISION_TOKEN_CONTEXT: &[u8] = b"tocsin revision token 1";

/// Encrypts under the effective revision key, after making and destroying the keys that are due.
pub fn seal(
    store: &impl RevisionKeys,
    roots: &RootKeys,
    settings: &KeyRotationSettings,
    now: Timestamp,
    random: &impl Random,
    plaintext: &[u8],
) -> Result<Sealed, PortError> {
    let mut rows = store.revision_keys()?;
    if rotate(store, roots, settings, now, random, &rows)? {
        rows = store.revision_keys()?;
    }
    // Another instance may have destroyed it meanwhile.
    let effective = rows.iter().rfind(|row| row.wrapped.is_some()).ok_or(PortError::Unavailable)?;
    let key = roots.unwrap(effective)?.ok_or(PortError::Unavailable)?;
    Ok(Sealed { key_id: effective.id.to_string(), data: key.seal(REVISION_TOKEN_CONTEXT, plaintext, random)? })
}

/// Decrypts. `None` when the key is not known or destroyed, or the data was not sealed under it.
pub fn open(store: &impl RevisionKeys, roots: &RootKeys, sealed: &Sealed) -> Result<Option<Vec<u8>>, PortError> {
    let Sealed { key_id, data } = sealed;
    let Ok(id) = key_id.parse::<u64>() else { return Ok(None) };
    let rows = store.revision_keys()?;
    let Some(row) = rows.iter().find(|row| row.id == id) else { return Ok(None) };
    Ok(roots.unwrap(row)?.and_then(|key: AesKey| key.open(REVISION_TOKEN_CONTEXT, data)))
}

/// Makes and destroys what is due; whether anything was.
fn rotate(
    store: &impl RevisionKeys,
    roots: &RootKeys,
    settings: &KeyRotationSettings,
    now: Timestamp,
    random: &impl Random,
    rows: &[RevisionKeyRow],
) -> Result<bool, PortError> {
    let live = rows.iter().filter(|row| row.wrapped.is_some());
    let live: Vec<_> = live.map(|row| RevisionKeyInfo { id: row.id, created_at: row.created_at }).collect();
    let Plan { create, destroy } = key_rotation::plan(&live, now, settings);
    if create {
        // Destroyed keys keep their rows, so an id is never used again.
        let id = rows.iter().map(|row| row.id).max().unwrap_or(0).saturating_add(1);
        let mut key = [0; KEY_BYTES];
        random.fill(&mut key);
        match store.insert_revision_keys(&[roots.wrap(id, &key, now, random)?]) {
            // Another instance was faster, which is as good.
            Ok(()) | Err(PortError::Conflict) => {}
            Err(error) => return Err(error),
        }
    }
    if !destroy.is_empty() {
        store.destroy_revision_keys(&destroy, now)?;
    }
    Ok(create || !destroy.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::aead::tests::Fixed;
    use crate::root::tests::JSON;
    use std::cell::RefCell;
    use tocsin_spin_store::revision_keys::{NewRevisionKey, RewrappedKey};

    /// Keys in memory; `rival` is inserted just before the next insert.
    #[derive(Default)]
    struct Rows {
        rows: RefCell<Vec<RevisionKeyRow>>,
        rival: RefCell<Option<NewRevisionKey>>,
    }

    impl Rows {
        fn add(&self, new: &NewRevisionKey) -> Result<(), PortError> {
            let NewRevisionKey { id, root_key_id, wrapped, created_at } = new.clone();
            if self.rows.borrow().iter().any(|row| row.id == id) {
                return Err(PortError::Conflict);
            }
            let row = RevisionKeyRow { id, root_key_id, wrapped: Some(wrapped), created_at, destroyed_at: None };
            self.rows.borrow_mut().push(row);
            Ok(())
        }

        fn live(&self) -> Vec<u64> {
            self.rows.borrow().iter().filter(|row| row.wrapped.is_some()).map(|row| row.id).collect()
        }
    }

    impl RevisionKeys for Rows {
        fn revision_keys(&self) -> Result<Vec<RevisionKeyRow>, PortError> {
            Ok(self.rows.borrow().clone())
        }

        fn insert_revision_keys(&self, keys: &[NewRevisionKey]) -> Result<(), PortError> {
            if let Some(rival) = self.rival.borrow_mut().take() {
                self.add(&rival)?;
            }
            keys.iter().try_for_each(|key| self.add(key))
        }

        fn destroy_revision_keys(&self, ids: &[u64], now: Timestamp) -> Result<(), PortError> {
            for row in self.rows.borrow_mut().iter_mut().filter(|row| ids.contains(&row.id)) {
                (row.wrapped, row.destroyed_at) = (None, Some(now));
            }
            Ok(())
        }

        fn rewrap_revision_keys(&self, _: &[RewrappedKey]) -> Result<(), PortError> {
            Err(PortError::Conflict)
        }
    }

    const DAY: i64 = 86_400;

    fn roots() -> RootKeys {
        RootKeys::parse("v", JSON).expect("parsed")
    }

    fn seal_at(rows: &Rows, day: i64) -> Sealed {
        let now = Timestamp::from_unix(1_793_620_800 + day * DAY);
        seal(rows, &roots(), &KeyRotationSettings::default(), now, &Fixed(3), b"token").expect("sealed")
    }

    fn opened(rows: &Rows, sealed: &Sealed) -> Option<Vec<u8>> {
        open(rows, &roots(), sealed).expect("no error")
    }

    #[test]
    fn first_token_makes_the_first_key_and_opens() {
        let rows = Rows::default();
        let sealed = seal_at(&rows, 0);
        assert_eq!((sealed.key_id.as_str(), rows.live()), ("1", vec![1]));
        assert_eq!(sealed.data.len(), 12 + 5 + 16);
        assert_eq!(opened(&rows, &sealed).as_deref(), Some(b"token".as_slice()));
        for key_id in ["2", "", "01x", "-1"] {
            assert_eq!(opened(&rows, &Sealed { key_id: key_id.to_owned(), ..sealed.clone() }), None);
        }
        let mut changed = sealed.clone();
        changed.data[20] ^= 1;
        assert_eq!(opened(&rows, &changed), None);
    }

    #[test]
    fn keys_are_made_and_destroyed_when_they_are_due() {
        let rows = Rows::default();
        let first = seal_at(&rows, 0);
        assert_eq!(seal_at(&rows, 6).key_id, "1");
        let second = seal_at(&rows, 7);
        assert_eq!((second.key_id.as_str(), rows.live()), ("2", vec![1, 2]));
        assert!(opened(&rows, &first).is_some() && opened(&rows, &second).is_some());
        // Fifteen days after the second key was made nothing that the first sealed has a use.
        assert_eq!(seal_at(&rows, 22).key_id, "3");
        assert_eq!(rows.live(), [2, 3]);
        assert_eq!(opened(&rows, &first), None);
        assert!(opened(&rows, &second).is_some());
    }

    #[test]
    fn of_two_instances_that_make_a_key_at_once_both_use_the_one_that_was_first() {
        let rows = Rows::default();
        let now = Timestamp::from_unix(1_793_620_800);
        *rows.rival.borrow_mut() = Some(roots().wrap(1, &[9; KEY_BYTES], now, &Fixed(8)).expect("wrapped"));
        let sealed = seal_at(&rows, 0);
        assert_eq!((sealed.key_id.as_str(), rows.live()), ("1", vec![1]));
        let rival = AesKey::new(&[9; KEY_BYTES]);
        assert_eq!(rival.open(REVISION_TOKEN_CONTEXT, &sealed.data).as_deref(), Some(b"token".as_slice()));
    }
}
