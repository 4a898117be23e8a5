//! From bytes to keys.

use super::{KeyProblem, KeySet, KeySetError, KeySetKey, MAX_KEYS, MAX_VERSION_BYTES, SkipReason, SkippedKey};
use crate::base64;
use crate::text::shortened;
use serde_json::{Map, Value};

/// Reads a key set: the object of RFC 7517, or a bare list of keys as the verification servers of the reference publish.
///
/// `is_point` tells whether an uncompressed point (65 bytes) is one of P-256. Members that are not known are ignored.
///
/// Keys that are not for checking certificates (of other types, curves, uses) are skipped and the rest counts, as RFC 7517
/// section 5 wants it; the reference fails the health authority. A P-256 key that is for checking certificates and is
/// garbled is an error all the same: to skip it would be to revoke the stored key that it was meant to be.
pub fn parse(json: &[u8], is_point: impl Fn(&[u8]) -> bool) -> Result<KeySet, KeySetError> {
    let value: Value = serde_json::from_slice(json)
        .map_err(|error| KeySetError::NotJson { line: error.line(), column: error.column() })?;
    let entries = match value {
        Value::Array(entries) => entries,
        Value::Object(mut members) => match members.remove("keys") {
            Some(Value::Array(entries)) => entries,
            Some(_) | None => return Err(KeySetError::NotAKeySet),
        },
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => return Err(KeySetError::NotAKeySet),
    };
    if entries.len() > MAX_KEYS {
        return Err(KeySetError::TooManyKeys(entries.len()));
    }
    let mut set = KeySet { keys: Vec::new(), skipped: Vec::new() };
    for (position, entry) in (1..).zip(&entries) {
        let bad_key = |version: Option<&str>, problem| KeySetError::BadKey {
            position,
            version: version.map(str::to_owned),
            problem,
        };
        let Value::Object(members) = entry else { return Err(bad_key(None, KeyProblem::NotAnObject)) };
        let version = text(members, "kid").ok().flatten();
        match key(members, &is_point).map_err(|problem| bad_key(version, problem))? {
            Entry::Key(key) => add(&mut set.keys, key)?,
            Entry::Skipped(reason) => {
                set.skipped.push(SkippedKey { position, version: version.map(str::to_owned), reason });
            }
        }
    }
    Ok(set)
}

enum Entry {
    Key(KeySetKey),
    Skipped(SkipReason),
}

/// The same key twice is once.
fn add(keys: &mut Vec<KeySetKey>, key: KeySetKey) -> Result<(), KeySetError> {
    match keys.iter().find(|other| other.version == key.version) {
        Some(other) if *other == key => Ok(()),
        Some(_) => Err(KeySetError::VersionTwice(key.version)),
        None => {
            keys.push(key);
            Ok(())
        }
    }
}

fn key(members: &Map<String, Value>, is_point: impl Fn(&[u8]) -> bool) -> Result<Entry, KeyProblem> {
    if let Some(reason) = reason_to_skip(members)? {
        return Ok(Entry::Skipped(reason));
    }
    let version = required(members, "kid")?;
    if version.len() > MAX_VERSION_BYTES {
        return Err(KeyProblem::LongVersion);
    }
    let mut public_key = vec![4];
    for member in ["x", "y"] {
        let coordinate = base64::decode_url(required(members, member)?).map_err(|_| KeyProblem::Coordinate(member))?;
        // RFC 7518 section 6.2.1.2: full length, leading zeros included.
        if coordinate.len() != 32 {
            return Err(KeyProblem::Coordinate(member));
        }
        public_key.extend_from_slice(&coordinate);
    }
    if !is_point(&public_key) {
        return Err(KeyProblem::NotOnCurve);
    }
    Ok(Entry::Key(KeySetKey { version: version.to_owned(), public_key }))
}

fn reason_to_skip(members: &Map<String, Value>) -> Result<Option<SkipReason>, KeyProblem> {
    let other = |found: &str| shortened(found).into_owned();
    let key_type = required(members, "kty")?;
    if key_type != "EC" {
        return Ok(Some(SkipReason::KeyType(other(key_type))));
    }
    let curve = required(members, "crv")?;
    if curve != "P-256" {
        return Ok(Some(SkipReason::Curve(other(curve))));
    }
    if let Some(found) = text(members, "use")?.filter(|found| *found != "sig") {
        return Ok(Some(SkipReason::Use(other(found))));
    }
    if let Some(found) = text(members, "alg")?.filter(|found| *found != "ES256") {
        return Ok(Some(SkipReason::Algorithm(other(found))));
    }
    match members.get("key_ops") {
        None | Some(Value::Null) => {}
        Some(Value::Array(operations)) if operations.iter().any(|operation| operation == "verify") => {}
        Some(Value::Array(_)) => return Ok(Some(SkipReason::Operations)),
        Some(Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Object(_)) => {
            return Err(KeyProblem::Member("key_ops"));
        }
    }
    Ok(members.contains_key("d").then_some(SkipReason::PrivateKey))
}

fn required<'a>(members: &'a Map<String, Value>, name: &'static str) -> Result<&'a str, KeyProblem> {
    text(members, name)?.ok_or(KeyProblem::Missing(name))
}

/// A member that is a text. `null` and the empty text are as good as absent: some encoders write them for what is not set.
fn text<'a>(members: &'a Map<String, Value>, name: &'static str) -> Result<Option<&'a str>, KeyProblem> {
    match members.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => Ok(Some(text.as_str()).filter(|text| !text.is_empty())),
        Some(Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_)) => Err(KeyProblem::Member(name)),
    }
}
