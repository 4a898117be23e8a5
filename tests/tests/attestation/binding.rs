//! The transcript `ens-v4`, written from its description once more.

use sha2::{Digest, Sha256};
use tocsin_domain::base64;
use tocsin_domain::publish::request::PublishRequest;

/// What a phone hashes so that its evidence is about this request.
pub fn ens_v4(request: &PublishRequest<'_>, method: &str) -> [u8; 32] {
    ens_v4_with(request, method, &[])
}

/// The same, answering a challenge.
pub fn ens_v4_with(request: &PublishRequest<'_>, method: &str, challenge: &[u8]) -> [u8; 32] {
    let mut text = b"ens-attest-v4\0".to_vec();
    let prefixed = |text: &mut Vec<u8>, bytes: &[u8]| {
        text.extend(u32::try_from(bytes.len()).expect("short").to_be_bytes());
        text.extend(bytes);
    };
    prefixed(&mut text, request.health_authority_id.as_bytes());
    prefixed(&mut text, method.as_bytes());
    text.extend(u16::try_from(request.keys.len()).expect("few").to_be_bytes());
    let mut keys: Vec<_> = request.keys.iter().map(|key| (base64::decode(&key.key).expect("base64"), key)).collect();
    keys.sort_by(|a, b| a.0.cmp(&b.0));
    for (bytes, key) in keys {
        text.extend(bytes);
        text.extend(u32::try_from(key.rolling_start).expect("positive").to_be_bytes());
        text.extend(u32::try_from(key.rolling_period).expect("positive").to_be_bytes());
        text.push(u8::try_from(key.transmission_risk).expect("small"));
    }
    // v1 names no regions.
    text.extend([0, 0]);
    prefixed(&mut text, &Sha256::digest(request.verification_payload.as_bytes()));
    prefixed(&mut text, &base64::decode(&request.hmac_key).expect("base64"));
    prefixed(&mut text, challenge);
    Sha256::digest(text).into()
}
