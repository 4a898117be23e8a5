//! The body of a publish request, read the way the reference server reads it.

mod device;
mod repair;
#[cfg(test)]
mod tests;

pub use device::{DeviceEvidence, EvidenceError, ReadEvidence};

use crate::json::{Blame, Flag, Integer, Object, ObjectSeed, Text, Texts, UnknownFields, UnusedText};
use crate::problem::PublishCode;
use crate::text::shortened;
use serde::Serialize;
use serde::de::{Deserialize, DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::error::Category;
use std::borrow::Cow;
use std::fmt;

/// Largest body in bytes.
pub const MAX_BODY_BYTES: usize = 64_000;

/// What a `Content-Type` must begin with, to the letter.
pub const CONTENT_TYPE_PREFIX: &str = "application/json";

/// Which API a phone speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ApiVersion {
    /// `/v1/publish`.
    V1,
    /// `/`, of 2020.
    V1Alpha1,
}

/// A publish request as sent: types are checked, values are not. Fields that were not sent have their zero value.
///
/// Strings borrow from the body unless they hold escapes.
#[derive(Clone, PartialEq, Eq, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PublishRequest<'a> {
    /// The keys, in the order sent.
    #[serde(rename = "temporaryExposureKeys")]
    pub keys: Vec<RequestKey<'a>>,
    /// Name of the authorized app, in any case.
    #[serde(rename = "healthAuthorityID")]
    pub health_authority_id: Cow<'a, str>,
    /// The verification certificate.
    pub verification_payload: Cow<'a, str>,
    /// Secret of the HMAC over the keys, base64.
    pub hmac_key: Cow<'a, str>,
    /// Interval of symptom onset; 0: not given.
    pub symptom_onset_interval: i32,
    /// Whether the person travelled.
    pub traveler: bool,
    /// The token from the last response, base64; empty: none.
    pub revision_token: Cow<'a, str>,
    /// v1alpha1: the regions to publish for; empty: those of the app. v1 has no such field.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub regions: Vec<Cow<'a, str>>,
    /// Extension: whether this is a chaff request, which asks for an answer and nothing else.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub chaff: Option<bool>,
    /// Extension: what the platform says of the phone, for the app's validators.
    #[serde(flatten)]
    pub device: DeviceEvidence<'a>,
}

/// A key as sent.
#[derive(Clone, PartialEq, Eq, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RequestKey<'a> {
    /// The key, base64.
    pub key: Cow<'a, str>,
    /// First interval of validity.
    #[serde(rename = "rollingStartNumber")]
    pub rolling_start: i32,
    /// Intervals of validity.
    pub rolling_period: i32,
    /// Transmission risk; 0: not given.
    pub transmission_risk: i64,
}

impl fmt::Debug for PublishRequest<'_> {
    /// Shows neither keys nor credentials.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = &self.health_authority_id;
        f.debug_struct("PublishRequest")
            .field("health_authority_id", name)
            .field("keys", &self.keys.len())
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for RequestKey<'_> {
    /// Does not show the key.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (start, period) = (self.rolling_start, self.rolling_period);
        f.debug_struct("RequestKey")
            .field("rolling_start", &start)
            .field("rolling_period", &period)
            .finish_non_exhaustive()
    }
}

/// Why a body cannot be read. The texts go to the client; they name fields and positions and quote no value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RequestError {
    /// Not declared to be JSON.
    ContentType,
    /// More than [`MAX_BODY_BYTES`].
    TooLarge,
    /// Nothing but white space.
    Empty,
    /// The JSON ends too early.
    Truncated,
    /// Not JSON; the number of bytes read up to and including the bad one.
    Malformed(usize),
    /// A value of the wrong type or out of range: dotted path of the field (empty: the body itself), bytes read.
    InvalidValue(String, usize),
    /// A field that does not exist.
    UnknownField(String),
    /// Something follows the object.
    TrailingData,
}

impl RequestError {
    /// How the failure is reported.
    pub const fn code(&self) -> PublishCode {
        match self {
            Self::ContentType => PublishCode::UnsupportedMediaType,
            Self::TooLarge => PublishCode::TooLarge,
            Self::Empty
            | Self::Truncated
            | Self::Malformed(_)
            | Self::InvalidValue(..)
            | Self::UnknownField(_)
            | Self::TrailingData => PublishCode::BadRequest,
        }
    }

    /// What is wrong.
    pub fn detail(&self) -> String {
        match self {
            Self::ContentType => "content-type is not application/json".to_owned(),
            Self::TooLarge => "http: request body too large".to_owned(),
            Self::Empty => "body must not be empty".to_owned(),
            Self::Truncated => "malformed json".to_owned(),
            Self::Malformed(position) => format!("malformed json at position {position}"),
            Self::InvalidValue(field, position) => format!("invalid value \"{field}\" at position {position}"),
            Self::UnknownField(name) => format!("unknown field \"{}\"", shortened(name)),
            Self::TrailingData => "body must contain only one JSON object".to_owned(),
        }
    }
}

impl fmt::Display for RequestError {
    /// As publish reports it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "error unmarshalling API call, code: {}: {}", self.code().status(), self.detail())
    }
}

impl std::error::Error for RequestError {}

/// Checks the content type and the size of a body, and reads it with `read`, or with `read_owned` when its text must be
/// repaired first.
///
/// Divergences from the reference: a body over the limit is refused even if only white space lies beyond it, and a
/// stray closing bracket behind the object counts as the trailing data it is.
pub(crate) fn parse_body<'a, T>(
    content_type: Option<&str>,
    body: &'a [u8],
    read: impl Fn(&'a str) -> Result<T, RequestError>,
    read_owned: impl Fn(&str) -> Result<T, RequestError>,
) -> Result<T, RequestError> {
    if !content_type.is_some_and(|value| value.as_bytes().starts_with(CONTENT_TYPE_PREFIX.as_bytes())) {
        return Err(RequestError::ContentType);
    }
    if body.len() > MAX_BODY_BYTES {
        return Err(RequestError::TooLarge);
    }
    let parsed = std::str::from_utf8(body).map(read);
    if let Ok(Ok(request)) = parsed {
        return Ok(request);
    }
    // Bad input only: some of it is acceptable to the reference, and then to us.
    match (repair::repaired(body), parsed) {
        (None, Ok(result)) => result,
        (Some(text), _) => read_owned(&text),
        // Invalid UTF-8 is always repaired, so this does not happen.
        (None, Err(_)) => Err(RequestError::Malformed(0)),
    }
}

/// Reads a JSON object, the whole of the text.
pub(crate) fn read_object<'a, T: Object<'a> + Default>(text: &'a str) -> Result<T, RequestError> {
    let mut object = T::default();
    let blame = Blame::default();
    let mut deserializer = serde_json::Deserializer::from_str(text);
    let read = ObjectSeed { into: &mut object, blame: &blame }.deserialize(&mut deserializer);
    match read {
        Ok(()) => match deserializer.end() {
            Ok(()) => Ok(object),
            Err(_) => Err(RequestError::TrailingData),
        },
        Err(error) => Err(classify(&error, blame, text)),
    }
}

impl<'a> PublishRequest<'a> {
    /// Checks the content type and the size, and reads the body of a v1 request.
    pub fn parse(content_type: Option<&str>, body: &'a [u8]) -> Result<Self, RequestError> {
        parse_body(content_type, body, read_object, |text| read_object(text).map(PublishRequest::into_owned))
    }

    /// The same for v1alpha1, whose fields have other names. Whoever names several regions is a traveler.
    pub fn parse_v1alpha1(content_type: Option<&str>, body: &'a [u8]) -> Result<Self, RequestError> {
        let read_owned = |text: &str| read_object(text).map(|V1Alpha1(request)| request.into_owned());
        let mut request =
            parse_body(content_type, body, |text| read_object(text).map(|V1Alpha1(own)| own), read_owned)?;
        request.traveler = request.regions.len() > 1;
        Ok(request)
    }

    /// The request as the JSON that [`Self::parse`] reads. For clients.
    pub fn to_json(&self) -> Vec<u8> {
        // A struct of strings and numbers always serializes.
        serde_json::to_vec(self).unwrap_or_default()
    }

    /// The same request, borrowing nothing.
    pub fn into_owned(self) -> PublishRequest<'static> {
        let Self {
            keys,
            health_authority_id,
            verification_payload,
            hmac_key,
            symptom_onset_interval,
            traveler,
            revision_token,
            regions,
            chaff,
            device,
        } = self;
        let own = |text: Cow<'a, str>| Cow::Owned(text.into_owned());
        let own_key = |key: RequestKey<'a>| {
            let RequestKey { key, rolling_start, rolling_period, transmission_risk } = key;
            RequestKey { key: own(key), rolling_start, rolling_period, transmission_risk }
        };
        PublishRequest {
            keys: keys.into_iter().map(own_key).collect(),
            health_authority_id: own(health_authority_id),
            verification_payload: own(verification_payload),
            hmac_key: own(hmac_key),
            symptom_onset_interval,
            traveler,
            revision_token: own(revision_token),
            regions: regions.into_iter().map(own).collect(),
            chaff,
            device: device.into_owned(),
        }
    }
}

/// What is wrong with `text`, in the reference's terms.
fn classify(error: &serde_json::Error, blame: Blame, text: &str) -> RequestError {
    // The reference reads the whole value for its syntax before it looks at names and types. So a syntax error anywhere
    // comes first, and a number too large for every type, which serde counts among those, is none.
    let syntax = IgnoredAny::deserialize(&mut serde_json::Deserializer::from_str(text));
    match (syntax.err(), blame.into_parts()) {
        (Some(error), _) if error.classify() == Category::Eof && text.trim_ascii().is_empty() => RequestError::Empty,
        (Some(error), _) if error.classify() == Category::Eof => RequestError::Truncated,
        // What was read first knows better where it is, unless it complained of something else before.
        (Some(_), _) if error.classify() == Category::Syntax && !is_out_of_range(error) => {
            RequestError::Malformed(position(error, text))
        }
        (Some(error), _) => RequestError::Malformed(position(&error, text)),
        (None, (_, Some(unknown))) => RequestError::UnknownField(unknown),
        (None, (path, None)) => RequestError::InvalidValue(path, value_position(error, text)),
    }
}

/// A number beyond what any type holds. serde_json has no other way to tell.
fn is_out_of_range(error: &serde_json::Error) -> bool {
    error.to_string().starts_with("number out of range")
}

/// Bytes read when the error was found.
fn position(error: &serde_json::Error, text: &str) -> usize {
    let lines = text.split_inclusive('\n').take(error.line().saturating_sub(1));
    lines.map(str::len).sum::<usize>() + error.column()
}

/// Of a value of the wrong type or range: behind a scalar, or behind the bracket that opens an array or object.
fn value_position(error: &serde_json::Error, text: &str) -> usize {
    let position = position(error, text);
    let (read, rest) = text.split_at_checked(position).unwrap_or((text, ""));
    // serde_json reads an empty array or object to its end, and gives up on a large number somewhere inside it.
    let opened = |open: char, close: char| read.strip_suffix(close)?.trim_end().strip_suffix(open);
    match opened('[', ']').or_else(|| opened('{', '}')) {
        Some(before) => before.len() + 1,
        None if error.classify() == Category::Syntax => {
            let is_of_number = |c: char| c.is_ascii_digit() || "+-.eE".contains(c);
            position + rest.find(|c| !is_of_number(c)).unwrap_or(rest.len())
        }
        None => position,
    }
}

#[derive(Clone, Copy)]
pub(crate) enum RequestField {
    Keys,
    HealthAuthorityId,
    VerificationPayload,
    HmacKey,
    SymptomOnsetInterval,
    Traveler,
    RevisionToken,
    Regions,
    Chaff,
    Platform,
    DeviceMethod,
    DevicePayload,
    DeviceKeyId,
    DeviceCertificates,
    DeviceChallenge,
    Unused,
}

impl<'de> PublishRequest<'de> {
    fn read_field<A: MapAccess<'de>>(
        &mut self,
        field: RequestField,
        map: &mut A,
        blame: &Blame,
    ) -> Result<(), A::Error> {
        match field {
            RequestField::Keys => map.next_value_seed(KeysSeed { into: &mut self.keys, blame }),
            RequestField::HealthAuthorityId => map.next_value_seed(Text(&mut self.health_authority_id)),
            RequestField::VerificationPayload => map.next_value_seed(Text(&mut self.verification_payload)),
            RequestField::HmacKey => map.next_value_seed(Text(&mut self.hmac_key)),
            RequestField::SymptomOnsetInterval => map.next_value_seed(Integer(&mut self.symptom_onset_interval)),
            RequestField::Traveler => map.next_value_seed(Flag(&mut self.traveler)),
            RequestField::RevisionToken => map.next_value_seed(Text(&mut self.revision_token)),
            RequestField::Regions => map.next_value_seed(Texts(&mut self.regions)),
            RequestField::Chaff => {
                let mut chaff = false;
                map.next_value_seed(Flag(&mut chaff))?;
                self.chaff = Some(chaff);
                Ok(())
            }
            RequestField::Platform => map.next_value_seed(Text(&mut self.device.platform)),
            RequestField::DeviceMethod => map.next_value_seed(Text(&mut self.device.method)),
            RequestField::DevicePayload => map.next_value_seed(Text(&mut self.device.payload)),
            RequestField::DeviceKeyId => map.next_value_seed(Text(&mut self.device.key_id)),
            RequestField::DeviceCertificates => map.next_value_seed(Texts(&mut self.device.certificates)),
            RequestField::DeviceChallenge => map.next_value_seed(Text(&mut self.device.challenge)),
            RequestField::Unused => map.next_value_seed(UnusedText),
        }
    }
}

impl<'de> Object<'de> for PublishRequest<'de> {
    type Field = RequestField;
    const FIELDS: &'static [(&'static str, RequestField)] = &[
        ("temporaryExposureKeys", RequestField::Keys),
        ("healthAuthorityID", RequestField::HealthAuthorityId),
        ("verificationPayload", RequestField::VerificationPayload),
        ("hmacKey", RequestField::HmacKey),
        ("symptomOnsetInterval", RequestField::SymptomOnsetInterval),
        ("traveler", RequestField::Traveler),
        ("revisionToken", RequestField::RevisionToken),
        ("padding", RequestField::Unused),
        ("chaff", RequestField::Chaff),
        ("platform", RequestField::Platform),
        ("deviceVerificationMethod", RequestField::DeviceMethod),
        ("deviceVerificationPayload", RequestField::DevicePayload),
        ("deviceKeyId", RequestField::DeviceKeyId),
        ("deviceCertificates", RequestField::DeviceCertificates),
        ("deviceChallenge", RequestField::DeviceChallenge),
    ];
    const UNKNOWN: UnknownFields = UnknownFields::Refuse;

    fn read<A: MapAccess<'de>>(&mut self, field: RequestField, map: &mut A, blame: &Blame) -> Result<(), A::Error> {
        self.read_field(field, map, blame)
    }
}

/// The same request by the names of v1alpha1.
#[derive(Default)]
struct V1Alpha1<'a>(PublishRequest<'a>);

impl<'de> Object<'de> for V1Alpha1<'de> {
    type Field = RequestField;
    const FIELDS: &'static [(&'static str, RequestField)] = &[
        ("temporaryExposureKeys", RequestField::Keys),
        ("regions", RequestField::Regions),
        ("appPackageName", RequestField::HealthAuthorityId),
        ("verificationPayload", RequestField::VerificationPayload),
        ("hmackey", RequestField::HmacKey),
        ("symptomOnsetInterval", RequestField::SymptomOnsetInterval),
        ("revisionToken", RequestField::RevisionToken),
        ("padding", RequestField::Unused),
        ("chaff", RequestField::Chaff),
        ("platform", RequestField::Platform),
        ("deviceVerificationMethod", RequestField::DeviceMethod),
        ("deviceVerificationPayload", RequestField::DevicePayload),
        ("deviceKeyId", RequestField::DeviceKeyId),
        ("deviceCertificates", RequestField::DeviceCertificates),
        ("deviceChallenge", RequestField::DeviceChallenge),
    ];
    const UNKNOWN: UnknownFields = UnknownFields::Refuse;

    fn read<A: MapAccess<'de>>(&mut self, field: RequestField, map: &mut A, blame: &Blame) -> Result<(), A::Error> {
        self.0.read_field(field, map, blame)
    }
}

#[derive(Clone, Copy)]
pub(crate) enum KeyField {
    Key,
    RollingStart,
    RollingPeriod,
    TransmissionRisk,
}

impl<'de> Object<'de> for RequestKey<'de> {
    type Field = KeyField;
    const FIELDS: &'static [(&'static str, KeyField)] = &[
        ("key", KeyField::Key),
        ("rollingStartNumber", KeyField::RollingStart),
        ("rollingPeriod", KeyField::RollingPeriod),
        ("transmissionRisk", KeyField::TransmissionRisk),
    ];
    const UNKNOWN: UnknownFields = UnknownFields::Refuse;

    fn read<A: MapAccess<'de>>(&mut self, field: KeyField, map: &mut A, _blame: &Blame) -> Result<(), A::Error> {
        match field {
            KeyField::Key => map.next_value_seed(Text(&mut self.key)),
            KeyField::RollingStart => map.next_value_seed(Integer(&mut self.rolling_start)),
            KeyField::RollingPeriod => map.next_value_seed(Integer(&mut self.rolling_period)),
            KeyField::TransmissionRisk => map.next_value_seed(Integer(&mut self.transmission_risk)),
        }
    }
}

/// Reads the list of keys.
struct KeysSeed<'o, 'de> {
    into: &'o mut Vec<RequestKey<'de>>,
    blame: &'o Blame,
}

impl<'de> DeserializeSeed<'de> for KeysSeed<'_, 'de> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for KeysSeed<'_, 'de> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array")
    }

    /// `null` is no list, unlike the `null` of a scalar also when the name occurs a second time.
    fn visit_unit<E>(self) -> Result<(), E> {
        self.into.clear();
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        // The usual request holds two weeks.
        *self.into = Vec::with_capacity(14);
        loop {
            let mut key = RequestKey::default();
            if seq.next_element_seed(ObjectSeed { into: &mut key, blame: self.blame })?.is_none() {
                return Ok(());
            }
            self.into.push(key);
        }
    }
}
