//! `bench export`: stored keys to signed files, through the component.

use super::fixture::fill_window;
use std::time::Instant;
use tocsin_domain::ports::Clock;
use tocsin_host::config::Config;
use tocsin_host::jobs::{self, Job};
use tocsin_host::server::load_components;
use tocsin_host::services::SystemClock;
use tocsin_tests::harness::folder::{add_export_config, set_up};
use tocsin_tests::harness::people::HealthAuthority;
use tocsin_tests::harness::process::{peak_resident_bytes, resident_bytes};

/// What to measure.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// Keys to export; give several to compare.
    #[arg(long, value_delimiter = ',', default_value = "1000000,10000000")]
    keys: Vec<u64>,
}

/// Prints a table.
pub(crate) async fn run(options: Options) {
    println!("one batch of stored keys to signed files, one worker\n");
    println!(
        "{:>10} {:>8} {:>12} {:>6} {:>14} {:>14}",
        "keys", "s", "keys/s", "files", "bytes per key", "memory added"
    );
    for &keys in &options.keys {
        let folder = tempfile::tempdir().expect("temporary folder");
        let (mut config, services) = set_up(folder.path(), &HealthAuthority::new());
        config.limits = Config::default().limits;
        let now = SystemClock.now();
        // The last window of four hours that is old enough.
        let end = now.plus_seconds(-3 * 3600).truncate(4 * 3600);
        fill_window(&services.store, keys, end.plus_seconds(-4 * 3600)).await;
        add_export_config(&services, "xx", 4 * 3600);
        let components = load_components(&config, services).expect("loads");
        jobs::run(&components, Job::CreateBatches).await.expect("creates");
        let before = resident_bytes(std::process::id());
        reset_peak();
        let started = Instant::now();
        let report = jobs::run(&components, Job::DoWork).await.expect("works");
        let elapsed = started.elapsed().as_secs_f64();
        let added = peak_resident_bytes(std::process::id()).saturating_sub(before);
        let exported = report["new_keys"].as_u64().expect("a count");
        assert!(exported >= keys / 14 * 14, "every key is exported: {report}");
        let files = report["files"].as_array().expect("a list");
        let bytes: u64 = files
            .iter()
            .map(|name| config.folders.blobs.join("public").join(name.as_str().expect("a name")))
            .map(|file| std::fs::metadata(file).expect("the file exists").len())
            .sum();
        println!(
            "{exported:>10} {elapsed:>8.2} {:>12.0} {:>6} {:>14.2} {:>10} MiB",
            exported as f64 / elapsed,
            files.len(),
            bytes as f64 / exported as f64,
            added >> 20
        );
    }
}

/// Makes the kernel forget the peak of this process's memory.
fn reset_peak() {
    std::fs::write("/proc/self/clear_refs", "5").expect("Linux");
}
