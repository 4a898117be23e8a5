//! Many phones that publish: keys, HMAC, a certificate of the test health authority, and the request, as an app does it.

use super::PhoneError;
use super::client::Client;
use super::keys::{PhoneKey, daily_keys};
use crate::services::SystemClock;
use crate::signing::random_bytes;
use bytes::Bytes;
use http::{StatusCode, Uri};
use p256::ecdsa::signature::Signer;
use p256::ecdsa::{Signature, SigningKey};
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};
use tocsin_domain::base64;
use tocsin_domain::exposure::ReportType;
use tocsin_domain::interval::Timestamp;
use tocsin_domain::ports::Clock;
use tocsin_domain::ports::verifier::ProofKey;
use tocsin_domain::publish::request::{DeviceEvidence, PublishRequest, RequestKey};
use tocsin_domain::verification::issue::{CertificateRequest, assemble, phone_hmac, signing_input};

/// Lifetime of a certificate, in seconds; a health authority gives a phone some minutes.
const CERTIFICATE_SECONDS: i64 = 15 * 60;
/// Days between symptom onset and diagnosis.
const ONSET_DAYS: i64 = 3;
/// Answers are a few kilobytes.
const MAX_ANSWER_BYTES: usize = 256 * 1024;
/// How many different refusals are reported.
const MAX_REASONS: usize = 10;

/// A test health authority: it confirms every diagnosis.
#[derive(Clone)]
pub struct TestHealthAuthority {
    /// Its private key.
    pub key: SigningKey,
    /// Version of the key (`kid`).
    pub key_version: String,
    /// `iss`.
    pub issuer: String,
    /// `aud`.
    pub audience: String,
    /// Report type of all diagnoses.
    pub report_type: ReportType,
}

impl std::fmt::Debug for TestHealthAuthority {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TestHealthAuthority").field("issuer", &self.issuer).finish_non_exhaustive()
    }
}

impl TestHealthAuthority {
    /// The certificate for the HMAC of a phone.
    pub fn certify(&self, hmac: [u8; 32], now: Timestamp) -> String {
        let onset = now.plus_seconds(-ONSET_DAYS * 86_400).interval().get();
        let signed = signing_input(&CertificateRequest {
            issuer: &self.issuer,
            audience: &self.audience,
            key_version: &self.key_version,
            report_type: self.report_type.wire(),
            symptom_onset: u32::try_from(onset).unwrap_or(0),
            issued_at: now,
            expires_at: now.plus_seconds(CERTIFICATE_SECONDS),
            hmac,
        });
        let signature: Signature = self.key.sign(signed.as_bytes());
        assemble(&signed, &signature.to_bytes().into())
    }
}

/// What the phones do.
#[derive(Clone, Debug)]
pub struct PublishPlan {
    /// Where they publish, such as `http://127.0.0.1:8080/v1/publish`.
    pub url: Uri,
    /// Name of the app.
    pub app: String,
    /// Who confirms the diagnoses.
    pub authority: TestHealthAuthority,
    /// How many phones.
    pub phones: u64,
    /// How many of them at the same time.
    pub concurrency: u64,
    /// Keys of each phone, one a day: 1 to 14.
    pub days: u32,
}

/// What came of it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct PublishReport {
    /// Phones that tried.
    pub phones: u64,
    /// Phones whose keys were all accepted.
    pub accepted: u64,
    /// Keys accepted.
    pub keys: u64,
    /// Bytes of the requests' bodies.
    pub sent_bytes: u64,
    /// From the first request to the last answer.
    pub seconds: f64,
    /// Median time from request to answer, in seconds.
    pub p50_seconds: f64,
    /// 99 of 100 were answered within this time, in seconds.
    pub p99_seconds: f64,
    /// Reasons why others were not accepted, and how many each.
    pub refused: BTreeMap<String, u64>,
}

/// The body of one phone's request.
pub fn request_body(app: &str, authority: &TestHealthAuthority, keys: &[PhoneKey], now: Timestamp) -> Vec<u8> {
    let texts: Vec<String> = keys.iter().map(|key| base64::encode(key.key.as_bytes())).collect();
    let proof: Vec<ProofKey<'_>> = keys
        .iter()
        .zip(&texts)
        .map(|(key, text)| ProofKey {
            key: text,
            rolling_start: key.rolling_start,
            rolling_period: key.rolling_period,
            transmission_risk: 0,
        })
        .collect();
    let secret = random_bytes::<16>();
    let certificate = authority.certify(phone_hmac(&secret, &proof), now);
    let keys = proof.iter().map(|key| RequestKey {
        key: Cow::Borrowed(key.key),
        rolling_start: key.rolling_start,
        rolling_period: key.rolling_period,
        transmission_risk: key.transmission_risk,
    });
    let request = PublishRequest {
        keys: keys.collect(),
        health_authority_id: Cow::Borrowed(app),
        verification_payload: Cow::Owned(certificate),
        hmac_key: Cow::Owned(base64::encode(&secret)),
        symptom_onset_interval: 0,
        traveler: false,
        revision_token: Cow::Borrowed(""),
        regions: Vec::new(),
        chaff: None,
        device: DeviceEvidence::default(),
    };
    request.to_json()
}

/// What one of the concurrent loops saw.
#[derive(Default)]
struct Seen {
    latencies: Vec<Duration>,
    keys: Vec<PhoneKey>,
    accepted: u64,
    sent_bytes: u64,
    refused: BTreeMap<String, u64>,
}

/// Has all phones publish and returns the report and the keys that were accepted. `progress` hears now and then how many
/// phones are done. Fails when the server cannot be reached; refusals are in the report.
pub async fn run(plan: PublishPlan, progress: impl Fn(u64)) -> Result<(PublishReport, Vec<PhoneKey>), PhoneError> {
    let started = Instant::now();
    let (plan, next, done) = (Arc::new(plan), Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
    let loops = plan.concurrency.clamp(1, plan.phones.max(1));
    let tasks: Vec<_> =
        (0..loops).map(|_| tokio::spawn(publish_in_turn(plan.clone(), next.clone(), done.clone()))).collect();
    let mut ticks = tokio::time::interval(Duration::from_millis(100));
    let mut all = Seen::default();
    for mut task in tasks {
        let seen = loop {
            tokio::select! {
                seen = &mut task => break seen,
                _ = ticks.tick() => progress(done.load(Ordering::Relaxed)),
            }
        };
        all.add(seen.map_err(|error| PhoneError(format!("a simulated phone crashed: {error}")))??);
    }
    Ok(all.into_report(plan.phones, started.elapsed()))
}

async fn publish_in_turn(
    plan: Arc<PublishPlan>,
    next: Arc<AtomicU64>,
    done: Arc<AtomicU64>,
) -> Result<Seen, PhoneError> {
    let mut client = Client::new(&plan.url)?;
    let mut seen = Seen::default();
    while next.fetch_add(1, Ordering::Relaxed) < plan.phones {
        let now = SystemClock.now();
        let keys = daily_keys(now, plan.days);
        let body = Bytes::from(request_body(&plan.app, &plan.authority, &keys, now));
        seen.sent_bytes += u64::try_from(body.len()).unwrap_or(0);
        let sent = Instant::now();
        let (status, answer) = client.post(&plan.url, body, MAX_ANSWER_BYTES).await?;
        seen.latencies.push(sent.elapsed());
        match check_answer(status, &answer, keys.len()) {
            Ok(()) => {
                seen.accepted += 1;
                seen.keys.extend(keys);
            }
            Err(reason) => *seen.refused.entry(reason).or_default() += 1,
        }
        done.fetch_add(1, Ordering::Relaxed);
    }
    Ok(seen)
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Answer {
    revision_token: String,
    inserted_exposures: usize,
    error: String,
    code: String,
    padding: String,
}

/// Whether an app would be content: all keys stored, a token for revising them, and padding.
fn check_answer(status: StatusCode, answer: &[u8], keys: usize) -> Result<(), String> {
    let Ok(answer) = serde_json::from_slice::<Answer>(answer) else {
        return Err(format!("{status} without a JSON answer"));
    };
    if status != StatusCode::OK {
        return Err(format!("{status} {}: {}", answer.code, answer.error.trim()));
    }
    if answer.inserted_exposures != keys {
        return Err(format!("{} of {keys} keys were stored: {}", answer.inserted_exposures, answer.error.trim()));
    }
    if answer.revision_token.is_empty() {
        return Err("the answer has no revision token".to_owned());
    }
    if answer.padding.is_empty() { Err("the answer has no padding".to_owned()) } else { Ok(()) }
}

impl Seen {
    fn add(&mut self, other: Self) {
        let Self { latencies, keys, accepted, sent_bytes, refused } = other;
        self.latencies.extend(latencies);
        self.keys.extend(keys);
        self.accepted += accepted;
        self.sent_bytes += sent_bytes;
        for (reason, count) in refused {
            let others = self.refused.len() >= MAX_REASONS && !self.refused.contains_key(&reason);
            *self.refused.entry(if others { "other reasons".to_owned() } else { reason }).or_default() += count;
        }
    }

    fn into_report(mut self, phones: u64, elapsed: Duration) -> (PublishReport, Vec<PhoneKey>) {
        self.latencies.sort_unstable();
        let report = PublishReport {
            phones,
            accepted: self.accepted,
            keys: u64::try_from(self.keys.len()).unwrap_or(u64::MAX),
            sent_bytes: self.sent_bytes,
            seconds: elapsed.as_secs_f64(),
            p50_seconds: quantile(&self.latencies, 50),
            p99_seconds: quantile(&self.latencies, 99),
            refused: self.refused,
        };
        (report, self.keys)
    }
}

/// The time within which `percent` of 100 of the sorted times lie, in seconds; 0 without times.
fn quantile(sorted: &[Duration], percent: usize) -> f64 {
    let place = (sorted.len() * percent).div_ceil(100).saturating_sub(1);
    sorted.get(place).map_or(0.0, Duration::as_secs_f64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::signing::{generate, verify_es256};

    const NOON: Timestamp = Timestamp::from_unix(1_600_041_600 + 12 * 3600);

    #[test]
    fn certificate_is_signed_by_the_authority_over_what_it_says() {
        let (key, _) = generate();
        let point = key.verifying_key().to_sec1_point(false).as_bytes().to_vec();
        let authority = TestHealthAuthority {
            key,
            key_version: "v1".to_owned(),
            issuer: "iss".to_owned(),
            audience: "aud".to_owned(),
            report_type: ReportType::ConfirmedTest,
        };
        let body = request_body("app", &authority, &daily_keys(NOON, 14), NOON);
        let request = PublishRequest::parse(Some("application/json"), &body).expect("a valid request");
        assert_eq!((request.keys.len(), request.health_authority_id.as_ref()), (14, "app"));
        let (signed, signature) = request.verification_payload.rsplit_once('.').expect("a JWS");
        let signature = base64::decode_url(signature).expect("base64url");
        assert!(verify_es256(&point, signed.as_bytes(), &signature));
    }

    #[test]
    fn only_complete_success_is_success() {
        let check = |status: u16, answer: &str, expect: Result<(), &str>| {
            let status = StatusCode::from_u16(status).expect("a status");
            let found = check_answer(status, answer.as_bytes(), 14);
            match expect {
                Ok(()) => assert_eq!(found, Ok(())),
                Err(part) => assert!(found.as_ref().is_err_and(|text| text.contains(part)), "{found:?}"),
            }
        };
        check(200, r#"{"revisionToken":"x","insertedExposures":14,"padding":"p"}"#, Ok(()));
        check(200, r#"{"revisionToken":"x","insertedExposures":13,"padding":"p"}"#, Err("13 of 14"));
        check(200, r#"{"insertedExposures":14,"padding":"p"}"#, Err("token"));
        check(200, r#"{"revisionToken":"x","insertedExposures":14}"#, Err("padding"));
        check(401, r#"{"code":"unauthorized","error":"no"}"#, Err("unauthorized: no"));
        check(502, "Bad Gateway", Err("502"));
    }

    #[test]
    fn quantiles_are_times_that_occurred() {
        let times: Vec<Duration> = (1..=200).map(Duration::from_secs).collect();
        assert_eq!((quantile(&times, 50), quantile(&times, 99)), (100.0, 198.0));
        assert_eq!((quantile(&times[..1], 99), quantile(&[], 50)), (1.0, 0.0));
    }
}
