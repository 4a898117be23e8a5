//! Export files, checked by tools that are not ours: unzip, openssl, protoc; and the reference server's example, checked by
//! ours.

use std::path::{Path, PathBuf};
use tocsin_domain::export::read::parse_signatures;
use tocsin_domain::ports::Clock;
use tocsin_domain::testing::random::FakeRandom;
use tocsin_host::jobs::Job;
use tocsin_tests::harness::people::Phone;
use tocsin_tests::harness::process::tocsin;
use tocsin_tests::harness::server::TestServer;
use tocsin_tests::harness::{export_files, tools, workspace};

/// The message types of the export format, as `spec` and platform documentation give them: field names, numbers and types.
const PROTO: &str = r#"
syntax = "proto2";
message TemporaryExposureKeyExport {
  optional fixed64 start_timestamp = 1;
  optional fixed64 end_timestamp = 2;
  optional string region = 3;
  optional int32 batch_num = 4;
  optional int32 batch_size = 5;
  repeated SignatureInfo signature_infos = 6;
  repeated TemporaryExposureKey keys = 7;
  repeated TemporaryExposureKey revised_keys = 8;
}
message SignatureInfo {
  optional string verification_key_version = 3;
  optional string verification_key_id = 4;
  optional string signature_algorithm = 5;
}
message TemporaryExposureKey {
  optional bytes key_data = 1;
  optional int32 transmission_risk_level = 2;
  optional int32 rolling_start_interval_number = 3;
  optional int32 rolling_period = 4 [default = 144];
  optional int32 report_type = 5;
  optional sint32 days_since_onset_of_symptoms = 6;
}
message TEKSignatureList { repeated TEKSignature signatures = 1; }
message TEKSignature {
  optional SignatureInfo signature_info = 1;
  optional int32 batch_num = 2;
  optional int32 batch_size = 3;
  optional bytes signature = 4;
}
"#;

async fn exported_file(folder: &Path) -> (PathBuf, PathBuf) {
    let mut server = TestServer::start().await;
    server.add_export_config("xx", 3600, |_| {}).await;
    server.job(Job::CreateBatches).await;
    let random = FakeRandom::seeded(11);
    let mut client = server.client();
    for _ in 0..90 {
        let phone = Phone::new(&random, 14, server.clock.now());
        assert_eq!(client.publish(phone.body(&server.authority, "confirmed", server.clock.now())).await.status, 200);
    }
    server.clock.advance_seconds(3 * 3600);
    server.job(Job::CreateBatches).await;
    server.job(Job::DoWork).await;
    let pem = server.export_public_key().await;
    let file = export_files::download(&mut client, "xx", &pem).await.remove(0);
    server.stop().await;
    let (zip, key) = (folder.join("export.zip"), folder.join("public.pem"));
    std::fs::write(&zip, file.zip).expect("written");
    std::fs::write(&key, pem).expect("written");
    (zip, key)
}

#[tokio::test(flavor = "multi_thread")]
async fn unzip_openssl_and_protoc_accept_an_export() {
    let folder = tempfile::tempdir().expect("temporary folder");
    let folder = folder.path();
    exported_file(folder).await;
    if !["unzip", "openssl", "protoc"].into_iter().all(tools::has) {
        return;
    }
    let tested = tools::run(folder, "unzip", &["-t", "export.zip"]);
    assert!(tested.status.success(), "{}", String::from_utf8_lossy(&tested.stdout));
    assert!(String::from_utf8_lossy(&tested.stdout).contains("No errors detected"));
    assert!(tools::run(folder, "unzip", &["-q", "export.zip"]).status.success());

    let signatures = parse_signatures(&std::fs::read(folder.join("export.sig")).expect("read")).expect("parsed");
    std::fs::write(folder.join("signature.der"), &signatures[0].signature).expect("written");
    let arguments = ["dgst", "-sha256", "-verify", "public.pem", "-signature", "signature.der", "export.bin"];
    let verified = tools::run(folder, "openssl", &arguments);
    assert_eq!(String::from_utf8_lossy(&verified.stdout), "Verified OK\n");

    std::fs::write(folder.join("export.proto"), PROTO).expect("written");
    let content = std::fs::read(folder.join("export.bin")).expect("read");
    std::fs::write(folder.join("message"), &content[16..]).expect("written");
    let decoded = tools::run(
        folder,
        "sh",
        &[
            "-c",
            "protoc --decode TemporaryExposureKeyExport export.proto < message && protoc --decode TEKSignatureList export.proto < export.sig",
        ],
    );
    let text = String::from_utf8_lossy(&decoded.stdout);
    assert!(decoded.status.success(), "{}", String::from_utf8_lossy(&decoded.stderr));
    assert_eq!(text.matches("keys {").count(), 90 * 14);
    assert_eq!(text.matches("report_type: 1").count(), 90 * 14);
    assert_eq!(text.matches("verification_key_id: \"310\"").count(), 2);
    assert!(text.contains("region: \"XX\"") && text.contains("batch_num: 1") && text.contains("batch_size: 1"));
    assert!(!text.lines().any(|line| line.trim_start().starts_with(|c: char| c.is_ascii_digit())), "no unknown field");
}

#[tokio::test(flavor = "multi_thread")]
async fn our_own_verifier_accepts_an_export_and_refuses_a_changed_one() {
    let folder = tempfile::tempdir().expect("temporary folder");
    let (zip, key) = exported_file(folder.path()).await;
    let arguments = ["export", "verify", zip.to_str().expect("UTF-8"), "--key", key.to_str().expect("UTF-8")];
    let verified = tocsin(folder.path(), &arguments);
    assert!(verified.status.success(), "{}", String::from_utf8_lossy(&verified.stderr));
    let other = tocsin_host::signing::generate().0;
    let pem = p256::pkcs8::EncodePublicKey::to_public_key_pem(other.verifying_key(), Default::default()).expect("PEM");
    std::fs::write(&key, pem).expect("written");
    assert_eq!(tocsin(folder.path(), &arguments).status.code(), Some(1));
}

#[test]
fn the_example_of_the_reference_server_verifies() {
    let vectors = workspace().join("../shared/vectors/export");
    if !vectors.exists() {
        eprintln!("SKIPPED: the reference server's example is not beside this checkout");
        return;
    }
    let zip = vectors.join("testExport-2-records-1-of-1.zip");
    let key = vectors.join("public.pem");
    let folder = tempfile::tempdir().expect("temporary folder");
    let verified = tocsin(
        folder.path(),
        &["export", "verify", zip.to_str().expect("UTF-8"), "--key", key.to_str().expect("UTF-8"), "--json"],
    );
    assert!(verified.status.success(), "{}", String::from_utf8_lossy(&verified.stderr));
    let text = String::from_utf8(verified.stdout).expect("UTF-8");
    let report: serde_json::Value = serde_json::from_str(&text).expect("JSON");
    assert_eq!(report["region"], "US", "{report}");
}
