//! Private keys, and what is done with them. They are read once at start, kept in this process, and never enter a
//! component.
//!
//! The folder has mode 0700 and holds `signing/NAME.pem` (P-256, PKCS#8) for export files and `root/ID.key` (256 random
//! bits, base64), each with mode 0600; a file that others can read is refused. Root keys wrap the revision keys, which seal
//! revision tokens and are in the store: neither the folder nor the database opens a token alone, and old revision keys
//! can be destroyed while backups of the folder live on.

mod aead;
mod files;
mod revision;
mod root;
#[cfg(test)]
mod tests;

pub use files::KeyFileError;
pub(crate) use files::read_secret;
pub use revision::{RootRotation, Rotation, destroy_unreadable};

use crate::storage::revision_keys::RevisionKeys;
use aead::AesKey;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED, UnparsedPublicKey};
use p256::ecdsa::signature::Signer;
use p256::ecdsa::{DerSignature, SigningKey};
use p256::pkcs8::{DecodePrivateKey, EncodePrivateKey, EncodePublicKey, LineEnding};
use parking_lot::{Mutex, RwLock};
use root::RootKeys;
use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tocsin_domain::ports::PortError;
use tocsin_domain::ports::sealing::{Sealed, Sealing};
use tocsin_domain::ports::signature_check::SignatureCheck;
use tocsin_domain::ports::signing::Signing;

/// Binds sealed data to its use, so that a token can stand for nothing else.
const REVISION_TOKEN_AAD: &[u8] = b"tocsin revision token 1";

/// All private keys of this server.
pub struct Keyring {
    folder: PathBuf,
    store: Arc<dyn RevisionKeys + Send + Sync>,
    keys: RwLock<Keys>,
    /// Held while revision keys or root keys change. `keys` is locked for moments only, so that tokens need not wait for
    /// the disk.
    changes: Mutex<RootKeys>,
}

struct Keys {
    signing: BTreeMap<String, SigningKey>,
    /// By id; the greatest is the effective one.
    revision: BTreeMap<u64, AesKey>,
}

impl fmt::Debug for Keyring {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Keyring").field("folder", &self.folder).finish_non_exhaustive()
    }
}

/// Keys cannot be used, or not be changed.
#[derive(Debug)]
pub enum KeyError {
    /// A key file.
    File(KeyFileError),
    /// A revision key cannot be unwrapped.
    Unreadable {
        /// Its id.
        revision_key: u64,
        /// The root key that it is wrapped under.
        root_key: u64,
        /// Where that should be.
        root_file: PathBuf,
        /// It is not there; otherwise the two do not fit.
        is_root_missing: bool,
    },
    /// The store of revision keys.
    Store(PortError),
}

impl fmt::Display for KeyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(error) => error.fmt(f),
            Self::Unreadable { revision_key, root_key, root_file, is_root_missing } => {
                let reason = if *is_root_missing { "which is missing" } else { "which does not fit" };
                write!(
                    f,
                    "revision key {revision_key} in the database cannot be unwrapped: it is wrapped under root key \
                     {root_key} ({}), {reason}. Restore that file from the backup of the folder of keys that belongs to this \
                     database. If there is none, `tocsin keys destroy-unreadable` gives up the revision keys that need it: \
                     what phones published under them can then not be revised",
                    root_file.display()
                )
            }
            Self::Store(error) => write!(f, "the store of revision keys failed: {error}"),
        }
    }
}

impl std::error::Error for KeyError {}

impl From<KeyFileError> for KeyError {
    fn from(error: KeyFileError) -> Self {
        Self::File(error)
    }
}

impl From<PortError> for KeyError {
    fn from(error: PortError) -> Self {
        Self::Store(error)
    }
}

/// A public key, for people and for phones.
#[derive(Clone, Debug, serde::Serialize, serde::Deserialize)]
pub struct PublicKey {
    /// Name of the key.
    pub name: String,
    /// SubjectPublicKeyInfo, PEM.
    pub public_key_pem: String,
}

impl Keyring {
    /// Reads all keys of a folder, which is made if it does not exist, and of a store. The first start makes a root key.
    pub fn open(folder: &Path, store: Arc<dyn RevisionKeys + Send + Sync>) -> Result<Self, KeyError> {
        files::make_folder(folder)?;
        let mut signing = BTreeMap::new();
        for (name, path) in files::list(&folder.join("signing"), "pem")? {
            let pem = files::read_secret(&path)?;
            let key = SigningKey::from_pkcs8_pem(&pem)
                .map_err(|_| KeyFileError::new(&path, "is not a P-256 private key in PKCS#8 PEM form"))?;
            signing.insert(name, key);
        }
        let (roots, revision) = revision::open(folder, &*store)?;
        Ok(Self {
            folder: folder.to_owned(),
            store,
            keys: RwLock::new(Keys { signing, revision }),
            changes: Mutex::new(roots),
        })
    }

    /// Makes a signing key. Fails if there is one of that name.
    pub fn create_signing_key(&self, name: &str) -> Result<PublicKey, KeyFileError> {
        self.check_signing_key_name(name)?;
        let path = self.signing_key_file(name);
        let (key, pem) = generate();
        files::write_secret(&path, &pem)?;
        let public = public_key(name, &key);
        self.keys.write().signing.insert(name.to_owned(), key);
        Ok(public)
    }

    /// Whether a signing key can have that name.
    pub fn check_signing_key_name(&self, name: &str) -> Result<(), KeyFileError> {
        if name.is_empty()
            || !name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte))
            || name.starts_with('.')
        {
            let reason = "has a name that is not made of letters, digits, '-', '_' and '.'";
            return Err(KeyFileError::new(&self.signing_key_file(name), reason));
        }
        Ok(())
    }

    fn signing_key_file(&self, name: &str) -> PathBuf {
        self.folder.join("signing").join(format!("{name}.pem"))
    }

    /// Whether revision tokens can be sealed at all.
    pub fn has_revision_key(&self) -> bool {
        !self.keys.read().revision.is_empty()
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
            PortError::Internal("there is no revision key; make one with `tocsin keys rotate`".to_owned())
        })?;
        Ok(Sealed { key_id: id.to_string(), data: key.seal(REVISION_TOKEN_AAD, plaintext) })
    }

    fn open(&self, sealed: &Sealed) -> Result<Option<Vec<u8>>, PortError> {
        let Sealed { key_id, data } = sealed;
        let keys = self.keys.read();
        let key = key_id.parse().ok().and_then(|id: u64| keys.revision.get(&id));
        Ok(key.and_then(|key| key.open(REVISION_TOKEN_AAD, data)))
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

/// Random bytes from the operating system.
pub fn random_bytes<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    // Unwrap safety: a system without randomness must not go on.
    getrandom::fill(&mut bytes).unwrap();
    bytes
}
