mod make;
mod policy;
mod recorded;

use super::*;
use crate::google::testing::{APP, APP_SIGNER, Host, refusal, submission, vector};
use make::{Attestation, NOW};
use proptest::prelude::*;
use serde_json::json;

/// Settings that let the attestations of these tests pass.
fn config() -> SafetyNetConfig {
    SafetyNetConfig {
        enabled: true,
        certificate_sha256: vec![CertificateDigest([1; 32]), CertificateDigest(APP_SIGNER)],
        ..SafetyNetConfig::default()
    }
}

fn evidence(token: &str) -> Evidence {
    Evidence { method: METHOD.to_owned(), token: token.as_bytes().to_vec(), ..Evidence::default() }
}

/// What becomes of an attestation of our own making.
fn judged(attestation: &Attestation, config: &SafetyNetConfig) -> Option<(&'static str, Stage)> {
    let submission = submission("ens-v3", make::HASH);
    refusal(&begin(&submission, &evidence(&attestation.token()), config, &make::host()))
}

#[test]
fn defaults_accept_nothing_and_names_are_checked() {
    let config: SafetyNetConfig = serde_json::from_str("{}").expect("a config");
    assert_eq!(config, SafetyNetConfig::default());
    assert!(!config.enabled && !config.archive && config.require_cts_profile_match && config.require_basic_integrity);
    assert!(serde_json::from_str::<SafetyNetConfig>(r#"{"max_age":1}"#).is_err());
    let text = serde_json::to_string(&super::tests::config()).expect("JSON");
    assert_eq!(serde_json::from_str::<SafetyNetConfig>(&text).ok(), Some(super::tests::config()));
}

#[test]
fn what_is_missing_in_the_settings_is_said_first() {
    let check = |change: fn(&mut SafetyNetConfig, &mut Host)| {
        let (mut config, mut host) = (config(), make::host());
        change(&mut config, &mut host);
        let outcome = begin(&submission("ens-v3", make::HASH), &evidence(""), &config, &host);
        assert_eq!(refusal(&outcome), Some(("config-missing", Stage::Config)));
    };
    check(|config, _| config.enabled = false);
    check(|config, _| config.max_age_seconds = 0);
    check(|config, _| config.skew_seconds = 0);
    check(|config, _| config.certificate_sha256.clear());
    check(|_, host| host.anchors.clear());
}

proptest! {
    #[test]
    fn random_bytes_are_never_accepted(token in prop::collection::vec(any::<u8>(), 0..2_000)) {
        let evidence = Evidence { token, ..evidence("") };
        prop_assert!(refusal(&begin(&submission("ens-v3", make::HASH), &evidence, &config(), &make::host())).is_some());
    }

    #[test]
    fn random_parts_are_never_accepted(header in "\\PC{0,200}", x5c: Vec<Vec<u8>>) {
        let random_header = Attestation { header: Some(header), ..Attestation::genuine() };
        prop_assert!(judged(&random_header, &config()).is_some());
        let random_certificates = Attestation { x5c, ..Attestation::genuine() };
        prop_assert!(judged(&random_certificates, &config()).is_some());
    }

    #[test]
    fn random_claims_are_never_accepted(payload in "\\PC{0,200}") {
        let attestation = Attestation { payload, ..Attestation::genuine() };
        prop_assert!(judged(&attestation, &config()).is_some());
    }

    /// Every byte of a certificate is covered by a signature or read before.
    #[test]
    fn changed_certificates_are_never_accepted(at: prop::sample::Index, certificate in 0usize..2, bit in 0u8..8) {
        let mut attestation = Attestation::genuine();
        let der = &mut attestation.x5c[certificate];
        let at = at.index(der.len());
        der[at] ^= 1 << bit;
        prop_assert!(judged(&attestation, &config()).is_some());
    }
}
