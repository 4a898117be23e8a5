//! What validators may and may not do to a publish.

use super::tests::{NOW, World, incoming, request};
use crate::health_authority::HealthAuthorityId;
use crate::ports::PortError;
use crate::publish::request::DeviceEvidence;
use crate::publish::service::explain::{ExplainedValidators, KeyOutcome, ValidatorsOutcome};
use crate::testing::validation::FakeValidation;
use crate::validation::{AttestedKey, Commit, Decision, ValidatorCommit};

fn world(decision: Decision) -> World {
    let mut world = World::new();
    world.apps.apps[0].validated = true;
    world.validation = FakeValidation::deciding(decision);
    world
}

fn commit(commit: Commit) -> Decision {
    Decision::Accepted(vec![ValidatorCommit { validator: "v".into(), commit }])
}

fn claim() -> Decision {
    commit(Commit::ClaimOnce { space: "token".into(), digest: [7; 32], expires_at: NOW.plus_seconds(600) })
}

fn reasons() -> Vec<String> {
    vec!["v: too-many".into()]
}

#[test]
fn app_without_validators_asks_none() {
    let world = World::new();
    assert_eq!(world.publish(&request("confirmed", &[1])).0, 200);
    assert_eq!(world.validation.seen(), []);
}

#[test]
fn validators_see_what_would_be_stored_and_no_key() {
    let world = world(Decision::Accepted(vec![]));
    let mut sent = request("confirmed@2650000", &[3, 1, 2]);
    sent.traveler = true;
    // Refused by the server itself: validators are not shown it.
    sent.keys[1].rolling_period = 145;
    sent.device = DeviceEvidence {
        method: "app-attest".into(),
        payload: "cGF5bG9hZA==".into(),
        key_id: "AQ==".into(),
        ..DeviceEvidence::default()
    };
    assert_eq!(world.publish(&sent).0, 200);
    let seen = world.validation.seen();
    let [(candidate, Some(evidence))] = seen.as_slice() else { panic!("{} calls", seen.len()) };
    assert_eq!(candidate.app, "app");
    assert_eq!(candidate.health_authority, Some(HealthAuthorityId(1)));
    assert_eq!(candidate.report_type.map(|kind| kind.wire()), Some("confirmed"));
    assert_eq!(candidate.symptom_onset, Some(2_650_000));
    assert_eq!(candidate.regions, ["DE"]);
    assert!(candidate.traveler);
    let starts: Vec<_> = candidate.keys.iter().map(|key| key.rolling_start.get()).collect();
    assert_eq!(starts, [sent.keys[0].rolling_start, sent.keys[2].rolling_start], "in the order of the request");
    assert_eq!(candidate.transcripts.len(), 3);
    assert_eq!(evidence.method, "app-attest");
    assert_eq!(evidence.token, b"cGF5bG9hZA==");
    assert_eq!(evidence.key_id, Some(vec![1]));
    assert_eq!(world.exposures.rows().len(), 2);
}

#[test]
fn each_decision_has_its_answer_and_only_acceptance_stores() {
    for (decision, status, code, inserted, rows) in [
        (Decision::Accepted(vec![]), 200, None, Some(2), 2),
        (Decision::Refused(reasons()), 401, Some("submission_refused"), None, 0),
        (Decision::TryLater(reasons()), 503, Some("validators_unavailable"), None, 0),
        (Decision::Pretend(reasons()), 200, None, Some(2), 0),
    ] {
        let world = world(decision.clone());
        let (answer, body) = world.publish(&request("confirmed", &[1, 2]));
        assert_eq!((answer, body["code"].as_str()), (status, code), "{decision:?}: {body}");
        assert_eq!(body["insertedExposures"].as_u64(), inserted, "{decision:?}: {body}");
        assert_eq!(world.exposures.rows().len(), rows, "{decision:?}");
        // Without its token a pretended answer could be told from a real one.
        assert_eq!(
            body["revisionToken"].as_str().is_some_and(|token| !token.is_empty()),
            answer == 200,
            "{decision:?}"
        );
        assert!(!body.to_string().contains("too-many"), "reasons are for the operator: {body}");
    }
}

#[test]
fn what_the_server_refuses_itself_is_not_judged() {
    let world = world(Decision::Accepted(vec![]));
    assert_eq!(world.publish(&request("no report type", &[1])).0, 401);
    assert_eq!(world.publish(&request("confirmed", &[])).0, 400);
    let mut old = request("confirmed", &[1]);
    old.keys[0].rolling_start -= 144 * 40;
    assert_eq!(world.publish(&old).0, 400);
    assert_eq!(world.validation.seen(), []);
}

#[test]
fn evidence_that_cannot_be_read_is_a_bad_request_only_where_it_is_wanted() {
    let mut sent = request("confirmed", &[1]);
    sent.device.payload = "x".into();
    sent.device.method = "m".into();
    sent.device.key_id = "*".into();
    let (status, body) = world(Decision::Accepted(vec![])).publish(&sent);
    assert_eq!((status, body["code"].as_str()), (400, Some("bad_request")));
    assert_eq!(body["error"].as_str(), Some("deviceKeyId is not base64"));
    assert_eq!(World::new().publish(&sent).0, 200, "an app without validators ignores it");
}

#[test]
fn a_failure_of_validation_is_ours_and_stores_nothing() {
    let world = world(Decision::Accepted(vec![]));
    world.validation.faults.fail_next(PortError::Unavailable);
    let (status, body) = world.publish(&request("confirmed", &[1]));
    assert_eq!((status, body["code"].as_str()), (500, Some("internal_error")));
    assert_eq!(world.exposures.rows().len(), 0);
}

#[test]
fn a_value_is_used_once_but_the_same_submission_may_come_again() {
    let world = world(claim());
    assert_eq!(world.publish(&request("confirmed", &[1])).0, 200);
    // The answer was lost, and the phone sends it again: told as without validators, that it needs its token.
    let (status, body) = world.publish(&request("confirmed", &[1]));
    assert_eq!((status, body["code"].as_str()), (400, Some("missing_revision_token")));
    let (status, body) = world.publish(&request("confirmed", &[2]));
    assert_eq!((status, body["code"].as_str()), (401, Some("submission_refused")));
    assert_eq!(world.exposures.rows().len(), 1);
}

#[test]
fn a_counter_moves_once_and_a_device_key_is_stored_once() {
    let key = AttestedKey {
        key_id: vec![1],
        app: "app".into(),
        public_key: vec![4; 65],
        development: false,
        counter: 0,
        attested_at: NOW,
    };
    let mut world = world(commit(Commit::StoreKey(key)));
    assert_eq!(world.publish(&request("confirmed", &[1])).0, 200);
    assert_eq!(world.publish(&request("confirmed", &[2])).0, 401, "the key is there already");
    let step = |expected, next| commit(Commit::AdvanceCounter { key_id: vec![1], expected, next });
    world.validation = FakeValidation::deciding(step(0, 5));
    assert_eq!(world.publish(&request("confirmed", &[3])).0, 200);
    assert_eq!(world.publish(&request("confirmed", &[4])).0, 401, "the counter has moved");
    world.validation = FakeValidation::deciding(step(5, 6));
    assert_eq!(world.publish(&request("confirmed", &[5])).0, 200);
    assert_eq!(world.exposures.rows().len(), 3);
}

#[test]
fn explain_says_what_validators_say_and_notes_nothing() {
    let sent = request("confirmed", &[1]).to_json();
    let accepting = world(claim());
    let explanation = accepting.publisher().explain(&incoming(&sent));
    let expected = ExplainedValidators { outcome: ValidatorsOutcome::Accepted, reasons: vec![] };
    assert_eq!(explanation.validators, Some(expected));
    assert_eq!(explanation.keys[0].outcome, KeyOutcome::Stored);
    assert_eq!(accepting.publish(&request("confirmed", &[2])).0, 200, "the value was not used");
    let pretending = world(Decision::Pretend(reasons()));
    let explanation = pretending.publisher().explain(&incoming(&sent));
    let expected = ExplainedValidators { outcome: ValidatorsOutcome::Pretended, reasons: reasons() };
    assert_eq!(explanation.validators, Some(expected));
    assert_eq!(explanation.keys[0].outcome, KeyOutcome::Refused);
    let without = World::new().publisher().explain(&incoming(&sent));
    assert_eq!(without.validators, None);
}
