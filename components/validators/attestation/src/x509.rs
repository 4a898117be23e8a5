//! Certificates (RFC 5280) as far as attestation needs them: strictly read, compared by the received bytes, and checked
//! link by link. There is no path building: each method knows the shape of its chain and walks it itself.
//!
//! ```text
//! let leaf = Certificate::parse(&der)?;                 // shape only
//! leaf.verify_issued_by::<PublicKey>(&parent)?;         // names equal byte for byte, signature by the parent's key
//! leaf.is_valid_at(now);  parent.may_issue(0);          // dates, CA flag and path length, key usage
//! let root = find_anchor::<PublicKey>(&services.anchors("set"), &last)?;
//! ```

mod key;

use der::asn1::{AnyRef, BitStringRef, GeneralizedTime, ObjectIdentifier, OctetStringRef, UtcTime};
use der::{Reader, SliceReader, Tag, TagNumber, Tagged};
use sha2::{Digest, Sha256};

pub use key::{EcKey, Key, PublicKey, SignatureAlgorithm};

/// Longest certificate that is read, in bytes. Certificates of phones have one to three thousand.
pub const MAX_CERTIFICATE_BYTES: usize = 16 * 1024;
/// Most extensions of a certificate.
const MAX_EXTENSIONS: usize = 64;

/// Extension basicConstraints.
pub const BASIC_CONSTRAINTS: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.19");
/// Extension keyUsage.
pub const KEY_USAGE: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.15");
/// Extension extKeyUsage.
pub const EXTENDED_KEY_USAGE: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.37");
/// Extension subjectAltName.
pub const SUBJECT_ALT_NAME: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.17");

/// What is wrong with a certificate, key or signature.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum X509Error {
    /// Not DER of that shape, or too large.
    Malformed,
    /// A key or signature algorithm other than those of [`PublicKey`] and [`SignatureAlgorithm`].
    Unsupported,
    /// The issuer's name is not the subject of the parent.
    WrongIssuer,
    /// The signature does not verify.
    BadSignature,
}

impl From<der::Error> for X509Error {
    fn from(_: der::Error) -> Self {
        Self::Malformed
    }
}

/// A certificate whose shape was checked; nothing else was.
#[derive(Clone)]
pub struct Certificate<'a> {
    /// The whole certificate.
    pub der: &'a [u8],
    /// Contents of the serial number's INTEGER.
    pub serial: &'a [u8],
    /// DER of the issuer's Name.
    pub issuer: &'a [u8],
    /// DER of the subject's Name.
    pub subject: &'a [u8],
    /// Unix seconds from which it is valid, inclusive.
    pub not_before: i64,
    /// Unix seconds until which it is valid, inclusive.
    pub not_after: i64,
    /// DER of the SubjectPublicKeyInfo.
    pub spki: &'a [u8],
    /// Its extensions, each OID at most once.
    pub extensions: Vec<Extension<'a>>,
    signed: &'a [u8],
    algorithm: &'a [u8],
    signature: &'a [u8],
}

/// One extension.
#[derive(Clone)]
pub struct Extension<'a> {
    /// What it is.
    pub oid: ObjectIdentifier,
    /// Whether those who do not know it must refuse the certificate.
    pub critical: bool,
    /// Contents of its OCTET STRING.
    pub value: &'a [u8],
}

/// The extension basicConstraints.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct BasicConstraints {
    /// Whether it may issue certificates.
    pub ca: bool,
    /// How many further certification authorities may follow; `None`: any number.
    pub path_length: Option<u8>,
}

impl<'a> Certificate<'a> {
    /// Reads one certificate that fills `bytes`.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, X509Error> {
        if bytes.len() > MAX_CERTIFICATE_BYTES {
            return Err(X509Error::Malformed);
        }
        let mut outer = sequence(bytes)?;
        let signed = outer.tlv_bytes()?;
        let algorithm = outer.tlv_bytes()?;
        let signature = outer.decode::<BitStringRef>()?.as_bytes().ok_or(X509Error::Malformed)?;
        outer.finish()?;

        let mut tbs = sequence(signed)?;
        let version = match explicit(&mut tbs, 0)? {
            Some(version) => u8_from_integer(version)?,
            None => 0,
        };
        if version > 2 {
            return Err(X509Error::Malformed);
        }
        let serial = tbs.decode::<AnyRef>()?;
        serial.tag().assert_eq(Tag::Integer)?;
        if serial.value().is_empty() {
            return Err(X509Error::Malformed);
        }
        // RFC 5280, 4.1.1.2: both algorithms must be the same, otherwise the signature would not cover its own
        // algorithm.
        if tbs.tlv_bytes()? != algorithm {
            return Err(X509Error::Malformed);
        }
        let issuer = name(&mut tbs)?;
        let mut validity = sequence(tbs.tlv_bytes()?)?;
        let (not_before, not_after) = (time(&mut validity)?, time(&mut validity)?);
        validity.finish()?;
        let subject = name(&mut tbs)?;
        let spki = tbs.tlv_bytes()?;
        sequence(spki)?;
        let mut extensions = Vec::new();
        while !tbs.is_finished() {
            let field = tbs.decode::<AnyRef>()?;
            match field.tag() {
                // issuerUniqueID and subjectUniqueID, which nobody uses.
                Tag::ContextSpecific { number: TagNumber(1 | 2), .. } if extensions.is_empty() => {}
                Tag::ContextSpecific { constructed: true, number: TagNumber(3) }
                    if version == 2 && extensions.is_empty() =>
                {
                    extensions = read_extensions(field.value())?;
                }
                _ => return Err(X509Error::Malformed),
            }
        }
        let serial = serial.value();
        Ok(Self {
            der: bytes,
            serial,
            issuer,
            subject,
            not_before,
            not_after,
            spki,
            extensions,
            signed,
            algorithm,
            signature,
        })
    }

    /// The serial number as lower-case hexadecimal without leading zeros, as revocation lists have it.
    pub fn serial_hex(&self) -> String {
        let digits: String = self.serial.iter().map(|byte| format!("{byte:02x}")).collect();
        match digits.trim_start_matches('0') {
            "" => "0".to_owned(),
            digits => digits.to_owned(),
        }
    }

    /// SHA-256 of the whole certificate.
    pub fn sha256(&self) -> [u8; 32] {
        Sha256::digest(self.der).into()
    }

    /// Whether issuer and subject are the same name. Says nothing of the signature.
    pub fn is_self_issued(&self) -> bool {
        self.issuer == self.subject
    }

    /// Whether `now`, unix seconds, is within its dates.
    pub fn is_valid_at(&self, now: i64) -> bool {
        (self.not_before..=self.not_after).contains(&now)
    }

    /// The contents of an extension.
    pub fn extension(&self, oid: ObjectIdentifier) -> Option<&'a [u8]> {
        self.extensions.iter().find(|extension| extension.oid == oid).map(|extension| extension.value)
    }

    /// Whether a critical extension is none of `known`.
    pub fn has_unknown_critical(&self, known: &[ObjectIdentifier]) -> bool {
        self.extensions.iter().any(|extension| extension.critical && !known.contains(&extension.oid))
    }

    /// The extension basicConstraints; `None` when it is absent.
    pub fn basic_constraints(&self) -> Result<Option<BasicConstraints>, X509Error> {
        let Some(value) = self.extension(BASIC_CONSTRAINTS) else { return Ok(None) };
        let mut fields = sequence(value)?;
        let mut found = BasicConstraints::default();
        if !fields.is_finished() && Tag::peek(&fields)? == Tag::Boolean {
            found.ca = fields.decode::<bool>()?;
        }
        if !fields.is_finished() {
            found.path_length = Some(u8_from_integer(fields.tlv_bytes()?)?);
        }
        fields.finish()?;
        Ok(Some(found))
    }

    /// Whether it may issue certificates below which `below` further certification authorities stand (0: it issued the
    /// leaf): CA flag, path length, and keyCertSign where keyUsage is present.
    pub fn may_issue(&self, below: u8) -> bool {
        let Ok(Some(BasicConstraints { ca: true, path_length })) = self.basic_constraints() else { return false };
        path_length.is_none_or(|most| below <= most) && self.key_usage_allows(5)
    }

    /// Whether keyUsage is absent or has that bit (0 digitalSignature, 5 keyCertSign).
    pub fn key_usage_allows(&self, bit: usize) -> bool {
        let Some(value) = self.extension(KEY_USAGE) else { return true };
        whole(value, |reader| reader.decode::<BitStringRef>()).is_ok_and(|bits| bits.get(bit) == Some(true))
    }

    /// The purposes of extKeyUsage; empty when it is absent.
    pub fn extended_key_usage(&self) -> Result<Vec<ObjectIdentifier>, X509Error> {
        let Some(value) = self.extension(EXTENDED_KEY_USAGE) else { return Ok(Vec::new()) };
        let mut reader = sequence(value)?;
        let mut found = Vec::new();
        while !reader.is_finished() {
            found.push(reader.decode::<ObjectIdentifier>()?);
        }
        Ok(found)
    }

    /// The dNSNames of subjectAltName, as received; empty when there are none.
    pub fn dns_names(&self) -> Result<Vec<&'a str>, X509Error> {
        let Some(value) = self.extension(SUBJECT_ALT_NAME) else { return Ok(Vec::new()) };
        let mut reader = sequence(value)?;
        let mut found = Vec::new();
        while !reader.is_finished() {
            let entry = reader.decode::<AnyRef>()?;
            if entry.tag() == (Tag::ContextSpecific { constructed: false, number: TagNumber(2) }) {
                found.push(std::str::from_utf8(entry.value()).map_err(|_| X509Error::Malformed)?);
            }
        }
        Ok(found)
    }

    /// Its key, of the kind that is asked for.
    pub fn public_key<K: Key>(&self) -> Result<K, X509Error> {
        K::from_spki(self.spki)
    }

    /// The key's bytes as they stand in the certificate: for EC keys a SEC1 point.
    pub fn public_key_bytes(&self) -> Result<&'a [u8], X509Error> {
        Ok(read_spki(self.spki)?.2)
    }

    /// Checks that `parent` issued this: names are equal byte for byte, and its key made the signature. Dates and the
    /// parent's right to issue ([`Self::may_issue`]) are for the caller.
    ///
    /// `K` is the kind of keys that the parent may have: whoever names [`EcKey`] has no use for RSA, nor its code.
    pub fn verify_issued_by<K: Key>(&self, parent: &Certificate<'_>) -> Result<(), X509Error> {
        if self.issuer != parent.subject {
            return Err(X509Error::WrongIssuer);
        }
        self.verify_signature(&parent.public_key::<K>()?)
    }

    /// Checks the signature alone.
    pub fn verify_signature<K: Key>(&self, issuer: &K) -> Result<(), X509Error> {
        issuer.verify(SignatureAlgorithm::from_der(self.algorithm)?, self.signed, self.signature)
    }
}

/// The trust anchor (one of the DER certificates of `anchors`) that issued `certificate`, by name and signature.
/// Anchors that cannot be read are passed over; at most 32 are looked at.
pub fn find_anchor<'a, K: Key>(anchors: &'a [Vec<u8>], certificate: &Certificate<'_>) -> Option<Certificate<'a>> {
    anchors
        .iter()
        .take(32)
        .filter_map(|der| Certificate::parse(der).ok())
        .find(|anchor| certificate.verify_issued_by::<K>(anchor).is_ok())
}

/// The trust anchor with the subject and key of `certificate`: the same authority, even if that is another certificate
/// of it.
pub fn find_same_anchor<'a>(anchors: &'a [Vec<u8>], certificate: &Certificate<'_>) -> Option<Certificate<'a>> {
    anchors
        .iter()
        .take(32)
        .filter_map(|der| Certificate::parse(der).ok())
        .find(|anchor| anchor.subject == certificate.subject && anchor.spki == certificate.spki)
}

/// Algorithm, its parameters, and the contents of the BIT STRING.
fn read_spki(bytes: &[u8]) -> Result<(ObjectIdentifier, Option<AnyRef<'_>>, &[u8]), X509Error> {
    let mut fields = sequence(bytes)?;
    let (oid, parameters) = algorithm_identifier(fields.tlv_bytes()?)?;
    let key = fields.decode::<BitStringRef>()?.as_bytes().ok_or(X509Error::Malformed)?;
    fields.finish()?;
    Ok((oid, parameters, key))
}

fn algorithm_identifier(bytes: &[u8]) -> Result<(ObjectIdentifier, Option<AnyRef<'_>>), X509Error> {
    let mut fields = sequence(bytes)?;
    let oid = fields.decode::<ObjectIdentifier>()?;
    let parameters = if fields.is_finished() { None } else { Some(fields.decode::<AnyRef>()?) };
    fields.finish()?;
    Ok((oid, parameters))
}

fn read_extensions(value: &[u8]) -> Result<Vec<Extension<'_>>, X509Error> {
    let mut list = sequence(value)?;
    let mut found: Vec<Extension<'_>> = Vec::new();
    while !list.is_finished() {
        let mut fields = sequence(list.tlv_bytes()?)?;
        let oid = fields.decode::<ObjectIdentifier>()?;
        let critical = Tag::peek(&fields)? == Tag::Boolean && fields.decode::<bool>()?;
        let value = fields.decode::<&OctetStringRef>()?.as_bytes();
        fields.finish()?;
        if found.len() == MAX_EXTENSIONS || found.iter().any(|known| known.oid == oid) {
            return Err(X509Error::Malformed);
        }
        found.push(Extension { oid, critical, value });
    }
    if found.is_empty() { Err(X509Error::Malformed) } else { Ok(found) }
}

/// A reader of the contents of the SEQUENCE that fills `bytes`.
fn sequence(bytes: &[u8]) -> Result<SliceReader<'_>, X509Error> {
    let any = whole(bytes, |reader| reader.decode::<AnyRef>())?;
    any.tag().assert_eq(Tag::Sequence)?;
    Ok(SliceReader::new(any.value())?)
}

/// Reads one value that fills `bytes`.
fn whole<'a, T>(
    bytes: &'a [u8],
    read: impl FnOnce(&mut SliceReader<'a>) -> Result<T, der::Error>,
) -> Result<T, X509Error> {
    let mut reader = SliceReader::new(bytes)?;
    let value = read(&mut reader)?;
    reader.finish()?;
    Ok(value)
}

/// The contents of the next element if it is `[number] EXPLICIT`.
fn explicit<'a>(reader: &mut SliceReader<'a>, number: u32) -> Result<Option<&'a [u8]>, X509Error> {
    let wanted = Tag::ContextSpecific { constructed: true, number: TagNumber(number) };
    if Tag::peek(reader)? != wanted { Ok(None) } else { Ok(Some(reader.decode::<AnyRef>()?.value())) }
}

/// The DER of a Name.
fn name<'a>(reader: &mut SliceReader<'a>) -> Result<&'a [u8], X509Error> {
    let bytes = reader.tlv_bytes()?;
    sequence(bytes)?;
    Ok(bytes)
}

fn u8_from_integer(bytes: &[u8]) -> Result<u8, X509Error> {
    whole(bytes, |reader| reader.decode::<u8>())
}

fn time(reader: &mut SliceReader<'_>) -> Result<i64, X509Error> {
    let since_1970 = match Tag::peek(reader)? {
        Tag::UtcTime => reader.decode::<UtcTime>()?.to_unix_duration(),
        Tag::GeneralizedTime => reader.decode::<GeneralizedTime>()?.to_unix_duration(),
        _ => return Err(X509Error::Malformed),
    };
    i64::try_from(since_1970.as_secs()).map_err(|_| X509Error::Malformed)
}
