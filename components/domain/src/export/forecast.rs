//! When a key that is uploaded now will be in an export file (pure).

use super::selection::selection;
use crate::interval::Timestamp;
use crate::ports::exports::{ActiveExportConfig, Window};
use crate::settings::ExportSettings;

/// The first batch of a config that carries a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FirstExport {
    /// What the batch covers.
    pub window: Window,
    /// The batch is not cut before this time; the next run of the jobs after it makes the files.
    pub not_before: Timestamp,
}

/// The first batch of `active` that carries a key of these regions that counts from `time`; `None` when the config does
/// not select it.
pub fn first_export(
    active: &ActiveExportConfig,
    regions: &[String],
    traveler: bool,
    time: Timestamp,
    settings: &ExportSettings,
) -> Option<FirstExport> {
    let ActiveExportConfig { config, latest_batch_end } = active;
    let period = i64::try_from(config.period_seconds).ok().filter(|period| *period > 0)?;
    // No batch is cut twice, so what counts from before the last one's end would be in the next.
    let time = latest_batch_end.map_or(time, |latest| time.max(latest));
    let start = time.truncate(period);
    let window = Window { start, end: start.plus_seconds(period) };
    let age = i64::try_from(settings.min_window_age_seconds).unwrap_or(i64::MAX);
    selection(config, window)
        .takes(regions, traveler)
        .then(|| FirstExport { window, not_before: window.end.plus_seconds(age) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::export::window::pending_windows;
    use crate::testing::export_host::export_config;
    use proptest::prelude::*;

    /// A UTC midnight.
    const MIDNIGHT: Timestamp = Timestamp::from_unix(1_600_041_600);
    const HOUR: i64 = 3600;

    fn active() -> ActiveExportConfig {
        ActiveExportConfig { config: export_config(1, "us"), latest_batch_end: None }
    }

    fn us() -> Vec<String> {
        vec!["US".to_owned()]
    }

    #[test]
    fn key_is_in_the_window_it_counts_in_and_the_window_is_cut_two_hours_after_its_end() {
        let first = |hours: i64| {
            let time = MIDNIGHT.plus_seconds(hours * HOUR);
            let first = first_export(&active(), &us(), false, time, &ExportSettings::default()).expect("selected");
            let hours = |time: Timestamp| (time.unix() - MIDNIGHT.unix()) / HOUR;
            (hours(first.window.start), hours(first.window.end), hours(first.not_before))
        };
        assert_eq!(first(0), (0, 4, 6));
        assert_eq!(first(3), (0, 4, 6));
        assert_eq!(first(4), (4, 8, 10));
    }

    #[test]
    fn key_of_another_region_is_in_no_export_of_the_config() {
        let other = vec!["CA".to_owned()];
        assert_eq!(first_export(&active(), &other, false, MIDNIGHT, &ExportSettings::default()), None);
        let mut with_travelers = active();
        with_travelers.config.include_travelers = true;
        assert!(first_export(&with_travelers, &other, true, MIDNIGHT, &ExportSettings::default()).is_some());
    }

    proptest! {
        /// What is forecast is what `pending_windows` cuts, and not a second earlier.
        #[test]
        fn forecast_agrees_with_the_cutting(hours in 0i64..2000, period in prop::sample::select(vec![1i64, 2, 4, 24])) {
            let settings = ExportSettings::default();
            let mut active = active();
            active.config.period_seconds = u64::try_from(period * HOUR).unwrap_or(0);
            active.latest_batch_end = Some(MIDNIGHT);
            let time = MIDNIGHT.plus_seconds(hours * HOUR);
            let first = first_export(&active, &us(), false, time, &settings).expect("selected");
            let cut = |now| pending_windows(active.config.period_seconds, Some(first.window.start.max(MIDNIGHT)), now, &settings);
            prop_assert!(first.window.start <= time && time < first.window.end);
            prop_assert_eq!(cut(first.not_before).last().copied(), Some(first.window));
            prop_assert!(!cut(first.not_before.plus_seconds(-1)).contains(&first.window));
        }
    }
}
