//! `bench chaff`: what chaff costs beside real publishes, and how well it is told apart from them.

use super::fixture::{KEYS_PER_PUBLISH, bodies};
use super::load::{Measured, Seen, measure, send_all};
use super::publish::prepare;
use std::net::SocketAddr;
use std::time::Duration;
use tocsin_domain::ports::{Clock, Random};
use tocsin_domain::testing::random::FakeRandom;
use tocsin_host::services::SystemClock;
use tocsin_tests::harness::distinguisher::{by_bins, by_threshold, median};
use tocsin_tests::harness::people::HealthAuthority;
use tocsin_tests::harness::process::ServerProcess;
use tocsin_tests::harness::raw;

/// What to measure.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// Connections.
    #[arg(long, default_value_t = 64)]
    connections: usize,
    /// Publishes of each run.
    #[arg(long, default_value_t = 30_000)]
    publishes: usize,
    /// Publishes, and as much chaff, of the runs that compare the two.
    #[arg(long, default_value_t = 10_000)]
    compared: usize,
}

/// Prints two tables.
pub(crate) async fn run(options: Options) {
    let Options { connections, publishes, compared } = options;
    let authority = HealthAuthority::new();
    let folder = tempfile::tempdir().expect("temporary folder");
    prepare(folder.path(), &authority, 0).await;
    let server = ServerProcess::start(folder.path());
    let bench = Bench { address: server.address, process: server.id(), random: FakeRandom::seeded(7) };
    let now = SystemClock.now();
    bench.run(bodies(&authority, 2_000, 1, now), 0, 16).await;

    println!("publishes of {KEYS_PER_PUBLISH} keys and chaff of the same size, {connections} connections\n");
    println!(
        "{:>8} {:>12} {:>10} {:>9} {:>9} {:>14} {:>14}",
        "chaff", "publishes/s", "chaff/s", "p50 ms", "p99 ms", "chaff p50 ms", "CPU us/request"
    );
    for (share, seed) in [("0 %", 2), ("50 %", 3), ("0 %", 4), ("50 %", 5), ("100 %", 6)] {
        let bodies = bodies(&authority, publishes, seed, now);
        let chaff = if share == "0 %" { 0 } else { publishes };
        let bodies = if share == "100 %" { Vec::new() } else { bodies };
        let Run { real, imitated, cpu, .. } = bench.run(bodies, chaff, connections).await;
        println!(
            "{share:>8} {:>12.0} {:>10.0} {:>9.2} {:>9.2} {:>14.2} {:>14.0}",
            real.rate(),
            imitated.rate(),
            real.quantile_ms(0.5),
            real.quantile_ms(0.99),
            imitated.quantile_ms(0.5),
            cpu.as_secs_f64() * 1e6 / (real.answered + imitated.answered) as f64
        );
    }

    println!("\nadvantage over guessing (0.5 is certainty; chance alone {:.3})\n", 0.5 / (compared as f64).sqrt());
    println!(
        "{:>12} {:>10} {:>10} {:>10} {:>10} {:>10} {:>16} {:>16}",
        "connections", "size", "size", "latency", "latency", "both", "real p50 ms", "chaff p50 ms"
    );
    println!("{:>12} {:>10} {:>10} {:>10} {:>10} {:>10}", "", "threshold", "bins", "threshold", "bins", "bins");
    for (connections, seed) in [(1, 11), (4, 12), (16, 13), (64, 14)] {
        let Run { observed_real, observed_imitated, .. } =
            bench.run(bodies(&authority, compared, seed, now), compared, connections).await;
        let (one, other) = (&observed_real, &observed_imitated);
        println!(
            "{connections:>12} {:>10.3} {:>10.3} {:>10.3} {:>10.3} {:>10.3} {:>16.3} {:>16.3}",
            by_threshold(&feature(one, 0), &feature(other, 0)),
            by_bins(&alone(one, 0), &alone(other, 0), 30),
            by_threshold(&feature(one, 1), &feature(other, 1)),
            by_bins(&alone(one, 1), &alone(other, 1), 30),
            by_bins(one, other, 12),
            median(&feature(one, 1)),
            median(&feature(other, 1)),
        );
    }
    server.terminate();
}

/// Size in bytes and latency in milliseconds.
type Observation = [f64; 2];

fn feature(observations: &[Observation], feature: usize) -> Vec<f64> {
    observations.iter().map(|observation| observation[feature]).collect()
}

fn alone(observations: &[Observation], feature: usize) -> Vec<[f64; 1]> {
    observations.iter().map(|observation| [observation[feature]]).collect()
}

struct Run {
    real: Measured,
    imitated: Measured,
    observed_real: Vec<Observation>,
    observed_imitated: Vec<Observation>,
    cpu: Duration,
}

struct Bench {
    address: SocketAddr,
    process: u32,
    random: FakeRandom,
}

impl Bench {
    /// Publishes the bodies, and sends so many chaff requests between them.
    async fn run(&self, bodies: Vec<Vec<u8>>, chaff: usize, connections: usize) -> Run {
        let length = bodies.first().map_or(3_000, Vec::len);
        let mut requests: Vec<(bool, Vec<u8>)> = bodies.iter().map(|body| (false, request(body, false))).collect();
        let imitated = request(&vec![b'x'; length], true);
        requests.extend((0..chaff).map(|_| (true, imitated.clone())));
        // Fisher-Yates.
        for last in (1..requests.len()).rev() {
            let other = self.random.below(u32::try_from(last + 1).expect("few"));
            requests.swap(last, usize::try_from(other).expect("small"));
        }
        let (is_chaff, requests): (Vec<bool>, Vec<Vec<u8>>) = requests.into_iter().unzip();
        let before = cpu_time(self.process);
        let (seen, elapsed) = send_all(self.address, requests, connections).await;
        let cpu = cpu_time(self.process).saturating_sub(before);
        assert!(seen.iter().all(|seen| seen.status == 200), "every publish is accepted, and chaff always is");
        let (seen, is_chaff) = (&seen, &is_chaff);
        let of = |chaff: bool| seen.iter().filter(move |seen| is_chaff[seen.request] == chaff);
        let observe = |seen: &Seen| [seen.bytes as f64, seen.latency.as_secs_f64() * 1e3];
        Run {
            real: measure(of(false), elapsed),
            imitated: measure(of(true), elapsed),
            observed_real: of(false).map(observe).collect(),
            observed_imitated: of(true).map(observe).collect(),
            cpu,
        }
    }
}

fn request(body: &[u8], is_chaff: bool) -> Vec<u8> {
    let mut headers = vec![("content-type", "application/json")];
    if is_chaff {
        headers.push(("x-chaff", "1"));
    }
    raw::request("POST", "/v1/publish", &headers, body)
}

/// Time that all threads of a process have run (`utime` and `stime` of `/proc/PID/stat`).
fn cpu_time(process: u32) -> Duration {
    // The kernel's unit towards programs, on every architecture that Linux runs on today.
    const TICKS_PER_SECOND: f64 = 100.0;
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).expect("Linux");
    // The name of the program is in parentheses and may hold anything.
    let (_, fields) = stat.rsplit_once(") ").expect("a name");
    let ticks: f64 = fields.split(' ').skip(11).take(2).map(|ticks| ticks.parse::<f64>().expect("a number")).sum();
    Duration::from_secs_f64(ticks / TICKS_PER_SECOND)
}
