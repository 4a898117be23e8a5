//! Whatever is sent: no panic, and never an acceptance.

use std::sync::LazyLock;

use proptest::prelude::*;

use tocsin_attestation::apple::app_attest::{ASSERTION, AppAttestConfig, Freshness, Mode, ReceiptRule};
use tocsin_attestation::apple::device_check;
use tocsin_attestation::cbor::Value;
use tocsin_attestation::challenge::ChallengeRule;
use tocsin_attestation::contract::{AttestedKey, HttpAnswer, Outcome};
use tocsin_attestation::x509::{Certificate, Key as _, PublicKey};

use crate::forge::{APP, Forge, Key, Parts, array, bytes, map, text};
use crate::support::Case;

// Made once: signing is slow.
static GOOD: LazyLock<Case> = LazyLock::new(|| Forge::default().case());
static PARTS: LazyLock<Parts> = LazyLock::new(|| Forge::default().parts());

/// The most permissive config.
fn permissive(case: &mut Case) {
    case.config = AppAttestConfig {
        mode: Mode::Registered,
        categories: Vec::new(),
        receipt: ReceiptRule::Ignored,
        freshness: Freshness::CertificateValidity,
        assertion_challenge: ChallengeRule::Optional,
        ..case.config.clone()
    };
}

fn as_assertion(case: &mut Case) {
    permissive(case);
    case.evidence.method = ASSERTION.to_owned();
    case.host.keys.push(AttestedKey {
        key_id: case.evidence.key_id.clone().unwrap_or_default(),
        app: APP.to_owned(),
        public_key: Key::p256(3).point(),
        development: false,
        counter: 0,
        attested_at: 0,
    });
}

/// Bytes, and one place where they get others.
fn splice(good: &[u8], at: prop::sample::Index, with: &[u8]) -> Vec<u8> {
    let mut changed = good.to_vec();
    let at = at.index(changed.len());
    let end = changed.len().min(at + with.len());
    changed.splice(at..end, with.iter().copied());
    changed
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn random_bytes_are_never_accepted(token in prop::collection::vec(any::<u8>(), 0..2_000)) {
        let case = GOOD.clone();
        for change in [|_: &mut Case| {}, permissive, as_assertion] {
            let judged = case.with(|case| {
                change(case);
                case.evidence.token = token.clone();
            });
            prop_assert!(judged.is_err());
        }
    }

    #[test]
    fn random_parts_of_an_object_are_never_accepted(data in prop::collection::vec(any::<u8>(), 0..300)) {
        let statement = map(&[text("x5c"), array(&[bytes(&data), bytes(&data)]), text("receipt"), bytes(&data)]);
        let attestation =
            map(&[text("fmt"), text("apple-appattest"), text("attStmt"), statement, text("authData"), bytes(&data)]);
        let assertion = map(&[text("signature"), bytes(&data), text("authenticatorData"), bytes(&data)]);
        let case = GOOD.clone();
        for (change, token) in [(permissive as fn(&mut Case), attestation), (as_assertion, assertion)] {
            let judged = case.with(|case| {
                change(case);
                case.evidence.token = token;
            });
            prop_assert!(judged.is_err());
        }
    }

    #[test]
    fn a_changed_certificate_or_key_is_never_trusted(
        at in any::<prop::sample::Index>(),
        with in prop::collection::vec(any::<u8>(), 1..8),
    ) {
        let parts = &*PARTS;
        let (leaf, intermediate) = (splice(&parts.leaf, at, &with), &parts.intermediate);
        prop_assume!(leaf != parts.leaf);
        let parent = Certificate::parse(intermediate).unwrap();
        prop_assert!(!Certificate::parse(&leaf).is_ok_and(|leaf| leaf.verify_issued_by::<PublicKey>(&parent).is_ok()));
        let _ = PublicKey::from_spki(&splice(parent.spki, at, &with));
    }

    #[test]
    fn a_receipt_with_a_changed_place_never_panics(
        at in any::<prop::sample::Index>(),
        with in prop::collection::vec(any::<u8>(), 1..8),
    ) {
        let parts = &*PARTS;
        let statement = map(&[
            text("x5c"),
            array(&[bytes(&parts.leaf), bytes(&parts.intermediate)]),
            text("receipt"),
            bytes(&splice(&parts.receipt, at, &with)),
        ]);
        let object = [text("fmt"), text("apple-appattest"), text("attStmt"), statement, text("authData")];
        let token = map(&[&object[..], &[bytes(&parts.auth_data)]].concat());
        let _ = GOOD.clone().with(|case| case.evidence.token = token);
    }

    #[test]
    fn readers_never_panic(data in prop::collection::vec(any::<u8>(), 0..300)) {
        let _ = Value::parse(&data);
        let _ = Certificate::parse(&data);
        let _ = PublicKey::from_spki(&data);
    }

    #[test]
    fn device_check_accepts_no_other_status_than_200(status: u16, body in prop::collection::vec(any::<u8>(), 0..64)) {
        prop_assume!(status != 200);
        let case = GOOD.clone();
        let config = device_check::DeviceCheckConfig {
            team_id: "A1B2C3D4E5".to_owned(),
            key_id: "A1B2C3D4E5".to_owned(),
            sign_key: "key".to_owned(),
            ..device_check::DeviceCheckConfig::default()
        };
        let mut evidence = case.evidence.clone();
        evidence.token = b"dG9rZW4=".to_vec();
        let answer = HttpAnswer::Response { status, body };
        let outcome = device_check::resume(&case.submission, &evidence, &config, &case.host, &answer);
        prop_assert!(matches!(outcome, Outcome::Reject(_)));
    }
}
