//! From keys as sent to exposures to store: every check and every derived value (pure).

#[cfg(test)]
mod property_tests;
#[cfg(test)]
mod tests;

use crate::base64;
use crate::exposure::{NewExposure, TransmissionRisk};
use crate::interval::{INTERVAL_SECONDS, IntervalNumber, RollingPeriod, Timestamp};
use crate::ports::verifier::Claims;
use crate::publish::request::{PublishRequest, RequestKey};
use crate::settings::PublishSettings;
use crate::statistics::Ages;
use crate::tek::TemporaryExposureKey;
use crate::text::joined;
use std::fmt;

const SECONDS_PER_DAY: i64 = 86_400;

/// What became of the keys of a request that can go on.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Transformed {
    /// Keys to store, in the order of their bytes, each once. May be empty when all were dropped with a warning.
    pub keys: Vec<NewExposure>,
    /// Keys that were dropped for their distance from the onset of symptoms. Not an error.
    pub warnings: Vec<String>,
    /// Keys that were dropped because they cannot be imported.
    pub errors: Vec<String>,
    /// For the statistics; of the keys that were not dropped.
    pub ages: Ages,
}

/// What becomes of one key of a request, looked at alone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It can be stored.
    Kept(NewExposure),
    /// It is too far from the onset of symptoms; the text is the warning.
    FarFromOnset(String),
    /// It cannot be imported; the text is the error.
    Bad(String),
}

impl Transformed {
    /// The errors as one text, if there are any.
    pub fn error_text(&self) -> Option<String> {
        if self.errors.is_empty() { None } else { Some(joined(&self.errors)) }
    }
}

/// No key of the request can be stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TransformError {
    /// What is wrong.
    pub reason: Unusable,
    /// As in [`Transformed::warnings`].
    pub warnings: Vec<String>,
}

/// Why a request's keys cannot be stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unusable {
    /// There are none.
    NoKeys,
    /// There are more than the server takes.
    TooManyKeys {
        /// Keys sent.
        count: usize,
        /// Keys allowed.
        max: u32,
    },
    /// None passed its checks; one text each.
    EveryKeyBad(Vec<String>),
    /// Keys overlap without starting together.
    Overlap {
        /// Start of the later key.
        start: i64,
        /// Start of the earlier key.
        last: i64,
        /// End of the earlier key.
        next: i64,
    },
    /// Too many keys start together.
    SameStart {
        /// Their start.
        start: i64,
        /// Keys allowed.
        max: u32,
        /// Keys sent.
        count: usize,
    },
}

impl fmt::Display for Unusable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoKeys => f.write_str("no exposure keys in publish request"),
            Self::TooManyKeys { count, max } => {
                write!(f, "too many exposure keys in publish: {count}, max of {max} is allowed")
            }
            Self::EveryKeyBad(errors) => f.write_str(&joined(errors)),
            Self::Overlap { start, last, next } => write!(
                f,
                "exposure keys have non aligned overlapping intervals. {start} overlaps with previous key that is good \
                 from {last} to {next}."
            ),
            Self::SameStart { start, max, count } => {
                write!(f, "too many overlapping keys for start interval: {start} want: <= {max}, got: {count}")
            }
        }
    }
}

/// Checks the keys of `request` and derives what is stored with them.
///
/// Times are truncated here; that none lies in a window that has been exported is seen to later, when the store has said
/// how far exports reach ([`crate::publish::revision::decide`]).
///
/// The key numbers in texts count the request's order. (The reference counts the order that its HMAC check happens to
/// leave behind.)
pub fn transform(
    request: &PublishRequest<'_>,
    claims: Option<&Claims>,
    settings: &PublishSettings,
    now: Timestamp,
) -> Result<Transformed, TransformError> {
    let whole = |reason| TransformError { reason, warnings: Vec::new() };
    let count = request.keys.len();
    if count == 0 {
        return Err(whole(Unusable::NoKeys));
    }
    if u32::try_from(count).is_ok_and(|count| count <= settings.max_keys) {
        let onset = Onset::of(request.symptom_onset_interval, claims, settings, now);
        let mut outcome = Transformed { keys: Vec::with_capacity(count), ..Transformed::default() };
        for fate in fates(request, claims, onset, settings, now) {
            match fate {
                Fate::Kept(key) => outcome.keys.push(key),
                Fate::FarFromOnset(warning) => outcome.warnings.push(warning),
                Fate::Bad(error) => outcome.errors.push(error),
            }
        }
        let starts = outcome.keys.iter().map(|key| key.rolling_start);
        outcome.ages = Ages::of(starts, onset.given(), now.interval());
        outcome.check_set(settings)
    } else {
        Err(whole(Unusable::TooManyKeys { count, max: settings.max_keys }))
    }
}

/// What becomes of each key, looked at alone, in the order of the request.
pub fn key_fates(
    request: &PublishRequest<'_>,
    claims: Option<&Claims>,
    settings: &PublishSettings,
    now: Timestamp,
) -> Vec<Fate> {
    let onset = Onset::of(request.symptom_onset_interval, claims, settings, now);
    fates(request, claims, onset, settings, now).collect()
}

fn fates(
    request: &PublishRequest<'_>,
    claims: Option<&Claims>,
    onset: Onset,
    settings: &PublishSettings,
    now: Timestamp,
) -> impl Iterator<Item = Fate> {
    let times = Times::of(settings, now);
    request.keys.iter().enumerate().map(move |(index, key)| match times.check(key) {
        Err(reason) => Fate::Bad(format!("key {index} cannot be imported: {reason}")),
        Ok(key) => enriched(index, key, onset.interval(), claims, settings),
    })
}

/// The key with what the certificate and the onset say about it.
fn enriched(
    index: usize,
    mut key: NewExposure,
    onset: IntervalNumber,
    claims: Option<&Claims>,
    settings: &PublishSettings,
) -> Fate {
    if let Some(claims) = claims {
        key.report_type = Some(claims.report_type);
        key.transmission_risk = key.transmission_risk.backfilled(key.report_type);
    }
    let days = onset.days_until(key.rolling_start);
    let max = settings.max_onset_days;
    match i8::try_from(days) {
        // The smallest `i8` means "none" in a packed row.
        Ok(days) if u32::from(days.unsigned_abs()) <= max && days != i8::MIN => {
            key.days_since_onset = Some(days);
            Fate::Kept(key)
        }
        _ => Fate::FarFromOnset(format!(
            "key {index} symptom onset is too large, {} > {max} - saving without this key",
            days.unsigned_abs()
        )),
    }
}

impl Transformed {
    /// The checks over the keys that survived.
    fn check_set(mut self, settings: &PublishSettings) -> Result<Self, TransformError> {
        if self.keys.is_empty() {
            return if self.errors.is_empty() {
                Ok(self)
            } else {
                Err(TransformError { reason: Unusable::EveryKeyBad(self.errors), warnings: self.warnings })
            };
        }
        self.keys.sort_by_key(|key| (key.rolling_start, key.rolling_period.get(), key.key));
        match overlap(&self.keys).or_else(|| crowd(&self.keys, settings.max_same_start_keys)) {
            Some(reason) => Err(TransformError { reason, warnings: self.warnings }),
            None => {
                collapse(&mut self.keys);
                Ok(self)
            }
        }
    }
}

/// Sorts `keys` by their bytes; of equal keys the last remains.
pub fn collapse(keys: &mut Vec<NewExposure>) {
    keys.sort_by_key(|key| key.key);
    keys.dedup_by(|later, kept| {
        let same = later.key == kept.key;
        if same {
            *kept = *later;
        }
        same
    });
}

/// The first overlap of keys that do not start together.
fn overlap(sorted: &[NewExposure]) -> Option<Unusable> {
    let span = |key: &NewExposure| {
        let start = i64::from(key.rolling_start.get());
        (start, start + i64::from(key.rolling_period.get()))
    };
    let (mut last, mut next) = span(sorted.first()?);
    for (start, end) in sorted.iter().map(span) {
        if start != last && start < next {
            return Some(Unusable::Overlap { start, last, next });
        }
        (last, next) = (start, end);
    }
    None
}

/// The first start at which more than `max` keys start.
fn crowd(sorted: &[NewExposure], max: u32) -> Option<Unusable> {
    sorted
        .chunk_by(|a, b| a.rolling_start == b.rolling_start)
        .find(|group| u32::try_from(group.len()).is_ok_and(|count| count > max))
        .and_then(|group| Some((group.first()?, group.len())))
        .map(|(key, count)| Unusable::SameStart { start: i64::from(key.rolling_start.get()), max, count })
}

/// The interval of symptom onset.
#[derive(Clone, Copy, Debug)]
enum Onset {
    /// The phone's if it is plausible, else the certificate's.
    Given(IntervalNumber),
    /// None of them is, so it is assumed to be some days ago.
    Assumed(IntervalNumber),
}

impl Onset {
    fn of(sent: i32, claims: Option<&Claims>, settings: &PublishSettings, now: Timestamp) -> Self {
        let days_ago = |days: u32| now.plus_seconds(-SECONDS_PER_DAY * i64::from(days));
        let oldest = days_ago(settings.max_onset_report_days).utc_midnight().interval();
        let plausible = |onset: &IntervalNumber| oldest <= *onset && *onset < now.interval();
        let claimed = || i32::try_from(claims?.symptom_onset?).ok().map(IntervalNumber::new);
        Some(IntervalNumber::new(sent))
            .filter(plausible)
            .or_else(|| claimed().filter(plausible))
            .map_or_else(|| Self::Assumed(days_ago(settings.default_onset_days_ago).interval()), Self::Given)
    }

    const fn interval(self) -> IntervalNumber {
        match self {
            Self::Given(interval) | Self::Assumed(interval) => interval,
        }
    }

    const fn given(self) -> Option<IntervalNumber> {
        match self {
            Self::Given(interval) => Some(interval),
            Self::Assumed(_) => None,
        }
    }
}

/// The first interval in which a key must still have been valid at `now`; revision token entries expire by it too.
pub fn oldest_end(settings: &PublishSettings, now: Timestamp) -> IntervalNumber {
    now.plus_seconds(i64::try_from(settings.max_key_age_seconds).map_or(i64::MIN, |age| -age)).interval()
}

/// The bounds of one request.
struct Times {
    now: i64,
    oldest_end: i64,
    created_at: Timestamp,
    window: i64,
    release_same_day_keys: bool,
}

/// Why a single key was dropped.
enum BadKey {
    Base64(base64::DecodeError),
    Length(usize),
    Period(i32),
    TooOld { start: i64, period: i64, oldest: i64 },
    Future { start: i64, now: i64 },
    Risk(i64),
}

impl fmt::Display for BadKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Base64(error) => error.fmt(f),
            Self::Length(length) => {
                write!(f, "invalid key length, {length}, must be {}", TemporaryExposureKey::LENGTH)
            }
            Self::Period(count) => write!(f, "invalid interval count, {count}, must be >= 1 && <= 144"),
            Self::TooOld { start, period, oldest } => write!(
                f,
                "key expires before minimum window; {start} + {period} = {} which is too old, must be >= {oldest}",
                start + period
            ),
            Self::Future { start, now } => write!(f, "interval number {start} is in the future, must be <= {now}"),
            Self::Risk(risk) => write!(f, "invalid transmission risk: {risk}, must be >= 0 && <= 8"),
        }
    }
}

impl Times {
    fn of(settings: &PublishSettings, now: Timestamp) -> Self {
        let window = i64::try_from(settings.truncate_window_seconds).unwrap_or(i64::MAX);
        Self {
            now: i64::from(now.interval().get()),
            oldest_end: i64::from(oldest_end(settings, now).get()),
            created_at: now.truncate(window),
            window,
            release_same_day_keys: settings.release_same_day_keys,
        }
    }

    /// The key with what the request alone says about it.
    fn check(&self, sent: &RequestKey<'_>) -> Result<NewExposure, BadKey> {
        let key = decode_key(&sent.key)?;
        let rolling_period =
            RollingPeriod::try_from(i64::from(sent.rolling_period)).map_err(|_| BadKey::Period(sent.rolling_period))?;
        // In 64 bits an absurd start cannot wrap around; it is too old or in the future.
        let start = i64::from(sent.rolling_start);
        let period = i64::from(rolling_period.get());
        let end = start + period;
        if end < self.oldest_end {
            return Err(BadKey::TooOld { start, period, oldest: self.oldest_end });
        }
        if start > self.now {
            return Err(BadKey::Future { start, now: self.now });
        }
        let transmission_risk = TransmissionRisk::try_from(sent.transmission_risk).map_err(BadKey::Risk)?;
        // A key that is still valid could be used to impersonate the phone, so it is held back until it has expired.
        let created_at = if end > self.now && !self.release_same_day_keys {
            Timestamp::from_unix(end * INTERVAL_SECONDS).plus_seconds(self.window).truncate(self.window)
        } else {
            self.created_at
        };
        Ok(NewExposure {
            key,
            rolling_start: IntervalNumber::new(sent.rolling_start),
            rolling_period,
            transmission_risk,
            report_type: None,
            days_since_onset: None,
            created_at,
        })
    }
}

fn decode_key(text: &str) -> Result<TemporaryExposureKey, BadKey> {
    if let Some(bytes) = base64::decode_16(text) {
        return Ok(TemporaryExposureKey::new(bytes));
    }
    let bytes = base64::decode(text).map_err(BadKey::Base64)?;
    TemporaryExposureKey::try_from(bytes.as_slice()).map_err(|_| BadKey::Length(bytes.len()))
}
