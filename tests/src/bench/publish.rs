//! `bench publish`: the whole path of a publish, certificate checked, durable before it is acknowledged.

use super::fixture::{KEYS_PER_PUBLISH, bodies, fill};
use super::load::publish_all;
use std::path::Path;
use std::time::Instant;
use tocsin_domain::ports::Clock;
use tocsin_host::config::PublicConfig;
use tocsin_host::services::SystemClock;
use tocsin_host::signing::verify_es256;
use tocsin_tests::harness::folder::{set_up, write_config};
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
    println!("publishes of {KEYS_PER_PUBLISH} keys over HTTP, durable, load generator on the same cores");
    println!("(one ES256 check, the largest part that cannot be saved: {:.0} us here)\n", signature_check_us());
    println!(
        "{:>10} {:>12} {:>12} {:>9} {:>9} {:>9}  memory",
        "rows", "connections", "publishes/s", "p50 ms", "p99 ms", "max ms"
    );
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

/// How long the check of one certificate's signature takes on this machine, alone: what to compare machines by.
fn signature_check_us() -> f64 {
    const CHECKS: u32 = 2_000;
    let authority = HealthAuthority::new();
    let now = SystemClock.now();
    let certificate = authority.certificate([7; 32], "confirmed", now);
    let (signed, signature) = certificate.rsplit_once('.').expect("three segments");
    let signature = tocsin_domain::base64::decode(signature).expect("base64");
    let public_key = authority.public_key();
    let started = Instant::now();
    for _ in 0..CHECKS {
        assert!(verify_es256(&public_key, signed.as_bytes(), &signature));
    }
    started.elapsed().as_secs_f64() * 1e6 / f64::from(CHECKS)
}

pub(crate) async fn prepare(folder: &Path, authority: &HealthAuthority, rows: u64) {
    let (mut config, services) = set_up(folder, authority);
    fill(&services.store, rows, SystemClock.now()).await;
    config.public.max_concurrent_requests = PublicConfig::default().max_concurrent_requests;
    config.log.level = "warn".to_owned();
    write_config(folder, &config);
}
