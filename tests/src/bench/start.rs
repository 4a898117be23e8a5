//! `bench start`: from the start of the process to its first answer.

use super::fixture::fill;
use std::time::Instant;
use tocsin_domain::ports::Clock;
use tocsin_host::services::SystemClock;
use tocsin_tests::harness::client::Client;
use tocsin_tests::harness::folder::{set_up, write_config};
use tocsin_tests::harness::people::HealthAuthority;
use tocsin_tests::harness::process::ServerProcess;

/// What to measure.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// Rows in the store; the index of keys is rebuilt from them.
    #[arg(long, value_delimiter = ',', default_value = "0,1000000")]
    rows: Vec<u64>,
    /// Starts for each figure.
    #[arg(long, default_value_t = 11)]
    rounds: usize,
}

/// Prints minimum and median.
pub(crate) async fn run(options: Options) {
    println!("process start to first answered request, components in the cache\n");
    println!("{:>10} {:>10} {:>10} {:>10}", "rows", "min ms", "median ms", "memory");
    for &rows in &options.rows {
        let folder = tempfile::tempdir().expect("temporary folder");
        let (config, services) = set_up(folder.path(), &HealthAuthority::new());
        fill(&services.store, rows, SystemClock.now()).await;
        drop(services);
        write_config(folder.path(), &config);
        drop(ServerProcess::start(folder.path()));
        let mut times = Vec::new();
        let mut memory = 0;
        for _ in 0..options.rounds {
            let started = Instant::now();
            let server = ServerProcess::start(folder.path());
            let answer = Client::new(server.address).get("/health").await;
            times.push(started.elapsed());
            assert_eq!(answer.status, 200);
            memory = server.resident_bytes() >> 20;
            server.terminate();
        }
        times.sort_unstable();
        let ms = |place: usize| times[place].as_secs_f64() * 1000.0;
        println!("{rows:>10} {:>10.1} {:>10.1} {memory:>6} MiB", ms(0), ms(times.len() / 2));
    }
}
