//! The storage conformance suite of the host, run over a connection as Spin gives it: every call opens the file anew, as an
//! instance of its own would, and statements go one at a time.
//!
//! Claims about the administration are left out: this store has none, operators prepare the file with the host.

mod connection;
mod differences;
mod fresh;
mod storage;

use fresh::FreshInstances;

fn open() -> (FreshInstances, tempfile::TempDir) {
    let folder = tempfile::tempdir().expect("temporary folder");
    (FreshInstances::new(folder.path().join("sqlite_db.db")), folder)
}

storage::conformance::conformance_tests!(@each crate::open:
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
    revision_keys_are_listed_by_id_as_they_were_inserted
    id_of_a_revision_key_is_used_once_even_after_its_end
    destroyed_revision_key_leaves_its_times_only
    revision_keys_are_rewrapped_all_or_none
);
