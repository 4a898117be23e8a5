//! The answer to a publish.

use crate::base64;
use crate::ports::Random;
use crate::problem::{Problem, PublishCode};
use crate::publish::request::ApiVersion;
use crate::settings::{PublishSettings, StatisticsSettings};
use serde::Serialize;

/// Header that tells the version of the API. [`api_version`] has its values.
pub const API_VERSION_HEADER: &str = "x-api-version";

/// Value of [`API_VERSION_HEADER`].
pub const fn api_version(api: ApiVersion) -> &'static str {
    match api {
        ApiVersion::V1 => "v1",
        // Not "v1alpha1", in the reference too.
        ApiVersion::V1Alpha1 => "v1alpha",
    }
}

/// Header that tells the type of the body, and its value.
pub const CONTENT_TYPE_HEADER: (&str, &str) = ("Content-Type", "application/json");

/// A complete answer. It goes out with [`API_VERSION_HEADER`] and [`CONTENT_TYPE_HEADER`].
#[derive(Clone, PartialEq, Eq)]
pub struct PublishResponse {
    /// HTTP status.
    pub status: u16,
    /// The request was a chaff request by its body: a host that can makes the answer look like another one.
    pub chaff: bool,
    /// JSON. May hold a revision token: not for logs.
    pub body: Vec<u8>,
}

impl std::fmt::Debug for PublishResponse {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { status, chaff, body } = self;
        let length = body.len();
        f.debug_struct("PublishResponse")
            .field("status", status)
            .field("chaff", chaff)
            .field("body_bytes", &length)
            .finish()
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
    /// What the request said of itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) chaff: Option<bool>,
}

/// serde asks for a reference.
fn is_zero(number: &usize) -> bool {
    *number == 0
}

/// An answer by v1alpha1: all fields are always there but the warnings, and there is no code.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct V1Alpha1Answer<'a> {
    revision_token: &'a str,
    inserted_exposures: usize,
    error: &'a str,
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    warnings: &'a [String],
    #[serde(skip_serializing_if = "Option::is_none")]
    chaff: Option<bool>,
}

impl Answer {
    /// The answer to a request that failed.
    pub(crate) fn failure(code: PublishCode, detail: String, warnings: Vec<String>) -> Self {
        let Problem { status, code, detail } = Problem::publish(code, detail);
        Self { status, code, error: detail, warnings, ..Self::default() }
    }

    /// Writes the answer with padding of random length, so that its size tells nothing about the request.
    pub(crate) fn into_response(
        self,
        api: ApiVersion,
        random: &dyn Random,
        settings: &PublishSettings,
    ) -> PublishResponse {
        let strings =
            self.revision_token.len() + self.error.len() + self.warnings.iter().map(String::len).sum::<usize>();
        let room = strings * 9 / 8 + 256;
        let padding = Padding::of_publish(settings);
        match api {
            ApiVersion::V1 => padding.append(self.status, &self, room, random),
            ApiVersion::V1Alpha1 => {
                let Self { status, revision_token, inserted_exposures, error, code: _, warnings, chaff } = &self;
                let (inserted_exposures, chaff) = (*inserted_exposures, *chaff);
                let answer = V1Alpha1Answer { revision_token, inserted_exposures, error, warnings, chaff };
                padding.append(*status, &answer, room, random)
            }
        }
    }
}

/// How much padding an answer gets: a uniformly distributed number of random bytes, in base64.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Padding {
    min_bytes: u32,
    range: u32,
}

impl Padding {
    /// Of answers to publishes. As in the reference, 0 means 1024.
    pub fn of_publish(settings: &PublishSettings) -> Self {
        Self::new(settings.response_padding_min_bytes, settings.response_padding_range, 1024)
    }

    /// Of answers with statistics. As in the reference, 0 means 2048 at least, and 1024 more at most.
    pub fn of_statistics(settings: &StatisticsSettings) -> Self {
        Self::new(settings.response_padding_min_bytes, settings.response_padding_range, 2048)
    }

    fn new(min_bytes: u32, range: u32, default_min_bytes: u32) -> Self {
        let or = |setting: u32, default: u32| if setting == 0 { default } else { setting };
        Self { min_bytes: or(min_bytes, default_min_bytes), range: or(range, 1024) }
    }

    /// Writes `answer`, a struct, with a field `padding` behind the others. `room`: how long it may get without, about.
    pub(crate) fn append(
        &self,
        status: u16,
        answer: &impl Serialize,
        room: usize,
        random: &dyn Random,
    ) -> PublishResponse {
        let mut padding = vec![0; self.length(random)];
        random.fill(&mut padding);
        let mut body = Vec::with_capacity(room + padding.len().div_ceil(3) * 4);
        match serde_json::to_writer(&mut body, answer) {
            Ok(()) if body.last() == Some(&b'}') => {
                // The padding is by far the longest field, so it is encoded in place.
                body.pop();
                body.extend_from_slice(if body.len() > 1 { b",\"padding\":\"" } else { b"\"padding\":\"" });
                base64::encode_to_bytes(&padding, &mut body);
                body.extend_from_slice(b"\"}");
                PublishResponse { status, chaff: false, body }
            }
            // Writing strings and numbers to memory cannot fail.
            _ => PublishResponse { status: 500, chaff: false, body: b"{\"error\":\"Internal Server Error\"}".to_vec() },
        }
    }

    /// A number of bytes; those of [`Self::append`] are drawn from the same distribution.
    pub fn length(&self, random: &dyn Random) -> usize {
        usize::try_from(self.min_bytes.saturating_add(random.below(self.range))).unwrap_or(usize::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::random::FakeRandom;
    use serde_json::{Value, json};

    /// The response as JSON, and its padding in bytes.
    fn written(answer: Answer, settings: &PublishSettings) -> (Value, usize) {
        let response = answer.into_response(ApiVersion::V1, &FakeRandom::seeded(1), settings);
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
            chaff: Some(false),
        };
        let (value, _) = written(full, &PublishSettings::default());
        let expect = json!({"revisionToken": "dG9r", "insertedExposures": 3, "code": "partial_failure",
            "error": "1 error occurred:\n\t* \"x\" <&>\n\n", "warnings": ["w"], "chaff": false});
        assert_eq!(value, expect);
    }

    #[test]
    fn v1alpha1_always_has_its_fields_and_never_a_code() {
        let answer = Answer { status: 400, code: "bad_request", error: "e".into(), ..Answer::default() };
        let response = answer.into_response(ApiVersion::V1Alpha1, &FakeRandom::seeded(1), &PublishSettings::default());
        let mut value: Value = serde_json::from_slice(&response.body).expect("JSON");
        assert!(value.as_object_mut().and_then(|object| object.remove("padding")).is_some());
        assert_eq!(value, json!({"revisionToken": "", "insertedExposures": 0, "error": "e"}));
    }

    #[test]
    fn padding_stays_within_its_settings() {
        let random = FakeRandom::seeded(7);
        for (min, range, shortest, longest) in [(5, 3, 5, 7), (9, 1, 9, 9), (0, 0, 1024, 2047), (0, 1, 1024, 1024)] {
            let lengths: Vec<_> = (0..4000).map(|_| Padding::new(min, range, 1024).length(&random)).collect();
            assert!(lengths.iter().all(|length| (shortest..=longest).contains(length)), "{min} {range}");
            assert_eq!(lengths.iter().min(), Some(&shortest));
            assert!(lengths.iter().max() >= Some(&(longest - longest / 100)));
        }
        let settings =
            PublishSettings { response_padding_min_bytes: 10, response_padding_range: 1, ..PublishSettings::default() };
        assert_eq!(written(Answer::default(), &settings).1, 10);
    }
}
