//! The JSON of a certificate.

use super::Rejection;
use crate::interval::Timestamp;
use crate::json::{Blame, Integer, Object, ObjectSeed, Text, UnknownFields};
use crate::text::shortened;
use serde::de::{DeserializeSeed, MapAccess};
use serde_json::{Map, Value};
use std::borrow::Cow;
use std::fmt;

/// The header, as far as it matters.
pub(super) struct Header {
    algorithm: Option<Value>,
    key_id: Option<Value>,
}

/// The `kid` of the header.
pub(super) enum KeyId {
    /// Names a key.
    Text(String),
    /// Is no string, and so never names a key.
    Other,
}

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(id) => f.write_str(&shortened(id)),
            Self::Other => f.write_str("(no text)"),
        }
    }
}

impl Header {
    pub(super) fn parse(json: &[u8]) -> Result<Self, Rejection> {
        let mut fields: Map<String, Value> = serde_json::from_slice(json).map_err(|_| Rejection::Header)?;
        Ok(Self { algorithm: fields.remove("alg"), key_id: fields.remove("kid") })
    }

    /// Refuses all algorithms but one, before anything else is believed.
    pub(super) fn check(&self) -> Result<KeyId, Rejection> {
        let Some(Value::String(algorithm)) = &self.algorithm else { return Err(Rejection::SigningMethod) };
        if algorithm != "ES256" {
            return Err(Rejection::SigningMethod);
        }
        match &self.key_id {
            None => Err(Rejection::NoKeyId),
            Some(Value::String(id)) => Ok(KeyId::Text(id.clone())),
            Some(Value::Null | Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_)) => {
                Ok(KeyId::Other)
            }
        }
    }
}

/// The claims; absent ones have their zero value.
#[derive(Default)]
pub(super) struct CertificateClaims<'a> {
    pub(super) issuer: Cow<'a, str>,
    pub(super) audience: Cow<'a, str>,
    pub(super) report_type: Cow<'a, str>,
    pub(super) tekmac: Cow<'a, str>,
    pub(super) symptom_onset_interval: u32,
    expires_at: i64,
    issued_at: i64,
    not_before: i64,
    /// Type-checked and not used.
    unused: Cow<'a, str>,
}

impl<'a> CertificateClaims<'a> {
    pub(super) fn parse(json: &'a [u8]) -> Result<Self, Rejection> {
        let mut claims = Self::default();
        let blame = Blame::default();
        let mut deserializer = serde_json::Deserializer::from_slice(json);
        let read = ObjectSeed { into: &mut claims, blame: &blame }.deserialize(&mut deserializer);
        match read.and_then(|()| deserializer.end()) {
            Ok(()) => Ok(claims),
            Err(_) => {
                let (path, _) = blame.into_parts();
                Err(Rejection::Claims(Some(path).filter(|path| !path.is_empty())))
            }
        }
    }

    /// Whether it was issued later than `now` and `skew` seconds.
    pub(super) fn is_issued_in_the_future(&self, now: Timestamp, skew: i64) -> bool {
        self.issued_at != 0 && self.issued_at > now.plus_seconds(skew).unix()
    }

    /// Whether it begins to be valid later than `now` and `skew` seconds.
    pub(super) fn begins_in_the_future(&self, now: Timestamp, skew: i64) -> bool {
        self.not_before != 0 && self.not_before > now.plus_seconds(skew).unix()
    }

    /// Refuses a certificate that expired more than `skew` seconds ago.
    pub(super) fn check_expiry(&self, now: Timestamp, skew: i64) -> Result<(), Rejection> {
        if self.expires_at != 0 && now.plus_seconds(-skew).unix() > self.expires_at {
            return Err(Rejection::Expired { seconds: now.unix().saturating_sub(self.expires_at) });
        }
        Ok(())
    }
}

#[derive(Clone, Copy)]
pub(crate) enum Claim {
    Issuer,
    Audience,
    ExpiresAt,
    IssuedAt,
    NotBefore,
    Unused,
    ReportType,
    SymptomOnsetInterval,
    Tekmac,
}

impl<'de> Object<'de> for CertificateClaims<'de> {
    type Field = Claim;
    const FIELDS: &'static [(&'static str, Claim)] = &[
        ("iss", Claim::Issuer),
        ("aud", Claim::Audience),
        ("exp", Claim::ExpiresAt),
        ("iat", Claim::IssuedAt),
        ("nbf", Claim::NotBefore),
        ("sub", Claim::Unused),
        ("jti", Claim::Unused),
        ("reportType", Claim::ReportType),
        ("symptomOnsetInterval", Claim::SymptomOnsetInterval),
        ("tekmac", Claim::Tekmac),
    ];
    const UNKNOWN: UnknownFields = UnknownFields::Ignore;

    fn read<A: MapAccess<'de>>(&mut self, claim: Claim, map: &mut A, _blame: &Blame) -> Result<(), A::Error> {
        match claim {
            Claim::Issuer => map.next_value_seed(Text(&mut self.issuer)),
            Claim::Audience => map.next_value_seed(Text(&mut self.audience)),
            Claim::ExpiresAt => map.next_value_seed(Integer(&mut self.expires_at)),
            Claim::IssuedAt => map.next_value_seed(Integer(&mut self.issued_at)),
            Claim::NotBefore => map.next_value_seed(Integer(&mut self.not_before)),
            Claim::Unused => map.next_value_seed(Text(&mut self.unused)),
            Claim::ReportType => map.next_value_seed(Text(&mut self.report_type)),
            Claim::SymptomOnsetInterval => map.next_value_seed(Integer(&mut self.symptom_onset_interval)),
            Claim::Tekmac => map.next_value_seed(Text(&mut self.tekmac)),
        }
    }
}
