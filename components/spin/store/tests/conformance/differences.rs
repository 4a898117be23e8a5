//! What this store has to itself: the file it shares with the host, and what the directory of apps reads.

use crate::connection::TestConnection;
use crate::open;
use crate::storage::conformance::{NOON, at, exposure, is_stored, key, publish, submission};
use rusqlite::params;
use std::path::Path;
use tocsin_domain::health_authority::{HealthAuthorityId, HealthAuthorityKey};
use tocsin_domain::ports::PortError;
use tocsin_domain::ports::authorized_apps::AuthorizedApps;
use tocsin_domain::ports::exports::{Exports, KeyRange, Pass};
use tocsin_domain::ports::exposures::{Exposures, Submission};
use tocsin_domain::ports::health_authorities::HealthAuthorities;
use tocsin_spin_store::Store;

/// Runs the host's own migrations, as the host does.
fn make_host_file(file: &Path) -> rusqlite::Connection {
    let connection = TestConnection::open(file).0;
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../host/src/storage/sqlite/migrations");
    let mut files: Vec<_> =
        std::fs::read_dir(folder).expect("a folder").map(|file| file.expect("a file").path()).collect();
    files.sort();
    for file in &files {
        connection.execute_batch(&std::fs::read_to_string(file).expect("text")).expect("migrated");
    }
    connection.pragma_update(None, "application_id", i32::from_be_bytes(*b"TCSN")).expect("set");
    connection.pragma_update(None, "user_version", u32::try_from(files.len()).expect("small")).expect("set");
    connection
}

/// Name and definition of everything in a file, without white space and comments, and without what is Spin's.
fn objects(connection: &rusqlite::Connection) -> Vec<(String, String)> {
    let sql =
        "SELECT name, ifnull(sql, '') FROM sqlite_schema WHERE tbl_name NOT LIKE 'spin_%' AND name NOT LIKE 'spin_%'
               ORDER BY name";
    let mut statement = connection.prepare(sql).expect("prepared");
    let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get::<_, String>(1)?))).expect("read");
    rows.map(|row| {
        let (name, sql) = row.expect("a row");
        let code = sql.lines().map(|line| line.split("--").next().unwrap_or_default()).collect::<Vec<_>>().join(" ");
        (name, code.split_whitespace().collect::<Vec<_>>().join(" "))
    })
    .collect()
}

#[test]
fn new_file_has_the_objects_that_the_host_makes() {
    let (store, folder) = open();
    let host = make_host_file(&folder.path().join("host.db"));
    let ours = store.connection();
    assert_eq!(objects(&ours), objects(&host));
    for pragma in ["application_id", "user_version"] {
        let read = |connection: &rusqlite::Connection| -> i64 {
            connection.pragma_query_value(None, pragma, |row| row.get(0)).expect("read")
        };
        assert_eq!(read(&ours), read(&host), "{pragma}");
    }
}

#[test]
fn file_of_the_host_is_taken_over_with_its_rows() {
    let folder = tempfile::tempdir().expect("temporary folder");
    let file = folder.path().join("host.db");
    let host = make_host_file(&file);
    let insert =
        "INSERT INTO exposure(id, provenance_id, created_at, key, rolling_start, rolling_period, transmission_risk,
                      report_type, days_since_onset) VALUES ((?1 << 28) | 1, 1, ?2, ?3, 2691000, 144, 2, 1, 0)";
    let hour = (NOON - 1_577_836_800) / 3_600;
    host.execute("INSERT INTO provenance(app, regions, traveler, local) VALUES ('app', '[\"US\"]', 0, 1)", [])
        .expect("added");
    host.execute(insert, params![hour, NOON, key(7).as_bytes().as_slice()]).expect("added");
    let store = Store::open(TestConnection::open(&file)).expect("taken over");
    assert_eq!(store.find(&[key(7)]).expect("found").existing.len(), 1);
    assert_eq!(store.insert_and_revise(&submission([7], NOON)), Err(PortError::Conflict));
    assert_eq!(store.insert_and_revise(&submission([8], NOON)), Ok(()), "in the same hour, after the host's row");
    assert!(Store::open(TestConnection::open(&file)).is_ok(), "a second time");
}

#[test]
fn file_of_another_application_or_a_newer_version_is_refused_and_left_alone() {
    let folder = tempfile::tempdir().expect("temporary folder");
    let refused = |name: &str, script: &str, words: &str| {
        let file = folder.path().join(name);
        TestConnection::open(&file).0.execute_batch(script).expect("made");
        let error = Store::open(TestConnection::open(&file)).map(drop).expect_err("refused").to_string();
        assert!(error.contains(words), "{error}");
        assert_eq!(objects(&TestConnection::open(&file).0).len(), 1);
    };
    refused("other.db", "CREATE TABLE todo(text);", "another application");
    refused("id.db", "CREATE TABLE todo(text); PRAGMA application_id = 5", "another application");
    let newer = "CREATE TABLE todo(text); PRAGMA application_id = 1413698382; PRAGMA user_version = 99";
    refused("newer.db", newer, "schema 99");
}

#[test]
fn instances_that_start_at_once_on_an_empty_database_make_one_schema() {
    let folder = tempfile::tempdir().expect("temporary folder");
    let file = folder.path().join("new.db");
    std::thread::scope(|scope| {
        for number in 0..8 {
            let file = &file;
            scope.spawn(move || {
                let store = Store::open(TestConnection::open(file)).expect("opened");
                assert_eq!(store.insert_and_revise(&submission([number], NOON)), Ok(()));
            });
        }
    });
    let store = Store::open(TestConnection::open(&file)).expect("opened");
    assert_eq!(store.find(&(0..8).map(key).collect::<Vec<_>>()).expect("found").existing.len(), 8);
}

#[test]
fn instance_that_ends_inside_a_transaction_leaves_nothing_and_blocks_nobody() {
    let (store, _folder) = open();
    let ending = store.connection();
    let work = "BEGIN IMMEDIATE; INSERT INTO export_config VALUES (9, 'b', 'r', 60, 'US', '[]', '[]', 0, 0, '[]', NULL, 0, NULL)";
    ending.execute_batch(work).expect("begun");
    drop(ending);
    publish(&store, &submission([1], NOON));
    assert_eq!(store.active_configs(at(NOON)), Ok(vec![]));
}

#[test]
fn locked_database_is_unavailable_and_nothing_is_stored() {
    let (store, _folder) = open();
    let instance = store.instance().expect("opened");
    let waiting = TestConnection::open(&store.file);
    waiting.0.busy_timeout(std::time::Duration::ZERO).expect("set");
    let waiting = Store::open(waiting).expect("opened");
    let writer = store.connection();
    writer.execute_batch("BEGIN IMMEDIATE").expect("begun");
    assert_eq!(waiting.insert_and_revise(&submission([1], NOON)), Err(PortError::Unavailable));
    assert_eq!(instance.find(&[key(1)]).expect("reading goes on").existing, []);
    writer.execute_batch("COMMIT").expect("ended");
    assert_eq!(waiting.insert_and_revise(&submission([1], NOON)), Ok(()));
}

#[test]
fn long_publish_and_long_page_take_several_statements() {
    let (store, _folder) = open();
    let many = 0..9_000;
    publish(&store, &submission(many.clone(), NOON));
    let again = Submission { inserts: vec![exposure(9_000, NOON), exposure(8_999, NOON)], ..submission([], NOON) };
    assert_eq!(store.insert_and_revise(&again), Err(PortError::Conflict));
    assert!(!is_stored(&store, 9_000));
    let selection = crate::storage::conformance::selection(crate::storage::conformance::window(NOON, NOON + 3_600));
    for (limit, rows, is_last) in [(8_999, 8_999, false), (9_000, 9_000, true), (4_096, 4_096, false), (0, 0, true)] {
        let page = store.read(&selection, Pass::Primary, KeyRange::ALL, 0, limit).expect("read");
        assert_eq!((page.rows.len() / 32, page.next.is_none()), (rows, is_last), "limit {limit}");
    }
}

#[test]
fn app_is_found_without_regard_to_case_with_all_that_was_configured() {
    let (store, _folder) = open();
    let sql = "INSERT INTO authorized_app VALUES ('com.example.app', '[\"US\", \"ca\"]', '[3, 1]', 0, 1)";
    store.connection().execute(sql, []).expect("added");
    let app = store.find_app("Com.Example.APP").expect("read").expect("found");
    assert_eq!(app.name, "com.example.app");
    assert_eq!(app.allowed_regions, ["US", "ca"]);
    assert_eq!(app.allowed_health_authorities, [HealthAuthorityId(3), HealthAuthorityId(1)]);
    assert_eq!((app.bypass_verification, app.bypass_revision_token, app.validated), (false, true, false));
    assert_eq!(store.find_app("com.example").expect("read"), None);
}

#[test]
fn health_authority_is_found_by_its_exact_issuer_with_its_keys_in_order() {
    let (store, _folder) = open();
    let connection = store.connection();
    let add = "INSERT INTO health_authority(issuer, audience, name, statistics_enabled) VALUES (?1, 'aud', ?2, ?3)";
    connection.execute(add, params!["https://a.example", "A", 1]).expect("added");
    connection.execute(add, params!["https://b.example", "B", 0]).expect("added");
    let add = "INSERT INTO health_authority_key VALUES (1, ?1, ?2, ?3, ?4)";
    connection.execute(add, params!["v2", 5, 9, vec![4_u8; 65]]).expect("added");
    connection.execute(add, params!["v1", 7, None::<i64>, vec![4_u8; 65]]).expect("added");
    let found = store.find_health_authority("https://a.example").expect("read").expect("found");
    assert_eq!((found.id, found.audience.as_str(), found.name.as_str()), (HealthAuthorityId(1), "aud", "A"));
    assert!(found.statistics_enabled);
    let key = |version: &str, from, thru| HealthAuthorityKey {
        version: version.to_owned(),
        from: at(from),
        thru,
        public_key: vec![4; 65],
    };
    assert_eq!(found.keys, [key("v2", 5, Some(at(9))), key("v1", 7, None)]);
    let without_keys = store.find_health_authority("https://b.example").expect("read").expect("found");
    assert_eq!((without_keys.keys.len(), without_keys.statistics_enabled), (0, false));
    assert_eq!(store.find_health_authority("https://A.example").expect("read"), None);
}
