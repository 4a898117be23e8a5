//! What the validators share.

use super::*;
use crate::contract::{AttestedKey, Score};
use serde_json::json;

/// A host that is never asked: what is tested here happens before.
struct NoHost;

impl Services for NoHost {
    fn now(&self) -> i64 {
        0
    }
    fn random(&self, _: u32) -> Vec<u8> {
        panic!("no randomness is needed")
    }
    fn anchors(&self, _: &str) -> Vec<Vec<u8>> {
        Vec::new()
    }
    fn is_revoked(&self, _: &str) -> Option<bool> {
        panic!("no certificate is looked up")
    }
    fn unwrap_key(&self, _: &str, _: &[u8]) -> Option<Vec<u8>> {
        panic!("no key is unwrapped")
    }
    fn sign_es256(&self, _: &str, _: &[u8]) -> Option<Vec<u8>> {
        panic!("nothing is signed")
    }
    fn find_key(&self, _: &str, _: &[u8]) -> Option<AttestedKey> {
        panic!("no key is looked up")
    }
}

fn evidence(method: &str) -> Evidence {
    Evidence { method: method.to_owned(), ..Evidence::default() }
}

fn rejection(outcome: Outcome) -> Rejection {
    match outcome {
        Outcome::Reject(rejection) => rejection,
        Outcome::Accept(_) | Outcome::Exchange(_) => panic!("not rejected: {outcome:?}"),
    }
}

/// What each validator says.
fn each(evidence: Option<&Evidence>, configuration: &str) -> [Rejection; 5] {
    let submission = Submission::default();
    [
        validate::<AppAttest>(&submission, evidence, configuration, &NoHost),
        validate::<DeviceCheck>(&submission, evidence, configuration, &NoHost),
        validate::<PlayIntegrity>(&submission, evidence, configuration, &NoHost),
        validate::<AndroidKey>(&submission, evidence, configuration, &NoHost),
        validate::<SafetyNet>(&submission, evidence, configuration, &NoHost),
    ]
    .map(rejection)
}

#[track_caller]
fn check(found: &Rejection, code: &str, stage: Stage) {
    assert_eq!((found.code, found.stage, found.retryable), (code, stage, stage == Stage::Config), "{}", found.detail);
}

#[test]
fn a_phone_that_sends_no_evidence_is_refused() {
    for found in each(None, "{}") {
        check(&found, "evidence-missing", Stage::Parse);
    }
}

#[test]
fn methods_of_others_are_refused() {
    for method in ["", "APP-ATTEST", "acme"] {
        for found in each(Some(&evidence(method)), "{}") {
            check(&found, "method-unsupported", Stage::Parse);
        }
    }
    let found = validate::<SafetyNet>(&Submission::default(), Some(&evidence("android-key")), "{}", &NoHost);
    check(&rejection(found), "method-unsupported", Stage::Parse);
}

#[test]
fn each_method_has_one_validator() {
    let methods =
        [AppAttest::METHODS, DeviceCheck::METHODS, PlayIntegrity::METHODS, AndroidKey::METHODS, SafetyNet::METHODS];
    let expected = [
        "app-attest",
        "app-attest-assertion",
        "device-check",
        "play-integrity-classic",
        "play-integrity-standard",
        "android-key",
        "safetynet",
    ];
    assert_eq!(methods.concat(), expected);
}

#[test]
fn without_a_configuration_nothing_is_judged() {
    for configuration in ["", " \n"] {
        for found in each(None, configuration) {
            check(&found, "config-missing", Stage::Config);
        }
    }
    // Defaults alone never suffice.
    let first = |method: &str| each(Some(&evidence(method)), "{}");
    check(&first("safetynet")[4], "config-missing", Stage::Config);
    check(&first("android-key")[3], "config-missing", Stage::Config);
    check(&first("play-integrity-classic")[2], "config-missing", Stage::Config);
    check(&first("device-check")[1], "config-missing", Stage::Config);
}

#[test]
fn a_wrong_configuration_is_refused_before_evidence_is_looked_at_and_names_the_field() {
    let check = |configuration: &str, named: &str| {
        for evidence in [None, Some(&evidence("acme"))] {
            for found in each(evidence, configuration) {
                check(&found, "config-invalid", Stage::Config);
                assert!(found.detail.contains(named), "{} lacks {named}", found.detail);
            }
        }
    };
    check(r#"{"no_such_field": 1}"#, "no_such_field");
    check(r#"{"score": 101}"#, "score");
    check(r#"{"score": -1}"#, "score");
    check(r#"{"score": "high"}"#, "score");
    check(r#"{"score": 50, "other": 1}"#, "other");
    check("[]", "object");
    check("null", "object");
    check("{", "EOF");
    check(r#"{"score": 1, "score": 2}"#, "score");
    check(&json!({"x".repeat(5_000): 1}).to_string(), "xxx");
    for found in each(None, &json!({"x".repeat(5_000): 1}).to_string()) {
        assert_eq!(found.detail.chars().count(), 1_000);
    }
}

#[test]
fn scores_are_0_to_100_and_100_by_default() {
    let read = |text: &str| configuration::read::<SafetyNetConfig>(text).map(|config| config.score.get());
    assert_eq!(read("{}"), Ok(100));
    assert_eq!(read(r#"{"score": 0}"#), Ok(0));
    assert_eq!(read(r#"{"score": 100}"#), Ok(100));
    assert_eq!(Score::try_from(256), Err("a score is 0 to 100"));
}

#[test]
fn an_answer_that_nobody_asked_for_is_refused() {
    let answer = HttpAnswer::Response { status: 200, body: Vec::new() };
    let found = resume::<SafetyNet>(&Submission::default(), Some(&evidence("safetynet")), "{}", &NoHost, &answer);
    check(&rejection(found), "answer-unexpected", Stage::Upstream);
}

#[test]
fn base64_may_be_padded_and_has_one_spelling_otherwise() {
    for (text, expected) in [
        ("", Some(vec![])),
        ("AQ==", Some(vec![1])),
        ("AQ", Some(vec![1])),
        ("+/8=", Some(vec![0xfb, 0xff])),
        ("+/8", Some(vec![0xfb, 0xff])),
        ("-_8", None),
        ("AR", None),
        ("AQ=", None),
        ("A", None),
        ("AQ\n", None),
    ] {
        assert_eq!(decode_base64(text.as_bytes()), expected, "{text:?}");
    }
    assert_eq!(decode_base64(&[0xff]), None);
}
