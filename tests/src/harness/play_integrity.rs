//! Play Integrity as Google makes it: verdicts, and classic tokens that are signed and then encrypted.

use super::people::APP;
use aes_gcm::aead::{Aead, Payload};
use aes_gcm::{Aes256Gcm, KeyInit, Nonce};
use aes_kw::KwAes256;
use p256::ecdsa::signature::Signer;
use p256::ecdsa::{Signature, SigningKey};
use p256::pkcs8::EncodePublicKey;
use serde_json::{Value, json};
use tocsin_domain::base64;
use tocsin_domain::interval::Timestamp;

/// The key of the operator that decrypts.
pub const WRAP_KEY: [u8; 32] = [0x42; 32];
/// SHA-256 of the certificate that signs the app.
pub const APP_SIGNER: [u8; 32] = [0xab; 32];

fn google_key() -> SigningKey {
    SigningKey::from_slice(&[5; 32]).expect("a key")
}

/// The validator's configuration for classic tokens, with a key named `wrap`.
pub fn classic_configuration() -> toml::Table {
    let spki = google_key().verifying_key().to_public_key_der().expect("DER");
    let configuration = json!({
        "kinds": ["classic"],
        "certificate_sha256": [signer_text()],
        "wrap_key": "wrap",
        "verify_key_spki": base64::encode(spki.as_bytes()),
    });
    toml::Table::try_from(configuration).expect("a table")
}

/// [`APP_SIGNER`] in hexadecimal digits.
pub fn signer_text() -> String {
    APP_SIGNER.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A verdict about a genuine app, bound to `hash`, made at `now`, of a device with that label.
pub fn verdict(hash: &[u8; 32], label: &str, now: Timestamp) -> Value {
    json!({
        "requestDetails": {
            "requestPackageName": APP,
            "nonce": base64::encode_url(hash),
            "requestHash": base64::encode_url(hash),
            "timestampMillis": (now.unix() * 1000).to_string(),
        },
        "appIntegrity": {
            "appRecognitionVerdict": "PLAY_RECOGNIZED",
            "packageName": APP,
            "certificateSha256Digest": [base64::encode_url(&APP_SIGNER)],
            "versionCode": "42",
        },
        "deviceIntegrity": { "deviceRecognitionVerdict": [label] },
        "accountDetails": { "appLicensingVerdict": "LICENSED" },
    })
}

/// A classic token.
pub fn classic_token(verdict: &Value) -> String {
    let encode = base64::encode_url;
    let signed = format!("{}.{}", encode(br#"{"alg":"ES256"}"#), encode(verdict.to_string().as_bytes()));
    let signature: Signature = google_key().sign(signed.as_bytes());
    let content = format!("{signed}.{}", encode(&signature.to_bytes()));
    let (content_key, iv) = ([7; 32], [9; 12]);
    let mut wrapped = [0; 40];
    KwAes256::new(&WRAP_KEY.into()).wrap_key(&content_key, &mut wrapped).expect("whole blocks");
    let protected = encode(br#"{"alg":"A256KW","enc":"A256GCM"}"#);
    let payload = Payload { msg: content.as_bytes(), aad: protected.as_bytes() };
    let sealed = Aes256Gcm::new(&content_key.into()).encrypt(&Nonce::from(iv), payload).expect("short");
    let (text, tag) = sealed.split_at(sealed.len() - 16);
    [protected, encode(&wrapped), encode(&iv), encode(text), encode(tag)].join(".")
}
