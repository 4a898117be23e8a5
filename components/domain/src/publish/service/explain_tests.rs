//! The dry run agrees with the real thing.

use super::explain::{ExplainedToken, Explanation, KeyOutcome};
use super::tests::{NOW, World, YESTERDAY, incoming, key, request};
use crate::interval::Timestamp;
use crate::publish::request::PublishRequest;

fn explain(world: &World, request: &PublishRequest<'_>) -> Explanation {
    world.publisher().explain(&incoming(&request.to_json()))
}

fn outcomes(explanation: &Explanation) -> Vec<KeyOutcome> {
    explanation.keys.iter().map(|key| key.outcome).collect()
}

/// Explains, publishes, and compares the answers.
#[track_caller]
fn check(world: &World, request: &PublishRequest<'_>, expect: &[KeyOutcome]) -> Explanation {
    let rows = world.exposures.rows();
    let explanation = explain(world, request);
    assert_eq!(world.exposures.rows(), rows, "a dry run changes nothing");
    let (status, body) = world.publish(request);
    let text = |field: &str| body.get(field).and_then(|value| value.as_str()).unwrap_or_default().to_owned();
    assert_eq!(
        (explanation.answer.status, &explanation.answer.code, &explanation.answer.error),
        (status, &text("code"), &text("error"))
    );
    let inserted = body.get("insertedExposures").and_then(serde_json::Value::as_u64).unwrap_or(0);
    assert_eq!(explanation.answer.inserted_exposures, inserted);
    assert_eq!(outcomes(&explanation), expect);
    explanation
}

#[test]
fn each_key_gets_its_own_verdict() {
    let world = World::new();
    let mut sent = request("likely", &[1, 2, 3, 4]);
    sent.keys[1].rolling_period = 145;
    sent.keys[2].rolling_start = YESTERDAY + 144;
    sent.keys.push(key(1));
    let expect =
        [KeyOutcome::Repeated, KeyOutcome::Dropped, KeyOutcome::Stored, KeyOutcome::Stored, KeyOutcome::Stored];
    let explanation = check(&world, &sent, &expect);
    assert!(explanation.keys[1].reason.contains("invalid interval count, 145"));
    let held_back: Vec<_> = explanation.keys.iter().map(|key| key.held_back).collect();
    assert_eq!(held_back, [false, false, true, false, false]);
    // Today's key counts from one hour after its end at midnight, the others from the running hour.
    let midnight = NOW.utc_midnight().plus_seconds(86_400);
    assert_eq!(explanation.keys[2].counts_from_unix, Some(midnight.plus_seconds(3600).unix()));
    assert_eq!(explanation.keys[3].counts_from.as_deref(), Some("2020-09-14T12:00:00Z"));
    assert_eq!(explanation.revision_token, Some(ExplainedToken::Absent));
}

#[test]
fn time_is_the_one_that_would_be_stored_when_exports_are_ahead() {
    let world = World::new();
    let open_from = Timestamp::from_unix(NOW.unix() + 7200);
    world.exposures.set_open_from(open_from);
    let explanation = check(&world, &request("likely", &[1]), &[KeyOutcome::Stored]);
    assert_eq!(explanation.keys[0].counts_from_unix, Some(open_from.unix()));
}

#[test]
fn revision_repetition_and_taking_back_are_told_apart() {
    let world = World::new();
    let (_, first) = world.publish(&request("likely", &[1]));
    let token = || first["revisionToken"].as_str().expect("token").to_owned().into();
    let again = PublishRequest { revision_token: token(), ..request("likely", &[1]) };
    let explanation = check(&world, &again, &[KeyOutcome::Unchanged]);
    assert_eq!(explanation.revision_token, Some(ExplainedToken::Holds(1)));
    let negative = PublishRequest { revision_token: token(), ..request("negative", &[1, 2]) };
    check(&world, &negative, &[KeyOutcome::Revised, KeyOutcome::NothingToTakeBack]);
}

#[test]
fn refusal_of_the_request_is_the_reason_of_every_key() {
    let world = World::new();
    world.publish(&request("likely", &[1]));
    let explanation = check(&world, &request("confirmed", &[1, 2]), &[KeyOutcome::Refused; 2]);
    assert!(explanation.keys.iter().all(|key| key.reason == "no revision token, but sent existing keys"));
    let unknown = PublishRequest { health_authority_id: "nobody".into(), ..request("likely", &[3]) };
    let explanation = check(&world, &unknown, &[KeyOutcome::Refused]);
    assert_eq!((explanation.app, explanation.certificate), (None, None));
}

#[test]
fn rejected_certificate_comes_with_hints() {
    let world = World::new();
    let explanation = check(&world, &request("nonsense", &[1]), &[KeyOutcome::Refused]);
    let certificate = explanation.certificate.expect("looked at");
    assert_eq!((certificate.valid, certificate.bypassed), (false, false));
    assert_eq!(certificate.hints, ["\"nonsense\" is no report type"]);
}

#[test]
fn unreadable_body_is_explained_without_keys() {
    let world = World::new();
    let explanation = world.publisher().explain(&incoming(b"{"));
    assert_eq!((explanation.answer.status, outcomes(&explanation)), (400, vec![]));
    assert!(explanation.answer.error.contains("malformed json"));
}

#[test]
fn explanation_can_be_read_back() {
    let world = World::new();
    let explanation = explain(&world, &request("likely", &[1]));
    let read: Explanation = serde_json::from_str(&explanation.to_json()).expect("JSON");
    assert_eq!(read, explanation);
}
