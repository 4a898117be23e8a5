//! Chains of our own making, in DER written by hand so that everything about them can be wrong.

use p256::ecdsa::signature::Signer;
use p256::ecdsa::{Signature, SigningKey};

/// The attestation extension, contents of its OID.
pub const ATTESTATION: &[u8] = &[0x2b, 6, 1, 4, 1, 0xd6, 0x79, 2, 1, 17];
/// The mark of remote provisioning, contents of its OID.
pub const PROVISIONING: &[u8] = &[0x2b, 6, 1, 4, 1, 0xd6, 0x79, 2, 1, 30];
const BASIC_CONSTRAINTS: &[u8] = &[0x55, 0x1d, 19];
const KEY_USAGE: &[u8] = &[0x55, 0x1d, 15];

/// One TLV.
pub fn tlv(tag: &[u8], content: &[u8]) -> Vec<u8> {
    let length = content.len();
    let header = match u16::try_from(length).expect("a short value").to_be_bytes() {
        [0, low] if low < 0x80 => vec![low],
        [0, low] => vec![0x81, low],
        [high, low] => vec![0x82, high, low],
    };
    [tag, &header, content].concat()
}

/// A SEQUENCE.
pub fn sequence(members: &[Vec<u8>]) -> Vec<u8> {
    tlv(&[0x30], &members.concat())
}

/// A SET.
pub fn set(members: &[Vec<u8>]) -> Vec<u8> {
    tlv(&[0x31], &members.concat())
}

/// An OCTET STRING.
pub fn octets(content: &[u8]) -> Vec<u8> {
    tlv(&[4], content)
}

/// A number under the tag of INTEGER (2) or ENUMERATED (10).
fn number(tag: u8, value: u64) -> Vec<u8> {
    let bytes = value.to_be_bytes();
    let first = bytes.iter().position(|byte| *byte != 0).unwrap_or(7);
    let mut content = bytes[first..].to_vec();
    if content[0] >= 0x80 {
        content.insert(0, 0);
    }
    tlv(&[tag], &content)
}

/// An INTEGER.
pub fn integer(value: u64) -> Vec<u8> {
    number(2, value)
}

/// An ENUMERATED.
pub fn enumerated(value: u64) -> Vec<u8> {
    number(10, value)
}

/// A BOOLEAN.
pub fn boolean(value: bool) -> Vec<u8> {
    tlv(&[1], &[if value { 0xff } else { 0 }])
}

/// A member of an authorization list.
pub fn tagged(number: u16, value: &[u8]) -> Vec<u8> {
    match number {
        0..31 => tlv(&[0xa0 | number as u8], value),
        31..128 => tlv(&[0xbf, number as u8], value),
        _ => tlv(&[0xbf, 0x80 | (number >> 7) as u8, number as u8 & 0x7f], value),
    }
}

/// An authorization list: members by their number, written in this order.
#[derive(Clone, Default)]
pub struct List(pub Vec<(u16, Vec<u8>)>);

impl List {
    /// Sets a member in its place.
    pub fn set(&mut self, number: u16, value: Vec<u8>) {
        self.remove(number);
        self.0.push((number, value));
        self.0.sort_by_key(|(number, _)| *number);
    }

    /// Leaves a member away.
    pub fn remove(&mut self, number: u16) {
        self.0.retain(|(known, _)| *known != number);
    }

    fn der(&self) -> Vec<u8> {
        sequence(&self.0.iter().map(|(number, value)| tagged(*number, value)).collect::<Vec<_>>())
    }
}

/// What an attestation says.
#[derive(Clone)]
pub struct Description {
    /// Version of the schema.
    pub version: u64,
    /// Level of the attestation.
    pub attestation_level: u64,
    /// Level of the key.
    pub key_level: u64,
    /// Challenge.
    pub challenge: Vec<u8>,
    /// By the system.
    pub software: List,
    /// By the hardware.
    pub hardware: List,
}

impl Description {
    /// Contents of the extension.
    pub fn der(&self) -> Vec<u8> {
        sequence(&[
            integer(self.version),
            enumerated(self.attestation_level),
            integer(self.version),
            enumerated(self.key_level),
            octets(&self.challenge),
            octets(&[]),
            self.software.der(),
            self.hardware.der(),
        ])
    }
}

/// The root of trust of a device.
pub fn root_of_trust(locked: Vec<u8>, state: u64) -> Vec<u8> {
    sequence(&[octets(&[0; 32]), locked, enumerated(state), octets(&[1; 32])])
}

/// Which app made a key: packages and digests of signers.
pub fn application(packages: &[&str], digests: &[&[u8]]) -> Vec<u8> {
    let package = |name: &&str| sequence(&[octets(name.as_bytes()), integer(3)]);
    octets(&sequence(&[
        set(&packages.iter().map(package).collect::<Vec<_>>()),
        set(&digests.iter().map(|digest| octets(digest)).collect::<Vec<_>>()),
    ]))
}

/// A certificate to be made.
#[derive(Clone)]
pub struct Certificate {
    /// Common name of the subject.
    pub subject: String,
    /// Common name of the issuer.
    pub issuer: String,
    /// Contents of the serial number.
    pub serial: Vec<u8>,
    /// UTCTime without seconds and zone: YYMMDDhhmm.
    pub from: &'static str,
    /// The same.
    pub to: &'static str,
    /// Which key it certifies.
    pub key: u8,
    /// Which key signs it.
    pub issuer_key: u8,
    /// Basic constraints; `None`: the extension is absent.
    pub ca: Option<bool>,
    /// First octet of key usage (0x80 digitalSignature, 0x04 keyCertSign); `None`: the extension is absent.
    pub usage: Option<u8>,
    /// Further extensions.
    pub extensions: Vec<(&'static [u8], Vec<u8>)>,
    /// The SubjectPublicKeyInfo, if not that of `key`.
    pub spki: Option<Vec<u8>>,
}

impl Certificate {
    /// Signs it.
    pub fn der(&self) -> Vec<u8> {
        let algorithm = sequence(&[tlv(&[6], &[0x2a, 0x86, 0x48, 0xce, 0x3d, 4, 3, 2])]);
        let name =
            |text: &str| sequence(&[set(&[sequence(&[tlv(&[6], &[0x55, 4, 3]), tlv(&[0x0c], text.as_bytes())])])]);
        let time = |text: &str| tlv(&[0x17], format!("{text}00Z").as_bytes());
        let extension = |oid: &[u8], value: &[u8]| sequence(&[tlv(&[6], oid), octets(value)]);
        let mut extensions: Vec<Vec<u8>> = Vec::new();
        if let Some(ca) = self.ca {
            // DER leaves the default, false, away.
            let value = if ca { sequence(&[boolean(true)]) } else { sequence(&[]) };
            extensions.push(extension(BASIC_CONSTRAINTS, &value));
        }
        if let Some(usage) = self.usage {
            let value = tlv(&[3], &[u8::try_from(usage.trailing_zeros()).expect("a bit"), usage]);
            extensions.push(extension(KEY_USAGE, &value));
        }
        extensions.extend(self.extensions.iter().map(|(oid, value)| extension(oid, value)));
        let signed = sequence(&[
            tlv(&[0xa0], &integer(2)),
            tlv(&[2], &self.serial),
            algorithm.clone(),
            name(&self.issuer),
            sequence(&[time(self.from), time(self.to)]),
            name(&self.subject),
            self.spki.clone().unwrap_or_else(|| spki(self.key)),
            if extensions.is_empty() { Vec::new() } else { tlv(&[0xa3], &sequence(&extensions)) },
        ]);
        let signature: Signature = signing_key(self.issuer_key).sign(&signed);
        let signature = tlv(&[3], &[&[0], signature.to_der().as_bytes()].concat());
        sequence(&[signed, algorithm, signature])
    }
}

fn signing_key(seed: u8) -> SigningKey {
    SigningKey::from_slice(&[seed; 32]).expect("a scalar")
}

fn spki(seed: u8) -> Vec<u8> {
    let algorithm = sequence(&[
        tlv(&[6], &[0x2a, 0x86, 0x48, 0xce, 0x3d, 2, 1]),
        tlv(&[6], &[0x2a, 0x86, 0x48, 0xce, 0x3d, 3, 1, 7]),
    ]);
    let point = signing_key(seed).verifying_key().to_sec1_point(false);
    sequence(&[algorithm, tlv(&[3], &[&[0], point.as_bytes()].concat())])
}

/// Another signature over the same bytes by the same key: (r, n - s) instead of (r, s).
pub fn mirror_signature(certificate: &[u8]) -> Vec<u8> {
    let (signed, algorithm, signature) = parts(certificate);
    let signature = Signature::from_der(&signature[3..]).expect("a signature");
    let mirrored = Signature::from_scalars(signature.r(), -*signature.s()).expect("a signature");
    let bits = tlv(&[3], &[&[0], mirrored.to_der().as_bytes()].concat());
    sequence(&[signed.to_vec(), algorithm.to_vec(), bits])
}

/// The three members of a certificate.
fn parts(certificate: &[u8]) -> (&[u8], &[u8], &[u8]) {
    let skip = |bytes: &[u8]| match bytes[1] {
        0x82 => 4 + usize::from(u16::from_be_bytes([bytes[2], bytes[3]])),
        0x81 => 3 + usize::from(bytes[2]),
        short => 2 + usize::from(short),
    };
    let members = &certificate[if certificate[1] == 0x82 { 4 } else { 3 }..];
    let (signed, rest) = members.split_at(skip(members));
    let (algorithm, signature) = rest.split_at(skip(rest));
    (signed, algorithm, signature)
}
