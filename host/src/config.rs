//! The configuration file, `tocsin.toml`.
//!
//! Unknown fields are refused, every field has a default, units are in the names, secrets are files and never values.
//! Relative paths are relative to the folder of the file. `docs/tocsin.example.toml` shows all of it, and a test parses it.

mod jwks;
#[cfg(test)]
mod tests;
mod validators;

pub use jwks::JwksConfig;
pub(crate) use validators::host_and_port;
pub use validators::{ChainMode, OnFailure, OnRefusal, RevocationConfig, ValidationConfig, ValidatorConfig};

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use tocsin_domain::settings::{
    ExportSettings, KeyRotationSettings, PublishSettings, PurgeSettings, StatisticsSettings, VerificationSettings,
};

/// Name of the configuration file in a data folder.
pub const FILE_NAME: &str = "tocsin.toml";

/// All of it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// What phones reach.
    pub public: PublicConfig,
    /// What only the operator reaches.
    pub private: PrivateConfig,
    /// Chaff requests.
    pub chaff: ChaffConfig,
    /// Logs.
    pub log: LogConfig,
    /// The embedded store.
    pub storage: StorageConfig,
    /// Where keys, files and components are.
    pub folders: FolderConfig,
    /// Limits of each component.
    pub limits: LimitsConfig,
    /// When jobs run.
    pub jobs: JobsConfig,
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
    /// Import of health authorities' keys.
    pub jwks: JwksConfig,
    /// Rules of the rotation of revision keys.
    pub key_rotation: KeyRotationSettings,
    /// Validators, by name.
    pub validators: BTreeMap<String, ValidatorConfig>,
    /// Which validators a submission passes through, by name of the app.
    pub validation: BTreeMap<String, ValidationConfig>,
    /// The list of revoked attestation certificates.
    pub revocation: RevocationConfig,
}

/// The public listener.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct PublicConfig {
    /// Address and port. Put a TLS-terminating proxy in front.
    pub listen: SocketAddr,
    /// Bodies beyond this are answered with 413 without being read, in bytes. Publish itself accepts 64,000.
    pub max_body_bytes: usize,
    /// A request that takes longer is answered with 503, in milliseconds.
    pub request_timeout_ms: u64,
    /// A client must send its headers, and then its body, within this time, in milliseconds.
    pub read_timeout_ms: u64,
    /// Requests worked on at the same time; further ones wait their turn.
    pub max_concurrent_requests: usize,
    /// Connections open at the same time; further ones wait to be accepted.
    pub max_connections: usize,
    /// On shutdown, accepted requests may take this long to finish, in milliseconds.
    pub shutdown_grace_ms: u64,
    /// Bucket whose files are served under `/exports/`.
    pub exports_bucket: String,
    /// Start in maintenance: phones are answered 429, everybody can still download. `tocsin maintenance` switches it.
    pub maintenance_mode: bool,
}

impl Default for PublicConfig {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 8080)),
            max_body_bytes: 128 * 1024,
            request_timeout_ms: 10_000,
            read_timeout_ms: 10_000,
            max_concurrent_requests: 128,
            max_connections: 10_000,
            shutdown_grace_ms: 10_000,
            exports_bucket: "public".to_owned(),
            maintenance_mode: false,
        }
    }
}

/// The private listener, for jobs and administration.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct PrivateConfig {
    /// Unix socket, created with mode 0600.
    pub socket: PathBuf,
    /// Also listen on this address, for schedulers that cannot reach the socket. There is no authentication: loopback
    /// or a private network only.
    pub listen: Option<SocketAddr>,
}

impl Default for PrivateConfig {
    fn default() -> Self {
        Self { socket: PathBuf::from("tocsin.sock"), listen: None }
    }
}

/// Chaff requests, whose answers look like the last real ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ChaffConfig {
    /// Real answers of each route to draw size and latency from.
    pub samples: usize,
    /// Chaff is answered after this time at the latest, in milliseconds; 0: after whatever time real answers take.
    pub max_latency_ms: u64,
}

impl Default for ChaffConfig {
    fn default() -> Self {
        Self { samples: 1_000, max_latency_ms: 1_000 }
    }
}

/// Logs go to standard error.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LogConfig {
    /// `error`, `warn`, `info`, `debug` or `trace`, or a filter such as `info,tocsin_host::http=debug`. Libraries only
    /// warn unless the filter names them: what they log in detail may hold what phones sent.
    pub level: String,
    /// How lines look.
    pub format: LogFormat,
}

impl Default for LogConfig {
    fn default() -> Self {
        Self { level: "info".to_owned(), format: LogFormat::Human }
    }
}

/// How log lines look.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LogFormat {
    /// For people.
    Human,
    /// One JSON object a line.
    Json,
}

/// The embedded SQLite store.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct StorageConfig {
    /// Database file. Exactly one process may use it.
    pub database: PathBuf,
    /// Page cache, in MiB.
    pub cache_mib: u32,
}

impl Default for StorageConfig {
    fn default() -> Self {
        Self { database: PathBuf::from("tocsin.db"), cache_mib: 16 }
    }
}

/// Folders.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct FolderConfig {
    /// Private keys, mode 0700; the files in it 0600.
    pub keys: PathBuf,
    /// Export files, one folder for each bucket.
    pub blobs: PathBuf,
    /// Compiled components. Only the server may write here: what it holds is run.
    pub cache: PathBuf,
    /// Component files to use instead of those built in.
    pub components: Option<PathBuf>,
}

impl Default for FolderConfig {
    fn default() -> Self {
        Self {
            keys: PathBuf::from("keys"),
            blobs: PathBuf::from("exports"),
            cache: PathBuf::from("cache"),
            components: None,
        }
    }
}

/// Limits of each component.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LimitsConfig {
    /// Publish, with verification in the same instance.
    pub publish: ComponentLimits,
    /// Export.
    pub export: JobLimits,
    /// Purge.
    pub purge: JobLimits,
}

/// Limits of a component that answers phones.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ComponentLimits {
    /// Linear memory, in MiB.
    pub memory_mib: u32,
    /// Time spent executing (not waiting), in milliseconds; a component that takes longer is stopped.
    pub compute_ms: u64,
}

impl Default for ComponentLimits {
    fn default() -> Self {
        Self { memory_mib: 16, compute_ms: 1_000 }
    }
}

/// Limits of a component that does a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct JobLimits {
    /// Linear memory, in MiB. Export needs about 100 bytes for each key of a file, and 32 for each of a million.
    pub memory_mib: u32,
    /// Time spent executing, in milliseconds.
    pub compute_ms: u64,
}

impl Default for JobLimits {
    fn default() -> Self {
        Self { memory_mib: 256, compute_ms: 300_000 }
    }
}

/// When jobs run. Defaults are the reference deployment's.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct JobsConfig {
    /// Run jobs from the server's own timer. Off: a scheduler calls the private listener.
    pub timer: bool,
    /// Create batches this often, in seconds.
    pub create_batches_every_seconds: u64,
    /// Work on batches this often, in seconds.
    pub do_work_every_seconds: u64,
    /// Purge this often, in seconds.
    pub purge_every_seconds: u64,
    /// Import the keys of health authorities that have a JWKS URI this often, in seconds.
    pub import_key_sets_every_seconds: u64,
    /// Rotate revision keys, if it is time, this often, in seconds.
    pub rotate_keys_every_seconds: u64,
}

impl Default for JobsConfig {
    fn default() -> Self {
        Self {
            timer: true,
            create_batches_every_seconds: 300,
            do_work_every_seconds: 60,
            purge_every_seconds: 4 * 3600,
            import_key_sets_every_seconds: 3600,
            rotate_keys_every_seconds: 3600,
        }
    }
}

/// The configuration is not usable.
#[derive(Debug)]
pub struct ConfigError(String);

impl std::fmt::Display for ConfigError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for ConfigError {}

impl Config {
    /// Reads a file. Relative paths become relative to its folder.
    pub fn load(file: &Path) -> Result<Self, ConfigError> {
        let text = std::fs::read_to_string(file).map_err(|error| {
            ConfigError(format!(
                "cannot read {}: {error}. Create a data folder with `tocsin init`, or name one with --data.",
                file.display()
            ))
        })?;
        let mut config = Self::parse(&text).map_err(|error| ConfigError(format!("{}: {error}", file.display())))?;
        config.resolve_paths(file.parent().unwrap_or(Path::new(".")));
        Ok(config)
    }

    /// Parses and checks the text of a file.
    pub fn parse(text: &str) -> Result<Self, ConfigError> {
        let mut config: Self = toml::from_str(text).map_err(|error| ConfigError(error.to_string()))?;
        config.export.truncate_window_seconds = config.publish.truncate_window_seconds;
        config.export.ttl_seconds = config.purge.ttl_seconds;
        config.check()?;
        Ok(config)
    }

    fn resolve_paths(&mut self, folder: &Path) {
        let paths = [
            Some(&mut self.private.socket),
            Some(&mut self.storage.database),
            Some(&mut self.folders.keys),
            Some(&mut self.folders.blobs),
            Some(&mut self.folders.cache),
            self.folders.components.as_mut(),
            self.jwks.ca_file.as_mut(),
            Some(&mut self.revocation.file),
        ];
        for path in paths.into_iter().flatten() {
            *path = folder.join(&*path);
        }
        for validator in self.validators.values_mut() {
            validator.resolve_paths(folder);
            for key in validator.keys.values_mut() {
                *key = self.folders.keys.join(&*key);
            }
        }
    }

    fn check(&self) -> Result<(), ConfigError> {
        let positive = [
            ("publish.max_keys", u64::from(self.publish.max_keys)),
            ("publish.max_same_start_keys", u64::from(self.publish.max_same_start_keys)),
            ("publish.max_onset_days", u64::from(self.publish.max_onset_days)),
            ("publish.max_onset_report_days", u64::from(self.publish.max_onset_report_days)),
            ("publish.truncate_window_seconds", self.publish.truncate_window_seconds),
            ("export.max_records", u64::from(self.export.max_records)),
            ("export.worker_timeout_seconds", self.export.worker_timeout_seconds),
            ("public.max_concurrent_requests", self.public.max_concurrent_requests as u64),
            ("public.max_connections", self.public.max_connections as u64),
            ("public.request_timeout_ms", self.public.request_timeout_ms),
            ("public.read_timeout_ms", self.public.read_timeout_ms),
            ("chaff.samples", self.chaff.samples as u64),
            ("limits.publish.memory_mib", u64::from(self.limits.publish.memory_mib)),
            ("limits.publish.compute_ms", self.limits.publish.compute_ms),
            ("limits.export.memory_mib", u64::from(self.limits.export.memory_mib)),
            ("limits.export.compute_ms", self.limits.export.compute_ms),
            ("limits.purge.memory_mib", u64::from(self.limits.purge.memory_mib)),
            ("limits.purge.compute_ms", self.limits.purge.compute_ms),
            ("jobs.create_batches_every_seconds", self.jobs.create_batches_every_seconds),
            ("jobs.do_work_every_seconds", self.jobs.do_work_every_seconds),
            ("jobs.purge_every_seconds", self.jobs.purge_every_seconds),
            ("jobs.import_key_sets_every_seconds", self.jobs.import_key_sets_every_seconds),
            ("jwks.max_workers", u64::from(self.jwks.max_workers)),
            ("jwks.max_runtime_seconds", self.jwks.max_runtime_seconds),
            ("jwks.request_timeout_ms", self.jwks.request_timeout_ms),
            ("jwks.max_body_bytes", self.jwks.max_body_bytes as u64),
            ("jobs.rotate_keys_every_seconds", self.jobs.rotate_keys_every_seconds),
            ("key_rotation.new_key_period_seconds", self.key_rotation.new_key_period_seconds),
            ("key_rotation.delete_old_key_period_seconds", self.key_rotation.delete_old_key_period_seconds),
        ];
        for (name, value) in positive {
            if value == 0 {
                return Err(ConfigError(format!("{name} must be at least 1")));
            }
        }
        for (name, value) in [
            ("publish.max_key_age_seconds", self.publish.max_key_age_seconds),
            ("publish.truncate_window_seconds", self.publish.truncate_window_seconds),
            ("export.min_window_age_seconds", self.export.min_window_age_seconds),
            ("export.worker_timeout_seconds", self.export.worker_timeout_seconds),
            ("purge.ttl_seconds", self.purge.ttl_seconds),
            ("jwks.max_runtime_seconds", self.jwks.max_runtime_seconds),
            ("jwks.key_cleanup_ttl_seconds", self.jwks.key_cleanup_ttl_seconds),
            ("key_rotation.new_key_period_seconds", self.key_rotation.new_key_period_seconds),
            ("key_rotation.delete_old_key_period_seconds", self.key_rotation.delete_old_key_period_seconds),
        ] {
            // Beyond ten years a duration is a typing error, and far from overflowing any arithmetic on times.
            if value > 10 * 366 * 86_400 {
                return Err(ConfigError(format!("{name} must be at most ten years (316224000)")));
            }
        }
        // Otherwise revision tokens would end before the keys that they let a phone revise.
        if self.key_rotation.delete_old_key_period_seconds < self.publish.max_key_age_seconds {
            return Err(ConfigError(format!(
                "key_rotation.delete_old_key_period_seconds ({}) must be at least publish.max_key_age_seconds ({})",
                self.key_rotation.delete_old_key_period_seconds, self.publish.max_key_age_seconds
            )));
        }
        // Each has address space of its own for its memories, and there is no more.
        if self.public.max_concurrent_requests > 4_096 {
            return Err(ConfigError("public.max_concurrent_requests must be at most 4096".to_owned()));
        }
        // Each real answer is put into its place in a sorted list.
        if self.chaff.samples > 100_000 {
            return Err(ConfigError("chaff.samples must be at most 100000".to_owned()));
        }
        if self.publish.max_onset_days > 100 {
            return Err(ConfigError("publish.max_onset_days must be at most 100".to_owned()));
        }
        if !86_400u64.is_multiple_of(self.publish.truncate_window_seconds) {
            return Err(ConfigError("publish.truncate_window_seconds must divide a day (86400) evenly".to_owned()));
        }
        if self.statistics.upload_minimum < 10 {
            return Err(ConfigError(
                "statistics.upload_minimum must be at least 10: counts of fewer people could be about one of them"
                    .to_owned(),
            ));
        }
        if self.statistics.embargo_seconds != 0 && self.statistics.embargo_seconds < 48 * 3600 {
            return Err(ConfigError(
                "statistics.embargo_seconds must be at least 172800 (48 hours), or 0 to hide such days for ever"
                    .to_owned(),
            ));
        }
        if self.verification.statistics_audience.is_empty() {
            return Err(ConfigError("verification.statistics_audience cannot be empty".to_owned()));
        }
        if self.public.max_body_bytes <= 64_000 {
            return Err(ConfigError(
                "public.max_body_bytes must be more than the 64000 that publish accepts".to_owned(),
            ));
        }
        validators::check(&self.validators, &self.validation, &self.revocation)
    }
}
