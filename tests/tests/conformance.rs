//! Every case of the conformance suite, against a real server; and checks of the suite itself.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};
use tocsin_domain::interval::Timestamp;
use tocsin_domain::ports::Clock;
use tocsin_host::admin::AdminRequest;
use tocsin_host::signing::public_key_from_pem;
use tocsin_host::storage::administration::{AuthorizedAppRecord, HealthAuthorityKeyRecord, NewHealthAuthority};
use tocsin_tests::conformance::{
    self, App, Authority, AuthorityKey, Case, Need, Outcome, Selection, State, Summary, Target, Verdict,
};
use tocsin_tests::harness::process::{ServerProcess, tocsin_ok};
use tocsin_tests::harness::server::{NOON, TestServer};
use tocsin_tests::spin::{Resources, SpinApp, SpinServer};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// What Tocsin has: everything.
const PROVIDED: &[Need] = &[Need::Clock, Need::Fresh, Need::Statistics, Need::TokenFormat, Need::V1alpha1];

/// The sections of the specification that have observable rules.
const SECTIONS: &[&str] = &[
    "1.1", "1.2", "1.3", "1.4", "1.5", "2.1", "2.2", "2.3", "2.4", "2.5", "3.1", "3.2", "3.3", "3.4", "3.5", "4.1",
    "4.2", "4.3", "5", "7", "8",
];

fn suite() -> (State, Vec<Case>) {
    let folder = conformance::folder();
    let state = State::load(&folder).expect("state.json is right");
    let cases = conformance::load_cases(&folder.join("cases")).expect("all cases are right");
    (state, cases)
}

/// What `tocsin-conformance --prepare` does by commands.
async fn prepare(server: &TestServer, state: &State) {
    for authority in &state.health_authorities {
        let Authority { about: _, issuer, audience, name, statistics, keys } = authority.clone();
        server
            .admin(AdminRequest::AddHealthAuthority(NewHealthAuthority {
                issuer: issuer.clone(),
                audience,
                name,
                jwks_uri: None,
                allow_empty_key_set: false,
                statistics_enabled: statistics,
            }))
            .await;
        for AuthorityKey { version, key, from_unix, thru_unix } in keys {
            let pem = std::fs::read_to_string(state.public_key_file(&key)).expect("a public key");
            let public_key = public_key_from_pem(&pem).expect("a P-256 key");
            let key = HealthAuthorityKeyRecord { version, from_unix, thru_unix, public_key };
            server.admin(AdminRequest::AddHealthAuthorityKey { issuer: issuer.clone(), key }).await;
        }
    }
    for app in &state.apps {
        let App { about: _, name, regions, health_authorities, bypass_verification, bypass_revision_token } =
            app.clone();
        let app = AuthorizedAppRecord {
            name,
            regions,
            health_authorities: Vec::new(),
            bypass_verification,
            bypass_revision_token,
        };
        server.admin(AdminRequest::AddApp { app, issuers: health_authorities }).await;
    }
}

/// Every case passes; says all that is wrong at once.
fn check(run: &str, outcomes: &[Outcome]) {
    let wrong: Vec<String> = outcomes.iter().filter_map(conformance::line).collect();
    assert!(wrong.is_empty(), "{run}: {}\n{}", Summary::of(outcomes), wrong.join("\n"));
}

/// A server with the suite's settings and state.
async fn start(state: &State) -> TestServer {
    let server = TestServer::start_with(|config| config.publish.enable_v1alpha1 = true).await;
    prepare(&server, state).await;
    server
}

fn selection(without: Option<Need>) -> Selection {
    let provided = PROVIDED.iter().copied().filter(|need| Some(*need) != without).collect();
    Selection { provided, filter: String::new() }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_case_passes_at_any_time_of_day() {
    let (state, cases) = suite();
    let server = start(&state).await;
    let now = || server.clock.now().unix();
    let target = Target { address: server.public_address(), prefix: String::new(), now: &now };
    check("noon", &conformance::run(&cases, &state, &target, &selection(None)).await);
    let midnight = NOON.utc_midnight().plus_seconds(86_400).unix();
    for (name, time) in [("midnight", midnight), ("a second before the next", midnight + 86_399)] {
        server.clock.set(Timestamp::from_unix(time));
        check(name, &conformance::run(&cases, &state, &target, &selection(Some(Need::Fresh))).await);
    }
}

/// The very same component files, with Spin's adapters in the place of the host, over the database that the host prepared.
#[tokio::test(flavor = "multi_thread")]
async fn composed_for_spin_every_case_passes() {
    let (state, cases) = suite();
    let mut host = start(&state).await;
    host.stop().await;
    let settings = serde_json::json!({ "publish": { "enable_v1alpha1": true } });
    let app = SpinApp::new(Resources::of_data_folder(host.folder(), &settings), host.clock.clone());
    let server = SpinServer::start(app).await;
    let now = || host.clock.now().unix();
    let target = Target { address: server.address, prefix: String::new(), now: &now };
    check("composed for Spin", &conformance::run(&cases, &state, &target, &selection(None)).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn case_during_which_an_interval_ends_is_run_again() {
    let (state, cases) = suite();
    let server = start(&state).await;
    // The runner begins in the last second of an interval, and the server gets the request in the next interval.
    let reads = AtomicU32::new(0);
    let now = || server.clock.now().unix() - i64::from(reads.fetch_add(1, Ordering::Relaxed) < 2);
    let target = Target { address: server.public_address(), prefix: String::new(), now: &now };
    let filter = "2.3-keys/key-of-the-next-interval-is-dropped".to_owned();
    let outcomes = conformance::run(&cases, &state, &target, &Selection { filter, ..selection(None) }).await;
    check("again", &outcomes);
    assert_eq!((outcomes.len(), reads.into_inner()), (1, 4));
}

#[tokio::test(flavor = "multi_thread")]
async fn printed_commands_prepare_a_server_that_passes_by_the_real_clock() {
    let (state, cases) = suite();
    let folder = tempfile::tempdir().expect("temporary folder");
    let data = folder.path().join("data");
    tocsin_ok(&data, &["init", "--listen", "127.0.0.1:0", "--set", "publish.enable_v1alpha1=true"]);
    let script = conformance::script(&state);
    for command in conformance::commands(&state) {
        let arguments: Vec<&str> = command.iter().map(String::as_str).collect();
        tocsin_ok(&data, &arguments);
        assert!(script.contains(&format!("\ntocsin {} {}", arguments[0], arguments[1])), "{arguments:?}");
    }
    let process = ServerProcess::start(&data);
    let now = || SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_secs().cast_signed();
    let target = Target { address: process.address, prefix: String::new(), now: &now };
    check("a server of commands", &conformance::run(&cases, &state, &target, &selection(None)).await);
}

#[test]
fn suite_covers_every_section_with_distinct_claims() {
    let (state, cases) = suite();
    assert!(cases.len() >= 150, "{} cases", cases.len());
    let mut sections: BTreeMap<&str, usize> = BTreeMap::new();
    let mut names = BTreeSet::new();
    for case in &cases {
        assert!(names.insert(&case.name), "{} is there twice", case.name);
        let (group, _) = case.name.split_once('/').expect("a folder and a file");
        let (section, _) = group.split_once('-').expect("a section and a word");
        *sections.entry(section).or_default() += 1;
        conformance::rehearse(case, &state).unwrap_or_else(|error| panic!("{error}"));
        // A rule of another section is observable here and there; the file is where readers look for it.
        assert!(case.rule.starts_with("publish.md "), "{}: {}", case.name, case.rule);
        assert!(case.claim.ends_with('.') && case.claim.len() < 200, "{}: {}", case.name, case.claim);
        let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-./".contains(&byte);
        assert!(case.name.bytes().all(plain), "{}", case.name);
    }
    assert_eq!(sections.keys().copied().collect::<Vec<_>>(), SECTIONS);
    let claims: BTreeSet<(&str, &str)> =
        cases.iter().map(|case| (case.name.split('/').next().unwrap_or_default(), case.claim.as_str())).collect();
    assert_eq!(claims.len(), cases.len(), "two cases of a section have the same claim");
}

#[test]
fn state_names_only_what_it_has() {
    let (state, _) = suite();
    for issuer in [&state.default_issuer, &state.default_statistics_issuer] {
        assert!(!state.authority(issuer).expect("there").keys.is_empty());
    }
    for app in &state.apps {
        for issuer in &app.health_authorities {
            state.authority(issuer).expect("there");
        }
    }
    for key in state.health_authorities.iter().flat_map(|authority| &authority.keys) {
        let private = state.private_key(&key.key).expect("a private key");
        let pem = std::fs::read_to_string(state.public_key_file(&key.key)).expect("a public key");
        let public = private.verifying_key().to_sec1_point(false).as_bytes().to_vec();
        assert_eq!(public_key_from_pem(&pem), Some(public), "{}", key.key);
    }
}

/// Answers every request alike.
async fn parrot(answer: String) -> SocketAddr {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("bound");
    let address = listener.local_addr().expect("bound");
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let answer = answer.clone();
            tokio::spawn(async move {
                let mut request = Vec::new();
                while !is_whole(&request) {
                    if stream.read_buf(&mut request).await.is_ok_and(|read| read == 0) {
                        return;
                    }
                }
                stream.write_all(answer.as_bytes()).await.ok();
            });
        }
    });
    address
}

/// Whether a request has come to its end.
fn is_whole(request: &[u8]) -> bool {
    let Some(end) = request.windows(4).position(|window| window == b"\r\n\r\n") else { return false };
    let head = String::from_utf8_lossy(&request[..end]).to_ascii_lowercase();
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")?.parse().ok());
    request.len() >= end + 4 + length.unwrap_or(0)
}

#[tokio::test(flavor = "multi_thread")]
async fn server_that_answers_all_alike_passes_next_to_nothing() {
    const INVALID: &str = "unable to validate diagnosis verification: no";
    let (state, cases) = suite();
    let padding = conformance::base64::encode(&[1; 1500]);
    let answers = [
        ("200 OK", format!(r#"{{"revisionToken":"CgExEgF4","insertedExposures":1,"padding":"{padding}"}}"#)),
        ("200 OK", format!(r#"{{"revisionToken":"CgExEgF4","padding":"{padding}"}}"#)),
        ("400 Bad Request", format!(r#"{{"code":"bad_request","error":"no","padding":"{padding}"}}"#)),
        ("401 Unauthorized", format!(r#"{{"code":"unauthorized","error":"no","padding":"{padding}"}}"#)),
        (
            "401 Unauthorized",
            format!(
                r#"{{"code":"health_authority_verification_certificate_invalid","error":"{INVALID}","padding":"{padding}"}}"#
            ),
        ),
    ];
    let mut passed = BTreeMap::new();
    for (status, body) in answers {
        let head =
            format!("HTTP/1.1 {status}\r\nconnection: close\r\nx-api-version: v1\r\ncontent-type: application/json");
        let address = parrot(format!("{head}\r\ncontent-length: {}\r\n\r\n{body}", body.len())).await;
        let now = || NOON.unix();
        let target = Target { address, prefix: String::new(), now: &now };
        let all = Selection { provided: Need::ALL.map(|(_, need)| need).into(), filter: String::new() };
        for outcome in conformance::run(&cases, &state, &target, &all).await {
            assert!(!matches!(outcome.verdict, Verdict::Skipped(_)), "{}", outcome.name);
            if outcome.verdict == Verdict::Passed {
                *passed.entry(outcome.name).or_insert(0) += 1;
            }
        }
    }
    // Each of these says of a good publish no more than that it is accepted.
    assert!(passed.len() * 8 < cases.len(), "{} of {}: {passed:#?}", passed.len(), cases.len());
}
