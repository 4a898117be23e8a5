//! A case that is right in everything, to be changed by tests.

use std::collections::BTreeSet;

use tocsin_attestation::android_key::AndroidKeyConfig;
use tocsin_attestation::contract::{Acceptance, Rejection, Stage, Submission};

use crate::make::{
    ATTESTATION, Certificate, Description, List, PROVISIONING, application, boolean, integer, octets, root_of_trust,
    set,
};
use crate::support::{Host, code, config, judge, submission};

/// The app.
pub const APP: &str = "org.example.notify";
/// Its signer.
pub const SIGNER: [u8; 32] = [0xab; 32];
/// Hash of the submission.
pub const BINDING: [u8; 32] = [0x5a; 32];
/// 2026-01-15 00:00:00.
pub const NOW: i64 = 1_768_435_200;

/// Everything that a judgement depends on.
#[derive(Clone)]
pub struct Case {
    pub submission: Submission,
    pub config: AndroidKeyConfig,
    pub host: Host,
    /// Leaf first.
    pub chain: Vec<Certificate>,
    /// In the leaf.
    pub description: Option<Description>,
}

impl Case {
    /// What the server is shown.
    pub fn certificates(&self) -> Vec<Vec<u8>> {
        let mut chain = self.chain.clone();
        if let (Some(leaf), Some(description)) = (chain.first_mut(), &self.description) {
            leaf.extensions.push((ATTESTATION, description.der()));
        }
        chain.iter().map(Certificate::der).collect()
    }

    pub fn judge(&self) -> Result<Acceptance, Rejection> {
        judge(&self.submission, &self.certificates(), &self.config, &self.host)
    }

    pub fn hardware(&mut self) -> &mut List {
        &mut self.description.as_mut().expect("a description").hardware
    }

    pub fn software(&mut self) -> &mut List {
        &mut self.description.as_mut().expect("a description").software
    }
}

pub fn certificate(subject: &str, key: u8, issuer: &str, issuer_key: u8) -> Certificate {
    Certificate {
        subject: subject.to_owned(),
        issuer: issuer.to_owned(),
        serial: vec![key],
        from: "2601010000",
        to: "2602010000",
        key,
        issuer_key,
        ca: Some(true),
        usage: Some(0x04),
        extensions: Vec::new(),
        spki: None,
    }
}

pub fn target(issuer: &str, issuer_key: u8) -> Certificate {
    Certificate {
        serial: vec![1],
        from: "7001010000",
        to: "4801010000",
        ca: None,
        usage: Some(0x80),
        ..certificate("Android Keystore Key", 9, issuer, issuer_key)
    }
}

/// A device with a certificate of its factory, right in everything.
pub fn factory() -> Case {
    let mut software = List::default();
    software.set(701, integer(u64::try_from(NOW).expect("after 1970") * 1_000 - 30_000));
    software.set(709, application(&[APP], &[&SIGNER]));
    let mut hardware = List::default();
    hardware.set(1, set(&[integer(2)]));
    hardware.set(2, integer(3));
    hardware.set(3, integer(256));
    hardware.set(702, integer(0));
    hardware.set(704, root_of_trust(boolean(true), 0));
    hardware.set(706, integer(202_512));
    hardware.set(718, integer(20_251_205));
    hardware.set(719, integer(20_251_201));
    let root = certificate("root", 2, "root", 2);
    Case {
        submission: submission(APP, BINDING),
        config: config(&"ab".repeat(32)),
        host: Host { now: NOW, anchors: vec![root.der()], revoked: Some(BTreeSet::new()) },
        chain: vec![
            target("attestation", 4),
            certificate("attestation", 4, "intermediate", 3),
            certificate("intermediate", 3, "root", 2),
            root,
        ],
        description: Some(Description {
            version: 400,
            attestation_level: 1,
            key_level: 1,
            challenge: BINDING.to_vec(),
            software,
            hardware,
        }),
    }
}

/// The same device, provisioned remotely.
pub fn remote() -> Case {
    let mut case = factory();
    case.chain[1].extensions.push((PROVISIONING, octets(&[0xa1, 1, 1])));
    case.chain[1].issuer = "server".to_owned();
    case.chain[1].issuer_key = 5;
    case.chain.insert(2, certificate("server", 5, "intermediate", 3));
    case
}

/// Changes a case that is accepted and checks what becomes of it.
pub fn check(name: &str, base: fn() -> Case, change: impl FnOnce(&mut Case), expected: (&str, Stage)) {
    let mut case = base();
    assert_eq!(code(&case.judge()), "accepted", "{name}: the unchanged case");
    change(&mut case);
    let rejection = case.judge().expect_err(name);
    assert_eq!((rejection.code, rejection.stage), expected, "{name}: {}", rejection.detail);
    assert_eq!(rejection.retryable, rejection.code == "revocation-unavailable", "{name}");
}

pub fn check_accepted(name: &str, base: fn() -> Case, change: impl FnOnce(&mut Case)) {
    let mut case = base();
    change(&mut case);
    assert_eq!(code(&case.judge()), "accepted", "{name}");
}
