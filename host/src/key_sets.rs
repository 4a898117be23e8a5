//! Import of health authorities' keys from the URIs where they publish them.
//!
//! This file fetches and stores; what a set means and what it changes is decided in
//! [`tocsin_domain::verification::key_set`]. Each health authority is a case of its own: one that fails keeps its keys as
//! they are and does not hold up the others.

use crate::config::{JobsConfig, JwksConfig};
use crate::engine::Components;
use crate::jobs::timer;
use crate::outgoing::{CaFileError, OutgoingError, OutgoingHttp, RequestLimits};
use crate::services::Services;
use crate::signing::{is_public_key, random_bytes};
use crate::storage::administration::{AdminError, Administration, HealthAuthorityRecord, trimmed_uri};
use bytes::Bytes;
use http::{HeaderValue, Request, StatusCode, header};
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;
use tocsin_domain::health_authority::HealthAuthorityKey;
use tocsin_domain::ports::PortError;
use tocsin_domain::ports::health_authorities::HealthAuthorities;
use tocsin_domain::ports::leases::{LeaseToken, Leases};
use tocsin_domain::verification::key_set::{
    Changes, KeySet, KeySetError, KeySetPolicy, SkipReason, parse, reconcile, still_revoked,
};
use tokio::sync::watch;
use tokio::task::JoinSet;

/// Of one address of a host. Whoever takes longer to take a connection is not there.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// How often an import is decided anew when an operator changes keys at the same moment.
const MAX_ATTEMPTS: u32 = 3;
/// The name that one import at a time leases.
const LEASE: &str = "job:import-key-sets";

/// What imports need, and how the last ones went.
#[derive(Debug)]
pub struct KeySets {
    config: JwksConfig,
    http: OutgoingHttp,
    /// By issuer.
    states: Mutex<BTreeMap<String, State>>,
}

/// How the last imports of a health authority went, since the server started.
#[derive(Clone, Debug, Default)]
struct State {
    last_success_unix: Option<i64>,
    last_failure_unix: Option<i64>,
    last_failure: Option<String>,
}

/// How the imports of a health authority go, for `/health` and `tocsin status`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeySetState {
    /// Its issuer.
    pub issuer: String,
    /// When the last import succeeded; `None`: not since the server started.
    pub last_success_unix: Option<i64>,
    /// When the last import failed; `None`: not since the server started.
    pub last_failure_unix: Option<i64>,
    /// Why it failed; `None` when an import has succeeded since.
    pub last_failure: Option<String>,
}

/// What an import changed, or would change. Keys are named by their versions (`kid`).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImportReport {
    /// Issuer of the health authority.
    pub issuer: String,
    /// Number of keys in its set that can check certificates.
    pub keys: usize,
    /// Keys that are new.
    pub added: Vec<String>,
    /// Keys that ended because they left the set.
    pub revoked: Vec<String>,
    /// Keys that were deleted because they ended long ago, or made room for a new one of the same version.
    pub purged: Vec<String>,
    /// Keys of the set that are not accepted because they were revoked here.
    pub still_revoked: Vec<String>,
    /// Keys of the set that are not for checking certificates, and why, as sentences.
    pub skipped: Vec<String>,
}

/// Why an import changed nothing. The texts hold no address, no part of the answer but versions of keys, and no key.
#[derive(Debug)]
pub enum ImportFailure {
    /// The health authority has no URI (any more).
    NoUri,
    /// Nothing came.
    Outgoing(OutgoingError),
    /// The server answered with another status than 200.
    Status(StatusCode),
    /// What came is not usable.
    KeySet(KeySetError),
    /// The store failed, or its keys changed again and again meanwhile.
    Store(AdminError),
    /// The time for the whole import was over.
    OutOfTime,
    /// Our fault; see the log.
    Panicked,
}

impl fmt::Display for ImportFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoUri => f.write_str(
                "it has no JWKS URI; give it one with `tocsin health-authority update --issuer ISSUER --jwks-uri URI`",
            ),
            Self::Outgoing(error) => error.fmt(f),
            Self::Status(status) if status.is_redirection() => {
                write!(f, "the server answered {status}; redirects are not followed: configure the URI it leads to")
            }
            Self::Status(status) => write!(f, "the server answered {status} instead of 200"),
            Self::KeySet(error) => error.fmt(f),
            Self::Store(error) => error.fmt(f),
            Self::OutOfTime => f.write_str("the time for the whole import was over (jwks.max_runtime_seconds)"),
            Self::Panicked => f.write_str("the import panicked; see the log"),
        }
    }
}

impl std::error::Error for ImportFailure {}

impl KeySets {
    /// Fails when the certification authorities of the configuration cannot be read.
    pub fn new(config: &JwksConfig) -> Result<Self, CaFileError> {
        let http = OutgoingHttp::new(config.ca_file.as_deref(), config.allow_insecure_http)?;
        Ok(Self { config: config.clone(), http, states: Mutex::default() })
    }

    /// Whether a health authority can have this URI. A blank one counts as none.
    pub fn check_uri(&self, uri: Option<&str>) -> Result<(), AdminError> {
        match uri.and_then(trimmed_uri).map(|uri| self.http.check_uri(&uri)) {
            None | Some(Ok(_)) => Ok(()),
            Some(Err(problem)) => Err(AdminError::Invalid(format!("the JWKS URI is not usable: {problem}"))),
        }
    }

    /// How the imports of those health authorities go that have a URI.
    pub fn states(&self, authorities: &[HealthAuthorityRecord]) -> Vec<KeySetState> {
        let states = self.states.lock();
        let imported = authorities.iter().filter(|authority| authority.jwks_uri.is_some());
        imported
            .map(|authority| {
                let State { last_success_unix, last_failure_unix, last_failure } =
                    states.get(&authority.issuer).cloned().unwrap_or_default();
                KeySetState { issuer: authority.issuer.clone(), last_success_unix, last_failure_unix, last_failure }
            })
            .collect()
    }

    /// An open door for whoever is between us and a health authority: say so loudly.
    pub(crate) fn warn_at_start(&self) {
        if self.config.allow_insecure_http {
            tracing::warn!(
                "JWKS.ALLOW_INSECURE_HTTP IS ON: whoever is on the way to a health authority can add a key of their own \
                 and vouch for anybody"
            );
        }
    }

    fn remember(&self, issuer: &str, outcome: &Result<ImportReport, ImportFailure>, now_unix: i64) {
        let mut states = self.states.lock();
        let state = states.entry(issuer.to_owned()).or_default();
        match outcome {
            Ok(_) => {
                state.last_success_unix = Some(now_unix);
                state.last_failure = None;
            }
            Err(failure) => {
                state.last_failure_unix = Some(now_unix);
                state.last_failure = Some(failure.to_string());
            }
        }
    }
}

/// Runs the import at its times until `stop` turns true; one that is under way then is given up, which harms nothing.
pub async fn run_timer(components: Arc<Components>, config: JobsConfig, mut stop: watch::Receiver<bool>) {
    let mut timer = timer(config.import_key_sets_every_seconds);
    loop {
        let import = async {
            timer.tick().await;
            import_all(components.services()).await
        };
        let imported = tokio::select! {
            biased;
            _ = stop.wait_for(|stop| *stop) => return,
            imported = import => imported,
        };
        if let Err(failures) = imported {
            let error = failures.join("; ");
            tracing::error!(job = ?crate::jobs::Job::ImportKeySets, error, "a job failed and will run again at its next time");
        }
    }
}

/// Imports the keys of all health authorities that have a URI, in random order. `None`: another import is under way.
///
/// Fails when that of any failed, with a text for each; the others are imported all the same.
pub async fn import_all(services: &Arc<Services>) -> Result<Option<Vec<ImportReport>>, Vec<String>> {
    let limit = Duration::from_secs(services.key_sets.config.max_runtime_seconds);
    let Some(_lease) = ImportLease::acquire(services, limit).map_err(|error| vec![error.to_string()])? else {
        return Ok(None);
    };
    let mut queue = authorities_with_uri(services).await.map_err(|error| vec![error.to_string()])?;
    // So that one that always takes all the time does not always keep the same others waiting.
    queue.sort_by_cached_key(|_| random_bytes::<8>());
    let waiting: Vec<String> = queue.iter().map(|authority| authority.issuer.clone()).collect();
    let outcomes = Arc::new(Mutex::new(BTreeMap::new()));
    let mut workers = start_workers(services, queue, &outcomes);
    let in_time = tokio::time::timeout(limit, async { while workers.join_next().await.is_some() {} }).await.is_ok();
    workers.shutdown().await;
    let mut outcomes = std::mem::take(&mut *outcomes.lock());
    let (mut reports, mut failures) = (Vec::new(), Vec::new());
    for issuer in waiting {
        let outcome = outcomes.remove(&issuer).unwrap_or_else(|| {
            let outcome = Err(if in_time { ImportFailure::Panicked } else { ImportFailure::OutOfTime });
            services.key_sets.remember(&issuer, &outcome, services.clock.now().unix());
            outcome
        });
        match outcome {
            Ok(report) => reports.push(report),
            Err(failure) => failures.push(format!("health authority {issuer:?}: {failure}")),
        }
    }
    reports.sort_by(|a, b| a.issuer.cmp(&b.issuer));
    failures.sort_unstable();
    if failures.is_empty() { Ok(Some(reports)) } else { Err(failures) }
}

type Outcomes = Arc<Mutex<BTreeMap<String, Result<ImportReport, ImportFailure>>>>;

fn start_workers(services: &Arc<Services>, queue: Vec<HealthAuthorityRecord>, outcomes: &Outcomes) -> JoinSet<()> {
    let count = usize::try_from(services.key_sets.config.max_workers).unwrap_or(usize::MAX).min(queue.len());
    let queue = Arc::new(Mutex::new(queue));
    let mut workers = JoinSet::new();
    for _ in 0..count {
        let (services, queue, outcomes) = (services.clone(), queue.clone(), outcomes.clone());
        workers.spawn(async move {
            loop {
                let next = queue.lock().pop();
                let Some(authority) = next else { return };
                let outcome = import_one(&services, &authority, false).await;
                outcomes.lock().insert(authority.issuer, outcome);
            }
        });
    }
    workers
}

/// Imports the keys of one health authority, or only says what that would change.
pub async fn import_one(
    services: &Arc<Services>,
    authority: &HealthAuthorityRecord,
    dry_run: bool,
) -> Result<ImportReport, ImportFailure> {
    let outcome = import(services, authority, dry_run).await;
    if !dry_run {
        services.key_sets.remember(&authority.issuer, &outcome, services.clock.now().unix());
    }
    outcome
}

async fn import(
    services: &Arc<Services>,
    authority: &HealthAuthorityRecord,
    dry_run: bool,
) -> Result<ImportReport, ImportFailure> {
    let uri = authority.jwks_uri.as_deref().ok_or(ImportFailure::NoUri)?;
    let body = fetch(&services.key_sets, uri).await?;
    let set = parse(&body, is_public_key).map_err(ImportFailure::KeySet)?;
    let policy = KeySetPolicy {
        allow_empty: authority.allow_empty_key_set,
        cleanup_ttl_seconds: services.key_sets.config.key_cleanup_ttl_seconds,
    };
    let mut attempt = 1;
    loop {
        let now = services.clock.now();
        let stored = services.store.find_health_authority(&authority.issuer).map_err(store_failure)?;
        let stored = stored.map(|found| found.keys).unwrap_or_default();
        let changes = reconcile(&stored, &set, now, &policy).map_err(ImportFailure::KeySet)?;
        let report = report(&authority.issuer, &set, &changes, still_revoked(&stored, &set, now));
        if !dry_run && attempt == 1 {
            warn_about_private_keys(&report.issuer, &set);
        }
        if dry_run || changes.is_empty() {
            return Ok(report);
        }
        match apply(services, authority.id, stored, changes).await {
            Ok(()) => {
                log(&report);
                return Ok(report);
            }
            Err(ImportFailure::Store(AdminError::Store(PortError::Conflict))) if attempt < MAX_ATTEMPTS => attempt += 1,
            Err(failure) => return Err(failure),
        }
    }
}

async fn fetch(key_sets: &KeySets, uri: &str) -> Result<Bytes, ImportFailure> {
    let uri = key_sets.http.check_uri(uri).map_err(|problem| ImportFailure::Outgoing(OutgoingError::Uri(problem)))?;
    let limits = RequestLimits {
        connect_timeout: CONNECT_TIMEOUT,
        timeout: Duration::from_millis(key_sets.config.request_timeout_ms),
        max_body_bytes: key_sets.config.max_body_bytes,
    };
    let mut request = Request::new(Bytes::new());
    *request.uri_mut() = uri;
    let accept = HeaderValue::from_static("application/jwk-set+json, application/json");
    request.headers_mut().insert(header::ACCEPT, accept);
    let response = key_sets.http.send(request, &limits).await.map_err(ImportFailure::Outgoing)?;
    if response.status() != StatusCode::OK {
        return Err(ImportFailure::Status(response.status()));
    }
    Ok(response.into_body())
}

async fn apply(
    services: &Services,
    id: u64,
    stored: Vec<HealthAuthorityKey>,
    changes: Changes,
) -> Result<(), ImportFailure> {
    let store = services.store.clone();
    tokio::task::spawn_blocking(move || store.apply_key_set_changes(id, &stored, &changes))
        .await
        .map_err(|_| ImportFailure::Panicked)?
        .map_err(ImportFailure::Store)
}

async fn authorities_with_uri(services: &Services) -> Result<Vec<HealthAuthorityRecord>, ImportFailure> {
    let store = services.store.clone();
    let read = tokio::task::spawn_blocking(move || store.health_authorities()).await;
    let mut authorities = read.map_err(|_| ImportFailure::Panicked)?.map_err(ImportFailure::Store)?;
    authorities.retain(|authority| authority.jwks_uri.is_some());
    Ok(authorities)
}

fn store_failure(error: PortError) -> ImportFailure {
    ImportFailure::Store(AdminError::Store(error))
}

fn report(issuer: &str, set: &KeySet, changes: &Changes, still_revoked: Vec<String>) -> ImportReport {
    let Changes { purge, revoke, insert } = changes;
    ImportReport {
        issuer: issuer.to_owned(),
        keys: set.keys().len(),
        added: insert.iter().map(|key| key.version.clone()).collect(),
        revoked: revoke.iter().map(|revocation| revocation.version.clone()).collect(),
        purged: purge.clone(),
        still_revoked,
        skipped: set.skipped().iter().map(ToString::to_string).collect(),
    }
}

fn log(report: &ImportReport) {
    let ImportReport { issuer, keys: _, added, revoked, purged, still_revoked, skipped } = report;
    tracing::info!(
        issuer,
        ?added,
        ?revoked,
        ?purged,
        ?still_revoked,
        ?skipped,
        "imported the keys of a health authority"
    );
}

/// At each import, until it is gone.
fn warn_about_private_keys(issuer: &str, set: &KeySet) {
    for key in set.skipped().iter().filter(|key| key.reason == SkipReason::PrivateKey) {
        tracing::warn!(issuer, "A HEALTH AUTHORITY PUBLISHES A PRIVATE KEY: {key}");
    }
}

/// The right to import, given back when dropped, also when the import is given up halfway.
struct ImportLease<'a> {
    services: &'a Services,
    token: LeaseToken,
}

impl<'a> ImportLease<'a> {
    fn acquire(services: &'a Services, limit: Duration) -> Result<Option<Self>, PortError> {
        let now = services.clock.now();
        // A minute more than it can last, so that two imports never overlap.
        let seconds = i64::try_from(limit.as_secs()).unwrap_or(i64::MAX).saturating_add(60);
        let token = services.store.acquire(&[LEASE.to_owned()], now, now.plus_seconds(seconds))?;
        Ok(token.map(|token| Self { services, token }))
    }
}

impl Drop for ImportLease<'_> {
    fn drop(&mut self) {
        if let Err(error) = self.services.store.release(self.token) {
            tracing::error!(%error, "the lease of an import of key sets was not given back");
        }
    }
}
