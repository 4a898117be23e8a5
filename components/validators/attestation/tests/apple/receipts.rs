//! Receipts under a root of our own.

use tocsin_attestation::apple::app_attest::{AppAttestConfig, Freshness, ReceiptRule};
use tocsin_attestation::contract::Stage;

use crate::forge::{
    Forge, Key, NOW, Part, Receipt, SIGNER_NAME, authority, bytes, extension, indefinite, map, rfc3339, sequence, text,
    tlv,
};
use crate::support::check_rejected;

#[track_caller]
fn check(code: &str, stage: Stage, change: impl FnOnce(&mut Receipt)) {
    check_rejected(Forge::with(|forge| change(&mut forge.receipt)).case().judge(), code, stage);
}

#[test]
fn each_field_of_a_receipt_is_checked() {
    check("aa-receipt-app", Stage::Identity, |receipt| receipt.set(2, Some(b"A1B2C3D4E5.org.example.notify")));
    check("aa-receipt-key", Stage::Identity, |receipt| {
        receipt.set(3, Some(&Forge::with(|other| other.leaf.key = Key::p256(9)).parts().leaf))
    });
    check("aa-receipt-key", Stage::Identity, |receipt| receipt.set(3, Some(b"no certificate")));
    check("aa-receipt-binding", Stage::Binding, |receipt| receipt.set(4, Some(&[1; 32])));
    check("aa-receipt-binding", Stage::Binding, |receipt| receipt.set(4, Some(&[])));
    check("aa-receipt-malformed", Stage::Parse, |receipt| receipt.set(6, Some(b"RECEIPT")));
    for number in [2, 3, 4, 6, 12] {
        check("aa-receipt-malformed", Stage::Parse, |receipt| receipt.set(number, None));
    }
    // A field that nobody knows changes nothing.
    assert!(Forge::with(|forge| forge.receipt.set(99, Some(b"new"))).case().judge().is_ok());
}

#[test]
fn the_creation_time_decides_on_freshness() {
    let created = |text: &str| Forge::with(|forge| forge.receipt.set(12, Some(text.as_bytes()))).case().judge();
    assert!(created(&rfc3339(NOW - 300)).is_ok());
    check_rejected(created(&rfc3339(NOW - 301)), "stale", Stage::Freshness);
    assert!(created(&rfc3339(NOW + 60)).is_ok());
    check_rejected(created(&rfc3339(NOW + 61)), "in-future", Stage::Freshness);
    assert!(created(&rfc3339(NOW).replace(".250Z", "Z")).is_ok());
    for wrong in [
        "",
        "now",
        &rfc3339(NOW).replace('Z', ""),
        &rfc3339(NOW).replace('Z', "+00:00"),
        &rfc3339(NOW).replace(".250Z", ".Z"),
        &rfc3339(NOW).replace(".250Z", ".2500000000Z"),
        &rfc3339(NOW).replace('T', " "),
        "2026-13-01T00:00:00Z",
        "2026-02-30T00:00:00Z",
        "1969-12-31T23:59:59Z",
        "éééééééééééééééééééé",
    ] {
        check_rejected(created(wrong), "aa-receipt-malformed", Stage::Parse);
    }
}

#[test]
fn only_a_signer_of_receipts_under_the_root_is_trusted() {
    check("aa-receipt-signature", Stage::Signature, |receipt| receipt.bad_signature = true);
    let check = |change: &dyn Fn(&mut Receipt)| check("aa-receipt-chain", Stage::Chain, change);
    check(&|receipt| receipt.signer.subject = "Somebody else whom the same authority certified".to_owned());
    check(&|receipt| receipt.signer.subject = format!("O={SIGNER_NAME}"));
    check(&|receipt| receipt.signer.usage = Some(0x20));
    check(&|receipt| receipt.signer.constraints = Some(authority(None)));
    check(&|receipt| receipt.signer.signer.0 = Key::p256(9));
    check(&|receipt| receipt.signer.extensions = vec![extension("1.2.3.4", true, &[5, 0])]);
    check(&|receipt| receipt.signer.not_after = NOW - 1);
    check(&|receipt| receipt.signer.not_before = NOW + 1);
    check(&|receipt| receipt.authority.constraints = None);
    check(&|receipt| receipt.authority.usage = Some(0x80));
    check(&|receipt| receipt.authority.signer.0 = Key::p384(9));
    check(&|receipt| receipt.authority.not_after = NOW - 1);
    check(&|receipt| receipt.authority.extensions = vec![extension("1.2.3.4", true, &[5, 0])]);
    check(&|receipt| receipt.root.not_after = NOW - 1);
    check(&|receipt| receipt.root.constraints = Some(authority(Some(0))));
    check(&|receipt| receipt.lacks_authority = true);
}

#[test]
fn payloads_and_messages_of_another_shape_are_malformed() {
    let field = |number: u8| sequence(&[tlv(2, &[number]), tlv(2, &[1]), tlv(4, b"x")]);
    for content in [
        Vec::new(),
        sequence(&[]),
        tlv(0x31, &[field(2), field(2)].concat()),
        tlv(0x31, &sequence(&[tlv(2, &[2]), tlv(4, b"x")])),
        tlv(0x31, &sequence(&[tlv(2, &[2]), tlv(2, &[1]), tlv(4, b"x"), tlv(5, &[])])),
        [tlv(0x31, &field(2)), vec![0]].concat(),
        tlv(0x31, &(0..65).map(field).collect::<Vec<_>>().concat()),
    ] {
        check("aa-receipt-malformed", Stage::Parse, |receipt| receipt.content = Some(content));
    }

    let check = |change: &dyn Fn(&mut Receipt)| check("aa-receipt-malformed", Stage::Parse, change);
    let [signed_data, data] = Receipt::default().types;
    check(&|receipt| receipt.types = [data, data]);
    check(&|receipt| receipt.types = [signed_data, signed_data]);
    check(&|receipt| receipt.algorithm = "1.2.840.10045.4.3.3");
    check(&|receipt| receipt.roots = 5);
    check(&|receipt| receipt.signer_id = Some(("Receipt Root".to_owned(), vec![9])));
    check(&|receipt| receipt.signer_id = Some(("Receipt CA".to_owned(), vec![9])));
    check(&|receipt| receipt.signer_id = Some(("Attestation CA".to_owned(), vec![1, 2, 3])));
    check(&|receipt| receipt.more = Some((Part::Fields, field(2))));
    for part in [Part::Message, Part::Signed, Part::Encapsulated, Part::Signers, Part::Signer, Part::SignerId] {
        check(&|receipt| receipt.more = Some((part, tlv(5, &[]))));
    }
    // Deeper than anything that Apple sends: twelve levels, of which the set is the fourth.
    let deep = |levels: usize| (0..levels).fold(tlv(5, &[]), |inner, _| indefinite(0x30, &[inner]));
    assert!(Forge::with(|forge| forge.receipt.digests = deep(7)).case().judge().is_ok());
    check(&|receipt| receipt.digests = deep(8));
    check(&|receipt| receipt.digests = deep(2_000));

    let parts = Forge::default().parts();
    let judge = |receipt: Option<&[u8]>, config: &dyn Fn(&mut AppAttestConfig)| {
        let chain = crate::forge::array(&[bytes(&parts.leaf), bytes(&parts.intermediate)]);
        let mut statement = vec![text("x5c"), chain];
        if let Some(receipt) = receipt {
            statement.extend([text("receipt"), bytes(receipt)]);
        }
        let object = [text("fmt"), text("apple-appattest"), text("attStmt"), map(&statement), text("authData")];
        Forge::default().case().with(|case| {
            case.evidence.token = map(&[&object[..], &[bytes(&parts.auth_data)]].concat());
            config(&mut case.config);
        })
    };
    let good = &parts.receipt;
    assert!(judge(Some(good), &|_| {}).is_ok());
    let malformed =
        |receipt: Option<&[u8]>| check_rejected(judge(receipt, &|_| {}), "aa-receipt-malformed", Stage::Parse);
    malformed(None);
    malformed(Some(&[]));
    malformed(Some(&[good, &[0][..]].concat()));
    malformed(Some(&[0x30, 0x80].repeat(40)));
    for length in (0..good.len()).step_by(11) {
        malformed(Some(&good[..length]));
    }
    // Ignored, it may be anything.
    let ignored = |config: &mut AppAttestConfig| {
        config.receipt = ReceiptRule::Ignored;
        config.freshness = Freshness::CertificateDates;
    };
    assert!(judge(None, &ignored).is_ok());
    assert!(judge(Some(b"junk"), &ignored).is_ok());
}
