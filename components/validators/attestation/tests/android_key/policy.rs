//! What an attestation must say, rule by rule, in chains of our own making.

use tocsin_attestation::android_key::{CertificateDigest, RequiredLevel};
use tocsin_attestation::contract::Stage;

use crate::case::{APP, Case, NOW, SIGNER, check, check_accepted, factory};
use crate::make::{
    ATTESTATION, Description, application, boolean, enumerated, integer, octets, root_of_trust, sequence, set, tlv,
};

#[test]
fn an_extension_that_breaks_the_schema_is_refused() {
    let expected = ("ka-extension", Stage::Parse);
    let description =
        |change: fn(&mut Description)| move |case: &mut Case| change(case.description.as_mut().expect("a description"));
    let hardware = |number: u16, value: Vec<u8>| move |case: &mut Case| case.hardware().set(number, value);
    let software = |number: u16, value: Vec<u8>| move |case: &mut Case| case.software().set(number, value);
    check("absent", factory, |case| case.description = None, expected);
    check(
        "no sequence",
        factory,
        |case| {
            case.description = None;
            case.chain[0].extensions.push((ATTESTATION, vec![0x31, 0]));
        },
        expected,
    );
    check(
        "more members",
        factory,
        |case| {
            let der = case.description.take().expect("a description").der();
            case.chain[0].extensions.push((ATTESTATION, [&der[..], &[5, 0]].concat()));
        },
        expected,
    );
    for (name, tag) in [("a member without an explicit tag", 0x81), ("a member of another class", 0x61)] {
        let change = |case: &mut Case| {
            let mut der = case.description.take().expect("a description").der();
            let purpose = der.windows(3).position(|bytes| bytes == [0xa1, 5, 0x31]).expect("a purpose");
            der[purpose] = tag;
            case.chain[0].extensions.push((ATTESTATION, der));
        };
        check(name, factory, change, expected);
    }
    check("a level of 3", factory, description(|description| description.key_level = 3), expected);
    check("a version of 2^32", factory, description(|description| description.version = 1 << 32), expected);
    check("a long challenge", factory, description(|description| description.challenge = vec![1; 129]), expected);
    check("long", factory, software(724, octets(&[0; 4_000])), expected);
    check("a tag twice", factory, |case| case.hardware().0.insert(0, (1, set(&[integer(2)]))), expected);
    check("tags in disorder", factory, |case| case.hardware().0.swap(0, 1), expected);
    check("true as 01", factory, hardware(704, root_of_trust(tlv(&[1], &[1]), 0)), expected);
    check("a boot state of 4", factory, hardware(704, root_of_trust(boolean(true), 4)), expected);
    check(
        "no boot hash",
        factory,
        hardware(704, sequence(&[octets(&[0; 32]), boolean(true), enumerated(0)])),
        expected,
    );
    check("an origin of 5", factory, hardware(702, integer(5)), expected);
    check("an origin of another type", factory, hardware(702, enumerated(0)), expected);
    check("a purpose that is no set", factory, hardware(1, integer(2)), expected);
    check("a padded number", factory, hardware(706, tlv(&[2], &[0, 3, 4])), expected);
    check("two values", factory, hardware(706, [integer(1), integer(2)].concat()), expected);
    check("no value", factory, hardware(706, Vec::new()), expected);
    check("an unknown member without a value", factory, hardware(999, Vec::new()), expected);
    check("a flag with content", factory, hardware(503, tlv(&[5], &[0])), expected);
    check("a short digest", factory, software(709, application(&[APP], &[&SIGNER[..31]])), expected);
    check("no octets", factory, software(709, sequence(&[set(&[]), set(&[])])), expected);
    let latin1 = octets(&sequence(&[set(&[sequence(&[octets(&[0xe9]), integer(1)])]), set(&[])]));
    check("a name that is no text", factory, software(709, latin1), expected);
}

#[test]
fn unknown_members_and_old_schemas_are_read() {
    check_accepted("unknown members", factory, |case| {
        case.hardware().set(50, integer(1));
        case.hardware().set(900, set(&[]));
    });
    check_accepted("version 2 has no boot hash", factory, |case| {
        case.description.as_mut().expect("a description").version = 2;
        case.hardware().set(704, sequence(&[octets(&[0; 32]), boolean(true), enumerated(0)]));
    });
    // ML-DSA-65: the attested key is never used, so it may be of a kind that we cannot use.
    check_accepted("a key of another algorithm", factory, |case| {
        let algorithm = sequence(&[tlv(&[6], &[0x60, 0x86, 0x48, 1, 0x65, 3, 4, 3, 18])]);
        case.chain[0].spki = Some(sequence(&[algorithm, tlv(&[3], &[0; 1_953])]));
    });
}

#[test]
fn the_challenge_is_the_hash_of_the_submission() {
    let expected = ("binding-mismatch", Stage::Binding);
    let challenge = |bytes: &'static [u8]| {
        move |case: &mut Case| case.description.as_mut().expect("a description").challenge = bytes.to_vec()
    };
    check("empty", factory, challenge(&[]), expected);
    check("shorter", factory, challenge(&[0x5a; 31]), expected);
    check("longer", factory, challenge(&[0x5a; 33]), expected);
    check("of another format", factory, challenge(&[0xee; 32]), expected);
    check("another submission", factory, |case| case.submission.transcripts[1].sha256[31] ^= 1, expected);
}

#[test]
fn the_weaker_of_both_levels_counts() {
    let expected = ("integrity-security-level", Stage::Integrity);
    for (required, attestation, key, accepted) in [
        (RequiredLevel::Tee, 0, 1, false),
        (RequiredLevel::Tee, 1, 0, false),
        (RequiredLevel::Tee, 0, 2, false),
        (RequiredLevel::Tee, 1, 2, true),
        (RequiredLevel::Tee, 2, 2, true),
        (RequiredLevel::StrongBox, 1, 2, false),
        (RequiredLevel::StrongBox, 2, 1, false),
        (RequiredLevel::StrongBox, 2, 2, true),
    ] {
        let name = format!("{required:?} of {attestation}, {key}");
        let change = |case: &mut Case| {
            case.config.security_level = required;
            let description = case.description.as_mut().expect("a description");
            (description.attestation_level, description.key_level) = (attestation, key);
        };
        if accepted { check_accepted(&name, factory, change) } else { check(&name, factory, change, expected) }
    }
}

#[test]
fn the_hardware_itself_must_say_what_counts() {
    let origin = ("ka-key-origin", Stage::Integrity);
    check("imported", factory, |case| case.hardware().set(702, integer(2)), origin);
    check("no origin", factory, |case| case.hardware().remove(702), origin);
    check(
        "an origin by the system",
        factory,
        |case| {
            case.hardware().remove(702);
            case.software().set(702, integer(0));
        },
        origin,
    );
    check("no purpose", factory, |case| case.hardware().remove(1), origin);
    check("verifying only", factory, |case| case.hardware().set(1, set(&[integer(3)])), origin);
    check_accepted("signing too", factory, |case| case.hardware().set(1, set(&[integer(3), integer(2)])));

    let boot = ("integrity-boot", Stage::Integrity);
    check("nothing about the boot", factory, |case| case.hardware().remove(704), boot);
    check(
        "a boot by the system",
        factory,
        |case| {
            case.hardware().remove(704);
            case.software().set(704, root_of_trust(boolean(true), 0));
        },
        boot,
    );
    check("unlocked", factory, |case| case.hardware().set(704, root_of_trust(boolean(false), 0)), boot);
    for state in 1..4 {
        check("not verified", factory, |case| case.hardware().set(704, root_of_trust(boolean(true), state)), boot);
    }
    check_accepted("any boot", factory, |case| {
        case.config.require_verified_boot = false;
        case.hardware().remove(704);
    });
}

#[test]
fn security_fixes_are_recent_enough_where_that_is_asked() {
    let expected = ("patch-too-old", Stage::Integrity);
    check("system", factory, |case| case.config.min_os_patch_yyyymm = Some(202_601), expected);
    check("vendor", factory, |case| case.config.min_vendor_patch_yyyymmdd = Some(20_251_206), expected);
    check("boot", factory, |case| case.config.min_boot_patch_yyyymmdd = Some(20_251_202), expected);
    for number in [706, 718, 719] {
        check(
            "unknown",
            factory,
            |case| {
                case.config.min_os_patch_yyyymm = Some(1);
                case.config.min_vendor_patch_yyyymmdd = Some(1);
                case.config.min_boot_patch_yyyymmdd = Some(1);
                case.hardware().remove(number);
            },
            expected,
        );
    }
    let month_only = |least: u32| {
        move |case: &mut Case| {
            case.config.min_vendor_patch_yyyymmdd = Some(least);
            case.hardware().set(718, integer(202_512));
        }
    };
    check_accepted("a month where a day belongs", factory, month_only(20_251_130));
    check("a month where a day belongs", factory, month_only(20_251_201), expected);
    check_accepted("exactly", factory, |case| {
        case.config.min_os_patch_yyyymm = Some(202_512);
        case.config.min_vendor_patch_yyyymmdd = Some(20_251_205);
        case.config.min_boot_patch_yyyymmdd = Some(20_251_201);
    });
}

#[test]
fn the_app_is_known_by_package_and_signer() {
    let app = ("app-mismatch", Stage::Identity);
    let signer = ("cert-digest-mismatch", Stage::Identity);
    check("another app", factory, |case| case.submission.app = "org.example.other".to_owned(), app);
    check("other letters", factory, |case| case.submission.app = APP.to_uppercase(), app);
    check(
        "a longer name",
        factory,
        |case| case.software().set(709, application(&["org.example.notify.x"], &[&SIGNER])),
        app,
    );
    check("a shorter name", factory, |case| case.software().set(709, application(&["org.example"], &[&SIGNER])), app);
    check("no app", factory, |case| case.software().remove(709), app);
    check("no package", factory, |case| case.software().set(709, application(&[], &[&SIGNER])), app);
    check("another package configured", factory, |case| case.config.package = Some("org.example.x".to_owned()), app);
    check(
        "by the hardware",
        factory,
        |case| {
            case.software().remove(709);
            case.hardware().set(709, application(&[APP], &[&SIGNER]));
        },
        app,
    );
    check("another signer", factory, |case| case.software().set(709, application(&[APP], &[&[0xac; 32]])), signer);
    check("no signer", factory, |case| case.software().set(709, application(&[APP], &[])), signer);
    check_accepted("one of several", factory, |case| {
        case.software().set(709, application(&["org.example.shared", APP], &[&[1; 32], &SIGNER]));
        let other = CertificateDigest([9; 32]);
        case.config.certificate_sha256.insert(0, other);
    });
}

#[test]
fn a_key_without_a_date_or_of_another_time_is_refused() {
    let created = |seconds: i64| {
        move |case: &mut Case| {
            case.software().set(701, integer(u64::try_from(NOW + seconds).expect("after 1970") * 1_000 + 999))
        }
    };
    let (stale, future) = (("stale", Stage::Freshness), ("in-future", Stage::Freshness));
    check("no date", factory, |case| case.software().remove(701), stale);
    check("old", factory, created(-86_401), stale);
    check_accepted("not quite old", factory, created(-86_400));
    check_accepted("a clock that is ahead", factory, created(3_600));
    check("a clock that is too far ahead", factory, created(3_601), future);
    check("the end of time", factory, |case| case.software().set(701, integer(u64::MAX)), future);
    check_accepted("a date by the hardware", factory, |case| {
        case.software().remove(701);
        case.hardware().set(701, integer(u64::try_from(NOW).expect("after 1970") * 1_000));
    });
}
