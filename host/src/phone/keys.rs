//! The keys of simulated phones, and the file in which they are kept between publishing and matching.

use super::PhoneError;
use crate::signing::random_bytes;
use serde::{Deserialize, Serialize};
use std::fs::OpenOptions;
use std::io::{BufWriter, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use tocsin_domain::base64;
use tocsin_domain::interval::{INTERVALS_PER_DAY, Timestamp};
use tocsin_domain::tek::TemporaryExposureKey;

/// A key of a simulated phone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PhoneKey {
    /// The key itself.
    pub key: TemporaryExposureKey,
    /// First interval of validity.
    pub rolling_start: i32,
    /// Intervals of validity.
    pub rolling_period: i32,
}

/// One key for each of the last `days` UTC days before that of `now`, newest first: all of them have expired, so a server
/// holds none back.
pub fn daily_keys(now: Timestamp, days: u32) -> Vec<PhoneKey> {
    let today = now.utc_midnight().interval().get();
    (1..=days)
        .map(|day| PhoneKey {
            key: TemporaryExposureKey::new(random_bytes()),
            rolling_start: today
                .saturating_sub(i32::try_from(day).unwrap_or(i32::MAX).saturating_mul(INTERVALS_PER_DAY)),
            rolling_period: INTERVALS_PER_DAY,
        })
        .collect()
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Line {
    key: String,
    rolling_start: i32,
    rolling_period: i32,
}

/// Writes keys as lines of JSON to a new file with mode 0600.
pub fn write(file: &Path, keys: &[PhoneKey]) -> Result<(), PhoneError> {
    let failed = |error: std::io::Error| PhoneError(format!("cannot write the keys to {}: {error}", file.display()));
    let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(file).map_err(failed)?;
    let mut out = BufWriter::new(file);
    for PhoneKey { key, rolling_start, rolling_period } in keys {
        let line = Line {
            key: base64::encode(key.as_bytes()),
            rolling_start: *rolling_start,
            rolling_period: *rolling_period,
        };
        serde_json::to_writer(&mut out, &line).map_err(|error| failed(error.into()))?;
        out.write_all(b"\n").map_err(failed)?;
    }
    out.flush().map_err(failed)
}

/// Reads what [`write`] wrote.
pub fn read(file: &Path) -> Result<Vec<PhoneKey>, PhoneError> {
    let text = std::fs::read_to_string(file)
        .map_err(|error| PhoneError(format!("cannot read the keys in {}: {error}", file.display())))?;
    let parse = |line: &str| {
        let Line { key, rolling_start, rolling_period } = serde_json::from_str(line).ok()?;
        let key = TemporaryExposureKey::new(base64::decode_16(&key)?);
        Some(PhoneKey { key, rolling_start, rolling_period })
    };
    let keys = text.lines().enumerate().map(|(index, line)| {
        // The line itself holds a key.
        parse(line).ok_or_else(|| PhoneError(format!("line {} of {} is no key", index + 1, file.display())))
    });
    keys.collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::MetadataExt;

    const NOON: Timestamp = Timestamp::from_unix(1_600_041_600 + 12 * 3600);

    #[test]
    fn keys_cover_the_days_before_today_and_have_all_expired() {
        let keys = daily_keys(NOON, 14);
        assert_eq!(keys.len(), 14);
        let midnight = 1_600_041_600 / 600;
        assert_eq!(keys[0].rolling_start + keys[0].rolling_period, midnight);
        assert_eq!(keys[13].rolling_start, midnight - 14 * 144);
        assert!(keys.iter().all(|key| keys.iter().filter(|other| other.key == key.key).count() == 1));
    }

    #[test]
    fn written_keys_are_read_back_and_only_the_owner_can() {
        let folder = tempfile::tempdir().expect("temporary folder");
        let file = folder.path().join("keys");
        let keys = daily_keys(NOON, 3);
        write(&file, &keys).expect("written");
        assert_eq!(read(&file).expect("read"), keys);
        assert_eq!(std::fs::metadata(&file).expect("exists").mode() & 0o777, 0o600);
        assert!(write(&file, &keys).is_err(), "never overwritten");
    }

    #[test]
    fn bad_line_is_named_and_not_shown() {
        let folder = tempfile::tempdir().expect("temporary folder");
        let file = folder.path().join("keys");
        std::fs::write(&file, "{\"key\":\"c2VjcmV0\",\"rolling_start\":1,\"rolling_period\":144}\n").expect("written");
        let error = read(&file).expect_err("too short").to_string();
        assert!(error.contains("line 1") && !error.contains("c2VjcmV0"), "{error}");
    }
}
