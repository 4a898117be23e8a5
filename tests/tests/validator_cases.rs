//! `tocsin validator test` gives a validator what its cases say, answers its questions from them, and holds it to the rules
//! of a server.

use p256::pkcs8::{EncodePrivateKey, LineEnding};
use serde_json::{Value, json};
use std::process::{Command, Output};
use tocsin_tests::harness::{components_folder, tocsin_binary};

/// Runs cases against the test validator that does what the evidence tells it.
fn run(cases: &Value, arguments: &[&str]) -> Output {
    let folder = tempfile::tempdir().expect("temporary folder");
    let file = folder.path().join("cases.json");
    std::fs::write(&file, cases.to_string()).expect("written");
    let component = components_folder().join("test/hostile-validator.wasm");
    assert!(component.exists(), "it is not built: run the tests with `cargo xtask test`");
    let mut command = Command::new(tocsin_binary());
    command.args(["validator", "test"]).arg(component).arg("--cases").arg(file).args(arguments);
    command.output().expect("tocsin runs")
}

fn told(what: &str, expect: Value) -> Value {
    json!({ "name": what, "evidence": { "method": "test", "token_text": what }, "expect": expect })
}

/// Runs one case; returns its line of the JSON and the exit code.
fn run_one(case: Value) -> (Value, Option<i32>) {
    let output = run(&json!([case]), &["--json", "--compute-ms", "1000"]);
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let mut answer: Value =
        serde_json::from_str(&text).unwrap_or_else(|_| panic!("{text}{}", String::from_utf8_lossy(&output.stderr)));
    (answer["cases"][0].take(), output.status.code())
}

fn check(case: Value) {
    let (ran, code) = run_one(case);
    assert_eq!((&ran["ok"], code), (&true.into(), Some(0)), "{ran}");
}

fn check_differs(case: Value, difference: &str) {
    let (ran, code) = run_one(case);
    assert_eq!((&ran["ok"], code), (&false.into(), Some(1)), "{ran}");
    let differences = ran["differences"].to_string();
    assert!(differences.contains(difference), "{difference:?} is not in {differences}");
}

#[test]
fn services_answer_what_the_case_says() {
    let key = p256::SecretKey::from_slice(&[7; 32]).expect("a scalar");
    let pem = key.to_pkcs8_pem(LineEnding::LF).expect("PEM");
    let mut case = told(
        "services",
        json!({ "accept": { "signals": {
        "now": "1795694400",
        "random": "1024",
        "anchors": "2",
        "revoked": "Some(true)",
        "unwrapped": "none",
        "signed": "64",
        "key": "7",
        "key of another app": "none",
        "arguments": "0",
        "environment": "0",
    } } }),
    );
    case["now"] = json!("2026-11-26T12:00:00Z");
    case["anchors"] = json!({ "a set": ["AQ==", "Ag=="] });
    case["revoked"] = json!(["01", "ab"]);
    case["keys"] = json!({ "sign": pem.as_str() });
    case["device_keys"] = json!([{ "key_id": "AQ==", "public_key": "BA==", "counter": 7 }]);
    check(case);
    check_differs(told("services", json!({ "accept": { "signals": {} } })), r#"\"revoked\": \"None\""#);
}

#[test]
fn commits_are_compared() {
    let claim = |space: &str| json!({ "accept": { "commits": [{ "claim_once": { "space": space } }] } });
    check(told("accept", claim("good")));
    check_differs(told("accept", claim("other")), r#"commits[0].space is \"good\""#);
}

#[test]
fn questions_are_answered_from_the_case_in_order() {
    let url = "https://api.example/a";
    let accepted = |status: &str, body: &str| {
        let signals =
            json!({ "status": status, "body": body, "app": "org.example.app", "continuation": format!("ask {url}") });
        json!({ "accept": { "signals": signals } })
    };
    let asking = |exchange: Value, expect: Value| {
        let mut case = told(&format!("ask {url}"), expect);
        case["exchange"] = exchange;
        case
    };
    check(asking(json!([{ "url": url, "method": "GET", "status": 201, "body": "x" }]), accepted("201", "x")));
    check(asking(json!([{ "url": url, "no_answer": true }]), accepted("none", "")));
    check(asking(json!([]), json!({ "ask": { "url": url, "method": "GET" } })));
    let other = json!([{ "url": "https://api.example/b" }]);
    check_differs(asking(other, accepted("200", "")), "it asked");
    let two = json!([{ "url": url }, { "url": url }]);
    check_differs(asking(two, accepted("200", "")), "1 answer was not asked for");
}

#[test]
fn rules_and_limits_of_a_server_hold() {
    let accept = || json!({ "accept": {} });
    check_differs(told("loop", accept()), "out-of-");
    check_differs(told("allocate", accept()), "out-of-memory");
    check_differs(told("nothing known", accept()), "trapped");
    check_differs(told("return-1-mb", accept()), "too-long");
    check_differs(told("bad-code", accept()), "bad-answer");
    check_differs(told("other-app", accept()), "bad-answer");
    check_differs(told("ask http://api.example/", accept()), "bad-answer");
    let mut case = told("ask-for-ever https://api.example/", accept());
    let answer = json!({ "url": "https://api.example/" });
    case["exchange"] = json!([answer, answer, answer, answer]);
    check_differs(case, "too-many-exchanges");
}

#[test]
fn table_names_the_case_that_failed_and_the_file_that_is_wrong() {
    let output = run(&json!([told("reject a", json!({ "reject": { "code": "b" } }))]), &[]);
    assert_eq!(output.status.code(), Some(1));
    let text = String::from_utf8_lossy(&output.stdout);
    for part in ["hostile 1.0", "FAILED", "reject a: code is \"a\", not \"b\" (told to)"] {
        assert!(text.contains(part), "{part:?} is not in {text}");
    }
    let output = run(&json!([{ "name": "a", "expects": {} }]), &[]);
    let text = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1));
    assert!(text.contains("cases.json: unknown field `expects`"), "{text}");
}
