//! Assertions by a key of our own.

use sha2::{Digest, Sha256};

use tocsin_attestation::apple::app_attest::{ASSERTION, AbsentRule, AppAttestConfig, Mode};
use tocsin_attestation::challenge::ChallengeRule;
use tocsin_attestation::contract::{AttestedKey, Commit, Stage};

use crate::forge::{APP, Forge, HASH, Key, bytes, ios_27, map, text};
use crate::support::{Case, check_rejected};

/// Signed authenticator data of that counter with something at its end, by the key of [`Forge`].
fn assertion(counter: u32, end: &[u8]) -> Vec<u8> {
    let forge = Forge::default();
    let data = [&forge.rp_id_hash[..], &[0x40], &counter.to_be_bytes(), end].concat();
    let nonce = Sha256::new().chain_update(&data).chain_update(HASH).finalize();
    map(&[text("signature"), bytes(&forge.leaf.key.sign(false, &nonce)), text("authenticatorData"), bytes(&data)])
}

fn case(token: Vec<u8>) -> Case {
    let mut case = Forge::default().case();
    case.config.mode = Mode::Registered;
    case.submission.challenge = Some(vec![1; 16]);
    case.host.keys.push(AttestedKey {
        key_id: case.evidence.key_id.clone().unwrap(),
        app: APP.to_owned(),
        public_key: Key::p256(3).point(),
        development: false,
        counter: 4,
        attested_at: 0,
    });
    case.evidence.method = ASSERTION.to_owned();
    case.evidence.token = token;
    case
}

#[test]
fn the_counter_must_grow_and_is_advanced() {
    for counter in [5, 6, u32::MAX] {
        let case = case(assertion(counter, &[]));
        let step = Commit::AdvanceCounter { key_id: case.evidence.key_id.clone().unwrap(), expected: 4, next: counter };
        assert_eq!(case.judge().unwrap().commits, [step]);
    }
    for counter in [0, 3, 4] {
        check_rejected(case(assertion(counter, &[])).judge(), "aa-counter", Stage::State);
    }
}

#[test]
fn objects_of_another_shape_are_malformed() {
    let data = |length: usize| bytes(&vec![0x40; length]);
    for token in [
        Vec::new(),
        vec![0; 4 * 1024 + 1],
        vec![0x80],
        map(&[text("signature"), bytes(&[1])]),
        map(&[text("authenticatorData"), data(37)]),
        map(&[text("signature"), text("x"), text("authenticatorData"), data(37)]),
        map(&[text("signature"), bytes(&[1]), text("authenticatorData"), data(36)]),
        map(&[text("signature"), bytes(&[1]), text("authenticatorData"), bytes(&[0; 37])]),
        map(&[text("signature"), bytes(&[1]), text("authenticatorData"), data(38)]),
        [assertion(5, &[]), vec![0]].concat(),
    ] {
        check_rejected(case(token).judge(), "aa-assert-malformed", Stage::Parse);
    }
    let unsigned = map(&[text("signature"), bytes(&[]), text("authenticatorData"), data(37)]);
    check_rejected(case(unsigned).judge(), "aa-assert-signature", Stage::Signature);
}

#[test]
fn a_key_of_another_app_is_unknown() {
    let case = case(assertion(5, &[]));
    check_rejected(case.with(|case| case.host.keys[0].app = "other".to_owned()), "aa-unknown-key", Stage::State);
    // Even if the host is careless.
    let changes: [fn(&mut AttestedKey); 2] = [|key| key.app = "other".to_owned(), |key| key.key_id = vec![1; 32]];
    for change in changes {
        let judged = case.with(|case| {
            case.host.careless = true;
            change(&mut case.host.keys[0]);
        });
        check_rejected(judged, "aa-unknown-key", Stage::State);
    }
    let judged = case.with(|case| case.host.keys[0].public_key = Key::p256(9).point());
    check_rejected(judged, "aa-assert-signature", Stage::Signature);
}

#[test]
fn a_challenge_is_required_unless_switched_off() {
    let case = case(assertion(5, &[]));
    for challenge in [None, Some(Vec::new())] {
        let judged = case.with(|case| case.submission.challenge = challenge.clone());
        check_rejected(judged, "challenge-missing", Stage::Freshness);
        let judged = case.with(|case| {
            case.submission.challenge = challenge.clone();
            case.config.assertion_challenge = ChallengeRule::Optional;
        });
        assert!(judged.is_ok());
    }
}

#[test]
fn what_ios_27_says_of_the_app_is_checked_where_switched_on() {
    let judge = |end: &[u8], change: &dyn Fn(&mut AppAttestConfig)| {
        case(assertion(5, end)).with(|case| change(&mut case.config))
    };
    let on = |config: &mut AppAttestConfig| config.check_assertion_extensions = true;
    assert_eq!(judge(&ios_27(3, "1"), &|_| {}).unwrap().signals[1].1, "3");
    assert!(judge(&ios_27(4, "1"), &on).is_ok());
    check_rejected(judge(&ios_27(3, "1"), &on), "aa-category", Stage::Integrity);
    let absent = |config: &mut AppAttestConfig| (on(config), config.category_absent = AbsentRule::Refuse).0;
    check_rejected(judge(&[], &absent), "aa-category", Stage::Integrity);
    let versions = |config: &mut AppAttestConfig| (on(config), config.bundle_versions = vec!["2".to_owned()]).0;
    check_rejected(judge(&ios_27(4, "1"), &versions), "aa-bundle-version", Stage::Integrity);
}
