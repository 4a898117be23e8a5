//! Compact JWS (RFC 7515) and JWE (RFC 7516): taking them apart, strictly, before any cryptography. Which algorithm is
//! right is for the caller to say; a header never chooses.

mod json;
#[cfg(test)]
mod tests;

pub use json::parse_object;

use base64ct::{Base64UrlUnpadded, Encoding};
use p256::ecdsa::signature::Verifier;
use serde_json::{Map, Value};

/// Longest token that is read, in bytes.
pub const MAX_TOKEN_BYTES: usize = 32 * 1024;

/// A JWS whose shape was checked; its signature was not.
#[derive(Clone)]
pub struct Jws<'a> {
    /// The header, a JSON object.
    pub header: Map<String, Value>,
    /// The payload, a JSON object.
    pub payload: Map<String, Value>,
    /// What the signature covers.
    pub signed: &'a [u8],
    /// The signature.
    pub signature: Vec<u8>,
}

impl<'a> Jws<'a> {
    /// Reads `header.payload.signature`, the whole of `token`. `None` if anything is not as it must be: size, number of
    /// parts, base64url without padding and with nothing in its unused bits, JSON objects that hold no name twice.
    pub fn parse(token: &'a [u8]) -> Option<Self> {
        let [header, payload, signature] = parts(token)?;
        let signed = token.get(..header.len() + 1 + payload.len())?;
        Some(Self { header: object(header)?, payload: object(payload)?, signed, signature: decode(signature)? })
    }

    /// Whether the header says exactly this algorithm, and asks for nothing that changes what is signed.
    ///
    /// Keys and certificates that it names (`jwk`, `jku`, `x5u`, `kid`) are never looked at.
    pub fn has_algorithm(&self, algorithm: &str) -> bool {
        is_text(&self.header, "alg", algorithm) && !self.header.contains_key("crit") && !self.header.contains_key("b64")
    }

    /// Checks an ES256 signature (RFC 7518, 3.4): 64 bytes, `r` and `s`.
    pub fn verify_es256(&self, key: &p256::ecdsa::VerifyingKey) -> bool {
        p256::ecdsa::Signature::from_slice(&self.signature)
            .is_ok_and(|signature| key.verify(self.signed, &signature).is_ok())
    }
}

/// A JWE whose shape was checked; nothing was decrypted.
#[derive(Clone)]
pub struct Jwe<'a> {
    /// The header, a JSON object.
    pub header: Map<String, Value>,
    /// The header as received: the additional data of the encryption.
    pub protected: &'a [u8],
    /// The wrapped content key.
    pub encrypted_key: Vec<u8>,
    /// Initialization vector.
    pub iv: Vec<u8>,
    /// Ciphertext and behind it the tag.
    pub sealed: Vec<u8>,
}

/// Length of the tag of AES-GCM in bytes.
const TAG_BYTES: usize = 16;

/// What may stand in a JWE header besides the algorithms: says something about the token and changes nothing.
const DESCRIPTIVE: [&str; 3] = ["typ", "cty", "kid"];

impl<'a> Jwe<'a> {
    /// Reads `header.key.iv.ciphertext.tag`, the whole of `token`; strict as [`Jws::parse`].
    pub fn parse(token: &'a [u8]) -> Option<Self> {
        let [header, encrypted_key, iv, ciphertext, tag] = parts(token)?;
        let tag = decode(tag).filter(|tag| tag.len() == TAG_BYTES)?;
        let sealed = [decode(ciphertext)?, tag].concat();
        Some(Self {
            header: object(header)?,
            protected: header.as_bytes(),
            encrypted_key: decode(encrypted_key)?,
            iv: decode(iv)?,
            sealed,
        })
    }

    /// Whether the header says exactly these algorithms, and nothing else that would have to be understood: no
    /// compression, no critical extensions, no keys.
    pub fn has_algorithms(&self, key: &str, content: &str) -> bool {
        let Self { header, .. } = self;
        let known = |name: &String| name == "alg" || name == "enc" || DESCRIPTIVE.contains(&name.as_str());
        is_text(header, "alg", key) && is_text(header, "enc", content) && header.keys().all(known)
    }
}

/// Decodes base64url as JOSE has it: no padding, no line breaks, nothing in unused bits.
pub fn decode(text: &str) -> Option<Vec<u8>> {
    Base64UrlUnpadded::decode_vec(text).ok()
}

/// Whether `token` could be a compact JWS or JWE: not empty, not too long, and of their characters.
pub fn is_compact(token: &[u8]) -> bool {
    let known = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    (1..=MAX_TOKEN_BYTES).contains(&token.len()) && token.iter().all(known)
}

/// Exactly `N` parts, none of them empty.
fn parts<const N: usize>(token: &[u8]) -> Option<[&str; N]> {
    if !is_compact(token) {
        return None;
    }
    let text = std::str::from_utf8(token).ok()?;
    // One more than wanted is enough to see that there are too many.
    let found: Vec<&str> = text.split('.').take(N + 1).collect();
    found.try_into().ok().filter(|parts: &[&str; N]| parts.iter().all(|part| !part.is_empty()))
}

fn object(part: &str) -> Option<Map<String, Value>> {
    parse_object(&decode(part)?)
}

fn is_text(object: &Map<String, Value>, name: &str, expect: &str) -> bool {
    object.get(name).and_then(Value::as_str) == Some(expect)
}
