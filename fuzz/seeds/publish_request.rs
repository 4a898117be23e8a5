//! Bodies of publish requests.

use crate::{Seed, seed};
use tocsin_domain::base64;
use tocsin_domain::publish::request::{DeviceEvidence, PublishRequest, RequestKey};
use tocsin_domain::testing::fuzz_checks::NOW;

/// Three days of keys; nobody's.
fn request() -> PublishRequest<'static> {
    let today = NOW.utc_midnight().interval().get();
    let key = |day: u8| RequestKey {
        key: base64::encode(&[day; 16]).into(),
        rolling_start: today - 144 * i32::from(day),
        rolling_period: 144,
        transmission_risk: i64::from(day),
    };
    PublishRequest {
        keys: (1..=3).map(key).collect(),
        health_authority_id: "org.example.app".into(),
        verification_payload: "e30.e30.AAAA".into(),
        hmac_key: "c2VjcmV0".into(),
        symptom_onset_interval: today - 100,
        traveler: true,
        revision_token: "CgExEgA=".into(),
        regions: Vec::new(),
        chaff: None,
        device: DeviceEvidence::default(),
    }
}

pub(crate) fn seeds() -> Vec<Seed> {
    let valid = String::from_utf8(request().to_json()).expect("JSON");
    let with = |name: &str, from: &str, to: &str| seed(name, valid.replacen(from, to, 1));
    let mut seeds = vec![
        seed("valid", &valid),
        seed("valid_without_keys", r#"{"temporaryExposureKeys":[],"padding":"x"}"#),
        seed("null", "null"),
        seed("empty_body", ""),
        seed("empty_object", " {\t}\r\n"),
        seed("empty_keys", r#"{"temporaryExposureKeys":[{},null,{}]}"#),
        seed("array", "[]"),
        seed("number", "7"),
        seed("byte_order_mark", "\u{feff}{}"),
        seed("two_objects", "{}{}"),
        seed("stray_bracket", "{}]"),
        seed("stray_comma", r#"{"traveler":1,}"#),
        seed("cut_in_a_string", &valid[..60]),
        seed("cut_in_an_escape", r#"{"hmacKey":"\u00"#),
        with("names_in_other_case", "temporaryExposureKeys", "TEMPORARYexposurekeys"),
        with("name_twice", "{", r#"{"hmacKey":"first","symptomOnsetInterval":-1,"#),
        with("name_as_escapes", "hmacKey", r"\u0068mac\u004bey"),
        with(
            "evidence",
            "{",
            r#"{"deviceVerificationMethod":"app-attest","deviceVerificationPayload":"o2Nm","deviceKeyId":"AQ==",
            "deviceCertificates":["MAA=",null],"deviceChallenge":"AA","platform":"ios","#,
        ),
        with("unknown_field", "{", r#"{"regions":[{"a":[1e5,null]}],"#),
        with("unknown_field_of_a_key", r#"{"key""#, r#"{"reportType":{},"key""#),
        with("unknown_field_with_a_long_name", "{", &format!("{{\"{}\":1,", "\u{1f600}".repeat(150))),
        with("key_of_15_bytes", &base64::encode(&[1; 16]), "AAAAAAAAAAAAAAAAAAAA"),
        with("key_in_url_alphabet", &base64::encode(&[1; 16]), "_-_-_-_-_-_-_-_-_-_-_w"),
        with("key_with_line_ends", &base64::encode(&[1; 16]), r"AAAA\r\nAAAAAAAAAAAAAAAAAA=="),
        with("key_not_base64", &base64::encode(&[1; 16]), "AAAA*"),
        with("same_key_twice", &base64::encode(&[1; 16]), &base64::encode(&[2; 16])),
        with("escapes", "org.example.app", r#"\"\\\/\b\f\n\r\t\u0000\u001f\u00e9\ud83d\ude00"#),
        with("surrogates", "org.example.app", r"\ud800\ud800\udc00\udc00\ud800x\udbff\udfff\uD83D"),
        seed("surrogate_in_a_name", r#"{"\ud800":1}"#),
        seed("invalid_utf8", b"{\"healthAuthorityID\":\"a\xff\xe2\x82\xf0\x9f\x98b\",\"hmacKey\":\"\xc0\x80\"}"),
        seed("invalid_utf8_outside", b"{\xff}"),
        seed("control_character", "{\"hmacKey\":\"a\nb\"}"),
        seed("deep_arrays", format!("{{\"padding\":{}", "[".repeat(300))),
        seed("deep_objects", format!("{{\"x\":{}1{}}}", "{\"a\":".repeat(200), "}".repeat(200))),
        seed("deep_keys", format!("{{\"temporaryExposureKeys\":{}{}}}", "[".repeat(200), "]".repeat(200))),
        seed("many_keys", format!("{{\"temporaryExposureKeys\":[{}{{}}]}}", "{},".repeat(40))),
    ];
    for (field, value) in [
        ("temporaryExposureKeys", "{}"),
        ("temporaryExposureKeys", "[[]]"),
        ("temporaryExposureKeys", "[\"AAAA\"]"),
        ("healthAuthorityID", "7"),
        ("verificationPayload", "[1,2]"),
        ("hmacKey", "true"),
        ("symptomOnsetInterval", "\"1\""),
        ("traveler", "0"),
        ("revisionToken", "{\"a\":{}}"),
        ("padding", "1.5"),
    ] {
        let name = format!("wrong_{field}_{}", seeds.len());
        seeds.push(seed(&name, format!("{{\"{field}\":{value}}}")));
    }
    let numbers = [
        "-0",
        "0.0",
        "-0.0",
        "1e2",
        "1e-0",
        "1E+999",
        "1e999",
        "2147483647",
        "-2147483648",
        "2147483648",
        "9223372036854775807",
        "-9223372036854775808",
        "9223372036854775808",
        "18446744073709551616",
        "01",
        "-",
        "+1",
        "0x10",
        "1.",
        "NaN",
    ];
    for (index, number) in numbers.into_iter().enumerate() {
        let fields = ["rollingStartNumber", "rollingPeriod", "transmissionRisk"];
        let field = fields[index % fields.len()];
        let body = format!(r#"{{"temporaryExposureKeys":[{{"{field}":{number}}}],"symptomOnsetInterval":{number}}}"#);
        seeds.push(seed(&format!("number_{index}"), body));
    }
    let digits = "9".repeat(400);
    seeds.push(seed("long_integer", format!("{{\"symptomOnsetInterval\":{digits}}}")));
    seeds.push(seed("long_fraction", format!("{{\"symptomOnsetInterval\":0.{digits}e-{digits}}}")));
    seeds
}
