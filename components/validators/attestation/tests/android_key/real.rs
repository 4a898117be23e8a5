//! Real chains, with the clock at their time. Their challenges are not hashes of ours, so `begin` gets as far as the
//! binding, and the rest is asked of the reading itself.

use std::collections::BTreeSet;

use tocsin_attestation::android_key::chain::{Chain, Provisioning};
use tocsin_attestation::android_key::key_description::KeyDescription;
use tocsin_attestation::android_key::{AndroidKeyConfig, RequiredLevel, check_description};
use tocsin_attestation::contract::{Rejection, Stage};
use tocsin_attestation::x509::Certificate;

use crate::support::{Host, VECTOR_SIGNER, code, config, judge, read_chain, read_chains, read_roots, submission};

const COLLECTOR: &str = "com.google.wireless.android.security.attestationverifier.collector";
const CAIMAN_APP: &str = "com.google.android.attestation";

/// A minute after the keys of that phone were made.
fn host(device: &str) -> Host {
    let now = match device {
        "akita" => 1_727_389_887 + 60,
        "caiman" => 1_758_900_680 + 60,
        "marlin" => 1_572_308_512 + 60,
        "invalid" => 1_771_000_000,
        other => panic!("no time for {other}"),
    };
    Host { now, anchors: read_roots(), revoked: Some(BTreeSet::new()) }
}

fn begin_code(chain: &[Vec<u8>], host: &Host) -> &'static str {
    code(&judge(&submission(CAIMAN_APP, [1; 32]), chain, &config(VECTOR_SIGNER), host))
}

#[test]
fn genuine_chains_lead_to_googles_root_though_they_end_in_another_certificate_of_it() {
    for (name, chain, _) in read_chains() {
        let (device, _) = name.split_once('/').expect("a folder");
        let host = host(device);
        assert!(!host.anchors.contains(chain.last().expect("a root")), "{name}");
        if device == "marlin" {
            assert_eq!(begin_code(&chain, &host), "ka-root", "{name}: a software root");
        } else {
            let (provisioning, _) =
                Chain::parse(&chain).expect("a chain").verify(&host.anchors, host.now, &host).expect("a good chain");
            assert_eq!(provisioning, Provisioning::Remote, "{name}");
            assert_eq!(begin_code(&chain, &host), "binding-mismatch", "{name}");
        }
    }
}

#[test]
fn dates_of_remotely_provisioned_certificates_count_and_those_of_the_leaf_do_not() {
    let Some(chain) = read_chain("caiman/sdk36/TEE_EC_RKP") else { return };
    // 2025-09-25 17:13:02, when the server's certificate begins, a day after the one that it issued.
    let begin = 1_758_820_382;
    // 2025-10-03 15:31:19, when the attestation certificate ends. The leaf's dates are 1970 to 2048.
    let end = 1_759_505_479;
    for (now, expected) in [
        (begin - 1, "ka-chain-expired"),
        (begin, "binding-mismatch"),
        (end, "binding-mismatch"),
        (end + 1, "ka-chain-expired"),
        (0, "ka-chain-expired"),
        (i64::MAX, "ka-chain-expired"),
        (i64::MIN, "ka-chain-expired"),
    ] {
        assert_eq!(begin_code(&chain, &Host { now, ..host("caiman") }), expected, "{now}");
    }
}

#[test]
fn factory_certificates_may_have_expired_but_not_lie_in_the_future() {
    let Some(chain) = read_chain("invalid/malformed_rot_device_locked") else { return };
    // 2021-01-13 21:10:59 to 2031-01-11; the reading of this one fails, after the chain.
    let begin = 1_610_572_259;
    for (now, expected) in [
        (begin - 1, "ka-chain-expired"),
        (begin, "ka-extension"),
        (2_000_000_000, "ka-extension"),
        (i64::MAX, "ka-extension"),
    ] {
        assert_eq!(begin_code(&chain, &Host { now, ..host("invalid") }), expected, "{now}");
    }
}

#[test]
fn a_malformed_extension_of_a_genuine_chain_is_refused() {
    let Some(chain) = read_chain("invalid/malformed_rot_device_locked") else { return };
    let host = host("invalid");
    let (provisioning, _) =
        Chain::parse(&chain).expect("a chain").verify(&host.anchors, host.now, &host).expect("a good chain");
    assert_eq!(provisioning, Provisioning::Factory);
    let rejection =
        judge(&submission(CAIMAN_APP, [1; 32]), &chain, &config(VECTOR_SIGNER), &host).expect_err("a refusal");
    assert_eq!((rejection.code, rejection.stage), ("ka-extension", Stage::Parse));
    assert_eq!(rejection.detail, "a boolean is neither 00 nor ff");
    // The other one was edited after it was signed.
    let Some(chain) = read_chain("invalid/tags_not_in_ascending_order") else { return };
    assert_eq!(begin_code(&chain, &host), "ka-chain");
}

#[test]
fn each_certificate_is_looked_up_by_its_serial_number_in_lower_case() {
    let Some(chain) = read_chain("caiman/sdk36/TEE_EC_RKP") else { return };
    for serial in [
        "1",
        "f165849ef08b4658dd0a8ab95be53006",
        "ed74866372b0791cf1478b39fad0f755593ad3",
        "388266760658996860d",
        "d50ff25ba3f2d6b3",
    ] {
        let revoked = Some(BTreeSet::from([serial.to_owned()]));
        assert_eq!(begin_code(&chain, &Host { revoked, ..host("caiman") }), "ka-revoked", "{serial}");
    }
    let other = Some(BTreeSet::from(["0388266760658996860d".to_owned(), "2".to_owned()]));
    assert_eq!(begin_code(&chain, &Host { revoked: other, ..host("caiman") }), "binding-mismatch");
}

#[test]
fn without_a_revocation_list_nothing_is_accepted_and_trying_later_may_help() {
    let Some(chain) = read_chain("caiman/sdk36/TEE_EC_RKP") else { return };
    let host = Host { revoked: None, ..host("caiman") };
    let rejection =
        judge(&submission(CAIMAN_APP, [1; 32]), &chain, &config(VECTOR_SIGNER), &host).expect_err("a refusal");
    assert_eq!((rejection.code, rejection.stage), ("revocation-unavailable", Stage::Upstream));
    assert!(rejection.retryable);
}

#[test]
fn only_pinned_keys_are_roots() {
    let Some(chain) = read_chain("caiman/sdk36/TEE_EC_RKP") else { return };
    let [rsa, ec] = read_roots().try_into().expect("two roots");
    let with = |anchors| begin_code(&chain, &Host { anchors, ..host("caiman") });
    assert_eq!(with(vec![rsa.clone()]), "binding-mismatch");
    assert_eq!(with(vec![ec.clone()]), "ka-root");
    assert_eq!(with(vec![b"no certificate".to_vec(), ec, rsa]), "binding-mismatch");
    assert_eq!(with(Vec::new()), "config-missing");
    // A software root among the anchors, by mistake: it still has not the roles.
    let Some(software) = read_chain("marlin/sdk29/TEE_EC_NONE") else { return };
    let anchors = vec![software.last().expect("a root").clone()];
    assert_eq!(begin_code(&software, &Host { anchors, ..host("marlin") }), "ka-chain-extended");
}

#[test]
fn parts_of_different_chains_do_not_fit_together() {
    let (Some(tee), Some(strong_box)) = (read_chain("caiman/sdk36/TEE_EC_RKP"), read_chain("caiman/sdk36/SB_EC_RKP"))
    else {
        return;
    };
    let host = host("caiman");
    let check = |name: &str, chain: Vec<Vec<u8>>, expected: &str| {
        assert_eq!(begin_code(&chain, &host), expected, "{name}");
    };
    let with = |index: usize, from: &[Vec<u8>]| {
        let mut chain = tee.clone();
        chain[index] = from[index].clone();
        chain
    };
    check("another leaf", with(0, &strong_box), "ka-chain");
    check("another attestation certificate", with(1, &strong_box), "ka-chain");
    check("another server", with(2, &strong_box), "ka-chain");
    check("reversed", tee.iter().rev().cloned().collect(), "ka-chain-shape");
    check("without its root", tee[..4].to_vec(), "ka-chain-shape");
    check("without its leaf", tee[1..].to_vec(), "ka-extension");
    check("without a link", [&tee[..1], &tee[2..]].concat(), "ka-chain");
    check("the root twice", [&tee[..], &tee[4..]].concat(), "ka-chain-extended");
    check("two certificates", tee[3..].to_vec(), "ka-chain-shape");
    check("seven certificates", [&tee[..4], &tee[2..]].concat(), "ka-chain-shape");
    check("one", tee[..1].to_vec(), "ka-chain-shape");
    check("none", Vec::new(), "ka-chain-shape");
}

#[test]
fn a_changed_byte_anywhere_below_the_root_breaks_the_chain() {
    let Some(chain) = read_chain("caiman/sdk36/TEE_EC_RKP") else { return };
    let host = host("caiman");
    for certificate in 0..4 {
        for position in (0..chain[certificate].len()).step_by(29) {
            let mut changed = chain.clone();
            changed[certificate][position] ^= 0x01;
            let found = begin_code(&changed, &host);
            assert!(["ka-chain", "ka-chain-shape"].contains(&found), "{found} at {certificate}, {position}");
        }
    }
}

/// What the reading of a real chain is worth, with its own challenge as binding.
fn check_real(name: &str, app: &str, change: impl FnOnce(&mut AndroidKeyConfig, &mut i64)) -> Option<&'static str> {
    let chain = read_chain(name)?;
    let leaf = Certificate::parse(&chain[0]).expect("a certificate");
    let oid = der::asn1::ObjectIdentifier::new_unwrap("1.3.6.1.4.1.11129.2.1.17");
    let extension = leaf.extension(oid).expect("the attestation extension");
    let description = KeyDescription::parse(extension).expect("an attestation");
    let (mut config, mut now) = (config(VECTOR_SIGNER), host(name.split_once('/').expect("a folder").0).now);
    change(&mut config, &mut now);
    let checked: Result<(), Rejection> =
        check_description(&description, description.attestation_challenge, app, &config, now);
    Some(code(&checked))
}

#[test]
fn a_locked_phone_with_the_manufacturers_system_is_accepted() {
    if crate::support::vectors().is_none() {
        return;
    }
    for name in ["caiman/sdk36/TEE_EC_RKP", "caiman/sdk36/SB_EC_RKP"] {
        assert_eq!(check_real(name, CAIMAN_APP, |_, _| {}), Some("accepted"), "{name}");
        assert_eq!(check_real(name, COLLECTOR, |_, _| {}), Some("app-mismatch"), "{name}");
        assert_eq!(check_real(name, &CAIMAN_APP.to_uppercase(), |_, _| {}), Some("app-mismatch"), "{name}");
        let other_name = |config: &mut AndroidKeyConfig, _: &mut i64| config.package = Some(CAIMAN_APP.to_owned());
        assert_eq!(check_real(name, "the name of the app", other_name), Some("accepted"), "{name}");
        let other_signer = |config: &mut AndroidKeyConfig, _: &mut i64| config.certificate_sha256[0].0[31] ^= 1;
        assert_eq!(check_real(name, CAIMAN_APP, other_signer), Some("cert-digest-mismatch"), "{name}");
        let patches = |os, vendor, boot| {
            let change = move |config: &mut AndroidKeyConfig, _: &mut i64| {
                config.min_os_patch_yyyymm = os;
                config.min_vendor_patch_yyyymmdd = vendor;
                config.min_boot_patch_yyyymmdd = boot;
            };
            check_real(name, CAIMAN_APP, change)
        };
        assert_eq!(patches(Some(202_511), Some(20_251_105), Some(20_251_105)), Some("accepted"), "{name}");
        assert_eq!(patches(Some(202_512), None, None), Some("patch-too-old"), "{name}");
        assert_eq!(patches(None, Some(20_251_106), None), Some("patch-too-old"), "{name}");
        assert_eq!(patches(None, None, Some(20_251_106)), Some("patch-too-old"), "{name}");
    }
    let strong_box = |config: &mut AndroidKeyConfig, _: &mut i64| config.security_level = RequiredLevel::StrongBox;
    assert_eq!(check_real("caiman/sdk36/SB_EC_RKP", CAIMAN_APP, strong_box), Some("accepted"));
    assert_eq!(check_real("caiman/sdk36/TEE_EC_RKP", CAIMAN_APP, strong_box), Some("integrity-security-level"));
}

#[test]
fn unlocked_phones_and_software_attestations_are_refused() {
    if crate::support::vectors().is_none() {
        return;
    }
    let any_boot = |config: &mut AndroidKeyConfig, _: &mut i64| config.require_verified_boot = false;
    for name in ["akita/sdk34/TEE_EC_NONE", "akita/sdk34/SB_RSA_NONE", "akita/sdk34/TEE_RSA_NONE_USERAUTH"] {
        assert_eq!(check_real(name, COLLECTOR, |_, _| {}), Some("integrity-boot"), "{name}");
        assert_eq!(check_real(name, COLLECTOR, any_boot), Some("accepted"), "{name}");
    }
    // Made by the system itself: another package, and no signer.
    let system = "akita/sdk34/TEE_RSA_BASE+IMEI";
    assert_eq!(check_real(system, COLLECTOR, any_boot), Some("app-mismatch"));
    assert_eq!(check_real(system, "AndroidSystem", any_boot), Some("cert-digest-mismatch"));
    for name in ["marlin/sdk29/TEE_EC_NONE", "marlin/sdk29/TEE_RSA_NONE"] {
        assert_eq!(check_real(name, COLLECTOR, any_boot), Some("integrity-security-level"), "{name}");
    }
}

#[test]
fn the_phones_clock_bounds_the_age_of_a_key() {
    if crate::support::vectors().is_none() {
        return;
    }
    let created = 1_758_900_680;
    for (now, expected) in [
        (created - 601, "in-future"),
        (created - 600, "accepted"),
        (created, "accepted"),
        (created + 900, "accepted"),
        (created + 901, "stale"),
        (i64::MAX, "stale"),
        (i64::MIN, "in-future"),
    ] {
        let at = |config: &mut AndroidKeyConfig, clock: &mut i64| {
            (config.max_age_seconds, config.skew_seconds) = (900, 600);
            *clock = now;
        };
        assert_eq!(check_real("caiman/sdk36/TEE_EC_RKP", CAIMAN_APP, at), Some(expected), "{now}");
    }
}
