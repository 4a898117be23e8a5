//! Time in the three units of the protocol: unix seconds, 10-minute intervals, UTC days.

/// A point in time: seconds since 1970-01-01T00:00:00Z. Negative values are allowed and never meaningful.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Timestamp(i64);

/// Seconds in one interval.
pub const INTERVAL_SECONDS: i64 = 600;
/// Intervals in one UTC day; also the largest rolling period.
pub const INTERVALS_PER_DAY: i32 = 144;
/// Seconds in one UTC day.
pub const DAY_SECONDS: i64 = 86_400;

impl Timestamp {
    /// From unix seconds.
    pub const fn from_unix(seconds: i64) -> Self {
        Self(seconds)
    }

    /// Unix seconds.
    pub const fn unix(self) -> i64 {
        self.0
    }

    /// This time moved by `seconds` (negative: earlier), saturating.
    pub const fn plus_seconds(self, seconds: i64) -> Self {
        Self(self.0.saturating_add(seconds))
    }

    /// Floor to a multiple of `window_seconds` since the epoch. A window of zero or less leaves the time unchanged.
    pub const fn truncate(self, window_seconds: i64) -> Self {
        if window_seconds <= 0 { self } else { Self(self.0.div_euclid(window_seconds).saturating_mul(window_seconds)) }
    }

    /// 00:00:00 UTC of this time's day.
    pub const fn utc_midnight(self) -> Self {
        self.truncate(DAY_SECONDS)
    }

    /// The interval this time lies in, clamped to what 32 bits hold.
    pub fn interval(self) -> IntervalNumber {
        let number = self.0.div_euclid(INTERVAL_SECONDS);
        IntervalNumber(i32::try_from(number).unwrap_or(if number < 0 { i32::MIN } else { i32::MAX }))
    }
}

/// A count of 10-minute intervals since the unix epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct IntervalNumber(i32);

impl IntervalNumber {
    /// From the number on the wire.
    pub const fn new(number: i32) -> Self {
        Self(number)
    }

    /// The number on the wire.
    pub const fn get(self) -> i32 {
        self.0
    }

    /// The first instant of the interval.
    pub fn start(self) -> Timestamp {
        Timestamp(i64::from(self.0) * INTERVAL_SECONDS)
    }

    /// The UTC day number of the interval.
    pub fn utc_day(self) -> i64 {
        i64::from(self.0).div_euclid(i64::from(INTERVALS_PER_DAY))
    }

    /// Whole UTC days from `self`'s day to `later`'s day; negative when `later` is on an earlier day.
    pub fn days_until(self, later: Self) -> i64 {
        later.utc_day() - self.utc_day()
    }
}

/// How many intervals a key is valid for: 1 to 144.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RollingPeriod(u8);

impl RollingPeriod {
    /// A key that is valid for a whole day, which nearly all are.
    pub const DAY: Self = Self(144);

    /// The number of intervals, 1 to 144.
    pub const fn get(self) -> u8 {
        self.0
    }
}

impl TryFrom<i64> for RollingPeriod {
    type Error = i64;

    /// Fails with the value itself unless it lies in 1..=144.
    fn try_from(value: i64) -> Result<Self, i64> {
        match u8::try_from(value) {
            Ok(period @ 1..=144) => Ok(Self(period)),
            _ => Err(value),
        }
    }
}

/// First interval after a key that starts at `start` and lives for `period`, saturating.
pub fn key_end(start: IntervalNumber, period: RollingPeriod) -> IntervalNumber {
    IntervalNumber(start.0.saturating_add(i32::from(period.0)))
}

/// The date and time in the form of RFC 3339, such as `2020-09-14T12:34:56Z`.
pub fn rfc3339(time: Timestamp) -> String {
    let (year, month, day) = civil_date(time.0.div_euclid(DAY_SECONDS));
    let second = time.0.rem_euclid(DAY_SECONDS);
    let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
}

/// Year, month and day of a day number since 1970-01-01, in the Gregorian calendar. Counts in years that begin in March,
/// so that the leap day is the last of its year, and in eras of 400 of them, which all have the same length.
fn civil_date(day_number: i64) -> (i64, i64, i64) {
    const ERA_DAYS: i64 = 146_097;
    /// From 0000-03-01 to 1970-01-01.
    const EPOCH: i64 = 719_468;
    let days = day_number.saturating_add(EPOCH);
    let (era, day_of_era) = (days.div_euclid(ERA_DAYS), days.rem_euclid(ERA_DAYS));
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    (era * 400 + year_of_era + i64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_are_counted_between_utc_midnights() {
        let midnight = Timestamp::from_unix(1_600_041_600).interval();
        let at = |hours: i64| midnight.start().plus_seconds(hours * 3600).interval();
        for (hours, days) in [(0, 0), (-24, -1), (-25, -2), (-47, -2), (35, 1), (37, 1), (23, 0)] {
            assert_eq!(midnight.days_until(at(hours)), days, "{hours} h");
        }
    }

    #[test]
    fn rolling_period_accepts_1_to_144_only() {
        for bad in [-1, 0, 145, 256, 400, i64::MAX] {
            assert_eq!(RollingPeriod::try_from(bad), Err(bad));
        }
        assert_eq!(RollingPeriod::try_from(1).map(RollingPeriod::get), Ok(1));
        assert_eq!(RollingPeriod::try_from(144), Ok(RollingPeriod::DAY));
    }

    // Expected values: `date -u -d @SECONDS +%FT%TZ`.
    #[test]
    fn dates_are_those_of_the_calendar() {
        for (seconds, text) in [
            (0, "1970-01-01T00:00:00Z"),
            (-1, "1969-12-31T23:59:59Z"),
            (951_782_399, "2000-02-28T23:59:59Z"),
            (951_782_400, "2000-02-29T00:00:00Z"),
            (951_868_800, "2000-03-01T00:00:00Z"),
            (1_600_086_896, "2020-09-14T12:34:56Z"),
            (1_609_459_199, "2020-12-31T23:59:59Z"),
            (4_107_542_400, "2100-03-01T00:00:00Z"),
        ] {
            assert_eq!(rfc3339(Timestamp::from_unix(seconds)), text);
        }
    }

    #[test]
    fn truncation_floors_and_ignores_an_empty_window() {
        assert_eq!(Timestamp::from_unix(7_199).truncate(3_600), Timestamp::from_unix(3_600));
        assert_eq!(Timestamp::from_unix(-1).truncate(3_600), Timestamp::from_unix(-3_600));
        assert_eq!(Timestamp::from_unix(17).truncate(0), Timestamp::from_unix(17));
    }
}
