//! Chains of our own making: one that is right in everything, and for each rule about chains one that breaks it.

use std::collections::BTreeSet;

use sha2::{Digest, Sha256};

use tocsin_attestation::android_key::CLAIM_SPACE;
use tocsin_attestation::challenge::ChallengeRule;
use tocsin_attestation::contract::{Commit, Stage};

use crate::case::{Case, NOW, check, check_accepted, factory, remote, target};
use crate::make::{ATTESTATION, Certificate, PROVISIONING, integer, mirror_signature, octets};
use crate::support::{code, judge};

#[test]
fn a_good_chain_is_accepted_once_and_says_only_what_many_devices_share() {
    for (base, provisioning) in [(factory as fn() -> Case, "factory"), (remote, "remote")] {
        let acceptance = base().judge().expect("an acceptance");
        let signals: Vec<(&str, &str)> =
            acceptance.signals.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        assert_eq!(
            signals,
            [("security-level", "tee"), ("provisioning", provisioning), ("attestation-version", "400")]
        );
        let certificates = base().certificates();
        let leaf = tocsin_attestation::x509::Certificate::parse(&certificates[0]).expect("a certificate");
        let claim = Commit::ClaimOnce {
            space: CLAIM_SPACE.to_owned(),
            digest: Sha256::digest(leaf.spki).into(),
            expires_at: NOW + 86_400 + 3_600,
        };
        assert!(acceptance.commits == [claim]);
    }
}

#[test]
fn a_changed_but_valid_signature_is_still_the_same_key() {
    let case = factory();
    let mut certificates = case.certificates();
    let first = judge(&case.submission, &certificates, &case.config, &case.host).expect("an acceptance");
    let mirrored = mirror_signature(&certificates[0]);
    assert_ne!(mirrored, certificates[0]);
    certificates[0] = mirrored;
    let second = judge(&case.submission, &certificates, &case.config, &case.host).expect("an acceptance");
    assert!(first.commits == second.commits);
}

#[test]
fn a_claim_outlives_every_time_at_which_its_key_is_accepted() {
    let mut case = factory();
    // The phone's clock is as far ahead as it may be.
    case.software().set(701, integer(u64::try_from(NOW + 3_600).expect("after 1970") * 1_000));
    let Commit::ClaimOnce { expires_at, .. } = &case.judge().expect("an acceptance").commits[0] else {
        panic!("no claim")
    };
    case.host.now = *expires_at;
    assert_eq!(code(&case.judge()), "accepted");
    case.host.now += 1;
    assert_eq!(code(&case.judge()), "stale");
}

#[test]
fn without_its_configuration_nothing_is_accepted() {
    let expected = ("config-missing", Stage::Config);
    check("no signers", factory, |case| case.config.certificate_sha256.clear(), expected);
    check("no age", factory, |case| case.config.max_age_seconds = 0, expected);
    check("no anchors", factory, |case| case.host.anchors.clear(), expected);
    check("no transcript", factory, |case| case.submission.transcripts.truncate(1), expected);
}

#[test]
fn a_challenge_is_required_unless_the_operator_says_otherwise() {
    check("none", factory, |case| case.submission.challenge = None, ("challenge-missing", Stage::Freshness));
    check("empty", factory, |case| case.submission.challenge = Some(vec![]), ("challenge-missing", Stage::Freshness));
    check_accepted("not required", factory, |case| {
        case.submission.challenge = None;
        case.config.challenge = ChallengeRule::Optional;
    });
}

#[test]
fn what_is_no_chain_is_refused_before_any_signature_is_checked() {
    let expected = ("ka-chain-shape", Stage::Parse);
    check("none", factory, |case| case.chain.clear(), expected);
    check("two", factory, |case| drop(case.chain.drain(1..3)), expected);
    check(
        "seven",
        remote,
        |case| case.chain.extend([factory().chain[3].clone(), factory().chain[3].clone()]),
        expected,
    );
    check("a root of somebody else's", factory, |case| case.chain[3].issuer = "other".to_owned(), expected);
    check("a negative serial number", factory, |case| case.chain[1].serial = vec![0x80], expected);
    check("no serial number", factory, |case| case.chain[1].serial = Vec::new(), expected);
    check("a date that is none", factory, |case| case.chain[1].from = "2613010000", expected);
    let case = factory();
    for index in 0..4 {
        let mut certificates = case.certificates();
        certificates[index].push(0);
        let found = judge(&case.submission, &certificates, &case.config, &case.host);
        assert_eq!(code(&found), "ka-chain-shape");
        certificates[index] = vec![0x30; 20_000];
        let found = judge(&case.submission, &certificates, &case.config, &case.host);
        assert_eq!(code(&found), "ka-chain-shape");
    }
}

#[test]
fn a_root_is_known_by_name_and_key() {
    let expected = ("ka-root", Stage::Chain);
    let forge = |case: &mut Case| {
        let length = case.chain.len();
        case.chain[length - 1].key = 77;
        case.chain[length - 1].issuer_key = 77;
        case.chain[length - 2].issuer_key = 77;
    };
    check("the name with another key", factory, forge, expected);
    check("the name with another key", remote, forge, expected);
    let rename = |case: &mut Case| {
        case.chain[3].subject = "other".to_owned();
        case.chain[3].issuer = "other".to_owned();
        case.chain[2].issuer = "other".to_owned();
    };
    check("the key with another name", factory, rename, expected);
    check_accepted("another certificate of the same authority, long expired", factory, |case| {
        case.chain[3].serial = vec![99];
        case.chain[3].from = "1601010000";
        case.chain[3].to = "2001010000";
    });
}

#[test]
fn each_link_needs_the_name_and_the_signature() {
    for index in 0..3 {
        let name = format!("certificate {index}");
        check(&name, factory, |case| case.chain[index].issuer_key = 66, ("ka-chain", Stage::Chain));
        check(&name, factory, |case| case.chain[index].issuer.push('x'), ("ka-chain", Stage::Chain));
    }
    check("other letters", factory, |case| case.chain[0].issuer = "Attestation".to_owned(), ("ka-chain", Stage::Chain));
}

#[test]
fn dates_count_for_all_but_the_ends() {
    let expected = ("ka-chain-expired", Stage::Chain);
    for index in 1..4 {
        check("expired", remote, |case| case.chain[index].to = "2601142359", expected);
        check("not yet valid", remote, |case| case.chain[index].from = "2601150001", expected);
    }
    for index in 1..3 {
        check("a factory's, not yet valid", factory, |case| case.chain[index].from = "2601150001", expected);
        check_accepted("a factory's, expired", factory, |case| case.chain[index].to = "2601142359");
    }
    check_accepted("the leaf, expired", remote, |case| case.chain[0].to = "7101010000");
    check_accepted("the leaf, not yet valid", remote, |case| case.chain[0].from = "4701010000");
    check_accepted("not nested", remote, |case| case.chain[2].from = "2601140000");
    // Who is neither gets no tolerance.
    check(
        "expired, of unknown kind",
        factory,
        |case| {
            case.chain[1].to = "2601142359";
            case.chain[1].extensions.push((PROVISIONING, octets(&[])));
        },
        expected,
    );
}

#[test]
fn nothing_follows_the_attested_key() {
    let expected = ("ka-chain-extended", Stage::Chain);
    for base in [factory as fn() -> Case, remote] {
        // The genuine key signs a certificate that claims whatever it likes.
        let extend = |case: &mut Case| {
            let genuine = case.description.clone().expect("a description").der();
            case.chain[0].extensions.push((ATTESTATION, genuine));
            case.chain.insert(0, Certificate { key: 10, ..target("Android Keystore Key", 9) });
        };
        check("a forged attestation below a genuine one", base, extend, expected);
        // Even if the genuine key could pass for an authority without an attestation.
        let extend = |case: &mut Case| {
            case.chain[0].usage = Some(0x04);
            case.chain[0].ca = Some(true);
            case.chain.insert(0, Certificate { key: 10, ..target("Android Keystore Key", 9) });
        };
        check("a forged attestation below a key without one", base, extend, expected);
    }
    check(
        "in the attestation certificate",
        remote,
        |case| {
            let again = case.description.clone().expect("a description").der();
            case.chain[1].extensions.push((ATTESTATION, again));
        },
        expected,
    );
    check("in the root", factory, |case| case.chain[3].extensions.push((ATTESTATION, vec![5, 0])), expected);
}

#[test]
fn roles_are_fixed() {
    let expected = ("ka-chain-extended", Stage::Chain);
    check(
        "no intermediate",
        factory,
        |case| {
            case.chain.remove(2);
            case.chain[1].issuer = "root".to_owned();
            case.chain[1].issuer_key = 2;
        },
        expected,
    );
    check("five without the mark", remote, |case| case.chain[1].extensions.clear(), expected);
    check(
        "the mark in the wrong place",
        remote,
        |case| {
            let mark = case.chain[1].extensions.remove(0);
            case.chain[2].extensions.push(mark);
        },
        expected,
    );
    check("the mark twice", remote, |case| case.chain[3].extensions.push((PROVISIONING, octets(&[]))), expected);
    check("four with the mark", factory, |case| case.chain[1].extensions.push((PROVISIONING, octets(&[]))), expected);
    for index in 1..3 {
        check("an issuer that is no authority", factory, |case| case.chain[index].ca = Some(false), expected);
        check(
            "an issuer that may not sign certificates",
            factory,
            |case| case.chain[index].usage = Some(0x80),
            expected,
        );
        check_accepted("an old factory's issuer", factory, |case| {
            case.chain[index].ca = None;
            case.chain[index].usage = None;
        });
    }
}

#[test]
fn revoked_certificates_and_a_missing_list_are_refused() {
    for serial in ["1", "2", "3", "4"] {
        let revoke = |case: &mut Case| case.host.revoked = Some(BTreeSet::from([serial.to_owned()]));
        check(serial, factory, revoke, ("ka-revoked", Stage::Chain));
    }
    check("no list", factory, |case| case.host.revoked = None, ("revocation-unavailable", Stage::Upstream));
}
