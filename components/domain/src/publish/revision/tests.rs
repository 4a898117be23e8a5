use super::*;
use crate::exposure::TransmissionRisk;
use crate::interval::{IntervalNumber, RollingPeriod, Timestamp};
use crate::tek::TemporaryExposureKey;
use ReportType::{ConfirmedClinicalDiagnosis, ConfirmedTest, Revoked, SelfReport};

const STRICT: RevisionPolicy = RevisionPolicy { require_token: true, allow_partial: false };
const PARTIAL: RevisionPolicy = RevisionPolicy { require_token: true, allow_partial: true };
const BYPASS: RevisionPolicy = RevisionPolicy { require_token: false, allow_partial: false };

fn key(byte: u8) -> TemporaryExposureKey {
    TemporaryExposureKey::new([byte; 16])
}

fn incoming(byte: u8, report_type: ReportType) -> NewExposure {
    NewExposure {
        key: key(byte),
        rolling_start: IntervalNumber::new(1000),
        rolling_period: RollingPeriod::DAY,
        transmission_risk: TransmissionRisk::default().backfilled(Some(report_type)),
        report_type: Some(report_type),
        days_since_onset: Some(3),
        created_at: Timestamp::from_unix(7200),
    }
}

fn stored(byte: u8, report_type: Option<ReportType>, revised: Option<ReportType>) -> StoredExposure {
    StoredExposure {
        id: u64::from(byte) + 100,
        version: 9,
        key: key(byte),
        rolling_start: IntervalNumber::new(1000),
        rolling_period: RollingPeriod::DAY,
        report_type,
        revised_report_type: revised,
        local_provenance: true,
        created_at: Timestamp::from_unix(3600),
    }
}

fn found(existing: Vec<StoredExposure>) -> Found {
    Found { existing, open_from: Timestamp::from_unix(0) }
}

fn token(bytes: &[u8]) -> RevisionToken {
    RevisionToken::Open(bytes.iter().map(|byte| TokenEntry::from(&incoming(*byte, ConfirmedTest))).collect())
}

fn token_keys(decision: &Decision) -> Vec<u8> {
    decision.token_entries.iter().map(|entry| entry.key.as_bytes()[0]).collect()
}

#[test]
fn new_keys_need_no_token_whatever_it_is() {
    for token in [RevisionToken::Absent, RevisionToken::Unreadable, token(&[])] {
        let keys = [incoming(1, ConfirmedTest), incoming(2, ConfirmedTest)];
        let decision = decide(&keys, &found(vec![]), &token, STRICT).expect("new keys");
        assert_eq!(decision.inserts, keys);
        assert_eq!((decision.revisions.len(), token_keys(&decision)), (0, vec![1, 2]));
    }
}

#[test]
fn unknown_negative_key_is_not_stored_but_remembered() {
    let decision = decide(&[incoming(1, Revoked)], &found(vec![]), &RevisionToken::Absent, STRICT).expect("allowed");
    assert!(decision.inserts.is_empty() && decision.revisions.is_empty());
    assert_eq!(token_keys(&decision), [1]);
}

#[test]
fn existing_key_needs_a_token_that_holds_it() {
    let mut other_start = TokenEntry::from(&incoming(1, ConfirmedTest));
    other_start.rolling_start = IntervalNumber::new(999);
    let mut other_period = TokenEntry::from(&incoming(1, ConfirmedTest));
    other_period.rolling_period = RollingPeriod::try_from(143).expect("1 to 144");
    let good = TokenEntry::from(&incoming(1, ConfirmedTest));
    let open = |entries: &[TokenEntry]| RevisionToken::Open(entries.to_vec());
    for (token, policy, expect) in [
        (RevisionToken::Absent, STRICT, Err(RevisionError::MissingToken)),
        (RevisionToken::Absent, PARTIAL, Err(RevisionError::MissingToken)),
        (RevisionToken::Absent, BYPASS, Ok(1)),
        (RevisionToken::Unreadable, STRICT, Err(RevisionError::InvalidToken)),
        (RevisionToken::Unreadable, PARTIAL, Err(RevisionError::InvalidToken)),
        (RevisionToken::Unreadable, BYPASS, Ok(1)),
        (token(&[]), STRICT, Err(RevisionError::InvalidToken)),
        (token(&[2]), STRICT, Err(RevisionError::InvalidToken)),
        (token(&[2]), PARTIAL, Ok(0)),
        (token(&[2]), BYPASS, Ok(1)),
        (token(&[1]), STRICT, Ok(1)),
        (open(&[other_start]), STRICT, Err(RevisionError::InvalidToken)),
        (open(&[other_start]), PARTIAL, Err(RevisionError::InvalidToken)),
        (open(&[other_start]), BYPASS, Ok(1)),
        (open(&[other_period]), STRICT, Err(RevisionError::InvalidToken)),
        (open(&[other_period, good]), STRICT, Ok(1)),
        (open(&[good, other_period]), STRICT, Err(RevisionError::InvalidToken)),
    ] {
        let existing = found(vec![stored(1, Some(ConfirmedClinicalDiagnosis), None)]);
        let decision = decide(&[incoming(1, ConfirmedTest)], &existing, &token, policy);
        assert_eq!(decision.map(|decision| decision.revisions.len()), expect, "{token:?} {policy:?}");
    }
}

#[test]
fn missing_token_fails_new_keys_and_unchanged_ones_too() {
    let existing = found(vec![stored(1, Some(ConfirmedTest), None)]);
    let keys = [incoming(1, ConfirmedTest), incoming(2, ConfirmedTest)];
    assert_eq!(decide(&keys, &existing, &RevisionToken::Absent, STRICT), Err(RevisionError::MissingToken));
}

#[test]
fn key_with_other_times_is_refused_unless_tokens_are_bypassed() {
    let mut other = stored(1, Some(ConfirmedClinicalDiagnosis), None);
    other.rolling_start = IntervalNumber::new(1001);
    let run = |policy| {
        decide(&[incoming(1, ConfirmedTest)], &found(vec![other]), &token(&[1]), policy)
            .map(|decision| decision.revisions.len())
    };
    assert_eq!(run(STRICT), Err(RevisionError::KeyMismatch));
    assert_eq!(run(PARTIAL), Err(RevisionError::KeyMismatch));
    assert_eq!(run(BYPASS), Ok(1));
}

#[test]
fn report_types_change_only_along_the_allowed_paths() {
    let types = [None, Some(ConfirmedTest), Some(ConfirmedClinicalDiagnosis), Some(SelfReport), Some(Revoked)];
    let allowed = |from: Option<ReportType>, to: Option<ReportType>| {
        let to = to.map(ReportType::wire).unwrap_or_default();
        match from.map(ReportType::wire) {
            None | Some("likely") => ["confirmed", "negative"].contains(&to),
            Some("user-report") => ["confirmed", "likely", "negative"].contains(&to),
            Some(_) => false,
        }
    };
    for from in types {
        for to in types {
            let sent = NewExposure { report_type: to, ..incoming(1, ConfirmedTest) };
            let found = revise(&stored(1, from, None), &sent).map(|revision| revision.map(|r| r.report_type));
            let expect = match to {
                _ if from == to => Ok(None),
                Some(to_type) if allowed(from, to) => Ok(Some(to_type)),
                Some(_) | None => Err(RevisionError::InvalidTransition { from, to }),
            };
            assert_eq!(found, expect, "{from:?} to {to:?}");
        }
    }
}

#[test]
fn key_is_revised_once_and_repeating_either_report_changes_nothing() {
    let row = stored(1, Some(SelfReport), Some(ConfirmedTest));
    assert_eq!(revise(&row, &incoming(1, SelfReport)), Ok(None));
    assert_eq!(revise(&row, &incoming(1, ConfirmedTest)), Ok(None));
    assert_eq!(revise(&row, &incoming(1, Revoked)), Err(RevisionError::AlreadyRevised));
    // Also an impossible change is told as a second one.
    assert_eq!(
        revise(&row, &NewExposure { report_type: None, ..incoming(1, Revoked) }),
        Err(RevisionError::AlreadyRevised)
    );
}

#[test]
fn imported_key_is_not_revised_by_a_publish() {
    let row = StoredExposure { local_provenance: false, ..stored(1, Some(SelfReport), Some(ConfirmedTest)) };
    assert_eq!(revise(&row, &incoming(1, Revoked)), Err(RevisionError::NotLocal));
    assert_eq!(revise(&row, &incoming(1, SelfReport)), Ok(None));
}

#[test]
fn revision_carries_what_the_request_says_and_the_row_it_was_decided_on() {
    let existing = found(vec![stored(1, Some(ConfirmedClinicalDiagnosis), None)]);
    let decision = decide(&[incoming(1, ConfirmedTest)], &existing, &token(&[1]), STRICT).expect("allowed");
    let revision = Revision {
        report_type: ConfirmedTest,
        revised_at: Timestamp::from_unix(7200),
        days_since_onset: Some(3),
        transmission_risk: TransmissionRisk::try_from(2).expect("0 to 8"),
    };
    assert_eq!(decision.revisions, [RevisionOf { id: 101, expected_version: 9, key: key(1), revision }]);
    assert_eq!((decision.inserts.len(), token_keys(&decision)), (0, vec![1]));
}

#[test]
fn revision_of_a_key_that_is_held_back_waits_for_it() {
    let held_back =
        StoredExposure { created_at: Timestamp::from_unix(7201), ..stored(1, Some(ConfirmedClinicalDiagnosis), None) };
    let revision = revise(&held_back, &incoming(1, Revoked)).expect("allowed").expect("a change");
    assert_eq!(revision.revised_at.unix(), 7201);
}

#[test]
fn unchanged_and_dropped_keys_are_not_given_to_the_token() {
    let existing = found(vec![
        stored(1, Some(ConfirmedTest), None),
        stored(2, Some(ConfirmedClinicalDiagnosis), None),
        stored(3, Some(ConfirmedClinicalDiagnosis), None),
    ]);
    let keys = [1, 2, 3, 4].map(|byte| incoming(byte, ConfirmedTest));
    let decision = decide(&keys, &existing, &token(&[1, 3]), PARTIAL).expect("partial");
    assert_eq!(decision.revisions.iter().map(|revision| revision.id).collect::<Vec<_>>(), [103]);
    assert_eq!(decision.inserts, [incoming(4, ConfirmedTest)]);
    assert_eq!(token_keys(&decision), [4, 3]);
}

#[test]
fn one_bad_key_fails_the_whole_request() {
    let existing = found(vec![stored(1, Some(ConfirmedTest), None)]);
    let keys = [incoming(1, Revoked), incoming(2, Revoked)];
    let error = decide(&keys, &existing, &token(&[1]), STRICT).expect_err("no way from confirmed");
    assert_eq!(
        error.to_string(),
        "invalid report type transition: cannot transition from \"confirmed\" to \"negative\""
    );
    assert_eq!(error.code(), PublishCode::InvalidReportTypeTransition);
}

#[test]
fn token_is_checked_for_every_key_before_any_report_type() {
    let existing = found(vec![stored(1, Some(ConfirmedTest), None), stored(2, Some(SelfReport), None)]);
    let keys = [incoming(1, Revoked), incoming(2, Revoked)];
    assert_eq!(decide(&keys, &existing, &token(&[1]), STRICT), Err(RevisionError::InvalidToken));
}

#[test]
fn nothing_is_stored_with_a_time_that_exports_have_passed() {
    let existing = Found {
        existing: vec![stored(1, Some(ConfirmedClinicalDiagnosis), None)],
        open_from: Timestamp::from_unix(9000),
    };
    let later = NewExposure { created_at: Timestamp::from_unix(10_000), ..incoming(3, ConfirmedTest) };
    let keys = [incoming(1, ConfirmedTest), incoming(2, ConfirmedTest), later];
    let decision = decide(&keys, &existing, &token(&[1]), STRICT).expect("allowed");
    let times: Vec<_> = decision.inserts.iter().map(|exposure| exposure.created_at.unix()).collect();
    assert_eq!(times, [9000, 10_000]);
    assert_eq!(decision.revisions[0].revision.revised_at.unix(), 9000);
}
