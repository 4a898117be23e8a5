//! How often people publish: what is counted for the health authority that vouched, and what it is shown.
//!
//! Counts are summed by the hour; [`report`] shows days, and hides those on which so few people published that a count
//! could be about a person.

mod days;
pub mod platform;
pub mod report;

pub use days::{StatisticsDay, visible_days};

use crate::interval::{IntervalNumber, Timestamp};
use platform::Platform;

/// Seconds of an hour.
pub const HOUR_SECONDS: i64 = 3600;
/// Counts by age of the oldest key; the last is for that age and more.
pub const OLDEST_KEY_DAYS: usize = 16;
/// Counts by days from onset; the last is for that many and more.
pub const ONSET_DAYS: usize = 30;

/// What a publish adds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PublishStatistics {
    /// First second of the UTC hour it counts in.
    pub hour: Timestamp,
    /// Kind of phone.
    pub platform: Platform,
    /// Keys stored or revised.
    pub keys: u32,
    /// Whether any was revised. Then the two fields below do not count: it is about people who were counted before.
    pub revision: bool,
    /// Age of the oldest key in days, at most 15.
    pub oldest_key_days: u8,
    /// Days from symptom onset to the publish, at most 29; `None`: no onset was given.
    pub onset_days: Option<u8>,
}

/// What a request says beside its keys that counts in statistics.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Ages {
    /// Days from the start of the oldest key to the publish.
    pub oldest_key: i64,
    /// Days from symptom onset to the publish; `None`: no plausible onset was given.
    pub onset: Option<i64>,
}

impl Ages {
    /// Of keys that start at `starts`.
    pub fn of(
        starts: impl Iterator<Item = IntervalNumber>,
        onset: Option<IntervalNumber>,
        now: IntervalNumber,
    ) -> Self {
        let oldest_key = starts.map(|start| start.days_until(now)).max().unwrap_or(0);
        Self { oldest_key, onset: onset.map(|onset| onset.days_until(now)) }
    }
}

impl PublishStatistics {
    /// Of a publish that counts as uploaded at `uploaded`, which stored `inserted` and revised `revised` keys.
    pub fn new(uploaded: Timestamp, platform: Platform, ages: Ages, inserted: usize, revised: usize) -> Self {
        let Ages { oldest_key, onset } = ages;
        Self {
            hour: uploaded.truncate(HOUR_SECONDS),
            platform,
            keys: u32::try_from(inserted.saturating_add(revised)).unwrap_or(u32::MAX),
            revision: revised > 0,
            oldest_key_days: clamped(oldest_key, OLDEST_KEY_DAYS),
            onset_days: onset.map(|days| clamped(days, ONSET_DAYS)),
        }
    }
}

/// `days` as an index into `counts` counts.
fn clamped(days: i64, counts: usize) -> u8 {
    let last = u8::try_from(counts.saturating_sub(1)).unwrap_or(u8::MAX);
    u8::try_from(days.max(0)).unwrap_or(last).min(last)
}

/// Counts of one UTC hour, or of several.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HourlyStatistics {
    /// First second of the hour.
    pub hour: Timestamp,
    /// Publishes from phones of an unknown kind.
    pub requests_unknown: u64,
    /// Publishes from Android.
    pub requests_android: u64,
    /// Publishes from iOS.
    pub requests_ios: u64,
    /// Keys stored or revised.
    pub keys: u64,
    /// Publishes that revised a key.
    pub requests_with_revisions: u64,
    /// Publishes by the age in days of their oldest key.
    pub oldest_key_days: [u64; OLDEST_KEY_DAYS],
    /// Publishes by the days from symptom onset.
    pub onset_days: [u64; ONSET_DAYS],
    /// Publishes that gave no onset.
    pub missing_onset: u64,
}

impl HourlyStatistics {
    /// Nothing happened yet in that hour.
    pub const fn new(hour: Timestamp) -> Self {
        Self {
            hour,
            requests_unknown: 0,
            requests_android: 0,
            requests_ios: 0,
            keys: 0,
            requests_with_revisions: 0,
            oldest_key_days: [0; OLDEST_KEY_DAYS],
            onset_days: [0; ONSET_DAYS],
            missing_onset: 0,
        }
    }

    /// Publishes from all kinds of phones.
    pub const fn requests(&self) -> u64 {
        self.requests_unknown.saturating_add(self.requests_android).saturating_add(self.requests_ios)
    }

    /// Counts a publish.
    pub fn record(&mut self, publish: &PublishStatistics) {
        let PublishStatistics { hour: _, platform, keys, revision, oldest_key_days, onset_days } = *publish;
        increment(match platform {
            Platform::Unknown => &mut self.requests_unknown,
            Platform::Android => &mut self.requests_android,
            Platform::Ios => &mut self.requests_ios,
        });
        self.keys = self.keys.saturating_add(u64::from(keys));
        if revision {
            return increment(&mut self.requests_with_revisions);
        }
        if let Some(count) = self.oldest_key_days.get_mut(usize::from(oldest_key_days)) {
            increment(count);
        }
        match onset_days {
            None => increment(&mut self.missing_onset),
            Some(days) => self.onset_days.get_mut(usize::from(days)).into_iter().for_each(increment),
        }
    }

    /// Adds the counts of `other`.
    pub fn add(&mut self, other: &Self) {
        let Self {
            hour: _,
            requests_unknown,
            requests_android,
            requests_ios,
            keys,
            requests_with_revisions,
            oldest_key_days,
            onset_days,
            missing_onset,
        } = other;
        let pairs = [
            (&mut self.requests_unknown, requests_unknown),
            (&mut self.requests_android, requests_android),
            (&mut self.requests_ios, requests_ios),
            (&mut self.keys, keys),
            (&mut self.requests_with_revisions, requests_with_revisions),
            (&mut self.missing_onset, missing_onset),
        ];
        let ages = self.oldest_key_days.iter_mut().zip(oldest_key_days);
        let onsets = self.onset_days.iter_mut().zip(onset_days);
        for (sum, number) in pairs.into_iter().chain(ages).chain(onsets) {
            *sum = sum.saturating_add(*number);
        }
    }
}

fn increment(count: &mut u64) {
    *count = count.saturating_add(1);
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: Timestamp = Timestamp::from_unix(1_600_084_800);

    fn publish(keys: u32, revision: bool, oldest_key_days: u8, onset_days: Option<u8>) -> PublishStatistics {
        PublishStatistics { hour: HOUR, platform: Platform::Ios, keys, revision, oldest_key_days, onset_days }
    }

    #[test]
    fn revision_counts_as_such_and_nothing_about_ages() {
        let mut hour = HourlyStatistics::new(HOUR);
        hour.record(&publish(3, true, 9, Some(4)));
        let expect =
            HourlyStatistics { requests_ios: 1, keys: 3, requests_with_revisions: 1, ..HourlyStatistics::new(HOUR) };
        assert_eq!(hour, expect);
    }

    #[test]
    fn publish_counts_once_in_each_distribution() {
        let mut hour = HourlyStatistics::new(HOUR);
        hour.record(&publish(14, false, 13, Some(4)));
        hour.record(&publish(1, false, 15, None));
        let mut expect =
            HourlyStatistics { requests_ios: 2, keys: 15, missing_onset: 1, ..HourlyStatistics::new(HOUR) };
        expect.oldest_key_days[13] = 1;
        expect.oldest_key_days[15] = 1;
        expect.onset_days[4] = 1;
        assert_eq!(hour, expect);
        let mut sum = hour.clone();
        sum.add(&hour);
        assert_eq!((sum.requests(), sum.keys, sum.onset_days[4], sum.missing_onset), (4, 30, 2, 2));
    }

    #[test]
    fn last_index_holds_everything_beyond() {
        let at = |oldest_key, onset| {
            let made =
                PublishStatistics::new(HOUR.plus_seconds(5), Platform::Unknown, Ages { oldest_key, onset }, 1, 0);
            assert_eq!(made.hour, HOUR);
            (made.oldest_key_days, made.onset_days)
        };
        assert_eq!(at(0, Some(0)), (0, Some(0)));
        assert_eq!(at(15, Some(29)), (15, Some(29)));
        assert_eq!(at(16, Some(30)), (15, Some(29)));
        assert_eq!(at(4000, Some(4000)), (15, Some(29)));
        assert_eq!(at(-1, None), (0, None));
    }
}
