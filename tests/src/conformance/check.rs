//! Compares an answer with what a case expects of it.

use super::case::{Expect, ExpectToken};
use super::context::Context;
use super::token::Token;
use super::{Problem, base64};
use crate::harness::client::Answer;
use serde_json::{Map, Value};
use std::collections::{BTreeMap, BTreeSet};

/// Longest part of an answer that is shown.
const SHOWN: usize = 300;

/// All differences, as texts; empty: the answer is as expected. Saves the revision token if the case wants it.
pub(super) fn differences(answer: &Answer, expect: &Expect, context: &mut Context) -> Result<Vec<String>, Problem> {
    let Expect {
        status,
        json,
        fields,
        absent,
        error_contains,
        error_lacks,
        warnings,
        revision_token,
        padding_bytes,
        headers,
    } = expect;
    let mut found = Vec::new();
    if answer.status.as_u16() != *status {
        found.push(format!("status: expected {status}, got {}", answer.status.as_u16()));
    }
    check_headers(answer, headers, &mut found);
    let body = answer.json();
    let got = body.as_object();
    check_fields(got, fields.as_deref(), absent, &mut found);
    for (name, value) in context.object(json)? {
        let actual = got.and_then(|got| got.get(&name));
        if actual != Some(&value) {
            let actual = actual.map_or("nothing".to_owned(), |actual| shortened(&actual.to_string()));
            found.push(format!("{name}: expected {value}, got {actual}"));
        }
    }
    let error = body["error"].as_str().unwrap_or_default();
    for words in error_contains {
        let words = context.text(words)?;
        if !error.contains(&words) {
            found.push(format!("error: expected {words:?} in it, got {:?}", shortened(error)));
        }
    }
    for words in error_lacks {
        let words = context.text(words)?;
        if error.contains(&words) {
            found.push(format!("error: expected it without {words:?}, got {:?}", shortened(error)));
        }
    }
    if let Some(expected) = warnings {
        check_warnings(&body["warnings"], expected, context, &mut found)?;
    }
    if let Some((shortest, longest)) = padding_bytes {
        let length = body["padding"].as_str().and_then(base64::decode_standard).map(|bytes| bytes.len());
        if length.is_none_or(|length| length < *shortest || length > *longest) {
            let got = length.map_or("none".to_owned(), |length| format!("{length} bytes"));
            found.push(format!("padding: expected base64 of {shortest} to {longest} bytes, got {got}"));
        }
    }
    if let Some(expected) = revision_token {
        check_token(&body["revisionToken"], expected, context, &mut found)?;
    }
    if !found.is_empty() {
        found.push(format!("the answer was {}", shown(answer)));
    }
    Ok(found)
}

fn check_headers(answer: &Answer, expected: &BTreeMap<String, Option<String>>, found: &mut Vec<String>) {
    for (name, value) in expected {
        let got = answer.headers.get(name).map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned());
        if got != *value {
            let or_none = |value: &Option<String>| value.clone().unwrap_or("none".to_owned());
            found.push(format!("header {name}: expected {}, got {}", or_none(value), or_none(&got)));
        }
    }
}

fn check_fields(
    got: Option<&Map<String, Value>>,
    expected: Option<&[String]>,
    absent: &[String],
    found: &mut Vec<String>,
) {
    let names: BTreeSet<&str> = got.into_iter().flat_map(Map::keys).map(String::as_str).collect();
    if let Some(expected) = expected {
        let expected: BTreeSet<&str> = expected.iter().map(String::as_str).collect();
        let difference =
            |some: &BTreeSet<&str>, others| some.difference(others).copied().collect::<Vec<_>>().join(", ");
        let (missing, surplus) = (difference(&expected, &names), difference(&names, &expected));
        if got.is_none() {
            found.push("the body is no JSON object".to_owned());
        } else if !missing.is_empty() || !surplus.is_empty() {
            found.push(format!("fields: missing [{missing}], not expected [{surplus}]"));
        }
    }
    for name in absent {
        if names.contains(name.as_str()) {
            found.push(format!("{name}: expected nothing, got it"));
        }
    }
}

fn check_warnings(
    got: &Value,
    expected: &[Vec<String>],
    context: &mut Context,
    found: &mut Vec<String>,
) -> Result<(), Problem> {
    let got = got.as_array().map(Vec::as_slice).unwrap_or_default();
    if got.len() != expected.len() {
        found.push(format!("warnings: expected {}, got {}", expected.len(), got.len()));
    }
    for (got, expected) in got.iter().zip(expected) {
        for words in expected {
            let words = context.text(words)?;
            if !got.as_str().unwrap_or_default().contains(&words) {
                found.push(format!("warnings: expected {words:?}, got {}", shortened(&got.to_string())));
            }
        }
    }
    Ok(())
}

fn check_token(
    got: &Value,
    expected: &ExpectToken,
    context: &mut Context,
    found: &mut Vec<String>,
) -> Result<(), Problem> {
    let ExpectToken { save, entries, differs_from } = expected;
    let text = got.as_str().unwrap_or_default();
    if base64::decode_standard(text).is_none_or(|bytes| bytes.is_empty()) {
        found.push("revisionToken: expected one in base64 of the standard alphabet, with padding".to_owned());
    }
    for other in differs_from {
        if context.token(other)? == text {
            found.push(format!("revisionToken: expected another than {other:?}"));
        }
    }
    if let Some(save) = save {
        context.save_token(save, text);
    }
    let Some(entries) = entries else { return Ok(()) };
    match Token::parse(text).and_then(|token| token.entries()) {
        Ok(got) if got == *entries => {}
        Ok(got) => found.push(format!("revisionToken: expected {entries} entries, got {got}")),
        Err(error) => found.push(format!("revisionToken: {error}")),
    }
    Ok(())
}

/// An answer in one line, without padding.
fn shown(answer: &Answer) -> String {
    let body = match answer.json() {
        Value::Object(mut fields) => {
            fields.remove("padding");
            Value::Object(fields).to_string()
        }
        _ => String::from_utf8_lossy(&answer.body).into_owned(),
    };
    format!("{} {}", answer.status.as_u16(), shortened(&body))
}

fn shortened(text: &str) -> String {
    match text.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{}...", &text[..end]),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;
    use http::{HeaderMap, HeaderValue, StatusCode};
    use serde_json::json;

    fn check(expect: Value) -> Vec<String> {
        let body = json!({"revisionToken": "CgExEgF4", "insertedExposures": 2, "error": "key 1 is bad: 15",
            "warnings": ["key 0, 19 > 14"], "padding": base64::encode(&[1; 1024])});
        let headers =
            HeaderMap::from_iter([(http::header::CONTENT_TYPE, HeaderValue::from_static("application/json"))]);
        let answer = Answer { status: StatusCode::OK, headers, body: Bytes::from(body.to_string()) };
        let expect: Expect = serde_json::from_value(expect).expect("an expectation");
        differences(&answer, &expect, &mut Context::new(600)).expect("expanded")
    }

    #[test]
    fn answer_as_expected_has_no_differences() {
        let expect = json!({"status": 200, "json": {"insertedExposures": 2}, "absent": ["code"],
            "fields": ["revisionToken", "insertedExposures", "error", "warnings", "padding"],
            "error_contains": ["key 1", "15"], "error_lacks": ["key {{interval:now}}2"],
            "warnings": [["key 0", "19 > 14"]], "padding_bytes": [1024, 1024],
            "headers": {"content-type": "application/json", "x-api-version": null},
            "revision_token": {"save": "t"}});
        assert_eq!(check(expect), Vec::<String>::new());
    }

    #[test]
    fn every_difference_is_found() {
        for (expect, difference) in [
            (json!({"status": 400}), "status: expected 400, got 200"),
            (json!({"status": 200, "json": {"insertedExposures": 3}}), "insertedExposures: expected 3, got 2"),
            (json!({"status": 200, "json": {"insertedExposures": "2"}}), "insertedExposures: expected \"2\", got 2"),
            (json!({"status": 200, "json": {"code": "x"}}), "code: expected \"x\", got nothing"),
            (json!({"status": 200, "absent": ["error"]}), "error: expected nothing, got it"),
            (json!({"status": 200, "fields": ["padding", "code"]}), "fields: missing [code], not expected [error, ins"),
            (json!({"status": 200, "error_contains": ["key 2"]}), "error: expected \"key 2\" in it"),
            (json!({"status": 200, "error_lacks": ["bad"]}), "error: expected it without \"bad\""),
            (json!({"status": 200, "warnings": []}), "warnings: expected 0, got 1"),
            (json!({"status": 200, "warnings": [["key 1"]]}), "warnings: expected \"key 1\""),
            (
                json!({"status": 200, "padding_bytes": [1, 1023]}),
                "padding: expected base64 of 1 to 1023 bytes, got 1024",
            ),
            (json!({"status": 200, "headers": {"content-type": null}}), "header content-type: expected none, got appl"),
            (json!({"status": 200, "headers": {"x-api-version": "v1"}}), "header x-api-version: expected v1, got none"),
            (json!({"status": 200, "revision_token": {"entries": 1}}), "revisionToken: data of the revision token has"),
        ] {
            let found = check(expect);
            assert_eq!(found.len(), 2, "{found:?}");
            assert!(found[0].starts_with(difference), "{found:?}");
            assert!(found[1].starts_with("the answer was 200 {\"error\":"), "{found:?}");
        }
    }
}
