//! What an operator can set. Defaults are the reference server's, whose variable is named behind each field.
//!
//! The structs are read from the configuration file as they stand: unknown fields are refused, missing ones take the
//! default.

use serde::{Deserialize, Serialize};

/// Settings of the publish service.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct PublishSettings {
    /// Largest number of keys in one request (`MAX_KEYS_ON_PUBLISH`).
    pub max_keys: u32,
    /// Largest number of keys with the same start interval (`MAX_SAME_START_INTERVAL_KEYS`).
    pub max_same_start_keys: u32,
    /// A key must still have been valid this long ago, in seconds (`MAX_INTERVAL_AGE_ON_PUBLISH`).
    pub max_key_age_seconds: u64,
    /// Granularity of upload times, in seconds (`TRUNCATE_WINDOW`).
    pub truncate_window_seconds: u64,
    /// Largest distance between onset and a key's day, either way (`MAX_SYMPTOM_ONSET_DAYS`).
    pub max_onset_days: u32,
    /// Oldest onset that is believed, in days (`MAX_VALID_SYMPTOM_ONSET_REPORT_DAYS`).
    pub max_onset_report_days: u32,
    /// Onset to assume when none is given, in days ago (`DEFAULT_SYMPTOM_ONSET_DAYS_AGO`).
    pub default_onset_days_ago: u32,
    /// Store still valid keys without holding them back until they expire (`DEBUG_RELEASE_SAME_DAY_KEYS`). For tests.
    pub release_same_day_keys: bool,
    /// Drop existing keys that the revision token does not hold instead of refusing (`ALLOW_PARTIAL_REVISIONS`).
    pub allow_partial_revisions: bool,
    /// Region for apps that name none; empty: such an app cannot publish (`DEFAULT_REGION`).
    pub default_region: String,
    /// Smallest number of random bytes in a response's padding (`RESPONSE_PADDING_MIN_BYTES`).
    pub response_padding_min_bytes: u32,
    /// Padding grows by a random number of bytes below this (`RESPONSE_PADDING_RANGE`).
    pub response_padding_range: u32,
    /// A revision token is padded to at least this many entries (`REVISION_TOKEN_MIN_LENGTH`).
    pub revision_token_min_entries: u32,
    /// Answer the API of 2020 at `/` (`ENABLE_V1ALPHA1_API`).
    pub enable_v1alpha1: bool,
}

impl Default for PublishSettings {
    fn default() -> Self {
        Self {
            max_keys: 30,
            max_same_start_keys: 3,
            max_key_age_seconds: 360 * 3600,
            truncate_window_seconds: 3600,
            max_onset_days: 14,
            max_onset_report_days: 28,
            default_onset_days_ago: 4,
            release_same_day_keys: false,
            allow_partial_revisions: false,
            default_region: String::new(),
            response_padding_min_bytes: 1024,
            response_padding_range: 1024,
            revision_token_min_entries: 28,
            enable_v1alpha1: false,
        }
    }
}

/// Settings of the statistics for health authorities.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct StatisticsSettings {
    /// A day with fewer publishes is shown only after the embargo; at least 10 (`STATS_UPLOAD_MINIMUM`).
    pub upload_minimum: u32,
    /// A day with few publishes is shown this long after its end, in seconds; 0: never, else at least 48 hours
    /// (`STATS_EMBARGO_PERIOD`).
    pub embargo_seconds: u64,
    /// Smallest number of random bytes in an answer's padding (`RESPONSE_PADDING_MIN_BYTES`).
    pub response_padding_min_bytes: u32,
    /// Padding grows by a random number of bytes below this (`RESPONSE_PADDING_RANGE`).
    pub response_padding_range: u32,
}

impl Default for StatisticsSettings {
    fn default() -> Self {
        Self {
            upload_minimum: 10,
            embargo_seconds: 48 * 3600,
            response_padding_min_bytes: 2048,
            response_padding_range: 1024,
        }
    }
}

/// Settings of the verification service.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct VerificationSettings {
    /// Tolerated difference between our clock and a health authority's, in seconds. The reference tolerates none.
    pub clock_skew_seconds: u32,
    /// `aud` of the tokens by which health authorities read their statistics (`STATS_AUDIENCE`).
    pub statistics_audience: String,
}

impl Default for VerificationSettings {
    fn default() -> Self {
        Self { clock_skew_seconds: 10, statistics_audience: "keyserver".to_owned() }
    }
}

/// The order of keys inside an export file. Either is a function of the set of keys alone, so that neither tells who
/// uploaded which keys together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum KeyOrder {
    /// By metadata, then by key bytes: about 10% smaller files.
    Metadata,
    /// By key bytes, as the reference server does.
    KeyBytes,
}

/// Settings of the export service.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ExportSettings {
    /// Fewer keys than this in a batch are padded (`EXPORT_FILE_MIN_RECORDS`).
    pub min_records: u32,
    /// The padding target grows by a random number up to this, inclusive (`EXPORT_FILE_PADDING_RANGE`).
    pub padding_range: u32,
    /// A file holds at most this many keys (`EXPORT_FILE_MAX_RECORDS`).
    pub max_records: u32,
    /// Upload times are truncated to this many seconds. Not set here: always that of publish (`TRUNCATE_WINDOW`).
    #[serde(skip)]
    pub truncate_window_seconds: u64,
    /// A window is cut only this long after it closed, in seconds (`MIN_WINDOW_AGE`).
    pub min_window_age_seconds: u64,
    /// A batch is leased to a worker for this long, in seconds (`WORKER_TIMEOUT`).
    pub worker_timeout_seconds: u64,
    /// Files whose batch ended longer ago leave the index. Not set here: always that of purge (`CLEANUP_TTL`).
    #[serde(skip)]
    pub ttl_seconds: u64,
    /// Added to both times in file names after a re-generation (`REPROCESS_COUNT`).
    pub reprocess_count: u32,
    /// Order of keys inside a file.
    pub key_order: KeyOrder,
}

impl Default for ExportSettings {
    fn default() -> Self {
        Self {
            min_records: 1000,
            padding_range: 100,
            max_records: 500_000,
            truncate_window_seconds: 3600,
            min_window_age_seconds: 2 * 3600,
            worker_timeout_seconds: 300,
            ttl_seconds: 336 * 3600,
            reprocess_count: 0,
            key_order: KeyOrder::Metadata,
        }
    }
}

/// Settings of the purge service.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct PurgeSettings {
    /// Exposures and export files older than this go, in seconds (`CLEANUP_TTL`).
    pub ttl_seconds: u64,
    /// Allow a TTL below ten days (`DEBUG_OVERRIDE_CLEANUP_MIN_DURATION`). For tests and demonstrations.
    pub allow_short_ttl: bool,
}

impl Default for PurgeSettings {
    fn default() -> Self {
        Self { ttl_seconds: 336 * 3600, allow_short_ttl: false }
    }
}

/// Settings of the rotation of revision keys.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct KeyRotationSettings {
    /// A key is replaced by a new one at this age, in seconds (`NEW_KEY_PERIOD`).
    pub new_key_period_seconds: u64,
    /// A key is destroyed this long after it was replaced, in seconds (`DELETE_OLD_KEY_PERIOD`).
    pub delete_old_key_period_seconds: u64,
}

impl Default for KeyRotationSettings {
    fn default() -> Self {
        Self { new_key_period_seconds: 168 * 3600, delete_old_key_period_seconds: 360 * 3600 }
    }
}
