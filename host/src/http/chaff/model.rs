//! What real answers probably look like, for the time before there was any.

use super::profile::{Models, Sample, unit};
use super::shape::Shape;
use crate::http::route::Route;
use crate::http::{Body, json, maintenance};
use bytes::Bytes;
use http::header::{HeaderName, HeaderValue};
use http::{Response, StatusCode};
use http_body_util::Full;
use std::time::Duration;
use tocsin_domain::interval::{IntervalNumber, RollingPeriod};
use tocsin_domain::ports::sealing::{Sealed, Sealing};
use tocsin_domain::ports::{PortError, Random};
use tocsin_domain::publish::request::ApiVersion;
use tocsin_domain::publish::response::{API_VERSION_HEADER, CONTENT_TYPE_HEADER, api_version};
use tocsin_domain::publish::revision_token::{self, TokenEntry};
use tocsin_domain::tek::TemporaryExposureKey;

/// Samples of a model, and so the real answers until it is forgotten.
const SAMPLES: u32 = 32;
/// One answer of so many is a failure.
const FAILURE_EVERY: u32 = 8;
/// A phone has at most this many whole-day keys.
const MOST_KEYS: u32 = 14;
/// What sealing adds to a token.
const NONCE_AND_TAG_BYTES: usize = 12 + 16;

/// A route's model. Latencies are spread over their range on a logarithmic scale.
pub(super) fn of_route(route: Route, min_token_entries: u32, random: &dyn Random) -> Models {
    let (fastest, slowest) = match route {
        Route::Publish | Route::PublishV1alpha1 | Route::Statistics => (0.001, 0.020),
        Route::Health => (0.000_02, 0.000_2),
    };
    let answer = |number| normal_answer(route, number, min_token_entries, random);
    Models {
        normal: samples(answer, fastest, slowest, random),
        maintenance: samples(|_| maintenance::answer(), 0.000_002, 0.000_020, random),
    }
}

fn samples(answer: impl Fn(u32) -> Response<Body>, fastest: f64, slowest: f64, random: &dyn Random) -> Vec<Sample> {
    let mut samples: Vec<Sample> = Vec::new();
    for number in 0..SAMPLES {
        // An odd factor: each latency once, and no order in them that sizes could have too.
        let step = f64::from(number * 5 % SAMPLES) + unit(random);
        let latency = fastest * (slowest / fastest).powf(step / f64::from(SAMPLES));
        let shape = Shape::of(&answer(number), samples.iter().map(|sample| &sample.shape.headers));
        samples.push(Sample { shape, latency: Duration::from_secs_f64(latency) });
    }
    samples
}

/// An answer as the route gives it, with empty padding.
fn normal_answer(route: Route, number: u32, min_token_entries: u32, random: &dyn Random) -> Response<Body> {
    let keys = 1 + random.below(MOST_KEYS);
    let is_failure = number % FAILURE_EVERY == FAILURE_EVERY - 1;
    let token = |keys| token(keys, min_token_entries);
    match route {
        Route::Publish if is_failure => {
            let code = "health_authority_verification_certificate_invalid";
            let error = "unable to validate diagnosis verification: token is expired";
            let body = format!(r#"{{"error":"{error}","code":"{code}","padding":""}}"#);
            answer(StatusCode::UNAUTHORIZED, Some(ApiVersion::V1), body)
        }
        Route::Publish => {
            let body = format!(r#"{{"revisionToken":"{}","insertedExposures":{keys},"padding":""}}"#, token(keys));
            answer(StatusCode::OK, Some(ApiVersion::V1), body)
        }
        Route::PublishV1alpha1 => {
            let (token, error) = if is_failure {
                (String::new(), "unable to validate diagnosis verification: token is expired")
            } else {
                (token(keys), "")
            };
            let body =
                format!(r#"{{"revisionToken":"{token}","insertedExposures":{keys},"error":"{error}","padding":""}}"#);
            answer(if is_failure { StatusCode::UNAUTHORIZED } else { StatusCode::OK }, Some(ApiVersion::V1Alpha1), body)
        }
        Route::Statistics => answer(StatusCode::OK, None, r#"{"padding":""}"#.to_owned()),
        Route::Health => json(StatusCode::OK, &serde_json::json!({ "status": "ok" })),
    }
}

fn answer(status: StatusCode, api: Option<ApiVersion>, body: String) -> Response<Body> {
    let mut response = Response::new(Full::new(Bytes::from(body)));
    *response.status_mut() = status;
    let version = api.map(|api| (API_VERSION_HEADER, api_version(api)));
    for (name, value) in version.into_iter().chain([CONTENT_TYPE_HEADER]) {
        if let Ok(name) = HeaderName::try_from(name) {
            response.headers_mut().insert(name, HeaderValue::from_static(value));
        }
    }
    response
}

/// What has the length of a revision token of so many keys.
fn token(keys: u32, min_entries: u32) -> String {
    // Any keys of today do: numbers of their magnitude take the same room.
    let entry = TokenEntry {
        key: TemporaryExposureKey::new([1; 16]),
        rolling_start: IntervalNumber::new(2_950_000),
        rolling_period: RollingPeriod::DAY,
    };
    let entries = vec![entry; usize::try_from(keys).unwrap_or(1)];
    revision_token::seal(&entries, min_entries, &LengthOnly).ok().flatten().unwrap_or_default()
}

/// Seals nothing, but to the right length.
struct LengthOnly;

impl Sealing for LengthOnly {
    fn seal(&self, plaintext: &[u8]) -> Result<Sealed, PortError> {
        Ok(Sealed { key_id: "1".to_owned(), data: vec![0; plaintext.len() + NONCE_AND_TAG_BYTES] })
    }

    fn open(&self, _sealed: &Sealed) -> Result<Option<Vec<u8>>, PortError> {
        Ok(None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::signing::Keyring;
    use crate::storage::{SqliteOptions, SqliteStore};
    use std::collections::BTreeSet;
    use std::sync::Arc;
    use tocsin_domain::interval::Timestamp;
    use tocsin_domain::testing::random::FakeRandom;

    #[test]
    fn token_of_the_model_is_as_long_as_a_real_one() {
        let folder = tempfile::tempdir().expect("temporary folder");
        let store = SqliteStore::open(&folder.path().join("tocsin.db"), &SqliteOptions::default()).expect("opens");
        let keyring = Keyring::open(&folder.path().join("keys"), Arc::new(store)).expect("opens");
        keyring.create_first_revision_key(Timestamp::from_unix(1_600_000_000)).expect("created");
        for keys in [1, 14, 28, 30] {
            let entry = TokenEntry {
                key: TemporaryExposureKey::new([9; 16]),
                rolling_start: IntervalNumber::new(2_989_296),
                rolling_period: RollingPeriod::DAY,
            };
            let real = revision_token::seal(&vec![entry; keys], 28, &keyring).expect("seals").expect("a token");
            assert_eq!(token(u32::try_from(keys).expect("small"), 28).len(), real.len(), "{keys}");
        }
    }

    #[test]
    fn model_of_each_route_is_full_spread_over_its_range_and_padded_where_the_route_pads() {
        let random = FakeRandom::seeded(1);
        for (route, fastest, slowest, is_padded) in [
            (Route::Publish, 1_000, 20_000, true),
            (Route::PublishV1alpha1, 1_000, 20_000, true),
            (Route::Statistics, 1_000, 20_000, true),
            (Route::Health, 20, 200, false),
        ] {
            let Models { normal, maintenance } = of_route(route, 28, &random);
            assert_eq!((normal.len(), maintenance.len()), (32, 32));
            assert!(normal.iter().all(|sample| sample.shape.is_padded == is_padded), "{route:?}");
            assert!(maintenance.iter().all(|sample| !sample.shape.is_padded), "{route:?}");
            let latencies: BTreeSet<Duration> = normal.iter().map(|sample| sample.latency).collect();
            assert_eq!(latencies.len(), 32, "{route:?}");
            let range = Duration::from_micros(fastest)..=Duration::from_micros(slowest);
            assert!(latencies.iter().all(|latency| range.contains(latency)), "{route:?} {latencies:?}");
        }
    }

    #[test]
    fn most_answers_of_the_model_are_successes_with_a_token() {
        let Models { normal, .. } = of_route(Route::Publish, 28, &FakeRandom::seeded(1));
        let with_token = normal.iter().filter(|sample| sample.shape.wire_bytes(0) > token(1, 28).len()).count();
        assert_eq!(with_token, 28);
    }
}
