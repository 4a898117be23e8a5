//! What every store must do. A store runs all of it with one line, `conformance_tests!(open)`, where `open` returns a
//! fresh, empty store and whatever must live as long as it does.

mod administering;
mod counting;
mod exporting;
mod leasing;
mod noting;
mod publishing;
mod retaining;
mod revision_keys;
mod signing;

pub(crate) use administering::*;
pub(crate) use counting::*;
pub(crate) use exporting::*;
pub(crate) use leasing::*;
pub(crate) use noting::*;
pub(crate) use publishing::*;
pub(crate) use retaining::*;
pub(crate) use revision_keys::*;
pub(crate) use signing::*;

use super::administration::{ExportConfigRecord, NewExportConfig, SignerRecord};
use super::{Administration, RevisionKeys};
use tocsin_domain::exposure::{NewExposure, ReportType, Revision, SelectedExposure, StoredExposure, TransmissionRisk};
use tocsin_domain::health_authority::HealthAuthorityId;
use tocsin_domain::interval::{IntervalNumber, RollingPeriod, Timestamp};
use tocsin_domain::ports::authorized_apps::AuthorizedApps;
use tocsin_domain::ports::exports::{Exports, KeyRange, LeasedBatch, NewBatch, Pass, Selection, Window};
use tocsin_domain::ports::exposures::{Exposures, RevisionOf, Submission};
use tocsin_domain::ports::health_authorities::HealthAuthorities;
use tocsin_domain::ports::leases::Leases;
use tocsin_domain::ports::retention::Retention;
use tocsin_domain::ports::statistics::Statistics;
use tocsin_domain::tek::TemporaryExposureKey;

/// All that a store is.
pub(crate) trait Store:
    Exposures
    + Exports
    + Retention
    + Leases
    + AuthorizedApps
    + HealthAuthorities
    + Statistics
    + Administration
    + RevisionKeys
    + Sync
{
}

impl<S> Store for S where
    S: Exposures
        + Exports
        + Retention
        + Leases
        + AuthorizedApps
        + HealthAuthorities
        + Statistics
        + Administration
        + RevisionKeys
        + Sync
{
}

/// Makes a test of each claim, with a fresh store.
macro_rules! conformance_tests {
    ($open:path) => {
        $crate::storage::conformance::conformance_tests!(@each $open:
            inserted_exposures_are_found_with_what_was_stored
            unknown_keys_are_not_found
            existing_key_conflicts_and_nothing_of_the_publish_is_stored
            key_twice_in_one_submission_is_refused
            revision_changes_the_row_and_its_version
            revision_of_another_version_conflicts_and_nothing_is_stored
            revision_of_an_unknown_row_or_another_key_conflicts
            time_before_open_from_conflicts
            open_from_is_the_latest_end_of_any_batch
            time_that_no_row_can_have_is_refused
            one_publish_wins_each_contested_key_and_none_is_half_stored
            concurrent_revisions_of_a_row_have_one_winner
            a_value_is_used_by_one_submission
            all_commits_are_noted_or_none
            a_counter_only_moves_from_where_it_was_seen
            revisions_note_too
            of_many_at_once_one_uses_a_value
            use_without_keys_does_not_age_a_device_key
            what_was_noted_goes_with_the_exposures
            primary_pass_selects_by_time_of_upload_start_inclusive_end_exclusive
            revised_pass_selects_by_time_of_revision
            regions_and_travelers_select_as_documented
            key_ranges_partition_a_selection
            pages_of_any_size_give_the_same_rows
            count_agrees_with_read
            windows_shorter_than_an_hour_select_exactly
            active_configs_are_those_between_their_times
            latest_batch_end_counts_batches_of_any_state
            batches_are_created_once
            batch_of_an_unknown_config_is_refused_with_all_others
            batch_keeps_the_config_it_was_created_with
            earliest_ended_batch_is_leased_first_and_once
            batch_is_leased_only_after_its_end
            expired_lease_is_lost_when_the_batch_is_leased_again
            expired_lease_that_nobody_took_is_still_good
            released_batch_is_leased_again_at_once
            lost_lease_cannot_complete_release_or_pad
            padding_copies_everything_but_the_key_and_owner
            padding_is_stored_once
            padding_from_a_purged_source_conflicts
            completed_batch_has_its_files_and_completes_once
            signature_infos_come_by_descending_id
            purge_deletes_what_was_created_before_and_nothing_else
            purge_goes_hour_by_hour
            purged_key_can_be_published_again
            revision_does_not_outlive_its_exposure
            publishes_of_an_hour_are_summed_for_their_health_authority
            refused_publish_is_not_counted
            concurrent_publishes_are_all_counted
            statistics_are_purged_by_the_hour
            expired_files_leave_the_live_ones_and_their_index_is_stale
            index_stays_stale_until_its_files_are_forgotten
            forgotten_files_are_deleted_and_so_is_their_batch
            live_file_cannot_be_forgotten
            names_are_leased_all_or_none
            lease_ends_at_its_time_or_when_released
            released_lease_of_someone_else_stays
            health_authority_is_found_by_its_exact_issuer
            health_authority_without_names_or_with_a_taken_issuer_is_refused
            malformed_health_authority_key_is_refused
            revoked_key_ends_now_or_at_its_start_and_only_once
            reinstated_key_has_no_end_and_activated_key_begins_now
            health_authority_changes_only_as_told
            key_set_changes_count_at_once
            key_set_changes_decided_on_other_keys_conflict_and_nothing_is_stored
            app_is_found_without_regard_to_case
            app_without_name_region_or_known_authority_is_refused
            updated_app_is_seen_at_once
            export_config_rules_are_checked
            filename_root_is_unique_in_its_bucket_without_regard_to_case
            signers_are_shared_between_configs_until_they_end
            status_counts_exposures_and_open_batches
            revision_keys_are_listed_by_id_as_they_were_inserted
            id_of_a_revision_key_is_used_once_even_after_its_end
            destroyed_revision_key_leaves_its_times_only
            revision_keys_are_rewrapped_all_or_none
            added_signer_signs_batches_that_exist_already
            signer_is_added_once_and_reopened_when_it_was_to_end
            signer_whose_name_phones_could_confuse_is_refused
            ended_signer_of_one_config_still_signs_for_another
            last_signer_of_a_config_cannot_end
        );
    };
    (@each $open:path: $($claim:ident)*) => {
        $(
            #[test]
            fn $claim() {
                let (store, _guard) = $open();
                $crate::storage::conformance::$claim(&store);
            }
        )*
    };
}
pub(crate) use conformance_tests;

/// 2021-03-01T12:00:00Z, a full hour.
pub(crate) const NOON: i64 = 1_614_600_000;
/// Seconds of an hour.
pub(crate) const HOUR: i64 = 3_600;

pub(crate) fn at(seconds: i64) -> Timestamp {
    Timestamp::from_unix(seconds)
}

pub(crate) fn window(start: i64, end: i64) -> Window {
    Window { start: at(start), end: at(end) }
}

/// A key whose first eight bytes spread over their whole range.
pub(crate) fn key(number: u64) -> TemporaryExposureKey {
    TemporaryExposureKey::from_words(number.wrapping_mul(0x9e37_79b9_7f4a_7c15), number)
}

/// An exposure whose metadata follow from its number.
pub(crate) fn exposure(number: u64, created_at: i64) -> NewExposure {
    let small = i64::try_from(number % 9).expect("small");
    NewExposure {
        key: key(number),
        rolling_start: IntervalNumber::new(2_691_000 + i32::try_from(number % 100).expect("small")),
        rolling_period: RollingPeriod::try_from(144 - small).expect("period"),
        transmission_risk: TransmissionRisk::try_from(small).expect("risk"),
        report_type: ReportType::from_number(u8::try_from(number % 4).expect("small")),
        days_since_onset: (!number.is_multiple_of(5)).then(|| i8::try_from(small - 4).expect("small")),
        created_at: at(created_at),
    }
}

/// A publish of those keys at that time, region US, no traveler.
pub(crate) fn submission(numbers: impl IntoIterator<Item = u64>, created_at: i64) -> Submission {
    Submission {
        app: "com.example.app".to_owned(),
        regions: vec!["US".to_owned()],
        traveler: false,
        health_authority: Some(HealthAuthorityId(1)),
        inserts: numbers.into_iter().map(|number| exposure(number, created_at)).collect(),
        revisions: Vec::new(),
        statistics: None,
        commits: None,
    }
}

/// A revision of a row as it was found.
pub(crate) fn revision_of(stored: &StoredExposure, report_type: ReportType, revised_at: i64) -> RevisionOf {
    RevisionOf {
        id: stored.id,
        expected_version: stored.version,
        key: stored.key,
        revision: Revision {
            report_type,
            revised_at: at(revised_at),
            days_since_onset: Some(-3),
            transmission_risk: TransmissionRisk::try_from(6).expect("risk"),
        },
    }
}

/// A submission that only revises.
pub(crate) fn revising(revisions: Vec<RevisionOf>) -> Submission {
    Submission { revisions, ..submission([], NOON) }
}

pub(crate) fn publish(store: &impl Store, submission: &Submission) {
    store.insert_and_revise(submission).expect("stored");
}

/// The row of a key that is there.
pub(crate) fn stored(store: &impl Store, number: u64) -> StoredExposure {
    let found = store.find(&[key(number)]).expect("found").existing;
    assert_eq!(found.len(), 1, "rows of key {number}");
    found[0]
}

pub(crate) fn is_stored(store: &impl Store, number: u64) -> bool {
    !store.find(&[key(number)]).expect("found").existing.is_empty()
}

/// Everything of region US in the window.
pub(crate) fn selection(window: Window) -> Selection {
    Selection {
        window,
        regions: vec!["US".to_owned()],
        include_travelers: false,
        exclude_regions: Vec::new(),
        only_non_travelers: false,
    }
}

/// All rows of a pass, in the store's order, read in pages.
pub(crate) fn read_all(
    store: &impl Store,
    selection: &Selection,
    pass: Pass,
    keys: KeyRange,
    page_rows: u32,
) -> Vec<SelectedExposure> {
    let mut rows = Vec::new();
    let mut cursor = 0;
    loop {
        let page = store.read(selection, pass, keys, cursor, page_rows).expect("read");
        let (packed, rest) = page.rows.as_chunks::<{ SelectedExposure::PACKED_LENGTH }>();
        assert!(rest.is_empty() && packed.len() <= usize::try_from(page_rows).expect("small"));
        rows.extend(packed.iter().map(|row| SelectedExposure::unpack(row).expect("a valid row")));
        match page.next {
            Some(next) => cursor = next,
            None => return rows,
        }
    }
}

/// Numbers of the keys that a pass selects, sorted.
pub(crate) fn selected(store: &impl Store, selection: &Selection, pass: Pass) -> Vec<u64> {
    let rows = read_all(store, selection, pass, KeyRange::ALL, 7);
    let mut numbers: Vec<u64> = rows.iter().map(|row| row.key.to_words().1).collect();
    numbers.sort_unstable();
    numbers
}

/// An hourly export config that is valid forever.
pub(crate) fn new_config(filename_root: &str) -> NewExportConfig {
    NewExportConfig {
        bucket: "exports".to_owned(),
        filename_root: filename_root.to_owned(),
        period_seconds: 3_600,
        output_region: "US".to_owned(),
        input_regions: Vec::new(),
        exclude_regions: Vec::new(),
        include_travelers: false,
        only_non_travelers: false,
        max_records_override: None,
        signers: vec![signer("v1")],
        from_unix: 0,
        thru_unix: None,
    }
}

pub(crate) fn signer(version: &str) -> SignerRecord {
    SignerRecord {
        signing_key: "export".to_owned(),
        verification_key_id: "310".to_owned(),
        verification_key_version: version.to_owned(),
    }
}

pub(crate) fn add_config(store: &impl Store, filename_root: &str) -> ExportConfigRecord {
    store.add_export_config(&new_config(filename_root)).expect("added")
}

/// Creates one batch and leases it.
pub(crate) fn lease_new_batch(store: &impl Store, config_id: u64, window: Window) -> LeasedBatch {
    assert_eq!(store.create_batches(&[NewBatch { config_id, window }]), Ok(1));
    let now = window.end.plus_seconds(1);
    let leased = store.lease_batch(now, now.plus_seconds(300)).expect("no error").expect("a batch");
    assert_eq!(leased.window, window);
    leased
}

/// Creates a batch with those files and completes it.
pub(crate) fn complete_new_batch(store: &impl Store, config_id: u64, window: Window, files: &[&str]) -> LeasedBatch {
    let leased = lease_new_batch(store, config_id, window);
    let files: Vec<String> = files.iter().map(|file| (*file).to_owned()).collect();
    assert_eq!(store.complete_batch(leased.lease, &files), Ok(()));
    leased
}

/// Names in a fixed order.
pub(crate) fn sorted(mut names: Vec<String>) -> Vec<String> {
    names.sort_unstable();
    names
}
