//! Authenticator data: the bytes that a device signs. Laid out as in WebAuthn, but Apple's flags do not say what
//! follows (assertions claim a credential they do not have, extensions of iOS 27 come without their flag), so lengths
//! decide.

use crate::cbor::Value;

/// Flag of an attested credential. The only one that Apple sets.
const FLAG_ATTESTED: u8 = 0x40;

/// Authenticator data that cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Malformed(pub &'static str);

/// What all authenticator data begins with.
pub struct AuthData<'a> {
    /// SHA-256 of the app id.
    pub rp_id_hash: &'a [u8; 32],
    /// How often the key has signed.
    pub counter: u32,
    rest: &'a [u8],
}

/// The key that an attestation is about.
pub struct Credential<'a> {
    /// Names the environment.
    pub aaguid: &'a [u8; 16],
    /// SHA-256 of the key.
    pub id: &'a [u8; 32],
    /// The key, a COSE map.
    pub key: Value<'a>,
    /// What iOS 27 says of the app.
    pub extensions: Extensions<'a>,
}

/// What iOS 27 and later say of the app.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Extensions<'a> {
    /// How the app was distributed, by Apple's numbers.
    pub category: Option<u32>,
    /// The app's bundle version.
    pub bundle_version: Option<&'a str>,
}

impl<'a> AuthData<'a> {
    /// Reads the part that attestations and assertions share.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, Malformed> {
        let too_short = Malformed("the authenticator data is too short");
        let (rp_id_hash, rest) = bytes.split_first_chunk().ok_or(too_short)?;
        let (&[flags], rest) = rest.split_first_chunk().ok_or(too_short)?;
        let (counter, rest) = rest.split_first_chunk().ok_or(too_short)?;
        if flags & FLAG_ATTESTED == 0 {
            return Err(Malformed("the authenticator data lacks its flag"));
        }
        Ok(Self { rp_id_hash, counter: u32::from_be_bytes(*counter), rest })
    }

    /// Reads the rest as that of an attestation.
    pub fn credential(&self) -> Result<Credential<'a>, Malformed> {
        let too_short = Malformed("the attested credential is too short");
        let (aaguid, rest) = self.rest.split_first_chunk().ok_or(too_short)?;
        let (length, rest) = rest.split_first_chunk().ok_or(too_short)?;
        if u16::from_be_bytes(*length) != 32 {
            return Err(Malformed("the credential id is not 32 bytes long"));
        }
        let (id, rest) = rest.split_first_chunk().ok_or(too_short)?;
        let (key, rest) = Value::parse_first(rest).map_err(|_| Malformed("the attested key is not strict CBOR"))?;
        Ok(Credential { aaguid, id, key, extensions: Extensions::parse(rest)? })
    }

    /// Reads the rest as that of an assertion.
    pub fn extensions(&self) -> Result<Extensions<'a>, Malformed> {
        Extensions::parse(self.rest)
    }
}

impl<'a> Extensions<'a> {
    /// Reads the map at the end; there is none before iOS 27.
    fn parse(bytes: &'a [u8]) -> Result<Self, Malformed> {
        if bytes.is_empty() {
            return Ok(Self::default());
        }
        let map = Value::parse(bytes).map_err(|_| Malformed("what follows is not one strict CBOR value"))?;
        let entries = map.as_map().ok_or(Malformed("what follows is not a CBOR map"))?;
        if entries.iter().any(|(key, _)| key.as_text().is_none()) {
            return Err(Malformed("an extension is not named by a text"));
        }
        let category = match one_of(&map, "apple_validation_category_01", "validationCategory")? {
            Some(value) => Some(category(value).ok_or(Malformed("the validation category is not a number"))?),
            None => None,
        };
        let bundle_version = match one_of(&map, "apple_bundle_version_01", "bundleVersion")? {
            Some(value) => Some(value.as_text().ok_or(Malformed("the bundle version is not a text"))?),
            None => None,
        };
        Ok(Self { category, bundle_version })
    }
}

/// The value of an extension by either of its spellings, but not by both.
fn one_of<'v, 'a>(map: &'v Value<'a>, name: &str, other: &str) -> Result<Option<&'v Value<'a>>, Malformed> {
    match (map.get(name), map.get(other)) {
        (Some(_), Some(_)) => Err(Malformed("an extension is there in two spellings")),
        (found, None) | (None, found) => Ok(found),
    }
}

/// Apple writes the number as four bytes, the lowest first, and documents it as an integer.
fn category(value: &Value<'_>) -> Option<u32> {
    match value {
        Value::Bytes(bytes) => Some(u32::from_le_bytes((*bytes).try_into().ok()?)),
        Value::Unsigned(number) => u32::try_from(*number).ok(),
        Value::Negative(_) | Value::Text(_) | Value::Array(_) | Value::Map(_) | Value::Other => None,
    }
}

/// Whether a COSE map is the P-256 key of this SEC1 point and says nothing else.
pub fn is_cose_key(key: &Value<'_>, point: &[u8; 65]) -> bool {
    let (x, y) = (point.get(1..33), point.get(33..));
    // Key type EC2, algorithm ES256, curve P-256 (RFC 9053).
    key.as_map().is_some_and(|entries| entries.len() == 5)
        && key.get_integer(1) == Some(&Value::Unsigned(2))
        && key.get_integer(3) == Some(&Value::Negative(6))
        && key.get_integer(-1) == Some(&Value::Unsigned(1))
        && key.get_integer(-2).and_then(Value::as_bytes) == x
        && key.get_integer(-3).and_then(Value::as_bytes) == y
}
