//! Port `leases`.

use super::*;

fn names(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

pub(crate) fn names_are_leased_all_or_none(store: &impl Store) {
    let acquire = |list: &[&str]| store.acquire(&names(list), at(100), at(200)).expect("no error");
    assert!(acquire(&["job:a", "region:US", "region:US"]).is_some(), "a name twice is one name");
    assert_eq!(acquire(&["region:CA", "region:US"]), None);
    assert!(acquire(&["region:CA"]).is_some(), "the refused call leased nothing");
    assert_eq!(acquire(&["job:a"]), None);
}

pub(crate) fn lease_ends_at_its_time_or_when_released(store: &impl Store) {
    let acquire = |now: i64| store.acquire(&names(&["job:a", "job:b"]), at(now), at(now + 100)).expect("no error");
    let first = acquire(100).expect("free");
    assert_eq!(acquire(199), None);
    let second = acquire(200).expect("expired");
    assert_ne!(first, second);
    assert_eq!(store.release(second), Ok(()));
    assert!(acquire(201).is_some());
}

pub(crate) fn released_lease_of_someone_else_stays(store: &impl Store) {
    let acquire = |now: i64| store.acquire(&names(&["job:a"]), at(now), at(now + 100)).expect("no error");
    let first = acquire(100).expect("free");
    acquire(300).expect("expired");
    assert_eq!(store.release(first), Ok(()), "an expired lease is not an error");
    assert_eq!(acquire(301), None, "and frees nothing");
}
