//! The answer to a publish.

use crate::base64;
use crate::ports::Random;
use crate::problem::{Problem, PublishCode};
use crate::settings::PublishSettings;
use serde::Serialize;

/// Header that tells the version of the API, and its value.
pub const API_VERSION_HEADER: (&str, &str) = ("x-api-version", "v1");

/// Header that tells the type of the body, and its value.
pub const CONTENT_TYPE_HEADER: (&str, &str) = ("Content-Type", "application/json");

/// A complete answer. It goes out with [`API_VERSION_HEADER`] and [`CONTENT_TYPE_HEADER`].
#[derive(Clone, PartialEq, Eq)]
pub struct PublishResponse {
    /// HTTP status.
    pub status: u16,
    /// JSON. May hold a revision token: not for logs.
    pub body: Vec<u8>,
}

impl std::fmt::Debug for PublishResponse {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (status, length) = (self.status, self.body.len());
        f.debug_struct("PublishResponse").field("status", &status).field("body_bytes", &length).finish()
    }
}

/// The fields of an answer. Those with their zero value are not written.
#[derive(Clone, PartialEq, Eq, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Answer {
    #[serde(skip)]
    pub(crate) status: u16,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(crate) revision_token: String,
    /// Keys stored for the first time.
    #[serde(skip_serializing_if = "is_zero")]
    pub(crate) inserted_exposures: usize,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(crate) error: String,
    #[serde(skip_serializing_if = "str::is_empty")]
    pub(crate) code: &'static str,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) warnings: Vec<String>,
}

/// serde asks for a reference.
fn is_zero(number: &usize) -> bool {
    *number == 0
}

impl Answer {
    /// The answer to a request that failed.
    pub(crate) fn failure(code: PublishCode, detail: String, warnings: Vec<String>) -> Self {
        let Problem { status, code, detail } = Problem::publish(code, detail);
        Self { status, code, error: detail, warnings, ..Self::default() }
    }

    /// Writes the answer with padding of random length, so that its size tells nothing about the request.
    pub(crate) fn into_response(self, random: &dyn Random, settings: &PublishSettings) -> PublishResponse {
        let mut padding = vec![0; padding_length(random, settings)];
        random.fill(&mut padding);
        let strings =
            self.revision_token.len() + self.error.len() + self.warnings.iter().map(String::len).sum::<usize>();
        let mut body = Vec::with_capacity(strings * 9 / 8 + padding.len().div_ceil(3) * 4 + 256);
        match serde_json::to_writer(&mut body, &self) {
            Ok(()) if body.last() == Some(&b'}') => {
                // The padding is by far the longest field, so it is encoded in place.
                body.pop();
                body.extend_from_slice(if body.len() > 1 { b",\"padding\":\"" } else { b"\"padding\":\"" });
                base64::encode_to_bytes(&padding, &mut body);
                body.extend_from_slice(b"\"}");
                PublishResponse { status: self.status, body }
            }
            // Writing strings and a number to memory cannot fail.
            _ => PublishResponse { status: 500, body: b"{\"error\":\"Internal Server Error\"}".to_vec() },
        }
    }
}

/// A uniformly distributed number of bytes. As in the reference, 0 in a setting means 1024.
pub fn padding_length(random: &dyn Random, settings: &PublishSettings) -> usize {
    let or_default = |setting: u32| if setting == 0 { 1024 } else { setting };
    let shortest = or_default(settings.response_padding_min_bytes);
    let longer = random.below(or_default(settings.response_padding_range));
    usize::try_from(shortest.saturating_add(longer)).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::random::FakeRandom;
    use serde_json::{Value, json};

    /// The response as JSON, and its padding in bytes.
    fn written(answer: Answer, settings: &PublishSettings) -> (Value, usize) {
        let response = answer.into_response(&FakeRandom::seeded(1), settings);
        let mut value: Value = serde_json::from_slice(&response.body).expect("JSON");
        let padding = value.as_object_mut().and_then(|object| object.remove("padding")).expect("padding");
        let text = padding.as_str().expect("string");
        assert_eq!(text.len() % 4, 0, "standard base64 is padded");
        (value, base64::decode(text).expect("base64").len())
    }

    #[test]
    fn fields_with_their_zero_value_are_left_out() {
        let (value, _) = written(Answer { status: 200, ..Answer::default() }, &PublishSettings::default());
        assert_eq!(value, json!({}));
        let full = Answer {
            status: 200,
            revision_token: "dG9r".into(),
            inserted_exposures: 3,
            error: "1 error occurred:\n\t* \"x\" <&>\n\n".into(),
            code: "partial_failure",
            warnings: vec!["w".into()],
        };
        let (value, _) = written(full, &PublishSettings::default());
        let expect = json!({"revisionToken": "dG9r", "insertedExposures": 3, "code": "partial_failure",
            "error": "1 error occurred:\n\t* \"x\" <&>\n\n", "warnings": ["w"]});
        assert_eq!(value, expect);
    }

    #[test]
    fn padding_stays_within_its_settings() {
        let settings = |min, range| PublishSettings {
            response_padding_min_bytes: min,
            response_padding_range: range,
            ..PublishSettings::default()
        };
        let random = FakeRandom::seeded(7);
        for (min, range, shortest, longest) in [(5, 3, 5, 7), (9, 1, 9, 9), (0, 0, 1024, 2047), (0, 1, 1024, 1024)] {
            let lengths: Vec<_> = (0..4000).map(|_| padding_length(&random, &settings(min, range))).collect();
            assert!(lengths.iter().all(|length| (shortest..=longest).contains(length)), "{min} {range}");
            assert_eq!(lengths.iter().min(), Some(&shortest));
            assert!(lengths.iter().max() >= Some(&(longest - longest / 100)));
        }
        assert_eq!(written(Answer::default(), &settings(10, 1)).1, 10);
    }
}
