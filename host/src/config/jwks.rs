//! How keys of health authorities are imported.

use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// Import of the keys of health authorities that have a JWKS URI. Defaults are the reference's.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct JwksConfig {
    /// Health authorities asked at the same time.
    pub max_workers: u32,
    /// A whole import ends after this time, in seconds; the health authorities that were not reached have failed.
    pub max_runtime_seconds: u64,
    /// A key set must come within this time, in milliseconds.
    pub request_timeout_ms: u64,
    /// A longer key set is refused, in bytes.
    pub max_body_bytes: usize,
    /// Keys that ended longer ago are deleted, in seconds.
    pub key_cleanup_ttl_seconds: u64,
    /// Certification authorities (PEM) to trust besides those that are built in.
    pub ca_file: Option<PathBuf>,
    /// Accept `http://` URIs. For tests on one machine only.
    pub allow_insecure_http: bool,
}

impl Default for JwksConfig {
    fn default() -> Self {
        Self {
            max_workers: 5,
            max_runtime_seconds: 600,
            request_timeout_ms: 30_000,
            max_body_bytes: 1024 * 1024,
            key_cleanup_ttl_seconds: 720 * 3600,
            ca_file: None,
            allow_insecure_http: false,
        }
    }
}
