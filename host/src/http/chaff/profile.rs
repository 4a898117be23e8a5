//! The profile of a route: what its real answers look like now, and chaff drawn from it.

use super::shape::Shape;
use crate::http::Body;
use crate::http::maintenance::Mode;
use http::{HeaderMap, Response};
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;
use tocsin_domain::ports::Random;
use tocsin_domain::publish::response::Padding;

/// A route has three different sets of headers at most: its own, those of the host's errors, those of maintenance.
const MAX_HEADER_SETS: usize = 8;
/// A drawn latency differs from that of its sample by at most this share, however far the next sample is.
const WIDEST: f64 = 0.1;
/// And by up to this share, however near it is, so that no latency occurs twice.
const NARROWEST: f64 = 0.002;

/// A real answer, or one of the built-in model.
#[derive(Clone, Debug)]
pub(super) struct Sample {
    /// Its size, without its padding.
    pub(super) shape: Shape,
    /// From the end of the request to the whole answer.
    pub(super) latency: Duration,
}

/// What a chaff answer is to be like.
#[derive(Clone, Debug)]
pub(super) struct Draw {
    /// Its size, without padding.
    pub(super) shape: Shape,
    /// Characters of padding.
    pub(super) padding_bytes: usize,
    /// From the end of the request to the whole answer.
    pub(super) latency: Duration,
}

/// The last real answers of a route in one mode.
///
/// It starts with the samples of a built-in model, which real ones replace one by one: that the first real answer suddenly
/// shaped all chaff would tell when it was given.
#[derive(Debug)]
pub(super) struct Profile {
    mode: Mode,
    model: Models,
    padding: Padding,
    max_samples: usize,
    samples: Vec<Sample>,
    /// Where the next sample goes.
    next: usize,
    /// The latencies of all samples, sorted.
    latencies: Vec<Duration>,
    /// The sets of headers seen last.
    headers: VecDeque<Arc<HeaderMap>>,
}

/// The built-in model of a route. None is empty.
#[derive(Clone, Debug)]
pub(super) struct Models {
    /// Of normal operation.
    pub(super) normal: Vec<Sample>,
    /// Of maintenance.
    pub(super) maintenance: Vec<Sample>,
}

impl Profile {
    /// Of `max_samples` answers (at least one), whose padding is that of `padding`.
    pub(super) fn new(mode: Mode, model: Models, padding: Padding, max_samples: usize) -> Self {
        let mut profile = Self {
            mode,
            model,
            padding,
            max_samples: max_samples.max(1),
            samples: Vec::new(),
            next: 0,
            latencies: Vec::new(),
            headers: VecDeque::new(),
        };
        profile.start_anew(mode);
        profile
    }

    fn start_anew(&mut self, mode: Mode) {
        let model = if mode.is_maintenance() { &self.model.maintenance } else { &self.model.normal };
        self.mode = mode;
        self.samples = model.iter().take(self.max_samples).cloned().collect();
        self.next = 0;
        self.latencies = self.samples.iter().map(|sample| sample.latency).collect();
        self.latencies.sort_unstable();
        self.headers.clear();
        for sample in &self.samples {
            let headers = &sample.shape.headers;
            if self.headers.len() < MAX_HEADER_SETS && !self.headers.iter().any(|known| Arc::ptr_eq(known, headers)) {
                self.headers.push_back(headers.clone());
            }
        }
    }

    /// Takes a real answer for a sample, unless its request was of a mode that is over.
    pub(super) fn record(&mut self, mode: Mode, response: &Response<Body>, latency: Duration) {
        if mode < self.mode {
            return;
        }
        if mode > self.mode {
            self.start_anew(mode);
        }
        let shape = Shape::of(response, &self.headers);
        if !self.headers.iter().any(|known| Arc::ptr_eq(known, &shape.headers)) {
            self.headers.truncate(MAX_HEADER_SETS - 1);
            self.headers.push_front(shape.headers.clone());
        }
        self.push(Sample { shape, latency });
    }

    fn push(&mut self, sample: Sample) {
        let place = self.latencies.partition_point(|known| *known < sample.latency);
        self.latencies.insert(place, sample.latency);
        if let Some(oldest) = self.samples.get_mut(self.next) {
            let place = self.latencies.partition_point(|known| *known < oldest.latency);
            self.latencies.remove(place);
            *oldest = sample;
        } else {
            self.samples.push(sample);
        }
        self.next = (self.next + 1) % self.max_samples;
    }

    /// Draws size and latency of a chaff answer together: an answer that is long because much was done took longer too.
    pub(super) fn draw(&mut self, mode: Mode, random: &dyn Random) -> Draw {
        if mode > self.mode {
            self.start_anew(mode);
        }
        let place = random.below(u32::try_from(self.samples.len()).unwrap_or(u32::MAX));
        let Sample { shape, latency } = &self.samples[usize::try_from(place).unwrap_or(0)];
        // The padding of the sample itself would give real answers away: with much chaff, the size that occurs again and
        // again is real where it occurs first.
        let padding_bytes = if shape.is_padded { self.padding.length(random).div_ceil(3) * 4 } else { 0 };
        Draw { shape: shape.clone(), padding_bytes, latency: self.spread(*latency, random) }
    }

    /// Somewhere around a latency, half-way to those of the nearest samples at most. Over all samples this is the
    /// distribution that has their quantiles and is flat in between.
    fn spread(&self, latency: Duration, random: &dyn Random) -> Duration {
        let below = self.latencies.partition_point(|known| *known < latency);
        let not_above = self.latencies.partition_point(|known| *known <= latency);
        let latency = latency.as_secs_f64();
        let half_gap =
            |neighbour: Option<&Duration>| neighbour.map(|neighbour| (neighbour.as_secs_f64() - latency).abs() / 2.0);
        let down = half_gap(below.checked_sub(1).and_then(|before| self.latencies.get(before)));
        let up = half_gap(self.latencies.get(not_above));
        // The fastest and the slowest sample have one neighbour, an only one has none.
        let limit = |gap: Option<f64>| gap.unwrap_or(f64::MAX).clamp(latency * NARROWEST, latency * WIDEST);
        let (down, up) = (limit(down.or(up)), limit(up.or(down)));
        Duration::from_secs_f64(latency - down + unit(random) * (down + up))
    }
}

/// Uniformly distributed from 0 to 1.
pub(super) fn unit(random: &dyn Random) -> f64 {
    let mut bytes = [0; 4];
    random.fill(&mut bytes);
    f64::from(u32::from_le_bytes(bytes)) / f64::from(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::super::shape::length;
    use super::*;
    use crate::http::maintenance::{self, Maintenance};
    use crate::http::{json, retry_later};
    use http::StatusCode;
    use serde_json::json;
    use std::collections::BTreeSet;
    use tocsin_domain::base64;
    use tocsin_domain::settings::PublishSettings;
    use tocsin_domain::testing::random::FakeRandom;

    const NORMAL: u16 = 200;

    fn padding() -> Padding {
        Padding::of_publish(&PublishSettings::default())
    }

    /// A profile that was started with one answer of a model.
    fn profile(max_samples: usize) -> (Profile, Maintenance) {
        let sample = |response: &Response<Body>, millis| Sample {
            shape: Shape::of(response, []),
            latency: Duration::from_millis(millis),
        };
        let model = Models {
            normal: vec![sample(&publish_answer(NORMAL, 0, 0), 5)],
            maintenance: vec![sample(&maintenance::answer(), 1)],
        };
        let maintenance = Maintenance::new(false);
        (Profile::new(maintenance.mode(), model, padding(), max_samples), maintenance)
    }

    /// An answer with `content` bytes of its own and as many of padding.
    fn publish_answer(status: u16, content: usize, padding: usize) -> Response<Body> {
        let padding = base64::encode(&vec![0; padding]);
        let value = json!({ "error": "e".repeat(content), "padding": padding });
        json(StatusCode::from_u16(status).expect("a status"), &value)
    }

    /// A real answer of a mixed population, with padding by the settings.
    fn real_answer(random: &FakeRandom) -> (Response<Body>, Duration) {
        let padding = padding().length(random);
        let (status, content, slowest) = match random.below(10) {
            0..6 => (200, 1_000 + random.below(14) as usize * 11, 4_000),
            6..8 => (400, 60, 2_000),
            8 => (401, 90 + random.below(40) as usize, 900),
            _ => (200, 40, 1_500),
        };
        let latency = 300_000 + u64::from(random.below(slowest)) * 1_000;
        (publish_answer(status, content, padding), Duration::from_nanos(latency))
    }

    /// The largest difference of two cumulative distributions (Kolmogorov-Smirnov).
    fn distance(one: &[f64], other: &[f64]) -> f64 {
        let share =
            |values: &[f64], at: f64| values.iter().filter(|value| **value <= at).count() as f64 / values.len() as f64;
        one.iter().chain(other).map(|at| (share(one, *at) - share(other, *at)).abs()).fold(0.0, f64::max)
    }

    #[test]
    fn sizes_and_latencies_are_distributed_as_those_of_real_answers() {
        let random = FakeRandom::seeded(1);
        let (mut profile, maintenance) = profile(1_000);
        let (mut real_sizes, mut real_latencies) = (Vec::new(), Vec::new());
        for _ in 0..1_000 {
            let (answer, latency) = real_answer(&random);
            profile.record(maintenance.mode(), &answer, latency);
            real_sizes.push(length(&answer) as f64);
            real_latencies.push(latency.as_secs_f64());
        }
        let (mut sizes, mut latencies) = (Vec::new(), Vec::new());
        for _ in 0..2_000 {
            let Draw { shape, padding_bytes, latency } = profile.draw(maintenance.mode(), &random);
            sizes.push(length(&shape.chaff(padding_bytes, &random)) as f64);
            latencies.push(latency.as_secs_f64());
        }
        // Equal distributions exceed 1.95 * sqrt((n + m) / (n * m)) once in a thousand times, here 0.076.
        let (of_sizes, of_latencies) = (distance(&real_sizes, &sizes), distance(&real_latencies, &latencies));
        assert!(of_sizes < 0.076 && of_latencies < 0.076, "{of_sizes} {of_latencies}");
        // The population is within 0.3 and 4.3 ms.
        assert!(latencies.iter().all(|latency| (0.000_27..0.004_73).contains(latency)));
    }

    #[test]
    fn size_and_latency_belong_to_the_same_answer() {
        let random = FakeRandom::seeded(2);
        let (mut profile, maintenance) = profile(100);
        for _ in 0..50 {
            profile.record(maintenance.mode(), &publish_answer(200, 1_500, 1_024), Duration::from_millis(9));
            profile.record(maintenance.mode(), &publish_answer(200, 10, 1_024), Duration::from_millis(1));
        }
        for _ in 0..500 {
            let Draw { shape, latency, .. } = profile.draw(maintenance.mode(), &random);
            let is_long = shape.wire_bytes(0) > 1_000;
            assert_eq!(latency > Duration::from_millis(5), is_long, "{latency:?}");
        }
    }

    #[test]
    fn one_real_answer_among_much_chaff_is_not_given_away_by_repetition() {
        let random = FakeRandom::seeded(3);
        let (mut profile, maintenance) = profile(1_000);
        let real = publish_answer(401, 77, 1_500);
        profile.record(maintenance.mode(), &real, Duration::from_micros(2_345));
        let draws: Vec<Draw> = (0..2_000).map(|_| profile.draw(maintenance.mode(), &random)).collect();
        let sizes: Vec<usize> = draws.iter().map(|draw| draw.shape.wire_bytes(draw.padding_bytes)).collect();
        let possible: BTreeSet<usize> =
            (1_024..2_048).map(|padding: usize| length(&publish_answer(401, 77, padding))).collect();
        assert!(sizes.iter().all(|size| possible.contains(size)), "each is one a real answer could have had");
        // 2,000 draws of 342 sizes: 5.8 for each, and 25 would be eight standard deviations more.
        let repeats = sizes.iter().filter(|size| **size == length(&real)).count();
        assert!(repeats < 25, "the real size came {repeats} times");
        let different = sizes.iter().collect::<BTreeSet<_>>().len();
        assert!(different > 330, "{different} of the other 341 came too");
        let latencies: BTreeSet<Duration> = draws.iter().map(|draw| draw.latency).collect();
        assert!(latencies.len() > 1_990, "{} of 2000 latencies are unique", latencies.len());
    }

    #[test]
    fn real_answers_replace_the_model_one_by_one_and_then_the_oldest() {
        let random = FakeRandom::seeded(4);
        let (mut profile, maintenance) = profile(3);
        let model = profile.model.normal[0].clone();
        profile.model.normal = vec![model; 2];
        profile.start_anew(maintenance.mode());
        let drawn = |profile: &mut Profile| -> BTreeSet<usize> {
            (0..200).map(|_| profile.draw(maintenance.mode(), &random).shape.wire_bytes(0)).collect()
        };
        let size = |content| Shape::of(&publish_answer(200, content, 0), []).wire_bytes(0);
        for (content, expect) in [
            (101, vec![0, 101]),
            (102, vec![101, 102]),
            (103, vec![101, 102, 103]),
            (104, vec![102, 103, 104]),
            (105, vec![103, 104, 105]),
        ] {
            profile.record(maintenance.mode(), &publish_answer(200, content, 0), Duration::from_millis(1));
            assert_eq!(drawn(&mut profile), expect.into_iter().map(size).collect());
        }
        assert_eq!((profile.samples.len(), profile.latencies.len()), (3, 3));
    }

    #[test]
    fn latencies_stay_sorted_and_are_those_of_the_samples() {
        let random = FakeRandom::seeded(5);
        let (mut profile, maintenance) = profile(50);
        for _ in 0..500 {
            // Few different ones, so that equal ones occur.
            let latency = Duration::from_millis(1 + u64::from(random.below(9)));
            profile.record(maintenance.mode(), &publish_answer(200, 0, 0), latency);
        }
        let mut expect: Vec<Duration> = profile.samples.iter().map(|sample| sample.latency).collect();
        expect.sort_unstable();
        assert_eq!(profile.latencies, expect);
    }

    #[test]
    fn maintenance_has_a_profile_of_its_own_that_starts_anew() {
        let random = FakeRandom::seeded(6);
        let (mut profile, maintenance) = profile(10);
        let (before, real) = (maintenance.mode(), publish_answer(200, 500, 1_024));
        profile.record(before, &real, Duration::from_millis(3));
        maintenance.set(true);
        let closed = length(&maintenance::answer());
        for _ in 0..200 {
            let Draw { shape, padding_bytes, .. } = profile.draw(maintenance.mode(), &random);
            let chaff = shape.chaff(padding_bytes, &random);
            assert_eq!(length(&chaff), closed, "all real answers are equally long now");
            assert_eq!(chaff.headers(), maintenance::answer().headers());
        }
        profile.record(before, &real, Duration::from_millis(3));
        assert_eq!(profile.samples.len(), 1, "an answer to a request of before is no sample of now");
        maintenance.set(false);
        let sizes: BTreeSet<usize> =
            (0..200).map(|_| profile.draw(maintenance.mode(), &random).shape.wire_bytes(0)).collect();
        assert_eq!(
            sizes,
            BTreeSet::from([profile.model.normal[0].shape.wire_bytes(0)]),
            "what was before is forgotten"
        );
    }

    #[test]
    fn sets_of_headers_are_shared_and_few() {
        let (mut profile, maintenance) = profile(100);
        for _ in 0..20 {
            profile.record(maintenance.mode(), &publish_answer(200, 0, 0), Duration::ZERO);
            profile.record(maintenance.mode(), &retry_later(), Duration::ZERO);
        }
        assert_eq!(profile.headers.len(), 2);
        for number in 0..100 {
            let mut answer = publish_answer(200, 0, 0);
            answer.headers_mut().insert("x-number", http::HeaderValue::from(number));
            profile.record(maintenance.mode(), &answer, Duration::ZERO);
        }
        assert_eq!(profile.headers.len(), MAX_HEADER_SETS);
    }
}
