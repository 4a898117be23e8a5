//! Jobs run, and what they leave is held against the model: every batch, every file, every row.

use super::*;

impl World {
    /// Runs the export jobs in one of several orders.
    pub(crate) async fn export(&mut self, order: u32) {
        match order {
            1 => self.create_batches().await,
            2 => {
                self.do_work().await;
                self.create_batches().await;
                self.happened("worked before created");
            }
            3 => {
                self.create_batches().await;
                self.create_batches().await;
                self.do_work().await;
                self.do_work().await;
                self.happened("batches created twice");
            }
            4 => self.do_work().await,
            _ => {
                self.create_batches().await;
                self.do_work().await;
            }
        }
    }

    async fn create_batches(&mut self) {
        let report = self.server.job(Job::CreateBatches).await;
        let created = self.model.create_batches(self.now());
        assert_eq!(report["created"].as_u64(), Some(created), "each window gets its batch, once");
        self.happened_times("batches created", usize::try_from(created).expect("few"));
    }

    async fn do_work(&mut self) {
        let report = self.server.job(Job::DoWork).await;
        let contents = self.model.do_work(self.now());
        assert_eq!(report["batches"].as_u64(), Some(contents.len() as u64), "every batch is worked on");
        self.padding_stored += report["padding_keys"].as_u64().expect("a number");
        for place in 0..self.model.configs.len() {
            let of_config = contents.iter().filter(|((of, _), _)| *of == place);
            let of_config = of_config.map(|((_, window), content)| (*window, content.clone())).collect();
            self.check_new_files(place, of_config).await;
        }
    }

    /// Downloads what is new in an index; it must be exactly what the batches must hold.
    async fn check_new_files(&mut self, place: usize, mut batches: BTreeMap<(i64, i64), Content>) {
        let root = self.model.configs[place].root;
        if self.model.configs[place].last_end.is_none() {
            return;
        }
        let listed = if self.model.configs[place].files.is_empty() && batches.is_empty() {
            Vec::new()
        } else {
            export_files::index(&mut self.client, root).await
        };
        let listed: Vec<String> = listed.into_iter().filter(|name| !name.is_empty()).collect();
        let unique: BTreeSet<&String> = listed.iter().collect();
        assert_eq!(unique.len(), listed.len(), "no name twice in the index of {root}");
        let oldest = self.now() - TTL;
        for (name, file) in &self.model.configs[place].files {
            let must_be_listed = file.state == FileState::Live && file.batch_end >= oldest;
            assert!(!must_be_listed || unique.contains(name), "{name} is still in the index");
            assert!(file.state == FileState::Live || !unique.contains(name), "{name} was expired");
        }
        let mut by_window: BTreeMap<(i64, i64), Vec<DownloadedFile>> = BTreeMap::new();
        for name in &listed {
            if self.model.configs[place].files.contains_key(name) {
                if self.one_in(40) {
                    self.check_unchanged(place, name).await;
                }
                continue;
            }
            let answer = self.client.get(&format!("/exports/{name}")).await;
            assert_eq!(answer.status, 200, "{name} is listed and exists");
            let file = export_files::check(name.clone(), answer.body.to_vec(), &self.public_key);
            by_window.entry(window_of(root, name)).or_default().push(file);
        }
        for (window, files) in by_window {
            let content = batches.remove(&window);
            let content = content.unwrap_or_else(|| panic!("{root} has files of {window:?}, which was not due"));
            self.check_batch(place, window, &content, files);
        }
        for (window, content) in batches {
            assert_eq!(content, Content::default(), "the batch {window:?} of {root} has files");
            self.happened("empty batch");
        }
    }

    fn check_batch(&mut self, place: usize, window: (i64, i64), content: &Content, files: Vec<DownloadedFile>) {
        let (start, end) = window;
        let name = &files[0].name.clone();
        assert!(self.latest >= end + MIN_WINDOW_AGE, "{name} came early");
        let mut found = Content::default();
        let mut padding = 0;
        let split = files.len() > 1;
        if split {
            self.happened("batch of several files");
        }
        for (number, file) in (1..).zip(files) {
            assert_eq!((file.start, file.end), (start, end + if split { number } else { 0 }), "{name}");
            assert_eq!(file.region, self.model.configs[place].output_region, "{name}");
            assert!(file.keys.len() + file.revised_keys.len() <= MAX_RECORDS, "{name}");
            if !file.keys.is_empty() && !file.revised_keys.is_empty() {
                self.happened("file with new and revised keys");
            }
            for (key, report_type) in &file.keys {
                self.check_exported(key, name);
                assert!(self.model.configs[place].new_seen.insert(*key), "{name}: a key is new for the second time");
                let Some(stored) = self.model.stored.get(key) else {
                    padding += 1;
                    continue;
                };
                if stored.embargoed {
                    *self.events.entry("key exported after its embargo".to_owned()).or_default() += 1;
                }
                if stored.traveler && stored.region != self.model.configs[place].output_region {
                    *self.events.entry("traveler of another region exported".to_owned()).or_default() += 1;
                }
                found.new.insert(*key, report_type.expect("each has a report type"));
            }
            for (key, report_type) in &file.revised_keys {
                self.check_exported(key, name);
                assert!(self.model.stored.contains_key(key), "{name}: padding is never revised");
                assert!(self.model.configs[place].revised_seen.insert(*key), "{name}: revised for the second time");
                found.revised.insert(*key, report_type.expect("each has a report type"));
            }
            self.remember(place, file, end);
        }
        assert_eq!(found, *content, "{name} has exactly what was published in its window");
        let total = content.new.len() + padding + content.revised.len();
        if !content.new.is_empty() && total < MAX_RECORDS {
            assert!(content.new.len() + padding >= MIN_RECORDS as usize, "{name} hides how few keys there are");
        }
        self.happened_times("padding key", padding);
    }

    /// What holds for each key of any file, whatever the windows say.
    fn check_exported(&self, key: &Key, name: &str) {
        assert!(!self.model.never_stored.contains(key), "{name}: a key that was refused");
        assert!(!self.model.purged.contains(key), "{name}: a key that was purged");
        if let Some(stored) = self.model.stored.get(key) {
            assert!(stored.valid_until() <= self.latest, "{name}: a key that is still valid");
            assert!(stored.created_at >= self.model.purged_until, "{name}: a key that is too old");
        }
    }

    fn remember(&mut self, place: usize, file: DownloadedFile, batch_end: i64) {
        let identity = (file.start, file.end, file.region);
        let files = &mut self.model.configs[place].files;
        let repeated = files.values().any(|other| other.identity == identity);
        assert!(!repeated, "{}: phones drop a file with a known {identity:?}", file.name);
        files.insert(file.name, SeenFile { zip: file.zip, batch_end, identity, state: FileState::Live });
    }

    async fn check_unchanged(&mut self, place: usize, name: &str) {
        let answer = self.client.get(&format!("/exports/{name}")).await;
        let file = &self.model.configs[place].files[name];
        match file.state {
            FileState::Live | FileState::Expired => {
                assert_eq!(answer.status, 200, "{name} still exists");
                assert!(answer.body == file.zip, "{name} changed");
            }
            FileState::Deleted => assert_eq!(answer.status, 404, "{name} is deleted"),
        }
    }

    /// Purges; then nothing old is left, and nothing else is gone.
    pub(crate) async fn purge(&mut self) {
        let revised = |model: &Model| model.stored.values().filter(|stored| stored.revision.is_some()).count();
        let count = |model: &Model, state| {
            let files = model.configs.iter().flat_map(|config| config.files.values());
            files.filter(|file| file.state == state).count()
        };
        let revised_before = revised(&self.model);
        let (expired, deleted) = (count(&self.model, FileState::Expired), count(&self.model, FileState::Deleted));
        let report = self.server.job(Job::Purge).await;
        let purged = self.model.purge(self.now());
        let deleted_now = count(&self.model, FileState::Deleted) - deleted;
        assert_eq!(deleted_now, expired, "those that the last purge took out of the index");
        assert_eq!(report["files_deleted"].as_u64(), Some(deleted_now as u64), "{report}");
        assert!(report["exposures_deleted"].as_u64().expect("a number") >= purged as u64, "{report}");
        self.happened_times("key purged", purged);
        self.happened_times("revised key purged", revised_before - revised(&self.model));
        self.happened_times("file expired", count(&self.model, FileState::Expired));
        self.happened_times("file deleted", deleted_now);
        self.check_files_after_purge().await;
        self.compare_store().await;
    }

    async fn check_files_after_purge(&mut self) {
        for place in 0..self.model.configs.len() {
            let config = &self.model.configs[place];
            if config.files.is_empty() {
                continue;
            }
            let mut listed = export_files::index(&mut self.client, config.root).await;
            listed.retain(|name| !name.is_empty());
            let live = |state: FileState| state == FileState::Live;
            let expect: Vec<_> =
                config.files.iter().filter(|(_, file)| live(file.state)).map(|(name, _)| name.clone()).collect();
            assert_eq!(listed, expect, "the index of {} has what is live, in order", config.root);
            let to_see: Vec<_> = config
                .files
                .iter()
                .filter(|(_, file)| !live(file.state))
                .map(|(name, _)| name.clone())
                .rev()
                .take(3)
                .collect();
            for name in to_see {
                self.check_unchanged(place, &name).await;
            }
        }
    }

    /// The store has exactly the model's keys, and padding that is not too old.
    pub(crate) async fn compare_store(&mut self) {
        let rows = stored_rows(&self.server.config().storage.database);
        let mut found = 0;
        let mut padding = 0;
        for row in rows {
            if row.app == "export-generated" {
                padding += 1;
                assert!(row.created_at >= self.model.purged_until, "old padding is purged");
                continue;
            }
            let stored =
                self.model.stored.get(&row.key).expect("no key is stored that was not accepted, or was purged");
            let expect = Row {
                key: row.key,
                app: if stored.region == "XX" { APP } else { OTHER_APP }.to_owned(),
                traveler: stored.traveler,
                created_at: stored.created_at,
                report_type: stored.report_type.number(),
                revision: stored.revision.map(|(time, report_type)| (time, report_type.number())),
            };
            assert!(row == expect, "stored {row:?}, expected {expect:?}");
            found += 1;
        }
        assert_eq!(found, self.model.stored.len(), "every key that was accepted is stored");
        assert!(padding <= self.padding_stored);
    }

    /// Restarts; everything that was answered is still there.
    pub(crate) async fn restart(&mut self) {
        self.server.restart().await;
        self.client = self.server.client();
        self.compare_store().await;
        for place in 0..self.model.configs.len() {
            let names: Vec<String> = self.model.configs[place].files.keys().cloned().collect();
            for name in names.iter().rev().take(100) {
                self.check_unchanged(place, name).await;
            }
        }
        self.happened("restart");
    }

    pub(crate) async fn check_that_nothing_is_left(&mut self) {
        assert!(self.model.stored.is_empty());
        assert!(stored_rows(&self.server.config().storage.database).is_empty(), "padding is gone as well");
        for place in 0..self.model.configs.len() {
            for name in self.model.configs[place].files.keys().cloned().collect::<Vec<_>>() {
                self.check_unchanged(place, &name).await;
            }
        }
    }
}

/// From `ROOT/START-END-NUMBER.zip`.
fn window_of(root: &str, name: &str) -> (i64, i64) {
    let rest = name.strip_prefix(root).and_then(|rest| rest.strip_prefix('/')).expect("below the root");
    let mut parts = rest.strip_suffix(".zip").expect("a zip").split('-').map(|part| part.parse().expect("a number"));
    let mut part = || parts.next().expect("three parts");
    (part(), part())
}

/// A row of the store, read beside the server.
#[derive(PartialEq)]
struct Row {
    key: Key,
    app: String,
    traveler: bool,
    created_at: i64,
    report_type: u8,
    revision: Option<(i64, u8)>,
}

impl std::fmt::Debug for Row {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { key: _, app, traveler, created_at, report_type, revision } = self;
        write!(f, "{app} {traveler} {created_at} {report_type} {revision:?}")
    }
}

fn stored_rows(database: &std::path::Path) -> Vec<Row> {
    let flags = rusqlite::OpenFlags::SQLITE_OPEN_READ_ONLY;
    let connection = rusqlite::Connection::open_with_flags(database, flags).expect("opens");
    let mut statement = connection
        .prepare(
            "SELECT e.key, p.app, p.traveler, e.created_at, e.report_type, r.revised_at, r.report_type
             FROM exposure e JOIN provenance p ON p.id = e.provenance_id
             LEFT JOIN exposure_revision r ON r.exposure_id = e.id",
        )
        .expect("the schema is known");
    let rows = statement.query_map([], |row| {
        let revision = row.get::<_, Option<i64>>(5)?.zip(row.get::<_, Option<u8>>(6)?);
        Ok(Row {
            key: row.get(0)?,
            app: row.get(1)?,
            traveler: row.get(2)?,
            created_at: row.get(3)?,
            report_type: row.get(4)?,
            revision,
        })
    });
    rows.expect("queried").map(|row| row.expect("a row")).collect()
}
