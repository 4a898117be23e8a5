//! A health authority with its key, and people whose phones publish.

use p256::ecdsa::signature::Signer;
use p256::ecdsa::{Signature, SigningKey};
use tocsin_domain::base64;
use tocsin_domain::interval::{IntervalNumber, Timestamp};
use tocsin_domain::ports::Random;
use tocsin_domain::ports::verifier::ProofKey;
use tocsin_domain::publish::request::{PublishRequest, RequestKey};
use tocsin_domain::tek::TemporaryExposureKey;
use tocsin_domain::testing::random::FakeRandom;
use tocsin_domain::verification::issue::{CertificateRequest, assemble, phone_hmac, signing_input};

/// Issuer of the test health authority.
pub const ISSUER: &str = "test.health.example";
/// Audience of its certificates.
pub const AUDIENCE: &str = "keys.example";
/// Version of its key.
pub const KEY_VERSION: &str = "v1";
/// Name of the app.
pub const APP: &str = "org.example.app";
/// Region of the app.
pub const REGION: &str = "XX";

/// A health authority that vouches for anybody.
#[derive(Clone, Debug)]
pub struct HealthAuthority {
    key: SigningKey,
    key_version: String,
}

impl HealthAuthority {
    /// With a key of its own.
    pub fn new() -> Self {
        Self::with_key_version(KEY_VERSION)
    }

    /// With a key of its own that has that version.
    pub fn with_key_version(version: &str) -> Self {
        Self { key: tocsin_host::signing::generate().0, key_version: version.to_owned() }
    }

    /// The uncompressed point of its public key.
    pub fn public_key(&self) -> Vec<u8> {
        self.key.verifying_key().to_sec1_point(false).as_bytes().to_vec()
    }

    /// Signs a certificate over an HMAC.
    pub fn certificate(&self, hmac: [u8; 32], report_type: &str, now: Timestamp) -> String {
        let input = signing_input(&CertificateRequest {
            issuer: ISSUER,
            audience: AUDIENCE,
            key_version: &self.key_version,
            report_type,
            symptom_onset: 0,
            issued_at: now,
            expires_at: now.plus_seconds(3600),
            hmac,
        });
        self.signed(&input)
    }

    /// A bearer token for `/v1/stats`, valid for five minutes.
    pub fn statistics_token(&self, audience: &str, now: Timestamp) -> String {
        let header = serde_json::json!({ "alg": "ES256", "kid": KEY_VERSION });
        let (issued_at, expires_at) = (now.unix(), now.unix() + 300);
        let claims = serde_json::json!({ "iss": ISSUER, "aud": audience, "iat": issued_at, "exp": expires_at });
        let segment = |value: serde_json::Value| base64::encode_url(value.to_string().as_bytes());
        self.signed(&format!("{}.{}", segment(header), segment(claims)))
    }

    fn signed(&self, input: &str) -> String {
        let signature: Signature = self.key.sign(input.as_bytes());
        assemble(input, &signature.to_bytes().into())
    }
}

impl Default for HealthAuthority {
    fn default() -> Self {
        Self::new()
    }
}

/// A key on a phone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PhoneKey {
    /// The key.
    pub key: TemporaryExposureKey,
    /// First interval.
    pub rolling_start: IntervalNumber,
    /// Intervals of validity.
    pub rolling_period: i32,
}

/// A person's phone: a key for each of the last days.
#[derive(Clone, Debug)]
pub struct Phone {
    /// Its keys, newest first.
    pub keys: Vec<PhoneKey>,
    /// The revision token of its last answer.
    pub revision_token: String,
}

impl Phone {
    /// With `days` whole-day keys, the newest of yesterday, as of `now`.
    pub fn new(random: &FakeRandom, days: i64, now: Timestamp) -> Self {
        let key = |day: i64| {
            let mut bytes = [0; 16];
            random.fill(&mut bytes);
            PhoneKey {
                key: TemporaryExposureKey::new(bytes),
                rolling_start: now.utc_midnight().plus_seconds(-day * 86_400).interval(),
                rolling_period: 144,
            }
        };
        Self { keys: (1..=days).map(key).collect(), revision_token: String::new() }
    }

    /// The body of a publish, vouched for by `authority`.
    pub fn body(&self, authority: &HealthAuthority, report_type: &str, now: Timestamp) -> Vec<u8> {
        self.request(authority, report_type, now).to_json()
    }

    /// The same, to be changed before it is sent.
    pub fn request(&self, authority: &HealthAuthority, report_type: &str, now: Timestamp) -> PublishRequest<'static> {
        let keys: Vec<RequestKey<'static>> = self
            .keys
            .iter()
            .map(|key| RequestKey {
                key: base64::encode(key.key.as_bytes()).into(),
                rolling_start: key.rolling_start.get(),
                rolling_period: key.rolling_period,
                transmission_risk: 0,
            })
            .collect();
        let secret = [7; 16];
        let proof_keys: Vec<ProofKey<'_>> = keys
            .iter()
            .map(|key| ProofKey {
                key: &key.key,
                rolling_start: key.rolling_start,
                rolling_period: key.rolling_period,
                transmission_risk: key.transmission_risk,
            })
            .collect();
        let hmac = phone_hmac(&secret, &proof_keys);
        drop(proof_keys);
        PublishRequest {
            keys,
            health_authority_id: APP.into(),
            verification_payload: authority.certificate(hmac, report_type, now).into(),
            hmac_key: base64::encode(&secret).into(),
            revision_token: self.revision_token.clone().into(),
            ..PublishRequest::default()
        }
    }
}
