//! Which rows a batch selects, and reading them.

use super::BatchFailure;
use crate::exposure::SelectedExposure;
use crate::ports::exports::{ExportConfig, Exports, KeyRange, Pass, Selection, Window};

/// Rows per page: 1.6 MB.
const PAGE_ROWS: u32 = 50_000;

/// The regions whose keys a config selects: its input regions or else its output region, in upper case as regions are
/// stored, each once, sorted.
pub(crate) fn effective_regions(config: &ExportConfig) -> Vec<String> {
    if config.input_regions.is_empty() {
        normalized(std::slice::from_ref(&config.output_region))
    } else {
        normalized(&config.input_regions)
    }
}

fn normalized(regions: &[String]) -> Vec<String> {
    let mut regions: Vec<_> = regions.iter().map(|region| region.to_uppercase()).collect();
    regions.sort_unstable();
    regions.dedup();
    regions
}

/// The selection of a config's batch. The lists of regions are compared as a whole (the reference ignores lists of more
/// than one region).
pub(crate) fn selection(config: &ExportConfig, window: Window) -> Selection {
    Selection {
        window,
        regions: effective_regions(config),
        include_travelers: config.include_travelers,
        exclude_regions: normalized(&config.exclude_regions),
        only_non_travelers: config.only_non_travelers,
    }
}

/// The names to lease while a batch of `config` is exported, so that batches that select the same keys see each other's
/// padding, sorted.
pub(crate) fn region_leases(config: &ExportConfig) -> Vec<String> {
    let mut names: Vec<_> = effective_regions(config).iter().map(|region| format!("region:{region}")).collect();
    if config.include_travelers {
        names.push("region-travelers".to_owned());
    }
    names.sort_unstable();
    names
}

/// What [`read_all`] found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub(crate) struct ReadCount {
    /// Rows, good or not.
    pub(crate) rows: u64,
    /// Rows with a value outside its range. They are left out: one bad row must not stop all exports.
    pub(crate) bad: u64,
}

/// Gives each row of one pass whose key lies in `keys` to `take`, page by page.
pub(crate) fn read_all(
    exports: &impl Exports,
    selection: &Selection,
    pass: Pass,
    keys: KeyRange,
    mut take: impl FnMut(SelectedExposure),
) -> Result<ReadCount, BatchFailure> {
    let mut count = ReadCount::default();
    let mut cursor = 0;
    loop {
        let page = exports.read(selection, pass, keys, cursor, PAGE_ROWS)?;
        let (rows, rest) = page.rows.as_chunks::<{ SelectedExposure::PACKED_LENGTH }>();
        if !rest.is_empty() {
            return Err(BatchFailure::BadPage);
        }
        for row in rows {
            count.rows += 1;
            match SelectedExposure::unpack(row) {
                Some(row) => take(row),
                None => count.bad += 1,
            }
        }
        match page.next {
            Some(next) if next != cursor => cursor = next,
            Some(_) => return Err(BatchFailure::BadPage),
            None => return Ok(count),
        }
    }
}

/// The ranges in which a pass of `rows` rows is read, so that each has about `part_rows` at most: keys are random.
pub(crate) fn key_ranges(rows: u64, part_rows: u64) -> Vec<KeyRange> {
    let parts = rows.div_ceil(part_rows.max(1)).max(1);
    let bound = |part: u64| (u128::from(part) << 64) / u128::from(parts);
    (0..parts)
        .map(|part| KeyRange {
            // Below 2^64, because `part < parts`.
            first: u64::try_from(bound(part)).unwrap_or(u64::MAX),
            last: u64::try_from(bound(part + 1) - 1).unwrap_or(u64::MAX),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::export_host::export_config;

    #[test]
    fn regions_are_upper_case_unique_and_default_to_the_output_region() {
        let mut config = export_config(1, "us");
        config.output_region = "us".into();
        assert_eq!(effective_regions(&config), ["US"]);
        config.input_regions = vec!["us-wa".into(), "CA".into(), "US-WA".into()];
        config.include_travelers = true;
        assert_eq!(effective_regions(&config), ["CA", "US-WA"]);
        assert_eq!(region_leases(&config), ["region-travelers", "region:CA", "region:US-WA"]);
    }

    #[test]
    fn key_ranges_cover_every_key_once() {
        assert_eq!(key_ranges(0, 10), [KeyRange::ALL]);
        assert_eq!(key_ranges(10, 10), [KeyRange::ALL]);
        for rows in [11, 25, 1_000_003] {
            let ranges = key_ranges(rows, 10);
            assert_eq!(ranges.first().map(|range| range.first), Some(0));
            assert_eq!(ranges.last().map(|range| range.last), Some(u64::MAX));
            assert!(ranges.windows(2).all(|pair| pair[0].last.checked_add(1) == Some(pair[1].first)));
        }
    }
}
