//! Requests whose method, path, content type or JSON is wrong.

use crate::{JSON, Target, refusal};
use http::Method;

const MALFORMED: &str = "malformed json";

#[tokio::test(flavor = "multi_thread")]
async fn wrong_paths_are_not_found() {
    let mut target = Target::start().await;
    let body = target.good_body();
    for path in [
        "/",
        "/v1",
        "/v1/",
        "/v1/publish/",
        "//v1/publish",
        "/v1//publish",
        "/v1/%70ublish",
        "/V1/publish",
        "/v1/publish.",
        "/v1/publish;a",
        "/v1/../v1/publish",
        "/admin",
        "/create-batches",
        "/do-work",
        "/cleanup-exposure",
        "/cleanup-export",
        "/health/",
        "/.well-known/",
        "/exports",
        "/v1/stats/",
        "/%00",
        "/%ff%fe",
    ] {
        for method in [Method::GET, Method::POST, Method::HEAD, Method::PUT, Method::DELETE, Method::OPTIONS] {
            let answer =
                target.client.send(method.clone(), path, &[("content-type", "application/json")], body.clone());
            assert_eq!(answer.await.status, 404, "{method} {path}");
        }
    }
    target.finish(0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn publish_looks_at_content_type_and_body_whatever_the_method() {
    let mut target = Target::start().await;
    for method in [Method::GET, Method::PUT, Method::DELETE, Method::PATCH, Method::OPTIONS, Method::TRACE] {
        let named = format!("{method}");
        let expect = refusal(415, "bad_request", "content-type is not application/json");
        target.check_method(&named, method.clone(), None, "", expect).await;
        let expect = refusal(400, "bad_request", "body must not be empty");
        target.check_method(&named, method, JSON, "", expect).await;
    }
    let head = target.client.send(Method::HEAD, "/v1/publish", &[], "").await;
    assert_eq!((head.status.as_u16(), head.body.len()), (415, 0));
    let odd = Method::from_bytes(b"BREW").expect("a method");
    target.check_method("BREW", odd, JSON, "{}", refusal(401, "unknown_health_authority_id", "unauthorized")).await;
    target.finish(0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn only_json_is_accepted() {
    let mut target = Target::start().await;
    let body = target.good_body();
    for content_type in [
        None,
        Some(""),
        Some("text/plain"),
        Some("application/jso"),
        Some("Application/json"),
        Some(" application/xml"),
        Some("text/json"),
        Some("multipart/form-data; boundary=application/json"),
        Some("\u{e4}application/json"),
    ] {
        let name = format!("{content_type:?}");
        let expect = refusal(415, "bad_request", "code: 415: content-type is not application/json");
        target.check(&name, content_type, body.clone(), expect).await;
    }
    target.finish(0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_json_is_named_with_its_position() {
    let mut target = Target::start().await;
    let check: [(&str, &[u8], &str); 17] = [
        ("empty", b"", "body must not be empty"),
        ("white space", b" \r\n\t ", "body must not be empty"),
        ("text", b"hello", "malformed json at position 1"),
        ("NUL", b"\0", "malformed json at position 1"),
        ("BOM", b"\xef\xbb\xbf{}", "malformed json at position 1"),
        ("open object", b"{", MALFORMED),
        ("open string", b"{\"padding\":\"", MALFORMED),
        ("open key", b"{\"temporaryExposureKeys\":[{\"key\":\"AAAA\"", MALFORMED),
        ("no colon", b"{\"padding\" \"\"}", "malformed json at position 12"),
        ("trailing comma", b"{\"padding\":\"\",}", MALFORMED),
        ("single quotes", b"{'padding':''}", "malformed json at position 2"),
        ("comment", b"{/* */}", "malformed json at position 2"),
        ("control character", b"{\"padding\":\"\n\"}", MALFORMED),
        ("bad escape", b"{\"padding\":\"\\x\"}", MALFORMED),
        ("invalid UTF-8 outside a string", b"{\xff}", "malformed json at position"),
        ("two objects", b"{}{}", "body must contain only one JSON object"),
        ("XML", b"<publish/>", "malformed json at position 1"),
    ];
    for (name, body, error) in check {
        target.check(name, JSON, body, refusal(400, "bad_request", error)).await;
    }
    target.finish(0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_cut_of_a_good_body_is_refused() {
    let mut target = Target::start().await;
    let body = target.phone(1).body(&target.server.authority, "confirmed", target.now());
    for length in 1..body.len() {
        target.check(&format!("{length} bytes"), JSON, &body[..length], refusal(400, "bad_request", MALFORMED)).await;
    }
    target.finish(0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn deep_nesting_is_refused_like_any_other_wrong_value() {
    let mut target = Target::start().await;
    for (open, close) in [("[", "]"), ("{\"padding\":", "}"), ("{\"temporaryExposureKeys\":[", "]}")] {
        let depth = 60_000 / (open.len() + close.len());
        let nested = open.repeat(depth) + "1" + &close.repeat(depth);
        target.check(open, JSON, nested, refusal(400, "bad_request", "code: 400: ")).await;
        target.check(open, JSON, open.repeat(60_000 / open.len()), refusal(400, "bad_request", "code: 400: ")).await;
        let too_long = open.repeat(100_000 / open.len());
        target.check(open, JSON, too_long, refusal(413, "bad_request", "http: request body too large")).await;
        let inside = format!("{{\"hmacKey\":{}", open.repeat(50_000 / open.len()));
        target.check(open, JSON, inside, refusal(400, "bad_request", "code: 400: ")).await;
    }
    target.finish(0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn values_of_the_wrong_type_or_range_are_named() {
    let mut target = Target::start().await;
    for value in ["1.5", "144.0", "1e2", "99999999999999999999", "2147483648", "\"1\"", "[]", "true"] {
        let body = format!("{{\"symptomOnsetInterval\":{value}}}");
        let expect = refusal(400, "bad_request", "invalid value \"symptomOnsetInterval\" at position");
        target.check(value, JSON, body, expect).await;
        for field in ["rollingStartNumber", "rollingPeriod"] {
            let body = format!("{{\"temporaryExposureKeys\":[{{\"{field}\":{value}}}]}}");
            let error = format!("invalid value \"temporaryExposureKeys.{field}\" at position");
            target.check(value, JSON, body, refusal(400, "bad_request", &error)).await;
        }
    }
    for (field, values) in [
        ("healthAuthorityID", ["1", "{}", "[]", "true"]),
        ("verificationPayload", ["1", "{}", "[]", "true"]),
        ("hmacKey", ["1", "{}", "[]", "true"]),
        ("revisionToken", ["1", "{}", "[]", "true"]),
        ("padding", ["1", "{}", "[]", "true"]),
        ("traveler", ["1", "{}", "[]", "\"true\""]),
        ("temporaryExposureKeys", ["1", "{}", "true", "\"x\""]),
    ] {
        for value in values {
            let error = format!("invalid value \"{field}\" at position");
            let body = format!("{{\"{field}\":{value}}}");
            target.check(&body.clone(), JSON, body, refusal(400, "bad_request", &error)).await;
        }
    }
    // Too large for every type, and numbers all the same.
    for number in ["1e999", "-1e999", &"9".repeat(60_000)] {
        let body = format!("{{\"symptomOnsetInterval\":{number}}}");
        let expect = refusal(400, "bad_request", "invalid value \"symptomOnsetInterval\" at position");
        target.check("huge", JSON, body, expect).await;
    }
    for top in ["1", "true", "\"x\"", "[]", "[{}]"] {
        target.check(top, JSON, top, refusal(400, "bad_request", "invalid value \"\" at position")).await;
    }
    target.finish(0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn unknown_fields_are_named_on_every_level() {
    let mut target = Target::start().await;
    for (body, field) in [
        (r#"{"surprise":1}"#, "surprise"),
        (r#"{"temporaryExposureKeys":[{"key":"","extra":null}]}"#, "extra"),
        (r#"{"regions":["XX"]}"#, "regions"),
        (r#"{"":1}"#, ""),
    ] {
        let error = format!("unknown field \"{field}\"");
        target.check(body, JSON, body, refusal(400, "bad_request", &error)).await;
    }
    // A long name is not sent back as it came.
    let long = format!("{{\"{}\":1}}", "n".repeat(60_000));
    let answer = target.client.publish(long).await;
    assert_eq!(answer.status, 400);
    assert!(answer.body.len() < 8_000, "{} bytes", answer.body.len());
    target.finish(0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn null_is_nothing_and_the_last_of_duplicates_counts() {
    let mut target = Target::start().await;
    let unknown = "unknown_health_authority_id";
    for (body, error) in [
        ("null", "unauthorized health authority: "),
        ("{}", "unauthorized health authority: "),
        (
            r#"{"temporaryExposureKeys":null,"healthAuthorityID":null,"verificationPayload":null,"hmacKey":null,
                "symptomOnsetInterval":null,"traveler":null,"revisionToken":null,"padding":null}"#,
            "unauthorized health authority: ",
        ),
        (r#"{"temporaryExposureKeys":[null,null]}"#, "unauthorized health authority: "),
        (
            r#"{"temporaryExposureKeys":[{"key":null,"rollingStartNumber":null,"rollingPeriod":null,
                "transmissionRisk":null}]}"#,
            "unauthorized health authority: ",
        ),
        (r#"{"healthAuthorityID":"first","healthAuthorityID":"second"}"#, "unauthorized health authority: second"),
        ("{\"healthAuthorityID\":\"\\ud800\"}", "unauthorized health authority: \u{fffd}"),
    ] {
        target.check(body, JSON, body, refusal(401, unknown, error)).await;
    }
    let invalid = b"{\"healthAuthorityID\":\"a\xff\xfeb\"}".to_vec();
    target
        .check("UTF-8", JSON, invalid, refusal(401, unknown, "unauthorized health authority: a\u{fffd}\u{fffd}b"))
        .await;
    target.finish(0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sixty_four_thousand_bytes_are_read_and_one_more_is_refused() {
    let mut target = Target::start().await;
    let padded = |length: usize| {
        let empty = r#"{"padding":""}"#.len();
        format!("{{\"padding\":\"{}\"}}", "p".repeat(length - empty))
    };
    let read = || refusal(401, "unknown_health_authority_id", "unauthorized health authority");
    target.check("64,000", JSON, padded(64_000), read()).await;
    for length in [64_001, 65_536, 128 * 1024, 128 * 1024 + 1, 200_000] {
        let expect = refusal(413, "bad_request", "code: 413: http: request body too large");
        target.check(&format!("{length}"), JSON, padded(length), expect).await;
    }
    // The content type is looked at first.
    let expect = refusal(415, "bad_request", "content-type is not application/json");
    target.check("200,000 of text", None, padded(200_000), expect).await;
    target.finish(0).await;
}
