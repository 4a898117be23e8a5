//! Public keys and signatures: ECDSA on P-256 and P-384, and RSA.

use der::Reader;
use der::asn1::{ObjectIdentifier, UintRef};
use p256::ecdsa::signature::hazmat::PrehashVerifier;
use sha2::{Digest, Sha256, Sha384};

use super::{X509Error, algorithm_identifier, read_spki, sequence};

/// Modulus sizes of RSA keys that are accepted, in bits; the upper bound limits the work of a check.
const RSA_BITS: std::ops::RangeInclusive<usize> = 2048..=4096;

const EC_PUBLIC_KEY: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.2.1");
const CURVE_P256: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.3.1.7");
const CURVE_P384: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.132.0.34");
const RSA_ENCRYPTION: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.1");
const ECDSA_WITH_SHA256: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.4.3.2");
const ECDSA_WITH_SHA384: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.4.3.3");
const RSA_WITH_SHA256: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.11");

/// A kind of keys that can check signatures.
pub trait Key: Sized {
    /// Reads the DER of a SubjectPublicKeyInfo. EC points must be uncompressed and on the curve.
    fn from_spki(bytes: &[u8]) -> Result<Self, X509Error>;

    /// Checks a signature over `message`; ECDSA signatures in DER form, as in certificates and CMS.
    fn verify(&self, algorithm: SignatureAlgorithm, message: &[u8], signature: &[u8]) -> Result<(), X509Error>;
}

/// A key on an elliptic curve.
#[derive(Clone)]
pub enum EcKey {
    /// On NIST P-256.
    P256(p256::ecdsa::VerifyingKey),
    /// On NIST P-384.
    P384(p384::ecdsa::VerifyingKey),
}

/// A key of any kind that is known here.
#[derive(Clone)]
pub enum PublicKey {
    /// On an elliptic curve.
    Ec(EcKey),
    /// RSA of 2,048 to 4,096 bits.
    Rsa(Box<rsa::PublicKey>),
}

impl EcKey {
    /// A P-256 key from its uncompressed SEC1 point (65 bytes).
    pub fn from_p256_point(point: &[u8]) -> Result<Self, X509Error> {
        if point.len() != 65 {
            return Err(X509Error::Malformed);
        }
        p256::ecdsa::VerifyingKey::from_sec1_bytes(point).map(Self::P256).map_err(|_| X509Error::Malformed)
    }
}

impl Key for EcKey {
    fn from_spki(bytes: &[u8]) -> Result<Self, X509Error> {
        let (oid, parameters, key) = read_spki(bytes)?;
        if oid != EC_PUBLIC_KEY {
            return Err(X509Error::Unsupported);
        }
        let curve: ObjectIdentifier = parameters.ok_or(X509Error::Malformed)?.decode_as()?;
        match (curve, key.len()) {
            (CURVE_P256, 65) => Self::from_p256_point(key),
            (CURVE_P384, 97) => {
                p384::ecdsa::VerifyingKey::from_sec1_bytes(key).map(Self::P384).map_err(|_| X509Error::Malformed)
            }
            _ => Err(X509Error::Unsupported),
        }
    }

    fn verify(&self, algorithm: SignatureAlgorithm, message: &[u8], signature: &[u8]) -> Result<(), X509Error> {
        let bad = |_| X509Error::BadSignature;
        if algorithm == SignatureAlgorithm::RsaSha256 {
            return Err(X509Error::Unsupported);
        }
        let hash = algorithm.digest(message);
        match self {
            Self::P256(key) => {
                let signature = p256::ecdsa::Signature::from_der(signature).map_err(bad)?;
                key.verify_prehash(&hash, &signature).map_err(bad)
            }
            Self::P384(key) => {
                let signature = p384::ecdsa::Signature::from_der(signature).map_err(bad)?;
                key.verify_prehash(&hash, &signature).map_err(bad)
            }
        }
    }
}

impl Key for PublicKey {
    fn from_spki(bytes: &[u8]) -> Result<Self, X509Error> {
        let (oid, _, key) = read_spki(bytes)?;
        if oid == RSA_ENCRYPTION { read_rsa(key) } else { EcKey::from_spki(bytes).map(Self::Ec) }
    }

    fn verify(&self, algorithm: SignatureAlgorithm, message: &[u8], signature: &[u8]) -> Result<(), X509Error> {
        match (self, algorithm) {
            (Self::Ec(key), _) => key.verify(algorithm, message, signature),
            (Self::Rsa(key), SignatureAlgorithm::RsaSha256) => key
                .verify(rsa::Pkcs1v15Sign::new::<Sha256>(), &algorithm.digest(message), signature)
                .map_err(|_| X509Error::BadSignature),
            (Self::Rsa(_), SignatureAlgorithm::EcdsaSha256 | SignatureAlgorithm::EcdsaSha384) => {
                Err(X509Error::Unsupported)
            }
        }
    }
}

/// Reads an RSAPublicKey (RFC 8017, A.1.1).
fn read_rsa(key: &[u8]) -> Result<PublicKey, X509Error> {
    let mut fields = sequence(key)?;
    let (modulus, exponent) = (fields.decode::<UintRef>()?, fields.decode::<UintRef>()?);
    fields.finish()?;
    // Before any arithmetic: the numbers' sizes decide how long it takes.
    if modulus.as_bytes().len() > RSA_BITS.end() / 8 || exponent.as_bytes().len() > 4 {
        return Err(X509Error::Unsupported);
    }
    rsa::PublicKey::new_with_size_limits(
        rsa::BoxedUint::from_be_slice_vartime(modulus.as_bytes()),
        rsa::BoxedUint::from_be_slice_vartime(exponent.as_bytes()),
        RSA_BITS,
    )
    .map(|key| PublicKey::Rsa(Box::new(key)))
    .map_err(|_| X509Error::Unsupported)
}

/// How a signature was made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SignatureAlgorithm {
    /// ECDSA with SHA-256, on the curve of the key.
    EcdsaSha256,
    /// ECDSA with SHA-384, on the curve of the key.
    EcdsaSha384,
    /// RSASSA-PKCS1-v1_5 with SHA-256.
    RsaSha256,
}

impl SignatureAlgorithm {
    /// Reads an AlgorithmIdentifier.
    pub fn from_der(bytes: &[u8]) -> Result<Self, X509Error> {
        let (oid, parameters) = algorithm_identifier(bytes)?;
        match (oid, parameters) {
            (ECDSA_WITH_SHA256, None) => Ok(Self::EcdsaSha256),
            (ECDSA_WITH_SHA384, None) => Ok(Self::EcdsaSha384),
            (RSA_WITH_SHA256, Some(parameters)) if parameters.is_null() => Ok(Self::RsaSha256),
            (RSA_WITH_SHA256, None) => Ok(Self::RsaSha256),
            _ => Err(X509Error::Unsupported),
        }
    }

    fn digest(self, message: &[u8]) -> Vec<u8> {
        match self {
            Self::EcdsaSha384 => Sha384::digest(message).to_vec(),
            Self::EcdsaSha256 | Self::RsaSha256 => Sha256::digest(message).to_vec(),
        }
    }
}
