//! Port `exports`.

use super::*;
use crate::storage::administration::BatchState;
use tocsin_domain::ports::PortError;
use tocsin_domain::ports::exports::{BatchLease, PaddingKey, SelectionSize};

pub(crate) fn primary_pass_selects_by_time_of_upload_start_inclusive_end_exclusive(store: &impl Store) {
    for (number, time) in (0..).zip([NOON - 1, NOON, NOON + HOUR - 1, NOON + HOUR, NOON + 5 * HOUR]) {
        publish(store, &submission([number], time));
    }
    let hour = selection(window(NOON, NOON + HOUR));
    assert_eq!(selected(store, &hour, Pass::Primary), [1, 2]);
    for row in read_all(store, &hour, Pass::Primary, KeyRange::ALL, 100) {
        let expected = exposure(row.key.to_words().1, NOON);
        assert_eq!(row.id, stored(store, row.key.to_words().1).id);
        assert_eq!(row.rolling_start, expected.rolling_start);
        assert_eq!(row.rolling_period, expected.rolling_period);
        assert_eq!(row.transmission_risk, expected.transmission_risk);
        assert_eq!(row.report_type, expected.report_type);
        assert_eq!(row.days_since_onset, expected.days_since_onset);
    }
    assert_eq!(selected(store, &selection(window(NOON, NOON + 9 * HOUR)), Pass::Primary), [1, 2, 3, 4]);
    assert_eq!(selected(store, &selection(window(0, i64::MAX)), Pass::Primary), [0, 1, 2, 3, 4]);
}

pub(crate) fn revised_pass_selects_by_time_of_revision(store: &impl Store) {
    publish(store, &submission(0..5, NOON));
    for (number, time) in (0..).zip([NOON + HOUR - 1, NOON + HOUR, NOON + 2 * HOUR - 1, NOON + 2 * HOUR]) {
        let revision = revision_of(&stored(store, number), ReportType::Revoked, time);
        publish(store, &revising(vec![revision]));
    }
    let second_hour = selection(window(NOON + HOUR, NOON + 2 * HOUR));
    assert_eq!(selected(store, &second_hour, Pass::Revised), [1, 2]);
    assert_eq!(selected(store, &second_hour, Pass::Primary), [] as [u64; 0]);
    for row in read_all(store, &second_hour, Pass::Revised, KeyRange::ALL, 100) {
        assert_eq!(row.report_type, Some(ReportType::Revoked));
        assert_eq!(row.days_since_onset, Some(-3));
        let original = exposure(row.key.to_words().1, NOON);
        assert_eq!(row.transmission_risk, original.transmission_risk, "the original risk, as the reference has it");
    }
    let first_hour = selection(window(NOON, NOON + HOUR));
    assert_eq!(selected(store, &first_hour, Pass::Primary), [0, 1, 2, 3, 4], "as they were uploaded");
    let rows = read_all(store, &first_hour, Pass::Primary, KeyRange::ALL, 100);
    for row in rows {
        assert_eq!(row.report_type, exposure(row.key.to_words().1, NOON).report_type);
    }
}

pub(crate) fn regions_and_travelers_select_as_documented(store: &impl Store) {
    let sources: [(&[&str], bool); 5] =
        [(&["US"], false), (&["US"], true), (&["CA"], true), (&["MX", "CA"], false), (&[], false)];
    for (number, (regions, traveler)) in (0..).zip(sources) {
        let regions = regions.iter().map(|region| (*region).to_owned()).collect();
        publish(store, &Submission { regions, traveler, ..submission([number], NOON) });
    }
    let check = |regions: &[&str], travelers: bool, exclude: &[&str], only_non: bool, expected: &[u64]| {
        let own = |list: &[&str]| list.iter().map(|region| (*region).to_owned()).collect();
        let selection = Selection {
            window: window(NOON, NOON + HOUR),
            regions: own(regions),
            include_travelers: travelers,
            exclude_regions: own(exclude),
            only_non_travelers: only_non,
        };
        assert_eq!(selected(store, &selection, Pass::Primary), expected, "{selection:?}");
        let size = SelectionSize { primary: u64::try_from(expected.len()).expect("small"), revised: 0 };
        assert_eq!(store.count(&selection), Ok(size), "{selection:?}");
    };
    check(&["US"], false, &[], false, &[0, 1]);
    check(&["CA"], false, &[], false, &[2, 3]);
    check(&["US", "MX"], false, &[], false, &[0, 1, 3]);
    check(&["us"], false, &[], false, &[]);
    check(&[], false, &[], false, &[]);
    check(&["US"], true, &[], false, &[0, 1, 2]);
    check(&[], true, &[], false, &[1, 2]);
    check(&["US"], true, &["CA"], false, &[0, 1]);
    check(&["CA"], false, &["MX", "ZZ"], false, &[2]);
    check(&["US", "CA"], false, &[], true, &[0, 3]);
}

pub(crate) fn key_ranges_partition_a_selection(store: &impl Store) {
    publish(store, &submission(0..200, NOON));
    let revisions = (0..200).map(|number| revision_of(&stored(store, number), ReportType::Revoked, NOON));
    publish(store, &revising(revisions.collect()));
    let extremes = [(0, 0), (0, u64::MAX), (u64::MAX, u64::MAX), (u64::MAX, 0)];
    let mut extreme = submission([], NOON);
    let key_exposure =
        |(high, low)| NewExposure { key: TemporaryExposureKey::from_words(high, low), ..exposure(1, NOON) };
    // (0, 0) is the key with number 0.
    extreme.inserts = extremes[1..].iter().map(|words| key_exposure(*words)).collect();
    publish(store, &extreme);
    let selection = selection(window(NOON, NOON + HOUR));
    for (pass, total) in [(Pass::Primary, 203), (Pass::Revised, 200)] {
        let cuts = [0, 1, 1 << 40, 1 << 62, 1 << 63, u64::MAX];
        let mut rows = 0;
        for (index, first) in cuts.iter().enumerate() {
            let last = cuts.get(index + 1).map_or(u64::MAX, |next| next - 1);
            let keys = KeyRange { first: *first, last };
            let range = read_all(store, &selection, pass, keys, 11);
            assert!(range.iter().all(|row| (*first..=last).contains(&row.key.to_words().0)), "{keys:?}");
            rows += range.len();
        }
        assert_eq!(rows, total, "{pass:?}");
    }
}

pub(crate) fn pages_of_any_size_give_the_same_rows(store: &impl Store) {
    for hour in 0..3 {
        publish(store, &submission(hour * 20..hour * 20 + 20, NOON + HOUR * i64::try_from(hour).expect("small")));
    }
    let revise = |number: u64| {
        revision_of(
            &stored(store, number),
            ReportType::Revoked,
            NOON + HOUR * i64::try_from(number % 3).expect("small"),
        )
    };
    publish(store, &revising((0..60).map(revise).collect()));
    let selection = selection(window(NOON, NOON + 3 * HOUR));
    for pass in [Pass::Primary, Pass::Revised] {
        let whole = read_all(store, &selection, pass, KeyRange::ALL, 1_000);
        assert_eq!(whole.len(), 60);
        for page_rows in [1, 2, 7, 20, 59, 60, 61] {
            assert_eq!(read_all(store, &selection, pass, KeyRange::ALL, page_rows), whole, "pages of {page_rows}");
        }
    }
}

pub(crate) fn count_agrees_with_read(store: &impl Store) {
    publish(store, &submission(0..30, NOON));
    publish(store, &submission(30..50, NOON + HOUR));
    publish(store, &revising(vec![revision_of(&stored(store, 3), ReportType::Revoked, NOON + HOUR)]));
    let counted = |start, end| store.count(&selection(window(start, end))).expect("counted");
    assert_eq!(counted(NOON, NOON + HOUR), SelectionSize { primary: 30, revised: 0 });
    assert_eq!(counted(NOON + HOUR, NOON + 2 * HOUR), SelectionSize { primary: 20, revised: 1 });
    assert_eq!(counted(NOON + 2 * HOUR, NOON + 3 * HOUR), SelectionSize::default());
}

pub(crate) fn windows_shorter_than_an_hour_select_exactly(store: &impl Store) {
    for second in 0..20 {
        publish(store, &submission([second], NOON + i64::try_from(second).expect("small")));
    }
    assert_eq!(selected(store, &selection(window(NOON + 5, NOON + 10)), Pass::Primary), [5, 6, 7, 8, 9]);
    assert_eq!(selected(store, &selection(window(NOON + 15, NOON + HOUR)), Pass::Primary), [15, 16, 17, 18, 19]);
    assert_eq!(store.count(&selection(window(NOON + 1, NOON + 2))).expect("counted").primary, 1);
}

pub(crate) fn active_configs_are_those_between_their_times(store: &impl Store) {
    let timed = NewExportConfig { from_unix: NOON, thru_unix: Some(NOON + 10), ..new_config("timed") };
    let timed = store.add_export_config(&timed).expect("added").id;
    let endless = add_config(store, "endless").id;
    let active = |time| -> Vec<u64> {
        store.active_configs(at(time)).expect("read").iter().map(|active| active.config.id).collect()
    };
    for (time, expected) in [
        (NOON - 1, vec![endless]),
        (NOON, vec![endless]),
        (NOON + 1, vec![timed, endless]),
        (NOON + 9, vec![timed, endless]),
        (NOON + 10, vec![endless]),
    ] {
        assert_eq!(active(time), expected, "at {time}");
    }
    store.end_export_config(endless, at(NOON)).expect("ended");
    assert_eq!(active(NOON + 1), [timed]);
}

pub(crate) fn latest_batch_end_counts_batches_of_any_state(store: &impl Store) {
    let config = add_config(store, "root").id;
    let latest = || store.active_configs(at(NOON)).expect("read")[0].latest_batch_end;
    assert_eq!(latest(), None);
    complete_new_batch(store, config, window(NOON, NOON + HOUR), &[]);
    assert_eq!(latest(), Some(at(NOON + HOUR)));
    let open = NewBatch { config_id: config, window: window(NOON + HOUR, NOON + 2 * HOUR) };
    assert_eq!(store.create_batches(&[open]), Ok(1));
    assert_eq!(latest(), Some(at(NOON + 2 * HOUR)));
}

pub(crate) fn batches_are_created_once(store: &impl Store) {
    let config_id = add_config(store, "root").id;
    let batch = |hour: i64| NewBatch { config_id, window: window(NOON + hour * HOUR, NOON + (hour + 1) * HOUR) };
    assert_eq!(store.create_batches(&[batch(0), batch(1)]), Ok(2));
    assert_eq!(store.create_batches(&[batch(0), batch(1), batch(2)]), Ok(1));
    assert_eq!(store.create_batches(&[]), Ok(0));
    assert_eq!(store.export_batches(Some(config_id), 100).expect("read").len(), 3);
}

pub(crate) fn batch_of_an_unknown_config_is_refused_with_all_others(store: &impl Store) {
    let config_id = add_config(store, "root").id;
    let good = NewBatch { config_id, window: window(NOON, NOON + HOUR) };
    for bad in [NewBatch { config_id: config_id + 1, ..good }, NewBatch { config_id, window: window(NOON, NOON) }] {
        let outcome = store.create_batches(&[good, bad]);
        assert!(matches!(outcome, Err(PortError::Internal(_))), "{outcome:?}");
    }
    assert_eq!(store.export_batches(None, 100), Ok(vec![]));
    assert!(store.find(&[]).expect("found").open_from <= at(0));
}

pub(crate) fn batch_keeps_the_config_it_was_created_with(store: &impl Store) {
    let new = NewExportConfig {
        input_regions: vec!["US".to_owned(), "CA".to_owned()],
        exclude_regions: vec!["MX".to_owned()],
        include_travelers: true,
        max_records_override: Some(17),
        ..new_config("root")
    };
    let config = store.add_export_config(&new).expect("added");
    let batch = NewBatch { config_id: config.id, window: window(NOON, NOON + HOUR) };
    assert_eq!(store.create_batches(&[batch]), Ok(1));
    store.end_export_config(config.id, at(NOON)).expect("ended");
    let leased = store.lease_batch(at(NOON + 2 * HOUR), at(NOON + 3 * HOUR)).expect("no error").expect("a batch");
    assert_eq!(leased.config.input_regions, new.input_regions);
    assert_eq!(leased.config.exclude_regions, new.exclude_regions);
    assert_eq!(leased.config.max_records_override, Some(17));
    assert_eq!(leased.config.signature_info_ids, config.signature_info_ids);
    assert!(leased.config.include_travelers && !leased.config.only_non_travelers);
    let names = (leased.config.bucket.as_str(), leased.config.filename_root.as_str());
    assert_eq!(names, ("exports", "root"));
    assert_eq!((leased.config.period_seconds, leased.config.output_region.as_str()), (3_600, "US"));
}

pub(crate) fn earliest_ended_batch_is_leased_first_and_once(store: &impl Store) {
    let config_id = add_config(store, "root").id;
    let batch = |hour: i64| NewBatch { config_id, window: window(NOON + hour * HOUR, NOON + (hour + 1) * HOUR) };
    assert_eq!(store.create_batches(&[batch(2), batch(0), batch(1)]), Ok(3));
    let now = at(NOON + 10 * HOUR);
    let lease = || store.lease_batch(now, now.plus_seconds(300)).expect("no error");
    let ends: Vec<_> = std::iter::from_fn(lease).map(|leased| leased.window.end.unix()).collect();
    assert_eq!(ends, [NOON + HOUR, NOON + 2 * HOUR, NOON + 3 * HOUR]);
}

pub(crate) fn batch_is_leased_only_after_its_end(store: &impl Store) {
    let config_id = add_config(store, "root").id;
    assert_eq!(store.create_batches(&[NewBatch { config_id, window: window(NOON, NOON + HOUR) }]), Ok(1));
    let leased_at = |time| store.lease_batch(at(time), at(time + 300)).expect("no error").is_some();
    assert!(!leased_at(NOON + HOUR - 1));
    assert!(!leased_at(NOON + HOUR));
    assert!(leased_at(NOON + HOUR + 1));
}

pub(crate) fn expired_lease_is_lost_when_the_batch_is_leased_again(store: &impl Store) {
    let config = add_config(store, "root").id;
    let first = lease_new_batch(store, config, window(NOON, NOON + HOUR));
    let expires = first.window.end.plus_seconds(301);
    assert_eq!(store.lease_batch(expires.plus_seconds(-1), expires), Ok(None));
    let second = store.lease_batch(expires, expires.plus_seconds(300)).expect("no error").expect("a batch");
    assert_eq!(second.lease.batch_id, first.lease.batch_id);
    assert_ne!(second.lease.token, first.lease.token);
    assert_eq!(store.complete_batch(first.lease, &[]), Err(PortError::Conflict));
    assert_eq!(store.complete_batch(second.lease, &[]), Ok(()));
}

pub(crate) fn expired_lease_that_nobody_took_is_still_good(store: &impl Store) {
    let config = add_config(store, "root").id;
    let leased = lease_new_batch(store, config, window(NOON, NOON + HOUR));
    // The store has no clock: whoever leases the batch brings the time.
    assert_eq!(store.complete_batch(leased.lease, &["root/a".to_owned()]), Ok(()));
}

pub(crate) fn released_batch_is_leased_again_at_once(store: &impl Store) {
    let config = add_config(store, "root").id;
    let first = lease_new_batch(store, config, window(NOON, NOON + HOUR));
    assert_eq!(store.release_batch(first.lease), Ok(()));
    let now = first.window.end.plus_seconds(1);
    let second = store.lease_batch(now, now.plus_seconds(300)).expect("no error").expect("a batch");
    assert_ne!(second.lease, first.lease);
    assert_eq!(store.release_batch(first.lease), Ok(()), "a lost lease is not an error");
    assert_eq!(store.lease_batch(now, now.plus_seconds(300)), Ok(None), "and gives nothing back");
}

pub(crate) fn lost_lease_cannot_complete_release_or_pad(store: &impl Store) {
    let config = add_config(store, "root").id;
    publish(store, &submission([0], NOON));
    let leased = lease_new_batch(store, config, window(NOON, NOON + HOUR));
    let padding = [PaddingKey { source: stored(store, 0).id, key: key(1) }];
    for lost in [
        BatchLease { token: leased.lease.token + 1, ..leased.lease },
        BatchLease { token: 0, ..leased.lease },
        BatchLease { batch_id: u64::MAX, ..leased.lease },
    ] {
        assert_eq!(store.complete_batch(lost, &[]), Err(PortError::Conflict), "{lost:?}");
        assert_eq!(store.store_padding(lost, &padding), Err(PortError::Conflict), "{lost:?}");
        assert_eq!(store.release_batch(lost), Ok(()));
    }
    assert_eq!(store.release_batch(leased.lease), Ok(()));
    assert_eq!(store.complete_batch(leased.lease, &[]), Err(PortError::Conflict));
    assert_eq!(store.store_padding(leased.lease, &padding), Err(PortError::Conflict));
    assert!(!is_stored(store, 1));
}

pub(crate) fn padding_copies_everything_but_the_key_and_owner(store: &impl Store) {
    publish(store, &Submission { traveler: true, ..submission(0..10, NOON) });
    let config = add_config(store, "root").id;
    let leased = lease_new_batch(store, config, window(NOON, NOON + HOUR));
    let padding: Vec<_> =
        (0..10).map(|number| PaddingKey { source: stored(store, number).id, key: key(100 + number) }).collect();
    assert_eq!(store.store_padding(leased.lease, &padding), Ok(()));
    let rows = read_all(store, &selection(leased.window), Pass::Primary, KeyRange::ALL, 100);
    assert_eq!(rows.len(), 20);
    for row in &rows {
        let number = row.key.to_words().1;
        let expected = exposure(number % 100, NOON);
        assert_eq!(row.rolling_start, expected.rolling_start);
        assert_eq!(row.rolling_period, expected.rolling_period);
        assert_eq!(row.transmission_risk, expected.transmission_risk);
        assert_eq!(row.report_type, expected.report_type);
        assert_eq!(row.days_since_onset, expected.days_since_onset);
        assert!(stored(store, number).local_provenance);
    }
    let non_travelers = Selection { only_non_travelers: true, ..selection(leased.window) };
    assert_eq!(selected(store, &non_travelers, Pass::Primary), [] as [u64; 0]);
}

pub(crate) fn padding_is_stored_once(store: &impl Store) {
    publish(store, &submission([0], NOON));
    let config = add_config(store, "root").id;
    let leased = lease_new_batch(store, config, window(NOON, NOON + HOUR));
    let padding = |number| [PaddingKey { source: stored(store, 0).id, key: key(number) }];
    assert_eq!(store.store_padding(leased.lease, &padding(1)), Ok(()));
    assert_eq!(store.store_padding(leased.lease, &padding(2)), Ok(()));
    assert_eq!(store.release_batch(leased.lease), Ok(()));
    let now = leased.window.end.plus_seconds(1);
    let again = store.lease_batch(now, now.plus_seconds(300)).expect("no error").expect("a batch");
    assert_eq!(store.store_padding(again.lease, &padding(3)), Ok(()), "nor by the next worker");
    assert_eq!(selected(store, &selection(leased.window), Pass::Primary), [0, 1]);
}

pub(crate) fn padding_from_a_purged_source_conflicts(store: &impl Store) {
    publish(store, &submission([0, 1], NOON));
    let config = add_config(store, "root").id;
    let leased = lease_new_batch(store, config, window(NOON, NOON + HOUR));
    let source = stored(store, 0).id;
    let gone = [PaddingKey { source, key: key(2) }, PaddingKey { source: source + 1_000, key: key(3) }];
    assert_eq!(store.store_padding(leased.lease, &gone), Err(PortError::Conflict));
    assert!(!is_stored(store, 2), "all or none");
    assert_eq!(store.store_padding(leased.lease, &gone[..1]), Ok(()));
    assert!(is_stored(store, 2));
}

pub(crate) fn completed_batch_has_its_files_and_completes_once(store: &impl Store) {
    let config = add_config(store, "root").id;
    let leased = complete_new_batch(store, config, window(NOON, NOON + HOUR), &["root/a", "root/b"]);
    assert_eq!(store.complete_batch(leased.lease, &["root/c".to_owned()]), Ok(()), "repeated: the answer was lost");
    let live = |since| sorted(Exports::live_files(store, config, at(since)).expect("read"));
    assert_eq!(live(NOON + HOUR), ["root/a", "root/b"]);
    assert_eq!(live(NOON + HOUR + 1), [] as [&str; 0]);
    assert_eq!(sorted(Retention::live_files(store, config, at(0)).expect("read")), ["root/a", "root/b"]);
    assert_eq!(Exports::live_files(store, config + 1, at(0)), Ok(vec![]));
    let batches = store.export_batches(None, 10).expect("read");
    assert_eq!((batches[0].state, batches[0].files), (BatchState::Complete, 2));
    let files = store.export_files(leased.lease.batch_id).expect("read");
    assert_eq!(files.iter().map(|file| file.name.as_str()).collect::<Vec<_>>(), ["root/a", "root/b"]);
    assert!(files.iter().all(|file| file.bucket == "exports"));
    let now = at(NOON + 100 * HOUR);
    assert_eq!(store.lease_batch(now, now.plus_seconds(1)), Ok(None), "a complete batch is not leased");
}

pub(crate) fn signature_infos_come_by_descending_id(store: &impl Store) {
    let new = NewExportConfig { signers: vec![signer("v1"), signer("v2"), signer("v3")], ..new_config("root") };
    let ids = store.add_export_config(&new).expect("added").signature_info_ids;
    let infos = store.signature_infos(&[ids[0], ids[2], 999]).expect("read");
    let versions: Vec<_> = infos.iter().map(|info| info.verification_key_version.as_str()).collect();
    assert_eq!(versions, ["v3", "v1"]);
    assert_eq!(infos.iter().map(|info| info.id).collect::<Vec<_>>(), [ids[2], ids[0]]);
    assert_eq!((infos[0].signing_key.as_str(), infos[0].verification_key_id.as_str()), ("export", "310"));
    assert_eq!(store.signature_infos(&[]), Ok(vec![]));
}
