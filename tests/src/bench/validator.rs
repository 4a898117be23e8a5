//! `bench validator`: what validators add to a publish, and what a call of each that ships costs.

use super::fixture::bodies;
use super::sandbox::{cpu_time, typed};
use sha2::{Digest, Sha256};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;
use tocsin_domain::base64;
use tocsin_domain::interval::Timestamp;
use tocsin_domain::ports::Clock;
use tocsin_domain::testing::clock::FakeClock;
use tocsin_host::bindings::capabilities::tocsin::validator::types::{KeyMetadata, Transcript};
use tocsin_host::config::{Config, ValidationConfig, ValidatorConfig};
use tocsin_host::server::load_components;
use tocsin_host::services::SystemClock;
use tocsin_host::validators::{Evidence, NoDeviceKeys, Outcome, Submission, Validators};
use tocsin_tests::harness::folder::set_up;
use tocsin_tests::harness::people::{APP, HealthAuthority};
use tocsin_tests::harness::server::test_config;
use tocsin_tests::harness::{components_folder, play_integrity, workspace};

/// What to measure.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// Publishes for each figure.
    #[arg(long, default_value_t = 20_000)]
    publishes: usize,
    /// Publishes under way at the same time.
    #[arg(long, default_value_t = 64)]
    concurrency: usize,
    /// Rounds; each runs with all numbers of validators.
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    /// Calls of each validator that ships.
    #[arg(long, default_value_t = 500)]
    calls: u32,
}

/// Prints both tables.
pub(crate) async fn run(options: Options) {
    publishes(&options).await;
    println!("\none validator called alone, one call after the other\n");
    println!("{:>16} {:>22} {:>10} {:>14} {:>10}", "validator", "outcome", "us/call", "fuel", "KiB");
    for case in cases() {
        judge(case, options.calls).await;
    }
}

/// The app `APP` with so many trivial validators: they read their configuration, decide nothing, and accept. With `None`,
/// another app has one, and this one none.
fn with_validators(config: &Config, number: Option<usize>) -> Config {
    let mut config = config.clone();
    let file = components_folder().join("test/hostile-validator.wasm");
    for index in 0..number.unwrap_or(1) {
        let mut configuration = toml::Table::new();
        configuration.insert("behaviour".to_owned(), "pass".into());
        let section = ValidatorConfig { file: Some(file.clone()), configuration, ..ValidatorConfig::default() };
        config.validators.insert(format!("trivial-{index}"), section);
    }
    let validators: Vec<String> = config.validators.keys().cloned().collect();
    if !validators.is_empty() {
        let app = if number.is_some() { APP } else { "org.example.other" };
        config.validation.insert(app.to_owned(), ValidationConfig { validators, ..ValidationConfig::default() });
    }
    config
}

async fn publishes(options: &Options) {
    const NUMBERS: [(&str, Option<usize>); 4] =
        [("none anywhere", Some(0)), ("another app's", None), ("1", Some(1)), ("3", Some(3))];
    let authority = HealthAuthority::new();
    let folder = tempfile::tempdir().expect("temporary folder");
    let (mut config, services) = set_up(folder.path(), &authority);
    config.public.max_concurrent_requests = options.concurrency;
    let now = SystemClock.now();
    let all = NUMBERS.map(|(name, number)| {
        let components = load_components(&with_validators(&config, number), services.clone());
        (name, components.expect("loads; build the test components with `cargo xtask test` or `cargo xtask bench`"))
    });
    println!("publish without HTTP, durable, {} at the same time, through trivial validators\n", options.concurrency);
    println!("{:>6} {:>16} {:>12} {:>14}", "round", "validators", "us/publish", "CPU us/publish");
    let mut totals = [(0.0, 0.0); NUMBERS.len()];
    for round in 0..options.rounds {
        for (index, (name, components)) in all.iter().enumerate() {
            let seed = (round * NUMBERS.len() + index) as u64 + 100;
            let bodies = Arc::new(bodies(&authority, options.publishes, seed, now));
            let count = bodies.len() as f64;
            let (started, cpu) = (Instant::now(), cpu_time());
            typed(components, bodies, options.concurrency).await;
            let elapsed = started.elapsed().as_secs_f64() * 1e6 / count;
            let cpu = (cpu_time() - cpu).as_secs_f64() * 1e6 / count;
            totals[index].0 += elapsed / options.rounds as f64;
            totals[index].1 += cpu / options.rounds as f64;
            println!("{round:>6} {name:>16} {elapsed:>12.1} {cpu:>14.1}");
        }
    }
    let [none, other, one, three] = totals;
    println!(
        "\nadded CPU time: {:.1} us by another app's validators, {:.1} us by one, {:.1} us by each of three",
        other.1 - none.1,
        one.1 - none.1,
        (three.1 - none.1) / 3.0
    );
}

/// A validator that ships, and evidence for it.
struct Case {
    name: &'static str,
    now: Timestamp,
    section: ValidatorConfig,
    submission: Submission,
    evidence: Evidence,
    _folder: tempfile::TempDir,
}

fn cases() -> Vec<Case> {
    let cases = [Some(play_integrity_case()), app_attest_case()];
    if cases.iter().any(Option::is_none) {
        eprintln!("App Attest is not measured: its real evidence is not beside the project");
    }
    cases.into_iter().flatten().collect()
}

async fn judge(case: Case, calls: u32) {
    let Case { name, now, section, submission, evidence, _folder: folder } = case;
    let mut config = test_config(folder.path());
    config.validators.insert(name.to_owned(), section);
    let clock = Arc::new(FakeClock::at(now));
    let validators = Validators::open(&config, clock, Arc::new(NoDeviceKeys)).expect("opens");
    let mut total = std::time::Duration::ZERO;
    let mut last = None;
    for _ in 0..calls {
        let started = Instant::now();
        last = validators.judge(name, &submission, Some(&evidence)).await;
        total += started.elapsed();
    }
    let judgement = last.expect("at least one call");
    let outcome = match judgement.outcome {
        Outcome::Accepted { .. } => "accepted".to_owned(),
        Outcome::Refused { code, .. } => code,
    };
    let each = total.as_secs_f64() * 1e6 / f64::from(calls);
    let usage = judgement.usage;
    println!("{name:>16} {outcome:>22} {each:>10.0} {:>14} {:>10}", usage.fuel, usage.memory_bytes / 1024);
}

fn submission(app: &str, sha256: [u8; 32]) -> Submission {
    let key = KeyMetadata { rolling_start: 2_650_000, rolling_period: 144, transmission_risk: 0 };
    Submission {
        app: app.to_owned(),
        issuer: Some("test.health.example".to_owned()),
        report_type: None,
        symptom_onset: None,
        keys: vec![key; 14],
        regions: vec!["XX".to_owned()],
        traveler: false,
        transcripts: vec![Transcript { format: "ens-v4".to_owned(), sha256: sha256.to_vec() }],
        challenge: None,
    }
}

fn play_integrity_case() -> Case {
    let folder = tempfile::tempdir().expect("temporary folder");
    let now = Timestamp::from_unix(1_793_620_800);
    let hash = [9; 32];
    let token = play_integrity::classic_token(&play_integrity::verdict(&hash, "MEETS_DEVICE_INTEGRITY", now));
    let section = ValidatorConfig {
        builtin: Some("play-integrity".to_owned()),
        keys: [("wrap".to_owned(), secret(folder.path(), &base64::encode(&play_integrity::WRAP_KEY)))].into(),
        configuration: play_integrity::classic_configuration(),
        ..ValidatorConfig::default()
    };
    let evidence = Evidence {
        method: "play-integrity-classic".to_owned(),
        token: token.into_bytes(),
        chain: Vec::new(),
        key_id: None,
    };
    Case { name: "play-integrity", now, section, submission: submission(APP, hash), evidence, _folder: folder }
}

fn secret(folder: &Path, text: &str) -> PathBuf {
    use std::os::unix::fs::PermissionsExt;
    let file = folder.join("secret");
    std::fs::write(&file, text).expect("written");
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600)).expect("private");
    file
}

/// The first attestation of a file of veehaitch/devicecheck-appattest, if the vectors are beside the project.
fn app_attest_case() -> Option<Case> {
    let file = workspace().join("../shared/vectors/app-attest/ios-14.4-beta-1.yaml");
    let text = std::fs::read_to_string(file).ok()?;
    let field = |name: &str| {
        let line = text.lines().find(|line| line.starts_with(&format!("{name}:"))).expect(name);
        line[name.len() + 1..].trim().to_owned()
    };
    let client_data = base64::decode(&field("clientDataBase64")).expect("base64");
    let mut configuration = toml::Table::new();
    configuration.insert("team_id".to_owned(), field("teamIdentifier").into());
    configuration.insert("bundle_id".to_owned(), field("bundleIdentifier").into());
    configuration.insert("environments".to_owned(), vec![field("environment")].into());
    let section = ValidatorConfig {
        builtin: Some("app-attest".to_owned()),
        configuration,
        // P-384 in WebAssembly.
        compute_ms: 2_000,
        ..ValidatorConfig::default()
    };
    let evidence = Evidence {
        method: "app-attest".to_owned(),
        token: field("attestationBase64").into_bytes(),
        chain: Vec::new(),
        key_id: Some(base64::decode(&field("keyIdBase64")).expect("base64")),
    };
    Some(Case {
        name: "app-attest",
        // A few seconds after `timestamp: '2021-01-09T23:22:52.659Z'`.
        now: Timestamp::from_unix(1_610_234_580),
        section,
        submission: submission(APP, Sha256::digest(client_data).into()),
        evidence,
        _folder: tempfile::tempdir().expect("temporary folder"),
    })
}
