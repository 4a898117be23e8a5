//! Durations and times, as people write them.

use tocsin_domain::interval::DAY_SECONDS;

/// Parses `300s`, `5m`, `4h`, `1d` or several of them together (`1h30m`) into seconds.
pub(super) fn duration(text: &str) -> Result<u64, String> {
    let wrong = || format!("{text:?} is no duration; write it like 300s, 5m, 4h, 1d or 1h30m");
    let mut seconds: u64 = 0;
    let mut rest = text;
    while !rest.is_empty() {
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        let (number, tail) = rest.split_at(digits);
        let mut tail = tail.chars();
        let unit = match tail.next() {
            Some('s') => 1,
            Some('m') => 60,
            Some('h') => 3600,
            Some('d') => DAY_SECONDS.unsigned_abs(),
            Some(_) | None => return Err(wrong()),
        };
        let number: u64 = number.parse().map_err(|_| wrong())?;
        seconds = number.checked_mul(unit).and_then(|more| seconds.checked_add(more)).ok_or_else(wrong)?;
        rest = tail.as_str();
    }
    if text.is_empty() { Err(wrong()) } else { Ok(seconds) }
}

/// Parses `2026-01-31`, `2026-01-31T12:30:00Z` (always UTC) or unix seconds.
pub(super) fn time(text: &str) -> Result<i64, String> {
    parse_time(text).ok_or_else(|| {
        format!("{text:?} is no time; write it like 2026-01-31 or 2026-01-31T12:30:00Z (both UTC), or as unix seconds")
    })
}

fn parse_time(text: &str) -> Option<i64> {
    if text.len() > 1 && text.bytes().all(|byte| byte.is_ascii_digit()) {
        return text.parse().ok();
    }
    let (date, clock) = match text.split_once(['T', ' ']) {
        Some((date, clock)) => (date, clock.strip_suffix('Z').unwrap_or(clock)),
        None => (text, "00:00:00"),
    };
    let [year, month, day] = numbers(date, '-', [4, 2, 2])?;
    let [hour, minute, second] = numbers(clock, ':', [2, 2, 2])?;
    let days = days_from_date(year, month, day);
    let is_real = (1..=12).contains(&month) && date_from_days(days) == (year, month, day);
    let is_clock = hour < 24 && minute < 60 && second < 60;
    (is_real && is_clock).then_some(days * DAY_SECONDS + hour * 3600 + minute * 60 + second)
}

/// Exactly three numbers of the given lengths.
fn numbers(text: &str, separator: char, lengths: [usize; 3]) -> Option<[i64; 3]> {
    let mut parts = text.split(separator);
    let mut numbers = [0; 3];
    for (number, length) in numbers.iter_mut().zip(lengths) {
        let part = parts.next().filter(|part| part.len() == length)?;
        *number = part.bytes().all(|byte| byte.is_ascii_digit()).then(|| part.parse().ok())??;
    }
    parts.next().is_none().then_some(numbers)
}

/// `2026-01-31 12:30:00 UTC`.
pub(super) fn show_time(unix: i64) -> String {
    let (year, month, day) = date_from_days(unix.div_euclid(DAY_SECONDS));
    let second = unix.rem_euclid(DAY_SECONDS);
    let (hour, minute) = (second / 3600, second / 60 % 60);
    format!("{year:04}-{month:02}-{day:02} {hour:02}:{minute:02}:{:02} UTC", second % 60)
}

/// `4h`, or the largest units that divide it.
pub(super) fn show_duration(seconds: u64) -> String {
    for (unit, length) in [("d", 86_400), ("h", 3600), ("m", 60)] {
        if seconds >= length && seconds.is_multiple_of(length) {
            return format!("{}{unit}", seconds / length);
        }
    }
    format!("{seconds}s")
}

/// Days since 1970-01-01 of a date of the Gregorian calendar. Years are counted from March, so that a leap day ends one.
fn days_from_date(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let leap_days = year.div_euclid(4) - year.div_euclid(100) + year.div_euclid(400);
    365 * year + leap_days + day_of_year - 719_468
}

/// The inverse of [`days_from_date`]: year, month, day.
fn date_from_days(days: i64) -> (i64, i64, i64) {
    const DAYS_IN_400_YEARS: i64 = 146_097;
    let days = days + 719_468;
    let (cycle, day) = (days.div_euclid(DAYS_IN_400_YEARS), days.rem_euclid(DAYS_IN_400_YEARS));
    let year_of_cycle = (day - day / 1460 + day / 36_524 - day / 146_096) / 365;
    let day_of_year = day - (365 * year_of_cycle + year_of_cycle / 4 - year_of_cycle / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = (month_from_march + 2) % 12 + 1;
    let year = cycle * 400 + year_of_cycle + i64::from(month <= 2);
    (year, month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_need_units_and_may_have_several() {
        let check = |text: &str, expect: Option<u64>| assert_eq!(duration(text).ok(), expect, "{text:?}");
        check("300s", Some(300));
        check("5m", Some(300));
        check("4h", Some(14_400));
        check("1d", Some(86_400));
        check("1h30m", Some(5400));
        check("0s", Some(0));
        for bad in ["", "300", "h", "4 h", "-4h", "4x", "4h5", "4é", "99999999999999999999s", "9999999999999999d"] {
            check(bad, None);
        }
    }

    #[test]
    fn durations_are_shown_as_they_may_be_written() {
        for text in ["300s", "4h", "1d", "90m", "0s", "86401s"] {
            let seconds = duration(text).expect(text);
            assert_eq!(duration(&show_duration(seconds)), Ok(seconds), "{text}");
        }
        assert_eq!(show_duration(14_400), "4h");
    }

    #[test]
    fn times_are_utc() {
        let check = |text: &str, expect: Option<i64>| assert_eq!(time(text).ok(), expect, "{text:?}");
        check("1970-01-01", Some(0));
        check("2020-09-14", Some(1_600_041_600));
        check("2020-09-14T01:02:03Z", Some(1_600_041_600 + 3723));
        check("2020-09-14 01:02:03", Some(1_600_041_600 + 3723));
        check("2024-02-29", Some(1_709_164_800));
        check("1600041600", Some(1_600_041_600));
        for bad in ["", "2023-02-29", "2024-13-01", "2024-00-01", "2024-1-1", "2024-01-01T24:00:00Z", "today", "-5"] {
            check(bad, None);
        }
    }

    #[test]
    fn every_day_of_five_centuries_is_shown_and_read_back() {
        for day in -100_000..100_000 {
            let (year, month, date) = date_from_days(day);
            assert_eq!(days_from_date(year, month, date), day);
        }
        assert_eq!(show_time(1_600_041_600 + 3723), "2020-09-14 01:02:03 UTC");
    }
}
