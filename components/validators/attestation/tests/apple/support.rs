//! A host for tests, and the vectors of veehaitch/devicecheck-appattest, read from beside the project where they are
//! present.

use std::collections::BTreeMap;
use std::path::PathBuf;

use base64ct::{Base64, Encoding};
use p256::ecdsa::signature::Signer;
use p256::ecdsa::{Signature, SigningKey};
use tocsin_attestation::apple::app_attest::{ANCHORS, AppAttestConfig, RECEIPT_ANCHORS, begin};
use tocsin_attestation::contract::{
    Acceptance, AttestedKey, Evidence, Outcome, Rejection, Services, Stage, Submission, Transcript,
};

/// A host whose answers a test sets.
#[derive(Clone, Default)]
pub struct Host {
    /// Unix seconds.
    pub now: i64,
    /// Sets of trust anchors.
    pub anchors: BTreeMap<String, Vec<Vec<u8>>>,
    /// Stored keys.
    pub keys: Vec<AttestedKey>,
    /// The keys that sign, by name.
    pub signing: BTreeMap<String, SigningKey>,
    /// Whether it answers carelessly: with any key that it has stored, and with signatures that are too short.
    pub careless: bool,
}

impl Host {
    /// One with these roots of attested keys and of receipts.
    pub fn new(now: i64, attestation: Vec<u8>, receipt: Vec<u8>) -> Self {
        let sets = [(ANCHORS, attestation), (RECEIPT_ANCHORS, receipt)];
        let anchors = sets.map(|(set, root)| (set.to_owned(), vec![root])).into();
        Self { now, anchors, ..Self::default() }
    }
}

impl Services for Host {
    fn now(&self) -> i64 {
        self.now
    }
    fn random(&self, _: u32) -> Vec<u8> {
        unreachable!("Apple's methods need no randomness")
    }
    fn anchors(&self, set: &str) -> Vec<Vec<u8>> {
        self.anchors.get(set).cloned().unwrap_or_default()
    }
    fn is_revoked(&self, _: &str) -> Option<bool> {
        unreachable!("Apple revokes nothing")
    }
    fn unwrap_key(&self, _: &str, _: &[u8]) -> Option<Vec<u8>> {
        unreachable!("Apple's methods unwrap nothing")
    }
    fn sign_es256(&self, key: &str, message: &[u8]) -> Option<Vec<u8>> {
        let signature: Signature = self.signing.get(key)?.sign(message);
        let bytes = signature.to_bytes();
        Some(bytes[usize::from(self.careless)..].to_vec())
    }
    fn find_key(&self, app: &str, key_id: &[u8]) -> Option<AttestedKey> {
        self.keys.iter().find(|key| self.careless || key.app == app && key.key_id == key_id).cloned()
    }
}

/// A submission of that app whose `ens-v4` transcript has that hash.
pub fn submission(app: &str, sha256: [u8; 32]) -> Submission {
    Submission {
        app: app.to_owned(),
        transcripts: vec![
            Transcript { format: "ens-v3".to_owned(), sha256: [0xee; 32] },
            Transcript { format: "ens-v4".to_owned(), sha256 },
        ],
        ..Submission::default()
    }
}

/// What App Attest is asked, and by whom.
#[derive(Clone)]
pub struct Case {
    pub host: Host,
    pub submission: Submission,
    pub evidence: Evidence,
    pub config: AppAttestConfig,
}

impl Case {
    /// What `begin` says.
    pub fn judge(&self) -> Result<Acceptance, Rejection> {
        match begin(&self.submission, &self.evidence, &self.config, &self.host) {
            Outcome::Accept(acceptance) => Ok(acceptance),
            Outcome::Reject(rejection) => Err(rejection),
            Outcome::Exchange(_) => panic!("App Attest asks nobody"),
        }
    }

    /// What `begin` says of this case after a change.
    pub fn with(&self, change: impl FnOnce(&mut Self)) -> Result<Acceptance, Rejection> {
        let mut case = self.clone();
        change(&mut case);
        case.judge()
    }
}

/// Checks code and stage of a rejection that does not go away by itself.
#[track_caller]
pub fn check_rejected<T: std::fmt::Debug>(judged: Result<T, Rejection>, code: &str, stage: Stage) {
    let rejection = judged.expect_err("a rejection");
    assert_eq!((rejection.code, rejection.stage, rejection.retryable), (code, stage, false), "{}", rejection.detail);
}

/// The DER of a PEM file; text before it is passed over.
pub fn pem(text: &str) -> Vec<u8> {
    let (_, rest) = text.split_once("-----BEGIN CERTIFICATE-----").expect("a beginning");
    let (body, _) = rest.split_once("-----END CERTIFICATE-----").expect("an end");
    base64(&body.split_whitespace().collect::<String>())
}

/// Decodes base64.
pub fn base64(text: &str) -> Vec<u8> {
    Base64::decode_vec(text).expect("base64")
}

/// Unix seconds of `2021-01-09T23:22:55.546Z` and the like.
pub fn seconds(text: &str) -> i64 {
    let time: der::DateTime = format!("{}Z", &text[..19]).parse().expect("a time");
    i64::try_from(time.unix_duration().as_secs()).expect("a time of our age")
}

/// Root of attested keys.
pub fn attestation_root() -> Vec<u8> {
    pem(include_str!("../../src/apple/roots/apple-app-attest.pem"))
}

/// Root of receipts.
pub fn receipt_root() -> Vec<u8> {
    pem(include_str!("../../src/apple/roots/apple-root-g3.pem"))
}

/// One document of a vector: its fields by name, nested ones too.
pub type Document = BTreeMap<String, String>;

/// The documents of each vector; none when the vectors are not there.
pub fn vectors() -> Vec<(String, Vec<Document>)> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../../shared/vectors/app-attest");
    let Ok(entries) = std::fs::read_dir(&folder) else {
        println!("skipped: there are no vectors of App Attest beside the project");
        return Vec::new();
    };
    let mut found: Vec<_> = entries
        .map(|entry| entry.expect("an entry").path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "yaml"))
        .map(|path| (path.display().to_string(), documents(&std::fs::read_to_string(&path).expect("a text"))))
        .collect();
    found.sort();
    assert!(found.len() >= 4, "vectors are missing");
    found
}

fn documents(text: &str) -> Vec<Document> {
    let fields = |document: &str| {
        document
            .lines()
            .filter_map(|line| line.split_once(": "))
            .map(|(name, value)| (name.trim().to_owned(), value.trim_matches('\'').to_owned()))
            .collect::<Document>()
    };
    text.trim_start_matches("---\n").split("\n---\n").map(fields).filter(|document| !document.is_empty()).collect()
}
