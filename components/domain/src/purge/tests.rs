use super::*;
use crate::export::batch::create_batches;
use crate::export::worker::{WorkReport, do_work};
use crate::exposure::{ReportType, SelectedExposure, TransmissionRisk};
use crate::interval::{IntervalNumber, RollingPeriod};
use crate::settings::ExportSettings;
use crate::tek::TemporaryExposureKey;
use crate::testing::export_host::{FakeExportHost, FakeExposure, Fault, export_config};
use crate::testing::random::FakeRandom;

const HOUR: i64 = 3600;
const START: Timestamp = Timestamp::from_unix(1_600_041_600);
const TTL: i64 = 336 * HOUR;

fn add_exposure(host: &FakeExportHost, number: u8, created_at: Timestamp) {
    host.add_exposure(FakeExposure {
        row: SelectedExposure {
            id: 0,
            key: TemporaryExposureKey::new([number; 16]),
            rolling_start: IntervalNumber::new(2_660_000),
            rolling_period: RollingPeriod::DAY,
            transmission_risk: TransmissionRisk::default(),
            report_type: Some(ReportType::ConfirmedTest),
            days_since_onset: None,
        },
        created_at,
        revision: None,
        regions: vec!["US".into()],
        traveler: false,
    });
}

/// Two configs with three files each, of the windows from `START` on.
fn host_with_files() -> FakeExportHost {
    let host = FakeExportHost::default();
    host.add_config(export_config(1, "us"));
    host.add_config(export_config(2, "us/two"));
    for number in 0..3 {
        add_exposure(&host, number, START.plus_seconds(4 * HOUR * i64::from(number)));
    }
    for batch in 1..=3 {
        export(&host, START.plus_seconds(4 * HOUR * batch + 3 * HOUR));
    }
    assert_eq!(host.registered_files().len(), 6);
    host
}

fn export(host: &FakeExportHost, now: Timestamp) {
    let settings = ExportSettings { min_records: 0, ..ExportSettings::default() };
    create_batches(host, &settings, now).expect("works");
    while !matches!(
        do_work(host, &FakeRandom::seeded(1), &settings, now).expect("works"),
        WorkReport::NoBatch | WorkReport::Busy
    ) {}
}

fn purge(host: &FakeExportHost, now: Timestamp) -> Result<FilesReport, PurgeError> {
    purge_export_files(host, &PurgeSettings::default(), now)
}

/// The first window of both configs has just become too old.
const FIRST_EXPIRED: Timestamp = START.plus_seconds(4 * HOUR + TTL + 1);
const ALL_EXPIRED: Timestamp = START.plus_seconds(12 * HOUR + TTL + 1);

#[test]
fn ttl_below_ten_days_purges_nothing_and_the_error_names_the_setting() {
    let host = host_with_files();
    let settings = PurgeSettings { ttl_seconds: 240 * 3600 - 1, allow_short_ttl: false };
    host.set_fault(Fault::Never);
    let error = purge_exposures(&host, &settings, ALL_EXPIRED).expect_err("too short");
    assert_eq!(error, PurgeError::TtlTooShort { ttl_seconds: 863_999 });
    assert!(error.to_string().contains("ttl_seconds"));
    assert_eq!(purge_export_files(&host, &settings, ALL_EXPIRED), Err(error));
    assert_eq!(host.calls(), 0);

    let allowed = PurgeSettings { allow_short_ttl: true, ..settings };
    assert_eq!(purge_exposures(&host, &allowed, ALL_EXPIRED).map(|report| report.deleted), Ok(3));
    let minimum = PurgeSettings { ttl_seconds: 240 * 3600, allow_short_ttl: false };
    assert!(purge_export_files(&host, &minimum, ALL_EXPIRED).is_ok());
}

#[test]
fn exposures_are_purged_in_slices_and_younger_ones_stay() {
    let host = FakeExportHost::default();
    for number in 0..10 {
        add_exposure(&host, number, START.plus_seconds(HOUR * i64::from(number)));
    }
    let report = purge_exposures(&host, &PurgeSettings::default(), START.plus_seconds(TTL + 7 * HOUR)).expect("works");
    assert_eq!(report, ExposuresReport { deleted: 7, slices: 7, statistics_hours: 0 });
    let left: Vec<_> = host.exposures().iter().map(|exposure| exposure.created_at.unix() - START.unix()).collect();
    assert_eq!(left, [7 * HOUR, 8 * HOUR, 9 * HOUR]);
}

#[test]
fn expired_file_leaves_the_index_first_and_is_deleted_by_the_next_run() {
    let host = host_with_files();
    assert_eq!(purge(&host, FIRST_EXPIRED.plus_seconds(-1)), Ok(FilesReport::default()));

    let first = purge(&host, FIRST_EXPIRED).expect("works");
    assert_eq!((first.deleted, first.indexes_written), (0, 2));
    assert_eq!(host.index("bucket", "us").map(|lines| lines.len()), Some(2));
    assert_eq!(host.blobs("bucket").len(), 8, "six files and two indexes");

    let second = purge(&host, FIRST_EXPIRED.plus_seconds(HOUR)).expect("works");
    assert_eq!(second.deleted, 2);
    assert_eq!(host.blobs("bucket").len(), 6);

    let third = purge(&host, FIRST_EXPIRED.plus_seconds(HOUR)).expect("works");
    assert_eq!(third, FilesReport::default());
    assert_eq!(host.violations(), Vec::<String>::new());
}

#[test]
fn one_file_that_cannot_be_deleted_does_not_stop_the_others() {
    let host = host_with_files();
    purge(&host, ALL_EXPIRED).expect("works");
    let stuck = host.registered_files().remove(1);
    host.set_undeletable(&stuck, true);
    let report = purge(&host, ALL_EXPIRED).expect("works");
    assert_eq!((report.deleted, report.delete_failures), (5, 1));
    assert_eq!(host.registered_files(), std::slice::from_ref(&stuck));
    host.set_undeletable(&stuck, false);
    assert_eq!(purge(&host, ALL_EXPIRED).map(|report| report.deleted), Ok(1));
    assert!(host.registered_files().is_empty());
}

#[test]
fn files_of_an_index_that_an_export_holds_are_kept() {
    let host = host_with_files();
    // Expire, but die before any index is written.
    host.set_fault(Fault::CrashAfter(3));
    purge(&host, FIRST_EXPIRED).ok();
    host.set_fault(Fault::Never);
    assert_eq!(host.index("bucket", "us").map(|lines| lines.len()), Some(3));

    let until = FIRST_EXPIRED.plus_seconds(300);
    let lease = host.acquire(&["export-config:1".into()], FIRST_EXPIRED, until).expect("fake").expect("free");
    let report = purge(&host, FIRST_EXPIRED).expect("works");
    assert_eq!((report.deleted, report.kept, report.index_failures), (1, 1, vec![1]));
    assert_eq!(host.violations(), Vec::<String>::new());

    host.release(lease).expect("fake");
    assert_eq!(purge(&host, FIRST_EXPIRED).map(|report| report.deleted), Ok(1));
    assert_eq!(host.violations(), Vec::<String>::new());
}

#[test]
fn crash_between_any_two_calls_never_lets_an_index_name_a_deleted_file() {
    let later = ALL_EXPIRED.plus_seconds(700);
    let expect = host_with_files();
    expect.set_fault(Fault::Never);
    for _ in 0..2 {
        purge(&expect, ALL_EXPIRED).expect("works");
    }
    let calls = expect.calls();
    assert!(expect.registered_files().is_empty());
    for call in 1..=calls {
        for fault in [Fault::CrashBefore(call), Fault::CrashAfter(call), Fault::OnlyCall(call)] {
            let host = host_with_files();
            host.set_fault(fault);
            for _ in 0..2 {
                purge(&host, ALL_EXPIRED).ok();
            }
            host.set_fault(Fault::Never);
            for _ in 0..2 {
                purge(&host, later).expect("works");
            }
            assert_eq!(host.violations(), Vec::<String>::new(), "{fault:?}");
            assert_eq!(host.blobs("bucket"), expect.blobs("bucket"), "{fault:?}");
            assert_eq!(host.registered_files(), expect.registered_files(), "{fault:?}");
        }
    }
}

#[test]
fn purge_and_export_agree_on_what_is_live() {
    for offset in [-1, 0, 1] {
        let now = START.plus_seconds(4 * HOUR + TTL + offset);
        let (exported, purged) = (host_with_files(), host_with_files());
        export(&exported, now);
        purge(&purged, now).expect("works");
        export(&purged, now);
        assert_eq!(exported.index("bucket", "us"), purged.index("bucket", "us"), "{offset}");
        assert_eq!(purged.violations(), Vec::<String>::new());
    }
}

#[test]
fn statistics_go_by_whole_days() {
    let host = FakeExportHost::default();
    let hours = [-1, 0, 1, 24];
    hours.iter().for_each(|hour| host.add_statistics(START.plus_seconds(hour * HOUR)));
    let now = START.plus_seconds(TTL + 5 * HOUR);
    let report = purge_exposures(&host, &PurgeSettings::default(), now).expect("works");
    assert_eq!(report.statistics_hours, 1);
    assert_eq!(host.statistics(), [0, 1, 24].map(|hour| START.plus_seconds(hour * HOUR)));
}
