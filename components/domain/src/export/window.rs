//! Which batches an export config is due.

use crate::interval::Timestamp;
use crate::ports::exports::Window;
use crate::settings::ExportSettings;

/// Batches that ended before this never existed; the same date as in the reference server.
const FIRST_BATCH_END: Timestamp = Timestamp::from_unix(1_546_300_800); // 2019-01-01

/// The windows to cut at `now`, oldest first, all of them `period_seconds` long and aligned to it.
///
/// A window is cut once it has been closed for [`ExportSettings::min_window_age_seconds`], and its end lies on a boundary
/// of truncated upload times, so nothing can be uploaded into it any more. A config without batches gets one window: there
/// is no history to fill. After that no time is left out; when a changed period moves the boundaries, the first new
/// window overlaps the last old one.
///
/// Divergence: the reference catches up without limit after a standstill. Here windows that ended before the TTL are left
/// out, because the index never lists their files and their keys are purged. Empty when the period is 0.
pub fn pending_windows(
    period_seconds: u64,
    latest_end: Option<Timestamp>,
    now: Timestamp,
    settings: &ExportSettings,
) -> Vec<Window> {
    let Some(period) = i64::try_from(period_seconds).ok().filter(|period| *period > 0) else { return Vec::new() };
    let effective = now.plus_seconds(-seconds(settings.min_window_age_seconds));
    let closed = effective.truncate(seconds(settings.truncate_window_seconds));
    let newest = closed.truncate(period);
    let window_ending = |end: Timestamp| Window { start: end.plus_seconds(-period), end };

    let Some(latest) = latest_end.filter(|end| *end >= FIRST_BATCH_END) else { return vec![window_ending(newest)] };
    let oldest_listed = now.plus_seconds(-seconds(settings.ttl_seconds));
    let mut end = latest.max(oldest_listed.plus_seconds(-1)).truncate(period).plus_seconds(period);
    let mut windows = Vec::new();
    while end <= newest {
        windows.push(window_ending(end));
        end = end.plus_seconds(period);
    }
    windows
}

fn seconds(setting: u64) -> i64 {
    i64::try_from(setting).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const HOUR: i64 = 3600;
    /// A UTC midnight.
    const MIDNIGHT: i64 = 1_600_041_600;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_unix(MIDNIGHT + seconds)
    }

    /// Windows as hours after midnight.
    fn check(period: i64, latest: Option<i64>, now: i64, expect: &[(i64, i64)]) {
        let windows = pending_windows(period.unsigned_abs(), latest.map(at), at(now), &ExportSettings::default());
        let expect: Vec<_> = expect.iter().map(|(start, end)| Window { start: at(*start), end: at(*end) }).collect();
        assert_eq!(windows, expect, "period {period}, latest {latest:?}, now {now}");
    }

    #[test]
    fn new_config_gets_the_one_newest_closed_window() {
        check(4 * HOUR, None, 14 * HOUR, &[(8 * HOUR, 12 * HOUR)]);
        check(4 * HOUR, None, 14 * HOUR - 1, &[(4 * HOUR, 8 * HOUR)]);
        check(24 * HOUR, None, 14 * HOUR, &[(-24 * HOUR, 0)]);
    }

    #[test]
    fn window_is_cut_only_after_its_age() {
        check(HOUR, Some(10 * HOUR), 13 * HOUR - 1, &[]);
        check(HOUR, Some(10 * HOUR), 13 * HOUR, &[(10 * HOUR, 11 * HOUR)]);
    }

    #[test]
    fn missed_windows_are_made_up_oldest_first() {
        check(HOUR, Some(8 * HOUR), 13 * HOUR, &[(8 * HOUR, 9 * HOUR), (9 * HOUR, 10 * HOUR), (10 * HOUR, 11 * HOUR)]);
    }

    #[test]
    fn changed_period_overlaps_rather_than_leaving_a_gap() {
        check(4 * HOUR, Some(10 * HOUR), 15 * HOUR, &[(8 * HOUR, 12 * HOUR)]);
    }

    #[test]
    fn period_below_the_truncation_waits_for_the_truncation() {
        // Uploads at 11:40 are stored as 11:00, so [11:00, 11:30) is not closed at 11:30.
        check(HOUR / 2, Some(11 * HOUR), 13 * HOUR + 50 * 60, &[]);
        check(HOUR / 2, Some(11 * HOUR), 14 * HOUR, &[(11 * HOUR, 23 * HOUR / 2), (23 * HOUR / 2, 12 * HOUR)]);
    }

    #[test]
    fn latest_end_in_the_future_and_an_impossible_period_give_nothing() {
        check(HOUR, Some(20 * HOUR), 13 * HOUR, &[]);
        check(0, None, 13 * HOUR, &[]);
        check(0, Some(0), 13 * HOUR, &[]);
    }

    #[test]
    fn catching_up_starts_at_the_ttl() {
        let now = 400 * HOUR;
        let windows = pending_windows(3600, Some(at(0)), at(now), &ExportSettings::default());
        assert_eq!(windows.first().map(|window| window.end), Some(at(now - 336 * HOUR)));
        assert_eq!(windows.last().map(|window| window.end), Some(at(now - 2 * HOUR)));
    }

    proptest! {
        #[test]
        fn no_gap_and_no_overlap_between_the_windows_of_successive_runs(
            divisor in prop::sample::select(vec![86_400u64, 14_400, 3_600, 1_800, 600]),
            steps in prop::collection::vec(1i64..200_000, 1..12),
        ) {
            let settings = ExportSettings::default();
            let (mut now, mut latest) = (at(0), None);
            for step in steps {
                now = now.plus_seconds(step);
                for window in pending_windows(divisor, latest, now, &settings) {
                    prop_assert!(latest.is_none_or(|end| end == window.start));
                    prop_assert!(window.end <= now.plus_seconds(-7200).truncate(3600), "cut early");
                    latest = Some(window.end);
                }
            }
        }
    }
}
