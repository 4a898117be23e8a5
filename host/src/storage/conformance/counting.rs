//! Port `statistics`, and the counts that a publish carries.

use super::*;
use tocsin_domain::statistics::platform::Platform;
use tocsin_domain::statistics::{HourlyStatistics, PublishStatistics};

/// A publish of health authority `authority` in the hour from `hour`.
fn counted(number: u64, authority: u64, hour: i64) -> Submission {
    let statistics = PublishStatistics {
        hour: at(hour),
        platform: Platform::Android,
        keys: 3,
        revision: false,
        oldest_key_days: 15,
        onset_days: Some(29),
    };
    let health_authority = Some(HealthAuthorityId(authority));
    Submission { health_authority, statistics: Some(statistics), ..submission([number], NOON) }
}

fn hours(store: &impl Store, authority: u64) -> Vec<HourlyStatistics> {
    store.hours(HealthAuthorityId(authority)).expect("read")
}

fn expected(hour: i64, publishes: u64) -> HourlyStatistics {
    let mut expected =
        HourlyStatistics { requests_android: publishes, keys: 3 * publishes, ..HourlyStatistics::new(at(hour)) };
    expected.oldest_key_days[15] = publishes;
    expected.onset_days[29] = publishes;
    expected
}

pub(crate) fn publishes_of_an_hour_are_summed_for_their_health_authority(store: &impl Store) {
    publish(store, &counted(1, 1, NOON + HOUR));
    publish(store, &counted(2, 1, NOON));
    publish(store, &counted(3, 1, NOON));
    publish(store, &counted(4, 2, NOON));
    publish(store, &submission([5], NOON));
    assert_eq!(hours(store, 1), [expected(NOON, 2), expected(NOON + HOUR, 1)]);
    assert_eq!(hours(store, 2), [expected(NOON, 1)]);
    assert_eq!(hours(store, 3), []);
    // Nothing to store, and still a publish.
    publish(store, &Submission { inserts: vec![], ..counted(6, 2, NOON) });
    assert_eq!(hours(store, 2), [expected(NOON, 2)]);
}

pub(crate) fn refused_publish_is_not_counted(store: &impl Store) {
    publish(store, &counted(1, 1, NOON));
    assert!(store.insert_and_revise(&counted(1, 1, NOON)).is_err(), "the key exists");
    assert_eq!(hours(store, 1), [expected(NOON, 1)]);
}

pub(crate) fn concurrent_publishes_are_all_counted(store: &impl Store) {
    const THREADS: u64 = 8;
    const EACH: u64 = 20;
    std::thread::scope(|scope| {
        for thread in 0..THREADS {
            scope.spawn(move || {
                (0..EACH).for_each(|number| publish(store, &counted(thread * EACH + number, 1, NOON)));
            });
        }
    });
    assert_eq!(hours(store, 1), [expected(NOON, THREADS * EACH)]);
}

pub(crate) fn statistics_are_purged_by_the_hour(store: &impl Store) {
    for (number, hour) in (0..).zip([NOON - HOUR, NOON, NOON + HOUR]) {
        publish(store, &counted(number, 1, hour));
    }
    assert_eq!(store.purge_statistics(at(NOON)), Ok(1));
    assert_eq!(hours(store, 1), [expected(NOON, 1), expected(NOON + HOUR, 1)]);
    assert_eq!(store.purge_statistics(at(NOON)), Ok(0));
    publish(store, &counted(9, 1, NOON - HOUR));
    assert_eq!(hours(store, 1)[0], expected(NOON - HOUR, 1), "what was deleted is forgotten");
}
