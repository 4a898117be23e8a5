//! Attestations, receipts and assertions of our own making, byte by byte so that everything about them can be wrong.

use p256::ecdsa::signature::hazmat::PrehashSigner;
use sha2::{Digest, Sha256, Sha384};

use tocsin_attestation::apple::app_attest::{ATTESTATION, AppAttestConfig};
use tocsin_attestation::contract::Evidence;

use crate::support::{Case, Host, submission};

pub const NOW: i64 = 1_790_000_000;
pub const TEAM: &str = "A1B2C3D4E5";
pub const APP: &str = "org.example.Notify";
pub const HASH: [u8; 32] = [0x5a; 32];
pub const PRODUCTION: [u8; 16] = *b"appattest\0\0\0\0\0\0\0";
pub const DEVELOPMENT: [u8; 16] = *b"appattestdevelop";
pub const SIGNER_NAME: &str = "Application Attestation Fraud Receipt Signing";

/// One TLV.
pub fn tlv(tag: u8, content: &[u8]) -> Vec<u8> {
    let header = match u16::try_from(content.len()).expect("a short value").to_be_bytes() {
        [0, low] if low < 0x80 => vec![tag, low],
        [0, low] => vec![tag, 0x81, low],
        [high, low] => vec![tag, 0x82, high, low],
    };
    [&header, content].concat()
}

/// One constructed TLV of indefinite length.
pub fn indefinite(tag: u8, members: &[Vec<u8>]) -> Vec<u8> {
    [&[tag, 0x80], members.concat().as_slice(), &[0, 0]].concat()
}

/// A SEQUENCE.
pub fn sequence(members: &[Vec<u8>]) -> Vec<u8> {
    tlv(0x30, &members.concat())
}

/// An OBJECT IDENTIFIER.
pub fn oid(text: &str) -> Vec<u8> {
    tlv(6, der::asn1::ObjectIdentifier::new_unwrap(text).as_bytes())
}

/// A Name of one common name, or of one organization where the text begins with `O=`.
pub fn name(text: &str) -> Vec<u8> {
    let (kind, value) = text.strip_prefix("O=").map_or(("2.5.4.3", text), |organization| ("2.5.4.10", organization));
    sequence(&[tlv(0x31, &sequence(&[oid(kind), tlv(0x0c, value.as_bytes())]))])
}

/// An extension.
pub fn extension(id: &str, critical: bool, value: &[u8]) -> Vec<u8> {
    let critical = if critical { tlv(1, &[0xff]) } else { Vec::new() };
    sequence(&[oid(id), critical, tlv(4, value)])
}

/// A key of a forger.
#[derive(Clone)]
pub enum Key {
    P256(p256::ecdsa::SigningKey),
    P384(p384::ecdsa::SigningKey),
    /// The same key, whose signatures are the other of the two that verify, as anybody can make it of the first.
    P384Mirrored(p384::ecdsa::SigningKey),
}

impl Key {
    pub fn p256(seed: u8) -> Self {
        Self::P256(p256::ecdsa::SigningKey::from_slice(&[seed; 32]).expect("a scalar"))
    }

    pub fn p384(seed: u8) -> Self {
        Self::P384(p384::ecdsa::SigningKey::from_slice(&[seed; 48]).expect("a scalar"))
    }

    /// Its SEC1 point.
    pub fn point(&self) -> Vec<u8> {
        match self {
            Self::P256(key) => key.verifying_key().to_sec1_point(false).as_bytes().to_vec(),
            Self::P384(key) | Self::P384Mirrored(key) => key.verifying_key().to_sec1_point(false).as_bytes().to_vec(),
        }
    }

    pub fn spki(&self) -> Vec<u8> {
        let curve = if let Self::P256(_) = self { "1.2.840.10045.3.1.7" } else { "1.3.132.0.34" };
        let point = [&[0][..], &self.point()].concat();
        sequence(&[sequence(&[oid("1.2.840.10045.2.1"), oid(curve)]), tlv(3, &point)])
    }

    /// A DER signature over that message with SHA-256 or SHA-384.
    pub fn sign(&self, sha384: bool, message: &[u8]) -> Vec<u8> {
        let hash = if sha384 { Sha384::digest(message).to_vec() } else { Sha256::digest(message).to_vec() };
        match self {
            Self::P256(key) => {
                let signature: p256::ecdsa::Signature = key.sign_prehash(&hash).expect("a signature");
                signature.to_der().as_bytes().to_vec()
            }
            Self::P384(key) => {
                let signature: p384::ecdsa::Signature = key.sign_prehash(&hash).expect("a signature");
                signature.to_der().as_bytes().to_vec()
            }
            Self::P384Mirrored(key) => {
                let signature: p384::ecdsa::Signature = key.sign_prehash(&hash).expect("a signature");
                let mirrored = p384::ecdsa::Signature::from_scalars(signature.r(), -*signature.s());
                mirrored.expect("a signature").to_der().as_bytes().to_vec()
            }
        }
    }
}

/// A certificate to be.
#[derive(Clone)]
pub struct Certificate {
    pub serial: Vec<u8>,
    pub subject: String,
    pub issuer: String,
    pub not_before: i64,
    pub not_after: i64,
    pub key: Key,
    /// basicConstraints, if any.
    pub constraints: Option<Vec<u8>>,
    /// keyUsage, if any: the first byte of the bits.
    pub usage: Option<u8>,
    pub extensions: Vec<Vec<u8>>,
    /// Who signs, and whether with SHA-384.
    pub signer: (Key, bool),
}

/// basicConstraints of an authority.
pub fn authority(path_length: Option<u8>) -> Vec<u8> {
    let path_length = path_length.map(|length| tlv(2, &[length])).unwrap_or_default();
    sequence(&[tlv(1, &[0xff]), path_length])
}

impl Certificate {
    fn new(subject: &str, issuer: &str, key: Key, signer: (Key, bool)) -> Self {
        Self {
            serial: vec![1, 2, 3],
            subject: subject.to_owned(),
            issuer: issuer.to_owned(),
            not_before: NOW - 86_400,
            not_after: NOW + 86_400,
            key,
            constraints: Some(sequence(&[])),
            usage: Some(0x80),
            extensions: Vec::new(),
            signer,
        }
    }

    fn authority(subject: &str, issuer: &str, key: Key, signer: Key, path_length: Option<u8>) -> Self {
        let mut made = Self::new(subject, issuer, key, (signer, true));
        made.constraints = Some(authority(path_length));
        made.usage = Some(0x06);
        made
    }

    /// Its DER.
    pub fn der(&self) -> Vec<u8> {
        let (signer, sha384) = &self.signer;
        let algorithm = sequence(&[oid(if *sha384 { "1.2.840.10045.4.3.3" } else { "1.2.840.10045.4.3.2" })]);
        let mut extensions = Vec::new();
        if let Some(value) = &self.constraints {
            extensions.push(extension("2.5.29.19", true, value));
        }
        if let Some(bits) = self.usage {
            let unused = u8::try_from(bits.trailing_zeros()).expect("at most 8");
            extensions.push(extension("2.5.29.15", true, &tlv(3, &[unused, bits])));
        }
        extensions.extend_from_slice(&self.extensions);
        let tbs = sequence(&[
            tlv(0xa0, &tlv(2, &[2])),
            tlv(2, &self.serial),
            algorithm.clone(),
            name(&self.issuer),
            sequence(&[time(self.not_before), time(self.not_after)]),
            name(&self.subject),
            self.key.spki(),
            tlv(0xa3, &sequence(&extensions)),
        ]);
        let signature = [&[0][..], &signer.sign(*sha384, &tbs)].concat();
        sequence(&[tbs, algorithm, tlv(3, &signature)])
    }
}

/// A time such as Apple's receipts have.
pub fn rfc3339(seconds: i64) -> String {
    let since = std::time::Duration::from_secs(u64::try_from(seconds).expect("after 1970"));
    let time = der::DateTime::from_unix_duration(since).expect("a time").to_string();
    time.replace('Z', ".250Z")
}

fn time(seconds: i64) -> Vec<u8> {
    let digits: String = rfc3339(seconds)[..19].chars().filter(char::is_ascii_digit).collect();
    tlv(0x18, format!("{digits}Z").as_bytes())
}

fn head(major: u8, number: usize) -> Vec<u8> {
    match u16::try_from(number).expect("a small number").to_be_bytes() {
        [0, low @ 0..=23] => vec![major << 5 | low],
        [0, low] => vec![major << 5 | 24, low],
        [high, low] => vec![major << 5 | 25, high, low],
    }
}

/// A CBOR byte string.
pub fn bytes(content: &[u8]) -> Vec<u8> {
    [&head(2, content.len()), content].concat()
}

/// A CBOR text.
pub fn text(content: &str) -> Vec<u8> {
    [&head(3, content.len()), content.as_bytes()].concat()
}

/// A CBOR array.
pub fn array(members: &[Vec<u8>]) -> Vec<u8> {
    [head(4, members.len()), members.concat()].concat()
}

/// A CBOR map, of keys and values in turn.
pub fn map(members: &[Vec<u8>]) -> Vec<u8> {
    [head(5, members.len() / 2), members.concat()].concat()
}

/// What iOS 27 appends.
pub fn ios_27(category: u8, version: &str) -> Vec<u8> {
    map(&[
        text("apple_validation_category_01"),
        bytes(&[category, 0, 0, 0]),
        text("apple_bundle_version_01"),
        text(version),
    ])
}

/// The COSE map of a SEC1 point.
pub fn cose(point: &[u8]) -> Vec<u8> {
    map(&[
        vec![1],
        vec![2],
        vec![3],
        vec![0x26],
        vec![0x20],
        vec![1],
        vec![0x21],
        bytes(&point[1..33]),
        vec![0x22],
        bytes(&point[33..]),
    ])
}

/// An attestation to be, good unless changed.
#[derive(Clone)]
pub struct Forge {
    pub root: Certificate,
    pub intermediate: Certificate,
    pub leaf: Certificate,
    /// The extension with the nonce; `None`: the right one.
    pub nonce: Option<Vec<u8>>,
    pub rp_id_hash: [u8; 32],
    pub flags: u8,
    pub counter: u32,
    pub aaguid: [u8; 16],
    pub credential_id: Vec<u8>,
    pub cose: Vec<u8>,
    pub extensions: Vec<u8>,
    pub format: &'static str,
    pub receipt: Receipt,
}

/// Where a receipt can have something more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    Message,
    Signed,
    Encapsulated,
    Signers,
    Signer,
    SignerId,
    Fields,
}

/// A receipt to be.
#[derive(Clone)]
pub struct Receipt {
    pub root: Certificate,
    pub authority: Certificate,
    pub signer: Certificate,
    /// Fields that are other than they should be; `None`: absent.
    pub changed: Vec<(u8, Option<Vec<u8>>)>,
    /// The signed bytes; `None`: the fields.
    pub content: Option<Vec<u8>>,
    /// Whether the signature is over something else.
    pub bad_signature: bool,
    /// Whether the authority is left away.
    pub lacks_authority: bool,
    /// How often the root is there.
    pub roots: usize,
    /// Types of the message and of its content.
    pub types: [&'static str; 2],
    /// Contents of the set of digest algorithms.
    pub digests: Vec<u8>,
    /// Algorithm of the signature.
    pub algorithm: &'static str,
    /// Issuer and serial number by which the signer is named; `None`: the right ones.
    pub signer_id: Option<(String, Vec<u8>)>,
    /// Something more at the end of one part.
    pub more: Option<(Part, Vec<u8>)>,
}

impl Default for Forge {
    fn default() -> Self {
        let (root, authority, key) = (Key::p384(1), Key::p384(2), Key::p256(3));
        let mut leaf = Certificate::new("key", "Attestation CA", key.clone(), (authority.clone(), false));
        leaf.usage = Some(0xf0);
        Self {
            root: Certificate::authority("Attestation Root", "Attestation Root", root.clone(), root.clone(), None),
            intermediate: Certificate::authority("Attestation CA", "Attestation Root", authority, root, Some(0)),
            credential_id: Sha256::digest(key.point()).to_vec(),
            cose: cose(&key.point()),
            leaf,
            nonce: None,
            rp_id_hash: Sha256::digest(format!("{TEAM}.{APP}")).into(),
            flags: 0x40,
            counter: 0,
            aaguid: PRODUCTION,
            extensions: Vec::new(),
            format: "apple-appattest",
            receipt: Receipt::default(),
        }
    }
}

impl Default for Receipt {
    fn default() -> Self {
        let (root, authority, signer) = (Key::p384(11), Key::p256(12), Key::p256(13));
        Self {
            root: Certificate::authority("Receipt Root", "Receipt Root", root.clone(), root.clone(), None),
            authority: Certificate::authority("Receipt CA", "Receipt Root", authority.clone(), root, None),
            signer: Certificate::new(SIGNER_NAME, "Receipt CA", signer, (authority, false)),
            changed: Vec::new(),
            content: None,
            bad_signature: false,
            lacks_authority: false,
            roots: 1,
            types: ["1.2.840.113549.1.7.2", "1.2.840.113549.1.7.1"],
            digests: sequence(&[oid("2.16.840.1.101.3.4.2.1"), tlv(5, &[])]),
            algorithm: "1.2.840.10045.4.3.2",
            signer_id: None,
            more: None,
        }
    }
}

impl Receipt {
    /// Sets a field, or leaves it away.
    pub fn set(&mut self, number: u8, value: Option<&[u8]>) {
        self.changed.push((number, value.map(<[u8]>::to_vec)));
    }

    fn der(&self, leaf: &[u8]) -> Vec<u8> {
        let app_id = format!("{TEAM}.{APP}");
        let created = rfc3339(NOW - 10);
        let good: [(u8, &[u8]); 7] = [
            (2, app_id.as_bytes()),
            (3, leaf),
            (4, &HASH),
            (5, b"token"),
            (6, b"ATTEST"),
            (7, b"production"),
            (12, created.as_bytes()),
        ];
        let mut fields: Vec<(u8, Option<Vec<u8>>)> =
            good.into_iter().map(|(number, value)| (number, Some(value.to_vec()))).collect();
        for (number, value) in &self.changed {
            fields.retain(|(known, _)| known != number);
            fields.push((*number, value.clone()));
        }
        let field = |(number, value): (u8, Option<Vec<u8>>)| {
            value.map(|value| sequence(&[tlv(2, &[number]), tlv(2, &[1]), tlv(4, &value)]))
        };
        let content = self.content.clone().unwrap_or_else(|| {
            tlv(
                0x31,
                &fields.into_iter().filter_map(field).chain([self.more(Part::Fields)]).collect::<Vec<_>>().concat(),
            )
        });

        let (first, second) = content.split_at(content.len() / 2);
        let authority = if self.lacks_authority { Vec::new() } else { self.authority.der() };
        let roots = self.root.der().repeat(self.roots);
        let signed = if self.bad_signature { b"other".to_vec() } else { content.clone() };
        let (issuer, serial) =
            self.signer_id.clone().unwrap_or_else(|| (self.signer.issuer.clone(), self.signer.serial.clone()));
        let signer = sequence(&[
            tlv(2, &[1]),
            sequence(&[name(&issuer), tlv(2, &serial), self.more(Part::SignerId)]),
            sequence(&[oid("2.16.840.1.101.3.4.2.1")]),
            sequence(&[oid(self.algorithm)]),
            tlv(4, &self.signer.key.sign(false, &signed)),
            self.more(Part::Signer),
        ]);
        let octets = indefinite(0x24, &[tlv(4, first), tlv(4, second)]);
        let [message, data] = self.types.map(oid);
        let data = indefinite(0x30, &[data, indefinite(0xa0, &[octets]), self.more(Part::Encapsulated)]);
        let signed = indefinite(
            0x30,
            &[
                tlv(2, &[1]),
                indefinite(0x31, std::slice::from_ref(&self.digests)),
                data,
                indefinite(0xa0, &[self.signer.der(), authority, roots]),
                indefinite(0x31, &[signer, self.more(Part::Signers)]),
                self.more(Part::Signed),
            ],
        );
        indefinite(0x30, &[message, indefinite(0xa0, &[signed]), self.more(Part::Message)])
    }

    fn more(&self, part: Part) -> Vec<u8> {
        self.more.as_ref().filter(|(chosen, _)| *chosen == part).map(|(_, more)| more.clone()).unwrap_or_default()
    }
}

/// The parts of a finished attestation.
pub struct Parts {
    pub leaf: Vec<u8>,
    pub intermediate: Vec<u8>,
    pub receipt: Vec<u8>,
    pub auth_data: Vec<u8>,
}

impl Forge {
    /// A change of a good one.
    pub fn with(change: impl FnOnce(&mut Self)) -> Self {
        let mut forge = Self::default();
        change(&mut forge);
        forge
    }

    pub fn auth_data(&self) -> Vec<u8> {
        let length = u16::try_from(self.credential_id.len()).expect("a short id").to_be_bytes();
        [
            &self.rp_id_hash[..],
            &[self.flags],
            &self.counter.to_be_bytes(),
            &self.aaguid,
            &length,
            &self.credential_id,
            &self.cose,
            &self.extensions,
        ]
        .concat()
    }

    pub fn parts(&self) -> Parts {
        let auth_data = self.auth_data();
        let right = || {
            let nonce = Sha256::new().chain_update(&auth_data).chain_update(HASH).finalize();
            let value = sequence(&[tlv(0xa1, &tlv(4, &nonce))]);
            extension("1.2.840.113635.100.8.2", false, &value)
        };
        let mut leaf = self.leaf.clone();
        leaf.extensions.push(self.nonce.clone().unwrap_or_else(right));
        let leaf = leaf.der();
        Parts { receipt: self.receipt.der(&leaf), leaf, intermediate: self.intermediate.der(), auth_data }
    }

    /// Asks about it: a production app of ours with a config of nothing but its team.
    pub fn case(&self) -> Case {
        let parts = self.parts();
        let statement = map(&[
            text("x5c"),
            array(&[bytes(&parts.leaf), bytes(&parts.intermediate)]),
            text("receipt"),
            bytes(&parts.receipt),
        ]);
        let token = map(&[
            text("fmt"),
            text(self.format),
            text("attStmt"),
            statement,
            text("authData"),
            bytes(&parts.auth_data),
        ]);
        Case {
            host: Host::new(NOW, self.root.der(), self.receipt.root.der()),
            submission: submission(APP, HASH),
            evidence: Evidence {
                method: ATTESTATION.to_owned(),
                token,
                key_id: Some(Sha256::digest(self.leaf.key.point()).to_vec()),
                ..Evidence::default()
            },
            config: AppAttestConfig { team_id: TEAM.to_owned(), ..AppAttestConfig::default() },
        }
    }
}
