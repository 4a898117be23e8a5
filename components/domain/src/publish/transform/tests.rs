use super::*;
use crate::exposure::ReportType;
use crate::health_authority::HealthAuthorityId;
use std::borrow::Cow;

/// 2020-09-14T12:34:56Z, in interval 2666811.
const NOW: Timestamp = Timestamp::from_unix(1_600_086_896);
const NOW_INTERVAL: i32 = 2_666_811;
/// First interval of that day.
const TODAY: i32 = 2_666_736;
/// Smallest end that is accepted with a maximal age of 360 h.
const OLDEST_END: i32 = NOW_INTERVAL - 15 * 144;

fn key(byte: u8, start: i32, period: i32) -> RequestKey<'static> {
    RequestKey {
        key: Cow::Owned(base64::encode(&[byte; 16])),
        rolling_start: start,
        rolling_period: period,
        transmission_risk: 0,
    }
}

fn request(keys: Vec<RequestKey<'static>>) -> PublishRequest<'static> {
    PublishRequest { keys, ..PublishRequest::default() }
}

fn claims(report_type: ReportType) -> Claims {
    Claims { health_authority: HealthAuthorityId(1), report_type, symptom_onset: None }
}

fn run(request: &PublishRequest<'_>) -> Result<Transformed, TransformError> {
    transform(request, None, &PublishSettings::default(), NOW)
}

/// Transforms one key with an onset on the key's own day, so that onset does not drop it.
fn run_one(key: RequestKey<'static>, settings: &PublishSettings) -> Result<NewExposure, String> {
    let mut request = request(vec![key]);
    let settings = PublishSettings { max_onset_days: 127, ..settings.clone() };
    request.symptom_onset_interval = NOW_INTERVAL - 1;
    match transform(&request, None, &settings, NOW) {
        Ok(outcome) => Ok(outcome.keys[0]),
        Err(TransformError { reason: Unusable::EveryKeyBad(errors), .. }) => Err(errors.concat()),
        Err(other) => Err(other.reason.to_string()),
    }
}

#[test]
fn constants_agree_with_each_other() {
    assert_eq!(NOW.interval().get(), NOW_INTERVAL);
    assert_eq!(NOW.utc_midnight().interval().get(), TODAY);
}

#[test]
fn number_of_keys_is_bounded() {
    assert_eq!(run(&request(vec![])).map_err(|error| error.reason), Err(Unusable::NoKeys));
    let keys = |count: u8| (0..count).map(|i| key(i, TODAY - 144 * (1 + i32::from(i) / 3), 144)).collect();
    assert_eq!(run(&request(keys(30))).map(|outcome| outcome.keys.len()), Ok(30));
    let error = run(&request(keys(31))).expect_err("too many");
    assert_eq!(error.reason.to_string(), "too many exposure keys in publish: 31, max of 30 is allowed");
    // Keys are counted before any is dropped.
    let many = run(&request(vec![key(1, 0, 0); 31])).expect_err("too many");
    assert_eq!(many.reason, Unusable::TooManyKeys { count: 31, max: 30 });
}

#[test]
fn single_keys_are_checked_at_each_boundary() {
    let with_key = |text: &'static str| RequestKey { key: text.into(), ..key(0, TODAY, 144) };
    let with_risk = |risk| RequestKey { transmission_risk: risk, ..key(1, TODAY, 144) };
    for (sent, expect) in [
        (with_key("AAAAAAAAAAAAAAAAAAAAAA"), ""),
        (with_key("_____________________-=="), ""),
        (with_key("AAAAAAAA\nAAAAAAAAAAAAAA="), ""),
        (with_key("AAAA*"), "illegal base64 data at input byte 4"),
        (with_key("AAAAAAAAAAAAAAAAAAAA*A=="), "illegal base64 data at input byte 20"),
        (with_key(""), "invalid key length, 0, must be 16"),
        (with_key("AAAAAAAAAAAAAAAAAAAA"), "invalid key length, 15, must be 16"),
        (with_key("AAAAAAAAAAAAAAAAAAAAAAA"), "invalid key length, 17, must be 16"),
        (with_key("AAAAAAAAAAAAAAAAAAAAAAAA"), "invalid key length, 18, must be 16"),
        (key(1, TODAY, 0), "invalid interval count, 0, must be >= 1 && <= 144"),
        (key(1, TODAY, -1), "invalid interval count, -1, must be >= 1 && <= 144"),
        (key(1, TODAY, 145), "invalid interval count, 145, must be >= 1 && <= 144"),
        (key(1, TODAY, 400), "invalid interval count, 400, must be >= 1 && <= 144"),
        (key(1, TODAY, 1), ""),
        (key(1, OLDEST_END - 144, 144), ""),
        (key(1, OLDEST_END - 1, 1), ""),
        (
            key(1, OLDEST_END - 145, 144),
            "key expires before minimum window; 2664506 + 144 = 2664650 which is too old, must be >= 2664651",
        ),
        (
            key(1, i32::MIN, 1),
            "key expires before minimum window; -2147483648 + 1 = -2147483647 which is too old, must be >= 2664651",
        ),
        (key(1, NOW_INTERVAL, 144), ""),
        (key(1, NOW_INTERVAL + 1, 144), "interval number 2666812 is in the future, must be <= 2666811"),
        (key(1, i32::MAX, 144), "interval number 2147483647 is in the future, must be <= 2666811"),
        (with_risk(0), ""),
        (with_risk(8), ""),
        (with_risk(9), "invalid transmission risk: 9, must be >= 0 && <= 8"),
        (with_risk(-1), "invalid transmission risk: -1, must be >= 0 && <= 8"),
        (with_risk(i64::MAX), "invalid transmission risk: 9223372036854775807, must be >= 0 && <= 8"),
        // The first failure is the one that is told.
        (
            RequestKey { transmission_risk: 9, ..key(1, i32::MAX, 0) },
            "invalid interval count, 0, must be >= 1 && <= 144",
        ),
    ] {
        let expect = if expect.is_empty() { Ok(()) } else { Err(format!("key 0 cannot be imported: {expect}")) };
        assert_eq!(run_one(sent, &PublishSettings::default()).map(drop), expect);
    }
}

#[test]
fn key_bytes_are_those_that_were_sent() {
    let bytes: [u8; 16] = std::array::from_fn(|i| 0xf0 + i as u8);
    for text in [base64::encode(&bytes), base64::encode_url(&bytes)] {
        let sent = RequestKey { key: Cow::Owned(text), ..key(0, TODAY, 144) };
        assert_eq!(run_one(sent, &PublishSettings::default()).map(|key| *key.key.as_bytes()), Ok(bytes));
    }
}

#[test]
fn valid_key_is_held_back_until_it_has_expired() {
    let settings = PublishSettings::default();
    let released = PublishSettings { release_same_day_keys: true, ..settings.clone() };
    let day = PublishSettings { truncate_window_seconds: 86_400, ..settings.clone() };
    let none = PublishSettings { truncate_window_seconds: 0, ..settings.clone() };
    let midnight = i64::from(TODAY) * 600;
    for (settings, start, period, created_at) in [
        (&settings, TODAY - 144, 144, midnight + 12 * 3600),
        (&settings, TODAY, NOW_INTERVAL - TODAY, midnight + 12 * 3600),
        (&settings, TODAY, NOW_INTERVAL - TODAY + 1, midnight + 13 * 3600),
        (&settings, TODAY, 144, midnight + 25 * 3600),
        (&settings, TODAY, 143, midnight + 24 * 3600),
        (&released, TODAY, 144, midnight + 12 * 3600),
        (&day, TODAY, 144, midnight + 2 * 86_400),
        (&day, TODAY - 144, 144, midnight),
        (&none, TODAY - 144, 144, NOW.unix()),
        (&none, TODAY, 144, midnight + 86_400),
    ] {
        let found = run_one(key(1, start, period), settings).map(|key| key.created_at.unix());
        assert_eq!(found, Ok(created_at), "{start} + {period}");
    }
}

#[test]
fn onset_comes_from_phone_then_certificate_then_default() {
    let oldest = TODAY - 28 * 144;
    let default = NOW.plus_seconds(-4 * 86_400).interval().get();
    let settings = PublishSettings::default();
    for (sent, claimed, expect) in [
        (NOW_INTERVAL - 1, Some(2_666_000), NOW_INTERVAL - 1),
        (oldest, Some(2_666_000), oldest),
        (NOW_INTERVAL, Some(2_666_000), 2_666_000),
        (oldest - 1, Some(2_666_000), 2_666_000),
        (0, Some(2_666_000), 2_666_000),
        (-5, None, default),
        (i32::MAX, Some(0), default),
        (0, Some(u32::MAX), default),
        (0, Some(oldest.cast_unsigned() - 1), default),
        (0, Some(NOW_INTERVAL.cast_unsigned()), default),
        (0, None, default),
    ] {
        let claims = Claims { symptom_onset: claimed, ..claims(ReportType::ConfirmedTest) };
        assert_eq!(Onset::of(sent, Some(&claims), &settings, NOW).interval().get(), expect, "{sent} {claimed:?}");
    }
    assert_eq!(Onset::of(0, None, &settings, NOW).interval().get(), default);
}

#[test]
fn key_too_far_from_onset_is_dropped_with_a_warning() {
    // Onset 28 days ago is believed; each key's distance from it is limited to 14 days.
    let mut request =
        request(vec![key(1, TODAY - 14 * 144, 144), key(2, TODAY - 13 * 144, 144), key(3, TODAY - 12 * 144, 144)]);
    request.symptom_onset_interval = TODAY - 28 * 144 + 100;
    let outcome = run(&request).expect("one key");
    assert_eq!(outcome.keys.len(), 1);
    assert_eq!(outcome.keys[0].days_since_onset, Some(14));
    assert_eq!(outcome.errors, Vec::<String>::new());
    assert_eq!(
        outcome.warnings,
        [
            "key 1 symptom onset is too large, 15 > 14 - saving without this key",
            "key 2 symptom onset is too large, 16 > 14 - saving without this key"
        ]
    );
    request.keys.remove(0);
    let all_dropped = run(&request).expect("no error");
    assert_eq!((all_dropped.keys.len(), all_dropped.warnings.len(), all_dropped.error_text()), (0, 2, None));
}

#[test]
fn days_since_onset_may_be_negative() {
    let mut request = request(vec![key(1, TODAY - 14 * 144 + 143, 1)]);
    request.symptom_onset_interval = TODAY;
    assert_eq!(run(&request).map(|outcome| outcome.keys[0].days_since_onset), Ok(Some(-14)));
}

#[test]
fn claims_give_report_type_and_missing_risk() {
    let mut with_risk = key(2, TODAY - 144, 144);
    with_risk.transmission_risk = 7;
    let request = request(vec![key(1, TODAY - 144, 144), with_risk]);
    for (report_type, risk) in [
        (ReportType::ConfirmedTest, 2),
        (ReportType::ConfirmedClinicalDiagnosis, 4),
        (ReportType::Revoked, 6),
        (ReportType::SelfReport, 0),
    ] {
        let claims = claims(report_type);
        let outcome = transform(&request, Some(&claims), &PublishSettings::default(), NOW).expect("valid");
        let found: Vec<_> = outcome.keys.iter().map(|key| (key.report_type, key.transmission_risk.get())).collect();
        assert_eq!(found, [(Some(report_type), risk), (Some(report_type), 7)]);
    }
    let outcome = run(&request).expect("valid");
    assert_eq!((outcome.keys[0].report_type, outcome.keys[0].transmission_risk.get()), (None, 0));
}

#[test]
fn bad_keys_are_dropped_and_the_others_go_on() {
    let outcome = run(&request(vec![key(1, TODAY, 0), key(2, TODAY, 144), key(3, TODAY, 999)])).expect("one is good");
    assert_eq!(outcome.keys.len(), 1);
    assert_eq!(
        outcome.error_text().as_deref(),
        Some(
            "2 errors occurred:\n\t* key 0 cannot be imported: invalid interval count, 0, must be >= 1 && <= 144\n\
             \t* key 2 cannot be imported: invalid interval count, 999, must be >= 1 && <= 144\n\n"
        )
    );
    let error = run(&request(vec![key(1, TODAY, 0)])).expect_err("none is good");
    assert_eq!(
        error.reason.to_string(),
        "1 error occurred:\n\t* key 0 cannot be imported: invalid interval count, 0, must be >= 1 && <= 144\n\n"
    );
}

#[test]
fn keys_may_overlap_only_when_they_start_together() {
    let d = TODAY - 144;
    let overlap = |start, last, next| Err(Unusable::Overlap { start, last, next });
    let (d64, m) = (i64::from(d), 144);
    for (spans, expect) in [
        (vec![(d, m), (d - m, m)], Ok(2)),
        (vec![(d, m), (d - 2 * m, m)], Ok(2)),
        (vec![(d, m), (d, 10), (d, m)], Ok(3)),
        (vec![(d, 10), (d + 10, 5)], Ok(2)),
        (vec![(d + 9, 5), (d, 10)], overlap(d64 + 9, d64, d64 + 10)),
        (vec![(d, 10), (d, 20), (d + 15, 5)], overlap(d64 + 15, d64, d64 + 20)),
        // A dropped key overlaps with nothing.
        (vec![(d, 0), (d + 1, 5)], Ok(1)),
    ] {
        let keys = spans.iter().zip(1..).map(|(&(start, period), byte)| key(byte, start, period)).collect();
        let found = run(&request(keys)).map(|outcome| outcome.keys.len()).map_err(|error| error.reason);
        assert_eq!(found, expect, "{spans:?}");
    }
    let text = Unusable::Overlap { start: 9, last: 1, next: 10 }.to_string();
    assert_eq!(
        text,
        "exposure keys have non aligned overlapping intervals. 9 overlaps with previous key that is good from 1 to 10."
    );
}

#[test]
fn three_keys_may_start_together_and_four_may_not() {
    let keys = |count: u8| request((0..count).map(|byte| key(byte, TODAY, 144)).collect());
    assert_eq!(run(&keys(3)).map(|outcome| outcome.keys.len()), Ok(3));
    let error = run(&keys(4)).expect_err("four");
    assert_eq!(
        error.reason.to_string(),
        format!("too many overlapping keys for start interval: {TODAY} want: <= 3, got: 4")
    );
}

#[test]
fn whole_request_failures_keep_the_warnings() {
    let mut request = request((0..4).map(|byte| key(byte, TODAY, 144)).collect());
    request.keys.push(key(9, TODAY - 144 * 14, 144));
    request.symptom_onset_interval = NOW_INTERVAL - 1;
    let settings = PublishSettings { max_onset_days: 1, ..PublishSettings::default() };
    let error = transform(&request, None, &settings, NOW).expect_err("four start together");
    assert_eq!(error.warnings, ["key 4 symptom onset is too large, 14 > 1 - saving without this key"]);
}

#[test]
fn of_equal_keys_the_last_remains() {
    let risk = |risk| RequestKey { transmission_risk: risk, ..key(1, TODAY, 144) };
    let outcome = run(&request(vec![risk(3), key(0, TODAY, 144), risk(5)])).expect("valid");
    let found: Vec<_> = outcome.keys.iter().map(|key| (key.key.as_bytes()[0], key.transmission_risk.get())).collect();
    assert_eq!(found, [(0, 0), (1, 5)]);
}
