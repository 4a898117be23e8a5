//! What Google signs: SafetyNet attestations (gone since 2025; recorded ones can still be checked) and verdicts of Play
//! Integrity.

pub mod play_integrity;
pub mod safetynet;
#[cfg(test)]
mod testing;

use crate::contract::{Commit, Rejection, Stage, Submission};
use base64ct::{Base64UrlUnpadded, Encoding};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

/// Which canonical form of a submission the phone hashes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Binding {
    /// The first of the historic SafetyNet nonces, which does not cover the keys' times: for evidence of 2020 only.
    #[serde(rename = "ens-v1")]
    EnsV1,
    /// The last of the historic SafetyNet nonces.
    #[serde(rename = "ens-v3")]
    EnsV3,
    /// The one that covers everything.
    #[serde(rename = "ens-v4")]
    EnsV4,
}

impl Binding {
    /// Name of the format.
    const fn format(self) -> &'static str {
        match self {
            Self::EnsV1 => "ens-v1",
            Self::EnsV3 => "ens-v3",
            Self::EnsV4 => "ens-v4",
        }
    }

    /// The hash that evidence about `submission` must hold.
    fn expected(self, submission: &Submission) -> Result<&[u8; 32], Rejection> {
        let missing = || binding_mismatch("the submission has no transcript of the configured format");
        submission.transcript(self.format()).ok_or_else(missing)
    }
}

fn binding_mismatch(detail: &'static str) -> Rejection {
    Rejection::new("binding-mismatch", Stage::Binding, detail)
}

fn config_missing(detail: &'static str) -> Rejection {
    Rejection::new("config-missing", Stage::Config, detail)
}

/// Whether both are the same, in a time that depends on their lengths only.
fn same_bytes(a: &[u8], b: &[u8]) -> bool {
    a.ct_eq(b).into()
}

/// Longest time a claim can be remembered, seconds: 30 days, by the contract.
const MAX_CLAIM_SECONDS: i64 = 30 * 86_400;

/// How old evidence may be.
#[derive(Clone, Copy)]
struct Window {
    now: i64,
    max_age_seconds: u32,
    skew_seconds: u32,
}

impl Window {
    /// Checks unix seconds; both bounds are inclusive, as in the reference.
    fn check(self, made: i64) -> Result<(), Rejection> {
        let Self { now, max_age_seconds, skew_seconds } = self;
        if made < now.saturating_sub(i64::from(max_age_seconds)) {
            return Err(Rejection::new("stale", Stage::Freshness, "the evidence is older than max_age_seconds"));
        }
        if made > now.saturating_add(i64::from(skew_seconds)) {
            return Err(Rejection::new(
                "in-future",
                Stage::Freshness,
                "the evidence is newer than skew_seconds allows",
            ));
        }
        Ok(())
    }

    /// Evidence made then may be used once, for as long as [`Self::check`] lets it pass anywhere, or 30 days. (After that,
    /// it can still do no more than repeat the submission that it is about.)
    fn claim(self, space: &str, token: &[u8], made: i64) -> Commit {
        let remembered = i64::from(self.max_age_seconds) + i64::from(self.skew_seconds);
        Commit::ClaimOnce {
            space: space.to_owned(),
            digest: Sha256::digest(token).into(),
            expires_at: made.saturating_add(remembered).min(self.now.saturating_add(MAX_CLAIM_SECONDS)),
        }
    }
}

/// Decodes base64 of either alphabet, with or without padding: the same bytes are spelled differently by Google's
/// services, and differently again by apps.
fn decode_lenient(text: &str) -> Option<Vec<u8>> {
    let url = text.trim_end_matches('=').replace('+', "-").replace('/', "_");
    Base64UrlUnpadded::decode_vec(&url).ok()
}

/// The field at the end of a path of objects.
fn field<'a>(object: &'a Map<String, Value>, path: &[&str]) -> Option<&'a Value> {
    let (first, rest) = path.split_first()?;
    rest.iter().try_fold(object.get(*first)?, |value, name| value.get(name))
}

/// A text field.
fn text<'a>(object: &'a Map<String, Value>, path: &[&str]) -> Option<&'a str> {
    field(object, path)?.as_str()
}

/// The elements of an array field; none if it is absent or no array.
fn elements<'a>(object: &'a Map<String, Value>, path: &[&str]) -> &'a [Value] {
    field(object, path).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default()
}

/// The signals of an acceptance.
fn signals<const N: usize>(signals: [(&str, &str); N]) -> Vec<(String, String)> {
    signals.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}
