//! Chaff: requests that phones send so that nobody who watches the network can tell who published. Their answers must look
//! from outside as real ones do: the same headers, as many bytes, as long a wait.
//!
//! A request is chaff when it has the header `X-Chaff`, or when publish says that its body is marked so. Either is answered
//! by [`Chaff::answer`], whose size and latency are drawn from the last real answers of the same route ([`profile`]), or
//! from a built-in model ([`model`]) before there were any. [`Chaff::record`] learns from real answers.
//!
//! What is compared is the time from the end of a request's body to its answer; on the way before and behind, chaff and
//! real requests are treated by the same code.

mod model;
mod profile;
mod shape;
mod timer;

use super::Body;
use super::maintenance::Mode;
use super::route::Route;
use crate::config::ChaffConfig;
use crate::services::ServiceSettings;
use http::{HeaderMap, Response};
use parking_lot::Mutex;
use profile::{Draw, Profile};
use std::time::{Duration, Instant};
use timer::Timer;
use tocsin_domain::ports::Random;
use tocsin_domain::publish::response::Padding;

/// Header that marks a chaff request, as in the reference server.
const HEADER: &str = "x-chaff";

/// A request that has arrived whole.
#[derive(Clone, Copy, Debug)]
pub struct Arrival {
    /// What it asks for.
    pub route: Route,
    /// Whether there is maintenance.
    pub mode: Mode,
    /// When its last byte had been read.
    pub at: Instant,
}

/// Answers chaff requests.
#[derive(Debug)]
pub struct Chaff {
    publish: Mutex<Profile>,
    publish_v1alpha1: Mutex<Profile>,
    statistics: Mutex<Profile>,
    health: Mutex<Profile>,
    timer: Timer,
    /// No chaff waits longer, whatever real requests do.
    max_latency: Duration,
}

/// Whether a request is marked as chaff by its header.
pub(super) fn is_marked(headers: &HeaderMap) -> bool {
    headers.get(HEADER).is_some_and(|value| !value.is_empty())
}

impl Chaff {
    /// With empty profiles, and a thread for waits that ends with this value.
    pub fn new(config: &ChaffConfig, settings: &ServiceSettings, mode: Mode) -> Self {
        let ChaffConfig { samples, max_latency_ms } = *config;
        let profile = |route| {
            let padding = match route {
                Route::Publish | Route::PublishV1alpha1 | Route::Health => Padding::of_publish(&settings.publish),
                Route::Statistics => Padding::of_statistics(&settings.statistics),
            };
            let model = model::of_route(route, settings.publish.revision_token_min_entries, &SystemRandom);
            Mutex::new(Profile::new(mode, model, padding, samples))
        };
        Self {
            publish: profile(Route::Publish),
            publish_v1alpha1: profile(Route::PublishV1alpha1),
            statistics: profile(Route::Statistics),
            health: profile(Route::Health),
            timer: Timer::start(),
            max_latency: if max_latency_ms == 0 { Duration::MAX } else { Duration::from_millis(max_latency_ms) },
        }
    }

    /// The answer to a chaff request, when it is time for it. If the request has taken longer than that already, at once.
    ///
    /// The caller must hold nothing that real requests wait for.
    pub async fn answer(&self, arrival: Arrival) -> Response<Body> {
        let Draw { shape, padding_bytes, latency } =
            self.profile(arrival.route).lock().draw(arrival.mode, &SystemRandom);
        let response = shape.chaff(padding_bytes, &SystemRandom);
        if let Some(end) = arrival.at.checked_add(latency.min(self.max_latency)) {
            self.timer.wait_until(end).await;
        }
        response
    }

    /// Learns what a real answer, which is ready now, looks like from outside.
    pub fn record(&self, arrival: Arrival, response: &Response<Body>) {
        let latency = arrival.at.elapsed();
        self.profile(arrival.route).lock().record(arrival.mode, response, latency);
    }

    fn profile(&self, route: Route) -> &Mutex<Profile> {
        match route {
            Route::Publish => &self.publish,
            Route::PublishV1alpha1 => &self.publish_v1alpha1,
            Route::Statistics => &self.statistics,
            Route::Health => &self.health,
        }
    }
}

/// The operating system's randomness.
struct SystemRandom;

impl Random for SystemRandom {
    fn fill(&self, bytes: &mut [u8]) {
        // Unwrap safety: a system without randomness must not go on.
        getrandom::fill(bytes).unwrap();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::maintenance::Maintenance;
    use crate::http::{json, text};
    use http::{HeaderValue, StatusCode};
    use serde_json::json;

    fn chaff(max_latency_ms: u64) -> (Chaff, Maintenance) {
        let maintenance = Maintenance::new(false);
        let config = ChaffConfig { max_latency_ms, ..ChaffConfig::default() };
        (Chaff::new(&config, &ServiceSettings::default(), maintenance.mode()), maintenance)
    }

    /// A request that arrived some time ago, so that nothing is left to wait for.
    fn arrival(route: Route, maintenance: &Maintenance) -> Arrival {
        Arrival { route, mode: maintenance.mode(), at: Instant::now() - Duration::from_millis(50) }
    }

    #[test]
    fn only_a_header_that_is_not_empty_marks_chaff() {
        let marked = |value: Option<&'static str>| {
            let mut headers = HeaderMap::new();
            if let Some(value) = value {
                headers.insert("X-Chaff", HeaderValue::from_static(value));
            }
            is_marked(&headers)
        };
        assert!(marked(Some("1")) && marked(Some("false")) && !marked(Some("")) && !marked(None));
    }

    #[tokio::test]
    async fn first_chaff_of_all_looks_like_an_answer_of_its_route() {
        let (chaff, maintenance) = chaff(1_000);
        for (route, headers, shortest, longest) in [
            (Route::Publish, &["x-api-version", "content-type"][..], 1_368 + 130, 2_732 + 1_200),
            (Route::PublishV1alpha1, &["x-api-version", "content-type"], 1_368 + 130, 2_732 + 1_200),
            (Route::Statistics, &["content-type"], 2_732, 4_200),
            (Route::Health, &["content-type"], 15, 15),
        ] {
            for _ in 0..50 {
                let answer = chaff.answer(arrival(route, &maintenance)).await;
                assert_eq!(answer.status(), 200);
                assert!(answer.headers().keys().eq(headers), "{route:?} {:?}", answer.headers());
                assert_eq!(answer.headers()["content-type"], "application/json");
                let length = shape::length(&answer) - "OK".len();
                assert!((shortest..longest + 4).contains(&length), "{route:?} {length}");
            }
        }
    }

    #[tokio::test]
    async fn routes_do_not_learn_from_each_other() {
        let (chaff, maintenance) = chaff(1_000);
        let real = json(StatusCode::OK, &json!({ "x": "x".repeat(20_000) }));
        for _ in 0..2_000 {
            chaff.record(arrival(Route::Statistics, &maintenance), &real);
        }
        let of = async |route| shape::length(&chaff.answer(arrival(route, &maintenance)).await);
        assert_eq!(of(Route::Statistics).await, shape::length(&real));
        assert!(of(Route::Publish).await < 5_000);
        assert_eq!(of(Route::Health).await, shape::length(&json(StatusCode::OK, &json!({ "status": "ok" }))));
    }

    #[tokio::test]
    async fn latency_is_that_of_real_answers_up_to_the_most_that_chaff_may_wait() {
        let waited = async |slow: Duration, max_latency_ms| {
            let (chaff, maintenance) = chaff(max_latency_ms);
            for _ in 0..32 {
                let at = Instant::now() - slow;
                let arrival = Arrival { at, ..arrival(Route::Publish, &maintenance) };
                chaff.record(arrival, &text(StatusCode::OK, "x"));
            }
            let arrival = Arrival { at: Instant::now(), ..arrival(Route::Publish, &maintenance) };
            chaff.answer(arrival).await;
            arrival.at.elapsed()
        };
        // A little less than that of the nearest sample at least. What is too late is the machine's, and not looked at.
        let (short, hour) = (Duration::from_millis(20), Duration::from_secs(3_600));
        assert!(waited(short, 0).await > short * 8 / 10);
        assert!(waited(short, 1_000).await > short * 8 / 10);
        let capped = tokio::time::timeout(hour / 60, waited(hour, 1)).await;
        assert!(capped.is_ok(), "it does not wait for what real answers take");
    }
}
