use super::*;
use std::borrow::Cow;

const APP: &str = "com.google.android.apps.exposurenotification";

type Sent<'a> = (&'a str, i32, i32, i64);

/// Keys of the historic values: google/exposure-notifications-server, internal/publish/model/exposure_model_test.go.
const KEYS: [Sent<'_>; 3] = [
    ("x21Goi8X9m/glOZ0+wz8fA", 263_123, 144, 6),
    ("2mvFSmRsFmJR5r07dxGSjg", 263_267, 144, 7),
    ("6bAd3dv7p+VEuaJVkVItaQ", 263_411, 27, 7),
];

fn request<'a>(app: &'a str, keys: &[Sent<'a>], regions: &[&'a str], payload: &'a str) -> PublishRequest<'a> {
    let key = |&(key, rolling_start, rolling_period, transmission_risk): &Sent<'a>| RequestKey {
        key: Cow::Borrowed(key),
        rolling_start,
        rolling_period,
        transmission_risk,
    };
    PublishRequest {
        keys: keys.iter().map(key).collect(),
        health_authority_id: Cow::Borrowed(app),
        verification_payload: Cow::Borrowed(payload),
        regions: regions.iter().copied().map(Cow::Borrowed).collect(),
        ..PublishRequest::default()
    }
}

fn usual() -> PublishRequest<'static> {
    request(APP, &KEYS, &["US", "GB"], "QRTH-ROWO-LOLO-FOOB")
}

fn text(hash: Option<[u8; 32]>) -> Option<String> {
    hash.map(|hash| base64::encode(&hash))
}

#[test]
fn historic_nonces_are_those_of_the_reference_server() {
    let check = |request: PublishRequest<'_>, expect: &str| assert_eq!(text(ens_v3(&request)).as_deref(), Some(expect));
    check(usual(), "0kbOC1LIwDc+DQnLOFcIbnxqfKNg58b7WA3vREdd7ZQ=");
    let second = [
        ("zdCW5HrOKbirxmQVc0L/eA", 263_123, 144, 8),
        ("t+k51ifogJo9jq3GH9LWGQ", 263_267, 144, 8),
        ("3uXRrSlcv1+OMI3oFtdaUw", 263_411, 27, 8),
    ];
    let second = request(APP, &second, &["gB", "us"], "BREA-KMEO-FFAP-IECE");
    check(second, "KYCIywFRTwXCnYCF4TTFaH//iMb/fBQENqIhtzrJPxA=");
    // Of an attestation that Google signed (commit 3d7b952e).
    let signed = [("QLIvVheW9p6JiTx4pslesg==", 2_649_312, 144, 1), ("UW7pkDKfLbfLs8LveFyY3w==", 2_649_168, 144, 1)];
    let signed = request(APP, &signed, &["US"], "POSITIVE_TEST_123456");
    check(signed, "VLIju4jpickw6QDy/poqNlVd/0aIsJlNclAIh2jBz1M=");
}

#[test]
fn first_historic_nonce_has_no_separators() {
    let sent = request("com.google.android.apps.apollo", &KEYS, &["US", "GB"], "");
    assert_eq!(base64::encode(&ens_v1(&sent)).trim_end_matches('='), "oBH7rpUdv4CmAYRCqfuoruPaIKoey4QM+glTrNvhF6s");
}

/// The second historic format had a risk of the whole request, a field that no longer exists; its value still says that
/// the parts it shares with the third are right.
#[test]
fn second_historic_nonce_has_the_same_parts() {
    let request = usual();
    let key = |key: &RequestKey<'_>| format!("{}.{}.{}", key.key, key.rolling_start, key.rolling_period);
    let keys: Vec<String> = keys_by_text(&request).into_iter().map(key).collect();
    let parts = [APP, "4", &keys.join(","), &upper_regions(&request).join(","), &*request.verification_payload];
    let nonce: [u8; 32] = Sha256::digest(parts.join("|")).into();
    assert_eq!(base64::encode(&nonce), "xH8QNR09EKuCCuNitam1RgjPaGHO/9p54VikqFdirVY=");
}

// Expected values: made by a script in another language from the description of the format.
#[test]
fn fourth_format_is_as_described() {
    let check = |request: &PublishRequest<'_>, method: &str, challenge: Option<&[u8]>, expect: &str| {
        assert_eq!(text(ens_v4(request, method, challenge)).as_deref(), Some(expect));
    };
    let mut sent = usual();
    check(&sent, "play-integrity-classic", None, "HsTA3ri7cyoCLM876F26qj2n+jBnBySJmiaylp4FJNk=");
    sent.regions = vec![Cow::Borrowed("gb"), Cow::Borrowed("us")];
    check(&sent, "play-integrity-classic", Some(b""), "HsTA3ri7cyoCLM876F26qj2n+jBnBySJmiaylp4FJNk=");
    sent.hmac_key = Cow::Borrowed("c2VjcmV0");
    check(&sent, "android-key", Some(b"challenge"), "nJ02FEszkul47sfjuc5Zb4NC5cpZ5evRvgrVG++oCNI=");
    check(&PublishRequest::default(), "", None, "IFNiAkfIOksowrQJN6Gm1O5mykwZRsFizdO6JnV2N7Q=");
}

#[test]
fn order_of_keys_and_regions_does_not_matter() {
    let mut sent = usual();
    let before = transcripts(&sent, Some("m"), None);
    sent.keys.reverse();
    sent.regions.reverse();
    assert_eq!(transcripts(&sent, Some("m"), None), before);
    assert_eq!(before.iter().map(|transcript| transcript.format).collect::<Vec<_>>(), [ENS_V1, ENS_V3, ENS_V4]);
}

/// A key that stands twice with different times has no order of its own in the historic formats.
#[test]
fn order_of_equal_keys_does_not_matter_in_the_fourth_format() {
    let twice = [("2mvFSmRsFmJR5r07dxGSjg", 263_267, 144, 7), ("2mvFSmRsFmJR5r07dxGSjg", 263_123, 144, 7)];
    let mut sent = request(APP, &twice, &[], "");
    let before = ens_v4(&sent, "m", None);
    sent.keys.reverse();
    assert_eq!(ens_v4(&sent, "m", None), before);
}

#[test]
fn spelling_of_keys_matters_in_the_historic_formats_only() {
    let (mut plain, mut padded) = (usual(), usual());
    plain.keys[0].key = Cow::Borrowed("x21Goi8X9m/glOZ0+wz8fA");
    padded.keys[0].key = Cow::Borrowed("x21Goi8X9m_glOZ0-wz8fA==");
    assert_ne!(ens_v1(&plain), ens_v1(&padded));
    assert_ne!(ens_v3(&plain), ens_v3(&padded));
    assert_eq!(ens_v4(&plain, "m", None), ens_v4(&padded, "m", None));
}

/// One change of a request.
type Change = (&'static str, fn(&mut PublishRequest<'static>));

#[test]
fn every_covered_field_changes_the_transcript() {
    let in_both: [Change; 7] = [
        ("app", |sent| sent.health_authority_id = Cow::Borrowed("COM.google.android.apps.exposurenotification")),
        ("key", |sent| sent.keys[0].key = Cow::Borrowed("AAAAAAAAAAAAAAAAAAAAAA")),
        ("start", |sent| sent.keys[1].rolling_start += 1),
        ("period", |sent| sent.keys[1].rolling_period -= 1),
        ("risk", |sent| sent.keys[2].transmission_risk += 1),
        ("region", |sent| sent.regions.truncate(1)),
        ("payload", |sent| sent.verification_payload = Cow::Borrowed("QRTH-ROWO-LOLO-FOO")),
    ];
    for (name, change) in in_both {
        let mut sent = usual();
        change(&mut sent);
        assert!(ens_v3(&sent).is_some_and(|hash| Some(hash) != ens_v3(&usual())), "{name}");
        assert!(ens_v4(&sent, "m", None).is_some_and(|hash| Some(hash) != ens_v4(&usual(), "m", None)), "{name}");
    }
    let mut secret = usual();
    secret.hmac_key = Cow::Borrowed("c2VjcmV0");
    assert_eq!(ens_v3(&secret), ens_v3(&usual()));
    assert_ne!(ens_v4(&secret, "m", None), ens_v4(&usual(), "m", None));
    assert_ne!(ens_v4(&usual(), "n", None), ens_v4(&usual(), "m", None));
    assert_ne!(ens_v4(&usual(), "m", Some(b"c")), ens_v4(&usual(), "m", None));
}

#[test]
fn requests_that_a_format_cannot_express_have_no_transcript_of_it() {
    let formats = |change: fn(&mut PublishRequest<'static>)| {
        let mut sent = usual();
        change(&mut sent);
        transcripts(&sent, Some("m"), None).iter().map(|transcript| transcript.format).collect::<Vec<_>>()
    };
    let without_v4 = [ENS_V1, ENS_V3];
    assert_eq!(formats(|sent| sent.keys[0].key = Cow::Borrowed("AAAA")), without_v4);
    assert_eq!(formats(|sent| sent.keys[0].key = Cow::Borrowed("!")), without_v4);
    assert_eq!(formats(|sent| sent.keys[0].rolling_start = -1), without_v4);
    assert_eq!(formats(|sent| sent.keys[0].rolling_period = -1), without_v4);
    assert_eq!(formats(|sent| sent.keys[0].transmission_risk = 256), without_v4);
    assert_eq!(formats(|sent| sent.keys[0].transmission_risk = -1), without_v4);
    assert_eq!(formats(|sent| sent.hmac_key = Cow::Borrowed("?")), without_v4);
    let without_v3 = [ENS_V1, ENS_V4];
    assert_eq!(formats(|sent| sent.health_authority_id = Cow::Borrowed("a|b")), without_v3);
    assert_eq!(formats(|sent| sent.regions.push(Cow::Borrowed("A,B"))), without_v3);
    assert_eq!(formats(|sent| sent.keys[0].key = Cow::Borrowed("AAAA.1.2.3,BBBB")), [ENS_V1]);
}

#[test]
fn without_evidence_there_is_one_transcript_whatever_the_keys_are() {
    let formats = |request: &PublishRequest<'_>| {
        transcripts(request, None, None).iter().map(|transcript| transcript.format).collect::<Vec<_>>()
    };
    let mut sent = PublishRequest { keys: vec![RequestKey::default()], ..PublishRequest::default() };
    assert_eq!(formats(&sent), [ENS_V1], "an empty key is not 16 bytes");
    sent.keys[0].key = "AAAAAAAAAAAAAAAAAAAAAA==".into();
    assert_eq!(formats(&sent), [ENS_V4]);
}
