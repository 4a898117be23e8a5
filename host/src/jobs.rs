//! Jobs: each run once on demand, or all by a timer.

use crate::config::JobsConfig;
use crate::engine::{Components, FilesReport, InstanceFailure, WorkError, WorkReport};
use crate::key_sets;
use crate::services::Services;
use crate::signing::{KeyError, Rotation};
use std::sync::Arc;
use std::time::Duration;
use tocsin_domain::interval::Timestamp;
use tocsin_domain::ports::PortError;
use tocsin_domain::ports::leases::Leases;
use tokio::sync::watch;
use tokio::time::{Instant, Interval, MissedTickBehavior, interval_at};

/// A job.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum Job {
    /// Create the export batches that are due.
    CreateBatches,
    /// Work on open export batches until none is left.
    DoWork,
    /// Delete exposures and export files past their TTL.
    Purge,
    /// Import the keys of health authorities from where they publish them.
    ImportKeySets,
    /// Make and destroy revision keys, if it is time.
    RotateKeys,
}

/// A job did not do all of its work.
#[derive(Debug)]
pub struct JobFailure(String);

impl std::fmt::Display for JobFailure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for JobFailure {}

impl From<InstanceFailure> for JobFailure {
    fn from(failure: InstanceFailure) -> Self {
        Self(failure.to_string())
    }
}

impl From<KeyError> for JobFailure {
    fn from(error: KeyError) -> Self {
        Self(error.to_string())
    }
}

impl From<PortError> for JobFailure {
    fn from(error: PortError) -> Self {
        Self(error.to_string())
    }
}

/// Runs a job once and says what it did, as JSON.
pub async fn run(components: &Components, job: Job) -> Result<serde_json::Value, JobFailure> {
    match job {
        Job::CreateBatches => create_batches(components).await,
        Job::DoWork => do_work(components).await,
        Job::Purge => purge(components).await,
        Job::ImportKeySets => import_key_sets(components).await,
        Job::RotateKeys => {
            let services = components.services().clone();
            let rotated = tokio::task::spawn_blocking(move || rotate_keys(&services, false, false)).await;
            let rotated = rotated.unwrap_or_else(|_| Err(JobFailure("the job panicked; see the log".to_owned())));
            rotated.map(|rotation| rotation_json(rotation.as_ref(), false))
        }
    }
}

async fn create_batches(components: &Components) -> Result<serde_json::Value, JobFailure> {
    let report = components.create_batches().await?.map_err(JobFailure)?;
    if !report.failures.is_empty() {
        return Err(JobFailure(report.failures.join("; ")));
    }
    tracing::info!(created = report.created, already_running = report.already_running, "created batches");
    Ok(serde_json::json!({ "created": report.created, "already_running": report.already_running }))
}

/// One fresh instance for each batch, until there is none left. A batch that fails does not keep the others waiting.
async fn do_work(components: &Components) -> Result<serde_json::Value, JobFailure> {
    let (mut batches, mut new_keys, mut revised_keys, mut padding_keys) = (0u32, 0u64, 0u64, 0u64);
    let mut files = Vec::new();
    let mut failures = Vec::new();
    loop {
        match components.do_work().await? {
            Ok(WorkReport::NoBatch) => break,
            Ok(WorkReport::Busy) => {
                tracing::info!("the batches that wait are being worked on elsewhere");
                break;
            }
            Ok(WorkReport::LostLease(batch_id)) => tracing::warn!(batch_id, "the lease of a batch was lost"),
            Ok(WorkReport::Completed(report)) => {
                tracing::info!(
                    batch_id = report.batch_id,
                    config_id = report.config_id,
                    files = report.files.len(),
                    new_keys = report.new_keys,
                    revised_keys = report.revised_keys,
                    padding_keys = report.padding_keys,
                    "completed an export batch"
                );
                if report.bad_rows > 0 {
                    tracing::error!(
                        batch_id = report.batch_id,
                        rows = report.bad_rows,
                        "rows were unreadable and left out"
                    );
                }
                batches += 1;
                new_keys += report.new_keys;
                revised_keys += report.revised_keys;
                padding_keys += report.padding_keys;
                files.extend(report.files);
            }
            Err(WorkError::Batch(error)) => failures.push(error),
            Err(WorkError::Leasing(error)) => {
                failures.push(error);
                break;
            }
        }
    }
    if !failures.is_empty() {
        return Err(JobFailure(failures.join("; ")));
    }
    Ok(serde_json::json!({
        "batches": batches, "files": files, "new_keys": new_keys, "revised_keys": revised_keys,
        "padding_keys": padding_keys,
    }))
}

/// Both steps are tried even if one fails.
async fn purge(components: &Components) -> Result<serde_json::Value, JobFailure> {
    let exposures =
        components.purge_exposures().await.map_err(JobFailure::from).and_then(|done| done.map_err(JobFailure));
    let files =
        components.purge_export_files().await.map_err(JobFailure::from).and_then(|done| done.map_err(JobFailure));
    let (exposures, files) = match (exposures, files) {
        (Ok(exposures), Ok(files)) => (exposures, files),
        (Err(first), Err(second)) => return Err(JobFailure(format!("{first}; {second}"))),
        (Err(error), Ok(_)) | (Ok(_), Err(error)) => return Err(error),
    };
    let FilesReport { deleted, delete_failures, kept, indexes_written, index_failures } = files;
    tracing::info!(exposures, files = deleted, kept, indexes = indexes_written, "purged");
    if delete_failures > 0 || !index_failures.is_empty() {
        return Err(JobFailure(format!(
            "{delete_failures} export files could not be deleted, the indexes of export configs {index_failures:?} not \
             written; the next run tries again"
        )));
    }
    Ok(serde_json::json!({
        "exposures_deleted": exposures, "files_deleted": deleted, "files_kept": kept,
        "indexes_rewritten": indexes_written,
    }))
}

/// Runs in the host: only the host can reach the network, and what a key set changes is decided in `domain`.
async fn import_key_sets(components: &Components) -> Result<serde_json::Value, JobFailure> {
    match key_sets::import_all(components.services()).await {
        Ok(report) => Ok(serde_json::json!({
            "already_running": report.is_none(), "health_authorities": report.unwrap_or_default(),
        })),
        Err(failures) => Err(JobFailure(failures.join("; "))),
    }
}

/// Makes and destroys the revision keys that are due; see [`crate::signing::Keyring::rotate_revision_keys`]. `None`:
/// another run is at it. Blocks.
///
/// In the host itself, not in a component as other jobs: private keys never enter one.
pub(crate) fn rotate_keys(
    services: &Services,
    create_anyway: bool,
    dry_run: bool,
) -> Result<Option<Rotation>, JobFailure> {
    const LEASE_SECONDS: i64 = 60;
    let now = services.clock.now();
    let lease = services.store.acquire(&["job:rotate-keys".to_owned()], now, now.plus_seconds(LEASE_SECONDS))?;
    let Some(lease) = lease else { return Ok(None) };
    let settings = &services.settings.key_rotation;
    let rotated = services.keyring.rotate_revision_keys(settings, now, create_anyway, dry_run);
    // A lease that cannot be given back expires.
    services.store.release(lease).ok();
    Ok(Some(rotated?))
}

/// What a rotation did, as other jobs say it.
pub(crate) fn rotation_json(rotation: Option<&Rotation>, dry_run: bool) -> serde_json::Value {
    let (created, destroyed, next) = match rotation {
        Some(Rotation { created, destroyed, next }) => (*created, destroyed.as_slice(), *next),
        None => (None, &[][..], None),
    };
    serde_json::json!({
        "already_running": rotation.is_none(), "dry_run": dry_run, "created": created, "destroyed": destroyed,
        "next_unix": next.map(Timestamp::unix),
    })
}

/// Ticks every so many seconds.
pub(crate) fn timer(seconds: u64) -> Interval {
    let period = Duration::from_secs(seconds);
    // The first run comes soon, so that a restart does not delay an export by a whole period.
    let mut timer = interval_at(Instant::now() + period.min(Duration::from_secs(5)), period);
    timer.set_missed_tick_behavior(MissedTickBehavior::Delay);
    timer
}

/// Runs all jobs at their times until `stop` turns true, but for the import of key sets, which waits for others' servers
/// and has a timer of its own ([`key_sets::run_timer`]). A job that fails is logged and tried again at its next time.
pub async fn run_timer(components: Arc<Components>, config: JobsConfig, mut stop: watch::Receiver<bool>) {
    let mut create_batches = timer(config.create_batches_every_seconds);
    let mut do_work = timer(config.do_work_every_seconds);
    let mut purge = timer(config.purge_every_seconds);
    let mut rotate_keys = timer(config.rotate_keys_every_seconds);
    loop {
        let job = tokio::select! {
            biased;
            _ = stop.wait_for(|stop| *stop) => return,
            _ = create_batches.tick() => Job::CreateBatches,
            _ = do_work.tick() => Job::DoWork,
            _ = purge.tick() => Job::Purge,
            _ = rotate_keys.tick() => Job::RotateKeys,
        };
        if let Err(error) = run(&components, job).await {
            tracing::error!(?job, %error, "a job failed and will run again at its next time");
        }
    }
}
