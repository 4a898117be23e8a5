//! The list of revoked attestation certificates, fetched on a timer and kept in a file for the next start.
//!
//! Format and meaning: <https://developer.android.com/privacy-and-security/security-key-attestation#certificate_status>.
//! `SUSPENDED` counts as `REVOKED`.

use super::Validators;
use super::failure::ValidatorError;
use crate::config::RevocationConfig;
use crate::outgoing::{OutgoingHttp, RequestLimits};
use bytes::Bytes;
use http::{HeaderValue, Request, StatusCode, Uri, header};
use parking_lot::RwLock;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tocsin_domain::interval::Timestamp;
use tokio::sync::watch;
use tokio::time::MissedTickBehavior;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// Without a list its validators refuse everybody, so the next attempt comes soon.
const AFTER_FAILURE: Duration = Duration::from_secs(60);

/// The newest list, and where the next comes from.
pub(super) struct RevocationList {
    http: OutgoingHttp,
    uri: Uri,
    limits: RequestLimits,
    every: Duration,
    max_age_seconds: i64,
    file: PathBuf,
    snapshot: RwLock<Option<Snapshot>>,
}

struct Snapshot {
    fetched_at: Timestamp,
    serials: HashSet<String>,
}

/// What is served.
#[derive(Deserialize)]
struct StatusList {
    entries: BTreeMap<String, StatusEntry>,
}

#[derive(Deserialize)]
struct StatusEntry {
    status: String,
}

/// What is kept in the file.
#[derive(Serialize, Deserialize)]
struct Kept {
    fetched_at_unix: i64,
    serials: Vec<String>,
}

/// How the list is, for `status`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RevocationStatus {
    /// When it was fetched; `None`: there is none.
    pub fetched_at_unix: Option<i64>,
    /// Certificates in it.
    pub revoked: usize,
    /// Whether it is new enough to be used.
    pub is_fresh: bool,
}

impl RevocationList {
    /// With what the last run kept, if it can be read.
    pub(super) fn open(config: &RevocationConfig) -> Result<Self, ValidatorError> {
        let failed = |problem: String| ValidatorError::new(format!("revocation: {problem}"));
        let http = OutgoingHttp::new(None, config.allow_insecure_http).map_err(|error| failed(error.to_string()))?;
        let uri = http.check_uri(&config.uri).map_err(|problem| failed(format!("uri: {problem}")))?;
        let snapshot = read(&config.file);
        Ok(Self {
            http,
            uri,
            limits: RequestLimits {
                connect_timeout: CONNECT_TIMEOUT,
                timeout: Duration::from_millis(config.request_timeout_ms),
                max_body_bytes: config.max_body_bytes,
            },
            every: Duration::from_secs(config.every_seconds),
            max_age_seconds: i64::try_from(config.max_age_seconds).unwrap_or(i64::MAX),
            file: config.file.clone(),
            snapshot: RwLock::new(snapshot),
        })
    }

    /// With these serial numbers, fetched at that time.
    pub(super) fn holding(self, serials: &BTreeSet<String>, fetched_at: Timestamp) -> Self {
        let serials = serials.iter().map(|serial| plain(serial)).collect();
        *self.snapshot.write() = Some(Snapshot { fetched_at, serials });
        self
    }

    /// Whether a serial number is revoked; `None` without a list that is new enough.
    pub(super) fn is_revoked(&self, serial: &str, now: Timestamp) -> Option<bool> {
        let snapshot = self.snapshot.read();
        let snapshot = snapshot.as_ref().filter(|snapshot| self.is_fresh(snapshot, now))?;
        Some(snapshot.serials.contains(&plain(serial)))
    }

    pub(super) fn status(&self, now: Timestamp) -> RevocationStatus {
        let snapshot = self.snapshot.read();
        RevocationStatus {
            fetched_at_unix: snapshot.as_ref().map(|snapshot| snapshot.fetched_at.unix()),
            revoked: snapshot.as_ref().map_or(0, |snapshot| snapshot.serials.len()),
            is_fresh: snapshot.as_ref().is_some_and(|snapshot| self.is_fresh(snapshot, now)),
        }
    }

    fn is_fresh(&self, snapshot: &Snapshot, now: Timestamp) -> bool {
        now.unix().saturating_sub(snapshot.fetched_at.unix()) <= self.max_age_seconds
    }

    /// Fetches the list. After an error the old one stays.
    pub(super) async fn fetch(&self, now: Timestamp) -> Result<(), String> {
        let mut request = Request::new(Bytes::new());
        *request.uri_mut() = self.uri.clone();
        request.headers_mut().insert(header::ACCEPT, HeaderValue::from_static("application/json"));
        // The list is served through caches that may be old; the reference of the format asks for this header.
        request.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
        let response = self.http.send(request, &self.limits).await.map_err(|error| error.to_string())?;
        if response.status() != StatusCode::OK {
            return Err(format!("the server answered {} instead of 200", response.status()));
        }
        let serials = parse(response.body())?;
        let kept = Kept { fetched_at_unix: now.unix(), serials: serials.iter().cloned().collect() };
        *self.snapshot.write() = Some(Snapshot { fetched_at: now, serials });
        if let Err(error) = write(&self.file, &kept) {
            tracing::warn!(%error, file = %self.file.display(), "the revocation list is not kept for the next start");
        }
        Ok(())
    }
}

/// As certificates have it: lower-case hexadecimal without leading zeros.
fn plain(serial: &str) -> String {
    serial.trim_start_matches('0').to_ascii_lowercase()
}

fn parse(body: &[u8]) -> Result<HashSet<String>, String> {
    let list: StatusList =
        serde_json::from_slice(body).map_err(|_| "the answer is no list of certificate statuses".to_owned())?;
    let revoked = |entry: &StatusEntry| matches!(entry.status.as_str(), "REVOKED" | "SUSPENDED");
    Ok(list.entries.iter().filter(|(_, entry)| revoked(entry)).map(|(serial, _)| plain(serial)).collect())
}

fn read(file: &Path) -> Option<Snapshot> {
    let text = match std::fs::read(file) {
        Ok(text) => text,
        Err(error) if error.kind() == ErrorKind::NotFound => return None,
        Err(error) => {
            tracing::warn!(%error, file = %file.display(), "the kept revocation list cannot be read");
            return None;
        }
    };
    match serde_json::from_slice(&text) {
        Ok(Kept { fetched_at_unix, serials }) => {
            Some(Snapshot { fetched_at: Timestamp::from_unix(fetched_at_unix), serials: serials.into_iter().collect() })
        }
        Err(error) => {
            tracing::warn!(%error, file = %file.display(), "the kept revocation list is garbled");
            None
        }
    }
}

/// Whole, or not at all.
fn write(file: &Path, kept: &Kept) -> std::io::Result<()> {
    let temporary = file.with_extension("tmp");
    let mut out = std::fs::File::create(&temporary)?;
    out.write_all(&serde_json::to_vec(kept)?)?;
    out.sync_all()?;
    std::fs::rename(&temporary, file)
}

/// Fetches the list at its times until `stop` turns true, if a validator needs it.
pub async fn run_revocation_timer(validators: Arc<Validators>, mut stop: watch::Receiver<bool>) {
    let Some(list) = validators.revocation.clone() else { return };
    let mut timer = tokio::time::interval(list.every);
    timer.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        let fetch = async {
            timer.tick().await;
            list.fetch(validators.clock.now()).await
        };
        let fetched = tokio::select! {
            biased;
            _ = stop.wait_for(|stop| *stop) => return,
            fetched = fetch => fetched,
        };
        match fetched {
            Ok(()) => {
                let RevocationStatus { fetched_at_unix: _, revoked, is_fresh: _ } = list.status(validators.clock.now());
                tracing::info!(revoked, "fetched the list of revoked attestation certificates");
            }
            Err(error) => {
                tracing::error!(error, "the list of revoked attestation certificates was not fetched");
                timer.reset_after(list.every.min(AFTER_FAILURE));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::validators::doubles::HttpDouble;

    const LIST: &str = r#"{"entries": {
        "2c8cdddfd5e03bfc": {"status": "REVOKED", "reason": "KEY_COMPROMISE"},
        "00C8966FCB2FBB0D": {"status": "SUSPENDED", "expires": "2026-12-01"},
        "1": {"status": "VALID"}}}"#;

    fn config(folder: &Path, uri: &str) -> RevocationConfig {
        RevocationConfig {
            uri: uri.to_owned(),
            file: folder.join("revocation.json"),
            max_age_seconds: 100,
            allow_insecure_http: true,
            ..RevocationConfig::default()
        }
    }

    const fn at(seconds: i64) -> Timestamp {
        Timestamp::from_unix(seconds)
    }

    #[tokio::test]
    async fn list_is_used_while_fresh_and_survives_a_restart() {
        let folder = tempfile::tempdir().expect("temporary folder");
        let server = HttpDouble::start(vec![(200, LIST.to_owned())]).await;
        let list = RevocationList::open(&config(folder.path(), &server.uri("/status"))).expect("good");
        assert_eq!(list.is_revoked("2c8cdddfd5e03bfc", at(1_000)), None);
        list.fetch(at(1_000)).await.expect("fetched");
        let restarted = RevocationList::open(&config(folder.path(), &server.uri("/status"))).expect("good");
        for list in [&list, &restarted] {
            assert_eq!(list.is_revoked("2c8cdddfd5e03bfc", at(1_100)), Some(true));
            assert_eq!(list.is_revoked("c8966fcb2fbb0d", at(1_100)), Some(true), "suspended, and other spelling");
            assert_eq!(list.is_revoked("1", at(1_100)), Some(false));
            assert_eq!(list.is_revoked("2", at(1_100)), Some(false));
            assert_eq!(list.is_revoked("2", at(1_101)), None, "too old");
            let expect = RevocationStatus { fetched_at_unix: Some(1_000), revoked: 2, is_fresh: true };
            assert_eq!(list.status(at(1_100)), expect);
        }
    }

    #[tokio::test]
    async fn failed_fetch_keeps_the_old_list() {
        let folder = tempfile::tempdir().expect("temporary folder");
        let answers = [(200, LIST), (500, LIST), (200, "{}"), (200, "{\"entries\": {\"1\": {}}}"), (302, "")];
        let server = HttpDouble::start(answers.map(|(status, body)| (status, body.to_owned())).to_vec()).await;
        let list = RevocationList::open(&config(folder.path(), &server.uri("/"))).expect("good");
        list.fetch(at(0)).await.expect("fetched");
        for _ in 0..4 {
            list.fetch(at(50)).await.expect_err("not a list");
            assert_eq!(list.is_revoked("2c8cdddfd5e03bfc", at(100)), Some(true));
            assert_eq!(list.is_revoked("2c8cdddfd5e03bfc", at(101)), None);
        }
    }

    #[test]
    fn garbled_file_is_as_none() {
        let folder = tempfile::tempdir().expect("temporary folder");
        std::fs::write(folder.path().join("revocation.json"), "{").expect("written");
        let list = RevocationList::open(&config(folder.path(), "http://localhost/")).expect("good");
        assert_eq!(list.is_revoked("1", at(0)), None);
        let insecure = RevocationConfig { allow_insecure_http: false, ..config(folder.path(), "http://localhost/") };
        assert!(RevocationList::open(&insecure).is_err());
    }
}
