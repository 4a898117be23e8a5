//! The reader against the expected readings of real chains, field by field.

use serde_json::{Map, Value, json};

use tocsin_attestation::android_key::key_description::{
    AttestationApplicationId, AuthorizationList, DeviceIds, KeyDescription, Origin, Package, RootOfTrust,
    SecurityLevel, VerifiedBootState,
};
use tocsin_attestation::x509::Certificate;

use crate::support::{read_chain, read_chains, to_base64};

#[test]
fn every_field_of_real_attestations_is_read_as_googles_verifier_reads_it() {
    for (name, chain, expected) in read_chains() {
        let leaf = Certificate::parse(&chain[0]).expect("a certificate");
        let description = KeyDescription::parse(attestation(&leaf)).expect("an attestation");
        assert_eq!(describe(&description), expected, "{name}");
    }
}

#[test]
fn malformed_attestations_are_refused_by_the_rule_they_break() {
    for (name, rule) in [
        ("invalid/malformed_rot_device_locked", "a boolean is neither 00 nor ff"),
        ("invalid/tags_not_in_ascending_order", "the tags of an authorization list do not ascend"),
    ] {
        let Some(chain) = read_chain(name) else { return };
        let leaf = Certificate::parse(&chain[0]).expect("a certificate");
        assert_eq!(KeyDescription::parse(attestation(&leaf)).expect_err("a refusal").0, rule);
    }
}

#[test]
fn every_cut_of_a_real_attestation_is_refused() {
    for (name, chain, _) in read_chains() {
        let leaf = Certificate::parse(&chain[0]).expect("a certificate");
        let whole = attestation(&leaf);
        for length in 0..whole.len() {
            assert!(KeyDescription::parse(&whole[..length]).is_err(), "{name} cut to {length}");
        }
        assert_eq!(
            KeyDescription::parse(&[whole, &[0]].concat()).expect_err("a refusal").0,
            "something follows the last member",
            "{name}"
        );
    }
}

#[test]
fn debug_output_shows_nothing_of_the_device() {
    for (_, chain, _) in read_chains() {
        let leaf = Certificate::parse(&chain[0]).expect("a certificate");
        let text = format!("{:?}", KeyDescription::parse(attestation(&leaf)).expect("an attestation"));
        assert!(text.starts_with("KeyDescription { attestation_version: "), "{text}");
        assert!(text.len() < 60, "{text}");
    }
}

fn attestation<'a>(leaf: &Certificate<'a>) -> &'a [u8] {
    let oid = der::asn1::ObjectIdentifier::new_unwrap("1.3.6.1.4.1.11129.2.1.17");
    leaf.extension(oid).expect("the attestation extension")
}

/// The reading in the form of the expected ones. Destructures everything, so that no field escapes.
fn describe(description: &KeyDescription<'_>) -> Value {
    let KeyDescription {
        attestation_version,
        attestation_security_level,
        key_mint_version,
        key_mint_security_level,
        attestation_challenge,
        unique_id,
        software_enforced,
        hardware_enforced,
    } = description;
    json!({
        "attestationVersion": attestation_version.to_string(),
        "attestationSecurityLevel": level(*attestation_security_level),
        "keyMintVersion": key_mint_version.to_string(),
        "keyMintSecurityLevel": level(*key_mint_security_level),
        "attestationChallenge": to_base64(attestation_challenge),
        "uniqueId": to_base64(unique_id),
        "softwareEnforced": list(software_enforced),
        "hardwareEnforced": list(hardware_enforced),
    })
}

fn list(list: &AuthorizationList<'_>) -> Value {
    let AuthorizationList {
        purposes,
        algorithm,
        key_size,
        block_modes,
        digests,
        paddings,
        ec_curve,
        ml_dsa_variant,
        rsa_public_exponent,
        rsa_oaep_mgf_digests,
        active_date_time,
        origination_expire_date_time,
        usage_expire_date_time,
        usage_count_limit,
        no_auth_required,
        user_auth_type,
        auth_timeout,
        allow_while_on_body,
        trusted_user_presence_required,
        trusted_confirmation_required,
        unlocked_device_required,
        creation_date_time,
        origin,
        rollback_resistant,
        root_of_trust,
        os_version,
        os_patch_level,
        attestation_application_id,
        ids: DeviceIds { brand, device, product, serial, imei, meid, manufacturer, model, second_imei },
        vendor_patch_level,
        boot_patch_level,
        module_hash,
    } = list;
    let numbers =
        |set: &Option<Vec<u64>>| set.as_ref().map(|set| json!(set.iter().map(u64::to_string).collect::<Vec<_>>()));
    let number = |value: &Option<u64>| value.map(|value| json!(value.to_string()));
    let flag = |value: &bool| value.then_some(json!(true));
    let text = |value: &Option<&[u8]>| value.map(|value| json!(std::str::from_utf8(value).expect("text")));
    let origin = origin.map(|origin| match origin {
        Origin::Generated => json!("GENERATED"),
        Origin::Derived => json!("DERIVED"),
        Origin::Imported => json!("IMPORTED"),
        Origin::Reserved => json!("RESERVED"),
        Origin::SecurelyImported => json!("SECURELY_IMPORTED"),
    });
    let members: Map<String, Value> = [
        ("purposes", numbers(purposes)),
        ("algorithms", number(algorithm)),
        ("keySize", number(key_size)),
        ("blockModes", numbers(block_modes)),
        ("digests", numbers(digests)),
        ("paddings", numbers(paddings)),
        ("ecCurve", number(ec_curve)),
        ("mlDsaVariant", number(ml_dsa_variant)),
        ("rsaPublicExponent", number(rsa_public_exponent)),
        ("rsaOaepMgfDigests", numbers(rsa_oaep_mgf_digests)),
        ("activeDateTime", number(active_date_time)),
        ("originationExpireDateTime", number(origination_expire_date_time)),
        ("usageExpireDateTime", number(usage_expire_date_time)),
        ("usageCountLimit", number(usage_count_limit)),
        ("noAuthRequired", flag(no_auth_required)),
        ("userAuthType", number(user_auth_type)),
        ("authTimeout", number(auth_timeout)),
        ("allowWhileOnBody", flag(allow_while_on_body)),
        ("trustedUserPresenceRequired", flag(trusted_user_presence_required)),
        ("trustedConfirmationRequired", flag(trusted_confirmation_required)),
        ("unlockedDeviceRequired", flag(unlocked_device_required)),
        ("creationDateTime", number(creation_date_time)),
        ("origin", origin),
        ("rollbackResistant", flag(rollback_resistant)),
        ("rootOfTrust", root_of_trust.as_ref().map(root)),
        ("osVersion", number(os_version)),
        ("osPatchLevel", number(os_patch_level)),
        ("attestationApplicationId", attestation_application_id.as_ref().map(application)),
        ("attestationIdBrand", text(brand)),
        ("attestationIdDevice", text(device)),
        ("attestationIdProduct", text(product)),
        ("attestationIdSerial", text(serial)),
        ("attestationIdImei", text(imei)),
        ("attestationIdMeid", text(meid)),
        ("attestationIdManufacturer", text(manufacturer)),
        ("attestationIdModel", text(model)),
        ("vendorPatchLevel", number(vendor_patch_level)),
        ("bootPatchLevel", number(boot_patch_level)),
        ("attestationIdSecondImei", text(second_imei)),
        ("moduleHash", module_hash.map(|hash| json!(to_base64(hash)))),
    ]
    .into_iter()
    .filter_map(|(name, value)| value.map(|value| (name.to_owned(), value)))
    .collect();
    Value::Object(members)
}

fn root(root: &RootOfTrust<'_>) -> Value {
    let RootOfTrust { verified_boot_key, device_locked, verified_boot_state, verified_boot_hash } = root;
    json!({
        "verifiedBootKey": to_base64(verified_boot_key),
        "deviceLocked": device_locked,
        "verifiedBootState": match verified_boot_state {
            VerifiedBootState::Verified => "VERIFIED",
            VerifiedBootState::SelfSigned => "SELF_SIGNED",
            VerifiedBootState::Unverified => "UNVERIFIED",
            VerifiedBootState::Failed => "FAILED",
        },
        "verifiedBootHash": verified_boot_hash.map(to_base64),
    })
}

fn application(id: &AttestationApplicationId<'_>) -> Value {
    let AttestationApplicationId { packages, signature_digests } = id;
    let package = |Package { name, version }: &Package<'_>| json!({ "name": name, "version": version.to_string() });
    json!({
        "packages": packages.iter().map(package).collect::<Vec<_>>(),
        "signatures": signature_digests.iter().map(|digest| to_base64(digest.as_slice())).collect::<Vec<_>>(),
    })
}

fn level(level: SecurityLevel) -> &'static str {
    match level {
        SecurityLevel::Software => "SOFTWARE",
        SecurityLevel::TrustedEnvironment => "TRUSTED_ENVIRONMENT",
        SecurityLevel::StrongBox => "STRONG_BOX",
    }
}
