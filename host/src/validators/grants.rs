//! What the host holds for one validator: its configuration, trust anchors, keys, and the list of revoked certificates.

use super::failure::ValidatorError;
use super::meter::CallLimits;
use super::revocation::RevocationList;
use crate::bindings::capabilities::tocsin::validator::types::AttestedKey;
use crate::config::ValidatorConfig;
use crate::signing::read_secret;
use aws_lc_rs::key_wrap::{AES_256, AesKek, KeyWrap};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tocsin_domain::ports::{Clock, PortError};
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivatePkcs8KeyDer};

/// Where device keys are found that earlier submissions stored.
pub trait DeviceKeys: Send + Sync {
    /// The key of that id that this validator stored for this app. May block.
    fn find(&self, validator: &str, app: &str, key_id: &[u8]) -> Result<Option<AttestedKey>, PortError>;
}

/// No keys: where nothing is stored.
#[derive(Clone, Copy, Debug)]
pub struct NoDeviceKeys;

impl DeviceKeys for NoDeviceKeys {
    fn find(&self, _: &str, _: &str, _: &[u8]) -> Result<Option<AttestedKey>, PortError> {
        Ok(None)
    }
}

/// Of one validator.
pub(super) struct Grants {
    pub(super) name: String,
    pub(super) limits: CallLimits,
    pub(super) clock: Arc<dyn Clock + Send + Sync>,
    pub(super) device_keys: Arc<dyn DeviceKeys>,
    pub(super) configuration: String,
    anchors: BTreeMap<String, Vec<Vec<u8>>>,
    keys: BTreeMap<String, Key>,
    revocation: Option<Arc<RevocationList>>,
}

/// What [`Grants::new`] reads from files, as values.
pub(super) struct GrantedValues {
    /// JSON.
    pub(super) configuration: String,
    pub(super) anchors: BTreeMap<String, Vec<Vec<u8>>>,
    /// What a file of a key holds.
    pub(super) keys: BTreeMap<String, String>,
    pub(super) revocation: Option<Arc<RevocationList>>,
}

enum Key {
    Sign(EcdsaKeyPair),
    Unwrap([u8; 32]),
}

impl Grants {
    /// Reads the files that the configuration names.
    pub(super) fn new(
        name: &str,
        config: &ValidatorConfig,
        clock: Arc<dyn Clock + Send + Sync>,
        device_keys: Arc<dyn DeviceKeys>,
        revocation: Option<Arc<RevocationList>>,
    ) -> Result<Self, ValidatorError> {
        let failed = |problem: String| ValidatorError::new(format!("validator {name}: {problem}"));
        let mut anchors = BTreeMap::new();
        for (set, file) in &config.anchors {
            anchors.insert(set.clone(), read_anchors(file).map_err(failed)?);
        }
        let mut keys = BTreeMap::new();
        for (key, file) in &config.keys {
            keys.insert(key.clone(), read_key(file).map_err(failed)?);
        }
        let configuration = to_json(&toml::Value::Table(config.configuration.clone()))
            .ok_or_else(|| failed("its configuration holds a number that JSON cannot write (nan or inf)".to_owned()))?;
        Ok(Self {
            name: name.to_owned(),
            limits: CallLimits {
                memory_bytes: usize::try_from(config.memory_mib).unwrap_or(usize::MAX).saturating_mul(1024 * 1024),
                compute: Duration::from_millis(config.compute_ms),
                fuel: config.fuel,
                result_bytes: config.max_result_bytes,
            },
            clock,
            device_keys,
            configuration: configuration.to_string(),
            anchors,
            keys,
            revocation: revocation.filter(|_| config.revocation),
        })
    }

    /// With values in the place of those that the configuration names.
    pub(super) fn of_values(
        name: &str,
        config: &ValidatorConfig,
        clock: Arc<dyn Clock + Send + Sync>,
        device_keys: Arc<dyn DeviceKeys>,
        values: GrantedValues,
    ) -> Result<Self, ValidatorError> {
        let GrantedValues { configuration, anchors, keys: texts, revocation } = values;
        let mut keys = BTreeMap::new();
        for (key, text) in texts {
            let wrong = |what: &str| ValidatorError::new(format!("key {key} {what}"));
            keys.insert(key.clone(), parse_key(&text).map_err(wrong)?);
        }
        let grants = Self::new(name, config, clock, device_keys, None)?;
        Ok(Self { configuration, anchors, keys, revocation, ..grants })
    }

    /// The certificates of a set.
    pub(super) fn anchors(&self, set: &str) -> Vec<Vec<u8>> {
        self.anchors.get(set).cloned().unwrap_or_default()
    }

    /// Whether a serial number is revoked; `None`: the list is missing or too old, or not for this validator.
    pub(super) fn is_revoked(&self, serial: &str) -> Option<bool> {
        self.revocation.as_ref()?.is_revoked(serial, self.clock.now())
    }

    /// Unwraps with a key.
    pub(super) fn unwrap_key(&self, key: &str, wrapped: &[u8]) -> Option<Vec<u8>> {
        let Key::Unwrap(key) = self.keys.get(key)? else { return None };
        let mut output = vec![0; wrapped.len()];
        let unwrapped = AesKek::new(&AES_256, key).ok()?.unwrap(wrapped, &mut output).ok()?;
        Some(unwrapped.to_vec())
    }

    /// Signs with a key.
    pub(super) fn sign_es256(&self, key: &str, message: &[u8]) -> Option<Vec<u8>> {
        let Key::Sign(key) = self.keys.get(key)? else { return None };
        key.sign(&SystemRandom::new(), message).ok().map(|signature| signature.as_ref().to_vec())
    }
}

fn read_anchors(file: &Path) -> Result<Vec<Vec<u8>>, String> {
    let wrong = |what: &str| format!("{} {what}; it must hold certificates in PEM form", file.display());
    let pem = std::fs::read(file).map_err(|error| wrong(&format!("cannot be read ({error})")))?;
    let certificates: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&pem).collect();
    let certificates = certificates.map_err(|_| wrong("is garbled"))?;
    if certificates.is_empty() {
        return Err(wrong("has no certificate"));
    }
    Ok(certificates.into_iter().map(|certificate| certificate.to_vec()).collect())
}

fn read_key(file: &Path) -> Result<Key, String> {
    let text = read_secret(file).map_err(|error| error.to_string())?;
    parse_key(&text).map_err(|what| format!("key file {} {what}", file.display()))
}

fn parse_key(text: &str) -> Result<Key, &'static str> {
    if text.contains("-----BEGIN") {
        let key = PrivatePkcs8KeyDer::from_pem_slice(text.as_bytes())
            .map_err(|_| "has no PKCS#8 private key (BEGIN PRIVATE KEY)")?;
        let key = EcdsaKeyPair::from_private_key_der(&ECDSA_P256_SHA256_FIXED_SIGNING, key.secret_pkcs8_der())
            .map_err(|_| "has a private key that is not of the curve P-256")?;
        return Ok(Key::Sign(key));
    }
    let bytes = tocsin_domain::base64::decode(text.trim()).unwrap_or_default();
    bytes.try_into().map(Key::Unwrap).map_err(|_| "is neither a PKCS#8 private key in PEM form nor 32 bytes of base64")
}

/// Times become text; `None` for numbers that JSON does not have.
fn to_json(value: &toml::Value) -> Option<serde_json::Value> {
    Some(match value {
        toml::Value::String(text) => text.as_str().into(),
        toml::Value::Integer(number) => (*number).into(),
        toml::Value::Float(number) => serde_json::Number::from_f64(*number)?.into(),
        toml::Value::Boolean(is_true) => (*is_true).into(),
        toml::Value::Datetime(time) => time.to_string().into(),
        toml::Value::Array(values) => values.iter().map(to_json).collect::<Option<Vec<_>>>()?.into(),
        toml::Value::Table(table) => {
            let fields = table.iter().map(|(name, value)| Some((name.clone(), to_json(value)?)));
            serde_json::Value::Object(fields.collect::<Option<_>>()?)
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::validators::doubles::{FixedClock, secret_file};
    use p256::ecdsa::signature::Verifier;
    use p256::pkcs8::EncodePrivateKey;

    fn grants(config: &ValidatorConfig) -> Result<Grants, ValidatorError> {
        Grants::new("acme", config, Arc::new(FixedClock(0)), Arc::new(NoDeviceKeys), None)
    }

    #[test]
    fn configuration_becomes_json() {
        let text = "a = 1\nb = [1.5, true, \"x\"]\nc = { at = 2026-11-26T00:00:00Z }";
        let config = ValidatorConfig { configuration: text.parse().expect("TOML"), ..ValidatorConfig::default() };
        let json: serde_json::Value =
            serde_json::from_str(&grants(&config).expect("good").configuration).expect("JSON");
        assert_eq!(json, serde_json::json!({"a": 1, "b": [1.5, true, "x"], "c": {"at": "2026-11-26T00:00:00Z"}}));
        let config = ValidatorConfig { configuration: "a = nan".parse().expect("TOML"), ..config };
        assert!(grants(&config).is_err_and(|error| error.to_string().contains("nan")));
        assert_eq!(grants(&ValidatorConfig::default()).expect("good").configuration, "{}");
    }

    #[test]
    fn keys_sign_and_unwrap_and_no_other_key_does() {
        let folder = tempfile::tempdir().expect("temporary folder");
        let signing = p256::ecdsa::SigningKey::from_slice(&[7; 32]).expect("a scalar");
        let pem =
            p256::SecretKey::from_slice(&[7; 32]).expect("a scalar").to_pkcs8_pem(Default::default()).expect("PEM");
        let mut config = ValidatorConfig::default();
        config.keys.insert("sign".to_owned(), secret_file(folder.path(), "sign.p8", &pem));
        let key = tocsin_domain::base64::encode(&[9; 32]);
        config.keys.insert("unwrap".to_owned(), secret_file(folder.path(), "unwrap.key", &key));
        let grants = grants(&config).expect("good");
        let signature = grants.sign_es256("sign", b"message").expect("signed");
        let signature = p256::ecdsa::Signature::from_slice(&signature).expect("r and s");
        assert!(signing.verifying_key().verify(b"message", &signature).is_ok());
        let mut wrapped = [0; 40];
        AesKek::new(&AES_256, &[9; 32]).expect("a key").wrap(&[3; 32], &mut wrapped).expect("wrapped");
        assert_eq!(grants.unwrap_key("unwrap", &wrapped), Some(vec![3; 32]));
        wrapped[0] ^= 1;
        assert_eq!(grants.unwrap_key("unwrap", &wrapped), None);
        for length in [0, 1, 8, 15, 17] {
            assert_eq!(grants.unwrap_key("unwrap", &vec![0; length]), None);
        }
        assert_eq!(grants.unwrap_key("sign", &wrapped), None);
        assert_eq!(grants.sign_es256("unwrap", b"message"), None);
        assert_eq!(grants.sign_es256("none", b"message"), None);
    }

    #[test]
    fn files_that_hold_something_else_are_named() {
        let folder = tempfile::tempdir().expect("temporary folder");
        let check = |config: &ValidatorConfig, parts: &[&str]| {
            let error = grants(config).map(drop).expect_err("refused").to_string();
            parts.iter().for_each(|part| assert!(error.contains(part), "{part} is not in {error}"));
        };
        let key = |content: &str| {
            let mut config = ValidatorConfig::default();
            config.keys.insert("k".to_owned(), secret_file(folder.path(), "k", content));
            config
        };
        check(&key("AAAA"), &["acme", "32 bytes"]);
        check(&key("-----BEGIN EC PRIVATE KEY-----\nAAAA\n-----END EC PRIVATE KEY-----\n"), &["PKCS#8"]);
        check(&key("-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"), &["P-256"]);
        let mut config = ValidatorConfig::default();
        config.anchors.insert("a".to_owned(), secret_file(folder.path(), "a.pem", "nothing"));
        check(&config, &["acme", "a.pem", "no certificate"]);
    }

    #[test]
    fn anchors_are_certificates_in_order_and_unknown_sets_are_empty() {
        let folder = tempfile::tempdir().expect("temporary folder");
        let pem = "-----BEGIN CERTIFICATE-----\nAQID\n-----END CERTIFICATE-----\n-----BEGIN CERTIFICATE-----\nBAUG\n\
                   -----END CERTIFICATE-----\n";
        let mut config = ValidatorConfig::default();
        config.anchors.insert("apple".to_owned(), secret_file(folder.path(), "a.pem", pem));
        let grants = grants(&config).expect("good");
        assert_eq!(grants.anchors("apple"), vec![vec![1, 2, 3], vec![4, 5, 6]]);
        assert!(grants.anchors("google").is_empty());
    }
}
