//! The server, the phones and the model side by side. What is done to one is done to the other, and then compared.

use crate::model::{
    Config, Content, DAY, Expected, FileState, HOUR, Key, MIN_WINDOW_AGE, Model, SeenFile, Sent, SentKey, TTL, Token,
};
use std::collections::{BTreeMap, BTreeSet};
use tocsin_domain::exposure::ReportType;
use tocsin_domain::interval::{IntervalNumber, Timestamp};
use tocsin_domain::ports::{Clock, Random};
use tocsin_domain::tek::TemporaryExposureKey;
use tocsin_domain::testing::random::FakeRandom;
use tocsin_host::admin::AdminRequest;
use tocsin_host::jobs::Job;
use tocsin_host::storage::administration::{AuthorizedAppRecord, NewExportConfig};
use tocsin_tests::harness::client::{Answer, Client};
use tocsin_tests::harness::export_files::{self, DownloadedFile};
use tocsin_tests::harness::people::{APP, ISSUER, Phone, PhoneKey};
use tocsin_tests::harness::server::TestServer;

const OTHER_APP: &str = "org.example.other";
const REGIONS: [&str; 2] = ["XX", "YY"];
/// Small, so that batches are padded and split.
const MIN_RECORDS: u32 = 40;
const MAX_RECORDS: usize = 150;

/// A phone and what it may do.
#[derive(Clone, Debug)]
struct Person {
    phone: Phone,
    region: &'static str,
    traveler: bool,
    report_type: ReportType,
    /// Keys its token holds.
    held: BTreeSet<Key>,
    published_at: i64,
}

/// Everything.
pub(crate) struct World {
    pub(crate) server: TestServer,
    pub(crate) random: FakeRandom,
    model: Model,
    client: Client,
    public_key: String,
    people: Vec<Person>,
    events: BTreeMap<String, u64>,
    /// The latest the clock ever was.
    latest: i64,
    padding_stored: u64,
}

impl World {
    pub(crate) async fn new(seed: u64) -> Self {
        let server = TestServer::start_with(|config| {
            config.export.min_records = MIN_RECORDS;
            config.export.padding_range = 10;
            config.export.max_records = u32::try_from(MAX_RECORDS).expect("small");
            config.purge.ttl_seconds = TTL.unsigned_abs();
        })
        .await;
        server
            .admin(AdminRequest::AddApp {
                app: AuthorizedAppRecord {
                    name: OTHER_APP.to_owned(),
                    regions: vec!["YY".to_owned()],
                    health_authorities: Vec::new(),
                    bypass_verification: false,
                    bypass_revision_token: false,
                },
                issuers: vec![ISSUER.to_owned()],
            })
            .await;
        let (client, public_key, latest) =
            (server.client(), server.export_public_key().await, server.clock.now().unix());
        let random = FakeRandom::seeded(seed);
        let (model, people, events) = (Model::default(), Vec::new(), BTreeMap::new());
        let mut world = Self { server, random, model, client, public_key, people, events, latest, padding_stored: 0 };
        let config = |root, hours: i64, region: &'static str| Config {
            root,
            period: hours * HOUR,
            output_region: region,
            input_regions: vec![region],
            ..Config::default()
        };
        for config in [
            config("xx-hourly", 1, "XX"),
            config("xx", 4, "XX"),
            Config { include_travelers: true, ..config("xx-travelers", 4, "XX") },
            config("yy-daily", 24, "YY"),
            Config { only_non_travelers: true, ..config("yy-home", 2, "YY") },
        ] {
            world.add_config(config).await;
        }
        world
    }

    async fn add_config(&mut self, mut config: Config) {
        let list = |regions: &[&str]| regions.iter().map(|region| (*region).to_owned()).collect();
        let change = |new: &mut NewExportConfig| {
            new.output_region = config.output_region.to_owned();
            new.input_regions = list(&config.input_regions);
            new.exclude_regions = list(&config.exclude_regions);
            new.include_travelers = config.include_travelers;
            new.only_non_travelers = config.only_non_travelers;
            new.from_unix = config.from;
        };
        self.server.add_export_config(config.root, config.period.unsigned_abs(), change).await;
        let all = self.server.admin(AdminRequest::ListExportConfigs).await;
        let records = all.as_array().expect("a list");
        config.id = records.iter().filter_map(|record| record["id"].as_u64()).max().expect("one was added");
        self.model.configs.push(config);
    }

    /// A config of two input regions that starts an hour from now, when others have run for days.
    pub(crate) async fn add_late_config(&mut self) {
        let config = Config {
            root: "both/late",
            period: 2 * HOUR,
            output_region: "ZZ",
            input_regions: vec!["XX", "YY"],
            from: self.now() + HOUR,
            ..Config::default()
        };
        self.add_config(config).await;
    }

    /// Ends it.
    pub(crate) async fn end_late_config(&mut self) {
        let now = self.now();
        let config = self.model.configs.last_mut().expect("there are some");
        assert_eq!(config.root, "both/late");
        config.thru = Some(now);
        let id = config.id;
        self.server.admin(AdminRequest::EndExportConfig { id }).await;
    }

    pub(crate) fn now(&self) -> i64 {
        self.server.clock.now().unix()
    }

    pub(crate) fn move_clock(&mut self, seconds: i64) {
        self.server.clock.advance_seconds(seconds);
        self.latest = self.latest.max(self.now());
    }

    pub(crate) fn below(&self, bound: i64) -> i64 {
        self.random.below(u32::try_from(bound).expect("small")).into()
    }

    fn one_in(&self, bound: u32) -> bool {
        self.random.below(bound) == 0
    }

    pub(crate) fn happened(&mut self, event: &str) {
        self.happened_times(event, 1);
    }

    fn happened_times(&mut self, event: &str, times: usize) {
        *self.events.entry(event.to_owned()).or_default() += times as u64;
    }

    pub(crate) fn count(&self, event: &str) -> u64 {
        self.events.get(event).copied().unwrap_or(0)
    }

    pub(crate) fn print_events(&self) {
        for (event, count) in &self.events {
            eprintln!("{count:>8} {event}");
        }
    }

    fn new_key(&self, start: i64, period: i64) -> PhoneKey {
        let mut bytes = [0; 16];
        self.random.fill(&mut bytes);
        PhoneKey {
            key: TemporaryExposureKey::new(bytes),
            rolling_start: IntervalNumber::new(i32::try_from(start).expect("an interval")),
            rolling_period: i32::try_from(period).expect("a period"),
        }
    }

    /// A person who has not published yet, sometimes with a key of today.
    fn new_person(&self) -> Person {
        let now = self.now();
        // Young enough for a phone to accept them when they are revised four days later.
        let mut phone = Phone::new(&self.random, 1 + self.below(7), Timestamp::from_unix(now));
        let today = now / DAY * 144;
        match self.random.below(5) {
            0 | 1 => phone.keys.insert(0, self.new_key(today, 144)),
            // Handed out early by the phone: valid until now.
            2 if now / 600 > today => phone.keys.insert(0, self.new_key(today, now / 600 - today)),
            _ => {}
        }
        Person {
            phone,
            region: REGIONS[usize::from(self.one_in(3))],
            traveler: self.one_in(4),
            report_type: self.any_report_type(),
            held: BTreeSet::new(),
            published_at: now,
        }
    }

    fn any_report_type(&self) -> ReportType {
        match self.random.below(10) {
            0..4 => ReportType::ConfirmedTest,
            4..8 => ReportType::ConfirmedClinicalDiagnosis,
            _ => ReportType::SelfReport,
        }
    }

    /// Any of the publishes there are.
    pub(crate) async fn somebody_publishes(&mut self) {
        let choice = self.random.below(20);
        match choice {
            0..8 => self.first_publish().await,
            8 => self.twice_at_once().await,
            9..11 => self.retry().await,
            11..13 => self.overlap().await,
            13..17 => self.revision().await,
            17 => self.wrong_token().await,
            18 => self.mismatch().await,
            _ => self.negative_first().await,
        }
    }

    async fn first_publish(&mut self) {
        let person = self.new_person();
        let now = self.now();
        if person.phone.keys.iter().any(|key| end_of(key) > now) {
            self.happened("key still valid");
        }
        self.publish_and_keep(person).await;
    }

    async fn publish_and_keep(&mut self, mut person: Person) {
        let report_type = person.report_type;
        self.publish(&mut person, report_type).await;
        self.people.push(person);
    }

    /// After the clock jumped back: the time of upload lies in windows that were cut.
    pub(crate) async fn publish_after_jump_back(&mut self) {
        assert!(self.now() / HOUR * HOUR < self.model.exported_until, "the jump leads into exported time");
        self.first_publish().await;
        let person = self.people.last().expect("just published");
        let key = person.phone.keys.last().expect("some key").key;
        assert_eq!(self.model.stored[key.as_bytes()].created_at, self.model.exported_until);
        self.happened("stored after the clock jumped back into exported time");
    }

    /// Two requests with the same keys at the same time: one stores them, the other has no token for them.
    async fn twice_at_once(&mut self) {
        let mut person = self.new_person();
        let body = self.body(&person, person.report_type);
        let mut second_client = self.server.client();
        let (first, second) = tokio::join!(self.client.publish(body.clone()), second_client.publish(body));
        let (winner, loser) = if first.status == 200 { (first, second) } else { (second, first) };
        let sent = sent(&person, person.report_type);
        let expected = self.model.publish(&sent, self.now());
        self.check_answer(&mut person, &sent, &expected, &winner);
        let again = self.model.publish(&sent, self.now());
        self.check_answer(&mut person, &sent, &again, &loser);
        self.people.push(person);
        self.happened("twice at once");
    }

    /// Somebody who published in the last four days: younger than that a revision is in any phone's interest, and older
    /// keys may be purged soon.
    fn somebody(&self) -> Option<usize> {
        let recent = self.now() - 4 * DAY;
        let first = self.people.partition_point(|person| person.published_at < recent);
        let count = i64::try_from(self.people.len() - first).expect("few");
        (count > 0).then(|| first + usize::try_from(self.below(count)).expect("small"))
    }

    /// The same again, with the token of the first answer or, if that answer got lost, without.
    async fn retry(&mut self) {
        let Some(place) = self.somebody() else { return };
        let mut person = self.people[place].clone();
        if self.one_in(2) {
            person.phone.revision_token = String::new();
            person.held.clear();
            self.happened("retry without token");
        } else {
            self.happened("retry with token");
        }
        let report_type = person.report_type;
        if self.publish(&mut person, report_type).await {
            self.people[place] = person;
        }
    }

    /// Keys that are known together with a new one.
    async fn overlap(&mut self) {
        let Some(place) = self.somebody() else { return };
        let mut person = self.people[place].clone();
        let oldest = person.phone.keys.last().map(|key| i64::from(key.rolling_start.get())).expect("some key");
        if oldest < self.now() / DAY * 144 - 8 * 144 {
            return;
        }
        person.phone.keys.push(self.new_key(oldest - 144, 144));
        if self.one_in(3) {
            person.phone.revision_token = String::new();
            person.held.clear();
            self.happened("overlap without token");
        } else {
            self.happened("overlap with token");
        }
        let report_type = if self.one_in(3) { self.any_report_type() } else { person.report_type };
        if self.publish(&mut person, report_type).await {
            self.people[place] = person;
        }
    }

    /// Another report type, allowed or not.
    async fn revision(&mut self) {
        let Some(place) = self.somebody() else { return };
        let mut person = self.people[place].clone();
        let report_type = match self.random.below(5) {
            0 => self.any_report_type(),
            1 | 2 => ReportType::Revoked,
            _ => ReportType::ConfirmedTest,
        };
        if self.publish(&mut person, report_type).await {
            self.people[place] = person;
        }
    }

    /// A stranger who saw somebody's keys, with a token of their own or a made-up one.
    async fn wrong_token(&mut self) {
        let (Some(place), Some(stranger)) = (self.somebody(), self.somebody()) else { return };
        let mut person = self.people[place].clone();
        if place == stranger || self.one_in(2) {
            person.phone.revision_token = "AAAAbm90IGEgdG9rZW4gb2YgdGhpcyBzZXJ2ZXI=".to_owned();
            person.held = BTreeSet::new();
            self.happened("garbage token");
        } else {
            person.phone.revision_token = self.people[stranger].phone.revision_token.clone();
            person.held = self.people[stranger].held.clone();
            self.happened("foreign token");
        }
        let today = self.now() / DAY * 144;
        if person.phone.keys.iter().all(|key| i64::from(key.rolling_start.get()) < today) && self.one_in(2) {
            person.phone.keys.insert(0, self.new_key(today, 144));
        }
        let stored = self.publish(&mut person, ReportType::Revoked).await;
        assert!(!stored, "a stranger changes nothing");
    }

    /// A known key with another period.
    async fn mismatch(&mut self) {
        let Some(place) = self.somebody() else { return };
        let mut person = self.people[place].clone();
        let key = person.phone.keys.last_mut().expect("some key");
        key.rolling_period -= 1;
        assert!(!self.publish(&mut person, ReportType::ConfirmedTest).await, "nothing changes");
    }

    /// Negative without a report before: answered like any other, and stored nowhere.
    async fn negative_first(&mut self) {
        let mut person = self.new_person();
        assert!(self.publish(&mut person, ReportType::Revoked).await);
        self.happened("negative before it was known");
    }

    fn body(&self, person: &Person, report_type: ReportType) -> Vec<u8> {
        let now = self.server.clock.now();
        let mut request = person.phone.request(&self.server.authority, report_type.wire(), now);
        request.traveler = person.traveler;
        request.health_authority_id = if person.region == "XX" { APP } else { OTHER_APP }.into();
        request.to_json()
    }

    /// Publishes and compares the answer with the model's; whether it was accepted.
    async fn publish(&mut self, person: &mut Person, report_type: ReportType) -> bool {
        let body = self.body(person, report_type);
        let answer = self.client.publish(body).await;
        let sent = sent(person, report_type);
        let revisions_before: BTreeSet<Key> = self.revised_keys(&sent);
        let expected = self.model.publish(&sent, self.now());
        self.check_answer(person, &sent, &expected, &answer);
        for key in self.revised_keys(&sent).difference(&revisions_before) {
            if self.model.stored[key].valid_until() > self.server.clock.now().unix() {
                *self.events.entry("revised a still valid key".to_owned()).or_default() += 1;
            }
        }
        if matches!(expected, Expected::Refused(_)) && self.one_in(4) {
            self.compare_store().await;
        }
        answer.status == 200
    }

    fn revised_keys(&self, sent: &Sent) -> BTreeSet<Key> {
        let is_revised = |key: &Key| self.model.stored.get(key).is_some_and(|stored| stored.revision.is_some());
        sent.keys.iter().map(|key| key.key).filter(is_revised).collect()
    }

    fn check_answer(&mut self, person: &mut Person, sent: &Sent, expected: &Expected, answer: &Answer) {
        let json = answer.json();
        match expected {
            Expected::Accepted { inserted, revised } => {
                assert_eq!(answer.status, 200, "{} to {sent:?}", answer.code());
                assert_eq!(json["insertedExposures"].as_u64().unwrap_or(0), *inserted as u64, "{sent:?}");
                assert!(answer.code().is_empty(), "no key was dropped: {json}");
                if let Some(token) = json["revisionToken"].as_str() {
                    person.phone.revision_token = token.to_owned();
                }
                person.held.extend(sent.keys.iter().map(|key| key.key));
                self.happened("accepted");
                self.happened_times("revised", *revised);
            }
            Expected::Refused(code) => {
                assert_eq!((answer.status.as_u16(), answer.code().as_str()), (400, *code), "{sent:?}");
                assert!(json["revisionToken"].as_str().unwrap_or_default().is_empty(), "no token for the refused");
                self.happened(&format!("refused {code}"));
            }
        }
    }

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

fn end_of(key: &PhoneKey) -> i64 {
    (i64::from(key.rolling_start.get()) + i64::from(key.rolling_period)) * 600
}

fn sent(person: &Person, report_type: ReportType) -> Sent {
    let token = match person.phone.revision_token.as_str() {
        "" => Token::Absent,
        token if token.starts_with("AAAA") => Token::Garbage,
        _ => Token::Holds(person.held.clone()),
    };
    let keys = person.phone.keys.iter().map(|key| SentKey {
        key: *key.key.as_bytes(),
        start: key.rolling_start.get().into(),
        period: key.rolling_period.into(),
    });
    Sent { region: person.region, traveler: person.traveler, report_type, keys: keys.collect(), token }
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
