//! Private keys in files, and what is done with them. They are read once at start, kept in this process, and never enter
//! a component.
//!
//! The folder has mode 0700 and holds `signing/NAME.pem` (P-256, PKCS#8) for export files and `revision/ID.key` (256 random
//! bits, base64) for revision tokens, each with mode 0600. A file that others can read is refused.

mod files;

pub use files::KeyFileError;

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED, UnparsedPublicKey};
use p256::ecdsa::signature::Signer;
use p256::ecdsa::{DerSignature, SigningKey};
use p256::pkcs8::{DecodePrivateKey, EncodePrivateKey, EncodePublicKey, LineEnding};
use parking_lot::RwLock;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use tocsin_domain::ports::PortError;
use tocsin_domain::ports::sealing::{Sealed, Sealing};
use tocsin_domain::ports::signature_check::SignatureCheck;
use tocsin_domain::ports::signing::Signing;

/// Binds sealed data to its use, so that a token can stand for nothing else.
const REVISION_TOKEN_AAD: &[u8] = b"tocsin revision token 1";

/// All private keys of this server.
pub struct Keyring {
    folder: PathBuf,
    keys: RwLock<Keys>,
}

struct Keys {
    signing: BTreeMap<String, SigningKey>,
    /// By id; the greatest is the effective one.
    revision: BTreeMap<u64, LessSafeKey>,
}

impl std::fmt::Debug for Keyring {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Keyring").field("folder", &self.folder).finish_non_exhaustive()
    }
}

/// A public key, for people and for phones.
#[derive(Clone, Debug, serde::Serialize)]
pub struct PublicKey {
    /// Name of the key.
    pub name: String,
    /// SubjectPublicKeyInfo, PEM.
    pub public_key_pem: String,
}

impl Keyring {
    /// Reads all keys of a folder, which is made if it does not exist.
    pub fn open(folder: &Path) -> Result<Self, KeyFileError> {
        files::make_folder(folder)?;
        let mut keys = Keys { signing: BTreeMap::new(), revision: BTreeMap::new() };
        for (name, path) in files::list(&folder.join("signing"), "pem")? {
            let pem = files::read_secret(&path)?;
            let key = SigningKey::from_pkcs8_pem(&pem)
                .map_err(|_| KeyFileError::new(&path, "is not a P-256 private key in PKCS#8 PEM form"))?;
            keys.signing.insert(name, key);
        }
        for (name, path) in files::list(&folder.join("revision"), "key")? {
            let id = name.parse().map_err(|_| KeyFileError::new(&path, "must be named by a number, such as 1.key"))?;
            let bytes = tocsin_domain::base64::decode(files::read_secret(&path)?.trim()).unwrap_or_default();
            keys.revision
                .insert(id, aes_key(&bytes).ok_or_else(|| KeyFileError::new(&path, "is not 256 bits of base64"))?);
        }
        Ok(Self { folder: folder.to_owned(), keys: RwLock::new(keys) })
    }

    /// Makes a signing key. Fails if there is one of that name.
    pub fn create_signing_key(&self, name: &str) -> Result<PublicKey, KeyFileError> {
        let path = self.folder.join("signing").join(format!("{name}.pem"));
        if name.is_empty()
            || !name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte))
            || name.starts_with('.')
        {
            return Err(KeyFileError::new(&path, "has a name that is not made of letters, digits, '-', '_' and '.'"));
        }
        let (key, pem) = generate();
        files::write_secret(&path, &pem)?;
        let public = public_key(name, &key);
        self.keys.write().signing.insert(name.to_owned(), key);
        Ok(public)
    }

    /// Makes the next revision key, which is from now on the effective one, and returns its id.
    pub fn create_revision_key(&self) -> Result<u64, KeyFileError> {
        let mut keys = self.keys.write();
        let id = keys.revision.last_key_value().map_or(1, |(id, _)| id + 1);
        let bytes = random_bytes::<32>();
        files::write_secret(
            &self.folder.join("revision").join(format!("{id}.key")),
            &tocsin_domain::base64::encode(&bytes),
        )?;
        // Unwrap safety: 32 bytes are an AES-256 key.
        keys.revision.insert(id, aes_key(&bytes).unwrap());
        Ok(id)
    }

    /// Whether revision tokens can be sealed at all.
    pub fn has_revision_key(&self) -> bool {
        !self.keys.read().revision.is_empty()
    }

    /// Ids of the revision keys.
    pub fn revision_key_ids(&self) -> Vec<u64> {
        self.keys.read().revision.keys().copied().collect()
    }

    /// Public halves of the signing keys.
    pub fn public_keys(&self) -> Vec<PublicKey> {
        self.keys.read().signing.iter().map(|(name, key)| public_key(name, key)).collect()
    }
}

impl Signing for Keyring {
    fn sign(&self, key: &str, message: &[u8]) -> Result<Vec<u8>, PortError> {
        let keys = self.keys.read();
        let key =
            keys.signing.get(key).ok_or_else(|| PortError::Internal(format!("there is no signing key {key:?}")))?;
        let signature: DerSignature = key.sign(message);
        Ok(signature.as_bytes().to_vec())
    }
}

impl SignatureCheck for Keyring {
    fn verify_es256(&self, public_key: &[u8], message: &[u8], signature: &[u8]) -> Result<bool, PortError> {
        Ok(verify_es256(public_key, message, signature))
    }
}

/// See [`SignatureCheck::verify_es256`]; needs no key of ours.
pub fn verify_es256(public_key: &[u8], message: &[u8], signature: &[u8]) -> bool {
    UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, public_key).verify(message, signature).is_ok()
}

impl Sealing for Keyring {
    fn seal(&self, plaintext: &[u8]) -> Result<Sealed, PortError> {
        let keys = self.keys.read();
        let (id, key) = keys.revision.last_key_value().ok_or_else(|| {
            PortError::Internal("there is no revision key; make one with `tocsin keys create-revision`".to_owned())
        })?;
        let nonce = random_bytes::<NONCE_LEN>();
        let mut data = Vec::with_capacity(NONCE_LEN + plaintext.len() + AES_256_GCM.tag_len());
        data.extend_from_slice(&nonce);
        data.extend_from_slice(plaintext);
        let tag = key
            .seal_in_place_separate_tag(
                Nonce::assume_unique_for_key(nonce),
                Aad::from(REVISION_TOKEN_AAD),
                &mut data[NONCE_LEN..],
            )
            .map_err(|_| PortError::Internal("sealing failed".to_owned()))?;
        data.extend_from_slice(tag.as_ref());
        Ok(Sealed { key_id: id.to_string(), data })
    }

    fn open(&self, sealed: &Sealed) -> Result<Option<Vec<u8>>, PortError> {
        let Sealed { key_id, data } = sealed;
        let keys = self.keys.read();
        let Some(key) = key_id.parse().ok().and_then(|id: u64| keys.revision.get(&id)) else {
            return Ok(None);
        };
        let Some((nonce, ciphertext)) = data.split_first_chunk::<NONCE_LEN>() else {
            return Ok(None);
        };
        let mut buffer = ciphertext.to_vec();
        let opened =
            key.open_in_place(Nonce::assume_unique_for_key(*nonce), Aad::from(REVISION_TOKEN_AAD), &mut buffer);
        Ok(opened.ok().map(|plaintext| plaintext.to_vec()))
    }
}

/// A new P-256 private key and its PKCS#8 PEM.
pub fn generate() -> (SigningKey, String) {
    let key = loop {
        // A random number is outside the range of the curve's order with a chance of 2^-32: draw again.
        if let Ok(key) = SigningKey::from_slice(&random_bytes::<32>()) {
            break key;
        }
    };
    // Unwrap safety: encoding a valid key into memory cannot fail.
    let pem = key.to_pkcs8_pem(LineEnding::LF).unwrap().to_string();
    (key, pem)
}

/// Writes a new P-256 private key to a file of its own, mode 0600, and returns the public half.
pub fn create_key_file(path: &Path) -> Result<PublicKey, KeyFileError> {
    let (key, pem) = generate();
    files::write_secret(path, &pem)?;
    Ok(public_key(&path.display().to_string(), &key))
}

/// Reads a P-256 private key from a file that nobody else can read.
pub fn read_key_file(path: &Path) -> Result<SigningKey, KeyFileError> {
    SigningKey::from_pkcs8_pem(&files::read_secret(path)?)
        .map_err(|_| KeyFileError::new(path, "is not a P-256 private key in PKCS#8 PEM form"))
}

fn public_key(name: &str, key: &SigningKey) -> PublicKey {
    // Unwrap safety: encoding a valid key into memory cannot fail.
    let public_key_pem = key.verifying_key().to_public_key_pem(LineEnding::LF).unwrap();
    PublicKey { name: name.to_owned(), public_key_pem }
}

/// The uncompressed point (65 bytes) of a P-256 public key in SubjectPublicKeyInfo PEM form, whatever the PEM's label.
pub fn public_key_from_pem(pem: &str) -> Option<Vec<u8>> {
    let body: String = pem
        .lines()
        .map(str::trim)
        .skip_while(|line| !line.starts_with("-----BEGIN"))
        .skip(1)
        .take_while(|line| !line.starts_with("-----END"))
        .collect();
    let der = tocsin_domain::base64::decode(&body).ok()?;
    let key = <p256::PublicKey as p256::pkcs8::DecodePublicKey>::from_public_key_der(&der).ok()?;
    Some(p256::ecdsa::VerifyingKey::from(key).to_sec1_point(false).as_bytes().to_vec())
}

/// Whether bytes are the uncompressed form (65 bytes) of a point of P-256 that can be a public key.
pub fn is_public_key(point: &[u8]) -> bool {
    point.len() == 65 && p256::PublicKey::from_sec1_bytes(point).is_ok()
}

fn aes_key(bytes: &[u8]) -> Option<LessSafeKey> {
    UnboundKey::new(&AES_256_GCM, bytes).ok().map(LessSafeKey::new)
}

/// Random bytes from the operating system.
pub fn random_bytes<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    // Unwrap safety: a system without randomness must not go on.
    getrandom::fill(&mut bytes).unwrap();
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keyring() -> (tempfile::TempDir, Keyring) {
        let folder = tempfile::tempdir().expect("temporary folder");
        let keyring = Keyring::open(&folder.path().join("keys")).expect("new folder");
        (folder, keyring)
    }

    #[test]
    fn signatures_are_deterministic_and_verify_natively() {
        let (_folder, keyring) = keyring();
        let public = keyring.create_signing_key("export").expect("created");
        let point = public_key_from_pem(&public.public_key_pem).expect("own PEM");
        let first = keyring.sign("export", b"message").expect("signed");
        assert_eq!(keyring.sign("export", b"message").expect("signed"), first);
        let raw = p256::ecdsa::Signature::from_der(&first).expect("DER").to_bytes();
        assert!(verify_es256(&point, b"message", &raw));
        assert!(!verify_es256(&point, b"massage", &raw));
        assert!(!verify_es256(&point[1..], b"message", &raw));
        assert!(!verify_es256(&point, b"message", &first));
    }

    #[test]
    fn unknown_signing_key_is_an_internal_error() {
        let (_folder, keyring) = keyring();
        assert!(matches!(keyring.sign("nobody", b""), Err(PortError::Internal(_))));
    }

    #[test]
    fn sealed_data_opens_only_whole_and_under_its_key() {
        let (_folder, keyring) = keyring();
        assert!(matches!(keyring.seal(b""), Err(PortError::Internal(_))), "no key yet");
        assert_eq!(keyring.create_revision_key().expect("created"), 1);
        let old = keyring.seal(b"secret").expect("sealed");
        assert_eq!(old.key_id, "1");
        assert_eq!(keyring.create_revision_key().expect("created"), 2);
        assert_eq!(keyring.seal(b"secret").expect("sealed").key_id, "2", "the newest key is effective");
        assert_eq!(keyring.open(&old), Ok(Some(b"secret".to_vec())), "older keys still open");
        for byte in 0..old.data.len() {
            let mut changed = old.clone();
            changed.data[byte] ^= 1;
            assert_eq!(keyring.open(&changed), Ok(None), "byte {byte}");
        }
        for key_id in ["2", "3", "x", ""] {
            assert_eq!(keyring.open(&Sealed { key_id: key_id.to_owned(), ..old.clone() }), Ok(None), "{key_id:?}");
        }
        assert_eq!(keyring.open(&Sealed { data: vec![0; 11], ..old }), Ok(None));
    }

    #[test]
    fn keys_survive_reopening_and_are_never_overwritten() {
        let (folder, keyring) = keyring();
        let public = keyring.create_signing_key("export").expect("created");
        keyring.create_revision_key().expect("created");
        assert!(keyring.create_signing_key("export").is_err());
        let again = Keyring::open(&folder.path().join("keys")).expect("reopened");
        assert_eq!(again.public_keys()[0].public_key_pem, public.public_key_pem);
        assert_eq!(again.revision_key_ids(), [1]);
    }

    #[test]
    fn key_file_that_others_can_read_is_refused() {
        use std::os::unix::fs::PermissionsExt;
        let (folder, keyring) = keyring();
        keyring.create_signing_key("export").expect("created");
        let file = folder.path().join("keys/signing/export.pem");
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o640)).expect("chmod");
        let error = Keyring::open(&folder.path().join("keys")).expect_err("too open");
        assert!(error.to_string().contains("chmod 600"), "{error}");
    }

    #[test]
    fn key_names_cannot_leave_the_folder() {
        let (_folder, keyring) = keyring();
        for name in ["", "../x", "a/b", ".hidden", "a b"] {
            assert!(keyring.create_signing_key(name).is_err(), "{name:?}");
        }
    }
}
