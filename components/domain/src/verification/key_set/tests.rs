use super::*;
use crate::base64;
use crate::health_authority::HealthAuthorityKey;
use crate::interval::Timestamp;
use p256::ecdsa::SigningKey;
use proptest::prelude::*;
use serde_json::{Value, json};

const NOW: i64 = 1_600_000_000;
const TTL: i64 = 720 * 3600;

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_unix(seconds)
}

fn is_point(bytes: &[u8]) -> bool {
    p256::PublicKey::from_sec1_bytes(bytes).is_ok()
}

fn read(value: &Value) -> Result<KeySet, KeySetError> {
    parse(value.to_string().as_bytes(), is_point)
}

/// The uncompressed point of a key that follows from a number.
fn point(number: u8) -> Vec<u8> {
    let key = SigningKey::from_slice(&[number; 32]).expect("in range");
    key.verifying_key().to_sec1_point(false).as_bytes().to_vec()
}

/// A key as a health authority publishes it.
fn published(version: &str, number: u8) -> Value {
    let point = point(number);
    let (x, y) = (base64::encode_url(&point[1..33]), base64::encode_url(&point[33..]));
    json!({ "kid": version, "kty": "EC", "crv": "P-256", "x": x, "y": y })
}

fn with(mut key: Value, member: &str, value: Value) -> Value {
    key[member] = value;
    key
}

fn without(mut key: Value, member: &str) -> Value {
    key.as_object_mut().expect("an object").remove(member);
    key
}

fn versions(set: &KeySet) -> Vec<&str> {
    set.keys().iter().map(|key| key.version.as_str()).collect()
}

#[test]
fn bare_list_and_rfc_7517_object_are_the_same_set() {
    let list = json!([published("v1", 1), published("v2", 2)]);
    let set = read(&list).expect("valid");
    assert_eq!(versions(&set), ["v1", "v2"]);
    assert_eq!(set.keys()[0].public_key, point(1));
    assert_eq!(read(&json!({ "keys": list, "comment": 5 })), Ok(set));
    for empty in [json!([]), json!({ "keys": [] })] {
        assert_eq!(read(&empty).map(|set| set.keys().len()), Ok(0));
    }
}

#[test]
fn example_of_rfc_7517_appendix_a_gives_its_keys_for_signatures() {
    let curve_key = json!({"kty":"EC", "crv":"P-256", "x":"MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4",
        "y":"4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM", "use":"enc", "kid":"1"});
    let rsa_key =
        json!({"kty":"RSA", "n":"0vx7agoebGcQSuuPiLJXZptN9nnd", "e":"AQAB", "alg":"RS256", "kid":"2011-04-29"});
    let set = read(&json!({ "keys": [curve_key.clone(), rsa_key] })).expect("valid");
    assert_eq!(set.keys(), []);
    let reasons: Vec<_> = set.skipped().iter().map(ToString::to_string).collect();
    assert_eq!(
        reasons,
        [
            "key \"1\" (number 1 of the set) has the use \"enc\", not sig",
            "key \"2011-04-29\" (number 2 of the set) has the type \"RSA\", not EC",
        ]
    );
    assert_eq!(versions(&read(&json!([without(curve_key, "use")])).expect("valid")), ["1"]);
}

#[test]
fn keys_for_other_purposes_are_skipped_and_the_rest_counts() {
    let check = |member: &str, value: Value, reason: Option<SkipReason>| {
        let set =
            read(&json!([with(published("odd", 2), member, value.clone()), published("good", 1)])).expect("valid");
        assert_eq!(set.skipped().first().map(|skipped| skipped.reason.clone()), reason, "{member} {value}");
        assert_eq!(set.keys().len(), if reason.is_none() { 2 } else { 1 }, "{member} {value}");
        assert_eq!(set.keys().last().map(|key| key.version.as_str()), Some("good"));
    };
    check("kty", json!("OKP"), Some(SkipReason::KeyType("OKP".to_owned())));
    check("crv", json!("P-384"), Some(SkipReason::Curve("P-384".to_owned())));
    check("use", json!("enc"), Some(SkipReason::Use("enc".to_owned())));
    check("use", json!("sig"), None);
    check("use", json!(null), None);
    check("use", json!(""), None);
    check("alg", json!("ES384"), Some(SkipReason::Algorithm("ES384".to_owned())));
    check("alg", json!("ES256"), None);
    check("key_ops", json!(["verify"]), None);
    check("key_ops", json!(["sign", "verify"]), None);
    check("key_ops", json!(["deriveKey"]), Some(SkipReason::Operations));
    check("key_ops", json!([]), Some(SkipReason::Operations));
    check("d", json!("c2VjcmV0"), Some(SkipReason::PrivateKey));
    check("x5c", json!(["anything"]), None);
    check("unknown", json!({ "a": [1] }), None);
}

#[test]
fn garbled_key_is_an_error_that_names_it() {
    let check = |key: Value, expect: &str| {
        let error = read(&json!([published("good", 1), key.clone()])).expect_err("refused").to_string();
        assert_eq!(error, format!("{expect}; nothing was changed"), "{key}");
    };
    let name = "key \"bad\" (number 2 of the set)";
    check(json!(7), "key number 2 of the set is no JSON object");
    check(json!({}), "key number 2 of the set has no \"kty\"");
    check(without(published("bad", 2), "kid"), "key number 2 of the set has no \"kid\"");
    check(published("", 2), "key number 2 of the set has no \"kid\"");
    check(with(published("", 2), "kid", json!(2)), "key number 2 of the set has a \"kid\" of the wrong type");
    check(without(published("bad", 2), "crv"), &format!("{name} has no \"crv\""));
    check(with(published("bad", 2), "kty", json!(["EC"])), &format!("{name} has a \"kty\" of the wrong type"));
    check(with(published("bad", 2), "use", json!(1)), &format!("{name} has a \"use\" of the wrong type"));
    check(
        with(published("bad", 2), "key_ops", json!("verify")),
        &format!("{name} has a \"key_ops\" of the wrong type"),
    );
    check(without(published("bad", 2), "y"), &format!("{name} has no \"y\""));
    check(with(published("bad", 2), "x", published("", 1)["x"].clone()), &format!("{name} is no point of P-256"));
    let zero = base64::encode_url(&[0; 32]);
    check(with(with(published("bad", 2), "x", json!(zero)), "y", json!(zero)), &format!("{name} is no point of P-256"));
    let x = published("", 2)["x"].as_str().expect("a text").to_owned();
    for bad in [
        format!("{x}="),
        x[..42].to_owned(),
        format!("{x}A"),
        format!("+{}", &x[1..]),
        " ".to_owned(),
        base64::encode_url(&point(2)[2..33]),
        base64::encode_url(&[&[0], &point(2)[1..33]].concat()),
    ] {
        let expect = format!("{name} has an \"x\" that is not 32 bytes of base64url without padding");
        check(with(published("bad", 2), "x", json!(bad)), &expect);
    }
    let long = "k".repeat(MAX_VERSION_BYTES + 1);
    let error = read(&json!([published(&long, 1)])).expect_err("refused").to_string();
    assert!(error.contains("more than 256 bytes") && error.len() < 250, "{error}");
    assert!(read(&json!([published(&long[1..], 1)])).is_ok());
}

#[test]
fn same_kid_for_two_keys_is_an_error_and_the_same_key_twice_is_not() {
    let twice = json!([published("v1", 1), published("v1", 1)]);
    assert_eq!(versions(&read(&twice).expect("valid")), ["v1"]);
    let error = read(&json!([published("v1", 1), published("v1", 2)])).expect_err("refused");
    assert_eq!(error, KeySetError::VersionTwice("v1".to_owned()));
    assert!(error.to_string().contains("\"v1\""), "{error}");
    // One of them does not count.
    assert!(read(&json!([published("v1", 1), with(published("v1", 2), "use", json!("enc"))])).is_ok());
}

#[test]
fn what_is_no_key_set_is_refused_without_quoting_it() {
    let check = |text: &str, expect: &str| {
        let error = parse(text.as_bytes(), is_point).expect_err(text).to_string();
        assert!(error.contains(expect) && !error.contains("secret"), "{text}: {error}");
    };
    for text in ["", "<html>secret</html>", "[", "{\"keys\":[]} secret", "\u{feff}[]", &"[".repeat(10_000)] {
        check(text, "is not JSON (line 1, column ");
    }
    for text in ["null", "7", "\"secret\"", "true", "{}", "{\"keys\":{}}", "{\"keys\":null}", "{\"Keys\":[]}"] {
        check(text, "neither a list of keys nor an object");
    }
    assert!(parse(&[b'[', 0xff, b']'], is_point).is_err());
    let many = |count: u8| Value::Array(vec![published("v1", 1); count.into()]);
    assert_eq!(read(&many(101)), Err(KeySetError::TooManyKeys(101)));
    assert!(read(&many(100)).is_ok());
}

/// A set of keys whose material is a number.
fn set(keys: &[(&str, u8)]) -> KeySet {
    let key = |&(version, number): &(&str, u8)| KeySetKey { version: version.to_owned(), public_key: vec![number; 65] };
    KeySet { keys: keys.iter().map(key).collect(), skipped: Vec::new() }
}

fn stored(version: &str, number: u8, from: i64, thru: Option<i64>) -> HealthAuthorityKey {
    HealthAuthorityKey { version: version.to_owned(), from: at(from), thru: thru.map(at), public_key: vec![number; 65] }
}

fn live(version: &str, number: u8) -> HealthAuthorityKey {
    stored(version, number, NOW - 1000, None)
}

fn revoked(version: &str, number: u8) -> HealthAuthorityKey {
    stored(version, number, NOW - 1000, Some(NOW - 100))
}

const STRICT: KeySetPolicy = KeySetPolicy { allow_empty: false, cleanup_ttl_seconds: TTL.unsigned_abs() };

/// Purged, revoked and inserted versions.
type Summary<'a> = (Vec<&'a str>, Vec<&'a str>, Vec<&'a str>);

fn check(stored: &[HealthAuthorityKey], keys: &[(&str, u8)], expect: Result<Summary<'_>, KeySetError>) {
    let changes = reconcile(stored, &set(keys), at(NOW), &STRICT);
    let summary = changes.as_ref().map_err(Clone::clone).map(|Changes { purge, revoke, insert }| {
        let purge = purge.iter().map(String::as_str).collect();
        let revoke = revoke.iter().map(|revocation| revocation.version.as_str()).collect();
        (purge, revoke, insert.iter().map(|key| key.version.as_str()).collect())
    });
    assert_eq!(summary, expect, "{keys:?}");
}

#[test]
fn rotation_adds_the_new_key_and_ends_the_old_one_when_it_left() {
    check(&[], &[("v1", 1)], Ok((vec![], vec![], vec!["v1"])));
    check(&[live("v1", 1)], &[("v1", 1)], Ok((vec![], vec![], vec![])));
    check(&[live("v1", 1)], &[("v1", 1), ("v2", 2)], Ok((vec![], vec![], vec!["v2"])));
    check(&[live("v1", 1), live("v2", 2)], &[("v2", 2)], Ok((vec![], vec!["v1"], vec![])));
    check(&[live("v1", 1)], &[("v2", 2)], Ok((vec![], vec!["v1"], vec!["v2"])));
}

#[test]
fn new_key_is_valid_at_once_and_a_revoked_one_no_more() {
    let changes = reconcile(&[live("v1", 1)], &set(&[("v2", 2)]), at(NOW), &STRICT).expect("changes");
    assert!(changes.insert[0].is_valid_at(at(NOW)) && !changes.insert[0].is_valid_at(at(NOW - 1)));
    assert_eq!(changes.insert[0].thru, None);
    assert_eq!(changes.revoke, [Revocation { version: "v1".to_owned(), thru: at(NOW) }]);
    // One that has not begun is never valid.
    let future = stored("v0", 3, NOW + 50, None);
    let changes = reconcile(&[future], &set(&[("v2", 2)]), at(NOW), &STRICT).expect("changes");
    assert_eq!(changes.revoke, [Revocation { version: "v0".to_owned(), thru: at(NOW + 50) }]);
}

#[test]
fn key_that_ended_is_not_ended_again() {
    let never_valid = stored("v0", 3, NOW + 50, Some(NOW + 50));
    check(&[revoked("v1", 1), never_valid, live("v2", 2)], &[("v2", 2)], Ok((vec![], vec![], vec![])));
    let ends_later = stored("v1", 1, NOW - 1000, Some(NOW + 1));
    check(&[ends_later, live("v2", 2)], &[("v2", 2)], Ok((vec![], vec!["v1"], vec![])));
}

#[test]
fn revoked_key_stays_revoked_under_any_kid() {
    let rows = [revoked("v1", 1), live("v2", 2)];
    check(&rows, &[("v1", 1), ("v2", 2)], Ok((vec![], vec![], vec![])));
    check(&rows, &[("v9", 1), ("v2", 2)], Ok((vec![], vec![], vec![])));
    assert_eq!(still_revoked(&rows, &set(&[("v1", 1), ("v9", 1), ("v2", 2)]), at(NOW)), ["v1", "v9"]);
    // The operator accepts it again under another kid.
    let rows = [revoked("v1", 1), live("again", 1)];
    assert_eq!(still_revoked(&rows, &set(&[("again", 1)]), at(NOW)), [""; 0]);
    check(&rows, &[("again", 1)], Ok((vec![], vec![], vec![])));
}

#[test]
fn other_kid_of_a_valid_key_is_accepted_too() {
    check(&[live("by-hand", 1)], &[("v1", 1)], Ok((vec![], vec![], vec!["v1"])));
    check(&[live("by-hand", 1), live("v1", 1)], &[("v1", 1)], Ok((vec![], vec![], vec![])));
}

#[test]
fn set_that_would_leave_no_valid_key_changes_nothing() {
    check(&[live("v1", 1)], &[], Err(KeySetError::Empty));
    check(&[], &[], Err(KeySetError::Empty));
    check(&[revoked("v1", 1), live("v2", 2)], &[("v1", 1)], Err(KeySetError::NoneLeft));
    let future = stored("v3", 3, NOW + 50, None);
    check(&[live("v2", 2), future], &[("v3", 3)], Err(KeySetError::NoneLeft));
    // There was none before.
    check(&[revoked("v1", 1)], &[("v1", 1)], Ok((vec![], vec![], vec![])));
    let allowed = KeySetPolicy { allow_empty: true, ..STRICT };
    let changes = reconcile(&[live("v1", 1)], &set(&[]), at(NOW), &allowed).expect("allowed");
    assert_eq!(changes.revoke.len(), 1);
}

#[test]
fn kid_of_a_valid_key_cannot_stand_for_another() {
    let reused = |version: &str| Err(KeySetError::VersionOfAnotherKey(version.to_owned()));
    check(&[live("v1", 1)], &[("v1", 2)], reused("v1"));
    check(&[live("v1", 1)], &[("v2", 2), ("v1", 3)], reused("v1"));
    check(&[stored("v1", 1, NOW + 50, None)], &[("v1", 2)], reused("v1"));
    // The kid of one that ended can: its row makes room.
    check(&[revoked("v1", 1)], &[("v1", 2)], Ok((vec!["v1"], vec![], vec!["v1"])));
    // Unless that would make us forget that the old key is revoked.
    let forgets = Err(KeySetError::VersionOfRevokedKey("v1".to_owned()));
    check(&[revoked("v1", 1), live("v3", 3)], &[("v1", 2), ("v2", 1), ("v3", 3)], forgets);
    check(&[revoked("v1", 1), revoked("v2", 2)], &[("v1", 2)], Ok((vec![], vec![], vec![])));
}

#[test]
fn key_goes_when_it_ended_longer_than_the_ttl_ago_and_left_the_set() {
    let ended = |version: &str, number: u8, thru: i64| stored(version, number, 0, Some(thru));
    let rows = [ended("old", 1, NOW - TTL - 1), ended("edge", 2, NOW - TTL), live("v3", 3)];
    check(&rows, &[("v3", 3)], Ok((vec!["old"], vec![], vec![])));
    check(&rows, &[("v3", 3), ("old", 1)], Ok((vec![], vec![], vec![])));
    check(&rows, &[("v3", 3), ("old", 9)], Ok((vec!["old"], vec![], vec!["old"])));
    let keep = KeySetPolicy { cleanup_ttl_seconds: u64::MAX, ..STRICT };
    assert_eq!(reconcile(&rows, &set(&[("v3", 3)]), at(NOW), &keep), Ok(Changes::default()));
}

/// What a store does.
fn apply(mut stored: Vec<HealthAuthorityKey>, changes: &Changes) -> Vec<HealthAuthorityKey> {
    let Changes { purge, revoke, insert } = changes;
    stored.retain(|key| !purge.contains(&key.version));
    for Revocation { version, thru } in revoke {
        let key = stored.iter_mut().find(|key| key.version == *version).expect("a stored key");
        key.thru = Some(*thru);
    }
    for key in insert {
        assert!(stored.iter().all(|other| other.version != key.version), "{} twice", key.version);
        stored.push(key.clone());
    }
    stored
}

fn some_stored() -> impl Strategy<Value = Vec<HealthAuthorityKey>> {
    let time = || prop::sample::select(vec![NOW - 2 * TTL, NOW - 50, NOW - 1, NOW, NOW + 1, NOW + 50]);
    let key = (0u8..6, 0u8..6, time(), prop::option::of(time())).prop_map(|(version, number, from, thru)| {
        stored(&version.to_string(), number, from, thru.map(|thru| thru.max(from)))
    });
    prop::collection::vec(key, 0..6).prop_map(|mut keys| {
        keys.sort_by(|a, b| a.version.cmp(&b.version));
        keys.dedup_by(|a, b| a.version == b.version);
        keys
    })
}

fn some_set() -> impl Strategy<Value = KeySet> {
    prop::collection::btree_map(0u8..6, 0u8..6, 0..6).prop_map(|keys| {
        let keys: Vec<(String, u8)> = keys.into_iter().map(|(version, number)| (version.to_string(), number)).collect();
        set(&keys.iter().map(|(version, number)| (version.as_str(), *number)).collect::<Vec<_>>())
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn no_key_set_takes_the_last_valid_key_unless_that_is_allowed(
        stored in some_stored(), set in some_set(), allow_empty: bool,
    ) {
        let had_one = stored.iter().any(|key| key.is_valid_at(at(NOW)));
        let policy = KeySetPolicy { allow_empty, ..STRICT };
        if let Ok(changes) = reconcile(&stored, &set, at(NOW), &policy) {
            let has_one = apply(stored, &changes).iter().any(|key| key.is_valid_at(at(NOW)));
            prop_assert!(has_one || !had_one || allow_empty);
        }
    }

    #[test]
    fn same_set_again_changes_nothing(stored in some_stored(), set in some_set(), allow_empty: bool) {
        let policy = KeySetPolicy { allow_empty, ..STRICT };
        if let Ok(changes) = reconcile(&stored, &set, at(NOW), &policy) {
            let after = apply(stored, &changes);
            prop_assert_eq!(reconcile(&after, &set, at(NOW), &policy), Ok(Changes::default()));
            // However much later, nothing but deletion is left to do, and that once.
            let much_later = at(NOW + 3 * TTL);
            let changes = reconcile(&after, &set, much_later, &policy);
            prop_assert_eq!(changes.as_ref().map(|changes| (changes.revoke.len(), changes.insert.len())), Ok((0, 0)));
            let after = apply(after, &changes.expect("as just seen"));
            prop_assert_eq!(reconcile(&after, &set, much_later, &policy), Ok(Changes::default()));
        }
    }

    #[test]
    fn revoked_key_never_comes_back(stored in some_stored(), set in some_set()) {
        let was_valid = |key: &HealthAuthorityKey| stored.iter().any(|old| old.version == key.version && old.is_valid_at(at(NOW)));
        let ended = |key: &&HealthAuthorityKey| key.thru.is_some_and(|thru| thru <= at(NOW) || thru <= key.from);
        let revoked: Vec<&[u8]> = stored.iter().filter(ended).map(|key| key.public_key.as_slice()).collect();
        if let Ok(changes) = reconcile(&stored, &set, at(NOW), &STRICT) {
            for key in apply(stored.clone(), &changes).iter().filter(|key| key.is_valid_at(at(NOW))) {
                prop_assert!(was_valid(key) || !revoked.contains(&key.public_key.as_slice()), "{}", key.version);
            }
        }
    }

    #[test]
    fn any_json_is_read_or_refused_and_never_a_panic(text in "[\\[\\]{}\":,a-z0-9 ]{0,60}", bytes: Vec<u8>) {
        let _ = parse(text.as_bytes(), |_| true);
        let _ = parse(&bytes, |_| true);
    }
}
