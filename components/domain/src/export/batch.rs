//! Use case: create the batches that are due.

use super::window::pending_windows;
use crate::interval::Timestamp;
use crate::ports::PortError;
use crate::ports::exports::{ActiveExportConfig, Exports, NewBatch};
use crate::ports::leases::Leases;
use crate::settings::ExportSettings;

const LEASE: &str = "job:create-batches";

/// Batches per store call. They come oldest first, so after a failure the next run goes on where this one stopped.
const CHUNK: usize = 1000;

/// What a run did.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct CreateBatchesReport {
    /// Another run held the lease, and nothing was done.
    pub already_running: bool,
    /// Batches that did not exist before.
    pub created: u64,
    /// Configs whose batches could not all be created; those of the others were.
    pub failures: Vec<ConfigFailure>,
}

/// Why a config has no new batches.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigFailure {
    /// The export config.
    pub config_id: u64,
    /// What went wrong.
    pub error: PortError,
}

/// Creates, for each config that was active when the newest closed window ended, the batches that are due at `now`.
/// Harmless when repeated. Fails when the lease or the configs cannot be had.
pub fn create_batches(
    ports: &(impl Exports + Leases),
    settings: &ExportSettings,
    now: Timestamp,
) -> Result<CreateBatchesReport, PortError> {
    let until = now.plus_seconds(settings.worker_timeout_seconds.try_into().unwrap_or(i64::MAX));
    let Some(lease) = ports.acquire(&[LEASE.to_owned()], now, until)? else {
        return Ok(CreateBatchesReport { already_running: true, ..CreateBatchesReport::default() });
    };
    let report = create_all(ports, settings, now);
    // A lease that cannot be given back expires.
    ports.release(lease).ok();
    report
}

fn create_all(
    ports: &impl Exports,
    settings: &ExportSettings,
    now: Timestamp,
) -> Result<CreateBatchesReport, PortError> {
    let effective = now.plus_seconds(-settings.min_window_age_seconds.try_into().unwrap_or(i64::MAX));
    let mut report = CreateBatchesReport::default();
    for ActiveExportConfig { config, latest_batch_end } in ports.active_configs(effective)? {
        let windows = pending_windows(config.period_seconds, latest_batch_end, now, settings);
        let batches: Vec<_> = windows.into_iter().map(|window| NewBatch { config_id: config.id, window }).collect();
        for chunk in batches.chunks(CHUNK) {
            match ports.create_batches(chunk) {
                Ok(created) => report.created += u64::from(created),
                Err(error) => {
                    report.failures.push(ConfigFailure { config_id: config.id, error });
                    break;
                }
            }
        }
    }
    Ok(report)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::export_host::{FakeExportHost, Fault, export_config};

    const NOW: Timestamp = Timestamp::from_unix(1_600_041_600 + 12 * 3600);

    fn host() -> FakeExportHost {
        let host = FakeExportHost::default();
        host.add_config(export_config(1, "us"));
        host.add_config(export_config(2, "ca"));
        host
    }

    #[test]
    fn repeated_run_creates_nothing_more() {
        let host = host();
        let settings = ExportSettings::default();
        assert_eq!(create_batches(&host, &settings, NOW).map(|report| report.created), Ok(2));
        assert_eq!(create_batches(&host, &settings, NOW).map(|report| report.created), Ok(0));
        let later = NOW.plus_seconds(3 * 4 * 3600);
        assert_eq!(create_batches(&host, &settings, later).map(|report| report.created), Ok(6));
    }

    #[test]
    fn one_failing_config_does_not_stop_the_others() {
        let host = host();
        // Lease, configs, first config.
        host.set_fault(Fault::OnlyCall(3));
        let report = create_batches(&host, &ExportSettings::default(), NOW).expect("a report");
        assert_eq!(report.created, 1);
        assert_eq!(report.failures, [ConfigFailure { config_id: 1, error: PortError::Unavailable }]);
        assert_eq!(create_batches(&host, &ExportSettings::default(), NOW).map(|report| report.created), Ok(1));
    }

    #[test]
    fn second_run_at_the_same_time_does_nothing() {
        let host = host();
        let lease = host.acquire(&[LEASE.to_owned()], NOW, NOW.plus_seconds(300)).expect("fake").expect("free");
        let report = create_batches(&host, &ExportSettings::default(), NOW).expect("a report");
        assert_eq!(report, CreateBatchesReport { already_running: true, ..CreateBatchesReport::default() });
        host.release(lease).expect("fake");
        assert_eq!(create_batches(&host, &ExportSettings::default(), NOW).map(|report| report.created), Ok(2));
    }
}
