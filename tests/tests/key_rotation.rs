//! Keys change while everything goes on: revision keys by the job, root keys and signers by command, and key files of older
//! versions at the first start.

use http::Method;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use tocsin_domain::export::read::{parse_export, parse_signatures};
use tocsin_domain::ports::Clock;
use tocsin_domain::ports::leases::Leases;
use tocsin_domain::testing::random::FakeRandom;
use tocsin_host::admin::AdminRequest;
use tocsin_host::jobs::Job;
use tocsin_host::services::SystemClock;
use tocsin_host::storage::administration::SignerRecord;
use tocsin_tests::harness::client::Client;
use tocsin_tests::harness::export_files::{index, unzip};
use tocsin_tests::harness::folder::{add_export_config, set_up, write_config};
use tocsin_tests::harness::people::{HealthAuthority, Phone};
use tocsin_tests::harness::process::{ServerProcess, tocsin, tocsin_ok};
use tocsin_tests::harness::server::{NOON, TestServer};

const HOUR: i64 = 3600;
const DAY: i64 = 24 * HOUR;

/// Publishes, remembers the token, and returns status and code.
async fn publish(
    client: &mut Client,
    phone: &mut Phone,
    authority: &HealthAuthority,
    report_type: &str,
    clock: &impl Clock,
) -> (u16, String) {
    let answer = client.publish(phone.body(authority, report_type, clock.now())).await;
    if let Some(token) = answer.json()["revisionToken"].as_str() {
        phone.revision_token = token.to_owned();
    }
    (answer.status.as_u16(), answer.code())
}

fn good() -> (u16, String) {
    (200, String::new())
}

/// Ids of the revision keys that are not destroyed.
fn live(keys: &Value) -> Vec<u64> {
    let keys = keys["revision"].as_array().expect("a list").iter();
    keys.filter(|key| key["destroyed_unix"].is_null()).map(|key| key["id"].as_u64().expect("an id")).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn token_is_good_for_as_long_as_its_keys_while_revision_keys_come_and_go() {
    let mut server = TestServer::start().await;
    let (random, mut client) = (FakeRandom::seeded(1), server.client());
    let mut phone = Phone::new(&random, 2, NOON);
    let first = publish(&mut client, &mut phone, &server.authority, "likely", &*server.clock).await;
    assert_eq!(first, good(), "the server has made the first key by itself");
    let old_token = phone.revision_token.clone();
    let mut history = Vec::new();
    for day in 1..=30 {
        server.clock.advance_seconds(DAY);
        let report = server.job(Job::RotateKeys).await;
        if !report["created"].is_null() || report["destroyed"] != json!([]) {
            history.push((day, report["created"].as_u64(), report["destroyed"].clone()));
        }
        if day == 13 {
            let revised = publish(&mut client, &mut phone, &server.authority, "confirmed", &*server.clock).await;
            assert_eq!(revised, good(), "the token of day 0, sealed with a key that was replaced on day 7");
            server.restart().await;
            client = server.client();
        }
    }
    let expect = [
        (7, Some(2), json!([])),
        (14, Some(3), json!([])),
        (21, Some(4), json!([])),
        (22, None, json!([1])),
        (28, Some(5), json!([])),
        (29, None, json!([2])),
    ];
    assert_eq!(history, expect);
    let keys = server.admin(AdminRequest::ListKeys).await;
    assert_eq!(live(&keys), [3, 4, 5]);
    assert_eq!(keys["revision"][0]["created_unix"], NOON.unix());
    assert_eq!(keys["revision"][0]["destroyed_unix"], NOON.unix() + 22 * DAY);
    assert_eq!(keys["revision"][4]["effective"], true);

    // A token whose key is gone does not keep new keys from being published, and opens nothing.
    let mut other = Phone::new(&random, 2, server.clock.now());
    other.revision_token = old_token.clone();
    assert_eq!(publish(&mut client, &mut other, &server.authority, "likely", &*server.clock).await, good());
    other.revision_token = old_token;
    let refused = publish(&mut client, &mut other, &server.authority, "confirmed", &*server.clock).await;
    assert_eq!(refused, (400, "invalid_revision_token".to_owned()));
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn scheduler_rotates_keys_through_the_private_listener_one_run_at_a_time() {
    let mut server = TestServer::start_with(|config| config.private.listen = Some(([127, 0, 0, 1], 0).into())).await;
    let mut private = server.private_client();
    server.clock.advance_seconds(7 * DAY);
    let services = server.components().services().clone();
    let (now, names) = (server.clock.now(), ["job:rotate-keys".to_owned()]);
    let lease = services.store.acquire(&names, now, now.plus_seconds(60)).expect("no error").expect("free");
    for method in [Method::GET, Method::POST] {
        let answer = private.send(method, "/rotate-keys", &[], "").await;
        assert_eq!((answer.status.as_u16(), answer.json()), (200, json!({ "error": "too early" })));
    }
    assert_eq!(server.job(Job::RotateKeys).await["already_running"], true);
    assert_eq!(live(&server.admin(AdminRequest::ListKeys).await), [1]);
    services.store.release(lease).expect("released");
    for _ in 0..2 {
        let answer = private.get("/rotate-keys").await;
        assert_eq!((answer.status.as_u16(), &answer.body[..]), (200, &br#"{"ok":true}"#[..]));
        assert_eq!(answer.header("content-type"), "application/json");
        assert_eq!(live(&server.admin(AdminRequest::ListKeys).await), [1, 2]);
    }
    assert_eq!(server.client().get("/rotate-keys").await.status, 404, "not public");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn key_files_of_an_older_version_are_taken_into_the_database_at_the_first_start() {
    let mut server = TestServer::start_with(|config| {
        let folder = config.folders.keys.join("revision");
        std::fs::create_dir_all(&folder).expect("made");
        for (id, content) in [(4, [b'A'; 43]), (5, [b'E'; 43])] {
            let file = folder.join(format!("{id}.key"));
            std::fs::write(&file, [&content[..], b"="].concat()).expect("written");
            std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600)).expect("chmod");
        }
    })
    .await;
    assert!(!server.folder().join("keys/revision").exists());
    let keys = server.admin(AdminRequest::ListKeys).await;
    assert_eq!(live(&keys), [4, 5], "and no further one was made");
    let mut phone = Phone::new(&FakeRandom::seeded(2), 2, NOON);
    for (report_type, restart) in [("likely", true), ("confirmed", false)] {
        let (mut client, clock) = (server.client(), server.clock.clone());
        assert_eq!(publish(&mut client, &mut phone, &server.authority, report_type, &*clock).await, good());
        if restart {
            server.restart().await;
        }
    }
    server.stop().await;
}

fn run_json(folder: &Path, arguments: &[&str]) -> Value {
    serde_json::from_str(&tocsin_ok(folder, &[arguments, &["--json"]].concat())).expect("JSON")
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_are_rotated_by_command_on_a_running_server_and_without_one() {
    let authority = HealthAuthority::new();
    let folder = tempfile::tempdir().expect("temporary folder");
    let (config, services) = set_up(folder.path(), &authority);
    write_config(folder.path(), &config);
    drop(services);
    let run = |arguments: &[&str]| run_json(folder.path(), arguments);
    let root_file = |id: u64| folder.path().join(format!("keys/root/{id}.key"));
    let mut phone = Phone::new(&FakeRandom::seeded(3), 2, SystemClock.now());

    let server = ServerProcess::start(folder.path());
    let sent = publish(&mut Client::new(server.address), &mut phone, &authority, "likely", &SystemClock).await;
    assert_eq!(sent, good());
    assert_eq!(run(&["keys", "rotate"])["created"], Value::Null);
    let dry = run(&["keys", "rotate", "--now", "--dry-run"]);
    assert_eq!((&dry["created"], live(&run(&["keys", "list"]))), (&json!(2), vec![1]));
    assert_eq!(run(&["keys", "rotate", "--now"])["created"], 2);
    assert_eq!(live(&run(&["keys", "list"])), [1, 2]);
    let dry = run(&["keys", "rotate-root", "--dry-run"]);
    assert!(!root_file(2).exists());
    let done = run(&["keys", "rotate-root"]);
    for (report, is_dry_run) in [(dry, true), (done, false)] {
        let unused = json!([root_file(1)]);
        let expect = json!({
            "dry_run": is_dry_run, "root_key_id": 2, "rewrapped": [1, 2], "unused_files": unused,
        });
        assert_eq!(report, expect);
    }
    std::fs::remove_file(root_file(1)).expect("removed");
    assert!(server.terminate().success());

    // The same without a server, and then all of it serves.
    assert_eq!(run(&["keys", "rotate-root"])["root_key_id"], 3);
    assert_eq!(run(&["keys", "rotate", "--now"])["created"], 3);
    assert_eq!(run(&["job", "run", "rotate-keys"])["created"], Value::Null);
    std::fs::remove_file(root_file(2)).expect("removed");
    let list = run(&["keys", "list"]);
    assert_eq!((live(&list), &list["root"]), (vec![1, 2, 3], &json!([{ "id": 3, "revision_keys": 3 }])));
    let server = ServerProcess::start(folder.path());
    let sent = publish(&mut Client::new(server.address), &mut phone, &authority, "confirmed", &SystemClock).await;
    assert_eq!(sent, good(), "the first token outlives its root keys");
    assert!(server.terminate().success());
}

#[tokio::test(flavor = "multi_thread")]
async fn lost_root_key_stops_the_start_with_advice_that_works() {
    let authority = HealthAuthority::new();
    let folder = tempfile::tempdir().expect("temporary folder");
    let (config, services) = set_up(folder.path(), &authority);
    write_config(folder.path(), &config);
    drop(services);
    let file = folder.path().join("keys/root/1.key");
    let content = std::fs::read_to_string(&file).expect("read");
    std::fs::remove_file(&file).expect("removed");
    for command in [&["serve"][..], &["status"], &["keys", "rotate-root"]] {
        let output = tocsin(folder.path(), command);
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(1), "{text}");
        for part in ["revision key 1 ", "root key 1 ", "keys/root/1.key", "backup", "tocsin keys destroy-unreadable"] {
            assert!(text.contains(part), "{part}: {text}");
        }
        assert!(!text.contains(content.trim()));
    }
    assert_eq!(run_json(folder.path(), &["keys", "destroy-unreadable", "--dry-run"])["destroyed"], json!([1]));
    assert!(!tocsin(folder.path(), &["status"]).status.success(), "a dry run changes nothing");
    assert_eq!(run_json(folder.path(), &["keys", "destroy-unreadable"])["destroyed"], json!([1]));
    let server = ServerProcess::start(folder.path());
    assert!(server.log().contains("made the first"), "{}", server.log());
    let mut phone = Phone::new(&FakeRandom::seeded(4), 2, SystemClock.now());
    let mut client = Client::new(server.address);
    for report_type in ["likely", "confirmed"] {
        assert_eq!(publish(&mut client, &mut phone, &authority, report_type, &SystemClock).await, good());
    }
    assert!(server.terminate().success());
}

fn new_signer() -> SignerRecord {
    SignerRecord {
        signing_key: "export-2".to_owned(),
        verification_key_id: "310".to_owned(),
        verification_key_version: "v2".to_owned(),
    }
}

/// A server with a clock of the test's, and how its export files are signed.
struct Signed {
    server: TestServer,
    random: FakeRandom,
    /// By version: the file of the public key.
    public_keys: BTreeMap<&'static str, String>,
}

impl Signed {
    fn advance_to(&self, time: i64) {
        self.server.clock.advance_seconds(NOON.unix() + time - self.server.clock.now().unix());
    }

    async fn publish(&self) {
        let mut phone = Phone::new(&self.random, 3, self.server.clock.now());
        let (mut client, clock) = (self.server.client(), &*self.server.clock);
        assert_eq!(publish(&mut client, &mut phone, &self.server.authority, "confirmed", clock).await, good());
    }

    async fn rotate(&self, dry_run: bool) -> Value {
        let overlap_seconds = 4 * HOUR.unsigned_abs();
        let request = AdminRequest::RotateExportConfigSigner { id: 1, signer: new_signer(), overlap_seconds, dry_run };
        self.server.admin(request).await
    }

    async fn signers(&self) -> Value {
        self.server.admin(AdminRequest::ListExportConfigSigners).await
    }

    /// Start of each file of a root in hours after noon, and versions of its signers in the order of the file. Fails unless
    /// the command line's check takes the file with the keys of these, and with no other.
    async fn files(&self, root: &str) -> Vec<(i64, Vec<String>)> {
        let mut client = self.server.client();
        let mut files = Vec::new();
        for name in index(&mut client, root).await {
            let zip = client.get(&format!("/exports/{name}")).await.body;
            let members = unzip(&zip);
            let export = parse_export(&members["export.bin"]).expect("an export");
            let signatures = parse_signatures(&members["export.sig"]).expect("signatures");
            let signers: Vec<_> = signatures.iter().map(|signature| signature.signer.clone()).collect();
            assert_eq!(export.signature_infos, signers);
            let versions: Vec<String> = signers.into_iter().map(|signer| signer.verification_key_version).collect();
            let file = self.server.folder().join("checked.zip");
            std::fs::write(&file, &zip).expect("written");
            for (version, key) in &self.public_keys {
                let arguments = ["export", "verify", file.to_str().expect("UTF-8"), "--key", key];
                let accepted = tocsin(self.server.folder(), &arguments).status.success();
                assert_eq!(accepted, versions.iter().any(|signer| signer == version), "{name} with {version}");
            }
            files.push(((export.start.unix() - NOON.unix()) / HOUR, versions));
        }
        files
    }

    fn write_key(&mut self, version: &'static str, pem: &str) {
        let file = self.server.folder().join(format!("{version}.pem"));
        std::fs::write(&file, pem).expect("written");
        self.public_keys.insert(version, file.to_str().expect("UTF-8").to_owned());
    }

    /// Version and whether it signs, as the server tells anybody.
    async fn told(&self) -> Vec<(String, bool)> {
        let keys = self.server.client().get("/.well-known/export-verification-keys.json").await.json();
        let told = keys["keys"].as_array().expect("a list").iter().map(|key| {
            let version = key["verification_key_version"].as_str().expect("a version").to_owned();
            (version, key["active"].as_bool().expect("true or false"))
        });
        told.collect()
    }
}

fn told(list: &[(&str, bool)]) -> Vec<(String, bool)> {
    list.iter().map(|(version, active)| ((*version).to_owned(), *active)).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn files_carry_both_signatures_during_the_overlap_and_only_the_new_one_after_it() {
    let server = TestServer::start().await;
    server.add_export_config("one", HOUR.unsigned_abs(), |_| {}).await;
    server.add_export_config("two", HOUR.unsigned_abs(), |_| {}).await;
    let mut signed = Signed { server, random: FakeRandom::seeded(5), public_keys: BTreeMap::new() };
    let pem = signed.server.export_public_key().await;
    signed.write_key("v1", &pem);
    let export = async |signed: &Signed| {
        signed.server.job(Job::CreateBatches).await;
        signed.server.job(Job::DoWork).await;
    };
    export(&signed).await;
    signed.publish().await;
    signed.advance_to(3 * HOUR);
    export(&signed).await;
    signed.publish().await;
    // A batch that was created before the rotation and is exported in the overlap.
    signed.advance_to(6 * HOUR);
    signed.server.job(Job::CreateBatches).await;
    let before = signed.signers().await;
    let dry = signed.rotate(true).await;
    assert_eq!((dry["key_created"].as_bool(), &dry["public_key_pem"]), (Some(true), &Value::Null));
    assert_eq!((signed.signers().await, signed.told().await), (before, told(&[("v1", true)])));
    let until = NOON.unix() + 10 * HOUR;
    let done = signed.rotate(false).await;
    for rotation in [&dry, &done] {
        let ended = rotation["ended"].as_array().expect("a list");
        let signer = (&ended[0]["signer"]["verification_key_version"], &ended[0]["thru_unix"]);
        assert_eq!((ended.len(), signer), (1, (&json!("v1"), &json!(until))));
    }
    signed.write_key("v2", done["public_key_pem"].as_str().expect("a PEM"));
    assert_eq!(signed.told().await, told(&[("v1", true), ("v2", true)]));
    signed.server.job(Job::DoWork).await;

    // In the overlap, of which the last second counts.
    signed.publish().await;
    signed.advance_to(7 * HOUR);
    signed.publish().await;
    signed.advance_to(9 * HOUR);
    signed.publish().await;
    export(&signed).await;
    signed.advance_to(10 * HOUR);
    // A batch that was created in the overlap and is exported after it.
    signed.server.job(Job::CreateBatches).await;
    signed.advance_to(10 * HOUR + 1);
    signed.server.job(Job::DoWork).await;
    signed.advance_to(12 * HOUR);
    export(&signed).await;

    let versions = |list: &[&str]| list.iter().map(|version| (*version).to_owned()).collect::<Vec<_>>();
    let (old, both, new) = (versions(&["v1"]), versions(&["v1", "v2"]), versions(&["v2"]));
    let mut files = signed.files("one").await;
    files.iter_mut().for_each(|(_, versions)| versions.sort());
    assert_eq!(files, [(0, old.clone()), (3, both.clone()), (6, both), (7, new.clone()), (9, new)]);
    // The other config had the same signer, and keeps it.
    let files = signed.files("two").await;
    assert_eq!(files, [0, 3, 6, 7, 9].map(|start| (start, old.clone())));
    assert_eq!(signed.told().await, told(&[("v1", true), ("v2", true)]), "v1 signs for the other config");
    let active = signed.signers().await;
    let active: Vec<_> = active.as_array().expect("a list").iter().filter(|signer| signer["active"] == true).collect();
    assert_eq!(active.len(), 2);

    // Repeated, it changes nothing.
    let again = signed.rotate(false).await;
    assert_eq!((&again["key_created"], &again["ended"]), (&json!(false), &json!([])));
    signed.server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn signer_that_nobody_else_has_is_told_as_ended_after_the_overlap() {
    let server = TestServer::start().await;
    server.add_export_config("one", HOUR.unsigned_abs(), |_| {}).await;
    let mut signed = Signed { server, random: FakeRandom::seeded(6), public_keys: BTreeMap::new() };
    signed.rotate(false).await;
    signed.advance_to(4 * HOUR);
    assert_eq!(signed.told().await, told(&[("v1", true), ("v2", true)]));
    signed.advance_to(4 * HOUR + 1);
    assert_eq!(signed.told().await, told(&[("v1", false), ("v2", true)]));
    signed.server.stop().await;
}

#[test]
fn signer_is_rotated_by_command_and_a_dry_run_changes_nothing() {
    let folder = tempfile::tempdir().expect("temporary folder");
    let (config, services) = set_up(folder.path(), &HealthAuthority::new());
    write_config(folder.path(), &config);
    add_export_config(&services, "xx", 3600);
    drop(services);
    let command = ["export-config", "rotate-signer", "--id", "1", "--signing-key", "export-2", "--key-id", "310"];
    let rotate = |more: &[&str]| run_json(folder.path(), &[&command[..], more].concat());
    let signers = || run_json(folder.path(), &["export-config", "signers"]);
    let before = signers();
    let dry = rotate(&["--key-version", "v2", "--dry-run"]);
    assert_eq!((signers(), folder.path().join("keys/signing/export-2.pem").exists()), (before, false));
    let now = SystemClock.now().unix();
    let done = rotate(&["--key-version", "v2"]);
    let until = done["ended"][0]["thru_unix"].as_i64().expect("an end");
    assert!((now + 14 * DAY..now + 14 * DAY + 600).contains(&until), "two weeks unless told otherwise: {until}");
    assert_eq!((&dry["signer"], &dry["key_created"]), (&done["signer"], &json!(true)));
    let pem = tocsin_ok(folder.path(), &["keys", "public", "export-2"]);
    assert_eq!(done["public_key_pem"].as_str().map(str::trim), Some(pem.trim()));
    assert_eq!(signers().as_array().map(Vec::len), Some(2));

    for (arguments, reason) in [
        (&["--key-version", "v1"][..], "phones could not tell"),
        (&["--key-version", "v 3"], "letters, digits"),
        (&["--key-version", "v3", "--overlap", "999d"], "at most a year"),
        (&["--key-version", "v3", "--signing-key", "../x"], "not made of letters"),
        (&["--key-version", "v3", "--id", "7"], "no export config 7"),
    ] {
        // The last of two options of one name would be wrong usage: take the first away.
        let kept = command.chunks(2).filter(|pair| !arguments.contains(&pair[0])).flatten().copied();
        let arguments: Vec<&str> = kept.chain(arguments.iter().copied()).collect();
        for dry_run in [&["--dry-run"][..], &[]] {
            let output = tocsin(folder.path(), &[&arguments, dry_run].concat());
            let text = String::from_utf8_lossy(&output.stderr).into_owned();
            assert!(output.status.code() == Some(1) && text.contains(reason), "{arguments:?}: {text}");
        }
    }
    assert_eq!(signers().as_array().map(Vec::len), Some(2));
}
