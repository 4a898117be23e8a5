//! From counts by the hour to the days that may be shown (pure).

use super::{HOUR_SECONDS, HourlyStatistics};
use crate::interval::{DAY_SECONDS, Timestamp, rfc3339};
use crate::settings::StatisticsSettings;
use serde::Serialize;
use std::collections::BTreeMap;

/// One UTC day, as it is shown. Names are those of the reference.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct StatisticsDay {
    /// 00:00 UTC, in the form of RFC 3339.
    pub day: String,
    /// Publishes by kind of phone.
    pub publish_requests: PublishRequests,
    /// Keys stored or revised.
    pub total_teks_published: u64,
    /// Publishes that revised a key.
    pub requests_with_revisions: u64,
    /// Publishes by the age in days of their oldest key: 16 counts.
    pub tek_age_distribution: Vec<u64>,
    /// Publishes by the days from symptom onset: 30 counts.
    pub onset_to_upload_distribution: Vec<u64>,
    /// Publishes that gave no onset.
    pub requests_missing_onset_date: u64,
}

/// Publishes by kind of phone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PublishRequests {
    /// Neither of the others.
    pub unknown: u64,
    /// Android.
    pub android: u64,
    /// iOS.
    pub ios: u64,
}

impl From<HourlyStatistics> for StatisticsDay {
    fn from(sum: HourlyStatistics) -> Self {
        let HourlyStatistics {
            hour,
            requests_unknown,
            requests_android,
            requests_ios,
            keys,
            requests_with_revisions,
            oldest_key_days,
            onset_days,
            missing_onset,
        } = sum;
        Self {
            day: rfc3339(hour),
            publish_requests: PublishRequests {
                unknown: requests_unknown,
                android: requests_android,
                ios: requests_ios,
            },
            total_teks_published: keys,
            requests_with_revisions,
            tek_age_distribution: oldest_key_days.to_vec(),
            onset_to_upload_distribution: onset_days.to_vec(),
            requests_missing_onset_date: missing_onset,
        }
    }
}

/// The days that a health authority may see at `now`, in order: those with enough publishes, and those over for long
/// enough. The hour that `now` lies in does not count yet. Hidden days are in no sum.
pub fn visible_days(hours: &[HourlyStatistics], settings: &StatisticsSettings, now: Timestamp) -> Vec<StatisticsDay> {
    let this_hour = now.truncate(HOUR_SECONDS);
    let mut days: BTreeMap<Timestamp, HourlyStatistics> = BTreeMap::new();
    for hour in hours.iter().filter(|hour| hour.hour < this_hour) {
        let midnight = hour.hour.utc_midnight();
        days.entry(midnight).or_insert_with(|| HourlyStatistics::new(midnight)).add(hour);
    }
    let embargo = i64::try_from(settings.embargo_seconds).unwrap_or(i64::MAX);
    let is_over = |midnight: Timestamp| embargo > 0 && midnight.plus_seconds(DAY_SECONDS).plus_seconds(embargo) < now;
    let visible = |day: &HourlyStatistics| day.requests() >= u64::from(settings.upload_minimum) || is_over(day.hour);
    days.into_values().filter(visible).map(StatisticsDay::from).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 2020-09-14T00:00:00Z.
    const MIDNIGHT: Timestamp = Timestamp::from_unix(1_600_041_600);

    fn hour(hours: i64, requests: u64) -> HourlyStatistics {
        let hour = MIDNIGHT.plus_seconds(hours * HOUR_SECONDS);
        HourlyStatistics { requests_android: requests, keys: requests * 10, ..HourlyStatistics::new(hour) }
    }

    fn shown(hours: &[HourlyStatistics], now: Timestamp) -> Vec<(String, u64)> {
        let days = visible_days(hours, &StatisticsSettings::default(), now);
        days.into_iter().map(|day| (day.day, day.publish_requests.android)).collect()
    }

    fn day(text: &str, requests: u64) -> (String, u64) {
        (format!("{text}T00:00:00Z"), requests)
    }

    #[test]
    fn day_is_shown_from_ten_requests_or_once_the_embargo_is_over() {
        let after_embargo = MIDNIGHT.plus_seconds(72 * HOUR_SECONDS);
        let hours = [hour(1, 4), hour(23, 5)];
        assert_eq!(shown(&hours, after_embargo), []);
        assert_eq!(shown(&hours, after_embargo.plus_seconds(1)), [day("2020-09-14", 9)]);
        assert_eq!(shown(&[hour(1, 5), hour(2, 5)], MIDNIGHT.plus_seconds(3 * HOUR_SECONDS)), [day("2020-09-14", 10)]);
        let never = StatisticsSettings { embargo_seconds: 0, ..StatisticsSettings::default() };
        assert_eq!(visible_days(&hours, &never, Timestamp::from_unix(i64::MAX)), []);
    }

    #[test]
    fn running_hour_does_not_count() {
        let hours = [hour(1, 10), hour(2, 7)];
        let at = |seconds| shown(&hours, MIDNIGHT.plus_seconds(seconds));
        assert_eq!(at(2 * HOUR_SECONDS - 1), []);
        assert_eq!(at(3 * HOUR_SECONDS - 1), [day("2020-09-14", 10)]);
        assert_eq!(at(3 * HOUR_SECONDS), [day("2020-09-14", 17)]);
    }

    #[test]
    fn hidden_day_is_in_no_other_days_counts_and_days_are_in_order() {
        let hours = [hour(24, 12), hour(0, 3), hour(-24, 11)];
        let now = MIDNIGHT.plus_seconds(26 * HOUR_SECONDS);
        assert_eq!(shown(&hours, now), [day("2020-09-13", 11), day("2020-09-15", 12)]);
    }

    #[test]
    fn distributions_have_sixteen_and_thirty_counts() {
        let now = MIDNIGHT.plus_seconds(26 * HOUR_SECONDS);
        let days = visible_days(&[hour(0, 10)], &StatisticsSettings::default(), now);
        let lengths = days.iter().map(|day| (day.tek_age_distribution.len(), day.onset_to_upload_distribution.len()));
        assert_eq!(lengths.collect::<Vec<_>>(), [(16, 30)]);
        assert_eq!(days[0].total_teks_published, 100);
    }
}
