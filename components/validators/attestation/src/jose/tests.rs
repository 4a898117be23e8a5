use super::*;
use p256::ecdsa::VerifyingKey;
use serde_json::json;

/// RFC 7515, appendix A.3.
const ES256: &str = concat!(
    "eyJhbGciOiJFUzI1NiJ9",
    ".",
    "eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ",
    ".",
    "DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q",
);
const ES256_X: &str = "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU";
const ES256_Y: &str = "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0";

fn es256_key() -> VerifyingKey {
    let point = [vec![4], decode(ES256_X).expect("base64url"), decode(ES256_Y).expect("base64url")].concat();
    VerifyingKey::from_sec1_bytes(&point).expect("a point")
}

fn encoded(json: &str) -> String {
    Base64UrlUnpadded::encode_string(json.as_bytes())
}

fn jws(header: &str, payload: &str) -> String {
    format!("{}.{}.AAAA", encoded(header), encoded(payload))
}

fn jwe(header: &str) -> String {
    format!("{}.AAAA.AAAA.AAAA.{}", encoded(header), "A".repeat(21) + "A")
}

#[test]
fn example_of_rfc_7515_verifies() {
    let jws = Jws::parse(ES256.as_bytes()).expect("a JWS");
    assert!(jws.has_algorithm("ES256"));
    assert_eq!(Value::Object(jws.payload.clone())["iss"], json!("joe"));
    assert!(jws.verify_es256(&es256_key()));
}

#[test]
fn changed_jws_does_not_verify() {
    let check = |from: &str, to: &str| {
        let changed = ES256.replace(from, to);
        assert_ne!(changed, ES256);
        Jws::parse(changed.as_bytes()).is_some_and(|jws| jws.verify_es256(&es256_key()))
    };
    // A payload with the year changed, a signature with another byte, and one that is a byte short or long.
    assert!(!check("OjEzMDA4", "OjEzMDA5"));
    assert!(!check(".DtEh", ".DtEi"));
    assert!(!check("g6NU1Q", "g6NU"));
    assert!(!check("g6NU1Q", "g6NU1QAA"));
    let zero = format!("{}.{}", ES256.rsplit_once('.').expect("dots").0, "A".repeat(86));
    assert!(!Jws::parse(zero.as_bytes()).expect("a JWS").verify_es256(&es256_key()));
}

#[test]
fn one_jws_has_one_spelling() {
    let good = jws("{}", "{}");
    assert!(Jws::parse(good.as_bytes()).is_some());
    let bad = [
        String::new(),
        "..".to_owned(),
        ".e30.AAAA".to_owned(),
        "e30..AAAA".to_owned(),
        "e30.e30.".to_owned(),
        "e30.e30".to_owned(),
        "e30.e30.AAAA.".to_owned(),
        "e30.e30.AAAA.AAAA".to_owned(),
        "e30=.e30.AAAA".to_owned(),
        "e30.e30.AAA=".to_owned(),
        // Bits that decode to nothing must be zero.
        "e30.e30.AB".to_owned(),
        "e31.e30.AAAA".to_owned(),
        "e30.e30.AA+/".to_owned(),
        "e30.e30.A".to_owned(),
        "e30.e30.AAAA\n".to_owned(),
        " e30.e30.AAAA".to_owned(),
        "e30.e30.\u{e4}AAA".to_owned(),
        jws("[]", "{}"),
        jws("{}", "1"),
        jws("{} {}", "{}"),
        jws(r#"{"alg":"a","alg":"b"}"#, "{}"),
        jws("{}", r#"{"a":[{"b":1,"b":1}]}"#),
        format!("e30.e30.{}", "A".repeat(MAX_TOKEN_BYTES)),
    ];
    for token in bad {
        assert!(Jws::parse(token.as_bytes()).is_none(), "{token}");
    }
    assert!(Jws::parse(b"e30.e30.AA\xff\xfe").is_none());
}

#[test]
fn jws_header_must_name_the_algorithm_and_nothing_critical() {
    let check = |header: &str| Jws::parse(jws(header, "{}").as_bytes()).expect("a JWS").has_algorithm("RS256");
    assert!(check(r#"{"alg":"RS256"}"#));
    assert!(check(r#"{"alg":"RS256","kid":"a","jwk":{},"jku":"https://example.org"}"#));
    for header in [
        "{}",
        r#"{"alg":"none"}"#,
        r#"{"alg":"rs256"}"#,
        r#"{"alg":["RS256"]}"#,
        r#"{"ALG":"RS256"}"#,
        r#"{"alg":"RS256","crit":["b64"],"b64":false}"#,
        r#"{"alg":"RS256","b64":true}"#,
    ] {
        assert!(!check(header), "{header}");
    }
}

#[test]
fn jwe_header_must_be_understood_as_a_whole() {
    let check = |header: &str| Jwe::parse(jwe(header).as_bytes()).expect("a JWE").has_algorithms("A256KW", "A256GCM");
    assert!(check(r#"{"alg":"A256KW","enc":"A256GCM"}"#));
    assert!(check(r#"{"enc":"A256GCM","alg":"A256KW","typ":"JWT","cty":"JWT","kid":"1"}"#));
    for header in [
        r#"{"alg":"A256KW"}"#,
        r#"{"enc":"A256GCM"}"#,
        r#"{"alg":"dir","enc":"A256GCM"}"#,
        r#"{"alg":"A256KW","enc":"A128GCM"}"#,
        r#"{"alg":"A256KW","enc":"A256GCM","zip":"DEF"}"#,
        r#"{"alg":"A256KW","enc":"A256GCM","crit":[]}"#,
        r#"{"alg":"A256KW","enc":"A256GCM","jwk":{}}"#,
    ] {
        assert!(!check(header), "{header}");
    }
}

#[test]
fn jwe_has_five_parts_and_a_whole_tag() {
    let good = jwe("{}");
    assert_eq!(Jwe::parse(good.as_bytes()).expect("a JWE").sealed, [0; 19]);
    for bad in [
        good.trim_end_matches('A').to_owned() + &"A".repeat(20),
        good.clone() + "AA",
        good.clone() + ".AAAA",
        good.replacen("AAAA.", "", 1),
        good.replacen("AAAA.", ".", 1),
    ] {
        assert!(Jwe::parse(bad.as_bytes()).is_none(), "{bad}");
    }
}

#[test]
fn json_is_one_object_of_limited_depth() {
    let nested = |levels: usize| format!("{}1{}", r#"{"a":"#.repeat(levels), "}".repeat(levels));
    assert!(parse_object(nested(16).as_bytes()).is_some());
    assert!(parse_object(nested(17).as_bytes()).is_none());
    assert!(parse_object("[".repeat(100_000).as_bytes()).is_none());
    let all = r#"{"a":null,"b":true,"c":-1,"d":1.5,"e":"x","f":[1,{"a":18446744073709551615}],"g":"\u00e4"}"#;
    let expect = serde_json::from_str::<Value>(all).expect("JSON");
    assert_eq!(parse_object(all.as_bytes()).map(Value::Object), Some(expect));
    for bad in [r#"{"a":1e999}"#, "{\"a\":\"\u{1}\"}", r#"{"a":"\ud800"}"#, "{'a':1}", "{} x", "null", ""] {
        assert!(parse_object(bad.as_bytes()).is_none(), "{bad}");
    }
    assert!(parse_object(b"{\"\xff\":1}").is_none());
}
