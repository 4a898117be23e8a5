//! A host for tests, and the vectors of Google's verifier (android/keyattestation), read from beside the project where
//! they are present.

use std::collections::BTreeSet;
use std::path::PathBuf;

use tocsin_attestation::android_key::{ANCHORS, AndroidKeyConfig, CertificateDigest, begin};
use tocsin_attestation::contract::{
    Acceptance, AttestedKey, Evidence, Outcome, Rejection, Services, Submission, Transcript,
};

/// Signer of the vectors' apps.
pub const VECTOR_SIGNER: &str =
    "10:39:38:EE:45:37:E5:9E:8E:E7:92:F6:54:50:4F:B8:34:6F:C6:B3:46:D0:BB:C4:41:5F:C3:39:FC:FC:8E:C1";

/// A host whose answers a test sets.
#[derive(Clone)]
pub struct Host {
    /// Unix seconds.
    pub now: i64,
    /// Of the set for key attestation.
    pub anchors: Vec<Vec<u8>>,
    /// Revoked serial numbers; `None` when there is no list.
    pub revoked: Option<BTreeSet<String>>,
}

impl Services for Host {
    fn now(&self) -> i64 {
        self.now
    }
    fn random(&self, _: u32) -> Vec<u8> {
        unreachable!("key attestation needs no randomness")
    }
    fn anchors(&self, set: &str) -> Vec<Vec<u8>> {
        if set == ANCHORS { self.anchors.clone() } else { Vec::new() }
    }
    fn is_revoked(&self, serial: &str) -> Option<bool> {
        self.revoked.as_ref().map(|serials| serials.contains(serial))
    }
    fn unwrap_key(&self, _: &str, _: &[u8]) -> Option<Vec<u8>> {
        unreachable!("key attestation unwraps nothing")
    }
    fn sign_es256(&self, _: &str, _: &[u8]) -> Option<Vec<u8>> {
        unreachable!("key attestation signs nothing")
    }
    fn find_key(&self, _: &str, _: &[u8]) -> Option<AttestedKey> {
        unreachable!("key attestation stores no keys")
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
        challenge: Some(vec![7; 16]),
        ..Submission::default()
    }
}

/// A config with that signer and defaults else.
pub fn config(signer: &str) -> AndroidKeyConfig {
    let digest = CertificateDigest::try_from(signer.to_owned()).expect("a digest");
    AndroidKeyConfig { certificate_sha256: vec![digest], ..AndroidKeyConfig::default() }
}

/// What `begin` says about a chain.
pub fn judge(
    submission: &Submission,
    chain: &[Vec<u8>],
    config: &AndroidKeyConfig,
    host: &Host,
) -> Result<Acceptance, Rejection> {
    let evidence = Evidence { method: "android-key".to_owned(), chain: chain.to_vec(), ..Evidence::default() };
    match begin(submission, &evidence, config, host) {
        Outcome::Accept(acceptance) => Ok(acceptance),
        Outcome::Reject(rejection) => {
            assert!(!rejection.detail.is_empty());
            Err(rejection)
        }
        Outcome::Exchange(_) => panic!("key attestation asks nobody"),
    }
}

/// The code of a rejection; `accepted` if it is none.
pub fn code<T>(result: &Result<T, Rejection>) -> &'static str {
    match result {
        Ok(_) => "accepted",
        Err(rejection) => rejection.code,
    }
}

/// The vectors' folder; says so when there is none.
pub fn vectors() -> Option<PathBuf> {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../../shared/vectors/android-key");
    if path.is_dir() {
        return Some(path);
    }
    eprintln!("skipped: there are no vectors of android-key beside the project");
    None
}

/// Each real chain that has an expected reading: its name, certificates and that reading.
pub fn read_chains() -> Vec<(String, Vec<Vec<u8>>, serde_json::Value)> {
    let Some(root) = vectors() else { return Vec::new() };
    let mut found = Vec::new();
    for device in ["akita/sdk34", "caiman/sdk36", "marlin/sdk29"] {
        for entry in std::fs::read_dir(root.join("testdata").join(device)).expect("a folder of vectors") {
            let path = entry.expect("an entry").path();
            if path.extension().is_some_and(|extension| extension == "json") {
                let name = format!("{device}/{}", path.file_stem().expect("a name").to_string_lossy());
                let chain = read_pem(&std::fs::read_to_string(path.with_extension("pem")).expect("a chain"));
                let json = std::fs::read_to_string(&path).expect("an expected reading");
                found.push((name, chain, serde_json::from_str(&json).expect("JSON")));
            }
        }
    }
    found.sort_by(|left, right| left.0.cmp(&right.0));
    assert_eq!(found.len(), 9);
    found
}

/// One real chain.
pub fn read_chain(name: &str) -> Option<Vec<Vec<u8>>> {
    let path = vectors()?.join("testdata").join(name).with_extension("pem");
    Some(read_pem(&std::fs::read_to_string(path).expect("a chain")))
}

/// Google's two roots.
pub fn read_roots() -> Vec<Vec<u8>> {
    let Some(path) = vectors() else { return Vec::new() };
    let json = std::fs::read_to_string(path.join("roots.json")).expect("the roots");
    let roots: Vec<String> = serde_json::from_str(&json).expect("JSON");
    roots.iter().flat_map(|pem| read_pem(pem)).collect()
}

/// The certificates of a PEM text.
fn read_pem(text: &str) -> Vec<Vec<u8>> {
    text.split("-----BEGIN CERTIFICATE-----")
        .skip(1)
        .map(|part| from_base64(part.split("-----END").next().expect("an end")))
        .collect()
}

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

fn from_base64(text: &str) -> Vec<u8> {
    let (mut bits, mut count, mut bytes) = (0_u32, 0, Vec::new());
    for symbol in text.bytes().filter(|symbol| !symbol.is_ascii_whitespace() && *symbol != b'=') {
        let value = ALPHABET.iter().position(|known| *known == symbol).expect("a base64 symbol");
        bits = (bits << 6 | u32::try_from(value).expect("six bits")) & 0xffff;
        count += 6;
        if count >= 8 {
            count -= 8;
            bytes.push((bits >> count) as u8);
        }
    }
    bytes
}

/// Standard base64 with padding, as the expected readings have it.
pub fn to_base64(bytes: &[u8]) -> String {
    let mut text = String::new();
    for chunk in bytes.chunks(3) {
        let bits = (0..3).fold(0_u32, |bits, index| bits << 8 | u32::from(*chunk.get(index).unwrap_or(&0)));
        for index in 0..4 {
            let symbol = ALPHABET[(bits >> (18 - 6 * index) & 63) as usize];
            text.push(if index <= chunk.len() { char::from(symbol) } else { '=' });
        }
    }
    text
}
