//! What an operator sets for Play Integrity.

use crate::android_key::CertificateDigest;
use crate::contract::Score;
use crate::google::Binding;
use crate::x509::{EcKey, Key as _};
use base64ct::{Base64, Encoding};
use serde::{Deserialize, Serialize};

/// What an operator sets for Play Integrity of one app. The least is [`Self::kinds`], [`Self::certificate_sha256`], and
/// the keys or the credential; then the app must be the one that Google Play distributes, on a genuine device.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct PlayIntegrityConfig {
    /// Which kinds of tokens are taken. None by default.
    pub kinds: Vec<Kind>,
    /// Package name; the name of the authorized app if absent.
    pub package: Option<String>,
    /// SHA-256 of the certificates that sign the app, 64 hexadecimal digits each. Required.
    pub certificate_sha256: Vec<CertificateDigest>,
    /// Name of the host's key that decrypts classic tokens. Together with [`Self::verify_key_spki`], classic tokens are
    /// read without Google.
    pub wrap_key: Option<String>,
    /// The verification key that the Play Console shows, base64.
    pub verify_key_spki: Option<VerifyKey>,
    /// Name of the host's credential for Google's API, which decodes standard tokens, and classic ones without own keys.
    pub credential: Option<String>,
    /// Which of Google's verdicts about the app pass.
    pub recognition: Vec<String>,
    /// The label that Google must give the device.
    pub device: String,
    /// The least version code of the app; 0: any.
    pub min_version_code: u64,
    /// Whether the account must have got the app from Google Play.
    pub require_licensed: bool,
    /// Which verdicts of Play Protect pass; empty: it is not asked.
    pub play_protect: Vec<String>,
    /// Which kinds of other apps may be on the device, such as `KNOWN_INSTALLED`; empty: it is not asked.
    pub apps_detected: Vec<String>,
    /// Whether responses that were set up in the Play Console for tests pass. Never in production.
    pub allow_testing: bool,
    /// How old a classic token may be, seconds, at least 1. Also how long a used one is
    /// remembered, up to 30 days.
    pub classic_max_age_seconds: u32,
    /// How old a standard token may be, seconds, at least 1. Also how long a used one is
    /// remembered, up to 30 days.
    pub standard_max_age_seconds: u32,
    /// How far Google's clock may be ahead, seconds.
    pub skew_seconds: u32,
    /// What the nonce or request hash is the hash of.
    pub binding: Binding,
    /// Score of acceptances.
    pub score: Score,
}

impl Default for PlayIntegrityConfig {
    fn default() -> Self {
        Self {
            kinds: Vec::new(),
            package: None,
            certificate_sha256: Vec::new(),
            wrap_key: None,
            verify_key_spki: None,
            credential: None,
            recognition: vec!["PLAY_RECOGNIZED".to_owned()],
            device: "MEETS_DEVICE_INTEGRITY".to_owned(),
            min_version_code: 0,
            require_licensed: false,
            play_protect: Vec::new(),
            apps_detected: Vec::new(),
            allow_testing: false,
            classic_max_age_seconds: 600,
            standard_max_age_seconds: 300,
            skew_seconds: 60,
            binding: Binding::EnsV4,
            score: Score::default(),
        }
    }
}

/// The two kinds of requests that an app can make.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// One verdict for one action, bound by a nonce.
    Classic,
    /// A verdict that is partly prepared before, bound by a request hash; Google sees to it that a token is used once.
    Standard,
}

impl Kind {
    /// By the name of the method in evidence.
    pub(super) fn of_method(method: &str) -> Option<Self> {
        [Self::Classic, Self::Standard].into_iter().find(|kind| kind.method() == method)
    }

    /// Name of the method in evidence, and space of the claims that make a token usable once.
    pub const fn method(self) -> &'static str {
        match self {
            Self::Classic => "play-integrity-classic",
            Self::Standard => "play-integrity-standard",
        }
    }
}

/// A P-256 key that Google signs an app's verdicts with.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct VerifyKey {
    text: String,
    key: p256::ecdsa::VerifyingKey,
}

impl VerifyKey {
    pub(super) const fn key(&self) -> &p256::ecdsa::VerifyingKey {
        &self.key
    }
}

impl TryFrom<String> for VerifyKey {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        let spki = Base64::decode_vec(&text).ok();
        match spki.and_then(|spki| EcKey::from_spki(&spki).ok()) {
            Some(EcKey::P256(key)) => Ok(Self { text, key }),
            Some(EcKey::P384(_)) | None => Err(
                "a verification key is the base64 (with padding) of a P-256 SubjectPublicKeyInfo, as the Play Console \
                     shows it",
            ),
        }
    }
}

impl From<VerifyKey> for String {
    fn from(key: VerifyKey) -> Self {
        let VerifyKey { text, key: _ } = key;
        text
    }
}
