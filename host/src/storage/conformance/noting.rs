//! What validators have noted is noted together with the keys, or neither is.

use super::{HOUR, NOON, Store, at, exposure, key, revising, revision_of, stored, submission};
use tocsin_domain::exposure::ReportType;
use tocsin_domain::ports::PortError;
use tocsin_domain::ports::exposures::Submission;
use tocsin_domain::validation::{AttestedKey, Commit, CommitSet, ValidatorCommit};

/// A publish of one key that wants this noted.
fn noting(number: u64, binding: u8, commits: &[(&str, Commit)]) -> Submission {
    let commit = |(validator, commit): &(&str, Commit)| ValidatorCommit {
        validator: (*validator).to_owned(),
        commit: commit.clone(),
    };
    let commits = CommitSet { binding: [binding; 32], commits: commits.iter().map(commit).collect() };
    Submission { commits: Some(commits), ..submission([number], NOON) }
}

fn claim(digest: u8) -> Commit {
    Commit::ClaimOnce { space: "token".to_owned(), digest: [digest; 32], expires_at: at(NOON + HOUR) }
}

fn device_key(id: u8) -> Commit {
    Commit::StoreKey(AttestedKey {
        key_id: vec![id],
        app: "com.example.app".to_owned(),
        public_key: vec![4; 65],
        development: false,
        counter: 0,
        attested_at: at(NOON),
    })
}

fn step(id: u8, expected: u32, next: u32) -> Commit {
    Commit::AdvanceCounter { key_id: vec![id], expected, next }
}

/// Whether the key is stored.
fn is_stored(store: &impl Store, number: u64) -> bool {
    !store.find(&[key(number)]).expect("found").existing.is_empty()
}

pub(crate) fn a_value_is_used_by_one_submission(store: &impl Store) {
    assert_eq!(store.insert_and_revise(&noting(1, 1, &[("v", claim(7))])), Ok(()));
    assert_eq!(store.insert_and_revise(&noting(2, 2, &[("v", claim(7))])), Err(PortError::AlreadyUsed));
    assert!(!is_stored(store, 2), "nothing of it is stored");
    assert_eq!(store.insert_and_revise(&noting(3, 1, &[("v", claim(7))])), Ok(()), "the same submission again");
    assert_eq!(store.insert_and_revise(&noting(4, 4, &[("w", claim(7))])), Ok(()), "another validator's value");
    assert_eq!(store.insert_and_revise(&noting(5, 5, &[("v", claim(8))])), Ok(()), "another value");
}

pub(crate) fn all_commits_are_noted_or_none(store: &impl Store) {
    assert_eq!(store.insert_and_revise(&noting(1, 1, &[("v", claim(1))])), Ok(()));
    let both = noting(2, 2, &[("v", claim(2)), ("v", claim(1))]);
    assert_eq!(store.insert_and_revise(&both), Err(PortError::AlreadyUsed));
    assert_eq!(store.insert_and_revise(&noting(3, 3, &[("v", claim(2))])), Ok(()), "the first was not noted");
    // And nothing is noted when the keys are refused.
    let conflict = noting(3, 4, &[("v", claim(3))]);
    assert_eq!(store.insert_and_revise(&conflict), Err(PortError::Conflict));
    assert_eq!(store.insert_and_revise(&noting(5, 5, &[("v", claim(3))])), Ok(()));
}

pub(crate) fn a_counter_only_moves_from_where_it_was_seen(store: &impl Store) {
    assert_eq!(store.insert_and_revise(&noting(1, 1, &[("v", step(1, 0, 1))])), Err(PortError::AlreadyUsed), "no key");
    assert_eq!(store.insert_and_revise(&noting(1, 1, &[("v", device_key(1))])), Ok(()));
    assert_eq!(store.insert_and_revise(&noting(2, 2, &[("v", device_key(1))])), Err(PortError::AlreadyUsed));
    assert_eq!(store.insert_and_revise(&noting(2, 2, &[("v", step(1, 0, 3))])), Ok(()));
    assert_eq!(store.insert_and_revise(&noting(3, 3, &[("v", step(1, 0, 3))])), Err(PortError::AlreadyUsed));
    assert_eq!(store.insert_and_revise(&noting(4, 2, &[("v", step(1, 0, 3))])), Ok(()), "the same submission again");
    assert_eq!(store.insert_and_revise(&noting(5, 5, &[("v", step(1, 3, 4))])), Ok(()));
    let elsewhere = noting(6, 6, &[("v", step(1, 4, 5))]);
    let elsewhere = Submission { app: "com.example.other".to_owned(), ..elsewhere };
    assert_eq!(store.insert_and_revise(&elsewhere), Err(PortError::AlreadyUsed), "another app has no such key");
}

pub(crate) fn revisions_note_too(store: &impl Store) {
    super::publish(store, &submission([1], NOON));
    let revision = revising(vec![revision_of(&stored(store, 1), ReportType::ConfirmedTest, NOON + HOUR)]);
    let commits = noting(9, 1, &[("v", claim(1))]).commits;
    assert_eq!(store.insert_and_revise(&Submission { commits, ..revision }), Ok(()));
    assert_eq!(store.insert_and_revise(&noting(2, 2, &[("v", claim(1))])), Err(PortError::AlreadyUsed));
}

pub(crate) fn of_many_at_once_one_uses_a_value(store: &impl Store) {
    let outcomes: Vec<_> = std::thread::scope(|scope| {
        let publish = |number: u8| {
            scope.spawn(move || store.insert_and_revise(&noting(number.into(), number, &[("v", claim(1))])))
        };
        let threads: Vec<_> = (1..=16).map(publish).collect();
        threads.into_iter().map(|thread| thread.join().expect("no panic")).collect()
    });
    assert_eq!(outcomes.iter().filter(|outcome| outcome.is_ok()).count(), 1, "{outcomes:?}");
    let refused = outcomes.iter().filter(|outcome| **outcome == Err(PortError::AlreadyUsed)).count();
    assert_eq!(refused, 15, "{outcomes:?}");
    assert_eq!((1..=16).filter(|number| is_stored(store, *number)).count(), 1);
}

/// A submission that changes no key has no time of its own; the device key must not seem long unused by it.
pub(crate) fn use_without_keys_does_not_age_a_device_key(store: &impl Store) {
    assert_eq!(store.insert_and_revise(&noting(1, 1, &[("v", device_key(1))])), Ok(()));
    let unchanged = Submission { inserts: Vec::new(), ..noting(2, 2, &[("v", step(1, 0, 1))]) };
    assert_eq!(store.insert_and_revise(&unchanged), Ok(()));
    store.purge_exposures(at(NOON)).expect("purged");
    assert_eq!(store.insert_and_revise(&noting(3, 3, &[("v", step(1, 1, 2))])), Ok(()), "the key is still there");
}

pub(crate) fn what_was_noted_goes_with_the_exposures(store: &impl Store) {
    assert_eq!(store.insert_and_revise(&noting(1, 1, &[("v", claim(1)), ("v", device_key(1))])), Ok(()));
    store.purge_exposures(at(NOON)).expect("purged");
    assert_eq!(store.insert_and_revise(&noting(2, 2, &[("v", claim(1))])), Err(PortError::AlreadyUsed), "not yet");
    while store.purge_exposures(at(NOON + HOUR + 1)).expect("purged").more {}
    let later = |number, commit| {
        let later = noting(number, 3, &[("v", commit)]);
        Submission { inserts: vec![exposure(number, NOON + 2 * HOUR)], ..later }
    };
    assert_eq!(store.insert_and_revise(&later(3, step(1, 0, 1))), Err(PortError::AlreadyUsed), "the key is gone");
    assert_eq!(store.insert_and_revise(&later(4, claim(1))), Ok(()), "the value may be used again");
}
