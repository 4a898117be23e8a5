//! What holds for every request, and the rules for a single key as a formula to compare with.

use super::*;
use crate::exposure::ReportType;
use crate::health_authority::HealthAuthorityId;
use proptest::prelude::*;
use std::borrow::Cow;
use std::collections::BTreeMap;

/// Everything that decides the outcome.
#[derive(Clone, Debug)]
struct Case {
    request: PublishRequest<'static>,
    claims: Option<Claims>,
    settings: PublishSettings,
    now: Timestamp,
}

impl Case {
    fn run(&self) -> Result<Transformed, TransformError> {
        transform(&self.request, self.claims.as_ref(), &self.settings, self.now)
    }

    fn with_keys(&self, keys: Vec<RequestKey<'static>>) -> Self {
        Self { request: PublishRequest { keys, ..self.request.clone() }, ..self.clone() }
    }

    /// The onset that counts: the phone's, else the certificate's, else the default.
    fn onset(&self) -> i64 {
        let now = self.now.unix();
        let oldest = (now - DAY * i64::from(self.settings.max_onset_report_days)).div_euclid(DAY) * 144;
        let claimed = self.claims.as_ref().and_then(|claims| claims.symptom_onset).map(i64::from);
        [Some(i64::from(self.request.symptom_onset_interval)), claimed]
            .into_iter()
            .flatten()
            .find(|onset| oldest <= *onset && *onset < now.div_euclid(600))
            .unwrap_or((now - DAY * i64::from(self.settings.default_onset_days_ago)).div_euclid(600))
    }

    fn verdict(&self, sent: &RequestKey<'_>) -> Verdict {
        let (now, age) = (self.now.unix(), i64::try_from(self.settings.max_key_age_seconds).expect("small"));
        let window = i64::try_from(self.settings.truncate_window_seconds).expect("small");
        let floor = |time: i64| if window == 0 { time } else { time.div_euclid(window) * window };
        let (start, period) = (i64::from(sent.rolling_start), i64::from(sent.rolling_period));
        let bytes = base64::decode(&sent.key).ok().and_then(|bytes| <[u8; 16]>::try_from(bytes).ok());
        let is_good = (1..=144).contains(&period)
            && start + period >= (now - age).div_euclid(600)
            && start <= now.div_euclid(600)
            && (0..=8).contains(&sent.transmission_risk);
        let Some(bytes) = bytes.filter(|_| is_good) else { return Verdict::Bad };
        let days = start.div_euclid(144) - self.onset().div_euclid(144);
        if days.abs() > i64::from(self.settings.max_onset_days) {
            return Verdict::Far(days.abs());
        }
        let held_back = start + period > now.div_euclid(600) && !self.settings.release_same_day_keys;
        let backfill = match self.claims.as_ref().map(|claims| claims.report_type.wire()) {
            Some("confirmed") => 2,
            Some("likely") => 4,
            Some("negative") => 6,
            Some(_) | None => 0,
        };
        let risk = if sent.transmission_risk == 0 { backfill } else { sent.transmission_risk };
        Verdict::Good(NewExposure {
            key: TemporaryExposureKey::new(bytes),
            rolling_start: IntervalNumber::new(sent.rolling_start),
            rolling_period: RollingPeriod::try_from(period).expect("checked"),
            transmission_risk: TransmissionRisk::try_from(risk).expect("checked"),
            report_type: self.claims.as_ref().map(|claims| claims.report_type),
            days_since_onset: Some(i8::try_from(days).expect("at most 127")),
            created_at: Timestamp::from_unix(if held_back {
                floor((start + period) * 600 + window)
            } else {
                floor(now)
            }),
        })
    }
}

const DAY: i64 = 86_400;

#[derive(Clone, Debug, PartialEq)]
enum Verdict {
    /// Dropped with an error.
    Bad,
    /// Dropped with a warning that tells the distance in days.
    Far(i64),
    Good(NewExposure),
}

/// The text of a key number apart from the number.
fn without_number(text: &str) -> String {
    let rest = text.strip_prefix("key ").expect("a key's text");
    rest.trim_start_matches(|digit: char| digit.is_ascii_digit()).to_owned()
}

fn sorted_without_numbers(texts: &[String]) -> Vec<String> {
    let mut texts: Vec<_> = texts.iter().map(|text| without_number(text)).collect();
    texts.sort();
    texts
}

/// An outcome in which key numbers and the order of texts do not count.
#[derive(Debug, PartialEq)]
enum Summary {
    Kept { keys: Vec<NewExposure>, warnings: Vec<String>, errors: Vec<String> },
    EveryKeyBad { warnings: Vec<String>, errors: Vec<String> },
    Refused { reason: Unusable, warnings: Vec<String> },
}

fn summary(outcome: Result<Transformed, TransformError>) -> Summary {
    match outcome {
        Ok(outcome) => Summary::Kept {
            warnings: sorted_without_numbers(&outcome.warnings),
            errors: sorted_without_numbers(&outcome.errors),
            keys: outcome.keys,
        },
        Err(TransformError { reason: Unusable::EveryKeyBad(errors), warnings }) => Summary::EveryKeyBad {
            warnings: sorted_without_numbers(&warnings),
            errors: sorted_without_numbers(&errors),
        },
        Err(TransformError { reason, warnings }) => {
            Summary::Refused { reason, warnings: sorted_without_numbers(&warnings) }
        }
    }
}

fn key_text(byte: u8) -> impl Strategy<Value = String> {
    let whole = base64::encode(&[byte; 16]);
    let url = base64::encode_url(&[byte.wrapping_mul(83); 16]);
    prop_oneof![
        20 => Just(whole.clone()),
        3 => Just(url),
        1 => Just(whole[..20].to_owned()),
        1 => Just(format!("{whole}\u{e9}")),
        1 => "[A-Za-z0-9+/_=-]{0,30}",
    ]
}

/// A key near `now`, mostly one of whole days.
fn any_key(now: Timestamp) -> impl Strategy<Value = RequestKey<'static>> {
    let (interval, today) = (now.interval().get(), now.utc_midnight().interval().get());
    let start = prop_oneof![
        6 => (0..22i32).prop_map(move |days| today - days * 144),
        6 => (1..12i32).prop_map(move |half_days| today - half_days * 72),
        3 => interval - 6000..interval + 300,
        1 => any::<i32>(),
    ];
    let period = prop_oneof![8 => Just(144), 6 => Just(72), 3 => 1..=144i32, 1 => -1..150i32, 1 => any::<i32>()];
    let risk = prop_oneof![8 => Just(0i64), 8 => 0..=8i64, 1 => -2..12i64, 1 => any::<i64>()];
    ((0..24u8).prop_flat_map(key_text), start, period, risk).prop_map(
        |(key, rolling_start, rolling_period, transmission_risk)| RequestKey {
            key: Cow::Owned(key),
            rolling_start,
            rolling_period,
            transmission_risk,
        },
    )
}

fn any_settings() -> impl Strategy<Value = PublishSettings> {
    let window = prop::sample::select(vec![0u64, 1, 600, 1234, 3600, 7200, 86_400]);
    let age = prop_oneof![4 => Just(360 * 3600u64), 1 => 0..40 * 86_400u64];
    (
        (window, age, any::<bool>()),
        (prop_oneof![4 => Just(14u32), 1 => 1..=127u32], 1..40u32, 0..30u32),
        (prop_oneof![9 => Just(30u32), 1 => 1..8u32], 1..5u32),
    )
        .prop_map(|((window, age, release), (max_onset, report, default), (max_keys, max_same))| PublishSettings {
            max_keys,
            max_same_start_keys: max_same,
            max_key_age_seconds: age,
            truncate_window_seconds: window,
            max_onset_days: max_onset,
            max_onset_report_days: report,
            default_onset_days_ago: default,
            release_same_day_keys: release,
            ..PublishSettings::default()
        })
}

fn any_onset(now: Timestamp) -> impl Strategy<Value = i32> {
    let interval = now.interval().get();
    prop_oneof![2 => Just(0), 3 => interval - 5000..interval, 3 => interval - 1500..interval, 2 => interval - 1..=interval + 1, 1 => any::<i32>()]
}

fn any_case() -> impl Strategy<Value = Case> {
    let now = prop_oneof![
        1_500_000_000..1_900_000_000i64,
        (17_400..22_000i64, -1..=1i64).prop_map(|(day, second)| day * DAY + second)
    ];
    now.prop_map(Timestamp::from_unix).prop_flat_map(|now| {
        let report_type = prop::sample::select(vec!["confirmed", "likely", "negative", "user-report"])
            .prop_map(|wire| ReportType::from_wire(wire).expect("known"));
        let claimed = prop::option::of(prop_oneof![any_onset(now).prop_map(i32::cast_unsigned), any::<u32>()]);
        let claims = prop::option::of((report_type, claimed).prop_map(|(report_type, symptom_onset)| Claims {
            health_authority: HealthAuthorityId(1),
            report_type,
            symptom_onset,
        }));
        (prop::collection::vec(any_key(now), 0..12), any_onset(now), claims, any_settings()).prop_map(
            move |(keys, symptom_onset_interval, claims, settings)| Case {
                request: PublishRequest { keys, symptom_onset_interval, ..PublishRequest::default() },
                claims,
                settings,
                now,
            },
        )
    })
}

/// What the whole-request checks have to say about the keys that passed their own. Overlap first, as in the reference.
fn set_failure(good: &[NewExposure], max_same_start: u32) -> Option<&'static str> {
    let start = |key: &NewExposure| i64::from(key.rolling_start.get());
    let end = |key: &NewExposure| start(key) + i64::from(key.rolling_period.get());
    let overlaps = |a: &NewExposure, b: &NewExposure| start(a) < start(b) && start(b) < end(a);
    if good.iter().any(|a| good.iter().any(|b| overlaps(a, b))) {
        return Some("overlap");
    }
    let together = |a: &NewExposure| good.iter().filter(|b| start(a) == start(b)).count();
    good.iter().any(|a| together(a) > max_same_start as usize).then_some("same start")
}

/// Of equal keys, the one that starts last, then the one that lives longest, then the one that was sent last.
fn collapsed(good: &[NewExposure]) -> Vec<NewExposure> {
    let mut last: BTreeMap<TemporaryExposureKey, NewExposure> = BTreeMap::new();
    for key in good {
        let times = |key: &NewExposure| (key.rolling_start, key.rolling_period);
        match last.get(&key.key) {
            Some(other) if times(other) > times(key) => {}
            Some(_) | None => {
                last.insert(key.key, *key);
            }
        }
    }
    last.into_values().collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1024))]

    #[test]
    fn outcome_is_that_of_the_specification(case in any_case()) {
        let count = case.request.keys.len();
        let outcome = case.run();
        if count == 0 || count > case.settings.max_keys as usize {
            let reason = outcome.expect_err("no keys, or too many").reason;
            let is_right = match reason {
                Unusable::NoKeys => count == 0,
                Unusable::TooManyKeys { count: told, max } => told == count && max == case.settings.max_keys,
                Unusable::EveryKeyBad(_) | Unusable::Overlap { .. } | Unusable::SameStart { .. } => false,
            };
            prop_assert!(is_right);
            return Ok(());
        }
        let verdicts: Vec<_> = case.request.keys.iter().map(|key| case.verdict(key)).collect();
        let numbers_of = |texts: &[String]| -> Vec<String> {
            texts.iter().map(|text| text.split(' ').nth(1).unwrap_or_default().to_owned()).collect()
        };
        let bad: Vec<_> = (0..count).filter(|i| verdicts[*i] == Verdict::Bad).map(|i| i.to_string()).collect();
        let far: Vec<_> = verdicts.iter().enumerate().filter_map(|(i, verdict)| match verdict {
            Verdict::Far(days) => Some(format!(
                "key {i} symptom onset is too large, {days} > {} - saving without this key", case.settings.max_onset_days,
            )),
            Verdict::Bad | Verdict::Good(_) => None,
        }).collect();
        let good: Vec<_> = verdicts.iter().filter_map(|verdict| match verdict {
            Verdict::Good(key) => Some(*key),
            Verdict::Bad | Verdict::Far(_) => None,
        }).collect();
        match outcome {
            Ok(outcome) => {
                prop_assert!(!good.is_empty() || bad.is_empty());
                prop_assert_eq!(set_failure(&good, case.settings.max_same_start_keys), None);
                prop_assert_eq!(outcome.keys, collapsed(&good));
                prop_assert_eq!(outcome.warnings, far);
                prop_assert!(outcome.errors.iter().all(|text| text.contains(" cannot be imported: ")));
                prop_assert_eq!(numbers_of(&outcome.errors), bad);
            }
            Err(TransformError { reason, warnings }) => {
                prop_assert_eq!(warnings, far);
                let failure = match reason {
                    Unusable::EveryKeyBad(errors) => {
                        prop_assert!(good.is_empty() && !bad.is_empty());
                        prop_assert_eq!(numbers_of(&errors), bad);
                        None
                    }
                    Unusable::Overlap { start, last, next } => {
                        prop_assert!(last < start && start < next);
                        Some("overlap")
                    }
                    Unusable::SameStart { count, max, .. } => {
                        prop_assert!(count > max as usize);
                        Some("same start")
                    }
                    Unusable::NoKeys | Unusable::TooManyKeys { .. } => Some("another number of keys"),
                };
                prop_assert_eq!(failure, set_failure(&good, case.settings.max_same_start_keys));
            }
        }
    }

    #[test]
    fn accepted_keys_satisfy_every_bound(case in any_case()) {
        let Ok(outcome) = case.run() else { return Ok(()) };
        let (now, window) = (case.now.unix(), case.settings.truncate_window_seconds.max(1) as i64);
        prop_assert!(outcome.keys.windows(2).all(|pair| pair[0].key < pair[1].key), "sorted, each once");
        for key in &outcome.keys {
            let (start, period) = (i64::from(key.rolling_start.get()), i64::from(key.rolling_period.get()));
            let end = (start + period) * 600;
            prop_assert!((1..=144).contains(&period) && key.transmission_risk.get() <= 8);
            prop_assert!(start * 600 <= now && end + 600 > now - case.settings.max_key_age_seconds as i64);
            let days = key.days_since_onset.map(|days| u32::from(days.unsigned_abs()));
            prop_assert!(days.is_some_and(|days| days <= case.settings.max_onset_days));
            // Held back beyond its end, and no longer than needed; else now, and never later than now.
            let created_at = key.created_at.unix();
            prop_assert_eq!(created_at % window, 0, "aligned");
            if end > now && start + period > now.div_euclid(600) && !case.settings.release_same_day_keys {
                let at_the_end = i64::from(case.settings.truncate_window_seconds == 0);
                prop_assert!(created_at + at_the_end > end && created_at <= end + window, "{} {}", created_at, end);
            } else {
                prop_assert!(created_at <= now && now < created_at + window);
            }
        }
    }

    #[test]
    fn order_of_keys_changes_nothing_but_the_numbers_in_texts(
        (case, shuffled) in any_case().prop_flat_map(|mut case| {
            // Of equal keys with equal times the order says which one counts.
            let mut seen = std::collections::BTreeSet::new();
            case.request.keys.retain(|sent| {
                seen.insert((base64::decode(&sent.key).ok(), sent.rolling_start, sent.rolling_period))
            });
            let keys = case.request.keys.clone();
            (Just(case), Just(keys).prop_shuffle())
        }),
    ) {
        prop_assert_eq!(summary(case.run()), summary(case.with_keys(shuffled).run()));
    }

    #[test]
    fn leaving_out_a_rejected_key_changes_nothing_for_the_others(case in any_case(), index: prop::sample::Index) {
        let count = case.request.keys.len();
        let rejected: Vec<usize> = (0..count)
            .filter(|i| !matches!(case.verdict(&case.request.keys[*i]), Verdict::Good(_)))
            .collect();
        if rejected.is_empty() || count == 1 || count > case.settings.max_keys as usize {
            return Ok(());
        }
        let left_out = *index.get(&rejected);
        let mut keys = case.request.keys.clone();
        let verdict = case.verdict(&keys.remove(left_out));
        let own_text = |texts: &[String]| {
            texts.iter().find(|text| text.starts_with(&format!("key {left_out} "))).map(|text| without_number(text))
        };
        let (whole, rest) = (case.run(), case.with_keys(keys).run());
        let (errors, warnings) = match &whole {
            Ok(outcome) => (outcome.errors.clone(), outcome.warnings.clone()),
            Err(TransformError { reason: Unusable::EveryKeyBad(errors), warnings }) => (errors.clone(), warnings.clone()),
            // The failure of a whole request hides the errors of single keys.
            Err(TransformError { warnings, .. }) => (vec![], warnings.clone()),
        };
        let text = if verdict == Verdict::Bad { own_text(&errors) } else { own_text(&warnings) };
        // What the other request must say: all but that one text.
        let without = |texts: Vec<String>| -> Vec<String> {
            let mut texts = sorted_without_numbers(&texts);
            if let Some(at) = text.as_ref().and_then(|text| texts.iter().position(|other| other == text)) {
                texts.remove(at);
            }
            texts
        };
        let (errors_left, warnings_left) = match verdict {
            Verdict::Bad => (without(errors), sorted_without_numbers(&warnings)),
            Verdict::Far(_) | Verdict::Good(_) => (sorted_without_numbers(&errors), without(warnings)),
        };
        let expect = match summary(whole) {
            Summary::Refused { reason, .. } => Summary::Refused { reason, warnings: warnings_left },
            // The last error is gone, and keys dropped with a warning are none.
            Summary::EveryKeyBad { .. } if errors_left.is_empty() => {
                Summary::Kept { keys: vec![], warnings: warnings_left, errors: vec![] }
            }
            Summary::EveryKeyBad { .. } => Summary::EveryKeyBad { warnings: warnings_left, errors: errors_left },
            Summary::Kept { keys, .. } => Summary::Kept { keys, warnings: warnings_left, errors: errors_left },
        };
        prop_assert_eq!(summary(rest), expect);
    }

    #[test]
    fn of_a_key_sent_twice_the_last_one_counts(case in any_case(), at: prop::sample::Index, risk in 1..=8i64) {
        let good: Vec<_> = case.request.keys.iter().filter(|key| matches!(case.verdict(key), Verdict::Good(_))).collect();
        if good.is_empty() {
            return Ok(());
        }
        let first = at.get(&good);
        let again = RequestKey { transmission_risk: risk, ..(*first).clone() };
        let mut keys = case.request.keys.clone();
        keys.push(again.clone());
        let Ok(outcome) = case.with_keys(keys).run() else { return Ok(()) };
        let Verdict::Good(sent) = case.verdict(&again) else { return Err(TestCaseError::fail("as good as the first")) };
        let stored = outcome.keys.iter().filter(|key| key.key == sent.key).collect::<Vec<_>>();
        prop_assert_eq!(stored.len(), 1);
        // Unless a third has other times, and those come first.
        if (stored[0].rolling_start, stored[0].rolling_period) == (sent.rolling_start, sent.rolling_period) {
            prop_assert_eq!(stored[0], &sent);
        }
    }

    #[test]
    fn onset_is_the_first_plausible_one(case in any_case()) {
        let found = Onset::of(case.request.symptom_onset_interval, case.claims.as_ref(), &case.settings, case.now).interval();
        prop_assert_eq!(i64::from(found.get()), case.onset());
        prop_assert!(found < case.now.interval() || case.settings.default_onset_days_ago == 0);
    }

    #[test]
    fn no_setting_and_no_time_is_a_panic(
        case in any_case(),
        now: i64,
        days: [u32; 3],
        seconds: [u64; 2],
        counts: [u32; 2],
    ) {
        let settings = PublishSettings {
            max_keys: counts[0],
            max_same_start_keys: counts[1],
            max_onset_days: days[0],
            max_onset_report_days: days[1],
            default_onset_days_ago: days[2],
            max_key_age_seconds: seconds[0],
            truncate_window_seconds: seconds[1],
            ..case.settings.clone()
        };
        let absurd = Case { settings, now: Timestamp::from_unix(now), ..case.clone() };
        for case in [Case { now: case.now, ..absurd.clone() }, absurd] {
            let _ = case.run().map_err(|error| error.reason.to_string());
        }
    }
}
