//! Port `retention`.

use super::*;
use crate::storage::administration::BatchState;
use tocsin_domain::ports::retention::{PurgeSlice, StaleIndex};

fn purge_all(store: &impl Store, created_before: i64) -> u64 {
    let mut deleted = 0;
    loop {
        let slice = store.purge_exposures(at(created_before)).expect("purged");
        deleted += slice.deleted;
        if !slice.more {
            return deleted;
        }
    }
}

pub(crate) fn purge_deletes_what_was_created_before_and_nothing_else(store: &impl Store) {
    let times = [NOON - 30 * HOUR, NOON - 1, NOON + 5, NOON + 4, NOON + 6, NOON + HOUR];
    for (number, time) in (0..).zip(times) {
        publish(store, &submission([number], time));
    }
    assert_eq!(purge_all(store, NOON + 5), 3);
    let left: Vec<u64> = (0..6).filter(|number| is_stored(store, *number)).collect();
    assert_eq!(left, [2, 4, 5]);
    assert_eq!(selected(store, &selection(window(0, i64::MAX)), Pass::Primary), [2, 4, 5]);
    assert_eq!(purge_all(store, NOON + 5), 0, "a second time changes nothing");
    assert_eq!(purge_all(store, i64::MAX), 3);
    assert_eq!(store.status().expect("read").exposures, 0);
}

pub(crate) fn purge_goes_hour_by_hour(store: &impl Store) {
    for hour in 0..3 {
        publish(store, &submission(hour * 5..hour * 5 + 5, NOON + HOUR * i64::try_from(hour).expect("small")));
    }
    let slice = || store.purge_exposures(at(NOON + 2 * HOUR)).expect("purged");
    assert_eq!(slice(), PurgeSlice { deleted: 5, more: true });
    assert!(!is_stored(store, 4) && is_stored(store, 5), "oldest first");
    assert_eq!(slice(), PurgeSlice { deleted: 5, more: false });
    assert_eq!(slice(), PurgeSlice { deleted: 0, more: false });
    assert!(is_stored(store, 10));
}

pub(crate) fn purged_key_can_be_published_again(store: &impl Store) {
    publish(store, &submission(0..5, NOON));
    let before = stored(store, 0);
    assert_eq!(purge_all(store, NOON + 1), 5);
    publish(store, &submission(0..5, NOON));
    assert!(is_stored(store, 0));
    // An old row id, should it be in use again, is never taken for the old row of another key.
    let stale = RevisionOf { key: key(77), ..revision_of(&before, ReportType::Revoked, NOON) };
    assert!(store.insert_and_revise(&revising(vec![stale])).is_err());
}

pub(crate) fn revision_does_not_outlive_its_exposure(store: &impl Store) {
    publish(store, &submission(0..5, NOON));
    let late = NOON + 100 * HOUR;
    publish(store, &revising((0..5).map(|n| revision_of(&stored(store, n), ReportType::Revoked, late)).collect()));
    assert_eq!(purge_all(store, NOON + HOUR), 5, "a revision does not prolong a row's life");
    assert_eq!(selected(store, &selection(window(late, late + HOUR)), Pass::Revised), [] as [u64; 0]);
    publish(store, &submission(0..5, NOON));
    assert_eq!(stored(store, 0).version, 0);
}

pub(crate) fn expired_files_leave_the_live_ones_and_their_index_is_stale(store: &impl Store) {
    let (first, second) = (add_config(store, "first").id, add_config(store, "second").id);
    complete_new_batch(store, first, window(NOON, NOON + HOUR), &["first/a", "first/b"]);
    complete_new_batch(store, first, window(NOON + HOUR, NOON + 2 * HOUR), &["first/c"]);
    complete_new_batch(store, second, window(NOON + HOUR, NOON + 2 * HOUR), &["second/a"]);
    assert_eq!(store.expire_files(at(NOON + HOUR)), Ok(vec![]), "ended then, not before");
    let stale = StaleIndex { config_id: first, bucket: "exports".to_owned(), filename_root: "first".to_owned() };
    assert_eq!(store.expire_files(at(NOON + HOUR + 1)), Ok(vec![stale]));
    assert_eq!(Retention::live_files(store, first, at(0)), Ok(vec!["first/c".to_owned()]));
    let expired = store.expired_files(10).expect("read");
    assert_eq!(expired.iter().map(|file| file.name.as_str()).collect::<Vec<_>>(), ["first/a", "first/b"]);
    assert!(expired.iter().all(|file| file.bucket == "exports"));
    assert_eq!(store.expired_files(1).expect("read").len(), 1);
}

pub(crate) fn index_stays_stale_until_its_files_are_forgotten(store: &impl Store) {
    let config = add_config(store, "root").id;
    complete_new_batch(store, config, window(NOON, NOON + HOUR), &["root/a"]);
    for _ in 0..2 {
        assert_eq!(store.expire_files(at(NOON + 2 * HOUR)).expect("expired").len(), 1);
    }
    let ids: Vec<_> = store.expired_files(10).expect("read").iter().map(|file| file.id).collect();
    store.forget_files(&ids).expect("forgotten");
    assert_eq!(store.expire_files(at(NOON + 2 * HOUR)), Ok(vec![]));
}

pub(crate) fn forgotten_files_are_deleted_and_so_is_their_batch(store: &impl Store) {
    let config = add_config(store, "root").id;
    complete_new_batch(store, config, window(NOON, NOON + HOUR), &["root/a", "root/b"]);
    store.expire_files(at(NOON + 2 * HOUR)).expect("expired");
    let ids: Vec<_> = store.expired_files(10).expect("read").iter().map(|file| file.id).collect();
    let state = || store.export_batches(None, 1).expect("read")[0].state;
    store.forget_files(&ids[..1]).expect("forgotten");
    assert_eq!((state(), store.expired_files(10).expect("read").len()), (BatchState::Complete, 1));
    store.forget_files(&ids).expect("a file may be forgotten twice");
    assert_eq!((state(), store.expired_files(10).expect("read").len()), (BatchState::Deleted, 0));
    assert_eq!(store.find(&[]).expect("found").open_from, at(NOON + HOUR), "a deleted batch was cut all the same");
}

pub(crate) fn live_file_cannot_be_forgotten(store: &impl Store) {
    let config = add_config(store, "root").id;
    let leased = complete_new_batch(store, config, window(NOON, NOON + HOUR), &["root/a"]);
    let id = store.export_files(leased.lease.batch_id).expect("read")[0].id;
    assert_eq!(store.forget_files(&[id, 999]), Ok(()));
    assert_eq!(Retention::live_files(store, config, at(0)), Ok(vec!["root/a".to_owned()]));
}
