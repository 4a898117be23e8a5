//! The server is killed under load, again and again. What it acknowledged is stored, what it did not is stored whole or not
//! at all, and phones never see a file that is torn or that changes.
//!
//! `TOCSIN_CRASH_ROUNDS` says how often; `cargo xtask test --crash` does many.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};
use tempfile::TempDir;
use tocsin_domain::ports::exports::{Exports, NewBatch, Window};
use tocsin_domain::ports::{Clock, Random};
use tocsin_domain::testing::random::FakeRandom;
use tocsin_host::config::PublicConfig;
use tocsin_host::services::SystemClock;
use tocsin_tests::harness::client::Client;
use tocsin_tests::harness::export_files::check;
use tocsin_tests::harness::folder::{add_export_config, set_up, write_config};
use tocsin_tests::harness::people::{HealthAuthority, Phone};
use tocsin_tests::harness::process::ServerProcess;

const CONNECTIONS: usize = 16;
const ROOT: &str = "xx";
const PERIOD_SECONDS: i64 = 2;
/// More than a server can take.
const PUBLISHES_A_SECOND: u64 = 6_000;

type Key = [u8; 16];

#[tokio::test(flavor = "multi_thread")]
async fn nothing_acknowledged_is_lost_and_nothing_is_torn_when_the_server_is_killed() {
    let rounds: u32 = std::env::var("TOCSIN_CRASH_ROUNDS").map_or(3, |rounds| rounds.parse().expect("a number"));
    let folder = KeptOnFailure(Some(tempfile::tempdir().expect("temporary folder")));
    let mut crash = Crash::prepare(folder.path());
    for round in 1..=rounds {
        // Jobs first run after a second: in every third round the kill can hit an export.
        let random = u64::from(crash.random.below(1_000));
        let load = Duration::from_millis(if round % 3 == 0 { 1_100 + random * 3 / 2 } else { 100 + random * 3 / 10 });
        crash.load_and_kill(load).await;
        crash.check_store();
        crash.check_files();
        eprintln!("round {round} of {rounds}: killed after {} ms; {}", load.as_millis(), crash.summary());
    }
    crash.finish().await;
    eprintln!("everything exported: {}", crash.summary());
    assert!(crash.publishes.iter().any(|publish| publish.is_acknowledged()));
    assert!(!crash.files.is_empty());
}

/// A publish and what is known about it.
struct Publish {
    body: Vec<u8>,
    keys: Vec<Key>,
    sent: AtomicBool,
    acknowledged: AtomicBool,
}

impl Publish {
    fn is_sent(&self) -> bool {
        self.sent.load(Ordering::SeqCst)
    }

    fn is_acknowledged(&self) -> bool {
        self.acknowledged.load(Ordering::SeqCst)
    }
}

/// What has happened so far.
struct Crash {
    folder: PathBuf,
    authority: HealthAuthority,
    public_key: String,
    random: FakeRandom,
    /// All publishes that were sent.
    publishes: Vec<Arc<Publish>>,
    /// Files that were ever listed, and their bytes.
    files: BTreeMap<String, Vec<u8>>,
    /// Publishes that were not acknowledged and are stored all the same.
    stored_unacknowledged: usize,
}

impl Crash {
    /// A folder whose server exports every two seconds what was published up to then.
    fn prepare(folder: &Path) -> Self {
        let authority = HealthAuthority::new();
        let (mut config, services) = set_up(folder, &authority);
        config.public.max_concurrent_requests = PublicConfig::default().max_concurrent_requests;
        config.publish.truncate_window_seconds = 1;
        config.export.min_window_age_seconds = 0;
        config.export.min_records = 500;
        config.export.max_records = 5_000;
        config.jobs.timer = true;
        config.jobs.create_batches_every_seconds = 1;
        config.jobs.do_work_every_seconds = 1;
        config.log.level = "warn".to_owned();
        write_config(folder, &config);
        let config_id = add_export_config(&services, ROOT, PERIOD_SECONDS.unsigned_abs());
        // So that the history of exports begins before the first publish.
        let end = SystemClock.now().truncate(PERIOD_SECONDS);
        let window = Window { start: end.plus_seconds(-PERIOD_SECONDS), end };
        services.store.create_batches(&[NewBatch { config_id, window }]).expect("created");
        let keys = services.keyring.public_keys();
        Self {
            folder: folder.to_owned(),
            authority,
            public_key: keys[0].public_key_pem.clone(),
            random: FakeRandom::seeded(SystemClock.now().unix().unsigned_abs()),
            publishes: Vec::new(),
            files: BTreeMap::new(),
            stored_unacknowledged: 0,
        }
    }

    fn summary(&self) -> String {
        let acknowledged = self.publishes.iter().filter(|publish| publish.is_acknowledged()).count();
        format!(
            "{} publishes sent, {acknowledged} acknowledged, {} stored without; {} files",
            self.publishes.len(),
            self.stored_unacknowledged,
            self.files.len()
        )
    }

    /// Starts the server, publishes over many connections, and kills it while they wait for answers.
    async fn load_and_kill(&mut self, load: Duration) {
        let count = load.as_millis() as u64 * PUBLISHES_A_SECOND / 1_000;
        let publishes: Arc<Vec<Arc<Publish>>> = Arc::new(self.make_publishes(count));
        let server = ServerProcess::start(&self.folder);
        self.retry_an_old_publish(&server).await;
        let next = Arc::new(AtomicUsize::new(0));
        let phones: Vec<_> = (0..CONNECTIONS)
            .map(|_| tokio::spawn(publish_until_killed(Client::new(server.address), publishes.clone(), next.clone())))
            .collect();
        // The load is as long as it is; nothing is waited for.
        tokio::time::sleep(load).await;
        server.kill();
        for phone in phones {
            phone.await.expect("every answer is a 200");
        }
        self.publishes.extend(publishes.iter().filter(|publish| publish.is_sent()).cloned());
    }

    fn make_publishes(&self, count: u64) -> Vec<Arc<Publish>> {
        let now = SystemClock.now();
        let (authority, random) = (&self.authority, &self.random);
        let seeds: Vec<u64> = (0..2).map(|_| u64::from(random.below(u32::MAX)) << 20).collect();
        std::thread::scope(|scope| {
            let makers: Vec<_> = seeds
                .into_iter()
                .map(|seed| {
                    scope.spawn(move || {
                        let random = FakeRandom::seeded(seed);
                        let publish = |_| {
                            let phone = Phone::new(&random, 13, now);
                            Arc::new(Publish {
                                body: phone.body(authority, "confirmed", now),
                                keys: phone.keys.iter().map(|key| *key.key.as_bytes()).collect(),
                                sent: AtomicBool::new(false),
                                acknowledged: AtomicBool::new(false),
                            })
                        };
                        (0..count.div_ceil(2)).map(publish).collect::<Vec<_>>()
                    })
                })
                .collect();
            makers.into_iter().flat_map(|maker| maker.join().expect("made")).collect()
        })
    }

    /// The server knows what it stored before it was killed.
    async fn retry_an_old_publish(&self, server: &ServerProcess) {
        let Some(old) = self.publishes.iter().rfind(|publish| publish.is_acknowledged()) else { return };
        let answer = Client::new(server.address).publish(old.body.clone()).await;
        assert_eq!((answer.status.as_u16(), answer.code().as_str()), (400, "missing_revision_token"));
    }

    /// Looks at a copy of the database, so that it is the next server that recovers the one it will use.
    fn check_store(&mut self) {
        let copy = tempfile::tempdir().expect("temporary folder");
        for name in ["tocsin.db", "tocsin.db-wal"] {
            if self.folder.join(name).exists() {
                std::fs::copy(self.folder.join(name), copy.path().join(name)).expect("copied");
            }
        }
        let database = copy.path().join("tocsin.db");
        let stored: HashSet<Key> = read_store(&database).into_keys().collect();
        self.stored_unacknowledged = 0;
        let mut found = 0;
        for publish in &self.publishes {
            let count = publish.keys.iter().filter(|key| stored.contains(*key)).count();
            if publish.is_acknowledged() {
                assert_eq!(count, publish.keys.len(), "a publish was acknowledged, and not all of its keys are stored");
            } else {
                assert!([0, publish.keys.len()].contains(&count), "{count} keys of a publish are stored");
                self.stored_unacknowledged += usize::from(count > 0);
            }
            found += count;
        }
        assert_eq!(found, stored.len(), "nothing is stored that nobody sent");
        let publishes = self.publishes.iter().filter(|publish| publish.is_acknowledged()).count();
        let expect = (publishes + self.stored_unacknowledged, found);
        assert_eq!(read_statistics(&database), expect, "what is stored is counted, and nothing else");
    }

    /// Everything an index lists is whole, and what was listed before is listed still, with the same bytes.
    fn check_files(&mut self) {
        let bucket = self.folder.join("exports/public");
        let index = std::fs::read_to_string(bucket.join(ROOT).join("index.txt")).unwrap_or_default();
        let names: Vec<&str> = index.lines().collect();
        for name in self.files.keys() {
            assert!(names.contains(&name.as_str()), "{name} was listed and is not any more");
        }
        let mut identities = HashSet::new();
        for name in names {
            assert!(is_file_name(name), "{name:?} is listed and no export file");
            let zip = std::fs::read(bucket.join(name)).unwrap_or_else(|error| panic!("{name} is listed: {error}"));
            let file = check(name.to_owned(), zip, &self.public_key);
            assert!(identities.insert((file.start, file.end, file.region)), "{name} has the identity of another file");
            let before = self.files.insert(name.to_owned(), file.zip);
            assert!(before.is_none_or(|before| before == self.files[name]), "{name} changed");
        }
    }

    /// Lets the server run until everything stored is exported; then each key has come out once.
    async fn finish(&mut self) {
        let server = ServerProcess::start(&self.folder);
        self.retry_an_old_publish(&server).await;
        let database = self.folder.join("tocsin.db");
        let deadline = Instant::now() + Duration::from_secs(120);
        loop {
            self.check_files();
            let exported = self.exported_keys();
            if read_store(&database).keys().all(|key| exported.contains_key(key)) {
                break;
            }
            assert!(Instant::now() < deadline, "exports do not catch up: {}", server.log());
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
        assert!(server.terminate().success());
        self.check_store();
        self.check_files();
        let exported = self.exported_keys();
        assert!(exported.values().all(|times| *times == 1), "every key comes out as new once, padding too");
        let stored = read_store(&database);
        assert!(stored.keys().all(|key| exported.contains_key(key)));
        let padding = read_padding(&database);
        let unknown = exported.keys().filter(|key| !stored.contains_key(*key) && !padding.contains(*key)).count();
        assert_eq!(unknown, 0, "every exported key is stored");
    }

    /// How often each key has come out as new.
    fn exported_keys(&self) -> HashMap<Key, usize> {
        let mut times = HashMap::new();
        for (name, zip) in &self.files {
            for (key, _) in check(name.clone(), zip.clone(), &self.public_key).keys {
                *times.entry(key).or_default() += 1;
            }
        }
        times
    }
}

/// One connection: a publish after the other, until the server is gone.
async fn publish_until_killed(mut client: Client, publishes: Arc<Vec<Arc<Publish>>>, next: Arc<AtomicUsize>) {
    while let Some(publish) = publishes.get(next.fetch_add(1, Ordering::SeqCst)) {
        publish.sent.store(true, Ordering::SeqCst);
        let headers = [("content-type", "application/json")];
        let Ok(answer) = client.try_send(http::Method::POST, "/v1/publish", &headers, publish.body.clone()).await
        else {
            return;
        };
        assert_eq!(answer.status, 200, "{}", answer.code());
        assert_eq!(answer.json()["insertedExposures"], publish.keys.len());
        publish.acknowledged.store(true, Ordering::SeqCst);
    }
}

/// `xx/START-END-NUMBER.zip`.
fn is_file_name(name: &str) -> bool {
    let numbers = name.strip_prefix(ROOT).and_then(|rest| rest.strip_prefix('/')?.strip_suffix(".zip"));
    numbers.is_some_and(|numbers| {
        numbers.split('-').count() == 3 && numbers.bytes().all(|byte| byte == b'-' || byte.is_ascii_digit())
    })
}

/// Publishes and keys that are counted for the health authority.
fn read_statistics(database: &Path) -> (usize, usize) {
    let connection = rusqlite::Connection::open(database).expect("opens");
    let sql = "SELECT ifnull(sum(requests_unknown + requests_android + requests_ios), 0), ifnull(sum(keys), 0)
               FROM statistics";
    let row = |row: &rusqlite::Row<'_>| Ok((row.get::<_, u32>(0)?, row.get::<_, u32>(1)?));
    let (publishes, keys) = connection.query_row(sql, [], row).expect("counts");
    (publishes as usize, keys as usize)
}

/// The keys that phones sent, with the time they are stored under.
fn read_store(database: &Path) -> HashMap<Key, i64> {
    let connection = rusqlite::Connection::open(database).expect("opens");
    let integrity: String =
        connection.query_row("PRAGMA integrity_check", [], |row| row.get(0)).expect("the check runs");
    assert_eq!(integrity, "ok");
    let sql = "SELECT e.key, e.created_at FROM exposure e JOIN provenance p ON p.id = e.provenance_id
               WHERE p.app <> 'export-generated'";
    let mut statement = connection.prepare(sql).expect("the schema is known");
    let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).expect("queried");
    let rows: Vec<(Key, i64)> = rows.map(|row| row.expect("a row")).collect();
    let count = rows.len();
    let keys: HashMap<Key, i64> = rows.into_iter().collect();
    assert_eq!(keys.len(), count, "no key is stored twice");
    keys
}

fn read_padding(database: &Path) -> HashSet<Key> {
    let connection = rusqlite::Connection::open(database).expect("opens");
    let sql = "SELECT e.key FROM exposure e JOIN provenance p ON p.id = e.provenance_id
               WHERE p.app = 'export-generated'";
    let mut statement = connection.prepare(sql).expect("the schema is known");
    let rows = statement.query_map([], |row| row.get(0)).expect("queried");
    rows.map(|row| row.expect("a row")).collect()
}

/// The data folder stays when the test fails, to be looked into.
struct KeptOnFailure(Option<TempDir>);

impl KeptOnFailure {
    fn path(&self) -> &Path {
        self.0.as_ref().expect("there until the end").path()
    }
}

impl Drop for KeptOnFailure {
    fn drop(&mut self) {
        if let Some(folder) = self.0.take().filter(|_| std::thread::panicking()) {
            eprintln!("the data is in {}", folder.keep().display());
        }
    }
}
