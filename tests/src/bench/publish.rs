//! `bench publish`: the whole path of a publish, certificate checked, durable before it is acknowledged.

use super::fixture::{KEYS_PER_PUBLISH, bodies, fill};
use super::load::publish_all;
use std::path::Path;
use tocsin_domain::ports::Clock;
use tocsin_host::services::SystemClock;
use tocsin_tests::harness::folder::set_up;
use tocsin_tests::harness::people::HealthAuthority;
use tocsin_tests::harness::process::ServerProcess;

/// What to measure.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// Rows in the store before the run; give several to compare.
    #[arg(long, value_delimiter = ',', default_value = "0,5000000")]
    rows: Vec<u64>,
    /// Connections; give several to compare.
    #[arg(long, value_delimiter = ',', default_value = "1,16,64,256")]
    connections: Vec<usize>,
    /// Publishes for each figure (fewer with less than 16 connections).
    #[arg(long, default_value_t = 60_000)]
    publishes: usize,
}

/// Prints a table.
pub(crate) async fn run(options: Options) {
    println!("publishes of {KEYS_PER_PUBLISH} keys over HTTP, durable, load generator on the same cores\n");
    println!("{:>10} {:>12} {:>12} {:>9} {:>9} {:>9}  memory", "rows", "connections", "publishes/s", "p50 ms", "p99 ms", "max ms");
    for &rows in &options.rows {
        let authority = HealthAuthority::new();
        let folder = tempfile::tempdir().expect("temporary folder");
        prepare(folder.path(), &authority, rows).await;
        let server = ServerProcess::start(folder.path());
        println!("{rows:>10} {:>65} MiB idle", server.resident_bytes() >> 20);
        let now = SystemClock.now();
        publish_all(server.address, bodies(&authority, 2_000, rows + 1, now), 16).await;
        for (round, &connections) in options.connections.iter().enumerate() {
            let count = if connections < 16 { options.publishes / 10 } else { options.publishes };
            let bodies = bodies(&authority, count, rows + 100 + round as u64, now);
            let measured = publish_all(server.address, bodies, connections).await;
            assert_eq!(measured.refused, 0, "every publish is accepted");
            println!(
                "{rows:>10} {connections:>12} {:>12.0} {:>9.2} {:>9.2} {:>9.2}  {} MiB",
                measured.rate(),
                measured.quantile_ms(0.5),
                measured.quantile_ms(0.99),
                measured.quantile_ms(1.0),
                server.resident_bytes() >> 20
            );
        }
        server.terminate();
    }
}

async fn prepare(folder: &Path, authority: &HealthAuthority, rows: u64) {
    let (config, services) = set_up(folder, authority);
    fill(&services.store, rows, SystemClock.now()).await;
    let mut config = config;
    config.public.max_concurrent_requests = tocsin_host::config::PublicConfig::default().max_concurrent_requests;
    let text = toml_text(&config);
    std::fs::write(folder.join(tocsin_host::config::FILE_NAME), text).expect("written");
}

/// The few settings that differ from the defaults.
pub(crate) fn toml_text(config: &tocsin_host::config::Config) -> String {
    format!(
        "[public]\nlisten = \"{}\"\n[log]\nlevel = \"warn\"\n[jobs]\ntimer = false\n[folders]\ncache = \"{}\"\n",
        config.public.listen,
        config.folders.cache.display()
    )
}
