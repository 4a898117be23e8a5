//! Revision keys, wrapped.

use super::*;
use crate::storage::revision_keys::{NewRevisionKey, RevisionKeyRow, RewrappedKey};
use tocsin_domain::ports::PortError;

fn new_key(id: u64) -> NewRevisionKey {
    let byte = u8::try_from(id % 256).expect("small");
    NewRevisionKey { id, root_key_id: 1, wrapped: vec![byte; 60], created_at: at(NOON + id.cast_signed()) }
}

fn row(id: u64) -> RevisionKeyRow {
    let NewRevisionKey { id, root_key_id, wrapped, created_at } = new_key(id);
    RevisionKeyRow { id, root_key_id, wrapped: Some(wrapped), created_at, destroyed_at: None }
}

fn destroyed(row: RevisionKeyRow, time: i64) -> RevisionKeyRow {
    RevisionKeyRow { wrapped: None, destroyed_at: Some(at(time)), ..row }
}

pub(crate) fn revision_keys_are_listed_by_id_as_they_were_inserted(store: &impl Store) {
    assert_eq!(store.revision_keys(), Ok(vec![]));
    assert_eq!(store.insert_revision_keys(&[new_key(7), new_key(2)]), Ok(()));
    assert_eq!(store.insert_revision_keys(&[new_key(5)]), Ok(()));
    assert_eq!(store.revision_keys(), Ok(vec![row(2), row(5), row(7)]));
}

pub(crate) fn id_of_a_revision_key_is_used_once_even_after_its_end(store: &impl Store) {
    assert_eq!(store.insert_revision_keys(&[new_key(1)]), Ok(()));
    assert_eq!(store.insert_revision_keys(&[new_key(2), new_key(1)]), Err(PortError::Conflict));
    assert_eq!(store.revision_keys(), Ok(vec![row(1)]), "none of them is stored");
    assert_eq!(store.destroy_revision_keys(&[1], at(NOON)), Ok(()));
    assert_eq!(store.insert_revision_keys(&[new_key(1)]), Err(PortError::Conflict));
}

pub(crate) fn destroyed_revision_key_leaves_its_times_only(store: &impl Store) {
    assert_eq!(store.insert_revision_keys(&[new_key(1), new_key(2), new_key(3)]), Ok(()));
    assert_eq!(store.destroy_revision_keys(&[1, 3], at(NOON + HOUR)), Ok(()));
    let after = vec![destroyed(row(1), NOON + HOUR), row(2), destroyed(row(3), NOON + HOUR)];
    assert_eq!(store.revision_keys(), Ok(after.clone()));
    assert_eq!(store.destroy_revision_keys(&[1, 99], at(NOON + 2 * HOUR)), Ok(()), "harmless when repeated");
    assert_eq!(store.revision_keys(), Ok(after));
}

pub(crate) fn revision_keys_are_rewrapped_all_or_none(store: &impl Store) {
    assert_eq!(store.insert_revision_keys(&[new_key(1), new_key(2), new_key(3)]), Ok(()));
    assert_eq!(store.destroy_revision_keys(&[2], at(NOON)), Ok(()));
    let rewrapped = |id| RewrappedKey { id, root_key_id: 9, wrapped: vec![0; 60] };
    for bad in [2, 99] {
        assert_eq!(store.rewrap_revision_keys(&[rewrapped(1), rewrapped(bad)]), Err(PortError::Conflict), "{bad}");
    }
    assert_eq!(store.revision_keys(), Ok(vec![row(1), destroyed(row(2), NOON), row(3)]));
    assert_eq!(store.rewrap_revision_keys(&[rewrapped(1), rewrapped(3)]), Ok(()));
    let changed = |id| RevisionKeyRow { root_key_id: 9, wrapped: Some(vec![0; 60]), ..row(id) };
    assert_eq!(store.revision_keys(), Ok(vec![changed(1), destroyed(row(2), NOON), changed(3)]));
}
