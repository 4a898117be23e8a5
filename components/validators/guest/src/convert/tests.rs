use super::*;
use tocsin_attestation::contract::Score;

fn submission(sha256: Vec<u8>) -> Submission {
    Submission {
        app: "org.example.app".to_owned(),
        issuer: Some("gov.example".to_owned()),
        report_type: Some(ReportType::SelfReport),
        symptom_onset: Some(7),
        keys: vec![KeyMetadata { rolling_start: -5, rolling_period: 144, transmission_risk: 8 }],
        regions: vec!["US".to_owned()],
        traveler: true,
        transcripts: vec![Transcript { format: "ens-v4".to_owned(), sha256 }],
        challenge: Some(vec![9]),
    }
}

#[test]
fn every_field_of_a_submission_arrives() {
    let expected = contract::Submission {
        app: "org.example.app".to_owned(),
        issuer: Some("gov.example".to_owned()),
        report_type: Some(contract::ReportType::SelfReport),
        symptom_onset: Some(7),
        keys: vec![contract::KeyMetadata { rolling_start: -5, rolling_period: 144, transmission_risk: 8 }],
        regions: vec!["US".to_owned()],
        traveler: true,
        transcripts: vec![contract::Transcript { format: "ens-v4".to_owned(), sha256: [3; 32] }],
        challenge: Some(vec![9]),
    };
    assert_eq!(submission_from_wit(submission(vec![3; 32])), expected);
}

#[test]
fn a_hash_of_another_length_is_none() {
    for length in [0, 31, 33] {
        assert_eq!(submission_from_wit(submission(vec![3; length])).transcripts, vec![], "{length}");
    }
}

#[test]
fn report_types_keep_their_meaning() {
    let check = |wit, expected| assert_eq!(report_type_from_wit(wit), expected);
    check(ReportType::ConfirmedTest, contract::ReportType::ConfirmedTest);
    check(ReportType::ConfirmedClinicalDiagnosis, contract::ReportType::ConfirmedClinicalDiagnosis);
    check(ReportType::SelfReport, contract::ReportType::SelfReport);
    check(ReportType::Recursive, contract::ReportType::Recursive);
    check(ReportType::Revoked, contract::ReportType::Revoked);
}

#[test]
fn evidence_and_answers_arrive_as_they_are() {
    let evidence =
        Evidence { method: "m".to_owned(), token: vec![1], chain: vec![vec![2], vec![]], key_id: Some(vec![4]) };
    let expected = contract::Evidence {
        method: "m".to_owned(),
        token: vec![1],
        chain: vec![vec![2], vec![]],
        key_id: Some(vec![4]),
    };
    assert!(evidence_from_wit(evidence) == expected);
    let response = Some(HttpResponse { status: 429, body: vec![5] });
    assert_eq!(answer_from_wit(response), contract::HttpAnswer::Response { status: 429, body: vec![5] });
    assert_eq!(answer_from_wit(None), contract::HttpAnswer::None);
}

#[test]
fn stored_keys_go_there_and_back() {
    let key = || contract::AttestedKey {
        key_id: vec![1],
        app: "a".to_owned(),
        public_key: vec![4, 5],
        development: true,
        counter: 6,
        attested_at: 7,
    };
    let Commit::StoreKey(stored) = commit_to_wit(contract::Commit::StoreKey(key())) else { panic!("a key") };
    assert!(attested_key_from_wit(stored) == key());
}

#[test]
fn an_acceptance_keeps_score_signals_and_commits() {
    let digest = [8; 32];
    let acceptance = contract::Acceptance {
        score: Score::try_from(40).unwrap(),
        signals: vec![("name".to_owned(), "value".to_owned())],
        commits: vec![
            contract::Commit::ClaimOnce { space: "s".to_owned(), digest, expires_at: 99 },
            contract::Commit::AdvanceCounter { key_id: vec![1], expected: 2, next: 3 },
        ],
    };
    let Verdict::Accept(found) = verdict_to_wit(contract::Outcome::Accept(acceptance)) else { panic!("accepted") };
    let Acceptance { score, signals, commits } = found;
    assert_eq!((score, signals), (40, vec![("name".to_owned(), "value".to_owned())]));
    let [Commit::ClaimOnce(Claim { space, digest: found, expires_at }), Commit::AdvanceCounter(step)] =
        commits.as_slice()
    else {
        panic!("both commits, in their order")
    };
    assert_eq!((space.as_str(), found.as_slice(), *expires_at), ("s", digest.as_slice(), 99));
    let CounterStep { key_id, expected, next } = step;
    assert_eq!((key_id.as_slice(), *expected, *next), ([1].as_slice(), 2, 3));
}

#[test]
fn a_rejection_keeps_code_stage_and_whether_to_try_again() {
    let stages = [
        (contract::Stage::Config, Stage::Config),
        (contract::Stage::Parse, Stage::Parse),
        (contract::Stage::Chain, Stage::Chain),
        (contract::Stage::Signature, Stage::Signature),
        (contract::Stage::Binding, Stage::Binding),
        (contract::Stage::Identity, Stage::Identity),
        (contract::Stage::Freshness, Stage::Freshness),
        (contract::Stage::Integrity, Stage::Integrity),
        (contract::Stage::State, Stage::State),
        (contract::Stage::Upstream, Stage::Upstream),
        (contract::Stage::Policy, Stage::Policy),
    ];
    for (stage, expected) in stages {
        let rejection = contract::Rejection::retryable("code", stage, "detail");
        let Verdict::Reject(found) = verdict_to_wit(contract::Outcome::Reject(rejection)) else { panic!("rejected") };
        let Rejection { code, stage, retryable, detail } = found;
        assert_eq!((code.as_str(), stage, retryable, detail.as_str()), ("code", expected, true, "detail"));
    }
}

#[test]
fn a_question_is_passed_on_whole() {
    let exchange = contract::Exchange {
        request: contract::HttpRequest {
            method: "POST".to_owned(),
            url: "https://host.example/".to_owned(),
            headers: vec![("a".to_owned(), "b".to_owned())],
            body: vec![1, 2],
            credential: Some("c".to_owned()),
        },
        continuation: vec![3],
    };
    let Verdict::Ask(Exchange { request, continuation }) = verdict_to_wit(contract::Outcome::Exchange(exchange)) else {
        panic!("a question")
    };
    let HttpRequest { method, url, headers, body, credential } = request;
    assert_eq!((method.as_str(), url.as_str(), continuation), ("POST", "https://host.example/", vec![3]));
    assert_eq!((headers, body), (vec![("a".to_owned(), "b".to_owned())], vec![1, 2]));
    assert_eq!(credential.as_deref(), Some("c"));
}
