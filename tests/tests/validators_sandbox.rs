//! Whatever a validator does, it costs its own submission at most; what it says counts as the operator wants it; and its
//! file can be replaced while it runs. A file that is no validator is refused by name.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use tempfile::TempDir;
use tocsin_domain::ports::PortError;
use tocsin_domain::testing::clock::FakeClock;
use tocsin_host::config::{ChainMode, Config, OnFailure, OnRefusal, ValidationConfig, ValidatorConfig};
use tocsin_host::validators::{
    AttestedKey, Commit, Decision, DeviceKeys, Evidence, FailureKind, Judgement, NoDeviceKeys, Outcome, Submission,
    ValidatorError, Validators, check_file,
};
use tocsin_tests::harness::components_folder;
use tocsin_tests::harness::server::{NOON, test_config};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

const APP: &str = "com.example.App";
/// Far above every limit of time below.
const IN_TIME: Duration = Duration::from_secs(30);
/// What a hostile validator is told to do, and how the host calls that.
const BAD: [(&str, FailureKind); 21] = [
    ("loop", FailureKind::OutOfTime),
    ("sleep", FailureKind::OutOfTime),
    ("allocate", FailureKind::OutOfMemory),
    ("return-100-mb", FailureKind::OutOfMemory),
    ("return-1-mb", FailureKind::TooLong),
    ("panic", FailureKind::Trapped),
    ("recurse", FailureKind::Trapped),
    ("exit", FailureKind::Trapped),
    ("handles", FailureKind::Trapped),
    ("random", FailureKind::BadAnswer),
    ("ask https://evil.example/", FailureKind::HostNotAllowed),
    ("ask file:///etc/passwd", FailureKind::BadAnswer),
    ("ask-with-credential https://api.example/", FailureKind::BadAnswer),
    ("other-app", FailureKind::BadAnswer),
    ("bad-code", FailureKind::BadAnswer),
    ("bad-score", FailureKind::BadAnswer),
    ("bad-digest", FailureKind::BadAnswer),
    ("bad-counter", FailureKind::BadAnswer),
    ("late-claim", FailureKind::BadAnswer),
    ("many-commits", FailureKind::BadAnswer),
    ("many-signals", FailureKind::BadAnswer),
];

fn hostile_file() -> PathBuf {
    let file = components_folder().join("test/hostile-validator.wasm");
    assert!(file.exists(), "the hostile validator is built: run the tests with `cargo xtask test`");
    file
}

fn hostile() -> ValidatorConfig {
    ValidatorConfig {
        file: Some(hostile_file()),
        memory_mib: 16,
        compute_ms: 500,
        fuel: u64::MAX / 2,
        hosts: vec!["api.example".to_owned()],
        ..ValidatorConfig::default()
    }
}

fn told(behaviour: &str) -> ValidatorConfig {
    let mut configuration = toml::Table::new();
    configuration.insert("behaviour".to_owned(), behaviour.into());
    ValidatorConfig { configuration, ..hostile() }
}

fn open(
    folder: &Path,
    validators: &[(&str, ValidatorConfig)],
    chain: ValidationConfig,
) -> Result<Arc<Validators>, ValidatorError> {
    open_with(folder, validators, chain, Arc::new(NoDeviceKeys))
}

fn open_with(
    folder: &Path,
    validators: &[(&str, ValidatorConfig)],
    chain: ValidationConfig,
    device_keys: Arc<dyn DeviceKeys>,
) -> Result<Arc<Validators>, ValidatorError> {
    let mut config: Config = test_config(folder);
    config.validators = validators.iter().map(|(name, section)| ((*name).to_owned(), section.clone())).collect();
    config.validation.insert(APP.to_owned(), chain);
    Validators::open(&config, Arc::new(FakeClock::at(NOON)), device_keys)
}

fn all(names: &[&str]) -> ValidationConfig {
    ValidationConfig { validators: owned(names), ..ValidationConfig::default() }
}

fn owned(names: &[&str]) -> Vec<String> {
    names.iter().map(|&name| name.to_owned()).collect()
}

fn submission() -> Submission {
    Submission {
        app: APP.to_owned(),
        issuer: Some("issuer".to_owned()),
        report_type: None,
        symptom_onset: None,
        keys: vec![],
        regions: owned(&["US"]),
        traveler: false,
        transcripts: vec![],
        challenge: None,
    }
}

/// Tells the hostile validator what to do.
fn tell(behaviour: &str) -> Evidence {
    Evidence { method: "test".to_owned(), token: behaviour.as_bytes().to_vec(), chain: vec![], key_id: None }
}

/// What a validator does that is told so, and what it costs.
async fn judged(validators: &Validators, behaviour: &str) -> Judgement {
    let (submission, evidence) = (submission(), tell(behaviour));
    let judged = validators.judge("hostile", &submission, Some(&evidence));
    tokio::time::timeout(IN_TIME, judged).await.expect("in time").expect("it exists")
}

/// What it does alone.
async fn outcome(validators: &Validators, behaviour: &str) -> (Outcome, Option<FailureKind>) {
    let judged = judged(validators, behaviour).await;
    (judged.outcome, judged.failure.map(|failure| failure.kind))
}

async fn check_good(validators: &Validators) {
    let (outcome, failure) = outcome(validators, "accept 60").await;
    assert_eq!(failure, None);
    let Outcome::Accepted { score: 60, commits } = outcome else { panic!("{outcome:?}") };
    assert!(matches!(&commits[..], [Commit::ClaimOnce(claim)] if claim.space == "good"), "{commits:?}");
}

fn one_hostile(change: impl FnOnce(&mut ValidatorConfig)) -> (TempDir, Arc<Validators>) {
    let folder = tempfile::tempdir().expect("temporary folder");
    let mut section = hostile();
    change(&mut section);
    let validators = open(folder.path(), &[("hostile", section)], all(&["hostile"])).expect("it is a validator");
    (folder, validators)
}

#[tokio::test(flavor = "multi_thread")]
async fn each_bad_behaviour_is_a_retryable_refusal_and_the_next_call_works() {
    let (_folder, validators) = one_hostile(|_| {});
    check_good(&validators).await;
    for (behaviour, kind) in BAD {
        let (outcome, failure) = outcome(&validators, behaviour).await;
        assert_eq!(failure, Some(kind), "{behaviour}");
        let Outcome::Refused { code, retryable: true } = outcome else { panic!("{behaviour}: {outcome:?}") };
        assert_eq!(code, kind.as_str(), "{behaviour}");
        check_good(&validators).await;
    }
    let counts = &validators.status().validators[0].counts;
    assert_eq!((counts.accepted, counts.failed.values().sum::<u64>()), (BAD.len() as u64 + 1, BAD.len() as u64));
}

#[tokio::test(flavor = "multi_thread")]
async fn fuel_ends_a_call_too_and_is_the_same_each_time() {
    let (_folder, validators) = one_hostile(|section| {
        section.fuel = 10_000_000;
        section.compute_ms = 60_000;
    });
    assert_eq!(outcome(&validators, "loop").await.1, Some(FailureKind::OutOfFuel));
    let mut usages = Vec::new();
    for _ in 0..2 {
        usages.push(judged(&validators, "accept").await.usage);
    }
    assert!(usages[0].fuel > 1_000 && usages[0].memory_bytes > 65_536, "{usages:?}");
    assert_eq!((usages[0].fuel, usages[0].memory_bytes), (usages[1].fuel, usages[1].memory_bytes));
}

#[tokio::test(flavor = "multi_thread")]
async fn answer_of_100_megabytes_is_not_taken_even_from_one_with_the_memory_for_it() {
    let (_folder, validators) = one_hostile(|section| {
        section.memory_mib = 256;
        section.compute_ms = 10_000;
    });
    assert_eq!(outcome(&validators, "return-100-mb").await.1, Some(FailureKind::TooLong));
    check_good(&validators).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn failure_passes_with_nothing_to_note_when_the_operator_wants_that() {
    let (_folder, validators) = one_hostile(|section| section.on_failure = OnFailure::Accept);
    for behaviour in ["panic", "other-app", "ask https://evil.example/"] {
        let decision = validators.validate(&submission(), Some(&tell(behaviour))).await;
        assert!(matches!(&decision, Decision::Accepted(commits) if commits.is_empty()), "{behaviour}: {decision:?}");
    }
    let decision = validators.validate(&submission(), Some(&tell("reject no"))).await;
    assert!(matches!(&decision, Decision::Refused(reasons) if *reasons == ["hostile: no"]), "{decision:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn other_submissions_are_unharmed_while_validators_misbehave() {
    let (_folder, validators) = one_hostile(|_| {});
    let attack_is_on = Arc::new(AtomicBool::new(true));
    let bystanders: Vec<_> = (0..3)
        .map(|_| {
            let (validators, attack_is_on) = (validators.clone(), attack_is_on.clone());
            tokio::spawn(async move {
                let mut served = 0_u32;
                while attack_is_on.load(Ordering::Relaxed) {
                    // A good call may be slow on a busy machine, but what it is told is what it does.
                    check_good(&validators).await;
                    served += 1;
                }
                served
            })
        })
        .collect();
    let attackers: Vec<_> = (0..6)
        .map(|first| {
            let validators = validators.clone();
            tokio::spawn(async move {
                for at in 0..BAD.len() {
                    let (behaviour, _) = BAD[(3 * first + at) % BAD.len()];
                    assert!(outcome(&validators, behaviour).await.1.is_some(), "{behaviour}");
                }
            })
        })
        .collect();
    for attacker in attackers {
        attacker.await.expect("every attack fails");
    }
    attack_is_on.store(false, Ordering::Relaxed);
    for bystander in bystanders {
        assert!(bystander.await.expect("every good call is answered") > 0);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn validator_sees_its_services_and_an_empty_world() {
    struct OneKey;
    impl DeviceKeys for OneKey {
        fn find(&self, validator: &str, app: &str, key_id: &[u8]) -> Result<Option<AttestedKey>, PortError> {
            assert_eq!((validator, app, key_id), ("hostile", APP, &[1][..]), "it is asked for this app only");
            Ok(Some(AttestedKey {
                key_id: key_id.to_vec(),
                app: app.to_owned(),
                public_key: vec![4; 65],
                development: false,
                counter: 42,
                attested_at: 0,
            }))
        }
    }
    let folder = tempfile::tempdir().expect("temporary folder");
    let validators = open_with(folder.path(), &[("hostile", hostile())], all(&["hostile"]), Arc::new(OneKey));
    let validators = validators.expect("it is a validator");
    assert_eq!(outcome(&validators, "services").await.1, None);
    let signals = validators.status().validators[0].counts.signals.clone();
    let now = format!("now={}", NOON.unix());
    for signal in [
        now.as_str(),
        "random=1024",
        "anchors=0",
        "revoked=None",
        "unwrapped=none",
        "signed=none",
        "key=42",
        "key of another app=none",
        "arguments=0",
        "environment=0",
    ] {
        assert_eq!(signals.get(signal), Some(&1), "{signal} in {signals:?}");
    }
    assert_eq!(outcome(&validators, "print text").await.1, None);
}

#[tokio::test(flavor = "multi_thread")]
async fn first_refusal_decides_with_all_and_later_ones_are_not_asked() {
    let check = async |behaviours: [&str; 3], on_refusal: OnRefusal| {
        let folder = tempfile::tempdir().expect("temporary folder");
        let [a, b, c] = behaviours.map(told);
        let chain = ValidationConfig { on_refusal, ..all(&["a", "b", "c"]) };
        let validators = open(folder.path(), &[("a", a), ("b", b), ("c", c)], chain).expect("validators");
        let decision = validators.validate(&submission(), None).await;
        (decision, validators.status())
    };
    let (decision, status) = check(["accept", "accept", "accept"], OnRefusal::Refuse).await;
    let Decision::Accepted(commits) = decision else { panic!("{decision:?}") };
    assert_eq!(commits.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>(), ["a", "b", "c"]);
    assert_eq!(status.apps[0].decisions.accepted, 1);
    let (decision, status) = check(["accept", "reject no", "accept"], OnRefusal::Refuse).await;
    assert!(matches!(&decision, Decision::Refused(reasons) if *reasons == ["b: no"]), "{decision:?}");
    assert_eq!((status.validators[1].counts.refused["no"], status.validators[2].counts.accepted), (1, 0));
    let (decision, status) = check(["reject no", "loop", "loop"], OnRefusal::Pretend).await;
    assert!(matches!(&decision, Decision::Pretend(reasons) if *reasons == ["a: no"]), "{decision:?}");
    assert_eq!(status.apps[0].decisions.pretended, 1);
    let (decision, _) = check(["retry busy", "reject no", "accept"], OnRefusal::Pretend).await;
    assert!(matches!(&decision, Decision::TryLater(reasons) if *reasons == ["a: busy"]), "{decision:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn first_acceptance_decides_with_any() {
    let check = async |behaviours: [&str; 2]| {
        let folder = tempfile::tempdir().expect("temporary folder");
        let [a, b] = behaviours.map(told);
        let chain = ValidationConfig { mode: ChainMode::Any, ..all(&["b", "a"]) };
        let validators = open(folder.path(), &[("a", a), ("b", b)], chain).expect("validators");
        (validators.validate(&submission(), None).await, validators.status())
    };
    // b is asked before a.
    let (decision, status) = check(["loop", "accept"]).await;
    assert!(matches!(&decision, Decision::Accepted(commits) if commits[0].0 == "b"), "{decision:?}");
    assert!(status.validators[0].counts.failed.is_empty());
    let (decision, _) = check(["accept", "panic"]).await;
    assert!(matches!(&decision, Decision::Accepted(commits) if commits[0].0 == "a"), "{decision:?}");
    let (decision, _) = check(["reject no", "panic"]).await;
    assert!(matches!(&decision, Decision::Refused(reasons) if *reasons == ["b: trapped", "a: no"]), "{decision:?}");
    let (decision, _) = check(["retry later", "panic"]).await;
    assert!(matches!(&decision, Decision::TryLater(reasons) if *reasons == ["b: trapped", "a: later"]), "{decision:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn sum_of_scores_decides_with_score() {
    let check = async |behaviours: [&str; 3], threshold: u32| {
        let folder = tempfile::tempdir().expect("temporary folder");
        let [a, b, c] = behaviours.map(told);
        let chain = ValidationConfig { mode: ChainMode::Score, threshold, ..all(&["a", "b", "c"]) };
        let validators = open(folder.path(), &[("a", a), ("b", b), ("c", c)], chain).expect("validators");
        validators.validate(&submission(), None).await
    };
    let decision = check(["accept 60", "reject no", "accept 40"], 100).await;
    let Decision::Accepted(commits) = decision else { panic!("{decision:?}") };
    assert_eq!(commits.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>(), ["a", "c"]);
    let refused = ["b: no", "score: 100 of 101"];
    let decision = check(["accept 60", "reject no", "accept 40"], 101).await;
    assert!(matches!(&decision, Decision::Refused(reasons) if *reasons == refused), "{decision:?}");
    let decision = check(["accept 60", "accept 0", "accept 40"], 101).await;
    assert!(matches!(&decision, Decision::Refused(reasons) if *reasons == ["score: 100 of 101"]), "{decision:?}");
    let decision = check(["accept 60", "panic", "accept 40"], 101).await;
    assert!(matches!(&decision, Decision::TryLater(_)), "{decision:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn observers_are_counted_and_change_nothing() {
    let folder = tempfile::tempdir().expect("temporary folder");
    let chain = ValidationConfig { observe: owned(&["b", "c"]), ..all(&["a"]) };
    let sections = [("a", told("accept")), ("b", told("reject no")), ("c", told("accept"))];
    let validators = open(folder.path(), &sections, chain).expect("validators");
    let decision = validators.validate(&submission(), None).await;
    assert!(matches!(&decision, Decision::Accepted(commits) if commits.len() == 1), "{decision:?}");
    validators.finish_observing().await;
    let status = validators.status();
    assert_eq!((status.validators[1].counts.refused["no"], status.validators[2].counts.accepted), (1, 1));
    let only_observe = ValidationConfig { observe: owned(&["b"]), ..ValidationConfig::default() };
    let validators = open(folder.path(), &sections, only_observe).expect("validators");
    let decision = validators.validate(&submission(), None).await;
    assert!(matches!(&decision, Decision::Accepted(commits) if commits.is_empty()), "{decision:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn apps_are_compared_without_case_and_others_pass() {
    let (_folder, validators) = one_hostile(|_| {});
    assert!(validators.validates("COM.EXAMPLE.APP") && !validators.validates("com.example.other"));
    let other = Submission { app: "com.example.other".to_owned(), ..submission() };
    let decision = validators.validate(&other, Some(&tell("loop"))).await;
    assert!(matches!(&decision, Decision::Accepted(commits) if commits.is_empty()), "{decision:?}");
    let folder = tempfile::tempdir().expect("temporary folder");
    let none = Validators::open(&test_config(folder.path()), Arc::new(FakeClock::at(NOON)), Arc::new(NoDeviceKeys));
    assert!(!none.expect("nothing to load").validates(APP));
}

/// Answers every request alike.
async fn http_server(body: &'static str) -> String {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a port");
    let host = listener.local_addr().expect("bound").to_string();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut request = Vec::new();
            while !request.ends_with(b"\r\n\r\n") {
                let Ok(byte) = stream.read_u8().await else { break };
                request.push(byte);
            }
            let answer = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{body}", body.len());
            stream.write_all(answer.as_bytes()).await.ok();
        }
    });
    host
}

#[tokio::test(flavor = "multi_thread")]
async fn exchange_comes_back_with_what_was_handed_over() {
    let host = http_server("pong").await;
    let (_folder, validators) = one_hostile(|section| {
        section.hosts = vec![host.clone(), "127.0.0.1:1".to_owned()];
        section.allow_insecure_http = true;
    });
    let ask = format!("ask http://{host}/ping");
    assert_eq!(outcome(&validators, &ask).await.1, None);
    assert_eq!(outcome(&validators, "ask http://127.0.0.1:1/").await.1, None, "no answer is an answer");
    let counts = validators.status().validators[0].counts.clone();
    assert_eq!((counts.accepted, counts.asked), (2, 2));
    for signal in ["status=200", "body=pong", "app=com.example.App", &format!("continuation={ask}"), "status=none"] {
        assert!(counts.signals.contains_key(signal), "{signal} in {:?}", counts.signals);
    }
    let judged = judged(&validators, &format!("ask-for-ever http://{host}/")).await;
    assert_eq!(judged.failure.map(|failure| failure.kind), Some(FailureKind::TooManyExchanges));
    assert_eq!(judged.exchanges, 3);
    let ask_and_loop = format!("ask-and-loop http://{host}/");
    assert_eq!(outcome(&validators, &ask_and_loop).await.1, Some(FailureKind::OutOfTime));
    check_good(&validators).await;
}

/// A component of another digest that does the same: a custom section is added.
fn other_build_of(bytes: &[u8]) -> Vec<u8> {
    [bytes, &[0, 5, 4][..], b"test"].concat()
}

fn replace(file: &Path, bytes: &[u8]) {
    let aside = file.with_extension("new");
    std::fs::write(&aside, bytes).expect("written");
    std::fs::rename(&aside, file).expect("renamed");
}

#[tokio::test(flavor = "multi_thread")]
async fn changed_file_is_taken_over_while_calls_run_and_a_bad_one_is_not() {
    let folder = tempfile::tempdir().expect("temporary folder");
    let file = folder.path().join("hostile.wasm");
    let good = std::fs::read(hostile_file()).expect("built");
    std::fs::write(&file, &good).expect("written");
    let section = ValidatorConfig { file: Some(file.clone()), ..hostile() };
    let validators = open(folder.path(), &[("hostile", section)], all(&["hostile"])).expect("a validator");
    let first = validators.status().validators[0].digest.clone();
    // Runs over the replacement and ends with the component it began with.
    let running = {
        let validators = validators.clone();
        tokio::spawn(async move { outcome(&validators, "sleep").await.1 })
    };
    replace(&file, &other_build_of(&good));
    validators.reload();
    let second = validators.status().validators[0].clone();
    assert_ne!(second.digest, first);
    assert_eq!((second.error, second.identity.as_str()), (None, "hostile 1.0"));
    check_good(&validators).await;
    assert_eq!(running.await.expect("it ends"), Some(FailureKind::OutOfTime));
    // A bad file leaves the old one in place, whoever of the two looks first.
    replace(&file, b"this is no component");
    validators.reload();
    let status = validators.status().validators[0].clone();
    assert_eq!(status.digest, second.digest);
    assert!(status.error.is_some_and(|error| error.contains("no WebAssembly component")));
    assert!(validators.reload().is_empty(), "it is looked at once");
    check_good(&validators).await;
    std::fs::remove_file(&file).expect("removed");
    validators.reload();
    assert!(validators.status().validators[0].error.as_ref().is_some_and(|error| error.contains("cannot be read")));
    check_good(&validators).await;
    replace(&file, &good);
    validators.reload();
    let status = validators.status().validators[0].clone();
    assert_eq!((status.digest, status.error), (first, None));
}

#[test]
fn changed_file_is_seen_without_being_told() {
    let folder = tempfile::tempdir().expect("temporary folder");
    let file = folder.path().join("hostile.wasm");
    let good = std::fs::read(hostile_file()).expect("built");
    std::fs::write(&file, &good).expect("written");
    let section = ValidatorConfig { file: Some(file.clone()), ..hostile() };
    let validators = open(folder.path(), &[("hostile", section)], all(&["hostile"])).expect("a validator");
    let first = validators.status().validators[0].digest.clone();
    replace(&file, &other_build_of(&good));
    let started = Instant::now();
    while validators.status().validators[0].digest == first {
        assert!(started.elapsed() < IN_TIME, "the file was not seen");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// The bytes of a component that imports an instance with one function, and exports nothing.
fn component_that_imports(name: &str) -> Vec<u8> {
    let length = |bytes: &[u8]| u8::try_from(bytes.len()).expect("short");
    let section = |id: u8, content: Vec<u8>| [vec![id, length(&content)], content].concat();
    let named = |name: &str| [vec![0, length(name.as_bytes())], name.as_bytes().to_vec()].concat();
    // One type: an instance (0x42) of two declarations, a function type without parameters and result, and an export.
    let instance_type = [vec![1, 0x42, 2, 0x01, 0x40, 0, 0x01, 0, 0x04], named("f"), vec![0x01, 0]].concat();
    // One import: an instance (0x05) of type 0.
    let import = [vec![1], named(name), vec![0x05, 0]].concat();
    [b"\0asm\x0d\0\x01\0".to_vec(), section(7, instance_type), section(10, import)].concat()
}

/// The hostile validator, made for another version of the contract: the version is replaced in all names.
fn of_version(version: &str, name: &str) -> Vec<u8> {
    let mut bytes = std::fs::read(hostile_file()).expect("built");
    let old = format!("{name}@0.1.0");
    let new = format!("{name}@{version}");
    assert_eq!(old.len(), new.len());
    while let Some(at) = bytes.windows(old.len()).position(|window| window == old.as_bytes()) {
        bytes[at..at + new.len()].copy_from_slice(new.as_bytes());
    }
    bytes
}

#[test]
fn what_is_no_validator_is_refused_with_what_is_wrong() {
    let check = |bytes: &[u8], parts: &[&str]| {
        let error = check_file(bytes).map(drop).expect_err(parts[0]).to_string();
        parts.iter().for_each(|part| assert!(error.contains(part), "{part:?} is not in {error}"));
    };
    let component = |name: &str| std::fs::read(components_folder().join(name)).expect("built");
    check(b"", &["no WebAssembly component"]);
    check(b"\0asm\x01\0\0\0", &["core module", "wasm-tools component new"]);
    check(&component("test/hostile-validator.wasm")[..10_000], &["does not compile"]);
    for import in [
        "wasi:filesystem/types@0.2.12",
        "wasi:sockets/tcp@0.2.12",
        "wasi:http/outgoing-handler@0.2.12",
        "wasi:cli/run@0.3.0",
        "tocsin:capability/exposures@0.1.0",
        "somebody:else/everything@1.0.0",
    ] {
        check(&component_that_imports(import), &[import, "no validator may", "wasi:clocks"]);
    }
    let version = &["tocsin:validator/services", "0.2.0", "0.1.0"];
    check(&component_that_imports("tocsin:validator/services@0.2.0"), version);
    // Its imports are right, but the function is none of the contract's.
    check(
        &component_that_imports("tocsin:validator/services@0.1.0"),
        &["does not export tocsin:validator/validator@0.1.0"],
    );
    check(&component("export.wasm"), &["tocsin:capability/", "no validator may"]);
    check(&of_version("0.3.0", "tocsin:validator/validator"), &["tocsin:validator/validator", "0.3.0", "0.1.0"]);
}

#[test]
fn good_file_says_who_it_is() {
    let checked = check_file(&std::fs::read(hostile_file()).expect("built")).expect("a validator");
    assert_eq!((checked.identity.as_str(), checked.digest.len()), ("hostile 1.0", 16));
    assert!(checked.imports.iter().any(|import| import == "tocsin:validator/services@0.1.0"), "{:?}", checked.imports);
}

#[test]
fn validator_without_a_proper_identity_is_refused_at_start_by_name() {
    let folder = tempfile::tempdir().expect("temporary folder");
    let check = |identity: &str, part: &str| {
        let mut section = hostile();
        section.configuration.insert("identity".to_owned(), identity.into());
        let error = open(folder.path(), &[("acme", section)], all(&["acme"])).expect_err(identity).to_string();
        assert!(error.contains("validator acme") && error.contains(part), "{error}");
    };
    check("empty", "an empty identity");
    check(&"x".repeat(101), "more than 100");
    check("a\nb", "cannot be printed");
    check("loop", "out-of-time");
    check("panic", "trapped");
    let missing = ValidatorConfig { file: Some(folder.path().join("missing.wasm")), ..hostile() };
    let error = open(folder.path(), &[("acme", missing)], all(&["acme"])).expect_err("no file").to_string();
    assert!(error.contains("validator acme") && error.contains("missing.wasm"), "{error}");
    let builtin = ValidatorConfig { file: None, builtin: Some("no-such".to_owned()), ..hostile() };
    let error = open(folder.path(), &[("acme", builtin)], all(&["acme"])).expect_err("no file").to_string();
    assert!(error.contains("validator acme") && error.contains("no-such"), "{error}");
}
