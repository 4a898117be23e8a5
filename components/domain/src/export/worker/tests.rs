use super::*;
use crate::export::batch::create_batches;
use crate::export::read::{check_sanity, parse_export, parse_signatures};
use crate::exposure::{ReportType, SelectedExposure, TransmissionRisk};
use crate::interval::RollingPeriod;
use crate::settings::KeyOrder;
use crate::tek::TemporaryExposureKey;
use crate::testing::export_host::{FakeExportHost, FakeExposure, Fault, export_config};
use crate::testing::random::FakeRandom;
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::io::{Cursor, Read};

const HOUR: i64 = 3600;
/// 08:00 UTC: the start of a window of the test config.
const START: Timestamp = Timestamp::from_unix(1_600_041_600 + 8 * HOUR);
const NOW: Timestamp = START.plus_seconds(6 * HOUR + 60);

fn exposure(number: u64, created_at: Timestamp) -> FakeExposure {
    let mut key = [0; 16];
    FakeRandom::seeded(number.wrapping_mul(77)).fill(&mut key);
    let day = i32::try_from(number % 14).expect("small");
    FakeExposure {
        row: SelectedExposure {
            id: 0,
            key: TemporaryExposureKey::new(key),
            rolling_start: (created_at.utc_midnight().plus_seconds(-86_400 * i64::from(day + 1))).interval(),
            rolling_period: RollingPeriod::DAY,
            transmission_risk: TransmissionRisk::try_from(2).expect("in range"),
            report_type: Some(ReportType::ConfirmedTest),
            days_since_onset: i8::try_from(day - 7).ok(),
        },
        created_at,
        revision: None,
        regions: vec!["US".into()],
        traveler: false,
    }
}

fn host_with(keys: u64) -> FakeExportHost {
    let host = FakeExportHost::default();
    host.add_config(export_config(1, "us"));
    host.add_signature_info(1, None);
    host.add_signature_info(2, None);
    for number in 0..keys {
        host.add_exposure(exposure(number, START));
    }
    host
}

fn small() -> ExportSettings {
    ExportSettings { min_records: 30, padding_range: 10, max_records: 100, ..ExportSettings::default() }
}

/// Works until nothing is left, the way the host's timer does.
fn work(host: &FakeExportHost, settings: &ExportSettings, now: Timestamp) -> Result<Vec<BatchReport>, ExportError> {
    create_batches(host, settings, now)?;
    let random = FakeRandom::seeded(now.unix().unsigned_abs());
    let mut reports = Vec::new();
    loop {
        match do_work(host, &random, settings, now)? {
            WorkReport::NoBatch | WorkReport::Busy => return Ok(reports),
            WorkReport::LostLease { .. } => {}
            WorkReport::Completed(report) => reports.push(report),
        }
    }
}

/// The export.bin and export.sig of a zip file.
fn unzip(content: &[u8]) -> (Vec<u8>, Vec<u8>) {
    let mut archive = ::zip::ZipArchive::new(Cursor::new(content)).expect("a zip file");
    let [bin, sig] = ["export.bin", "export.sig"].map(|name| {
        let mut bytes = Vec::new();
        archive.by_name(name).expect(name).read_to_end(&mut bytes).expect("readable");
        bytes
    });
    (bin, sig)
}

/// The export.bin of each listed file, by name.
fn listed(host: &FakeExportHost, root: &str) -> BTreeMap<String, Vec<u8>> {
    let blobs = host.blobs("bucket");
    let names = host.index("bucket", root).expect("an index");
    names.into_iter().map(|name| (name.clone(), unzip(&blobs[&name]).0)).collect()
}

fn keys_of(bin: &[u8]) -> Vec<[u8; 16]> {
    parse_export(bin).expect("valid").keys.iter().map(|key| key.key.try_into().expect("16 bytes")).collect()
}

#[test]
fn exported_file_holds_the_keys_of_the_window_and_every_signature() {
    let host = host_with(40);
    host.add_exposure(exposure(100, START.plus_seconds(-1)));
    host.add_exposure(exposure(101, START.plus_seconds(4 * HOUR)));
    let reports = work(&host, &small(), NOW).expect("works");
    assert_eq!(reports.len(), 1);
    assert_eq!((reports[0].new_keys, reports[0].revised_keys, reports[0].padding_keys), (40, 0, 0));

    let name = format!("us/{}-{}-00001.zip", START.unix(), START.unix() + 4 * HOUR);
    assert_eq!(host.index("bucket", "us"), Some(vec![name.clone()]));
    let (bin, sig) = unzip(&host.blobs("bucket")[&name]);
    let file = parse_export(&bin).expect("valid");
    assert!(check_sanity(&file).is_clean());
    assert_eq!((file.start, file.end, file.region.as_str()), (START, START.plus_seconds(4 * HOUR), "US"));
    assert_eq!(file.keys.len(), 40);

    let signatures = parse_signatures(&sig).expect("valid");
    let versions: Vec<_> = signatures.iter().map(|s| s.signer.verification_key_version.as_str()).collect();
    assert_eq!(versions, ["v2", "v1"], "newest first");
    for (signature, info) in signatures.iter().zip(&file.signature_infos) {
        assert_eq!(&signature.signer, info);
        let key = format!("key-{}", &info.verification_key_version[1..]);
        assert_eq!(signature.signature, host.sign(&key, &bin).expect("fake"), "signs all of export.bin");
    }
}

#[test]
fn signer_past_its_end_does_not_sign() {
    let host = FakeExportHost::default();
    host.add_config(export_config(1, "us"));
    host.add_signature_info(1, Some(NOW));
    host.add_signature_info(2, Some(NOW.plus_seconds(-1)));
    host.add_exposure(exposure(1, START));
    work(&host, &small(), NOW).expect("works");
    let bin = listed(&host, "us").pop_first().expect("a file").1;
    let versions: Vec<_> =
        parse_export(&bin).expect("valid").signature_infos.into_iter().map(|s| s.verification_key_version).collect();
    assert_eq!(versions, ["v1"]);
}

#[test]
fn keys_are_grouped_by_key_bytes_and_ordered_as_the_setting_says() {
    for key_order in [KeyOrder::KeyBytes, KeyOrder::Metadata] {
        let host = host_with(250);
        work(&host, &ExportSettings { key_order, ..small() }, NOW).expect("works");
        let mut all: Vec<_> = host.exposures().iter().map(|exposure| *exposure.row.key.as_bytes()).collect();
        all.sort_unstable();
        let files: Vec<_> = listed(&host, "us").into_values().collect();
        assert_eq!(files.len(), 3);
        for (bin, expect) in files.iter().zip(all.chunks(100)) {
            let file = parse_export(bin).expect("valid");
            let mut keys = keys_of(bin);
            match key_order {
                KeyOrder::KeyBytes => assert!(keys.is_sorted()),
                KeyOrder::Metadata => {
                    assert!(file.keys.is_sorted_by_key(|key| {
                        (key.metadata.rolling_start, key.metadata.days_since_onset, key.key)
                    }))
                }
            }
            keys.sort_unstable();
            assert_eq!(keys, expect);
        }
    }
}

#[test]
fn split_files_have_distinct_end_timestamps_and_say_one_of_one() {
    let host = host_with(250);
    work(&host, &small(), NOW).expect("works");
    let end = START.unix() + 4 * HOUR;
    let infos: Vec<_> = listed(&host, "us")
        .into_iter()
        .map(|(name, bin)| {
            let file = parse_export(&bin).expect("valid");
            (name, file.start, file.end.unix() - end, file.batch_num, file.batch_size)
        })
        .collect();
    let expect: Vec<_> = (1..=3).map(|n| (format!("us/{}-{end}-{n:05}.zip", START.unix()), START, n, 1, 1)).collect();
    assert_eq!(infos, expect);
}

#[test]
fn exactly_full_file_is_not_split() {
    let host = host_with(100);
    work(&host, &small(), NOW).expect("works");
    let files = listed(&host, "us");
    assert_eq!(files.len(), 1);
    let bin = files.into_values().next().expect("a file");
    assert_eq!(parse_export(&bin).expect("valid").end, START.plus_seconds(4 * HOUR));
}

#[test]
fn revised_keys_continue_in_the_last_file_of_new_ones() {
    let host = host_with(130);
    for number in 1000..1150 {
        let mut old = exposure(number, START.plus_seconds(-10 * HOUR));
        old.revision = Some((START.plus_seconds(HOUR), ReportType::Revoked, None));
        host.add_exposure(old);
    }
    work(&host, &small(), NOW).expect("works");
    let counts: Vec<_> = listed(&host, "us")
        .values()
        .map(|bin| {
            let file = parse_export(bin).expect("valid");
            assert!(file.revised_keys.iter().all(|key| key.metadata.report_type == Some(ReportType::Revoked)));
            assert!(file.revised_keys.iter().all(|key| key.metadata.days_since_onset.is_none()));
            (file.keys.len(), file.revised_keys.len())
        })
        .collect();
    assert_eq!(counts, [(100, 0), (30, 70), (0, 80)]);
}

#[test]
fn key_created_and_revised_in_one_window_is_in_both_lists() {
    let host = host_with(0);
    let mut both = exposure(1, START);
    both.revision = Some((START.plus_seconds(HOUR), ReportType::ConfirmedTest, Some(3)));
    both.row.report_type = Some(ReportType::ConfirmedClinicalDiagnosis);
    host.add_exposure(both.clone());
    work(&host, &ExportSettings { min_records: 0, ..small() }, NOW).expect("works");
    let bin = listed(&host, "us").pop_first().expect("a file").1;
    let file = parse_export(&bin).expect("valid");
    assert_eq!(file.keys[0].metadata.report_type, Some(ReportType::ConfirmedClinicalDiagnosis));
    assert_eq!(file.revised_keys[0].metadata.report_type, Some(ReportType::ConfirmedTest));
    assert_eq!(file.keys[0].key, file.revised_keys[0].key);
}

#[test]
fn regions_overlap_as_whole_lists() {
    let check = |inputs: &[&str], excludes: &[&str], travelers: bool, only_non_travelers: bool, expect: &[u64]| {
        let host = FakeExportHost::default();
        let mut config = export_config(1, "us");
        config.input_regions = inputs.iter().map(|region| (*region).to_owned()).collect();
        config.exclude_regions = excludes.iter().map(|region| (*region).to_owned()).collect();
        (config.include_travelers, config.only_non_travelers) = (travelers, only_non_travelers);
        host.add_config(config);
        let rows: [(&[&str], bool); 4] =
            [(&["US"], false), (&["CA", "MX"], false), (&["FR"], true), (&["US", "MX"], true)];
        for (number, (regions, traveler)) in (0..).zip(rows) {
            let mut row = exposure(number, START);
            row.regions = regions.iter().map(|region| (*region).to_owned()).collect();
            row.traveler = traveler;
            host.add_exposure(row);
        }
        work(&host, &ExportSettings { min_records: 0, ..small() }, NOW).expect("works");
        let exported: Vec<_> = listed(&host, "us").values().flat_map(|bin| keys_of(bin)).collect();
        let numbers: Vec<_> =
            (0..4).filter(|number| exported.contains(exposure(*number, START).row.key.as_bytes())).collect();
        assert_eq!(numbers, expect, "{inputs:?} {excludes:?} {travelers} {only_non_travelers}");
    };
    check(&[], &[], false, false, &[0, 3]);
    check(&["us", "ca"], &[], false, false, &[0, 1, 3]);
    check(&["US", "CA"], &["MX", "GB"], false, false, &[0]);
    check(&["CA"], &[], true, false, &[1, 2, 3]);
    check(&["US", "CA"], &[], false, true, &[0, 1]);
    check(&["GB", "IE"], &[], false, false, &[]);
}

#[test]
fn empty_batch_completes_and_writes_the_index() {
    let host = host_with(0);
    let reports = work(&host, &small(), NOW).expect("works");
    assert_eq!(reports.len(), 1);
    assert!(reports[0].files.is_empty());
    assert_eq!(host.index("bucket", "us"), Some(vec![]));
    assert_eq!(host.completed().len(), 1);
}

#[test]
fn small_batch_is_padded_with_copies_of_its_keys_and_within_the_maximum() {
    let host = host_with(7);
    let reports = work(&host, &ExportSettings { max_records: 32, ..small() }, NOW).expect("works");
    assert_eq!((reports[0].new_keys, reports[0].padding_keys, reports[0].files.len()), (32, 25, 1));
    let stored = host.exposures();
    assert_eq!(stored.len(), 32, "every padding key is stored");
    for padding in &stored[7..] {
        let is_source = |source: &&FakeExposure| {
            FakeExposure {
                row: SelectedExposure { id: padding.row.id, key: padding.row.key, ..source.row },
                ..(*source).clone()
            } == *padding
        };
        assert!(stored[..7].iter().any(|source| is_source(&source)));
    }
}

#[test]
fn overlapping_export_has_the_same_padding() {
    let host = host_with(7);
    let mut daily = export_config(2, "daily");
    daily.period_seconds = 86_400;
    host.add_config(daily);
    work(&host, &small(), NOW.plus_seconds(24 * HOUR)).expect("works");
    let [four_hours, day] =
        ["us", "daily"].map(|root| listed(&host, root).values().flat_map(|bin| keys_of(bin)).collect::<Vec<_>>());
    assert!(four_hours.is_empty(), "the config is new: its one window is the last");
    assert!(day.len() >= 30);

    let host = host_with(7);
    work(&host, &small(), NOW).expect("works");
    let mut daily = export_config(2, "daily");
    daily.period_seconds = 86_400;
    host.add_config(daily);
    work(&host, &small(), NOW.plus_seconds(24 * HOUR)).expect("works");
    let [mut four_hours, mut day] =
        ["us", "daily"].map(|root| listed(&host, root).values().flat_map(|bin| keys_of(bin)).collect::<Vec<_>>());
    four_hours.sort_unstable();
    day.sort_unstable();
    assert!(four_hours.len() >= 30);
    assert_eq!(four_hours, day);
}

#[test]
fn same_rows_give_the_same_bytes() {
    let settings = small();
    let runs: Vec<_> = (0..2)
        .map(|_| {
            let host = host_with(250);
            work(&host, &settings, NOW).expect("works");
            host.blobs("bucket")
        })
        .collect();
    assert_eq!(runs[0], runs[1]);
    // The order in which the store holds them does not matter either.
    let host = FakeExportHost::default();
    host.add_config(export_config(1, "us"));
    host.add_signature_info(1, None);
    host.add_signature_info(2, None);
    for number in (0..250).rev() {
        host.add_exposure(exposure(number, START));
    }
    work(&host, &settings, NOW).expect("works");
    assert_eq!(host.blobs("bucket"), runs[0]);
}

#[test]
fn busy_region_does_not_hold_up_other_regions_and_its_batch_is_given_back_at_once() {
    let host = host_with(3);
    let mut other = export_config(2, "ca");
    other.output_region = "CA".into();
    host.add_config(other);
    let lease = host.acquire(&["region:US".into()], NOW, NOW.plus_seconds(300)).expect("fake").expect("free");
    create_batches(&host, &small(), NOW).expect("works");
    let random = FakeRandom::seeded(1);
    let done = do_work(&host, &random, &small(), NOW).expect("works");
    assert!(matches!(done, WorkReport::Completed(BatchReport { config_id: 2, .. })), "{done:?}");
    assert_eq!(do_work(&host, &random, &small(), NOW), Ok(WorkReport::Busy));
    host.release(lease).expect("fake");
    let done = do_work(&host, &random, &small(), NOW).expect("works");
    assert!(matches!(done, WorkReport::Completed(BatchReport { config_id: 1, .. })), "{done:?}");
    assert_eq!(do_work(&host, &random, &small(), NOW), Ok(WorkReport::NoBatch));
}

#[test]
fn failing_batch_does_not_hold_up_the_next_one() {
    let host = host_with(3);
    host.add_config(export_config(2, "other"));
    create_batches(&host, &small(), NOW).expect("works");
    host.set_fault(Fault::OnlyCall(3));
    let random = FakeRandom::seeded(1);
    let failed = do_work(&host, &random, &small(), NOW);
    assert!(matches!(failed, Err(ExportError::Batch { config_id: 1, .. })), "{failed:?}");
    let done = do_work(&host, &random, &small(), NOW).expect("works");
    assert!(matches!(done, WorkReport::Completed(BatchReport { config_id: 2, .. })), "{done:?}");
    assert_eq!(do_work(&host, &random, &small(), NOW), Ok(WorkReport::NoBatch));
    let done = do_work(&host, &random, &small(), NOW.plus_seconds(301)).expect("works");
    assert!(matches!(done, WorkReport::Completed(BatchReport { config_id: 1, .. })), "{done:?}");
}

#[test]
fn file_past_its_ttl_leaves_the_index_with_the_next_batch() {
    let host = host_with(3);
    work(&host, &small(), NOW).expect("works");
    assert_eq!(listed(&host, "us").len(), 1);
    let ttl = 336 * HOUR;
    work(&host, &small(), START.plus_seconds(4 * HOUR + ttl)).expect("works");
    assert_eq!(listed(&host, "us").len(), 1, "ended exactly a TTL ago");
    work(&host, &small(), START.plus_seconds(8 * HOUR + ttl)).expect("works");
    assert_eq!(host.index("bucket", "us"), Some(vec![]));
}

/// Crash at every call, before and after its effect; then run again. Files, index, rows and batches must be as if nothing
/// had happened (padding keys are drawn anew if they were not stored).
fn crash_everywhere(keys: u64, settings: &ExportSettings) {
    let expect = host_with(keys);
    work(&expect, settings, NOW).expect("works");
    let calls = expect.calls();
    let retry_at = NOW.plus_seconds(600);
    for call in 1..=calls {
        for fault in [Fault::CrashBefore(call), Fault::CrashAfter(call)] {
            let host = host_with(keys);
            host.set_fault(fault);
            // A release or the final "nothing left" may be what fails.
            work(&host, settings, NOW).ok();
            host.set_fault(Fault::Never);
            let half_done = host.exposures();
            work(&host, settings, retry_at).expect("works");
            assert_eq!(host.completed(), expect.completed(), "{fault:?}");
            assert_eq!(host.index("bucket", "us"), expect.index("bucket", "us"), "{fault:?}");
            assert_eq!(host.violations(), Vec::<String>::new(), "{fault:?}");
            let padded_before = half_done.len() as u64 > keys;
            assert!(!padded_before || host.exposures() == half_done, "padded twice: {fault:?}");
            if host.exposures() == expect.exposures() {
                assert_eq!(host.blobs("bucket"), expect.blobs("bucket"), "{fault:?}");
            }
            assert_eq!(host.exposures().len(), expect.exposures().len(), "{fault:?}");
        }
    }
}

#[test]
fn crash_between_any_two_calls_then_retry_ends_in_the_same_state() {
    crash_everywhere(250, &small());
}

#[test]
fn crash_while_padding_then_retry_keeps_the_padding() {
    crash_everywhere(12, &ExportSettings { padding_range: 0, ..small() });
}

#[test]
fn retry_with_stored_padding_writes_the_same_files() {
    let host = host_with(12);
    create_batches(&host, &small(), NOW).expect("works");
    // Everything but the completion: two leases, counts, reads, padding, signers, file, live files, index.
    host.set_fault(Fault::Never);
    let probe = host_with(12);
    create_batches(&probe, &small(), NOW).expect("works");
    probe.set_fault(Fault::Never);
    do_work(&probe, &FakeRandom::seeded(1), &small(), NOW).expect("works");
    let completion = probe.calls() - 1;
    host.set_fault(Fault::CrashBefore(completion));
    assert!(do_work(&host, &FakeRandom::seeded(1), &small(), NOW).is_err());
    let first = host.blobs("bucket");
    assert_eq!(first.len(), 2);
    host.set_fault(Fault::Never);
    let done = do_work(&host, &FakeRandom::seeded(999), &small(), NOW.plus_seconds(600)).expect("works");
    assert!(matches!(done, WorkReport::Completed(BatchReport { padding_keys: 0, .. })), "{done:?}");
    assert_eq!(host.blobs("bucket"), first);
}

#[test]
fn worker_that_lost_its_lease_completes_nothing_and_pads_nothing() {
    // The first count, and the completion.
    let probe = host_with(3);
    create_batches(&probe, &small(), NOW).expect("works");
    probe.set_fault(Fault::Never);
    do_work(&probe, &FakeRandom::seeded(1), &small(), NOW).expect("works");
    for call in [3, probe.calls() - 1] {
        let host = host_with(3);
        create_batches(&host, &small(), NOW).expect("works");
        host.set_fault(Fault::LeaseLostBefore(call));
        let result = do_work(&host, &FakeRandom::seeded(1), &small(), NOW);
        assert_eq!(result, Ok(WorkReport::LostLease { batch_id: 1 }), "{call}");
        assert!(host.completed().is_empty());
        assert_eq!(host.exposures().len() == 3, call == 3);
    }
}

#[test]
fn reading_in_many_ranges_of_keys_gives_the_same_files() {
    let with_parts = |part_rows| {
        let host = host_with(730);
        for number in 1000..1390 {
            let mut old = exposure(number, START.plus_seconds(-10 * HOUR));
            old.revision = Some((START.plus_seconds(HOUR), ReportType::Revoked, None));
            host.add_exposure(old);
        }
        create_batches(&host, &small(), NOW).expect("works");
        do_work_in_parts(&host, &FakeRandom::seeded(1), &small(), NOW, part_rows).expect("works");
        host.blobs("bucket")
    };
    let whole = with_parts(1_000_000);
    assert_eq!(whole.len(), 13);
    for part_rows in [1, 17, 100, 250, 1119] {
        assert_eq!(with_parts(part_rows), whole, "{part_rows}");
    }
}

#[test]
fn row_with_impossible_values_is_left_out_and_reported() {
    let host = host_with(40);
    let mut bad = exposure(99, START);
    bad.row.report_type = Some(ReportType::Recursive);
    host.add_exposure(bad);
    host.corrupt_rows_of(ReportType::Recursive);
    let reports = work(&host, &small(), NOW).expect("works");
    assert_eq!(reports[0].bad_rows, 1);
    let bin = listed(&host, "us").pop_first().expect("a file").1;
    assert_eq!(keys_of(&bin).len(), 40);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Uploads at random times, jobs at random times, crashes now and then.
    #[test]
    fn each_key_is_exported_once_as_new_and_never_early(
        uploads in prop::collection::vec(0i64..48 * HOUR, 1..60),
        jobs in prop::collection::vec((1i64..9 * HOUR, prop::option::weighted(0.2, 1u64..25)), 1..20),
    ) {
        let settings = ExportSettings { min_records: 0, max_records: 7, ..ExportSettings::default() };
        let host = host_with(0);
        // The first run gives the config its first, empty, window, so that none is left out later.
        work(&host, &settings, START).expect("works");
        let mut uploads: Vec<_> = uploads.into_iter().enumerate().collect();
        uploads.sort_by_key(|(_, at)| *at);
        let (mut now, mut stored) = (START, 0);
        let mut store_until = |host: &FakeExportHost, now: Timestamp| {
            while let Some((number, at)) = uploads.get(stored).filter(|(_, at)| START.plus_seconds(*at) <= now) {
                host.add_exposure(exposure(*number as u64, START.plus_seconds(*at).truncate(HOUR)));
                stored += 1;
            }
        };
        for (step, crash) in jobs.into_iter().chain([(60 * HOUR, None), (HOUR, None)]) {
            now = now.plus_seconds(step);
            store_until(&host, now);
            host.set_fault(crash.map_or(Fault::Never, Fault::CrashAfter));
            let result = work(&host, &settings, now);
            prop_assert!(crash.is_some() || result.is_ok());
            host.set_fault(Fault::Never);
            for window in host.completed() {
                prop_assert!(window.end <= now.plus_seconds(-2 * HOUR), "exported early");
            }
        }
        let files = listed(&host, "us");
        let mut exported: Vec<_> = files.values().flat_map(|bin| keys_of(bin)).collect();
        let mut all: Vec<_> = host.exposures().iter().map(|exposure| *exposure.row.key.as_bytes()).collect();
        exported.sort_unstable();
        all.sort_unstable();
        prop_assert_eq!(exported, all);
        prop_assert_eq!(host.violations(), Vec::<String>::new());
        let mut hashes: Vec<_> = files.values().map(|bin| {
            let file = parse_export(bin).expect("valid");
            (file.start, file.end)
        }).collect();
        hashes.sort_unstable();
        hashes.dedup();
        prop_assert_eq!(hashes.len(), files.len(), "two files with the same start and end");
    }
}
