//! What must hold for every piece of evidence, whoever made it: no panic, and no acceptance. Each check panics when it
//! does not hold.
//!
//! The fuzz targets in `fuzz/` run them on inputs that libFuzzer invents; a unit test below runs them on every input
//! kept in `fuzz/corpus/`. docs/testing.md says how to go on from a finding.
//!
//! Nothing that is accepted is in the corpus: the trust anchors are the real ones, or nobody has the keys. So the checks
//! also run the parts that are reached only behind a good signature.

#[cfg(test)]
mod tests;

use base64ct::{Base64, Base64UrlUnpadded, Encoding};

use crate::android_key::{self, AndroidKeyConfig, CertificateDigest, key_description::KeyDescription};
use crate::apple::app_attest::{self, AppAttestConfig, Freshness, Mode, ReceiptRule};
use crate::apple::device_check::{self, DeviceCheckConfig};
use crate::challenge::ChallengeRule;
use crate::contract::{
    AttestedKey, Evidence, Exchange, HttpAnswer, Outcome, Rejection, Services, Submission, Transcript,
};
use crate::google::play_integrity::{self, Kind, PlayIntegrityConfig};
use crate::google::safetynet::{self, SafetyNetConfig};
use crate::validator::{self, AndroidKey, AppAttest, Validator};
use crate::x509::{Certificate, EcKey, PublicKey};

/// Panics when something does not hold that must.
pub type Check = fn(&[u8]);

/// The checks by the names of their targets.
pub const CHECKS: [(&str, Check); 5] = [
    ("android_key", android_key),
    ("app_attest", app_attest),
    ("device_check", device_check),
    ("play_integrity", play_integrity),
    ("safetynet", safetynet),
];

/// When everything happens: 2026-01-15 00:00:00.
pub const NOW: i64 = 1_768_435_200;
/// Name of the app.
pub const APP: &str = "org.example.app";
/// The hash of the submission, in each format.
pub const HASH: [u8; 32] = *b"hash of the canonical transcript";
/// SHA-256 of the certificate that signs the app.
pub const SIGNER: [u8; 32] = *b"the certificate signing the app.";
/// Apple's team.
pub const TEAM: &str = "A1B2C3D4E5";
/// The key of [`app_attest`] that is registered.
const KEY_ID: [u8; 32] = [7; 32];
/// Longest detail, characters.
const MAX_DETAIL: usize = 1_000;

/// Apple's root of attested keys, DER.
pub fn apple_root() -> Vec<u8> {
    pem(include_str!("apple/roots/apple-app-attest.pem"))
}

fn pem(text: &str) -> Vec<u8> {
    let lines = text.lines().skip_while(|line| !line.starts_with("-----BEGIN")).skip(1);
    let body: String = lines.take_while(|line| !line.starts_with("-----END")).collect();
    // Unwrap safety: both texts are constants, which every run of a check reads.
    Base64::decode_vec(&body).unwrap()
}

/// A host with the real anchors of Apple, a signing key that signs nothing, and one registered key.
struct Host;

impl Services for Host {
    fn now(&self) -> i64 {
        NOW
    }

    fn random(&self, length: u32) -> Vec<u8> {
        vec![0; usize::try_from(length.min(1_024)).unwrap_or_default()]
    }

    fn anchors(&self, set: &str) -> Vec<Vec<u8>> {
        match set {
            app_attest::RECEIPT_ANCHORS => vec![pem(include_str!("apple/roots/apple-root-g3.pem"))],
            _ => vec![apple_root()],
        }
    }

    fn is_revoked(&self, _: &str) -> Option<bool> {
        Some(false)
    }

    fn unwrap_key(&self, _: &str, _: &[u8]) -> Option<Vec<u8>> {
        Some(vec![3; 32])
    }

    fn sign_es256(&self, _: &str, _: &[u8]) -> Option<Vec<u8>> {
        Some(vec![1; 64])
    }

    fn find_key(&self, app: &str, key_id: &[u8]) -> Option<AttestedKey> {
        // The generator of P-256, uncompressed: a point on the curve whose key everybody knows (it is 1).
        const GENERATOR: &str =
            "BGsX0fLhLEJH+Lzm5WOkQPJ3A32BLeszoPShOUXYmMKWT+NC4v4af5uO5+tKfA+eFivOM1drMV7Oy7ZAaDe/UfU=";
        (key_id == KEY_ID).then(|| AttestedKey {
            key_id: key_id.to_vec(),
            app: app.to_owned(),
            public_key: Base64::decode_vec(GENERATOR).unwrap_or_default(),
            development: false,
            counter: 0,
            attested_at: NOW,
        })
    }
}

fn submission() -> Submission {
    let transcript = |format: &str| Transcript { format: format.to_owned(), sha256: HASH };
    Submission {
        app: APP.to_owned(),
        transcripts: ["ens-v1", "ens-v3", "ens-v4"].map(transcript).into(),
        challenge: Some(vec![7; 16]),
        ..Submission::default()
    }
}

fn refused(outcome: Outcome) {
    match outcome {
        Outcome::Reject(rejection) => well_formed(&rejection),
        Outcome::Accept(_) | Outcome::Exchange(_) => panic!("not refused: {outcome:?}"),
    }
}

/// As the contract wants rejections.
fn well_formed(rejection: &Rejection) {
    let known = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    assert!((1..=64).contains(&rejection.code.len()) && rejection.code.bytes().all(known), "{}", rejection.code);
    assert!((1..=MAX_DETAIL).contains(&rejection.detail.chars().count()), "{}", rejection.detail);
}

/// The first byte, and what follows it.
fn selected(input: &[u8]) -> (u8, &[u8]) {
    input.split_first().map_or((0, input), |(first, rest)| (*first, rest))
}

/// A byte that selects settings (1: receipts are read, 2: an assertion, 4: of the registered key) and a CBOR object; the
/// input is also taken as text, as it comes from the phone.
pub fn app_attest(input: &[u8]) {
    let (select, object) = selected(input);
    let config = AppAttestConfig {
        team_id: TEAM.to_owned(),
        mode: if select & 2 == 0 { Mode::OneShot } else { Mode::Registered },
        receipt: if select & 1 == 0 { ReceiptRule::Ignored } else { ReceiptRule::Required },
        freshness: Freshness::CertificateDates,
        ..AppAttestConfig::default()
    };
    let method = if select & 2 == 0 { app_attest::ATTESTATION } else { app_attest::ASSERTION };
    let key_id = Some(if select & 4 == 0 { vec![0; 32] } else { KEY_ID.to_vec() });
    let evidence = Evidence { method: method.to_owned(), token: object.to_vec(), key_id, ..Evidence::default() };
    refused(app_attest::begin(&submission(), &evidence, &config, &Host));
    if let Ok(decoded) = AppAttest::decode(&evidence) {
        refused(app_attest::begin(&submission(), &decoded, &config, &Host));
    }
}

/// Certificates, each after its length in two bytes; and the input as the description of a key, and as text.
pub fn android_key(input: &[u8]) {
    let config = AndroidKeyConfig {
        certificate_sha256: vec![CertificateDigest(SIGNER)],
        challenge: ChallengeRule::Optional,
        ..AndroidKeyConfig::default()
    };
    let method = android_key::METHOD.to_owned();
    let chain = pieces(input);
    for der in &chain {
        certificate(der);
    }
    let evidence = Evidence { method: method.clone(), chain, ..Evidence::default() };
    refused(android_key::begin(&submission(), &evidence, &config, &Host));
    if let Ok(decoded) = AndroidKey::decode(&Evidence { method, token: input.to_vec(), ..Evidence::default() }) {
        refused(android_key::begin(&submission(), &decoded, &config, &Host));
    }
    if let Ok(description) = KeyDescription::parse(input) {
        let judged = android_key::check_description(&description, &HASH, APP, &config, NOW);
        match judged {
            Err(rejection) => well_formed(&rejection),
            // Whoever writes the description can make it right, so that no more can be said than that the hash, the app
            // and its signer are in it.
            Ok(()) => {
                for part in [&HASH[..], APP.as_bytes(), &SIGNER] {
                    assert!(holds(input, part), "accepted without {part:?}");
                }
            }
        }
    }
}

/// All that can be asked of a certificate.
fn certificate(der: &[u8]) {
    let Ok(certificate) = Certificate::parse(der) else { return };
    assert!(certificate.serial_hex().bytes().all(|byte| byte.is_ascii_hexdigit()), "a serial number");
    let _ = (certificate.is_valid_at(NOW), certificate.basic_constraints(), certificate.may_issue(0));
    let _ = (certificate.extended_key_usage(), certificate.dns_names(), certificate.public_key_bytes());
    let _ = (certificate.public_key::<EcKey>().is_ok(), certificate.public_key::<PublicKey>().is_ok());
}

/// A token, and a verdict as Google would answer it.
pub fn play_integrity(input: &[u8]) {
    let kinds = vec![Kind::Classic, Kind::Standard];
    let certificate_sha256 = vec![CertificateDigest(SIGNER)];
    let google = PlayIntegrityConfig {
        kinds,
        certificate_sha256,
        credential: Some("play".to_owned()),
        ..PlayIntegrityConfig::default()
    };
    // The generator of P-256: nobody who is asked to sign has its key.
    let here = PlayIntegrityConfig {
        wrap_key: Some("wrap".to_owned()),
        verify_key_spki: verify_key().try_into().ok(),
        ..google.clone()
    };
    let evidence =
        |kind: Kind| Evidence { method: kind.method().to_owned(), token: input.to_vec(), ..Evidence::default() };
    refused(play_integrity::begin(&submission(), &evidence(Kind::Classic), &here, &Host));
    for kind in [Kind::Classic, Kind::Standard] {
        match play_integrity::begin(&submission(), &evidence(kind), &google, &Host) {
            Outcome::Reject(rejection) => well_formed(&rejection),
            Outcome::Exchange(exchange) => question(&exchange, input),
            Outcome::Accept(_) => panic!("accepted without asking Google"),
        }
        let answer = HttpAnswer::Response { status: 200, body: input.to_vec() };
        let evidence = Evidence { token: b"token".to_vec(), ..evidence(kind) };
        match play_integrity::resume(&submission(), &evidence, &google, &Host, &answer) {
            Outcome::Reject(rejection) => well_formed(&rejection),
            Outcome::Exchange(_) => panic!("asked twice"),
            // Google's word: then it is about this submission, this app and its signer. JSON has escapes, so the
            // texts are looked for only where there are none.
            Outcome::Accept(_) if input.contains(&b'\\') => {}
            Outcome::Accept(_) => {
                let hash = Base64UrlUnpadded::encode_string(&HASH);
                for part in [hash.as_str(), APP, "PLAY_RECOGNIZED", "MEETS_DEVICE_INTEGRITY"] {
                    assert!(holds(input, part.as_bytes()), "accepted without {part}");
                }
            }
        }
    }
}

/// The key that the tokens of [`play_integrity`] would have to be signed with, as the Play Console shows it.
fn verify_key() -> String {
    "MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEaxfR8uEsQkf4vOblY6RA8ncDfYEt6zOg9KE5RdiYwpZP40Li/hp/m47n60p8D54WK84zV2sxXs7LtkBo\
     N79R9Q=="
        .to_owned()
}

/// A question is JSON that holds the token and goes to Google or Apple.
fn question(exchange: &Exchange, token: &[u8]) {
    let Exchange { request, continuation } = exchange;
    let hosts = ["https://playintegrity.googleapis.com/", "https://api.devicecheck.apple.com/"];
    assert!(hosts.iter().any(|host| request.url.starts_with(host)), "{}", request.url);
    assert!(request.method == "POST" && continuation.is_empty(), "another question");
    let body: serde_json::Value = serde_json::from_slice(&request.body).expect("JSON");
    let sent = body.get("integrity_token").or_else(|| body.get("device_token")).and_then(|token| token.as_str());
    assert!(sent.is_some_and(|sent| sent.as_bytes() == token), "another token");
}

/// A byte that selects settings (1: an archive, 2: the first format, 4: the fourth) and a token.
pub fn safetynet(input: &[u8]) {
    let (select, token) = selected(input);
    let binding = match select & 6 {
        2 => crate::google::Binding::EnsV1,
        4 => crate::google::Binding::EnsV4,
        _ => crate::google::Binding::EnsV3,
    };
    let config = SafetyNetConfig {
        enabled: true,
        certificate_sha256: vec![CertificateDigest(SIGNER)],
        archive: select & 1 != 0,
        binding,
        ..SafetyNetConfig::default()
    };
    let evidence = Evidence { method: safetynet::METHOD.to_owned(), token: token.to_vec(), ..Evidence::default() };
    refused(safetynet::begin(&submission(), &evidence, &config, &Host));
    let configuration = String::from_utf8_lossy(input);
    refused(validator::validate::<validator::SafetyNet>(&submission(), Some(&evidence), &configuration, &Host));
}

/// Two bytes for the status of Apple's answer, and a token that is also the answer's body.
pub fn device_check(input: &[u8]) {
    let (status, token) =
        input.split_first_chunk::<2>().map_or((0, input), |(status, rest)| (u16::from_be_bytes(*status), rest));
    let config = DeviceCheckConfig {
        team_id: TEAM.to_owned(),
        key_id: TEAM.to_owned(),
        sign_key: "apple".to_owned(),
        ..DeviceCheckConfig::default()
    };
    let evidence = |token: &[u8]| Evidence {
        method: device_check::METHOD.to_owned(),
        token: token.to_vec(),
        ..Evidence::default()
    };
    match device_check::begin(&submission(), &evidence(token), &config, &Host) {
        Outcome::Reject(rejection) => well_formed(&rejection),
        Outcome::Exchange(exchange) => question(&exchange, token),
        Outcome::Accept(_) => panic!("accepted without asking Apple"),
    }
    let answer = HttpAnswer::Response { status, body: token.to_vec() };
    match device_check::resume(&submission(), &evidence(b"dG9rZW4="), &config, &Host, &answer) {
        Outcome::Reject(rejection) => well_formed(&rejection),
        Outcome::Exchange(_) => panic!("asked twice"),
        Outcome::Accept(_) => assert_eq!(status, 200, "accepted another answer"),
    }
}

/// What follows each length, two bytes, big-endian. The last piece may be cut short.
fn pieces(input: &[u8]) -> Vec<Vec<u8>> {
    let (mut rest, mut pieces) = (input, Vec::new());
    while let Some((length, behind)) = rest.split_first_chunk::<2>() {
        let length = usize::from(u16::from_be_bytes(*length)).min(behind.len());
        let (piece, behind) = behind.split_at(length);
        pieces.push(piece.to_vec());
        rest = behind;
    }
    pieces
}

fn holds(text: &[u8], part: &[u8]) -> bool {
    text.windows(part.len()).any(|window| window == part)
}
