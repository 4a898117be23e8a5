//! What must hold for every input, whoever wrote it. Each check panics when it does not.
//!
//! The fuzz targets in `fuzz/` run them on inputs that libFuzzer invents; a unit test below runs them on every input
//! kept in `fuzz/corpus/`, so that what fuzzing once found is noticed by the plain tests too. docs/testing.md says how
//! to go on from a finding.

#[cfg(test)]
mod tests;

use super::health_authorities::FakeHealthAuthorities;
use crate::base64;
use crate::health_authority::{HealthAuthority, HealthAuthorityId, HealthAuthorityKey};
use crate::interval::{Timestamp, key_end};
use crate::ports::PortError;
use crate::ports::sealing::{Sealed, Sealing};
use crate::ports::signature_check::SignatureCheck;
use crate::ports::verifier::{Claims, Proof, ProofKey, VerificationError};
use crate::protobuf::put_bytes;
use crate::publish::request::{CONTENT_TYPE_PREFIX, MAX_BODY_BYTES, PublishRequest};
use crate::publish::revision_token::{RevisionToken, TokenEntry, seal};
use crate::publish::transform::{oldest_end, transform};
use crate::settings::{PublishSettings, VerificationSettings};
use crate::verification::certificate::verify;
use std::cell::RefCell;

/// Tells whether the input was accepted, so that a test can see that a corpus holds both kinds.
pub type Check = fn(&[u8]) -> bool;

/// The checks by the names of their targets.
pub const CHECKS: [(&str, Check); 3] =
    [("certificate", certificate), ("publish_request", publish_request), ("revision_token", revision_token)];

/// When everything happens: 2020-09-14T12:34:56Z.
pub const NOW: Timestamp = Timestamp::from_unix(1_600_086_896);

/// No text that quotes an input is longer, in bytes. Two quotes of 100 characters of up to four bytes, and words.
const MAX_TEXT: usize = 1000;

/// A body of a publish request: whatever it is, it is read or refused with a short text, and a request that was read is
/// read again from the JSON we write of it.
pub fn publish_request(body: &[u8]) -> bool {
    let parse = |body| PublishRequest::parse(Some(CONTENT_TYPE_PREFIX), body).map(PublishRequest::into_owned);
    match parse(body) {
        Err(error) => {
            let status = error.code().status();
            assert!(status == if body.len() > MAX_BODY_BYTES { 413 } else { 400 }, "status {status}");
            assert!(error.to_string().len() < MAX_TEXT, "a long text");
            false
        }
        Ok(request) => {
            assert!(body.len() <= MAX_BODY_BYTES, "too large");
            let json = request.to_json();
            // An empty object is shorter than a key whose fields are all written.
            if json.len() <= MAX_BODY_BYTES {
                assert!(parse(&json) == Ok(request.clone()), "what was read is not what is written and read again");
            }
            if let Ok(outcome) = transform(&request, None, &PublishSettings::default(), NOW) {
                let (kept, dropped) = (outcome.keys.len(), outcome.warnings.len() + outcome.errors.len());
                assert!(kept + dropped <= request.keys.len(), "more keys than were sent");
            }
            true
        }
    }
}

/// The health authority whose certificates [`certificate`] may accept, and the version of its key.
pub const ISSUER: &str = "issuer.example";
/// See [`ISSUER`].
pub const AUDIENCE: &str = "audience.example";
/// See [`ISSUER`].
pub const KEY_VERSION: &str = "v1";
/// The secret of the phone that presents the certificates of [`certificate`].
pub const HMAC_SECRET: &[u8] = b"a secret of the phone";

const PUBLIC_KEY: &[u8] = b"a public key";
const HEALTH_AUTHORITY: HealthAuthorityId = HealthAuthorityId(5);

/// The keys that a certificate must cover for [`certificate`].
pub fn proof_keys() -> Vec<ProofKey<'static>> {
    let key =
        |key, transmission_risk| ProofKey { key, rolling_start: 2_666_592, rolling_period: 144, transmission_risk };
    vec![key("bbbbbbbbbbbbbbbbbbbbbQ==", 0), key("aaaaaaaaaaaaaaaaaaaaaQ==", 0)]
}

/// A verification certificate: no text is accepted unless the signature check was asked about it and said yes, and none
/// that does not cover the keys.
///
/// The input is the certificate. If it has a line break, it is also taken for the JSON of a header, and behind the line
/// break that of the claims, since hardly any change of base64 leaves base64 of JSON.
pub fn certificate(input: &[u8]) -> bool {
    let text = String::from_utf8_lossy(input);
    let as_it_is = check_certificate(&text);
    let Some((header, claims)) = text.split_once('\n') else { return as_it_is };
    let [header, claims] = [header, claims].map(|json| base64::encode_url(json.as_bytes()));
    check_certificate(&format!("{header}.{claims}.{}", base64::encode_url(&[7; 64])))
}

/// Gives the same answer each time, and remembers the questions.
struct OneAnswer {
    answer: Result<bool, PortError>,
    questions: RefCell<Vec<(Vec<u8>, Vec<u8>)>>,
}

impl SignatureCheck for OneAnswer {
    fn verify_es256(&self, public_key: &[u8], message: &[u8], _signature: &[u8]) -> Result<bool, PortError> {
        self.questions.borrow_mut().push((public_key.to_vec(), message.to_vec()));
        self.answer.clone()
    }
}

/// Of the two known health authorities the app may use the first.
fn health_authorities() -> FakeHealthAuthorities {
    let at = |seconds| NOW.plus_seconds(seconds);
    let key = |version: &str, from, thru| HealthAuthorityKey {
        version: version.to_owned(),
        from,
        thru,
        public_key: PUBLIC_KEY.to_vec(),
    };
    let authority = |id, issuer: &str| HealthAuthority {
        id,
        issuer: issuer.to_owned(),
        audience: AUDIENCE.to_owned(),
        name: "Health".to_owned(),
        statistics_enabled: true,
        keys: vec![key(KEY_VERSION, at(-1000), None), key("expired", at(-1000), Some(at(-1)))],
    };
    let authorities = vec![authority(HEALTH_AUTHORITY, ISSUER), authority(HealthAuthorityId(6), "other.example")];
    FakeHealthAuthorities { authorities, ..FakeHealthAuthorities::default() }
}

fn check_certificate(text: &str) -> bool {
    let hmac_key = base64::encode(HMAC_SECRET);
    let ask = |answer: Result<bool, PortError>, keys: Vec<ProofKey<'static>>| {
        let proof = Proof {
            verification_payload: text,
            hmac_key: &hmac_key,
            allowed_health_authorities: &[HEALTH_AUTHORITY],
            keys,
        };
        let check = OneAnswer { answer, questions: RefCell::default() };
        let result = verify(&proof, NOW, &VerificationSettings::default(), &health_authorities(), &check);
        (result, check.questions.into_inner())
    };
    let (if_good, questions) = ask(Ok(true), proof_keys());
    let (if_forged, _) = ask(Ok(false), proof_keys());
    let (if_broken, _) = ask(Err(PortError::Unavailable), proof_keys());
    for result in [&if_good, &if_forged] {
        if let Err(VerificationError::Rejected(text)) = result {
            assert!(text.len() < MAX_TEXT, "a long text");
        }
    }
    assert!(matches!(if_forged, Err(VerificationError::Rejected(_))), "accepted with a forged signature");
    match questions.as_slice() {
        [] => {
            assert!(if_good == if_forged && if_good == if_broken, "decided by a signature that nobody checked");
        }
        [(public_key, message)] => {
            assert!(public_key == PUBLIC_KEY, "checked under another key");
            let signed = text.rsplit_once('.').map(|(signed, _)| signed.as_bytes());
            assert!(signed == Some(message), "another text was checked");
            assert!(if_broken == Err(VerificationError::Port(PortError::Unavailable)), "a failure was taken for a no");
        }
        _ => panic!("checked more than once"),
    }
    match if_good {
        Ok(claims) => {
            let Claims { health_authority, report_type: _, symptom_onset } = claims;
            assert!(!questions.is_empty(), "accepted without a check of the signature");
            assert!(health_authority == HEALTH_AUTHORITY && symptom_onset != Some(0));
            let mut others = proof_keys();
            others[0].rolling_start += 1;
            let (result, _) = ask(Ok(true), others);
            assert!(matches!(result, Err(VerificationError::Rejected(_))), "accepted for keys it does not cover");
            true
        }
        Err(VerificationError::Rejected(_)) => false,
        Err(VerificationError::Port(_)) => panic!("a failure out of nothing"),
    }
}

/// Hides nothing and opens everything, as if it had sealed it.
pub struct OpensEverything;

impl Sealing for OpensEverything {
    fn seal(&self, plaintext: &[u8]) -> Result<Sealed, PortError> {
        Ok(Sealed { key_id: "1".to_owned(), data: plaintext.to_vec() })
    }

    fn open(&self, sealed: &Sealed) -> Result<Option<Vec<u8>>, PortError> {
        Ok(Some(sealed.data.clone()))
    }
}

/// The text of a token whose plaintext is `plaintext`, for [`OpensEverything`].
pub fn token_around(plaintext: &[u8]) -> String {
    let mut token = Vec::new();
    put_bytes(&mut token, 1, b"1");
    put_bytes(&mut token, 2, plaintext);
    base64::encode(&token)
}

/// A revision token, as text and as what is sealed in one: it is read or not, and the entries that were read are read
/// again from the token we make of them.
pub fn revision_token(input: &[u8]) -> bool {
    let as_text = check_token(&String::from_utf8_lossy(input));
    let as_plaintext = check_token(&token_around(input));
    as_text || as_plaintext
}

/// Whether the token holds a key.
fn check_token(text: &str) -> bool {
    let read = |text: &str| RevisionToken::read(text, &OpensEverything);
    let Ok(token) = read(text) else { panic!("nothing fails here") };
    let Some(entries) = token.entries() else { return false };
    let min_entries = PublishSettings::default().revision_token_min_entries;
    match seal(entries, min_entries, &OpensEverything) {
        Ok(None) => assert!(entries.is_empty(), "entries without a token"),
        Ok(Some(again)) => assert!(read(&again).as_ref() == Ok(&token), "the token holds something else"),
        Err(_) => panic!("nothing fails here"),
    }
    let oldest = oldest_end(&PublishSettings::default(), NOW);
    let next = token.succeed(&[], oldest);
    let is_alive = |entry: &&TokenEntry| key_end(entry.rolling_start, entry.rolling_period) >= oldest;
    assert!(next.iter().eq(entries.iter().filter(is_alive)), "the next token holds something else");
    !entries.is_empty()
}
