//! Apple's receipt within an attestation: a message that Apple signed when it made the attestation (CMS, RFC 5652),
//! with the time, the app, the certificate and the hash it was asked to bind.
//!
//! Apple encodes the message in BER with indefinite lengths, so it is walked by hand; certificates and payload in it
//! are DER. Only what Apple sends is read: one signer, no signed attributes, ECDSA with SHA-256.

use der::asn1::{AnyRef, ObjectIdentifier, OctetStringRef};
use der::{DateTime, Reader, SliceReader, Tag, Tagged};

use crate::contract::{Rejection, Stage};
use crate::x509::{self, Certificate, EcKey, Key as _, SignatureAlgorithm};

/// Most certificates of a receipt; Apple sends three.
const MAX_CERTIFICATES: usize = 6;
/// Most fields of a receipt; Apple sends eight to ten.
const MAX_FIELDS: usize = 64;
/// Deepest nesting of BER values.
const MAX_DEPTH: u8 = 12;
/// Contents of the object identifiers signed-data and data.
const SIGNED_DATA: [u8; 9] = [0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x07, 0x02];
const DATA: [u8; 9] = [0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x07, 0x01];
/// Name of the certificates that sign receipts; the same authority certifies keys of third parties, too.
const SIGNER_NAME: &[u8] = b"Application Attestation Fraud Receipt Signing";
const COMMON_NAME: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.4.3");

const SEQUENCE: u8 = 0x30;
const SET: u8 = 0x31;
const OID: u8 = 0x06;
const INTEGER: u8 = 0x02;
const OCTETS: u8 = 0x04;
const OCTETS_IN_PARTS: u8 = 0x24;
const CONTEXT_0: u8 = 0xa0;

/// A receipt whose shape was checked, and nothing else.
pub struct Receipt<'a> {
    /// The signed bytes.
    content: Vec<u8>,
    certificates: Vec<Certificate<'a>>,
    signer: usize,
    signature: &'a [u8],
}

/// What a receipt says.
pub struct Fields<'a> {
    /// Team and bundle id.
    pub app_id: &'a [u8],
    /// The attested key's certificate, DER.
    pub certificate: &'a [u8],
    /// What the attestation was asked to bind.
    pub client_data_hash: &'a [u8],
    /// Unix seconds of its creation.
    pub created: i64,
}

impl<'a> Receipt<'a> {
    /// Reads a receipt.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, Rejection> {
        Self::read(bytes).ok_or_else(|| malformed("the receipt is not a message of the kind that Apple signs"))
    }

    fn read(bytes: &'a [u8]) -> Option<Self> {
        let mut message = Ber(whole(bytes, SEQUENCE)?);
        if message.take(OID)? != SIGNED_DATA {
            return None;
        }
        let signed = message.take(CONTEXT_0)?;
        message.finish()?;

        let mut signed = Ber(whole(signed, SEQUENCE)?);
        signed.take(INTEGER)?;
        signed.take(SET)?;
        let mut encapsulated = Ber(signed.take(SEQUENCE)?);
        if encapsulated.take(OID)? != DATA {
            return None;
        }
        let content = octets(encapsulated.take(CONTEXT_0)?)?;
        encapsulated.finish()?;
        let certificates = certificates(signed.take(CONTEXT_0)?)?;
        let mut signers = Ber(signed.take(SET)?);
        signed.finish()?;

        let mut signer = Ber(signers.take(SEQUENCE)?);
        signers.finish()?;
        signer.take(INTEGER)?;
        let mut id = Ber(signer.take(SEQUENCE)?);
        let (issuer, serial) = (id.element()?, id.take(INTEGER)?);
        id.finish()?;
        signer.take(SEQUENCE)?;
        let algorithm = signer.element()?.raw;
        let signature = signer.take(OCTETS)?;
        signer.finish()?;

        if SignatureAlgorithm::from_der(algorithm) != Ok(SignatureAlgorithm::EcdsaSha256) {
            return None;
        }
        let signer = certificates.iter().position(|found| found.issuer == issuer.raw && found.serial == serial)?;
        Some(Self { content, certificates, signer, signature })
    }

    /// Checks the signature and the signer's certificates, which must lead to one of `anchors` at `now`, unix seconds.
    pub fn verify(&self, anchors: &[Vec<u8>], now: i64) -> Result<(), Rejection> {
        let chain = |detail| Rejection::new("aa-receipt-chain", Stage::Chain, detail);
        let Some(signer) = self.certificates.get(self.signer) else { return Err(chain("the signer is not there")) };
        signer
            .public_key::<EcKey>()
            .and_then(|key| key.verify(SignatureAlgorithm::EcdsaSha256, &self.content, self.signature))
            .map_err(|_| {
                Rejection::new("aa-receipt-signature", Stage::Signature, "the receipt's signature is wrong")
            })?;

        if !has_common_name(signer.subject, SIGNER_NAME) || !signer.key_usage_allows(0) || !is_end_entity(signer) {
            return Err(chain("the receipt's signer is not one that signs receipts"));
        }
        let issuer = self
            .certificates
            .iter()
            .find(|candidate| candidate.may_issue(0) && signer.verify_issued_by::<EcKey>(candidate).is_ok())
            .ok_or_else(|| chain("no certification authority in the receipt issued its signer"))?;
        let anchor = x509::find_anchor::<EcKey>(anchors, issuer)
            .filter(|anchor| anchor.may_issue(1))
            .ok_or_else(|| chain("the receipt's certificates lead to no trust anchor"))?;
        let known = [x509::BASIC_CONSTRAINTS, x509::KEY_USAGE];
        if signer.has_unknown_critical(&known) || issuer.has_unknown_critical(&known) {
            return Err(chain("a certificate of the receipt has an unknown critical extension"));
        }
        if ![signer, issuer, &anchor].iter().all(|certificate| certificate.is_valid_at(now)) {
            return Err(chain("a certificate of the receipt is not valid now"));
        }
        Ok(())
    }

    /// What it says.
    pub fn fields(&self) -> Result<Fields<'_>, Rejection> {
        let (mut app_id, mut certificate, mut hash, mut kind, mut created) = (None, None, None, None, None);
        for (number, value) in
            read_fields(&self.content).ok_or_else(|| malformed("the receipt's payload is not a set of fields"))?
        {
            match number {
                2 => app_id = Some(value),
                3 => certificate = Some(value),
                4 => hash = Some(value),
                6 => kind = Some(value),
                12 => created = Some(value),
                _ => {}
            }
        }
        let missing = || malformed("the receipt lacks a field");
        if kind.ok_or_else(missing)? != b"ATTEST" {
            return Err(malformed("the receipt is not that of an attestation"));
        }
        Ok(Fields {
            app_id: app_id.ok_or_else(missing)?,
            certificate: certificate.ok_or_else(missing)?,
            client_data_hash: hash.ok_or_else(missing)?,
            created: created.ok_or_else(missing).and_then(|text| {
                unix_seconds(text).ok_or_else(|| malformed("the receipt's creation time is no time"))
            })?,
        })
    }
}

fn malformed(detail: &'static str) -> Rejection {
    Rejection::new("aa-receipt-malformed", Stage::Parse, detail)
}

fn is_end_entity(certificate: &Certificate<'_>) -> bool {
    certificate.basic_constraints().is_ok_and(|found| !found.unwrap_or_default().ca)
}

/// Number and value of each field of the payload, none twice.
fn read_fields(payload: &[u8]) -> Option<Vec<(u32, &[u8])>> {
    let mut reader = SliceReader::new(payload).ok()?;
    let set = reader.decode::<AnyRef<'_>>().ok()?;
    reader.finish().ok()?;
    // Not sorted as DER would have it.
    let mut list = SliceReader::new((set.tag() == Tag::Set).then(|| set.value())?).ok()?;
    let mut found: Vec<(u32, &[u8])> = Vec::new();
    while !list.is_finished() {
        let field = list
            .sequence(|fields| {
                let (number, _version) = (fields.decode::<u32>()?, fields.decode::<u32>()?);
                Ok::<_, der::Error>((number, fields.decode::<&OctetStringRef>()?.as_bytes()))
            })
            .ok()?;
        if found.len() == MAX_FIELDS || found.iter().any(|(number, _)| *number == field.0) {
            return None;
        }
        found.push(field);
    }
    Some(found)
}

/// Unix seconds of a time such as `2021-01-09T23:22:55.546Z`; fractions are cut off.
fn unix_seconds(text: &[u8]) -> Option<i64> {
    let text = std::str::from_utf8(text).ok()?;
    let (seconds, fraction) = text.split_at_checked(19)?;
    let digits = fraction.strip_suffix('Z')?;
    if !digits.is_empty() {
        let digits = digits.strip_prefix('.')?;
        if digits.is_empty() || digits.len() > 9 || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
            return None;
        }
    }
    let time: DateTime = format!("{seconds}Z").parse().ok()?;
    i64::try_from(time.unix_duration().as_secs()).ok()
}

/// Whether a Name (DER) has that common name, in whatever string type.
fn has_common_name(name: &[u8], wanted: &[u8]) -> bool {
    let read = || -> Result<bool, der::Error> {
        let mut found = false;
        let mut reader = SliceReader::new(name)?;
        reader.sequence(|parts: &mut SliceReader<'_>| {
            while !parts.is_finished() {
                let mut part = SliceReader::new(parts.decode::<AnyRef<'_>>()?.value())?;
                while !part.is_finished() {
                    part.sequence(|pair| {
                        let oid = pair.decode::<ObjectIdentifier>()?;
                        found |= oid == COMMON_NAME && pair.decode::<AnyRef<'_>>()?.value() == wanted;
                        if !pair.is_finished() {
                            pair.decode::<AnyRef<'_>>()?;
                        }
                        Ok::<_, der::Error>(())
                    })?;
                }
            }
            Ok::<_, der::Error>(())
        })?;
        Ok(found)
    };
    read().unwrap_or(false)
}

fn certificates(bag: &[u8]) -> Option<Vec<Certificate<'_>>> {
    let mut bag = Ber(bag);
    let mut found = Vec::new();
    while !bag.0.is_empty() {
        if found.len() == MAX_CERTIFICATES {
            return None;
        }
        found.push(Certificate::parse(bag.element()?.raw).ok()?);
    }
    Some(found)
}

/// The bytes of an OCTET STRING, in one piece or in parts.
fn octets(bytes: &[u8]) -> Option<Vec<u8>> {
    let mut reader = Ber(bytes);
    let element = reader.element()?;
    reader.finish()?;
    match element.tag {
        OCTETS => Some(element.contents.to_vec()),
        OCTETS_IN_PARTS => {
            let (mut parts, mut found) = (Ber(element.contents), Vec::new());
            while !parts.0.is_empty() {
                found.extend_from_slice(parts.take(OCTETS)?);
            }
            Some(found)
        }
        _ => None,
    }
}

/// The contents of the one element, of that tag, that fills `bytes`.
fn whole(bytes: &[u8], tag: u8) -> Option<&[u8]> {
    let mut reader = Ber(bytes);
    let contents = reader.take(tag)?;
    reader.finish()?;
    Some(contents)
}

/// Reads one BER element after the other.
struct Ber<'a>(&'a [u8]);

struct Element<'a> {
    tag: u8,
    contents: &'a [u8],
    raw: &'a [u8],
}

impl<'a> Ber<'a> {
    /// The contents of the next element, which must have that tag.
    fn take(&mut self, tag: u8) -> Option<&'a [u8]> {
        self.element().filter(|element| element.tag == tag).map(|element| element.contents)
    }

    fn element(&mut self) -> Option<Element<'a>> {
        self.nested(MAX_DEPTH)
    }

    fn finish(&self) -> Option<()> {
        self.0.is_empty().then_some(())
    }

    fn nested(&mut self, depth: u8) -> Option<Element<'a>> {
        let depth = depth.checked_sub(1)?;
        let start = self.0;
        let tag = self.byte()?;
        // Tag numbers from 31 on take more bytes; nothing here has one.
        if tag & 0x1f == 0x1f {
            return None;
        }
        let contents = match self.byte()? {
            0x80 if tag & 0x20 != 0 => {
                let inside = self.0;
                while !self.0.starts_with(&[0, 0]) {
                    self.nested(depth)?;
                }
                let contents = inside.get(..inside.len().checked_sub(self.0.len())?)?;
                self.slice(2)?;
                contents
            }
            length @ 0..=0x7f => self.slice(usize::from(length))?,
            head => {
                let mut length = 0_usize;
                let bytes = usize::from(head & 0x7f);
                if !(1..=3).contains(&bytes) {
                    return None;
                }
                for byte in self.slice(bytes)? {
                    length = length << 8 | usize::from(*byte);
                }
                self.slice(length)?
            }
        };
        let raw = start.get(..start.len().checked_sub(self.0.len())?)?;
        Some(Element { tag, contents, raw })
    }

    fn byte(&mut self) -> Option<u8> {
        let (byte, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(*byte)
    }

    fn slice(&mut self, length: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(taken)
    }
}
