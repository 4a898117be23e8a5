//! `bench revise`: half of the publishes revise keys that were published before, half are new.

use super::fixture::{KEYS_PER_PUBLISH, bodies};
use super::load::{publish_all, publish_and_keep};
use super::publish::prepare;
use serde_json::Value;
use tocsin_domain::ports::Clock;
use tocsin_domain::testing::random::FakeRandom;
use tocsin_host::services::SystemClock;
use tocsin_tests::harness::people::{HealthAuthority, Phone};
use tocsin_tests::harness::process::ServerProcess;

/// What to measure.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// Rows in the store before the run.
    #[arg(long, default_value_t = 1_000_000)]
    rows: u64,
    /// Connections; give several to compare.
    #[arg(long, value_delimiter = ',', default_value = "16,64")]
    connections: Vec<usize>,
    /// Publishes for each figure.
    #[arg(long, default_value_t = 20_000)]
    publishes: usize,
}

/// Prints a table: new publishes alone, and mixed with revisions, in one run.
pub(crate) async fn run(options: Options) {
    println!("publishes of {KEYS_PER_PUBLISH} keys over HTTP, durable; mixed: every other one revises all its keys\n");
    println!("{:>12} {:>10} {:>12} {:>9} {:>9}", "connections", "kind", "publishes/s", "p50 ms", "p99 ms");
    let authority = HealthAuthority::new();
    let folder = tempfile::tempdir().expect("temporary folder");
    prepare(folder.path(), &authority, options.rows).await;
    let server = ServerProcess::start(folder.path());
    let now = SystemClock.now();
    for (round, &connections) in options.connections.iter().enumerate() {
        let seed = |part: u64| options.rows + 1_000 * (round as u64 + 1) + part;
        let revisions = revisions(&server, &authority, options.publishes / 2, seed(1)).await;
        let new = bodies(&authority, options.publishes - revisions.len(), seed(2), now);
        let mixed = revisions.into_iter().zip(new).flat_map(|(revision, new)| [revision, new]).collect();
        let alone = bodies(&authority, options.publishes, seed(3), now);
        for (kind, bodies) in [("new", alone), ("mixed", mixed)] {
            let measured = publish_all(server.address, bodies, connections).await;
            assert_eq!(measured.refused, 0, "every publish is accepted");
            let (rate, p50, p99) = (measured.rate(), measured.quantile_ms(0.5), measured.quantile_ms(0.99));
            println!("{connections:>12} {kind:>10} {rate:>12.0} {p50:>9.2} {p99:>9.2}");
        }
    }
    server.terminate();
}

/// Publishes of phones that publish a clinical diagnosis first, here, and a test result then, in the measured run.
async fn revisions(server: &ServerProcess, authority: &HealthAuthority, count: usize, seed: u64) -> Vec<Vec<u8>> {
    let random = FakeRandom::seeded(seed);
    let now = SystemClock.now();
    let phones: Vec<_> = (0..count).map(|_| Phone::new(&random, KEYS_PER_PUBLISH, now)).collect();
    let first = phones.iter().map(|phone| phone.body(authority, "likely", now)).collect();
    let answers = publish_and_keep(server.address, first, 16).await;
    let revise = |(phone, answer): (Phone, Vec<u8>)| {
        let answer: Value = serde_json::from_slice(&answer).expect("JSON");
        let revision_token = answer["revisionToken"].as_str().expect("a token").to_owned();
        Phone { revision_token, ..phone }.body(authority, "confirmed", now)
    };
    phones.into_iter().zip(answers).map(revise).collect()
}
