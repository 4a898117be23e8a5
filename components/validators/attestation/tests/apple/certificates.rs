//! Certificates, signatures and names (`x509`), over certificates of our own making and Apple's roots.

use tocsin_attestation::x509::{
    BASIC_CONSTRAINTS, BasicConstraints, Certificate, KEY_USAGE, Key as _, PublicKey, SignatureAlgorithm, X509Error,
    find_anchor, find_same_anchor,
};

use crate::forge::{Forge, Key, NOW, authority, extension, oid, sequence, tlv};
use crate::support::{attestation_root, receipt_root};

#[test]
fn fields_are_as_encoded() {
    let der = Forge::default().intermediate.der();
    let certificate = Certificate::parse(&der).unwrap();
    assert_eq!(certificate.serial_hex(), "10203");
    assert_eq!(certificate.issuer, crate::forge::name("Attestation Root"));
    assert_eq!(certificate.subject, crate::forge::name("Attestation CA"));
    assert_eq!((certificate.not_before, certificate.not_after), (NOW - 86_400, NOW + 86_400));
    assert_eq!(certificate.spki, Key::p384(2).spki());
    assert_eq!(certificate.public_key_bytes(), Ok(Key::p384(2).point().as_slice()));
    assert_eq!(certificate.basic_constraints(), Ok(Some(BasicConstraints { ca: true, path_length: Some(0) })));
    assert!(certificate.may_issue(0) && !certificate.may_issue(1) && !certificate.is_self_issued());
    assert!(certificate.has_unknown_critical(&[BASIC_CONSTRAINTS]));
    assert!(!certificate.has_unknown_critical(&[BASIC_CONSTRAINTS, KEY_USAGE]));
}

#[test]
fn serial_numbers_are_hexadecimal_without_leading_zeros() {
    for (serial, expect) in [(&[0][..], "0"), (&[0, 0x8f], "8f"), (&[0x0a, 0xb0], "ab0")] {
        let der = {
            let mut leaf = Forge::default().leaf;
            leaf.serial = serial.to_vec();
            leaf.der()
        };
        assert_eq!(Certificate::parse(&der).unwrap().serial_hex(), expect);
    }
}

#[test]
fn apples_roots_signed_themselves_and_not_each_other() {
    let (ders, other) = ([attestation_root(), receipt_root()], Key::p384(1).spki());
    for (index, der) in ders.iter().enumerate() {
        let root = Certificate::parse(der).unwrap();
        assert_eq!(root.verify_issued_by::<PublicKey>(&root), Ok(()));
        assert!(root.is_self_issued() && root.may_issue(1));
        assert!(find_anchor::<PublicKey>(&ders, &root).is_some_and(|anchor| anchor.der == *der));
        assert!(find_same_anchor(&ders, &root).is_some_and(|anchor| anchor.der == *der));
        assert!(find_anchor::<PublicKey>(&ders[1 - index..2 - index], &root).is_none());
        assert!(find_same_anchor(&ders[1 - index..2 - index], &root).is_none());
        assert_eq!(root.verify_signature(&PublicKey::from_spki(&other).unwrap()), Err(X509Error::BadSignature));
    }
    let parsed = ders.each_ref().map(|der| Certificate::parse(der).unwrap());
    assert_eq!(parsed[0].verify_issued_by::<PublicKey>(&parsed[1]), Err(X509Error::WrongIssuer));
}

#[test]
fn signatures_of_both_curves_and_hashes_are_checked() {
    for key in [Key::p256(5), Key::p384(5)] {
        let public = PublicKey::from_spki(&key.spki()).unwrap();
        for (sha384, algorithm) in [(false, SignatureAlgorithm::EcdsaSha256), (true, SignatureAlgorithm::EcdsaSha384)] {
            let signature = key.sign(sha384, b"message");
            assert_eq!(public.verify(algorithm, b"message", &signature), Ok(()));
            assert_eq!(public.verify(algorithm, b"massage", &signature), Err(X509Error::BadSignature));
            let trailing = [signature.as_slice(), &[0]].concat();
            assert_eq!(public.verify(algorithm, b"message", &trailing), Err(X509Error::BadSignature));
        }
        let signature = key.sign(false, b"message");
        assert_eq!(
            public.verify(SignatureAlgorithm::EcdsaSha384, b"message", &signature),
            Err(X509Error::BadSignature)
        );
        assert_eq!(public.verify(SignatureAlgorithm::RsaSha256, b"message", &signature), Err(X509Error::Unsupported));
    }
}

#[test]
fn keys_of_other_kinds_are_unsupported() {
    let ec = |parameters: Vec<u8>, point: &[u8]| {
        let key = [&[0][..], point].concat();
        sequence(&[sequence(&[oid("1.2.840.10045.2.1"), parameters]), tlv(3, &key)])
    };
    let point = Key::p256(5).point();
    let compressed = [&[2][..], &point[1..33]].concat();
    let mut off_curve = point.clone();
    off_curve[64] ^= 1;
    let p256 = || oid("1.2.840.10045.3.1.7");
    let check = |spki: Vec<u8>, expect| assert_eq!(PublicKey::from_spki(&spki).err(), Some(expect));
    check(ec(p256(), &compressed), X509Error::Unsupported);
    check(ec(p256(), &off_curve), X509Error::Malformed);
    check(ec(oid("1.3.132.0.34"), &point), X509Error::Unsupported);
    check(ec(oid("1.3.132.0.35"), &point), X509Error::Unsupported);
    check(ec(Vec::new(), &point), X509Error::Malformed);
    check(sequence(&[sequence(&[oid("1.3.101.112")]), tlv(3, &[0; 33])]), X509Error::Unsupported);

    let rsa = |modulus: &[u8], exponent: &[u8]| {
        let numbers = sequence(&[tlv(2, modulus), tlv(2, exponent)]);
        let algorithm = sequence(&[oid("1.2.840.113549.1.1.1"), tlv(5, &[])]);
        sequence(&[algorithm, tlv(3, &[&[0][..], &numbers].concat())])
    };
    let modulus = |bytes: usize, last: u8| [&[0, 0xff][..], &vec![7; bytes - 2], &[last]].concat();
    assert!(PublicKey::from_spki(&rsa(&modulus(256, 1), &[1, 0, 1])).is_ok());
    assert!(PublicKey::from_spki(&rsa(&modulus(512, 1), &[1, 0, 1])).is_ok());
    for (modulus, exponent) in [
        (modulus(255, 1), &[1, 0, 1][..]),
        (modulus(513, 1), &[1, 0, 1]),
        (modulus(256, 2), &[1, 0, 1]),
        (modulus(256, 1), &[1, 0, 0, 0, 1]),
        (modulus(256, 1), &[2]),
        (modulus(256, 1), &[1]),
    ] {
        check(rsa(&modulus, exponent), X509Error::Unsupported);
    }
}

#[test]
fn certificates_that_are_not_strict_are_malformed() {
    let good = Forge::default().leaf.der();
    let malformed = |der: &[u8]| assert_eq!(Certificate::parse(der).err(), Some(X509Error::Malformed));
    malformed(&[]);
    malformed(&[good.as_slice(), &[0]].concat());
    malformed(&vec![0x30; 16 * 1024 + 1]);
    for length in 0..good.len() {
        malformed(&good[..length]);
    }
    // The algorithm within what is signed is not that beside the signature.
    let sha256 = oid("1.2.840.10045.4.3.2");
    let at = good.windows(sha256.len()).position(|window| window == sha256).unwrap() + sha256.len() - 1;
    let mut two_algorithms = good.clone();
    two_algorithms[at] = 3;
    malformed(&two_algorithms);
    let change = |extensions: &[Vec<u8>]| {
        let mut leaf = Forge::default().leaf;
        leaf.extensions = extensions.to_vec();
        leaf.der()
    };
    let one = extension("1.2.3.4", false, &[5, 0]);
    assert!(Certificate::parse(&change(std::slice::from_ref(&one))).is_ok());
    malformed(&change(&[one.clone(), one]));
    malformed(&change(&[sequence(&[oid("1.2.3.4")])]));
    let many: Vec<_> = (0..63).map(|number| extension(&format!("1.2.3.{number}"), false, &[])).collect();
    malformed(&change(&many));
}

#[test]
fn an_authority_needs_its_flag_path_and_key_usage() {
    let may_issue = |constraints: Option<Vec<u8>>, usage: Option<u8>, below: u8| {
        let mut made = Forge::default().intermediate;
        (made.constraints, made.usage) = (constraints, usage);
        Certificate::parse(&made.der()).unwrap().may_issue(below)
    };
    assert!(may_issue(Some(authority(None)), Some(0x04), 200));
    assert!(may_issue(Some(authority(None)), None, 0));
    assert!(may_issue(Some(authority(Some(1))), Some(0x06), 1));
    assert!(!may_issue(Some(authority(Some(1))), Some(0x06), 2));
    assert!(!may_issue(Some(authority(None)), Some(0x80), 0));
    assert!(!may_issue(Some(sequence(&[])), Some(0x04), 0));
    assert!(!may_issue(None, Some(0x04), 0));
    assert!(!may_issue(Some(vec![0x30]), Some(0x04), 0));
    assert!(!may_issue(Some(sequence(&[tlv(1, &[0xff]), tlv(2, &[1]), tlv(2, &[1])])), Some(0x04), 0));
}
