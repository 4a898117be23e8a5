//! Use case: rotate the keys that seal revision tokens.
//!
//! The key with the greatest id is the effective one: it seals. All keys that are not destroyed may open. A key is
//! destroyed when the key after it has been effective for so long that whatever it sealed has no use any more.

use crate::interval::Timestamp;
use crate::settings::KeyRotationSettings;

/// A revision key that is not destroyed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RevisionKeyInfo {
    /// Ids grow in the order in which keys are made.
    pub id: u64,
    /// When it was made.
    pub created_at: Timestamp,
}

/// What a run does.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Plan {
    /// Make a key, which is then the effective one.
    pub create: bool,
    /// Ids of the keys to destroy, newest first. The effective key is never among them.
    pub destroy: Vec<u64>,
}

/// Decides what is due at `now`; the order of `keys` does not matter (rules of the reference's `key-rotation` service).
///
/// A key is made when there is none or the newest has the age `new_key_period_seconds`. A key that is not the newest is
/// destroyed when the key made after it has the age `delete_old_key_period_seconds`. The newest key stays even when this
/// run makes one after it, whose age is then zero.
pub fn plan(keys: &[RevisionKeyInfo], now: Timestamp, settings: &KeyRotationSettings) -> Plan {
    let newest_first = newest_first(keys);
    let is_due = |since: Timestamp, period: u64| now >= after(since, period);
    Plan {
        create: newest_first.first().is_none_or(|newest| is_due(newest.created_at, settings.new_key_period_seconds)),
        destroy: with_successors(&newest_first)
            .filter(|(_, successor)| is_due(successor.created_at, settings.delete_old_key_period_seconds))
            .map(|(key, _)| key.id)
            .collect(),
    }
}

/// The earliest time at which [`plan`] makes or destroys a key, if nobody changes `keys` before; `None` without keys: at
/// once.
pub fn next_change(keys: &[RevisionKeyInfo], settings: &KeyRotationSettings) -> Option<Timestamp> {
    let newest_first = newest_first(keys);
    let creation = after(newest_first.first()?.created_at, settings.new_key_period_seconds);
    let destructions = with_successors(&newest_first)
        .map(|(_, successor)| after(successor.created_at, settings.delete_old_key_period_seconds));
    Some(destructions.fold(creation, Timestamp::min))
}

fn newest_first(keys: &[RevisionKeyInfo]) -> Vec<RevisionKeyInfo> {
    let mut keys = keys.to_vec();
    keys.sort_unstable_by_key(|key| std::cmp::Reverse(key.id));
    keys
}

/// Each key but the newest, with the key made after it.
fn with_successors(newest_first: &[RevisionKeyInfo]) -> impl Iterator<Item = (&RevisionKeyInfo, &RevisionKeyInfo)> {
    newest_first.iter().skip(1).zip(newest_first)
}

fn after(time: Timestamp, seconds: u64) -> Timestamp {
    time.plus_seconds(i64::try_from(seconds).unwrap_or(i64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const HOUR: i64 = 3_600;
    const NOW: i64 = 1_793_620_800;

    /// A key of that age, in hours before [`NOW`].
    fn key(id: u64, hours: i64) -> RevisionKeyInfo {
        RevisionKeyInfo { id, created_at: Timestamp::from_unix(NOW - hours * HOUR) }
    }

    fn check(keys: &[RevisionKeyInfo], later: i64, create: bool, destroy: &[u64]) {
        let found = plan(keys, Timestamp::from_unix(NOW + later), &KeyRotationSettings::default());
        assert_eq!(found, Plan { create, destroy: destroy.to_vec() }, "{keys:?}, {later} s later");
    }

    #[test]
    fn first_key_is_made_at_once() {
        check(&[], 0, true, &[]);
    }

    #[test]
    fn next_key_is_made_when_the_newest_is_a_week_old() {
        check(&[key(1, 168)], -1, false, &[]);
        check(&[key(1, 168)], 0, true, &[]);
        check(&[key(1, 500), key(2, 168)], -1, false, &[]);
        check(&[key(1, 500), key(2, 168)], 0, true, &[]);
    }

    #[test]
    fn key_is_destroyed_when_the_next_is_fifteen_days_old_however_old_it_is_itself() {
        check(&[key(1, 9_999), key(2, 360), key(3, 1)], -1, false, &[]);
        check(&[key(1, 9_999), key(2, 360), key(3, 1)], 0, false, &[1]);
        check(&[key(1, 9_999), key(2, 361), key(3, 360), key(4, 1)], 0, false, &[2, 1]);
    }

    #[test]
    fn effective_key_stays_however_old_it_is() {
        check(&[key(7, 9_999)], 0, true, &[]);
        check(&[key(6, 9_999), key(7, 9_998)], 0, true, &[6]);
    }

    #[test]
    fn order_of_the_keys_does_not_matter_and_the_greatest_id_is_effective() {
        check(&[key(3, 1), key(1, 9_999), key(2, 360)], 0, false, &[1]);
        // A clock that went back: the second key seems to be the older one.
        check(&[key(1, 100), key(2, 200)], 0, true, &[]);
    }

    #[test]
    fn key_of_the_future_is_neither_replaced_nor_counted_as_effective_long_enough() {
        check(&[key(1, 9_999), key(2, -5)], 0, false, &[]);
    }

    #[test]
    fn times_at_the_end_of_the_range_do_not_overflow() {
        let settings =
            KeyRotationSettings { new_key_period_seconds: u64::MAX, delete_old_key_period_seconds: u64::MAX };
        let keys = [key(1, 2), RevisionKeyInfo { id: 2, created_at: Timestamp::from_unix(i64::MAX) }];
        assert_eq!(plan(&keys, Timestamp::from_unix(NOW), &settings), Plan::default());
        assert_eq!(next_change(&keys, &settings), Some(Timestamp::from_unix(i64::MAX)));
    }

    #[test]
    fn next_change_is_the_first_creation_or_destruction() {
        let check = |keys: &[RevisionKeyInfo], hours: Option<i64>| {
            let next = next_change(keys, &KeyRotationSettings::default());
            assert_eq!(next, hours.map(|hours| Timestamp::from_unix(NOW + hours * HOUR)), "{keys:?}");
        };
        check(&[], None);
        check(&[key(1, 8)], Some(160));
        check(&[key(1, 300), key(2, 8)], Some(160));
        check(&[key(1, 600), key(2, 350), key(3, 8)], Some(10));
    }

    fn keys_and_settings() -> impl Strategy<Value = (Vec<RevisionKeyInfo>, KeyRotationSettings)> {
        let times = prop::collection::vec(NOW - 3_000 * HOUR..NOW + 100 * HOUR, 0..12);
        (times, 1u64..400, 1u64..400).prop_map(|(times, new, delete)| {
            let keys =
                (1..).zip(times).map(|(id, time)| RevisionKeyInfo { id, created_at: Timestamp::from_unix(time) });
            let settings = KeyRotationSettings {
                new_key_period_seconds: new * 3_600,
                delete_old_key_period_seconds: delete * 3_600,
            };
            (keys.collect(), settings)
        })
    }

    /// One day of a server: when its job runs, if it does, and when a phone publishes.
    fn days() -> impl Strategy<Value = Vec<(Option<i64>, i64)>> {
        prop::collection::vec((prop::option::weighted(0.9, 0..24 * HOUR), 0..24 * HOUR), 90..150)
    }

    proptest! {
        #[test]
        fn neither_the_effective_key_nor_one_that_was_replaced_lately_is_destroyed(
            (keys, settings) in keys_and_settings()
        ) {
            let plan = plan(&keys, Timestamp::from_unix(NOW), &settings);
            for id in &plan.destroy {
                let successor = keys.iter().find(|key| key.id == id + 1);
                prop_assert!(successor.is_some(), "key {id} is effective");
                let age = NOW - successor.map_or(0, |key| key.created_at.unix());
                prop_assert!(u64::try_from(age).is_ok_and(|age| age >= settings.delete_old_key_period_seconds));
            }
        }

        #[test]
        fn nothing_is_due_before_the_next_change_and_something_is_at_it((keys, settings) in keys_and_settings()) {
            if let Some(next) = next_change(&keys, &settings) {
                prop_assert_eq!(plan(&keys, next.plus_seconds(-1), &settings), Plan::default());
                prop_assert_ne!(plan(&keys, next, &settings), Plan::default());
            }
        }

        /// Months of runs, some of them missed, and of tokens: each can be opened as long as a key of it may be revised.
        #[test]
        fn token_can_be_opened_as_long_as_a_key_may_be_published(days in days()) {
            const MAX_KEY_AGE: i64 = 360 * HOUR;
            let settings = KeyRotationSettings::default();
            let mut keys = vec![key(1, 0)];
            let mut tokens: Vec<(i64, u64)> = Vec::new();
            for (day, (run, publish)) in (0..).zip(days) {
                let midnight = NOW + day * 24 * HOUR;
                let mut events: Vec<(i64, bool)> = vec![(midnight + publish, true)];
                events.extend(run.map(|run| (midnight + run, false)));
                events.sort_unstable();
                for (time, is_publish) in events {
                    if is_publish {
                        tokens.push((time, keys.iter().map(|key| key.id).max().unwrap_or(0)));
                    } else {
                        let plan = plan(&keys, Timestamp::from_unix(time), &settings);
                        let next = keys.iter().map(|key| key.id).max().unwrap_or(0) + 1;
                        if plan.create {
                            keys.push(RevisionKeyInfo { id: next, created_at: Timestamp::from_unix(time) });
                        }
                        keys.retain(|key| !plan.destroy.contains(&key.id));
                    }
                    tokens.retain(|(sealed, _)| time - sealed < MAX_KEY_AGE);
                    for (sealed, id) in &tokens {
                        prop_assert!(keys.iter().any(|key| key.id == *id), "sealed at {sealed} under key {id}, now {time}");
                    }
                    prop_assert!(keys.len() <= 4, "old keys do not pile up: {keys:?}");
                }
            }
        }
    }
}
