//! A data folder ready for a benchmark, and requests to publish.

use std::sync::Arc;
use std::time::Instant;
use tocsin_domain::exposure::{NewExposure, ReportType, TransmissionRisk};
use tocsin_domain::interval::{RollingPeriod, Timestamp};
use tocsin_domain::ports::Random;
use tocsin_domain::ports::exposures::Submission;
use tocsin_domain::tek::TemporaryExposureKey;
use tocsin_domain::testing::random::FakeRandom;
use tocsin_host::storage::SqliteStore;
use tocsin_tests::harness::people::{APP, HealthAuthority, Phone, REGION};

/// Keys per publish in all benchmarks.
pub(crate) const KEYS_PER_PUBLISH: i64 = 14;

/// Stores `rows` exposures, spread over the hours of two weeks before `now`, oldest first as they would have come.
pub(crate) async fn fill(store: &Arc<SqliteStore>, rows: u64, now: Timestamp) {
    fill_hours(store, rows, now.plus_seconds(-13 * 86_400).truncate(3600), 13 * 24 - 3).await;
}

/// Stores `rows` exposures in the four hours from `start`.
pub(crate) async fn fill_window(store: &Arc<SqliteStore>, rows: u64, start: Timestamp) {
    fill_hours(store, rows, start, 4).await;
}

async fn fill_hours(store: &Arc<SqliteStore>, rows: u64, start: Timestamp, hours: u64) {
    const TASKS: u64 = 64;
    let started = Instant::now();
    let publishes = rows.div_ceil(KEYS_PER_PUBLISH.unsigned_abs());
    let tasks: Vec<_> = (0..TASKS)
        .map(|task| {
            let store = store.clone();
            tokio::spawn(async move {
                let random = FakeRandom::seeded(rows.wrapping_mul(0x9e37_79b9).wrapping_add(task << 40));
                for publish in (task..publishes).step_by(TASKS as usize) {
                    let hour = i64::try_from(hours * publish / publishes).expect("small");
                    let submission = submission(&random, start.plus_seconds(hour * 3600));
                    store.insert_and_revise_async(submission).await.expect("stored");
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.expect("filled");
    }
    if rows > 0 {
        eprintln!("filled {rows} rows in {:.1} s", started.elapsed().as_secs_f64());
    }
}

/// One publish of correlated keys, as the store sees it.
pub(crate) fn submission(random: &FakeRandom, created_at: Timestamp) -> Submission {
    let onset = i8::try_from(random.below(6)).expect("small");
    let report_type =
        if random.below(10) == 0 { ReportType::ConfirmedClinicalDiagnosis } else { ReportType::ConfirmedTest };
    let inserts = (1..=KEYS_PER_PUBLISH)
        .map(|day| {
            let mut key = [0; 16];
            random.fill(&mut key);
            NewExposure {
                key: TemporaryExposureKey::new(key),
                rolling_start: created_at.utc_midnight().plus_seconds(-day * 86_400).interval(),
                rolling_period: RollingPeriod::DAY,
                transmission_risk: TransmissionRisk::default().backfilled(Some(report_type)),
                report_type: Some(report_type),
                days_since_onset: Some(onset - i8::try_from(day).expect("small")),
                created_at,
            }
        })
        .collect();
    Submission {
        app: APP.into(),
        regions: vec![REGION.into()],
        traveler: false,
        health_authority: None,
        inserts,
        revisions: Vec::new(),
        commits: None,
        statistics: None,
    }
}

/// Bodies of publishes, each of another phone with its own certificate.
pub(crate) fn bodies(authority: &HealthAuthority, count: usize, seed: u64, now: Timestamp) -> Vec<Vec<u8>> {
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let share = count.div_ceil(threads);
    std::thread::scope(|scope| {
        let workers: Vec<_> = (0..threads)
            .map(|thread| {
                scope.spawn(move || {
                    let random = FakeRandom::seeded(seed.wrapping_mul(1_000_003).wrapping_add(thread as u64));
                    let body = |_| Phone::new(&random, KEYS_PER_PUBLISH, now).body(authority, "confirmed", now);
                    (0..share).map(body).collect::<Vec<_>>()
                })
            })
            .collect();
        workers.into_iter().flat_map(|worker| worker.join().expect("made")).collect()
    })
}
