//! Real attestations and assertions, as four phones with iOS 14 made them.

use sha2::{Digest, Sha256};

use tocsin_attestation::apple::app_attest::{
    ANCHORS, ASSERTION, ATTESTATION, AppAttestConfig, Environment, Freshness, Mode, RECEIPT_ANCHORS, ReceiptRule,
};
use tocsin_attestation::contract::{AttestedKey, Commit, Evidence, Stage};

use crate::support::{
    Case, Document, Host, attestation_root, base64, check_rejected, receipt_root, seconds, submission, vectors,
};

/// The case of each vector's attestation, five seconds after Apple made it, and its assertion.
fn cases() -> Vec<(Case, Document)> {
    let of = |(_, documents): (String, Vec<Document>)| {
        let find =
            |kind: &str| documents.iter().find(|document| document.get("type").is_some_and(|found| found == kind));
        let (attestation, assertion) = (find("attestation").unwrap(), find("assertion").unwrap());
        let receipt =
            documents.iter().find(|document| document.get("type").is_some_and(|kind| kind == "ATTEST")).unwrap();
        let hash: [u8; 32] = base64(&attestation["clientDataHashSha256Base64"]).try_into().unwrap();
        assert_eq!(hash[..], Sha256::digest(base64(&attestation["clientDataBase64"]))[..]);
        let case = Case {
            host: Host::new(seconds(&receipt["creationTime"]) + 5, attestation_root(), receipt_root()),
            submission: submission(&attestation["bundleIdentifier"], hash),
            evidence: Evidence {
                method: ATTESTATION.to_owned(),
                token: base64(&attestation["attestationBase64"]),
                key_id: Some(base64(&attestation["keyIdBase64"])),
                ..Evidence::default()
            },
            config: AppAttestConfig {
                team_id: attestation["teamIdentifier"].clone(),
                environments: vec![Environment::Development],
                ..AppAttestConfig::default()
            },
        };
        (case, assertion.clone())
    };
    vectors().into_iter().map(of).collect()
}

#[test]
fn the_roots_are_those_that_apple_publishes() {
    let hex = |der: Vec<u8>| Sha256::digest(der).iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    assert_eq!(hex(attestation_root()), "1cb9823ba28ba6ad2d33a006941de2ae4f513ef1d4e831b9f7e0fa7b6242c932");
    assert_eq!(hex(receipt_root()), "63343abfb89a6a03ebb57e9b3f5fa7be7c4f5c756f3017b3a8c488c3653e9179");
}

#[test]
fn real_attestations_are_accepted_and_claimed_once() {
    for (case, _) in cases() {
        let acceptance = case.judge().unwrap();
        let signal = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        assert_eq!(acceptance.signals, [signal("environment", "development"), signal("category", "absent")]);
        let [Commit::ClaimOnce { space, expires_at, .. }] = acceptance.commits.as_slice() else { panic!("one claim") };
        assert_eq!(space, "app-attest");
        // Made five seconds ago, good for 300, and remembered for 60 more.
        assert_eq!(*expires_at, case.host.now + 355);
    }
}

#[test]
fn each_changed_input_has_its_code() {
    for (case, _) in cases() {
        let check = |code, stage, change: &dyn Fn(&mut Case)| check_rejected(case.with(change), code, stage);
        let set_hash = |case: &mut Case, hash| case.submission.transcripts[1].sha256 = hash;

        check("binding-mismatch", Stage::Binding, &|case| set_hash(case, [1; 32]));
        check("aa-key-id", Stage::Identity, &|case| case.evidence.key_id = Some(vec![1; 32]));
        check("aa-key-id", Stage::Identity, &|case| case.evidence.key_id = None);
        check("app-mismatch", Stage::Identity, &|case| case.submission.app = "org.example.other".to_owned());
        check("app-mismatch", Stage::Identity, &|case| case.config.team_id = "ABCDEFGHIJ".to_owned());
        check("app-mismatch", Stage::Identity, &|case| {
            case.config.bundle_id = Some(case.submission.app.to_uppercase());
        });
        check("aa-environment", Stage::Identity, &|case| case.config.environments = vec![Environment::Production]);
        check("aa-chain", Stage::Chain, &|case| {
            case.host.anchors.insert(ANCHORS.to_owned(), vec![receipt_root()]);
        });
        check("aa-receipt-chain", Stage::Chain, &|case| {
            case.host.anchors.insert(RECEIPT_ANCHORS.to_owned(), vec![attestation_root()]);
        });
        check("aa-chain-expired", Stage::Chain, &|case| case.host.now += 3 * 86_400);
        check("aa-chain-expired", Stage::Chain, &|case| case.host.now -= 86_400 + 10);
        check("stale", Stage::Freshness, &|case| case.host.now += 296);
        assert!(case.with(|case| case.host.now += 295).is_ok());
        check("in-future", Stage::Freshness, &|case| case.host.now -= 66);
        assert!(case.with(|case| case.host.now -= 65).is_ok());
    }
}

#[test]
fn without_the_receipt_the_certificate_may_say_how_old_an_attestation_is() {
    for (case, _) in cases() {
        let dated = |now: i64, freshness| {
            case.with(|case| {
                case.config.receipt = ReceiptRule::Ignored;
                case.config.freshness = freshness;
                case.host.now += now;
            })
        };
        assert!(dated(0, Freshness::CertificateDates).is_ok());
        assert!(dated(290, Freshness::CertificateDates).is_ok());
        check_rejected(dated(300, Freshness::CertificateDates), "stale", Stage::Freshness);
        check_rejected(dated(-70, Freshness::CertificateDates), "in-future", Stage::Freshness);
        assert!(dated(86_400, Freshness::CertificateValidity).is_ok());
    }
}

#[test]
fn no_tampered_byte_is_accepted() {
    let Some((case, _)) = cases().into_iter().next() else { return };
    let token = &case.evidence.token;
    let find = |name: &[u8]| token.windows(name.len()).position(|window| window == name).unwrap();
    let (receipt, auth_data) = (find(b"receipt"), find(b"authData"));
    let content = receipt + 68;
    let certificates = content + 1_000;
    for position in (0..token.len()).step_by(23) {
        let judged = case.with(|case| case.evidence.token[position] ^= 0x10);
        // Nobody signed the envelope of the receipt, and the root in it is not looked at.
        if (receipt..content).contains(&position) || (certificates..auth_data).contains(&position) {
            continue;
        }
        assert!(judged.is_err(), "byte {position}");
    }
}

#[test]
fn a_registered_key_makes_assertions() {
    for (mut case, assertion) in cases() {
        case.config.mode = Mode::Registered;
        case.submission.challenge = Some(b"wurzel".to_vec());
        let commits = case.judge().unwrap().commits;
        let [Commit::StoreKey(key)] = commits.as_slice() else { panic!("a key to store") };
        assert_eq!(key.key_id, base64(&assertion["keyIdBase64"]));
        assert_eq!(key.key_id, Sha256::digest(&key.public_key)[..]);
        assert_eq!((key.counter, key.development, key.attested_at), (0, true, case.host.now));
        case.host.keys.push(key.clone());
        check_rejected(case.judge(), "key-exists", Stage::State);

        case.evidence.method = ASSERTION.to_owned();
        case.evidence.token = base64(&assertion["assertionBase64"]);
        let acceptance = case.judge().unwrap();
        let step = Commit::AdvanceCounter { key_id: key.key_id.clone(), expected: 0, next: 1 };
        assert_eq!(acceptance.commits, [step]);

        let check = |code, stage, change: &dyn Fn(&mut Case)| check_rejected(case.with(change), code, stage);
        let set_key = |case: &mut Case, change: &dyn Fn(&mut AttestedKey)| change(&mut case.host.keys[0]);
        check("config-missing", Stage::Config, &|case| case.config.mode = Mode::OneShot);
        check("aa-unknown-key", Stage::State, &|case| case.host.keys.clear());
        check("aa-unknown-key", Stage::State, &|case| case.evidence.key_id = None);
        check("aa-environment", Stage::Identity, &|case| set_key(case, &|key| key.development = false));
        check("aa-assert-signature", Stage::Signature, &|case| case.submission.transcripts[1].sha256 = [1; 32]);
        check("aa-assert-signature", Stage::Signature, &|case| set_key(case, &|key| key.public_key.truncate(33)));
        check("app-mismatch", Stage::Identity, &|case| case.config.bundle_id = Some("org.example.other".to_owned()));
        check("aa-counter", Stage::State, &|case| set_key(case, &|key| key.counter = 1));
        check("challenge-missing", Stage::Freshness, &|case| case.submission.challenge = None);
        for position in 0..case.evidence.token.len() {
            assert!(case.with(|case| case.evidence.token[position] ^= 1).is_err(), "byte {position}");
        }
    }
}
