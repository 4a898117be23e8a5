//! ECDSA P-256 with SHA-256: signatures of export files and checks of others' signatures.

use crate::{named_texts, unusable};
use p256::ecdsa::signature::{Signer, Verifier};
use p256::ecdsa::{DerSignature, Signature, SigningKey, VerifyingKey};
use p256::pkcs8::DecodePrivateKey;
use std::collections::BTreeMap;
use std::fmt;
use tocsin_domain::ports::PortError;

/// All signing keys, from a variable.
pub struct SigningKeys(BTreeMap<String, SigningKey>);

impl fmt::Debug for SigningKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SigningKeys").field("names", &self.0.keys()).finish_non_exhaustive()
    }
}

impl SigningKeys {
    /// Reads the content of `variable`: a JSON object from name to a P-256 private key in PKCS#8 PEM form, the content of
    /// the host's files `signing/NAME.pem`.
    pub fn parse(variable: &str, json: &str) -> Result<Self, PortError> {
        let mut keys = BTreeMap::new();
        for (name, pem) in named_texts(variable, json)? {
            let key = SigningKey::from_pkcs8_pem(&pem)
                .map_err(|_| unusable(variable, "holds a key that is not a P-256 private key in PKCS#8 PEM form"))?;
            keys.insert(name, key);
        }
        Ok(Self(keys))
    }

    /// Signs, deterministically (RFC 6979); the signature is ASN.1 DER. [`PortError::Internal`] when there is no key of
    /// that name.
    pub fn sign(&self, key: &str, message: &[u8]) -> Result<Vec<u8>, PortError> {
        let key = self.0.get(key).ok_or_else(|| PortError::Internal(format!("there is no signing key {key:?}")))?;
        let signature: DerSignature = key.sign(message);
        Ok(signature.as_bytes().to_vec())
    }
}

/// Whether `signature` (r and s, 32 bytes each) is the signature of `message` under `public_key` (uncompressed point, 65
/// bytes). Malformed keys and signatures are simply not valid.
pub fn verify_es256(public_key: &[u8], message: &[u8], signature: &[u8]) -> bool {
    const POINT_BYTES: usize = 65;
    if public_key.len() != POINT_BYTES {
        return false;
    }
    let (Ok(key), Ok(signature)) = (VerifyingKey::from_sec1_bytes(public_key), Signature::from_slice(signature)) else {
        return false;
    };
    key.verify(message, &signature).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use p256::pkcs8::{EncodePrivateKey, LineEnding};

    fn bytes(hex: &str) -> Vec<u8> {
        (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).expect("hex")).collect()
    }

    /// The key of RFC 6979, section A.2.5.
    fn rfc_key() -> SigningKey {
        let private = bytes("C9AFA9D845BA75166B5C215767B1D6934E50C3DB36E89B127B8A622B120F6721");
        SigningKey::from_slice(&private).expect("a key")
    }

    fn keys() -> SigningKeys {
        let pem = rfc_key().to_pkcs8_pem(LineEnding::LF).expect("PEM");
        let json = serde_json::json!({ "export": pem.as_str() }).to_string();
        SigningKeys::parse("signing_keys", &json).expect("parsed")
    }

    /// Signatures of RFC 6979, section A.2.5, with SHA-256.
    const KNOWN: [(&[u8], &str, &str); 2] = [
        (
            b"sample",
            "EFD48B2AACB6A8FD1140DD9CD45E81D69D2C877B56AAF991C34D0EA84EAF3716",
            "F7CB1C942D657C41D436C7A1B6E29F65F3E900DBB9AFF4064DC4AB2F843ACDA8",
        ),
        (
            b"test",
            "F1ABB023518351CD71D881567B1EA663ED3EFCF6C5132B354F28D3B0B7D38367",
            "019F4113742A2B14BD25926B49C649155F267E60D3814B4C0CC84250E46F0083",
        ),
    ];

    #[test]
    fn signatures_are_those_of_rfc_6979_and_verify() {
        let point = rfc_key().verifying_key().to_sec1_point(false).as_bytes().to_vec();
        for (message, r, s) in KNOWN {
            let fixed = [bytes(r), bytes(s)].concat();
            let der = keys().sign("export", message).expect("signed");
            assert_eq!(Signature::from_der(&der).expect("DER").to_bytes().as_slice(), fixed);
            assert!(verify_es256(&point, message, &fixed));
            assert!(!verify_es256(&point, b"another", &fixed));
            assert!(!verify_es256(&point, message, &der), "DER is not what a JWS has");
            assert!(!verify_es256(&point, message, &fixed[..63]));
            assert!(!verify_es256(&point[1..], message, &fixed));
            assert!(!verify_es256(&[4; 65], message, &fixed), "no point of the curve");
            let compressed = rfc_key().verifying_key().to_sec1_point(true).as_bytes().to_vec();
            assert!(!verify_es256(&compressed, message, &fixed), "only uncompressed points, as the host");
            assert!(!verify_es256(&point, message, &[0; 64]));
        }
    }

    #[test]
    fn unknown_key_is_an_internal_error() {
        assert!(matches!(keys().sign("nobody", b""), Err(PortError::Internal(_))));
    }

    #[test]
    fn unusable_variable_is_named_and_its_content_not_shown() {
        for json in ["", "[]", r#"{"export": "c2VjcmV0"}"#] {
            let error = SigningKeys::parse("signing_keys", json).map(drop).expect_err("refused").to_string();
            assert!(error.contains("signing_keys") && !error.contains("c2VjcmV0"), "{error}");
        }
        assert_eq!(format!("{:?}", keys()), r#"SigningKeys { names: ["export"], .. }"#);
    }
}
