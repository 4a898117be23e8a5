//! Tokens of our own making, under keys of our own.

use super::*;
use aes_kw::KwAes256;
use base64ct::{Base64, Base64UrlUnpadded, Encoding};
use p256::ecdsa::signature::Signer;
use p256::ecdsa::{Signature, SigningKey};

/// When the tokens are made, unix seconds.
pub const NOW: i64 = 1_790_000_000;
/// The hash that they hold.
pub const HASH: [u8; 32] = [0xfb; 32];
const WRAP: [u8; 32] = [3; 32];

/// DER of a P-256 SubjectPublicKeyInfo up to the point.
const SPKI_PREFIX: [u8; 26] = [
    0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a, 0x86, 0x48, 0xce,
    0x3d, 0x03, 0x01, 0x07, 0x03, 0x42, 0x00,
];

pub fn host() -> Host {
    Host { now: NOW, wrap: WRAP, ..Host::default() }
}

pub fn key(seed: u8) -> SigningKey {
    SigningKey::from_slice(&[seed; 32]).expect("a scalar")
}

pub fn spki(key: &SigningKey) -> String {
    let point = key.verifying_key().to_sec1_point(false);
    Base64::encode_string(&[&SPKI_PREFIX[..], point.as_bytes()].concat())
}

pub fn verify_key() -> VerifyKey {
    spki(&key(5)).try_into().expect("a key")
}

/// A verdict that passes, for both kinds.
pub fn verdict() -> Value {
    json!({
        "requestDetails": {
            "requestPackageName": APP,
            "nonce": Base64UrlUnpadded::encode_string(&HASH),
            "requestHash": Base64UrlUnpadded::encode_string(&HASH),
            "timestampMillis": format!("{NOW}999"),
        },
        "appIntegrity": {
            "appRecognitionVerdict": "PLAY_RECOGNIZED",
            "packageName": APP,
            "certificateSha256Digest": [Base64UrlUnpadded::encode_string(&APP_SIGNER)],
            "versionCode": "42",
        },
        "deviceIntegrity": {"deviceRecognitionVerdict": ["MEETS_BASIC_INTEGRITY", "MEETS_DEVICE_INTEGRITY"]},
        "accountDetails": {"appLicensingVerdict": "LICENSED"},
    })
}

/// The parts of a classic token.
#[derive(Clone)]
pub struct Token {
    pub header: String,
    pub inner_header: String,
    pub payload: String,
    pub signer: u8,
    pub content_key: Vec<u8>,
    pub iv: Vec<u8>,
    /// Instead of the JWS.
    pub content: Option<String>,
}

impl Token {
    pub fn of(verdict: &Value) -> Self {
        Self {
            header: r#"{"alg":"A256KW","enc":"A256GCM"}"#.to_owned(),
            inner_header: r#"{"alg":"ES256"}"#.to_owned(),
            payload: verdict.to_string(),
            signer: 5,
            content_key: vec![7; 32],
            iv: vec![9; 12],
            content: None,
        }
    }

    pub fn seal(&self) -> String {
        let encode = |bytes: &[u8]| Base64UrlUnpadded::encode_string(bytes);
        let signed = format!("{}.{}", encode(self.inner_header.as_bytes()), encode(self.payload.as_bytes()));
        let signature: Signature = key(self.signer).sign(signed.as_bytes());
        let jws = format!("{signed}.{}", encode(&signature.to_bytes()));
        let content = self.content.as_ref().unwrap_or(&jws);

        let mut wrapped = vec![0; self.content_key.len() + 8];
        KwAes256::new(&WRAP.into()).wrap_key(&self.content_key, &mut wrapped).expect("whole blocks");
        let protected = encode(self.header.as_bytes());
        // Wrong lengths are for the other side to find; here something must encrypt.
        let content_key: [u8; 32] = self.content_key.as_slice().try_into().unwrap_or([7; 32]);
        let iv: [u8; 12] = self.iv.as_slice().try_into().unwrap_or([9; 12]);
        let payload = Payload { msg: content.as_bytes(), aad: protected.as_bytes() };
        let sealed = Aes256Gcm::new(&content_key.into()).encrypt(&Nonce::from(iv), payload).expect("short");
        let (text, tag) = sealed.split_at(sealed.len() - 16);
        [protected, encode(&wrapped), encode(&self.iv), encode(text), encode(tag)].join(".")
    }
}
