//! Random histories of publishes, by phones that keep, lose, mix up and forge their tokens.

use super::tests::{NOW, World, key, request};
use super::*;
use crate::interval::Timestamp;
use crate::testing::exposures::FakeRow;
use proptest::prelude::*;
use std::collections::BTreeMap;

#[derive(Clone, Debug)]
struct Step {
    report_type: &'static str,
    keys: Vec<u8>,
    /// Which of the tokens seen so far is sent, if any.
    token: Option<prop::sample::Index>,
    period: Option<i32>,
    wait_seconds: i64,
    export: bool,
    fault: Option<(u64, PortError)>,
}

fn step() -> impl Strategy<Value = Step> {
    let error = prop_oneof![Just(PortError::Conflict), Just(PortError::Unavailable)];
    (
        prop::sample::select(vec!["likely", "confirmed", "negative", "user-report", "bogus"]),
        prop::collection::vec(0u8..6, 0..4),
        prop::option::of(any::<prop::sample::Index>()),
        prop::option::weighted(0.1, 1..144i32),
        prop_oneof![Just(0i64), 0..90_000i64],
        prop::bool::weighted(0.2),
        prop::option::weighted(0.2, (1u64..4, error)),
    )
        .prop_map(|(report_type, keys, token, period, wait_seconds, export, fault)| Step {
            report_type,
            keys,
            token,
            period,
            wait_seconds,
            export,
            fault,
        })
}

fn rows(world: &World) -> BTreeMap<u8, FakeRow> {
    world.exposures.rows().into_iter().map(|row| (row.exposure.key.as_bytes()[0], row)).collect()
}

fn check_history(steps: Vec<Step>, allow_partial: bool) -> Result<(), TestCaseError> {
    let mut world = World::new();
    world.settings.allow_partial_revisions = allow_partial;
    let mut tokens: Vec<String> = vec!["AAAA".into()];
    let mut open_from = Timestamp::from_unix(0);
    let mut now = NOW;
    for step in steps {
        now = now.plus_seconds(step.wait_seconds);
        world.clock.set(now);
        if step.export {
            open_from = now.truncate(3600);
            world.exposures.set_open_from(open_from);
        }
        world.exposures.faults.clear();
        if let Some((nth, error)) = step.fault.clone() {
            world.exposures.faults.fail_nth(nth, error);
        }
        let mut sent = request(step.report_type, &[]);
        for byte in &step.keys {
            let mut key = key(*byte);
            key.rolling_period = step.period.unwrap_or(key.rolling_period);
            sent.keys.push(key);
        }
        let token = step.token.map(|index| index.get(&tokens).clone()).unwrap_or_default();
        let held = RevisionToken::read(&token, &world.sealing).expect("no fault is set");
        sent.revision_token = token.into();

        let before = rows(&world);
        let (status, body) = world.publish(&sent);
        let after = rows(&world);
        check_change(&step, &held, &before, &after, open_from)?;
        if status == 200 {
            let new = after.len() - before.len();
            prop_assert_eq!(body["insertedExposures"].as_u64().unwrap_or(0), new as u64);
            tokens.extend(body["revisionToken"].as_str().map(str::to_owned));
        } else {
            prop_assert_eq!(&before, &after, "a failed publish changes nothing");
            prop_assert!(status == 400 || status == 401 || (status == 500 && step.fault.is_some()));
        }
    }
    Ok(())
}

fn check_change(
    step: &Step,
    held: &RevisionToken,
    before: &BTreeMap<u8, FakeRow>,
    after: &BTreeMap<u8, FakeRow>,
    open_from: Timestamp,
) -> Result<(), TestCaseError> {
    for (byte, row) in after {
        match before.get(byte) {
            Some(old) if old == row => {}
            Some(old) => {
                prop_assert!(step.keys.contains(byte));
                let held = held.entries().unwrap_or_default().iter().any(|entry| entry.key == row.exposure.key);
                prop_assert!(held, "a key changed without a token that holds it");
                prop_assert!(old.revision.is_none(), "a key was revised twice");
                prop_assert_eq!(&old.exposure, &row.exposure, "the original stays");
                prop_assert!(row.revision.is_some_and(|revision| revision.revised_at >= open_from));
            }
            None => {
                prop_assert!(step.keys.contains(byte));
                prop_assert!(row.exposure.created_at >= open_from);
                prop_assert_ne!(step.report_type, "negative");
            }
        }
    }
    prop_assert!(before.keys().all(|byte| after.contains_key(byte)), "a publish deletes nothing");
    Ok(())
}

proptest! {
    #[test]
    fn no_history_breaks_the_rules(steps in prop::collection::vec(step(), 1..25), allow_partial: bool) {
        check_history(steps, allow_partial)?;
    }
}
