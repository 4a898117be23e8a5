use super::*;
use proptest::prelude::*;

const JSON: Option<&str> = Some("application/json");

fn parse(body: &str) -> Result<PublishRequest<'_>, RequestError> {
    PublishRequest::parse(JSON, body.as_bytes())
}

fn invalid(field: &str, position: usize) -> RequestError {
    RequestError::InvalidValue(field.to_owned(), position)
}

const FULL: &str = r#"{"temporaryExposureKeys":[{"key":"a+b=","rollingStartNumber":-5,"rollingPeriod":144,"transmissionRisk":3},{}],
    "healthAuthorityID":"App","verificationPayload":"x.y.z","hmacKey":"aa","symptomOnsetInterval":7,"traveler":true,
    "revisionToken":"cc","padding":"!not base64!","platform":"ios","deviceVerificationMethod":"app-attest",
    "deviceVerificationPayload":"dd","deviceKeyId":"ee","deviceCertificates":["ff","gg"],"deviceChallenge":"hh"}"#;

fn full() -> PublishRequest<'static> {
    PublishRequest {
        keys: vec![
            RequestKey { key: "a+b=".into(), rolling_start: -5, rolling_period: 144, transmission_risk: 3 },
            RequestKey::default(),
        ],
        health_authority_id: "App".into(),
        verification_payload: "x.y.z".into(),
        hmac_key: "aa".into(),
        symptom_onset_interval: 7,
        traveler: true,
        revision_token: "cc".into(),
        regions: Vec::new(),
        chaff: None,
        device: DeviceEvidence {
            platform: "ios".into(),
            method: "app-attest".into(),
            payload: "dd".into(),
            key_id: "ee".into(),
            certificates: vec!["ff".into(), "gg".into()],
            challenge: "hh".into(),
        },
    }
}

#[test]
fn every_field_is_read() {
    assert_eq!(parse(FULL), Ok(full()));
}

#[test]
fn plain_strings_are_borrowed_from_the_body() {
    let request = parse(FULL).expect("valid");
    assert!(matches!(request.keys[0].key, Cow::Borrowed(_)));
    assert!(matches!(request.verification_payload, Cow::Borrowed(_)));
}

#[test]
fn field_names_are_matched_without_regard_to_case() {
    for (from, to) in [
        ("temporaryExposureKeys", "TEMPORARYEXPOSUREKEYS"),
        ("hmacKey", "hmackey"),
        ("verificationPayload", "VerificationPayload"),
        ("transmissionRisk", "TransmissionRisk"),
        ("healthAuthorityID", "healthauthorityid"),
    ] {
        assert_eq!(parse(&FULL.replace(from, to)), Ok(full()), "{to}");
    }
}

#[test]
fn null_and_absence_are_the_zero_value() {
    for body in [
        "null",
        "{}",
        " \t\r\n{ } \n",
        r#"{"temporaryExposureKeys":null,"healthAuthorityID":null,"verificationPayload":null,"hmacKey":null,
            "symptomOnsetInterval":null,"traveler":null,"revisionToken":null,"padding":null}"#,
    ] {
        assert_eq!(parse(body), Ok(PublishRequest::default()), "{body}");
    }
    let keys = r#"{"temporaryExposureKeys":[null,{"key":null,"rollingStartNumber":null,"rollingPeriod":null,"transmissionRisk":null}]}"#;
    assert_eq!(parse(keys).map(|request| request.keys), Ok(vec![RequestKey::default(); 2]));
}

#[test]
fn last_of_equal_names_wins_and_a_later_null_changes_no_scalar() {
    let body = r#"{"hmacKey":"a","HMACKEY":"b","traveler":true,"traveler":null,"symptomOnsetInterval":1,"symptomOnsetInterval":2,
        "temporaryExposureKeys":[{}],"temporaryExposureKeys":[{},{"key":"x","key":"y"}]}"#;
    let request = parse(body).expect("valid");
    assert_eq!((request.hmac_key.as_ref(), request.traveler, request.symptom_onset_interval), ("b", true, 2));
    assert_eq!(request.keys.len(), 2);
    assert_eq!(request.keys[1].key, "y");
    let cleared = parse(r#"{"temporaryExposureKeys":[{}],"temporaryExposureKeys":null}"#).expect("valid");
    assert_eq!(cleared.keys, vec![]);
}

#[test]
fn content_type_must_begin_with_application_json_exactly() {
    for good in ["application/json", "application/json; charset=utf-8", "application/jsonX"] {
        assert_eq!(PublishRequest::parse(Some(good), b"{}"), Ok(PublishRequest::default()), "{good}");
    }
    for bad in [
        None,
        Some(""),
        Some("application/jso"),
        Some("Application/JSON"),
        Some(" application/json"),
        Some("text/plain"),
    ] {
        let error = PublishRequest::parse(bad, b"{}").expect_err("refused");
        assert_eq!(error, RequestError::ContentType, "{bad:?}");
        assert_eq!(error.code().status(), 415);
    }
}

#[test]
fn body_of_64000_bytes_is_read_and_one_more_is_not() {
    let body = |length: usize| format!(r#"{{"padding":"{}"}}"#, "x".repeat(length - 14));
    assert_eq!(body(MAX_BODY_BYTES).len(), 64_000);
    assert_eq!(parse(&body(64_000)), Ok(PublishRequest::default()));
    let large = body(64_001);
    let error = parse(&large).expect_err("too large");
    assert_eq!((error.clone(), error.code().status()), (RequestError::TooLarge, 413));
}

#[test]
fn bad_bodies_are_named() {
    let unknown = |name: &str| RequestError::UnknownField(name.to_owned());
    for (body, error) in [
        ("", RequestError::Empty),
        (" \r\n\t", RequestError::Empty),
        ("{", RequestError::Truncated),
        (r#"{"hmacKey":"a"#, RequestError::Truncated),
        ("\u{feff}{}", RequestError::Malformed(1)),
        ("{]", RequestError::Malformed(2)),
        ("nope", RequestError::Malformed(2)),
        ("{\"traveler\":true,\n}", RequestError::Malformed(19)),
        ("[]", invalid("", 0)),
        ("\"x\"", invalid("", 3)),
        ("7", invalid("", 1)),
        ("{}{}", RequestError::TrailingData),
        ("{} x", RequestError::TrailingData),
        ("null null", RequestError::TrailingData),
        ("{}}", RequestError::TrailingData),
        (r#"{"foo":1}"#, unknown("foo")),
        (r#"{"":1}"#, unknown("")),
        (r#"{"temporaryExposureKeys":[{"foo":[]}]}"#, unknown("foo")),
        (r#"{"temporaryExposureKeys":[{"hmacKey":""}]}"#, unknown("hmacKey")),
    ] {
        let found = parse(body).expect_err(body);
        match (&found, &error) {
            // Positions just past a bracket are serde's and not ours to promise.
            (RequestError::InvalidValue(found, _), RequestError::InvalidValue(expect, 0)) => assert_eq!(found, expect),
            _ => assert_eq!(found, error, "{body:?}"),
        }
        assert_eq!(found.code(), PublishCode::BadRequest);
    }
}

#[test]
fn syntax_is_judged_before_names_and_types() {
    for (body, error) in [
        (r#"{"traveler":1,}"#, RequestError::Malformed(15)),
        (r#"{"foo":1,"traveler":tru}"#, RequestError::Malformed(24)),
        (r#"{"foo":1"#, RequestError::Truncated),
        (r#"{"temporaryExposureKeys":[7]"#, RequestError::Truncated),
        (r#"{"foo":1} x"#, RequestError::UnknownField("foo".to_owned())),
        // Too large for every type, and still a number.
        (r#"{"symptomOnsetInterval":1e999}"#, invalid("symptomOnsetInterval", 29)),
        (r#"{"foo":1e999}"#, RequestError::UnknownField("foo".to_owned())),
    ] {
        assert_eq!(parse(body), Err(error), "{body}");
    }
}

#[test]
fn wrong_types_and_ranges_are_refused_by_field() {
    let top = |field: &str, value: &str| {
        let body = format!(r#"{{"{field}":{value}}}"#);
        match parse(&body) {
            Err(RequestError::InvalidValue(path, _)) => assert_eq!(path, field, "{body}"),
            other => panic!("{body}: {other:?}"),
        }
    };
    for field in ["healthAuthorityID", "verificationPayload", "hmacKey", "revisionToken", "padding"] {
        for value in ["1", "1.5", "true", "[]", "{}", "[[[[[[]]]]]]"] {
            top(field, value);
        }
    }
    for value in ["\"7\"", "7.0", "1e2", "true", "2147483648", "-2147483649", "99999999999999999999", "{}", "[]"] {
        top("symptomOnsetInterval", value);
    }
    for value in ["0", "\"true\"", "[]"] {
        top("traveler", value);
    }
    for value in ["1", "{}", "\"\""] {
        top("temporaryExposureKeys", value);
    }
    for (field, value) in [
        ("key", "5"),
        ("rollingStartNumber", "144.0"),
        ("rollingStartNumber", "2147483648"),
        ("rollingPeriod", "\"144\""),
        ("rollingPeriod", "1e2"),
        ("transmissionRisk", "9223372036854775808"),
        ("transmissionRisk", "-9223372036854775809"),
        ("transmissionRisk", "false"),
    ] {
        let body = format!(r#"{{"temporaryExposureKeys":[{{}},{{"{field}":{value}}}]}}"#);
        match parse(&body) {
            Err(RequestError::InvalidValue(path, _)) => assert_eq!(path, format!("temporaryExposureKeys.{field}")),
            other => panic!("{body}: {other:?}"),
        }
    }
    assert!(
        matches!(parse(r#"{"temporaryExposureKeys":[7]}"#), Err(RequestError::InvalidValue(path, _)) if path == "temporaryExposureKeys")
    );
}

#[test]
fn extreme_integers_within_range_are_read() {
    let body = r#"{"symptomOnsetInterval":-2147483648,"temporaryExposureKeys":[{"rollingStartNumber":2147483647,
        "rollingPeriod":-0,"transmissionRisk":-9223372036854775808},{"transmissionRisk":9223372036854775807}]}"#;
    let request = parse(body).expect("in range");
    assert_eq!(request.symptom_onset_interval, i32::MIN);
    assert_eq!((request.keys[0].rolling_start, request.keys[0].rolling_period), (i32::MAX, 0));
    assert_eq!((request.keys[0].transmission_risk, request.keys[1].transmission_risk), (i64::MIN, i64::MAX));
    assert!(parse(r#"{"symptomOnsetInterval":-0.0}"#).is_err());
}

#[test]
fn invalid_unicode_in_strings_becomes_the_replacement_character() {
    let check = |body: &[u8], name: &str| {
        let request = PublishRequest::parse(JSON, body).expect("accepted");
        assert_eq!(request.health_authority_id, name, "{body:?}");
    };
    check(b"{\"healthAuthorityID\":\"a\xff\xfeb\"}", "a\u{fffd}\u{fffd}b");
    check(b"{\"healthAuthorityID\":\"a\xe2\x82\"}", "a\u{fffd}\u{fffd}");
    check(br#"{"healthAuthorityID":"\ud800"}"#, "\u{fffd}");
    check(br#"{"healthAuthorityID":"\ud800\u0041"}"#, "\u{fffd}A");
    check(br#"{"healthAuthorityID":"\udc00x"}"#, "\u{fffd}x");
    check(br#"{"healthAuthorityID":"\ud83d\ude00"}"#, "\u{1f600}");
    check(br#"{"healthAuthorityID":"\\ud800\/\ud800"}"#, "\\ud800/\u{fffd}");
    assert!(PublishRequest::parse(JSON, b"{\xff}").is_err());
}

#[test]
fn texts_quote_no_value_and_stay_short() {
    let secret = "c2VjcmV0IGtleSBieXRlcw==";
    for body in [
        format!(r#"{{"symptomOnsetInterval":"{secret}"}}"#),
        format!(r#"{{"temporaryExposureKeys":["{secret}"]}}"#),
        format!(r#""{secret}""#),
    ] {
        assert!(!parse(&body).expect_err("refused").to_string().contains(secret));
    }
    let body = format!(r#"{{"{}":1}}"#, "n".repeat(5000));
    assert!(parse(&body).expect_err("refused").to_string().len() < 200);
    assert_eq!(
        parse(r#"{"foo":1}"#).expect_err("refused").to_string(),
        "error unmarshalling API call, code: 400: unknown field \"foo\""
    );
}

#[test]
fn debug_output_shows_no_key_and_no_credential() {
    let request = full();
    let shown = format!("{request:?} {:?}", request.keys);
    for secret in ["a+b=", "x.y.z", "\"aa\"", "cc"] {
        assert!(!shown.contains(secret), "{shown}");
    }
}

prop_compose! {
    fn any_device()(
        texts in ["\\PC{0,20}", "\\PC{0,20}", "\\PC{0,20}", "\\PC{0,20}", "\\PC{0,20}"],
        certificates in prop::collection::vec("\\PC{0,20}", 0..3)
    ) -> DeviceEvidence<'static> {
        let [platform, method, payload, key_id, challenge] = texts.map(Cow::Owned);
        let certificates = certificates.into_iter().map(Cow::Owned).collect();
        DeviceEvidence { platform, method, payload, key_id, certificates, challenge }
    }
}

prop_compose! {
    fn any_request()(
        keys in prop::collection::vec(("\\PC{0,30}", any::<i32>(), any::<i32>(), any::<i64>()), 0..5),
        texts in ["\\PC{0,20}", "\\PC{0,20}", "\\PC{0,20}", "\\PC{0,20}"],
        symptom_onset_interval: i32,
        traveler: bool,
        device in any_device()
    ) -> PublishRequest<'static> {
        let [a, b, c, d] = texts.map(Cow::Owned);
        let key = |(key, rolling_start, rolling_period, transmission_risk)| RequestKey {
            key: Cow::Owned(key), rolling_start, rolling_period, transmission_risk,
        };
        PublishRequest {
            keys: keys.into_iter().map(key).collect(),
            health_authority_id: a,
            verification_payload: b,
            hmac_key: c,
            symptom_onset_interval,
            traveler,
            revision_token: d,
            regions: Vec::new(),
            chaff: None,
            device,
        }
    }
}

proptest! {
    #[test]
    fn written_requests_are_read_back(request in any_request()) {
        let json = request.to_json();
        prop_assert_eq!(PublishRequest::parse(JSON, &json), Ok(request));
    }

    #[test]
    fn slow_path_reads_the_same(request in any_request()) {
        // An invalid byte in the padding forces the repair; everything else must come out as before.
        let mut json = b"{\"padding\":\"\xff\",".to_vec();
        json.extend_from_slice(&request.to_json()[1..]);
        prop_assert_eq!(PublishRequest::parse(JSON, &json), Ok(request));
    }

    #[test]
    fn parsing_never_panics(body: Vec<u8>) {
        let _ = PublishRequest::parse(JSON, &body).map_err(|error| error.to_string());
    }

    #[test]
    fn damaged_requests_never_panic(request in any_request(), at: prop::sample::Index, byte: u8, cut: prop::sample::Index) {
        let mut json = request.to_json();
        let at = at.index(json.len());
        json[at] = byte;
        let _ = PublishRequest::parse(JSON, &json).map_err(|error| error.to_string());
        json.truncate(cut.index(json.len()));
        prop_assert!(PublishRequest::parse(JSON, &json).is_err());
    }
}
