//! What a verdict must say, whoever decoded it.

use super::*;

/// What becomes of a verdict with one field changed, under settings with one change: offline and by Google alike.
fn changed(pointer: &str, value: Option<Value>, change: fn(&mut PlayIntegrityConfig)) -> Option<(&'static str, Stage)> {
    let mut verdict = verdict();
    let (parent, name) = pointer.rsplit_once('/').expect("a pointer");
    let parent = verdict.pointer_mut(parent).and_then(Value::as_object_mut).expect("an object");
    match value {
        Some(value) => parent.insert(name.to_owned(), value),
        None => parent.remove(name),
    };
    let mut config = config();
    change(&mut config);
    let classic = offline(&Token::of(&verdict), &config);
    let by_google = refusal(&decoded(Kind::Classic, &verdict, &config));
    assert_eq!(classic, by_google);
    classic
}

fn check(pointer: &str, value: impl Into<Option<Value>>, expect: &'static str) {
    check_with(pointer, value, |_| (), Some(expect));
}

fn check_with(
    pointer: &str,
    value: impl Into<Option<Value>>,
    change: fn(&mut PlayIntegrityConfig),
    expect: Option<&'static str>,
) {
    let value = value.into();
    let found = changed(pointer, value.clone(), change).map(|(code, _)| code);
    assert_eq!(found, expect, "{pointer} {value:?}");
}

#[test]
fn request_must_be_this_one() {
    check("/requestDetails/requestPackageName", json!("other"), "app-mismatch");
    check("/requestDetails/requestPackageName", json!(1), "app-mismatch");
    check("/requestDetails/requestPackageName", None, "app-mismatch");
    check("/requestDetails", json!([]), "app-mismatch");
    check("/requestDetails/nonce", None, "binding-missing");
    check("/requestDetails/nonce", json!(null), "binding-missing");
    check("/requestDetails/nonce", json!(""), "binding-mismatch");
    // Another spelling of the same bytes is not what the phone was told to send.
    let padded = verdict()["requestDetails"]["nonce"].as_str().expect("a text").to_owned() + "=";
    check("/requestDetails/nonce", json!(padded), "binding-mismatch");
    check_with("/requestDetails/requestHash", None, |_| (), None);
}

#[test]
fn time_is_a_whole_number_within_the_window() {
    let at = |seconds: i64, rest: &str| json!(format!("{}{rest}", NOW + seconds));
    let name = "/requestDetails/timestampMillis";
    check_with(name, at(-600, "000"), |_| (), None);
    check(name, at(-601, "999"), "stale");
    check_with(name, at(60, "999"), |_| (), None);
    check(name, at(61, "000"), "in-future");
    check_with(name, json!(NOW * 1_000), |_| (), None);
    check(name, json!("-9223372036854775808"), "stale");
    check(name, json!("9223372036854775807"), "in-future");
    for bad in [json!("9223372036854775808"), json!(""), json!("1 "), json!("0x1"), json!(1.5), json!([1]), json!(null)]
    {
        check(name, bad, "pi-malformed");
    }
    check(name, None, "pi-malformed");
}

#[test]
fn request_is_compared_before_the_verdicts() {
    let mut verdict = verdict();
    verdict["requestDetails"]["requestPackageName"] = json!("other");
    verdict["requestDetails"]["nonce"] = json!("other");
    verdict["requestDetails"]["timestampMillis"] = json!("0");
    verdict["testingDetails"] = json!({"isTestingResponse": true});
    verdict["appIntegrity"] = json!({"appRecognitionVerdict": "UNRECOGNIZED_VERSION"});
    verdict["deviceIntegrity"] = json!({});
    let code = |verdict: &Value| offline(&Token::of(verdict), &config()).map(|(code, _)| code);
    assert_eq!(code(&verdict), Some("app-mismatch"));
    verdict["requestDetails"]["requestPackageName"] = json!(APP);
    assert_eq!(code(&verdict), Some("binding-mismatch"));
    verdict["requestDetails"] = super::verdict()["requestDetails"].clone();
    verdict["requestDetails"]["timestampMillis"] = json!("0");
    assert_eq!(code(&verdict), Some("stale"));
    verdict["requestDetails"] = super::verdict()["requestDetails"].clone();
    assert_eq!(code(&verdict), Some("pi-testing-response"));
    verdict["testingDetails"] = json!({});
    assert_eq!(code(&verdict), Some("app-unrecognized"));
    verdict["appIntegrity"] = super::verdict()["appIntegrity"].clone();
    assert_eq!(code(&verdict), Some("integrity-device"));
}

#[test]
fn responses_for_tests_need_permission() {
    let name = "/testingDetails";
    check(name, json!({"isTestingResponse": true}), "pi-testing-response");
    check(name, json!({"isTestingResponse": "false"}), "pi-testing-response");
    check_with(name, json!({"isTestingResponse": false}), |_| (), None);
    check_with(name, json!({"isTestingResponse": true}), |config| config.allow_testing = true, None);
}

#[test]
fn app_must_be_recognized_and_the_configured_one() {
    let name = "/appIntegrity/appRecognitionVerdict";
    for bad in [json!("UNRECOGNIZED_VERSION"), json!("UNEVALUATED"), json!("UNKNOWN"), json!("NEW_LABEL"), json!(1)] {
        check(name, bad, "app-unrecognized");
    }
    check(name, None, "app-unrecognized");
    let also = |config: &mut PlayIntegrityConfig| config.recognition.push("UNRECOGNIZED_VERSION".to_owned());
    check_with(name, json!("UNRECOGNIZED_VERSION"), also, None);
    check("/appIntegrity/packageName", json!("other"), "app-mismatch");
    check("/appIntegrity/packageName", None, "app-mismatch");
}

#[test]
fn one_of_the_signers_must_be_configured() {
    let name = "/appIntegrity/certificateSha256Digest";
    let digest = verdict()["appIntegrity"]["certificateSha256Digest"][0].clone();
    check_with(name, json!(["AAAA", digest]), |_| (), None);
    let standard = digest.as_str().expect("a text").replace('-', "+").replace('_', "/") + "=";
    check_with(name, json!([standard]), |_| (), None);
    for bad in [json!([]), json!(["AAAA"]), json!(["!"]), json!([1]), json!({}), json!(digest)] {
        check(name, bad, "cert-digest-mismatch");
    }
    check(name, None, "cert-digest-mismatch");
}

#[test]
fn version_must_be_known_when_there_is_a_least_one() {
    let name = "/appIntegrity/versionCode";
    let least = |config: &mut PlayIntegrityConfig| config.min_version_code = 42;
    check_with(name, json!("42"), least, None);
    check_with(name, json!(43), least, None);
    for bad in [json!("41"), json!("-42"), json!(null), json!("x")] {
        check_with(name, bad.clone(), least, Some("version-too-old"));
        check_with(name, bad, |_| (), None);
    }
}

#[test]
fn device_must_have_the_required_label() {
    let name = "/deviceIntegrity/deviceRecognitionVerdict";
    check(name, json!(["MEETS_BASIC_INTEGRITY"]), "integrity-device");
    check(name, json!([]), "integrity-device");
    check(name, json!("MEETS_DEVICE_INTEGRITY"), "integrity-device");
    check(name, None, "integrity-device");
    check("/deviceIntegrity", json!({}), "integrity-device");
    let strong = |config: &mut PlayIntegrityConfig| "MEETS_STRONG_INTEGRITY".clone_into(&mut config.device);
    check_with(name, json!(["MEETS_DEVICE_INTEGRITY"]), strong, Some("integrity-device"));
    check_with(name, json!(["MEETS_DEVICE_INTEGRITY", "MEETS_STRONG_INTEGRITY"]), strong, None);
}

#[test]
fn licence_and_environment_matter_when_configured() {
    let name = "/accountDetails/appLicensingVerdict";
    for verdict in [json!("UNLICENSED"), json!("UNEVALUATED"), json!(null)] {
        check_with(name, verdict.clone(), |_| (), None);
        check_with(name, verdict, |config| config.require_licensed = true, Some("unlicensed"));
    }
    let name = "/environmentDetails";
    let protect = |config: &mut PlayIntegrityConfig| config.play_protect = vec!["NO_ISSUES".to_owned()];
    check_with(name, json!({"playProtectVerdict": "NO_ISSUES"}), protect, None);
    check_with(name, json!({"playProtectVerdict": "HIGH_RISK"}), protect, Some("environment-risk"));
    check_with(name, json!({"playProtectVerdict": "HIGH_RISK"}), |_| (), None);
    check_with(name, None, protect, Some("environment-risk"));
    let apps = |config: &mut PlayIntegrityConfig| config.apps_detected = vec!["KNOWN_INSTALLED".to_owned()];
    let detected = |kinds: &[&str]| json!({"appAccessRiskVerdict": {"appsDetected": kinds}});
    check_with(name, detected(&["KNOWN_INSTALLED"]), apps, None);
    check_with(name, detected(&["KNOWN_INSTALLED", "UNKNOWN_CAPTURING"]), apps, Some("environment-risk"));
    check_with(name, detected(&[]), apps, Some("environment-risk"));
    check_with(name, json!({"appAccessRiskVerdict": {}}), apps, Some("environment-risk"));
}

#[test]
fn signals_hold_known_labels_only() {
    let mut verdict = verdict();
    verdict["accountDetails"]["appLicensingVerdict"] = json!("somebody@example.org");
    verdict["deviceIntegrity"]["deviceRecognitionVerdict"] = json!(["OTHER"]);
    let config = PlayIntegrityConfig { device: "OTHER".to_owned(), ..config() };
    let Outcome::Accept(acceptance) = decoded(Kind::Classic, &verdict, &config) else { panic!("not accepted") };
    let values: Vec<&str> = acceptance.signals.iter().map(|(_, value)| value.as_str()).collect();
    assert_eq!(values, ["PLAY_RECOGNIZED", "NONE", "UNKNOWN"]);
}
