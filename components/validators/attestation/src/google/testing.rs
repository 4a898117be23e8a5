//! What the tests of this folder share.

use crate::contract::{AttestedKey, Outcome, Services, Stage, Submission, Transcript};
use aes_kw::{KeyInit, KwAes256};
use std::path::Path;

pub const APP: &str = "com.google.android.apps.exposurenotification";

/// The certificate that signs [`APP`], as the vectors have it.
pub const APP_SIGNER: [u8; 32] = [
    0x8e, 0xa9, 0x98, 0x12, 0xa8, 0xbd, 0xa9, 0x4b, 0xe9, 0x51, 0xed, 0x75, 0xa8, 0xc7, 0xf7, 0xbf, 0x6a, 0x3a, 0x54,
    0x44, 0x0c, 0xfb, 0x93, 0x43, 0x79, 0xed, 0x9b, 0xcf, 0x4c, 0x5d, 0xcd, 0x67,
];

/// A host with a clock that stands, one set of trust anchors, and one AES key named `wrap`.
#[derive(Clone, Default)]
pub struct Host {
    pub now: i64,
    pub anchors: Vec<Vec<u8>>,
    pub wrap: [u8; 32],
}

impl Services for Host {
    fn now(&self) -> i64 {
        self.now
    }

    fn random(&self, _: u32) -> Vec<u8> {
        panic!("nothing here needs randomness")
    }

    fn anchors(&self, set: &str) -> Vec<Vec<u8>> {
        assert_eq!(set, "safetynet");
        self.anchors.clone()
    }

    fn is_revoked(&self, _: &str) -> Option<bool> {
        panic!("nothing here can be revoked")
    }

    fn unwrap_key(&self, key: &str, wrapped: &[u8]) -> Option<Vec<u8>> {
        let mut unwrapped = vec![0; wrapped.len().checked_sub(8)?];
        let key = (key == "wrap").then(|| KwAes256::new(&self.wrap.into()))?;
        key.unwrap_key(wrapped, &mut unwrapped).ok()?;
        Some(unwrapped)
    }

    fn sign_es256(&self, _: &str, _: &[u8]) -> Option<Vec<u8>> {
        panic!("nothing here is signed by the host")
    }

    fn find_key(&self, _: &str, _: &[u8]) -> Option<AttestedKey> {
        panic!("no keys are stored")
    }
}

/// A submission of [`APP`] with that transcript.
pub fn submission(format: &str, sha256: [u8; 32]) -> Submission {
    Submission {
        app: APP.to_owned(),
        transcripts: vec![Transcript { format: format.to_owned(), sha256 }],
        ..Submission::default()
    }
}

/// Why an outcome is no acceptance.
pub fn refusal(outcome: &Outcome) -> Option<(&'static str, Stage)> {
    match outcome {
        Outcome::Accept(_) => None,
        Outcome::Reject(rejection) => Some((rejection.code, rejection.stage)),
        Outcome::Exchange(_) => Some(("exchange", Stage::Upstream)),
    }
}

/// A file of the vectors, which are other projects' and stay outside of this one.
pub fn vector(name: &str) -> Option<String> {
    let vectors = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../../shared/vectors");
    let text = std::fs::read_to_string(vectors.join(name)).ok();
    if text.is_none() {
        eprintln!("skipped: there is no {name} among the vectors");
    }
    text
}

// RFC 3394, section 4.6.
#[test]
fn host_of_the_tests_unwraps_the_example_of_rfc_3394() {
    let bytes = |text: &str| -> Vec<u8> {
        let digit = |at: usize| u8::from_str_radix(&text[at..at + 2], 16).expect("hexadecimal");
        (0..text.len()).step_by(2).map(digit).collect()
    };
    let wrapped = bytes("28c9f404c4b810f4cbccb35cfb87f8263f5786e2d80ed326cbc7f0e71a99f43bfb988b9b7a02dd21");
    let wrap = bytes("000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f");
    let host = Host { wrap: wrap.try_into().expect("32 bytes"), ..Host::default() };
    let expect = bytes("00112233445566778899aabbccddeeff000102030405060708090a0b0c0d0e0f");
    assert_eq!(host.unwrap_key("wrap", &wrapped), Some(expect));
    assert_eq!(host.unwrap_key("other", &wrapped), None);
    assert_eq!(host.unwrap_key("wrap", &[0; 40]), None);
    assert_eq!(host.unwrap_key("wrap", &[]), None);
}
