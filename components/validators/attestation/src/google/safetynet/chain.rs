//! The certificates in the header of an attestation, from Google's leaf to a trust anchor.

use crate::contract::{Rejection, Stage};
use crate::jose::Jws;
use crate::x509::{
    BASIC_CONSTRAINTS, Certificate, EXTENDED_KEY_USAGE, KEY_USAGE, Key as _, PublicKey, SUBJECT_ALT_NAME,
    SignatureAlgorithm, X509Error, find_anchor,
};
use base64ct::{Base64, Encoding};
use der::asn1::ObjectIdentifier;
use serde_json::{Map, Value};

/// Most certificates; real attestations have two or three.
const MAX_CERTIFICATES: usize = 5;
/// Who signs attestations.
const HOST: &str = "attest.android.com";
const SERVER_AUTH: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.5.5.7.3.1");
/// Critical extensions that are checked here. A constraint on names is not among them: such a chain is refused.
const KNOWN: [ObjectIdentifier; 4] = [BASIC_CONSTRAINTS, KEY_USAGE, EXTENDED_KEY_USAGE, SUBJECT_ALT_NAME];

/// Certificates as received; nothing but their encoding was looked at.
#[derive(Clone, Debug)]
pub struct Certificates(Vec<Vec<u8>>);

/// Takes the certificates out of `x5c`: standard base64 (RFC 7515, 4.1.6), leaf first.
pub fn read(header: &Map<String, Value>) -> Result<Certificates, Rejection> {
    let malformed = |detail| Rejection::new("sn-x5c-malformed", Stage::Parse, detail);
    let texts = match header.get("x5c") {
        None => &[][..],
        Some(Value::Array(texts)) => texts,
        Some(Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Object(_)) => {
            return Err(malformed("x5c is no array"));
        }
    };
    if texts.is_empty() {
        return Err(Rejection::new("sn-x5c-missing", Stage::Parse, "the token has no certificates"));
    }
    if texts.len() > MAX_CERTIFICATES {
        return Err(malformed("x5c has more than 5 certificates"));
    }
    let decode = |text: &Value| Base64::decode_vec(text.as_str()?).ok();
    let der: Option<Vec<Vec<u8>>> = texts.iter().map(decode).collect();
    let der = der.ok_or_else(|| malformed("an element of x5c is not base64"))?;
    if der.iter().any(|der| Certificate::parse(der).is_err()) {
        return Err(malformed("an element of x5c is no certificate"));
    }
    Ok(Certificates(der))
}

/// A leaf whose chain and name were checked.
#[derive(Clone)]
pub struct Signer<'a>(Certificate<'a>);

impl Signer<'_> {
    /// Checks the signature of an attestation.
    pub fn verify(&self, jws: &Jws<'_>) -> Result<(), Rejection> {
        let bad = |_| Rejection::new("sn-signature", Stage::Signature, "the signature of the token is wrong");
        let key: PublicKey = self.0.public_key().map_err(bad)?;
        key.verify(SignatureAlgorithm::RsaSha256, jws.signed, &jws.signature).map_err(bad)
    }
}

/// Walks from the leaf, each certificate issued by the next, to one that an anchor issued. Certificates behind that are
/// not looked at, and none of those received is ever an anchor. All must be valid at `time`, unix seconds; the anchor is
/// a name and a key, and its own dates do not matter.
pub fn verify<'a>(certificates: &'a Certificates, anchors: &[Vec<u8>], time: i64) -> Result<Signer<'a>, Rejection> {
    let broken = |_: X509Error| chain("a certificate was not issued by the next, nor by a trust anchor");
    let parse = |der: &'a Vec<u8>| Certificate::parse(der).ok();
    let received: Vec<Certificate<'_>> = certificates.0.iter().filter_map(parse).collect();
    let mut path = Vec::new();
    let mut rest = received.iter();
    let mut current = rest.next().ok_or_else(|| chain("there is no certificate"))?;
    loop {
        check_role(current, path.len())?;
        path.push(current);
        if find_anchor::<PublicKey>(anchors, current).is_some() {
            break;
        }
        let issuer = rest.next().ok_or_else(|| chain("the chain does not lead to a trust anchor"))?;
        current.verify_issued_by::<PublicKey>(issuer).map_err(broken)?;
        current = issuer;
    }
    if !path.iter().all(|certificate| certificate.is_valid_at(time)) {
        return Err(Rejection::new(
            "sn-chain-expired",
            Stage::Chain,
            "a certificate is not valid at the time that counts",
        ));
    }
    let leaf = path.first().copied().ok_or_else(|| chain("there is no certificate"))?;
    if !leaf.dns_names().is_ok_and(|names| names.iter().any(|name| name.eq_ignore_ascii_case(HOST))) {
        return Err(Rejection::new("sn-hostname", Stage::Chain, "the leaf is not for attest.android.com"));
    }
    Ok(Signer(leaf.clone()))
}

/// What a certificate must be to stand at that place of a chain; 0 is the leaf.
fn check_role(certificate: &Certificate<'_>, place: usize) -> Result<(), Rejection> {
    if certificate.has_unknown_critical(&KNOWN) {
        return Err(chain("a certificate has a critical extension that is not understood"));
    }
    let purposes = certificate.extended_key_usage().map_err(|_| chain("a certificate's purposes cannot be read"))?;
    let unlimited = purposes.is_empty() && place > 0;
    if !unlimited && !purposes.contains(&SERVER_AUTH) {
        return Err(chain("a certificate is not for authentication of servers"));
    }
    // The number of certification authorities below this one.
    let below = place.checked_sub(1).map(u8::try_from);
    let fits = match below {
        None => certificate.key_usage_allows(0),
        Some(below) => below.is_ok_and(|below| certificate.may_issue(below)),
    };
    if fits { Ok(()) } else { Err(chain("a certificate is used for what it may not be used for")) }
}

fn chain(detail: &'static str) -> Rejection {
    Rejection::new("sn-chain", Stage::Chain, detail)
}
