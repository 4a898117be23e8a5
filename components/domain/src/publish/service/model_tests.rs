//! Random histories of publishes, by phones that keep, lose, mix up and forge their tokens, compared step by step with
//! the rules of the specification ([`oracle`]).

mod faults;
mod oracle;
mod rivals;

use super::tests::{NOW, World, request};
use super::*;
use crate::base64;
use crate::exposure::ReportType;
use crate::health_authority::HealthAuthorityId;
use crate::interval::{INTERVALS_PER_DAY, Timestamp};
use crate::publish::revision_token::TokenEntry;
use crate::testing::exposures::FakeRow;
use oracle::{Expected, Held, Rows, Sent};
use proptest::prelude::*;
use serde_json::Value;

const PHONES: u8 = 3;

/// A key of a request: whose it is, days since its own day, and which of the phone's keys of that day.
type KeyName = (u8, i64, u8);

#[derive(Clone, Debug)]
enum TokenChoice {
    None,
    Latest,
    /// An earlier one of the same phone.
    Stale(prop::sample::Index),
    /// One of another phone.
    Foreign(u8, prop::sample::Index),
    /// The first half of the latest.
    Truncated,
    Garbage(&'static str),
}

/// What happens before a publish.
#[derive(Clone, Debug)]
enum Event {
    Nothing,
    /// Exports are cut up to so many hours from now, which is what an upload sees that is slow to be stored.
    Export(i64),
    /// Tokens are sealed with a new revision key.
    NewRevisionKey,
    /// Only the newest revision key still opens tokens.
    RetireRevisionKeys,
    /// A stored key turns out to come from another server.
    Import(prop::sample::Index),
}

#[derive(Clone, Debug)]
struct Step {
    event: Event,
    wait_seconds: i64,
    phone: u8,
    keys: Vec<KeyName>,
    /// Instead of whole days.
    period: Option<i32>,
    report_type: &'static str,
    onset_days_ago: Option<i32>,
    traveler: bool,
    token: TokenChoice,
    bypass_token: bool,
    bypass_verification: bool,
    allow_partial: bool,
}

fn any_key() -> impl Strategy<Value = KeyName> {
    (prop_oneof![4 => Just(0), 1 => 1..PHONES], prop_oneof![3 => 0..3i64, 1 => 0..17i64], 0..2u8)
}

fn any_step() -> impl Strategy<Value = Step> {
    let index = any::<prop::sample::Index>;
    let event = prop_oneof![
        12 => Just(Event::Nothing),
        3 => (0..3i64).prop_map(Event::Export),
        1 => Just(Event::NewRevisionKey),
        1 => Just(Event::RetireRevisionKeys),
        1 => index().prop_map(Event::Import),
    ];
    let token = prop_oneof![
        8 => Just(TokenChoice::Latest),
        2 => Just(TokenChoice::None),
        2 => index().prop_map(TokenChoice::Stale),
        2 => (1..PHONES, index()).prop_map(|(other, index)| TokenChoice::Foreign(other, index)),
        1 => Just(TokenChoice::Truncated),
        1 => prop::sample::select(vec!["*", "AAAA", "CgExEgA=", "="]).prop_map(TokenChoice::Garbage),
    ];
    let wait = prop_oneof![4 => Just(0i64), 4 => 0..90_000i64, 1 => 0..20 * 86_400i64];
    let report_type = prop::sample::select(vec!["likely", "user-report", "confirmed", "negative", "likely", "bogus"]);
    let flags = (prop::bool::weighted(0.1), prop::bool::weighted(0.2), any::<bool>(), any::<bool>());
    (
        (event, wait, 0..PHONES, token, flags),
        (prop::collection::vec(any_key(), 0..6), prop::option::weighted(0.1, 1..=144i32)),
        (report_type, prop::option::weighted(0.3, 0..30i32)),
    )
        .prop_map(|((event, wait_seconds, phone, token, flags), (keys, period), (report_type, onset))| {
            let (bypass_token, bypass_verification, allow_partial, traveler) = flags;
            Step {
                event,
                wait_seconds,
                phone,
                // Names are relative to the phone, so that a phone mostly sends its own keys.
                keys: keys.into_iter().map(|(owner, age, which)| ((phone + owner) % PHONES, age, which)).collect(),
                period,
                report_type,
                onset_days_ago: onset,
                traveler,
                token,
                bypass_token,
                bypass_verification,
                allow_partial,
            }
        })
}

/// A token that was handed out.
#[derive(Clone)]
struct Token {
    text: String,
    entries: Vec<TokenEntry>,
    revision_key: u64,
}

/// A server with its past.
struct History {
    world: World,
    now: Timestamp,
    open_from: Timestamp,
    /// For each phone, oldest first.
    tokens: Vec<Vec<Token>>,
}

impl History {
    fn new() -> Self {
        let mut world = World::new();
        // Some keys are sent several times, and they count before they collapse.
        world.settings.max_same_start_keys = 30;
        let (now, open_from) = (NOW, Timestamp::default());
        Self { world, now, open_from, tokens: vec![Vec::new(); usize::from(PHONES)] }
    }

    /// The same server, on its own from here on, whose fakes have not been called yet.
    fn copy(&self) -> Self {
        let Self { world, now, open_from, tokens } = self;
        let mut copy = Self { now: *now, open_from: *open_from, tokens: tokens.clone(), ..Self::new() };
        copy.world.settings = world.settings.clone();
        copy.world.apps.apps = world.apps.apps.clone();
        copy.world.verifier.health_authority = world.verifier.health_authority;
        copy.world.sealing.effective_key = world.sealing.effective_key;
        copy.world.sealing.allowed_keys.clone_from(&world.sealing.allowed_keys);
        copy.world.clock.set(*now);
        copy.world.exposures.set_open_from(*open_from);
        world.exposures.rows().into_iter().for_each(|row| copy.world.exposures.put_row(row));
        copy
    }

    fn rows(&self) -> Rows {
        oracle::rows(&self.world.exposures.rows())
    }

    /// Lets the time and the event of `step` come, and writes its request.
    fn prepare(&mut self, step: &Step) -> (PublishRequest<'static>, Held) {
        let world = &mut self.world;
        self.now = self.now.plus_seconds(step.wait_seconds);
        world.clock.set(self.now);
        match &step.event {
            Event::Nothing => {}
            Event::Export(hours) => {
                self.open_from = self.open_from.max(self.now.truncate(3600).plus_seconds(hours * 3600));
                world.exposures.set_open_from(self.open_from);
            }
            Event::NewRevisionKey => {
                world.sealing.effective_key += 1;
                world.sealing.allowed_keys.push(world.sealing.effective_key);
            }
            Event::RetireRevisionKeys => world.sealing.allowed_keys = vec![world.sealing.effective_key],
            Event::Import(index) => {
                let rows = world.exposures.rows();
                if !rows.is_empty() {
                    let row = index.get(&rows).clone();
                    world.exposures.put_row(FakeRow { local_provenance: false, ..row });
                }
            }
        }
        world.apps.apps[0].bypass_revision_token = step.bypass_token;
        world.apps.apps[0].bypass_verification = step.bypass_verification;
        world.settings.allow_partial_revisions = step.allow_partial;
        world.verifier.health_authority = HealthAuthorityId(u64::from(step.phone));

        let (text, held) = self.token(step);
        let onset = step.onset_days_ago.map_or(0, |days| self.now.interval().get() - days * INTERVALS_PER_DAY - 1);
        let sent = PublishRequest {
            keys: step.keys.iter().map(|name| self.key(*name, step)).collect(),
            symptom_onset_interval: onset,
            traveler: step.traveler,
            revision_token: text.into(),
            ..request(step.report_type, &[])
        };
        (sent, held)
    }

    fn key(&self, (owner, age, which): KeyName, step: &Step) -> RequestKey<'static> {
        let day = i32::try_from(self.now.interval().utc_day() - age).expect("this century");
        let mut bytes = [0; 16];
        bytes[0] = owner;
        bytes[1] = which;
        bytes[2..6].copy_from_slice(&day.to_be_bytes());
        RequestKey {
            key: base64::encode(&bytes).into(),
            rolling_start: day * INTERVALS_PER_DAY,
            rolling_period: step.period.unwrap_or(INTERVALS_PER_DAY),
            transmission_risk: i64::from(which),
        }
    }

    fn token(&self, step: &Step) -> (String, Held) {
        let of = |phone: u8| &self.tokens[usize::from(phone % PHONES)];
        let chosen = |tokens: &[Token], index: &prop::sample::Index| {
            if tokens.is_empty() { None } else { Some(index.get(tokens).clone()) }
        };
        let token = match &step.token {
            TokenChoice::None => None,
            TokenChoice::Latest | TokenChoice::Truncated => of(step.phone).last().cloned(),
            TokenChoice::Stale(index) => chosen(of(step.phone), index),
            TokenChoice::Foreign(other, index) => chosen(of(step.phone + other), index),
            // Only the first of these is not base64.
            TokenChoice::Garbage("*") => return ("*".to_owned(), Held::Nothing),
            TokenChoice::Garbage(text) => return ((*text).to_owned(), Held::Unreadable),
        };
        let Some(Token { text, entries, revision_key }) = token else { return (String::new(), Held::Nothing) };
        if matches!(step.token, TokenChoice::Truncated) {
            // One character beyond whole groups of four is no base64.
            let half = text.len() / 2;
            return (text[..half].to_owned(), if half % 4 == 1 { Held::Nothing } else { Held::Unreadable });
        }
        let opens = self.world.sealing.allowed_keys.contains(&revision_key);
        (text, if opens { Held::Entries(entries) } else { Held::Unreadable })
    }

    fn expect(&self, step: &Step, request: &PublishRequest<'_>, held: &Held) -> Expected {
        let report_type = ReportType::from_wire(step.report_type);
        let claims = report_type.map(|report_type| Claims {
            health_authority: HealthAuthorityId(u64::from(step.phone)),
            report_type,
            symptom_onset: None,
        });
        if claims.is_none() && !step.bypass_verification {
            return Expected::refused(401, "health_authority_verification_certificate_invalid");
        }
        let sent = Sent {
            request,
            claims,
            held,
            require_token: !step.bypass_token,
            allow_partial: step.allow_partial,
            settings: &self.world.settings,
            now: self.now,
            open_from: self.open_from,
        };
        oracle::expect(&self.rows(), &sent)
    }

    /// One step of the history: what is stored, answered and put into the token is what the rules say.
    fn play(&mut self, step: &Step) -> Result<(), TestCaseError> {
        let (request, held) = self.prepare(step);
        let expected = self.expect(step, &request, &held);
        let before = self.rows();
        let (status, body) = self.world.publish(&request);
        let after = self.rows();
        check_invariants(step, &held, &before, &after, self.open_from)?;
        match expected {
            Expected::Refused { status: told, codes } => {
                prop_assert!(status == told && codes.contains(body["code"].as_str().unwrap_or_default()), "{}", body);
                prop_assert_eq!(after, before);
                prop_assert!(body["revisionToken"].is_null());
            }
            Expected::Stored { rows, inserted, kept, added, partial } => {
                prop_assert_eq!(status, 200, "{}", body);
                prop_assert_eq!(after, rows);
                prop_assert_eq!(body["insertedExposures"].as_u64().unwrap_or(0), inserted);
                prop_assert_eq!(body["code"].as_str(), partial.then_some("partial_failure"));
                let entries = self.remember(step.phone, &body);
                prop_assert_eq!(&entries[..kept.len().min(entries.len())], kept.as_slice(), "kept entries first");
                let mut found = entries[kept.len()..].to_vec();
                found.sort_by_key(|entry| entry.key);
                prop_assert_eq!(found, added, "then the others");
            }
        }
        Ok(())
    }

    /// The entries of the token in an answer, which the phone keeps.
    fn remember(&mut self, phone: u8, body: &Value) -> Vec<TokenEntry> {
        let Some(text) = body["revisionToken"].as_str() else { return Vec::new() };
        let token = RevisionToken::read(text, &self.world.sealing).expect("no fault is set");
        let entries = token.entries().expect("our own token opens").to_vec();
        let revision_key = self.world.sealing.effective_key;
        let token = Token { text: text.to_owned(), entries: entries.clone(), revision_key };
        self.tokens[usize::from(phone)].push(token);
        entries
    }
}

/// What holds whatever the rules say in detail.
fn check_invariants(
    step: &Step,
    held: &Held,
    before: &Rows,
    after: &Rows,
    open_from: Timestamp,
) -> Result<(), TestCaseError> {
    prop_assert!(before.keys().all(|key| after.contains_key(key)), "a publish deletes nothing");
    for (key, row) in after {
        let named = step.keys.iter().any(|(owner, _, which)| key.as_bytes()[..2] == [*owner, *which]);
        match before.get(key) {
            Some(old) if old == row => {}
            Some(old) => {
                prop_assert!(named);
                prop_assert!(step.bypass_token || held.has(*key), "a key changed without a token that holds it");
                prop_assert!(old.revision.is_none(), "a key was revised twice");
                prop_assert!(old.local_provenance, "a key of another server was revised");
                prop_assert_eq!(&old.exposure, &row.exposure, "the original stays");
                prop_assert_eq!(old.traveler, row.traveler);
                let revised_at = row.revision.map(|revision| revision.revised_at);
                prop_assert!(revised_at >= Some(open_from.max(old.exposure.created_at)));
            }
            None => {
                prop_assert!(named);
                prop_assert!(row.exposure.created_at >= open_from);
                prop_assert_ne!(row.exposure.report_type, Some(ReportType::Revoked));
                prop_assert!(row.revision.is_none());
            }
        }
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn every_step_of_a_history_follows_the_specification(steps in prop::collection::vec(any_step(), 1..30)) {
        let mut history = History::new();
        for step in &steps {
            history.play(step)?;
        }
    }
}
