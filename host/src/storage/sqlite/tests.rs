//! The conformance suite, and what only this store promises.

use super::super::administration::{AdminError, Administration, BatchState};
use super::super::conformance::{self, HOUR, NOON, at, is_stored, key, publish, selection, stored, submission, window};
use super::*;
use std::os::unix::fs::PermissionsExt;
use tempfile::TempDir;
use tocsin_domain::exposure::ReportType;
use tocsin_domain::ports::PortError;
use tocsin_domain::ports::exports::{Exports, NewBatch, Pass};
use tocsin_domain::ports::exposures::Exposures;
use tocsin_domain::ports::retention::Retention;

conformance::conformance_tests!(open_fresh);

fn open_fresh() -> (SqliteStore, TempDir) {
    let folder = tempfile::tempdir().expect("folder");
    (open(&folder), folder)
}

fn open(folder: &TempDir) -> SqliteStore {
    SqliteStore::open(&database(folder), &SqliteOptions::default()).expect("opens")
}

fn database(folder: &TempDir) -> PathBuf {
    folder.path().join("tocsin.db")
}

fn open_error(folder: &TempDir) -> OpenError {
    SqliteStore::open(&database(folder), &SqliteOptions::default()).expect_err("must not open")
}

#[test]
fn second_opener_is_told_what_to_do() {
    let (store, folder) = open_fresh();
    let error = open_error(&folder);
    assert!(matches!(error, OpenError::InUse(_)), "{error:?}");
    assert!(error.to_string().contains("stop that process first"), "{error}");
    drop(store);
    open(&folder);
}

#[test]
fn reopened_store_gives_the_same_answers() {
    let (store, folder) = open_fresh();
    let config = conformance::add_config(&store, "root");
    publish(&store, &submission(0..100, NOON));
    publish(&store, &submission(100..200, NOON + HOUR));
    let revision = conformance::revision_of(&stored(&store, 7), ReportType::Revoked, NOON + HOUR);
    publish(&store, &conformance::revising(vec![revision]));
    conformance::complete_new_batch(&store, config.id, window(NOON, NOON + HOUR), &["root/a"]);
    let keys: Vec<_> = (0..201).map(key).collect();
    let hour = selection(window(NOON, NOON + HOUR));
    let before = (store.find(&keys), conformance::selected(&store, &hour, Pass::Primary), store.status());
    drop(store);
    let store = open(&folder);
    let after = (store.find(&keys), conformance::selected(&store, &hour, Pass::Primary), store.status());
    assert_eq!(after, before);
    assert_eq!(store.insert_and_revise(&submission([199], NOON + HOUR)), Err(PortError::Conflict));
    publish(&store, &submission(200..300, NOON + HOUR));
    assert_eq!(store.rows(), 300);
}

#[test]
fn closing_leaves_nothing_but_the_database() {
    let (store, folder) = open_fresh();
    publish(&store, &submission(0..5, NOON));
    assert!(is_stored(&store, 3));
    drop(store);
    let mut names: Vec<_> =
        folder.path().read_dir().expect("folder").map(|entry| entry.expect("entry").file_name()).collect();
    names.sort();
    assert_eq!(names, ["tocsin.db", "tocsin.db.lock"]);
}

#[test]
fn files_are_readable_by_their_owner_only() {
    let (store, folder) = open_fresh();
    publish(&store, &submission(0..5, NOON));
    for entry in folder.path().read_dir().expect("folder") {
        let entry = entry.expect("entry");
        let mode = entry.metadata().expect("metadata").permissions().mode() & 0o777;
        assert_eq!(mode, 0o600, "{:?}", entry.file_name());
    }
}

#[test]
fn newer_schema_is_refused() {
    let (store, folder) = open_fresh();
    drop(store);
    let connection = Connection::open(database(&folder)).expect("opens");
    connection.pragma_update(None, "user_version", schema::known() + 1).expect("set");
    drop(connection);
    let error = open_error(&folder);
    assert!(matches!(error, OpenError::NewerSchema { found, known, .. } if found == known + 1), "{error:?}");
    assert!(error.to_string().contains("run the newer server"), "{error}");
}

#[test]
fn health_authority_of_the_first_schema_stays_as_it_is() {
    let folder = tempfile::tempdir().expect("folder");
    let connection = Connection::open(database(&folder)).expect("opens");
    connection.execute_batch(include_str!("migrations/0001_first.sql")).expect("created");
    connection.pragma_update(None, "application_id", i32::from_be_bytes(*b"TCSN")).expect("set");
    connection.pragma_update(None, "user_version", 1).expect("set");
    let add = "INSERT INTO health_authority(issuer, audience, name) VALUES ('gov', 'keys', 'Health')";
    connection.execute(add, []).expect("added");
    drop(connection);
    let found = open(&folder).health_authorities().expect("read").remove(0);
    assert_eq!((found.issuer.as_str(), found.audience.as_str(), found.name.as_str()), ("gov", "keys", "Health"));
    assert_eq!((found.jwks_uri, found.allow_empty_key_set, found.statistics_enabled), (None, false, true));
}

#[test]
fn database_of_another_application_is_refused() {
    let folder = tempfile::tempdir().expect("folder");
    let connection = Connection::open(database(&folder)).expect("opens");
    connection.execute_batch("CREATE TABLE notes(text TEXT)").expect("created");
    drop(connection);
    let error = open_error(&folder);
    assert!(matches!(error, OpenError::NotOurs(_)), "{error:?}");
}

#[test]
fn file_that_is_no_database_is_refused_and_left_alone() {
    let folder = tempfile::tempdir().expect("folder");
    std::fs::write(database(&folder), "not a database, but long enough to look like a header of one\n".repeat(40))
        .expect("written");
    let before = std::fs::read(database(&folder)).expect("read");
    let error = open_error(&folder);
    assert!(matches!(error, OpenError::Database(..)), "{error:?}");
    assert_eq!(std::fs::read(database(&folder)).expect("read"), before);
}

/// Nobody else can hold a lease when the store opens, so a crashed server's batches need not wait for theirs to expire.
#[test]
fn opening_gives_leased_batches_back() {
    let (store, folder) = open_fresh();
    let config = conformance::add_config(&store, "root");
    let leased = conformance::lease_new_batch(&store, config.id, window(NOON, NOON + HOUR));
    drop(store);
    let store = open(&folder);
    assert_eq!(store.export_batches(None, 1).expect("read")[0].state, BatchState::Open);
    assert_eq!(store.complete_batch(leased.lease, &[]), Err(PortError::Conflict));
    let now = at(NOON + 2 * HOUR);
    let again = store.lease_batch(now, now.plus_seconds(1)).expect("no error").expect("a batch");
    assert_ne!(again.lease, leased.lease);
}

/// Fills the disk, as far as SQLite can tell: no page more than there are.
fn set_full(store: &SqliteStore, full: bool) {
    let set = move |writer: &mut Writer| -> Result<(), PortError> {
        let connection = writer.connection();
        let pages: i64 = connection.pragma_query_value(None, "page_count", |row| row.get(0)).expect("count");
        let limit = if full { pages } else { 1_000_000 };
        connection.pragma_update_and_check(None, "max_page_count", limit, |_| Ok(())).expect("set");
        Ok(())
    };
    store.writer.call(set).expect("done");
}

#[test]
fn failed_commit_leaves_nothing_and_the_store_recovers() {
    let (store, folder) = open_fresh();
    publish(&store, &submission(0..5, NOON));
    set_full(&store, true);
    let outcomes: Vec<_> = std::thread::scope(|scope| {
        let publishes = (0..8_u64).map(|thread| {
            let store = &store;
            let numbers = 1_000 * (thread + 1)..1_000 * (thread + 1) + 900;
            scope.spawn(move || store.insert_and_revise(&submission(numbers, NOON)))
        });
        let publishes: Vec<_> = publishes.collect();
        publishes.into_iter().map(|publish| publish.join().expect("no panic")).collect()
    });
    assert!(outcomes.iter().all(|outcome| *outcome == Err(PortError::Unavailable)), "{outcomes:?}");
    assert!(!is_stored(&store, 1_000) && is_stored(&store, 4));
    assert_eq!(store.rows(), 5);
    set_full(&store, false);
    publish(&store, &submission(1_000..1_900, NOON));
    drop(store);
    assert_eq!(open(&folder).rows(), 905);
}

#[test]
fn full_hour_refuses_more_and_other_hours_do_not() {
    let (store, _folder) = open_fresh();
    publish(&store, &submission([0], NOON));
    let set = |writer: &mut Writer| -> Result<(), PortError> {
        let hour = super::super::row_id::Hour::of(at(NOON)).expect("an hour");
        let last = hour.end_id().cast_signed() - 2;
        writer.connection().execute("UPDATE exposure SET id = ?1", [last]).expect("moved");
        Ok(())
    };
    store.writer.call(set).expect("done");
    drop(store);
    let store = open(&_folder);
    assert_eq!(store.insert_and_revise(&submission([1, 2], NOON)), Err(PortError::Unavailable));
    assert!(!is_stored(&store, 1));
    publish(&store, &submission([1], NOON + HOUR));
}

#[test]
fn large_purge_is_cut_into_slices() {
    let (store, _folder) = open_fresh();
    for chunk in 0..25 {
        publish(&store, &submission(chunk * 1_000..(chunk + 1) * 1_000, NOON));
    }
    let first = store.purge_exposures(at(NOON + HOUR)).expect("purged");
    assert!(first.more && first.deleted == 20_000, "{first:?}");
    let second = store.purge_exposures(at(NOON + HOUR)).expect("purged");
    assert!(!second.more && second.deleted == 5_000, "{second:?}");
    assert_eq!(store.rows(), 0);
}

#[test]
fn provenance_is_stored_once_per_combination() {
    let (store, folder) = open_fresh();
    for number in 0..20 {
        publish(&store, &submission([number], NOON));
    }
    drop(store);
    let store = open(&folder);
    publish(&store, &submission([20], NOON));
    let count = |writer: &mut Writer| -> Result<i64, PortError> {
        let sql = "SELECT count(*) FROM provenance";
        Ok(writer.connection().query_row(sql, [], |row| row.get(0)).expect("counted"))
    };
    assert_eq!(store.writer.call(count), Ok(1));
}

#[test]
fn batch_created_while_publishes_run_has_no_late_key() {
    let (store, _folder) = open_fresh();
    let config = conformance::add_config(&store, "root");
    std::thread::scope(|scope| {
        for thread in 0..4_u64 {
            let store = &store;
            scope.spawn(move || {
                for number in 0..200 {
                    let outcome = store.insert_and_revise(&submission([thread * 1_000 + number], NOON));
                    assert!(matches!(outcome, Ok(()) | Err(PortError::Conflict)), "{outcome:?}");
                }
            });
        }
        let batch = NewBatch { config_id: config.id, window: window(NOON, NOON + HOUR) };
        assert_eq!(store.create_batches(&[batch]), Ok(1));
        let cut = store.count(&selection(batch.window)).expect("counted");
        for _ in 0..100 {
            assert_eq!(store.count(&selection(batch.window)).expect("counted"), cut);
        }
    });
}

#[test]
fn asynchronous_publishes_share_commits() {
    let (store, _folder) = open_fresh();
    let store = Arc::new(store);
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("runtime");
    let tasks = (0..300_u64).map(|number| {
        let store = Arc::clone(&store);
        async move { store.insert_and_revise_async(submission([number], NOON)).await }
    });
    runtime.block_on(async {
        let tasks: Vec<_> = tasks.map(tokio::spawn).collect();
        for task in tasks {
            assert_eq!(task.await.expect("no panic"), Ok(()));
        }
    });
    assert_eq!(store.rows(), 300);
}

/// But for traces: SQLite does not clean the pages that it splits while a table is small.
#[test]
fn purged_keys_are_overwritten_in_the_file() {
    let (store, folder) = open_fresh();
    publish(&store, &submission(0..2_000, NOON));
    publish(&store, &submission(2_000..2_005, NOON + HOUR));
    let contains = |number| {
        let bytes = std::fs::read(database(&folder)).expect("read");
        bytes.windows(16).any(|window| window == key(number).as_bytes())
    };
    drop(store);
    assert!(contains(1_000) && contains(2_000));
    let store = open(&folder);
    while store.purge_exposures(at(NOON + HOUR)).expect("purged").more {}
    drop(store);
    let left: Vec<u64> = (0..2_000).filter(|number| contains(*number)).collect();
    assert!(left.len() <= 2, "{left:?}");
    assert!(contains(2_000));
}

#[test]
fn store_without_its_writer_answers_that_it_is_unavailable_and_says_so_in_its_status() {
    let (store, folder) = open_fresh();
    publish(&store, &submission(0..5, NOON));
    let panic = |_: &mut Writer| -> Result<(), PortError> { panic!("on purpose") };
    assert_eq!(store.writer.call(panic), Err(PortError::Unavailable));
    assert_eq!(store.insert_and_revise(&submission([9], NOON)), Err(PortError::Unavailable));
    while store.writer.is_running() {
        std::thread::yield_now();
    }
    assert_eq!(store.status(), Err(AdminError::Store(PortError::Unavailable)));
    drop(store);
    assert_eq!(open(&folder).rows(), 5);
}
