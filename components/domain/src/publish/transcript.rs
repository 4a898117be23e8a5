//! Canonical transcripts of a publish request: what a phone hashes so that evidence from its platform is about this
//! request and no other. The server makes them, validators compare them.
//!
//! They cover the request as it was sent and need nothing the phone does not have: the app's name in the request's
//! spelling, and the regions the request names (none in v1, even if the app has some).
//!
//! `ens-v1` and `ens-v3` are the historic SafetyNet nonces of google/exposure-notifications-server (commits d1c75aa2 and
//! 3d7b952e). Both hash text: the base64 of keys is taken as it stands, so another spelling of a key is another
//! transcript. `ens-v4` is ours; it hashes bytes and covers the HMAC secret, the kind of evidence and a challenge too.

#[cfg(test)]
mod tests;

use crate::base64;
use crate::publish::request::{PublishRequest, RequestKey};
use crate::tek::TemporaryExposureKey;
use sha2::{Digest, Sha256};

/// Name of the format of [`ens_v1`].
pub const ENS_V1: &str = "ens-v1";

/// Name of the format of [`ens_v3`].
pub const ENS_V3: &str = "ens-v3";

/// Name of the format of [`ens_v4`].
pub const ENS_V4: &str = "ens-v4";

/// Keeps hashes of this format apart from all others.
const V4_DOMAIN: &[u8] = b"ens-attest-v4\0";

/// The hash of one canonical form of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Transcript {
    /// Name of the format.
    pub format: &'static str,
    /// SHA-256 of its bytes.
    pub sha256: [u8; 32],
}

/// The transcripts of `request` in all formats that can express it. `method` is how the evidence was made, and
/// `challenge` what of the server's it answers. Without evidence there is nothing that the historic formats could bind, and
/// only ours is made, or the first if a key does not fit into ours.
pub fn transcripts(request: &PublishRequest<'_>, method: Option<&str>, challenge: Option<&[u8]>) -> Vec<Transcript> {
    let transcript = |(format, sha256): (_, Option<_>)| Some(Transcript { format, sha256: sha256? });
    let ours = (ENS_V4, ens_v4(request, method.unwrap_or_default(), challenge));
    if method.is_none() {
        let any = transcript(ours).or_else(|| transcript((ENS_V1, Some(ens_v1(request)))));
        return any.into_iter().collect();
    }
    [(ENS_V1, Some(ens_v1(request))), (ENS_V3, ens_v3(request)), ours].into_iter().filter_map(transcript).collect()
}

/// Tells a submission from others: the same when a phone sends it again, whatever its padding, token and evidence.
pub fn binding(request: &PublishRequest<'_>) -> [u8; 32] {
    let mut hash = Sha256::new_with_prefix(b"tocsin-submission-1\0");
    let mut text = |text: &str| {
        hash.update((text.len() as u64).to_be_bytes());
        hash.update(text.as_bytes());
    };
    text(&request.health_authority_id);
    text(&request.verification_payload);
    text(&request.hmac_key);
    for RequestKey { key, rolling_start, rolling_period, transmission_risk } in keys_by_text(request) {
        text(key);
        text(&format!("{rolling_start}.{rolling_period}.{transmission_risk}"));
    }
    for region in upper_regions(request) {
        text(&region);
    }
    hash.finalize().into()
}

/// `ens-v1`: app, keys and regions without anything between them. Where one ends and the next begins is not covered, nor
/// are the times of the keys: for evidence recorded in 2020 only.
pub fn ens_v1(request: &PublishRequest<'_>) -> [u8; 32] {
    let mut hash = Sha256::new_with_prefix(request.health_authority_id.as_bytes());
    for key in keys_by_text(request) {
        hash.update(key.key.as_bytes());
    }
    for region in upper_regions(request) {
        hash.update(region.as_bytes());
    }
    hash.finalize().into()
}

/// `ens-v3`: `APP|KEY.START.PERIOD.RISK,...|REGION,...|VERIFICATION`.
///
/// `None` if a separator stands inside a field that is not the last: such a text could be read in two ways. No app that
/// is authorized, no base64 and no region has one.
pub fn ens_v3(request: &PublishRequest<'_>) -> Option<[u8; 32]> {
    let regions = upper_regions(request);
    let ambiguous = request.health_authority_id.contains('|')
        || request.keys.iter().any(|key| key.key.contains(['|', ',', '.']))
        || regions.iter().any(|region| region.contains(['|', ',']));
    if ambiguous {
        return None;
    }
    let key_text = |key: &RequestKey<'_>| {
        let RequestKey { key, rolling_start, rolling_period, transmission_risk } = key;
        format!("{key}.{rolling_start}.{rolling_period}.{transmission_risk}")
    };
    let keys: Vec<String> = keys_by_text(request).into_iter().map(key_text).collect();
    let fields =
        [&*request.health_authority_id, &keys.join(","), &regions.join(","), &*request.verification_payload].join("|");
    Some(Sha256::digest(fields).into())
}

/// `ens-v4`, where `LP(x)` is the length of `x` in 32 bits and then `x`, and all numbers are big endian:
///
/// ```text
/// "ens-attest-v4" 00
/// LP(app) LP(method)
/// number of keys in 16 bits, then each: key (16 bytes), start (32 bits), period (32 bits), risk (8 bits)
/// number of regions in 16 bits, then each: LP(region in upper case)
/// LP(SHA-256 of the verification payload) LP(HMAC secret) LP(challenge, or nothing)
/// ```
///
/// Keys are in the order of these 25 bytes, regions in the order of their bytes.
///
/// `None` if the request does not fit: a key is not 16 bytes of base64, a number is negative or too large, the secret is
/// not base64. Dropping such a key, as publish does, would leave a transcript of something the phone did not send.
pub fn ens_v4(request: &PublishRequest<'_>, method: &str, challenge: Option<&[u8]>) -> Option<[u8; 32]> {
    let mut keys = request.keys.iter().map(key_bytes).collect::<Option<Vec<_>>>()?;
    keys.sort_unstable();
    let regions = upper_regions(request);
    let secret = base64::decode(&request.hmac_key).ok()?;

    let mut hash = Sha256::new_with_prefix(V4_DOMAIN);
    prefixed(&mut hash, request.health_authority_id.as_bytes())?;
    prefixed(&mut hash, method.as_bytes())?;
    hash.update(u16::try_from(keys.len()).ok()?.to_be_bytes());
    for key in &keys {
        hash.update(key);
    }
    hash.update(u16::try_from(regions.len()).ok()?.to_be_bytes());
    for region in &regions {
        prefixed(&mut hash, region.as_bytes())?;
    }
    prefixed(&mut hash, &Sha256::digest(request.verification_payload.as_bytes()))?;
    prefixed(&mut hash, &secret)?;
    prefixed(&mut hash, challenge.unwrap_or_default())?;
    Some(hash.finalize().into())
}

/// Keys in the byte order of their text, as the historic formats have it; equal texts stay as sent.
fn keys_by_text<'a, 'b>(request: &'b PublishRequest<'a>) -> Vec<&'b RequestKey<'a>> {
    let mut keys: Vec<&RequestKey<'_>> = request.keys.iter().collect();
    keys.sort_by(|a, b| a.key.cmp(&b.key));
    keys
}

fn upper_regions(request: &PublishRequest<'_>) -> Vec<String> {
    let mut regions: Vec<String> = request.regions.iter().map(|region| region.to_uppercase()).collect();
    regions.sort_unstable();
    regions
}

fn key_bytes(key: &RequestKey<'_>) -> Option<[u8; 25]> {
    let RequestKey { key, rolling_start, rolling_period, transmission_risk } = key;
    let key: [u8; TemporaryExposureKey::LENGTH] =
        base64::decode_16(key).or_else(|| base64::decode(key).ok()?.try_into().ok())?;
    let start = u32::try_from(*rolling_start).ok()?.to_be_bytes();
    let period = u32::try_from(*rolling_period).ok()?.to_be_bytes();
    let risk = u8::try_from(*transmission_risk).ok()?.to_be_bytes();
    [&key[..], &start, &period, &risk].concat().try_into().ok()
}

/// `LP(bytes)`.
fn prefixed(hash: &mut Sha256, bytes: &[u8]) -> Option<()> {
    hash.update(u32::try_from(bytes.len()).ok()?.to_be_bytes());
    hash.update(bytes);
    Some(())
}
