//! Attestations of our own making, with a certification authority of our own.

use super::*;
use base64ct::{Base64, Base64UrlUnpadded, Encoding};
use p256::ecdsa::signature::Signer;
use p256::ecdsa::{Signature, SigningKey as EcKey};
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyUsagePurpose, PublicKeyData,
    SanType, SerialNumber, SigningKey, date_time_ymd,
};
use rsa::BoxedUint;
use sha2::{Digest, Sha256};
use std::sync::LazyLock;

/// When the attestations are made, unix seconds: 2020-09-13.
pub const NOW: i64 = 1_600_000_000;
/// The hash that they hold.
pub const HASH: [u8; 32] = [0xfb; 32];

/// The key of the example in RFC 7515, appendix A.2: 2,048 bits that everybody knows.
static RSA: LazyLock<Key> = LazyLock::new(|| {
    const P: &str = "4BzEEOtIpmVdVEZNCqS7baC4crd0pqnRH_5IB3jw3bcxGn6QLvnEtfdUdiYrqBdss1l58BQ3KhooKeQTa9AB0Hw_Py5PJdTJNPY8cQn7ouZ2\
                     KKDcmnPGBY5t7yLc1QlQ5xHdwW1VhvKn-nXqhJTBgIPgtldC-KDV5z-y2XDwGUc";
    const Q: &str = "uQPEfgmVtjL0Uyyx88GZFF1fOunH3-7cepKmtH4pxhtCoHqpWmT8YAmZxaewHgHAjLYsp1ZSe7zFYHj7C6ul7TjeLQeZD_YwD66t62wDmpe_\
                     HlB-TnBA-njbglfIsRLtXlnDzQkv5dTltRJ11BKBBypeeF6689rjcJIDEz9RWdc";
    const N: &str = "ofgWCuLjybRlzo0tZWJjNiuSfb4p4fAkd_wWJcyQoTbji9k0l8W26mPddxHmfHQp-Vaw-4qPCJrcS2mJPMEzP1Pt0Bm4d4QlL-yRT-SFd2lZ\
                     S-pCgNMsD1W_YpRPEwOWvG6b32690r2jZ47soMZo9wGzjb_7OMg0LOL-bSf63kpaSHSXndS5z5rexMdbBYUsLA9e-KXBdQOS-UTo7WTB\
                     EMa2R2CapHg665xsmtdVMTBQY4uDZlxvb3qCo5ZwKh9kG4LT6_I5IhlJH7aGhyxXFvUK-DWNmoudF8NAco9_h9iaGNj8q2ethFkMLs91\
                     kzk2PAcDTW9gb54h4FRWyuXpoQ";
    let bytes = |text: &str| Base64UrlUnpadded::decode_vec(text).expect("base64url");
    let number = |text: &str| BoxedUint::from_be_slice_vartime(&bytes(text));
    let key = rsa::PrivateKey::from_p_q(number(P), number(Q), BoxedUint::from(65_537u64)).expect("a key");
    // RSAPublicKey (RFC 8017, A.1.1).
    let head = [0x30, 0x82, 0x01, 0x0a, 0x02, 0x82, 0x01, 0x01, 0x00];
    Key {
        public: [&head[..], &bytes(N), &[0x02, 0x03, 0x01, 0x00, 0x01]].concat(),
        private: Private::Rsa(Box::new(key)),
    }
});

enum Private {
    Rsa(Box<rsa::PrivateKey>),
    Ec(EcKey),
}

pub struct Key {
    private: Private,
    public: Vec<u8>,
}

impl Key {
    pub fn ec(seed: u8) -> Self {
        let key = EcKey::from_slice(&[seed; 32]).expect("a scalar");
        Self { public: key.verifying_key().to_sec1_point(false).as_bytes().to_vec(), private: Private::Ec(key) }
    }
}

impl PublicKeyData for Key {
    fn der_bytes(&self) -> &[u8] {
        &self.public
    }

    fn algorithm(&self) -> &'static rcgen::SignatureAlgorithm {
        match self.private {
            Private::Rsa(_) => &rcgen::PKCS_RSA_SHA256,
            Private::Ec(_) => &rcgen::PKCS_ECDSA_P256_SHA256,
        }
    }
}

impl SigningKey for Key {
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, rcgen::Error> {
        Ok(match &self.private {
            Private::Rsa(key) => {
                key.sign(rsa::Pkcs1v15Sign::new::<Sha256>(), &Sha256::digest(message)).expect("a signature")
            }
            Private::Ec(key) => Signer::<Signature>::sign(key, message).to_der().as_bytes().to_vec(),
        })
    }
}

fn named(name: &str, serial: u64) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, name);
    params.serial_number = Some(SerialNumber::from(serial));
    (params.not_before, params.not_after) = (date_time_ymd(2020, 1, 1), date_time_ymd(2021, 1, 1));
    params
}

/// What the certificates say.
pub struct Chain {
    pub root: CertificateParams,
    pub intermediate: CertificateParams,
    pub leaf: CertificateParams,
    pub ec_leaf: bool,
    pub issuer_of_leaf: u8,
}

impl Chain {
    /// As Google's was.
    pub fn genuine() -> Self {
        let mut root = named("root", 1);
        root.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let mut intermediate = named("intermediate", 2);
        intermediate.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        intermediate.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        intermediate.extended_key_usages =
            vec![ExtendedKeyUsagePurpose::ClientAuth, ExtendedKeyUsagePurpose::ServerAuth];
        let mut leaf = named("leaf", 3);
        leaf.is_ca = IsCa::ExplicitNoCa;
        leaf.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        leaf.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        leaf.subject_alt_names = vec![dns("attest.android.com")];
        Self { root, intermediate, leaf, ec_leaf: false, issuer_of_leaf: 12 }
    }

    /// Root, intermediate and leaf, DER.
    pub fn certificates(&self) -> [Vec<u8>; 3] {
        let (root_key, intermediate_key) = (Key::ec(11), Key::ec(12));
        let root = self.root.self_signed(&root_key).expect("a certificate");
        let by_root = Issuer::from_params(&self.root, &root_key);
        let intermediate = self.intermediate.signed_by(&intermediate_key, &by_root).expect("a certificate");
        let issuer_key = Key::ec(self.issuer_of_leaf);
        let issuer = Issuer::from_params(&self.intermediate, &issuer_key);
        let leaf =
            if self.ec_leaf { self.leaf.signed_by(&Key::ec(13), &issuer) } else { self.leaf.signed_by(&*RSA, &issuer) };
        [root, intermediate, leaf.expect("a certificate")].map(|certificate| certificate.der().to_vec())
    }
}

pub fn dns(name: &str) -> SanType {
    SanType::DnsName(name.try_into().expect("ASCII"))
}

static GENUINE: LazyLock<[Vec<u8>; 3]> = LazyLock::new(|| Chain::genuine().certificates());

/// A host that trusts the root of these chains.
pub fn host() -> Host {
    Host { now: NOW, anchors: vec![vec![0], GENUINE[0].clone()], ..Host::default() }
}

/// The parts of an attestation.
#[derive(Clone)]
pub struct Attestation {
    /// Instead of one with `algorithm` and `x5c`.
    pub header: Option<String>,
    pub algorithm: &'static str,
    pub x5c: Vec<Vec<u8>>,
    pub payload: String,
}

impl Attestation {
    pub fn genuine() -> Self {
        let [_, intermediate, leaf] = GENUINE.clone();
        Self { header: None, algorithm: "RS256", x5c: vec![leaf, intermediate], payload: claims().to_string() }
    }

    pub fn of(claims: &Value) -> Self {
        Self { payload: claims.to_string(), ..Self::genuine() }
    }

    /// With the certificates of another chain.
    pub fn under(chain: &Chain) -> Self {
        let [_, intermediate, leaf] = chain.certificates();
        Self { x5c: vec![leaf, intermediate], ..Self::genuine() }
    }

    pub fn token(&self) -> String {
        let encode = |bytes: &[u8]| Base64UrlUnpadded::encode_string(bytes);
        let x5c: Vec<String> = self.x5c.iter().map(|der| Base64::encode_string(der)).collect();
        let header = self.header.clone().unwrap_or_else(|| json!({"alg": self.algorithm, "x5c": x5c}).to_string());
        let signed = format!("{}.{}", encode(header.as_bytes()), encode(self.payload.as_bytes()));
        let signature = SigningKey::sign(&*RSA, signed.as_bytes()).expect("a signature");
        format!("{signed}.{}", encode(&signature))
    }
}

/// The claims of a genuine attestation.
pub fn claims() -> Value {
    json!({
        "nonce": nonce(&Base64::encode_string(&HASH)),
        "timestampMs": NOW * 1_000 + 999,
        "apkPackageName": APP,
        "apkDigestSha256": "akvcz1uh2jO971ynVumwlHC8/lGdnob5FVSHYYZl+Vs=",
        "ctsProfileMatch": true,
        "apkCertificateDigestSha256": [Base64::encode_string(&APP_SIGNER)],
        "basicIntegrity": true,
        "evaluationType": "BASIC,HARDWARE_BACKED",
    })
}

/// As SafetyNet spells what an app gave it.
pub fn nonce(text: &str) -> String {
    Base64::encode_string(text.as_bytes())
}
