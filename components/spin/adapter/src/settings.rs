//! Settings, from one variable: a JSON object with the sections of `tocsin.toml` that components read, of the same fields,
//! defaults and limits. Unknown fields are refused.

use crate::system::fail;
use crate::variables::variable;
use serde::Deserialize;
use tocsin_domain::ports::PortError;
use tocsin_domain::settings::{
    ExportSettings, KeyRotationSettings, PublishSettings, PurgeSettings, StatisticsSettings, VerificationSettings,
};

/// Name of the variable.
pub const VARIABLE: &str = "tocsin_settings";

/// All settings.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// Rules of publish.
    pub publish: PublishSettings,
    /// Rules of the statistics for health authorities.
    pub statistics: StatisticsSettings,
    /// Rules of verification.
    pub verification: VerificationSettings,
    /// Rules of export.
    pub export: ExportSettings,
    /// Rules of purge.
    pub purge: PurgeSettings,
    /// Rules of the rotation of revision keys.
    pub key_rotation: KeyRotationSettings,
}

impl Settings {
    /// Reads the variable; one that is not set, or empty, stands for the defaults.
    pub fn read() -> Result<Self, PortError> {
        let json = variable(VARIABLE)?;
        let parsed = json.as_deref().map_or_else(|| Self::parse("{}"), Self::parse);
        parsed.map_err(|error| PortError::Internal(format!("the variable {VARIABLE} cannot be used: {error}")))
    }

    /// As [`Self::read`], for who has no way to say that it failed: a typing error must not silently disable a rule.
    pub fn read_or_fail() -> Self {
        Self::read().unwrap_or_else(|error| fail(&error.to_string()))
    }

    /// From JSON.
    pub fn parse(json: &str) -> Result<Self, String> {
        let mut settings: Self = serde_json::from_str(json).map_err(|error| error.to_string())?;
        // These have one place each.
        settings.export.truncate_window_seconds = settings.publish.truncate_window_seconds;
        settings.export.ttl_seconds = settings.purge.ttl_seconds;
        settings.check()?;
        Ok(settings)
    }

    fn check(&self) -> Result<(), String> {
        let Self { publish, statistics, verification, export, purge, key_rotation } = self;
        for (name, value) in [
            ("publish.max_keys", u64::from(publish.max_keys)),
            ("publish.max_same_start_keys", u64::from(publish.max_same_start_keys)),
            ("publish.max_onset_days", u64::from(publish.max_onset_days)),
            ("publish.max_onset_report_days", u64::from(publish.max_onset_report_days)),
            ("publish.truncate_window_seconds", publish.truncate_window_seconds),
            ("export.max_records", u64::from(export.max_records)),
            ("export.worker_timeout_seconds", export.worker_timeout_seconds),
            ("key_rotation.new_key_period_seconds", key_rotation.new_key_period_seconds),
            ("key_rotation.delete_old_key_period_seconds", key_rotation.delete_old_key_period_seconds),
        ] {
            require(value >= 1, || format!("{name} must be at least 1"))?;
        }
        for (name, value) in [
            ("publish.max_key_age_seconds", publish.max_key_age_seconds),
            ("publish.truncate_window_seconds", publish.truncate_window_seconds),
            ("export.min_window_age_seconds", export.min_window_age_seconds),
            ("export.worker_timeout_seconds", export.worker_timeout_seconds),
            ("purge.ttl_seconds", purge.ttl_seconds),
            ("key_rotation.new_key_period_seconds", key_rotation.new_key_period_seconds),
            ("key_rotation.delete_old_key_period_seconds", key_rotation.delete_old_key_period_seconds),
        ] {
            // Beyond ten years a duration is a typing error, and far from overflowing any arithmetic on times.
            require(value <= 10 * 366 * 86_400, || format!("{name} must be at most ten years (316224000)"))?;
        }
        // Otherwise revision tokens would end before the keys that they let a phone revise.
        require(key_rotation.delete_old_key_period_seconds >= publish.max_key_age_seconds, || {
            "key_rotation.delete_old_key_period_seconds must be at least publish.max_key_age_seconds".to_owned()
        })?;
        require(publish.max_onset_days <= 100, || "publish.max_onset_days must be at most 100".to_owned())?;
        require(86_400_u64.is_multiple_of(publish.truncate_window_seconds), || {
            "publish.truncate_window_seconds must divide a day (86400) evenly".to_owned()
        })?;
        require(statistics.upload_minimum >= 10, || {
            "statistics.upload_minimum must be at least 10: counts of fewer people could be about one of them"
                .to_owned()
        })?;
        require(statistics.embargo_seconds == 0 || statistics.embargo_seconds >= 48 * 3_600, || {
            "statistics.embargo_seconds must be at least 172800 (48 hours), or 0 to hide such days for ever".to_owned()
        })?;
        require(!verification.statistics_audience.is_empty(), || {
            "verification.statistics_audience cannot be empty".to_owned()
        })
    }
}

fn require(is_so: bool, otherwise: impl FnOnce() -> String) -> Result<(), String> {
    if is_so { Ok(()) } else { Err(otherwise()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn empty_object_gives_the_defaults() {
        assert_eq!(Settings::parse("{}"), Ok(Settings::default()));
    }

    #[test]
    fn fields_are_those_of_the_configuration_file_and_export_follows_publish_and_purge() {
        let json = r#"{
            "publish": {"max_keys": 20, "truncate_window_seconds": 1800},
            "export": {"key_order": "key-bytes"},
            "purge": {"ttl_seconds": 950400}
        }"#;
        let settings = Settings::parse(json).expect("parsed");
        assert_eq!((settings.publish.max_keys, settings.publish.max_same_start_keys), (20, 3));
        assert_eq!((settings.export.truncate_window_seconds, settings.export.ttl_seconds), (1_800, 950_400));
        assert_eq!(settings.export.key_order, tocsin_domain::settings::KeyOrder::KeyBytes);
    }

    #[test]
    fn what_makes_no_sense_is_refused_and_named() {
        for (json, words) in [
            (r#"{"purge": {"ttl_secs": 3}}"#, "ttl_secs"),
            (r#"{"public": {}}"#, "public"),
            (r#"{"export": {"ttl_seconds": 3}}"#, "ttl_seconds"),
            (r#"{"publish": {"max_keys": 0}}"#, "publish.max_keys"),
            (r#"{"publish": {"truncate_window_seconds": 7}}"#, "publish.truncate_window_seconds"),
            (r#"{"publish": {"max_onset_days": 101}}"#, "publish.max_onset_days"),
            (r#"{"purge": {"ttl_seconds": 9999999999}}"#, "purge.ttl_seconds"),
            (r#"{"statistics": {"upload_minimum": 9}}"#, "statistics.upload_minimum"),
            (r#"{"statistics": {"embargo_seconds": 172799}}"#, "statistics.embargo_seconds"),
            (r#"{"verification": {"statistics_audience": ""}}"#, "verification.statistics_audience"),
            (r#"{"key_rotation": {"new_key_period_seconds": 0}}"#, "key_rotation.new_key_period_seconds"),
            (r#"{"key_rotation": {"delete_old_key_period_seconds": 3600}}"#, "max_key_age_seconds"),
            ("[publish]", "expected"),
        ] {
            let error = Settings::parse(json).expect_err(json);
            assert!(error.contains(words), "{json}: {error}");
        }
    }
}
