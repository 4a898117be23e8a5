//! `bench sandbox`: what the component boundary costs. The same publishes, the same store, keys and domain code; once
//! natively, once through the typed export of the component, once through its `wasi:http` entry. No network.

use super::fixture::bodies;
use bytes::Bytes;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};
use tocsin_domain::ports::validation::Validation;
use tocsin_domain::ports::{Clock, PortError, Random};
use tocsin_domain::publish::request::ApiVersion;
use tocsin_domain::publish::service::{Incoming, Publisher};
use tocsin_domain::validation::{Candidate, Decision, Evidence};
use tocsin_domain::verification::certificate::CertificateVerifier;
use tocsin_host::engine::{Components, ServiceName, publish_request};
use tocsin_host::server::load_components;
use tocsin_host::services::{Services, SystemClock};
use tocsin_tests::harness::folder::set_up;
use tocsin_tests::harness::people::HealthAuthority;

/// What to measure.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// Publishes for each figure.
    #[arg(long, default_value_t = 20_000)]
    publishes: usize,
    /// Publishes under way at the same time.
    #[arg(long, default_value_t = 64)]
    concurrency: usize,
    /// Rounds; each runs all three ways, so that drift hits all alike.
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    /// Run only one way, for a profiler.
    #[arg(long, value_enum)]
    only: Option<Way>,
}

/// The ways to the same domain code.
#[derive(Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Way {
    Native,
    Typed,
    WasiHttp,
}

impl Way {
    const ALL: [Self; 3] = [Self::Native, Self::Typed, Self::WasiHttp];

    const fn name(self) -> &'static str {
        match self {
            Self::Native => "native",
            Self::Typed => "component, typed",
            Self::WasiHttp => "component, wasi:http",
        }
    }
}

struct SystemRandom;

/// No app of the benchmark has validators.
struct NoValidators;

impl Validation for NoValidators {
    fn validate(&self, _candidate: &Candidate, _evidence: Option<&Evidence>) -> Result<Decision, PortError> {
        Err(PortError::Unavailable)
    }
}

impl Random for SystemRandom {
    fn fill(&self, bytes: &mut [u8]) {
        for chunk in bytes.chunks_mut(32) {
            chunk.copy_from_slice(&tocsin_host::signing::random_bytes::<32>()[..chunk.len()]);
        }
    }
}

/// Prints time and CPU per publish, and the ratios to native.
pub(crate) async fn run(options: Options) {
    let authority = HealthAuthority::new();
    let folder = tempfile::tempdir().expect("temporary folder");
    let (mut config, services) = set_up(folder.path(), &authority);
    config.public.max_concurrent_requests = options.concurrency;
    let components = load_components(&config, services.clone()).expect("loads");
    let now = SystemClock.now();
    println!("publish without HTTP, durable, {} at the same time\n", options.concurrency);
    println!("{:>6} {:>22} {:>12} {:>14}", "round", "way", "us/publish", "CPU us/publish");
    let mut totals = [(0.0, 0.0); 3];
    for round in 0..options.rounds {
        for way in Way::ALL.into_iter().filter(|way| options.only.is_none_or(|only| only == *way)) {
            let bodies = Arc::new(bodies(&authority, options.publishes, (round * 3 + way as usize) as u64 + 7, now));
            let count = bodies.len() as f64;
            let (started, cpu) = (Instant::now(), cpu_time());
            match way {
                Way::Native => native(&services, bodies, options.concurrency),
                Way::Typed => typed(&components, bodies, options.concurrency).await,
                Way::WasiHttp => over_wasi_http(&components, bodies, options.concurrency).await,
            }
            let elapsed = started.elapsed().as_secs_f64() * 1e6 / count;
            let cpu = (cpu_time() - cpu).as_secs_f64() * 1e6 / count;
            totals[way as usize].0 += elapsed;
            totals[way as usize].1 += cpu;
            println!("{round:>6} {:>22} {elapsed:>12.1} {cpu:>14.1}", way.name());
        }
    }
    if options.only.is_some() {
        return;
    }
    println!(
        "\ntime of the component by that of native: {:.2} typed, {:.2} wasi:http; CPU: {:.2} typed, {:.2} wasi:http",
        totals[1].0 / totals[0].0,
        totals[2].0 / totals[0].0,
        totals[1].1 / totals[0].1,
        totals[2].1 / totals[0].1
    );
}

fn native(services: &Arc<Services>, bodies: Arc<Vec<Vec<u8>>>, concurrency: usize) {
    let next = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..concurrency {
            scope.spawn(|| {
                while let Some(body) = bodies.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let publisher = Publisher {
                        validation: &NoValidators,
                        settings: &services.settings.publish,
                        authorized_apps: &*services.store,
                        verifier: &CertificateVerifier {
                            settings: &services.settings.verification,
                            health_authorities: &*services.store,
                            signature_check: &*services.keyring,
                            clock: &SystemClock,
                        },
                        exposures: &*services.store,
                        sealing: &*services.keyring,
                        clock: &SystemClock,
                        random: &SystemRandom,
                    };
                    let incoming = Incoming {
                        api: ApiVersion::V1,
                        content_type: Some("application/json"),
                        user_agent: None,
                        body,
                    };
                    assert_eq!(publisher.publish(&incoming).status, 200);
                }
            });
        }
    });
}

pub(crate) async fn typed(components: &Arc<Components>, bodies: Arc<Vec<Vec<u8>>>, concurrency: usize) {
    let next = Arc::new(AtomicUsize::new(0));
    let workers: Vec<_> = (0..concurrency)
        .map(|_| {
            let (components, bodies, next) = (components.clone(), bodies.clone(), next.clone());
            tokio::spawn(async move {
                while let Some(body) = bodies.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let content_type = Some("application/json".to_owned());
                    let request = publish_request(ApiVersion::V1, content_type, None, body.clone());
                    assert_eq!(components.publish(&request).await.expect("runs").status, 200);
                }
            })
        })
        .collect();
    for worker in workers {
        worker.await.expect("works");
    }
}

async fn over_wasi_http(components: &Arc<Components>, bodies: Arc<Vec<Vec<u8>>>, concurrency: usize) {
    let next = Arc::new(AtomicUsize::new(0));
    let workers: Vec<_> = (0..concurrency)
        .map(|_| {
            let (components, bodies, next) = (components.clone(), bodies.clone(), next.clone());
            tokio::spawn(async move {
                while let Some(body) = bodies.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let request = http::Request::post("/v1/publish")
                        .header("host", "localhost")
                        .header("content-type", "application/json")
                        .body(Bytes::from(body.clone()))
                        .expect("a request");
                    let answer = components.handle_http(ServiceName::Publish, request).await;
                    assert_eq!(answer.expect("runs").status(), 200);
                }
            })
        })
        .collect();
    for worker in workers {
        worker.await.expect("works");
    }
}

/// CPU time of this process, user and system (`/proc/self/stat`, in ticks of 10 ms).
pub(crate) fn cpu_time() -> Duration {
    let stat = std::fs::read_to_string("/proc/self/stat").expect("Linux");
    let fields: Vec<&str> = stat.rsplit(')').next().expect("a name").split_whitespace().collect();
    let ticks: u64 = fields[11].parse::<u64>().expect("utime") + fields[12].parse::<u64>().expect("stime");
    Duration::from_millis(ticks * 10)
}
