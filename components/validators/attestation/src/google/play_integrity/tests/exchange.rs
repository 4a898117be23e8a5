//! Tokens that Google decodes.

use super::*;
use proptest::prelude::*;

fn ask(kind: Kind, token: &str, config: &PlayIntegrityConfig) -> Outcome {
    begin(&submission("ens-v4", make::HASH), &evidence(kind, token), config, &make::host())
}

fn by_google() -> PlayIntegrityConfig {
    PlayIntegrityConfig { wrap_key: None, verify_key_spki: None, ..config() }
}

#[test]
fn google_is_asked_about_tokens_that_cannot_be_read_here() {
    for (kind, config) in [(Kind::Standard, config()), (Kind::Classic, by_google())] {
        let Outcome::Exchange(exchange) = ask(kind, "eyJ.a-b_c", &config) else { panic!("no exchange") };
        let header = |name: &str| (name.to_owned(), "application/json".to_owned());
        let expect = HttpRequest {
            method: "POST".to_owned(),
            url: format!("https://playintegrity.googleapis.com/v1/{APP}:decodeIntegrityToken"),
            headers: vec![header("content-type"), header("accept")],
            body: br#"{"integrity_token":"eyJ.a-b_c"}"#.to_vec(),
            credential: Some("play".to_owned()),
        };
        assert!(exchange.request == expect);
        assert_eq!(exchange.continuation, b"");
    }
}

#[test]
fn only_what_could_be_a_token_is_sent() {
    for token in ["", "a b", "a\"b", "a\nb", "\u{e4}", &"a".repeat(32 * 1024 + 1)] {
        assert_eq!(refusal(&ask(Kind::Standard, token, &config())), Some(("pi-malformed", Stage::Parse)));
    }
}

#[test]
fn what_is_missing_in_the_settings_is_said_first() {
    let check = |kind, change: fn(&mut PlayIntegrityConfig)| {
        let mut config = config();
        change(&mut config);
        assert_eq!(refusal(&ask(kind, "", &config)), Some(("config-missing", Stage::Config)));
    };
    check(Kind::Classic, |config| config.kinds = vec![Kind::Standard]);
    check(Kind::Standard, |config| config.kinds = vec![Kind::Classic]);
    check(Kind::Classic, |config| config.classic_max_age_seconds = 0);
    check(Kind::Standard, |config| config.standard_max_age_seconds = 0);
    check(Kind::Classic, |config| config.certificate_sha256.clear());
    check(Kind::Classic, |config| config.wrap_key = None);
    check(Kind::Classic, |config| config.verify_key_spki = None);
    check(Kind::Classic, |config| {
        (config.wrap_key, config.verify_key_spki, config.credential) = (None, None, None);
    });
    check(Kind::Standard, |config| config.credential = None);
    for package in ["", "a/b", "a:b", "a?b", "a b", "\u{e4}"] {
        let config = PlayIntegrityConfig { package: Some(package.to_owned()), ..config() };
        assert_eq!(refusal(&ask(Kind::Standard, "a", &config)), Some(("config-missing", Stage::Config)), "{package}");
    }
    let evidence = Evidence { method: "safetynet".to_owned(), ..Evidence::default() };
    let outcome = begin(&submission("ens-v4", make::HASH), &evidence, &config(), &make::host());
    assert_eq!(refusal(&outcome), Some(("config-missing", Stage::Config)));
}

#[test]
fn status_of_the_answer_decides() {
    let check = |answer: HttpAnswer, code: &'static str, retryable: bool| {
        let evidence = evidence(Kind::Standard, "token");
        let outcome = resume(&submission("ens-v4", make::HASH), &evidence, &config(), &make::host(), &answer);
        let Outcome::Reject(rejection) = outcome else { panic!("not refused") };
        let found = (rejection.code, rejection.stage, rejection.retryable);
        assert_eq!(found, (code, Stage::Upstream, retryable), "{answer:?}");
    };
    let answer = |status: u16, body: &[u8]| HttpAnswer::Response { status, body: body.to_vec() };
    check(HttpAnswer::None, "upstream-unavailable", true);
    for status in [429, 500, 503, 599] {
        check(answer(status, b""), "upstream-unavailable", true);
    }
    check(answer(400, b"{}"), "pi-token-rejected", false);
    check(answer(401, b""), "upstream-auth", false);
    check(answer(403, b""), "upstream-auth", false);
    for status in [0, 204, 301, 404, 405, 600] {
        check(answer(status, b""), "upstream-config", false);
    }
    for body in
        [&b""[..], b"x", b"{}", br#"{"tokenPayloadExternal":[]}"#, br#"{"tokenPayloadExternal":{},"a":1,"a":1}"#]
    {
        check(answer(200, body), "upstream-unavailable", true);
    }
    let long = format!(r#"{{"tokenPayloadExternal":{{}},"a":"{}"}}"#, "a".repeat(65_536));
    check(answer(200, long.as_bytes()), "upstream-unavailable", true);
}

#[test]
fn standard_verdict_is_bound_by_its_request_hash() {
    let code = |change: fn(&mut Value)| {
        let mut verdict = verdict();
        change(&mut verdict["requestDetails"]);
        refusal(&decoded(Kind::Standard, &verdict, &config())).map(|(code, _)| code)
    };
    assert_eq!(code(|_| ()), None);
    assert_eq!(code(|request| request["nonce"] = json!("other")), None);
    assert_eq!(code(|request| request["requestHash"] = json!("other")), Some("binding-mismatch"));
    assert_eq!(code(|request| request["requestHash"] = json!(null)), Some("binding-missing"));
    // The window of its own: 300 seconds.
    assert_eq!(code(|request| request["timestampMillis"] = json!(format!("{}000", NOW - 300))), None);
    assert_eq!(code(|request| request["timestampMillis"] = json!(format!("{}999", NOW - 301))), Some("stale"));
}

#[test]
fn standard_token_is_claimed_once() {
    let Outcome::Accept(acceptance) = decoded(Kind::Standard, &verdict(), &config()) else { panic!("not accepted") };
    let claim = Commit::ClaimOnce {
        space: "play-integrity-standard".to_owned(),
        digest: Sha256::digest("token").into(),
        expires_at: NOW + 360,
    };
    assert!(acceptance.commits == [claim]);
}

#[test]
fn standard_token_that_google_has_cleared_was_used_before() {
    let mut verdict = verdict();
    verdict["appIntegrity"] = json!({"appRecognitionVerdict": "UNEVALUATED"});
    verdict["deviceIntegrity"] = json!({});
    verdict["accountDetails"] = json!({"appLicensingVerdict": "UNEVALUATED"});
    let code = |kind, verdict: &Value| refusal(&decoded(kind, verdict, &config()));
    assert_eq!(code(Kind::Standard, &verdict), Some(("replayed", Stage::State)));
    // Google does not clear classic tokens; then the app was just not evaluated.
    assert_eq!(code(Kind::Classic, &verdict), Some(("app-unrecognized", Stage::Integrity)));
    verdict["deviceIntegrity"] = json!({"deviceRecognitionVerdict": ["MEETS_BASIC_INTEGRITY"]});
    assert_eq!(code(Kind::Standard, &verdict), Some(("app-unrecognized", Stage::Integrity)));
}

#[test]
fn answer_to_a_question_that_is_not_asked_is_refused() {
    let answer = HttpAnswer::Response { status: 200, body: br#"{"tokenPayloadExternal":{}}"#.to_vec() };
    let evidence = evidence(Kind::Classic, "token");
    let outcome = resume(&submission("ens-v4", make::HASH), &evidence, &config(), &make::host(), &answer);
    assert_eq!(refusal(&outcome), Some(("config-missing", Stage::Config)));
}

proptest! {
    #[test]
    fn random_answers_are_never_accepted(status in prop_oneof![Just(200u16), any::<u16>()], body: Vec<u8>, json in "\\PC{0,100}") {
        let wrapped = format!(r#"{{"tokenPayloadExternal":{json}}}"#).into_bytes();
        for body in [body, wrapped] {
            let answer = HttpAnswer::Response { status, body };
            let evidence = evidence(Kind::Standard, "token");
            let outcome = resume(&submission("ens-v4", make::HASH), &evidence, &config(), &make::host(), &answer);
            prop_assert!(refusal(&outcome).is_some());
        }
    }
}
