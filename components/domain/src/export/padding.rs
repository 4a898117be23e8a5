//! Padding of small batches, so that a file of few keys does not say how few.
//!
//! As in the reference server, padding keys are random keys under the metadata of real ones, they are stored, and so every
//! later export of the same region has them too. Differences, all of them fixes: every padding key is stored (the
//! reference loses most); a padded file never exceeds the maximum, revised keys counted; a padding key takes its source's
//! own time of upload instead of the latest in the batch, so that each window that has the source has the copy.
//!
//! Known and left as in the reference: a window without new keys is not padded (there is nothing to copy), nor are revised
//! keys.

use crate::exposure::SelectedExposure;
use crate::ports::Random;
use crate::ports::exports::{PaddingKey, SelectionSize};
use crate::settings::ExportSettings;
use crate::tek::TemporaryExposureKey;

/// What a batch needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct PaddingNeed {
    /// So many of the new keys, the last in the order of key bytes, are copied in turn.
    pub(crate) sources: u64,
    /// Padding keys to make.
    pub(crate) count: u64,
}

/// Whether a batch of `size` is padded, for files of at most `max_records`. A batch that was padded once needs nothing.
pub(crate) fn need(
    size: SelectionSize,
    max_records: u32,
    settings: &ExportSettings,
    random: &impl Random,
) -> Option<PaddingNeed> {
    if size.primary == 0 || size.primary >= u64::from(settings.min_records) {
        return None;
    }
    let target = u64::from(settings.min_records) + u64::from(random.below(settings.padding_range.saturating_add(1)));
    need_for_target(size, max_records.into(), target)
}

fn need_for_target(size: SelectionSize, max_records: u64, target: u64) -> Option<PaddingNeed> {
    let total = size.primary.checked_add(size.revised)?;
    let full_files = total.checked_sub(1)?.checked_div(max_records)?;
    // New keys fill the files first; if none reaches the last file, it has revised keys only.
    let sources = size.primary.checked_sub(full_files * max_records).filter(|sources| *sources > 0)?;
    let room = max_records - (total - full_files * max_records);
    // Whole turns over the sources, so that each is copied equally often unless the file gets full.
    let turns = target.saturating_sub(sources).div_ceil(sources);
    let count = turns.saturating_mul(sources).min(room);
    (count > 0).then_some(PaddingNeed { sources, count })
}

/// Makes the padding keys. `rows` are all new keys of the batch.
pub(crate) fn make(need: PaddingNeed, mut rows: Vec<SelectedExposure>, random: &impl Random) -> Vec<PaddingKey> {
    rows.sort_unstable_by_key(|row| row.key);
    let sources = usize::try_from(need.sources).unwrap_or(usize::MAX).min(rows.len());
    let count = usize::try_from(need.count).unwrap_or(usize::MAX);
    let in_turn = rows[rows.len() - sources..].iter().cycle().take(count);
    in_turn
        .map(|source| {
            let mut key = [0; TemporaryExposureKey::LENGTH];
            random.fill(&mut key);
            PaddingKey { source: source.id, key: TemporaryExposureKey::new(key) }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::random::FakeRandom;
    use proptest::prelude::*;

    fn check(primary: u64, revised: u64, max: u64, target: u64, expect: Option<(u64, u64)>) {
        let need = need_for_target(SelectionSize { primary, revised }, max, target);
        assert_eq!(
            need.map(|need| (need.sources, need.count)),
            expect,
            "{primary}+{revised}, max {max}, target {target}"
        );
    }

    #[test]
    fn padding_comes_in_whole_turns_until_the_target_is_reached() {
        check(14, 0, 500_000, 1000, Some((14, 994)));
        check(1, 0, 500_000, 1000, Some((1, 999)));
        check(999, 5, 500_000, 1000, Some((999, 999)));
    }

    #[test]
    fn padding_stops_at_the_maximum_with_revised_keys_counted() {
        check(999, 5, 1500, 1000, Some((999, 496)));
        check(500, 500, 1000, 1100, None);
        check(700, 0, 300, 1000, Some((100, 200)));
    }

    #[test]
    fn last_file_of_revised_keys_only_is_not_padded() {
        check(300, 100, 300, 1000, None);
        check(0, 10, 300, 1000, None);
        check(0, 0, 300, 1000, None);
    }

    #[test]
    fn batch_with_enough_keys_is_not_padded() {
        let random = FakeRandom::seeded(1);
        let size = |primary| SelectionSize { primary, revised: 0 };
        let settings = ExportSettings::default();
        assert_eq!(need(size(1000), 500_000, &settings, &random), None);
        let wanted = need(size(999), 500_000, &settings, &random).expect("padding");
        assert_eq!(wanted.count, 999);
    }

    proptest! {
        #[test]
        fn padding_never_exceeds_the_maximum_and_is_never_needed_twice(
            primary in 0u64..3000, revised in 0u64..3000, max in 1u64..2000, minimum in 0u64..1500, extra in 0u64..100,
        ) {
            let size = SelectionSize { primary, revised };
            if primary < minimum && let Some(need) = need_for_target(size, max, minimum + extra) {
                let files = (primary + revised).div_ceil(max);
                let padded = SelectionSize { primary: primary + need.count, revised };
                prop_assert!(padded.primary + revised <= files * max);
                for target in [minimum, minimum + 100] {
                    let again = need_for_target(padded, max, target);
                    prop_assert!(padded.primary >= minimum || again.is_none());
                }
            }
        }
    }
}
