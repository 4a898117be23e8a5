//! The server, the phones and the model side by side. What is done to one is done to the other, and then compared.

mod jobs;

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
