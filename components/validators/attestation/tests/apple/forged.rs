//! Attestations under a root of our own: what no real one shows.

use tocsin_attestation::apple::app_attest::{
    ANCHORS, AbsentRule, AppAttestConfig, Environment, Freshness, Mode, RECEIPT_ANCHORS, ReceiptRule,
};
use tocsin_attestation::challenge::ChallengeRule;
use tocsin_attestation::contract::{Commit, Stage};

use sha2::{Digest, Sha256};

use crate::forge::{
    Certificate, DEVELOPMENT, Forge, Key, NOW, array, authority, bytes, cose, extension, ios_27, map, sequence, text,
    tlv,
};
use crate::support::{Case, check_rejected};

#[track_caller]
fn check(code: &str, stage: Stage, change: impl FnOnce(&mut Forge)) {
    check_rejected(Forge::with(change).case().judge(), code, stage);
}

#[test]
fn a_forged_attestation_under_a_trusted_root_is_accepted() {
    let case = Forge::default().case();
    let acceptance = case.judge().unwrap();
    assert_eq!(acceptance.signals[0], ("environment".to_owned(), "production".to_owned()));
    let [Commit::ClaimOnce { expires_at, .. }] = acceptance.commits.as_slice() else { panic!("one claim") };
    assert_eq!(*expires_at, NOW - 10 + 300 + 60);
}

#[test]
fn an_attestation_with_a_changed_but_valid_signature_claims_the_same() {
    let commits = |forge: &Forge| forge.case().judge().unwrap().commits;
    let forge = Forge::default();
    let mirrored = Forge::with(|forge| {
        let (Key::P384(key), _) = &forge.leaf.signer else { panic!("an authority on P-384") };
        forge.leaf.signer = (Key::P384Mirrored(key.clone()), false);
    });
    assert_ne!(forge.parts().leaf, mirrored.parts().leaf);
    assert!(commits(&forge) == commits(&mirrored));
    // Nothing that Apple or the phone names the key by.
    let found = commits(&forge);
    let [Commit::ClaimOnce { space, digest, .. }] = found.as_slice() else { panic!("one claim") };
    assert_eq!((space.as_str(), digest.as_slice()), ("app-attest", &Sha256::digest(forge.leaf.key.spki())[..]));
    assert_ne!(digest.as_slice(), forge.credential_id);
}

#[test]
fn an_attestation_must_answer_a_challenge_where_that_is_asked() {
    let required = |case: &mut Case| case.config.challenge = ChallengeRule::Required;
    let case = Forge::default().case();
    check_rejected(case.with(required), "challenge-missing", Stage::Freshness);
    let empty = |case: &mut Case| case.submission.challenge = Some(Vec::new());
    check_rejected(case.with(|case| (required(case), empty(case)).0), "challenge-missing", Stage::Freshness);
    let answers = |case: &mut Case| case.submission.challenge = Some(vec![7]);
    assert!(case.with(|case| (required(case), answers(case)).0).is_ok());
    assert!(case.with(|_| ()).is_ok());
}

#[test]
fn config_problems_are_found_before_evidence_is_read() {
    let check = |change: &dyn Fn(&mut Case)| {
        check_rejected(Forge::default().case().with(change), "config-missing", Stage::Config);
    };
    check(&|case| case.config = AppAttestConfig::default());
    check(&|case| case.config.team_id = "a1b2c3d4e5".to_owned());
    check(&|case| case.config.environments.clear());
    check(&|case| case.config.max_age_seconds = 0);
    check(&|case| case.config.receipt = ReceiptRule::Ignored);
    check(&|case| case.config.bundle_id = Some(String::new()));
    check(&|case| case.submission.transcripts.truncate(1));
    check(&|case| case.evidence.method = "safetynet".to_owned());
    check(&|case| _ = case.host.anchors.remove(ANCHORS));
    check(&|case| _ = case.host.anchors.remove(RECEIPT_ANCHORS));
}

#[test]
fn config_is_strict_and_its_defaults_are_secure() {
    let config: AppAttestConfig = serde_json::from_str(r#"{"team_id":"A1B2C3D4E5"}"#).unwrap();
    assert_eq!(config, AppAttestConfig { team_id: "A1B2C3D4E5".to_owned(), ..AppAttestConfig::default() });
    assert_eq!(
        (config.mode, config.receipt, config.freshness),
        (Mode::OneShot, ReceiptRule::Required, Freshness::Receipt)
    );
    assert_eq!((config.environments, config.categories), (vec![Environment::Production], vec![2, 4]));
    assert_eq!((config.max_age_seconds, config.skew_seconds), (300, 60));
    assert_eq!(config.assertion_challenge, ChallengeRule::Required);
    assert_eq!(config.challenge, ChallengeRule::Optional);
    assert!(serde_json::from_str::<AppAttestConfig>(r#"{"team":"A1B2C3D4E5"}"#).is_err());
    assert!(serde_json::from_str::<AppAttestConfig>(r#"{"freshness":"never"}"#).is_err());
}

#[test]
fn objects_of_another_shape_are_malformed() {
    let parts = Forge::default().parts();
    let (leaf, intermediate) = (bytes(&parts.leaf), bytes(&parts.intermediate));
    let object = |format: Vec<u8>, chain: Vec<u8>, auth_data: Vec<u8>| {
        let statement = map(&[text("x5c"), chain, text("receipt"), bytes(&parts.receipt)]);
        map(&[text("fmt"), format, text("attStmt"), statement, text("authData"), auth_data])
    };
    let check = |code: &str, token: Vec<u8>| {
        check_rejected(Forge::default().case().with(|case| case.evidence.token = token), code, Stage::Parse);
    };
    let format = || text("apple-appattest");
    let chain = || array(&[leaf.clone(), intermediate.clone()]);
    let auth_data = || bytes(&parts.auth_data);
    let good = object(format(), chain(), auth_data());
    assert!(Forge::default().case().with(|case| case.evidence.token = good.clone()).is_ok());

    check("aa-malformed", Vec::new());
    check("aa-malformed", vec![0; 16 * 1024 + 1]);
    check("aa-malformed", [good.as_slice(), &[0]].concat());
    check("aa-malformed", text("apple-appattest"));
    check("aa-malformed", map(&[text("fmt"), format(), text("fmt"), format()]));
    check("aa-malformed", map(&[text("fmt"), format()]));
    check("aa-malformed", object(bytes(b"apple-appattest"), chain(), auth_data()));
    check("aa-malformed", object(format(), leaf.clone(), auth_data()));
    check("aa-malformed", object(format(), array(std::slice::from_ref(&leaf)), auth_data()));
    check(
        "aa-malformed",
        object(format(), array(&[leaf.clone(), intermediate.clone(), intermediate.clone()]), auth_data()),
    );
    check("aa-malformed", object(format(), array(&[leaf.clone(), bytes(&[0x30, 0])]), auth_data()));
    check("aa-malformed", object(format(), array(&[leaf.clone(), text("certificate")]), auth_data()));
    check("aa-malformed", object(format(), chain(), text("data")));
    check("aa-fmt", object(text("packed"), chain(), auth_data()));
    check("aa-authdata", object(format(), chain(), bytes(&parts.auth_data[..36])));
    check("aa-authdata", object(format(), chain(), bytes(&parts.auth_data[..60])));
}

#[test]
fn authenticator_data_of_another_shape_is_refused() {
    let check = |change: &dyn Fn(&mut Forge)| check("aa-authdata", Stage::Parse, change);
    check(&|forge| forge.flags = 0x01);
    check(&|forge| forge.credential_id = vec![1; 31]);
    check(&|forge| forge.credential_id = vec![1; 33]);
    check(&|forge| forge.cose = vec![0xff]);
    check(&|forge| forge.extensions = vec![0]);
    check(&|forge| forge.extensions = vec![0xa1]);
    check(&|forge| forge.extensions = [ios_27(4, "1"), vec![0xa0]].concat());
    check(&|forge| forge.extensions = map(&[vec![1], vec![1]]));
    check(&|forge| forge.extensions = map(&[text("apple_validation_category_01"), bytes(&[4])]));
    check(&|forge| forge.extensions = map(&[text("apple_validation_category_01"), text("4")]));
    check(&|forge| forge.extensions = map(&[text("apple_bundle_version_01"), bytes(b"1")]));
    check(&|forge| {
        forge.extensions = map(&[text("apple_bundle_version_01"), text("1"), text("bundleVersion"), text("1")]);
    });
}

#[test]
fn only_the_one_shape_of_chain_is_trusted() {
    let check = |change: &dyn Fn(&mut Forge)| check("aa-chain", Stage::Chain, change);
    check(&|forge| forge.leaf.issuer = "Attestation Root".to_owned());
    check(&|forge| forge.leaf.signer = (Key::p384(9), false));
    check(&|forge| forge.leaf.constraints = Some(authority(None)));
    check(&|forge| forge.leaf.extensions = vec![extension("1.2.3.4", true, &[5, 0])]);
    check(&|forge| forge.intermediate.extensions = vec![extension("1.2.3.4", true, &[5, 0])]);
    check(&|forge| forge.intermediate.constraints = None);
    check(&|forge| forge.intermediate.constraints = Some(sequence(&[])));
    check(&|forge| forge.intermediate.constraints = Some(authority(None)));
    check(&|forge| forge.intermediate.constraints = Some(authority(Some(1))));
    check(&|forge| forge.intermediate.usage = Some(0x02));
    check(&|forge| forge.intermediate.signer = (Key::p384(9), true));
    check(&|forge| forge.root.subject = "Another Root".to_owned());
    check(&|forge| forge.root.constraints = None);
    check(&|forge| forge.root.constraints = Some(authority(Some(0))));
}

#[test]
fn any_extended_key_usage_is_accepted() {
    // As Apple's of 2026.
    let purposes = sequence(&[crate::forge::oid("1.2.840.113635.100.4.24")]);
    for critical in [false, true] {
        let leaf = extension("2.5.29.37", critical, &purposes);
        assert!(Forge::with(|forge| forge.leaf.extensions.push(leaf)).case().judge().is_ok());
    }
}

#[test]
fn every_certificate_must_be_valid_now() {
    let certificates: [fn(&mut Forge) -> &mut Certificate; 3] =
        [|forge| &mut forge.leaf, |forge| &mut forge.intermediate, |forge| &mut forge.root];
    for certificate in certificates {
        check("aa-chain-expired", Stage::Chain, |forge| certificate(forge).not_after = NOW - 1);
        check("aa-chain-expired", Stage::Chain, |forge| certificate(forge).not_before = NOW + 1);
        let on_the_second = Forge::with(|forge| certificate(forge).not_after = NOW);
        assert!(on_the_second.case().judge().is_ok());
    }
}

#[test]
fn a_nonce_must_be_there_once_and_in_its_only_form() {
    let nonce = |value: &[u8]| Some(extension("1.2.840.113635.100.8.2", false, value));
    let octets = tlv(0xa1, &tlv(4, &[7; 32]));
    for value in [
        extension("1.2.840.113635.100.8.3", false, &sequence(std::slice::from_ref(&octets))),
        nonce(&[]).unwrap(),
        nonce(&octets).unwrap(),
        nonce(&sequence(&[tlv(0xa1, &tlv(4, &[7; 31]))])).unwrap(),
        nonce(&sequence(&[octets.clone(), tlv(5, &[])])).unwrap(),
        nonce(&[sequence(std::slice::from_ref(&octets)), vec![0]].concat()).unwrap(),
    ] {
        check("aa-nonce-missing", Stage::Binding, |forge| forge.nonce = Some(value));
    }
    check("binding-mismatch", Stage::Binding, |forge| forge.nonce = nonce(&sequence(std::slice::from_ref(&octets))));
    // A second extension of the same name makes the certificate unreadable.
    check("aa-malformed", Stage::Parse, |forge| forge.leaf.extensions.extend(nonce(&sequence(&[octets]))));
}

#[test]
fn the_key_must_be_the_same_everywhere() {
    let other = Key::p256(9).point();
    check("aa-key-id", Stage::Identity, |forge| forge.leaf.key = Key::p384(3));
    check("aa-credential-id", Stage::Identity, |forge| forge.credential_id = vec![1; 32]);
    check("aa-cose-key", Stage::Identity, |forge| forge.cose = cose(&other));
    check("aa-cose-key", Stage::Identity, |forge| forge.cose = map(&[]));
    check("aa-cose-key", Stage::Identity, |forge| forge.cose = vec![0]);
    // One entry more, and each of the fixed ones changed.
    let good = Forge::default().cose;
    check("aa-cose-key", Stage::Identity, |forge| forge.cose = [&[0xa6], &good[1..], &[4, 4]].concat());
    // Type, algorithm, curve, and a byte of each coordinate.
    for position in [2, 4, 6, 20, 60] {
        check("aa-cose-key", Stage::Identity, |forge| forge.cose[position] ^= 1);
    }
}

#[test]
fn app_counter_and_environment_are_checked() {
    check("app-mismatch", Stage::Identity, |forge| forge.rp_id_hash = [1; 32]);
    check("aa-counter", Stage::State, |forge| forge.counter = 1);
    check("aa-environment", Stage::Identity, |forge| forge.aaguid = DEVELOPMENT);
    check("aa-environment", Stage::Identity, |forge| forge.aaguid = *b"appattest\0\0\0\0\0\0\x01");
    let case = Forge::with(|forge| forge.aaguid = DEVELOPMENT).case();
    let judged = case.with(|case| case.config.environments.push(Environment::Development));
    assert_eq!(judged.unwrap().signals[0].1, "development");
}

#[test]
fn what_ios_27_says_of_the_app_is_checked() {
    let judge = |extensions: &[u8], change: &dyn Fn(&mut AppAttestConfig)| {
        Forge::with(|forge| forge.extensions = extensions.to_vec()).case().with(|case| change(&mut case.config))
    };
    let defaults = |_: &mut AppAttestConfig| {};
    let versions = |config: &mut AppAttestConfig| config.bundle_versions = vec!["17".to_owned()];
    let refuse = |config: &mut AppAttestConfig| config.category_absent = AbsentRule::Refuse;
    for (category, signal) in [(2, "2"), (4, "4")] {
        let acceptance = judge(&ios_27(category, "17"), &versions).unwrap();
        assert_eq!(acceptance.signals[1], ("category".to_owned(), signal.to_owned()));
        assert!(judge(&ios_27(category, "17"), &refuse).is_ok());
    }
    for category in [0, 1, 3, 5, 6, 10, 200] {
        check_rejected(judge(&ios_27(category, "17"), &defaults), "aa-category", Stage::Integrity);
        assert!(judge(&ios_27(category, "17"), &|config| config.categories.clear()).is_ok());
    }
    check_rejected(judge(&[], &refuse), "aa-category", Stage::Integrity);
    check_rejected(judge(&ios_27(4, "16"), &versions), "aa-bundle-version", Stage::Integrity);
    assert!(judge(&[], &versions).is_ok());
    let only_category = map(&[text("apple_validation_category_01"), vec![4]]);
    assert!(judge(&only_category, &versions).is_ok());
    check_rejected(
        judge(&only_category, &|config| (versions(config), refuse(config)).0),
        "aa-bundle-version",
        Stage::Integrity,
    );
    // The other spelling, a plain number, and something else beside.
    let other =
        map(&[text("validationCategory"), vec![2], text("bundleVersion"), text("17"), text("more"), vec![0xf5]]);
    assert!(judge(&other, &|config| (versions(config), refuse(config)).0).is_ok());
    // A flag that says extensions follow changes nothing.
    let flagged = Forge::with(|forge| (forge.flags, forge.extensions) = (0xc0, ios_27(4, "17")));
    assert!(flagged.case().judge().is_ok());
}

#[test]
fn a_claim_lasts_at_most_30_days() {
    let case = Forge::with(|forge| forge.leaf.not_after = NOW + 300 * 86_400).case();
    let judged = case.with(|case| {
        case.config.receipt = ReceiptRule::Ignored;
        case.config.freshness = Freshness::CertificateValidity;
    });
    let commits = judged.unwrap().commits;
    let [Commit::ClaimOnce { expires_at, .. }] = commits.as_slice() else { panic!("one claim") };
    assert_eq!(*expires_at, NOW + 30 * 86_400);
}

#[test]
fn a_registered_key_is_stored_and_not_twice() {
    let case = Forge::default().case();
    let registered = |case: &mut Case| case.config.mode = Mode::Registered;
    let commits = case.with(registered).unwrap().commits;
    let [Commit::StoreKey(key)] = commits.as_slice() else { panic!("a key to store") };
    assert_eq!(
        (key.app.as_str(), key.public_key.len(), key.counter, key.development),
        ("org.example.Notify", 65, 0, false)
    );
    let judged = case.with(|case| {
        registered(case);
        case.host.keys.push(key.clone());
    });
    check_rejected(judged, "key-exists", Stage::State);
}
