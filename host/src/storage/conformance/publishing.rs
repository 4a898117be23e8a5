//! Port `exposures`.

use super::*;
use std::sync::atomic::{AtomicU32, Ordering};
use tocsin_domain::ports::PortError;

pub(crate) fn inserted_exposures_are_found_with_what_was_stored(store: &impl Store) {
    publish(store, &submission(0..14, NOON));
    let keys: Vec<_> = (0..14).map(key).collect();
    let found = store.find(&keys).expect("found");
    assert_eq!(found.existing.len(), 14);
    for row in found.existing {
        let expected = exposure(row.key.to_words().1, NOON);
        assert_eq!(row.version, 0);
        assert_eq!(row.rolling_start, expected.rolling_start);
        assert_eq!(row.rolling_period, expected.rolling_period);
        assert_eq!(row.report_type, expected.report_type);
        assert_eq!(row.revised_report_type, None);
        assert!(row.local_provenance);
        assert_eq!(row.created_at, expected.created_at);
    }
}

pub(crate) fn unknown_keys_are_not_found(store: &impl Store) {
    publish(store, &submission(0..14, NOON));
    let found = store.find(&[key(14), key(3), key(15)]).expect("found");
    assert_eq!(found.existing.iter().map(|row| row.key).collect::<Vec<_>>(), [key(3)]);
    assert_eq!(store.find(&[]).expect("found").existing, []);
}

pub(crate) fn existing_key_conflicts_and_nothing_of_the_publish_is_stored(store: &impl Store) {
    publish(store, &submission(0..14, NOON));
    assert_eq!(store.insert_and_revise(&submission(13..20, NOON)), Err(PortError::Conflict));
    for number in 14..20 {
        assert!(!is_stored(store, number), "key {number}");
    }
    publish(store, &submission(14..20, NOON));
}

pub(crate) fn key_twice_in_one_submission_is_refused(store: &impl Store) {
    let outcome = store.insert_and_revise(&submission([1, 2, 1], NOON));
    assert!(matches!(outcome, Err(PortError::Internal(_))), "{outcome:?}");
    publish(store, &submission([3], NOON));
    let revision = revision_of(&stored(store, 3), ReportType::Revoked, NOON);
    let outcome = store.insert_and_revise(&revising(vec![revision, revision]));
    assert!(matches!(outcome, Err(PortError::Internal(_))), "{outcome:?}");
    assert!(!is_stored(store, 1) && stored(store, 3).version == 0);
}

pub(crate) fn revision_changes_the_row_and_its_version(store: &impl Store) {
    publish(store, &submission([6], NOON));
    let before = stored(store, 6);
    let mut both = revising(vec![revision_of(&before, ReportType::ConfirmedTest, NOON + HOUR)]);
    both.inserts = vec![exposure(7, NOON + HOUR)];
    publish(store, &both);
    let after = stored(store, 6);
    assert_eq!(after.version, 1);
    assert_eq!(after.report_type, before.report_type);
    assert_eq!(after.revised_report_type, Some(ReportType::ConfirmedTest));
    assert!(is_stored(store, 7));
    // Whether a row may be revised again is not for the store to decide.
    publish(store, &revising(vec![revision_of(&after, ReportType::Revoked, NOON + HOUR)]));
    assert_eq!(stored(store, 6).version, 2);
    assert_eq!(stored(store, 6).revised_report_type, Some(ReportType::Revoked));
}

pub(crate) fn revision_of_another_version_conflicts_and_nothing_is_stored(store: &impl Store) {
    publish(store, &submission(0..3, NOON));
    let stale = stored(store, 0);
    publish(store, &revising(vec![revision_of(&stale, ReportType::Revoked, NOON)]));
    let mut late = revising(vec![
        revision_of(&stored(store, 1), ReportType::Revoked, NOON),
        revision_of(&stale, ReportType::ConfirmedTest, NOON),
    ]);
    late.inserts = vec![exposure(9, NOON)];
    assert_eq!(store.insert_and_revise(&late), Err(PortError::Conflict));
    assert_eq!(stored(store, 0).revised_report_type, Some(ReportType::Revoked));
    assert_eq!(stored(store, 1).version, 0);
    assert!(!is_stored(store, 9));
}

pub(crate) fn revision_of_an_unknown_row_or_another_key_conflicts(store: &impl Store) {
    publish(store, &submission(0..2, NOON));
    let good = revision_of(&stored(store, 0), ReportType::Revoked, NOON);
    let bad = [
        RevisionOf { id: 0, ..good },
        RevisionOf { id: u64::MAX, ..good },
        RevisionOf { id: good.id + 1_000, ..good },
        RevisionOf { key: key(1), ..good },
        RevisionOf { expected_version: 1, ..good },
    ];
    for revision in bad {
        let outcome = store.insert_and_revise(&revising(vec![revision]));
        assert_eq!(outcome, Err(PortError::Conflict), "{revision:?}");
    }
    assert_eq!(store.insert_and_revise(&revising(vec![good])), Ok(()));
}

pub(crate) fn time_before_open_from_conflicts(store: &impl Store) {
    publish(store, &submission([0], NOON));
    let config = add_config(store, "root");
    let batch = NewBatch { config_id: config.id, window: window(NOON, NOON + HOUR) };
    assert_eq!(store.create_batches(&[batch]), Ok(1));
    assert_eq!(store.insert_and_revise(&submission([1], NOON + HOUR - 1)), Err(PortError::Conflict));
    let revision = |time| revising(vec![revision_of(&stored(store, 0), ReportType::Revoked, time)]);
    assert_eq!(store.insert_and_revise(&revision(NOON + HOUR - 1)), Err(PortError::Conflict));
    assert_eq!(store.insert_and_revise(&revision(NOON + HOUR)), Ok(()));
    assert_eq!(store.insert_and_revise(&submission([1], NOON + HOUR)), Ok(()));
}

pub(crate) fn open_from_is_the_latest_end_of_any_batch(store: &impl Store) {
    let open_from = || store.find(&[]).expect("found").open_from;
    assert!(open_from() <= at(0), "a store without batches is open from the start");
    let (first, second) = (add_config(store, "first"), add_config(store, "second"));
    let day = NewBatch { config_id: second.id, window: window(NOON, NOON + 24 * HOUR) };
    assert_eq!(store.create_batches(&[day]), Ok(1));
    assert_eq!(open_from(), at(NOON + 24 * HOUR));
    complete_new_batch(store, first.id, window(NOON - HOUR, NOON), &[]);
    assert_eq!(open_from(), at(NOON + 24 * HOUR), "an earlier batch does not reopen anything");
}

pub(crate) fn time_that_no_row_can_have_is_refused(store: &impl Store) {
    for time in [i64::MIN, 0, i64::MAX] {
        let outcome = store.insert_and_revise(&submission([1], time));
        assert!(outcome.is_err() || is_stored(store, 1), "time {time}: {outcome:?}");
    }
}

pub(crate) fn one_publish_wins_each_contested_key_and_none_is_half_stored(store: &impl Store) {
    const THREADS: u64 = 8;
    const ROUNDS: u64 = 40;
    // Publish r of thread t has four keys of its own and ten that all threads want, in another order each.
    let own = |thread: u64, round: u64| (0..4).map(move |n| 1_000_000 + (thread * ROUNDS + round) * 4 + n);
    let contested = |round: u64| (0..10).map(move |n| round * 10 + n);
    let wins: Vec<AtomicU32> = (0..ROUNDS).map(|_| AtomicU32::new(0)).collect();
    std::thread::scope(|scope| {
        for thread in 0..THREADS {
            let (store, wins) = (&store, &wins);
            scope.spawn(move || {
                for step in 0..ROUNDS {
                    let round = (step + thread / 4) % ROUNDS;
                    let mut numbers: Vec<u64> = own(thread, round).chain(contested(round)).collect();
                    let turn = usize::try_from(thread).expect("small");
                    numbers.rotate_left(turn);
                    let outcome = store.insert_and_revise(&submission(numbers, NOON));
                    assert!(matches!(outcome, Ok(()) | Err(PortError::Conflict)), "{outcome:?}");
                    let stored_own = own(thread, round).filter(|number| is_stored(*store, *number)).count();
                    assert_eq!(stored_own, if outcome.is_ok() { 4 } else { 0 }, "half a publish");
                    if outcome.is_ok() {
                        wins[usize::try_from(round).expect("small")].fetch_add(1, Ordering::Relaxed);
                    }
                }
            });
        }
    });
    for (round, wins) in wins.iter().enumerate() {
        assert_eq!(wins.load(Ordering::Relaxed), 1, "winners of round {round}");
    }
    let size = store.count(&selection(window(NOON, NOON + HOUR))).expect("counted");
    assert_eq!(size.primary, ROUNDS * 14);
}

pub(crate) fn concurrent_revisions_of_a_row_have_one_winner(store: &impl Store) {
    publish(store, &submission(0..50, NOON));
    for number in 0..50 {
        let row = stored(store, number);
        let winners = AtomicU32::new(0);
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    let revision = revising(vec![revision_of(&row, ReportType::Revoked, NOON)]);
                    match store.insert_and_revise(&revision) {
                        Ok(()) => winners.fetch_add(1, Ordering::Relaxed),
                        Err(error) => {
                            assert_eq!(error, PortError::Conflict);
                            0
                        }
                    }
                });
            }
        });
        assert_eq!((winners.load(Ordering::Relaxed), stored(store, number).version), (1, 1));
    }
}
