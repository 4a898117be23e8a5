//! Two publishes at the same time.

use super::*;
use crate::ports::exposures::RevisionOf;
use crate::testing::exposures::Rival;

/// The submission that made `after` of `before`, all of one publish.
fn submission_between(before: &[FakeRow], after: &[FakeRow]) -> Option<Submission> {
    let old = |row: &FakeRow| before.iter().find(|old| old.exposure.key == row.exposure.key);
    let inserts: Vec<_> = after.iter().filter(|row| old(row).is_none()).collect();
    let revised: Vec<_> = after.iter().filter(|row| old(row).is_some_and(|old| old != *row)).collect();
    let any = inserts.first().or(revised.first())?;
    let revision_of = |row: &&FakeRow| {
        Some(RevisionOf {
            id: row.id,
            expected_version: old(row)?.version,
            key: row.exposure.key,
            revision: row.revision?,
        })
    };
    Some(Submission {
        app: any.app.clone(),
        regions: any.regions.clone(),
        traveler: any.traveler,
        health_authority: any.health_authority,
        inserts: inserts.iter().map(|row| row.exposure).collect(),
        revisions: revised.iter().filter_map(revision_of).collect(),
        statistics: None,
        commits: None,
    })
}

type Answer = (u16, Value);

/// Publishes each in turn; each finds the server as its own step sets it up.
fn one_after_the_other(history: &History, first: &Step, second: &Step) -> (Answer, Answer, Rows) {
    let mut history = history.copy();
    let mut publish = |step: &Step| {
        let (request, _) = history.prepare(step);
        let answer = history.world.publish(&request);
        (answer, history.rows())
    };
    let (answer, _) = publish(first);
    let (last_answer, rows) = publish(second);
    (answer, last_answer, rows)
}

/// The answer of `step` and what is stored, when `rival` is stored between its reading and its writing.
fn at_the_same_time(history: &History, step: &Step, rival: &Step) -> Option<(Answer, Rows)> {
    let mut other = history.copy();
    let before = other.world.exposures.rows();
    let (request, _) = other.prepare(rival);
    other.world.publish(&request);
    let submission = submission_between(&before, &other.world.exposures.rows())?;

    let mut history = history.copy();
    let (request, _) = history.prepare(step);
    history.world.exposures.after_next_find(Rival::Store(submission));
    let answer = history.world.publish(&request);
    // One that does not look into the store does not meet the rival, who comes now.
    let _ = history.world.exposures.find(&[]);
    Some((answer, history.rows()))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn publishes_at_the_same_time_are_as_good_as_one_after_the_other(
        steps in prop::collection::vec(any_step(), 0..8),
        step in any_step(),
        rival in any_step(),
    ) {
        let mut history = History::new();
        for step in &steps {
            history.play(step)?;
        }
        let now = |step: Step| Step { wait_seconds: 0, event: Event::Nothing, ..step };
        let (step, rival) = (now(step), now(rival));
        let Some((answer, rows)) = at_the_same_time(&history, &step, &rival) else { return Ok(()) };
        let (first, _, rows_if_first) = one_after_the_other(&history, &step, &rival);
        let (_, second, rows_if_second) = one_after_the_other(&history, &rival, &step);
        let is_first = answer == first && rows == rows_if_first;
        let is_second = answer == second && rows == rows_if_second;
        prop_assert!(is_first || is_second, "{:?}\nfirst {:?}\nsecond {:?}", answer, first, second);
    }
}
