//! The use case: a health authority asks for its statistics.

use super::{StatisticsDay, visible_days};
use crate::json::{Blame, Object, UnknownFields, UnusedText};
use crate::ports::statistics::Statistics;
use crate::ports::verifier::{VerificationError, Verifier};
use crate::ports::{Clock, PortError, Random};
use crate::problem::StatisticsCode;
use crate::publish::request::{RequestError, parse_body, read_object};
use crate::publish::response::{Padding, PublishResponse};
use crate::settings::StatisticsSettings;
use serde::Serialize;
use serde::de::MapAccess;
use std::fmt;

/// Answers requests for statistics with the help of the ports.
#[derive(Clone, Copy)]
pub struct StatisticsReporter<'a> {
    /// What the operator configured.
    pub settings: &'a StatisticsSettings,
    /// Knows whose token it is.
    pub verifier: &'a dyn Verifier,
    /// The counts.
    pub statistics: &'a dyn Statistics,
    /// The time.
    pub clock: &'a dyn Clock,
    /// For padding.
    pub random: &'a dyn Random,
}

impl fmt::Debug for StatisticsReporter<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StatisticsReporter").field("settings", self.settings).finish_non_exhaustive()
    }
}

impl StatisticsReporter<'_> {
    /// Answers a `POST /v1/stats`. `content_type` and `authorization` are the headers' values.
    pub fn report(&self, content_type: Option<&str>, authorization: Option<&str>, body: &[u8]) -> PublishResponse {
        let (status, answer) = match self.days(content_type, authorization, body) {
            Ok(days) => (200, Answer { days, ..Answer::default() }),
            Err(error) => error.into_answer(),
        };
        Padding::of_statistics(self.settings).append(status, &answer, 4096, self.random)
    }

    /// The body is looked at before the token, as in the reference.
    fn days(
        &self,
        content_type: Option<&str>,
        authorization: Option<&str>,
        body: &[u8],
    ) -> Result<Vec<StatisticsDay>, StatisticsError> {
        let EmptyRequest = EmptyRequest::parse(content_type, body).map_err(StatisticsError::Request)?;
        let token = authorization.and_then(|value| value.strip_prefix("Bearer ")).ok_or(StatisticsError::NoToken)?;
        let health_authority = self.verifier.authenticate(token)?;
        let hours = self.statistics.hours(health_authority).map_err(StatisticsError::Port)?;
        Ok(visible_days(&hours, self.settings, self.clock.now()))
    }
}

/// The fields of an answer. Those with their zero value are not written.
#[derive(Default, Serialize)]
struct Answer {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    days: Vec<StatisticsDay>,
    #[serde(skip_serializing_if = "String::is_empty")]
    error: String,
    #[serde(skip_serializing_if = "str::is_empty")]
    code: &'static str,
}

/// A body that may hold padding and nothing else.
#[derive(Default)]
struct EmptyRequest;

impl EmptyRequest {
    fn parse(content_type: Option<&str>, body: &[u8]) -> Result<Self, RequestError> {
        let read = |text: &str| read_object(text);
        parse_body(content_type, body, read, read)
    }
}

#[derive(Clone, Copy)]
struct PaddingField;

impl<'de> Object<'de> for EmptyRequest {
    type Field = PaddingField;
    const FIELDS: &'static [(&'static str, PaddingField)] = &[("padding", PaddingField)];
    const UNKNOWN: UnknownFields = UnknownFields::Refuse;

    fn read<A: MapAccess<'de>>(&mut self, _field: PaddingField, map: &mut A, _blame: &Blame) -> Result<(), A::Error> {
        map.next_value_seed(UnusedText)
    }
}

/// Why there are no statistics.
enum StatisticsError {
    Request(RequestError),
    NoToken,
    Rejected(String),
    Port(PortError),
}

impl From<VerificationError> for StatisticsError {
    fn from(error: VerificationError) -> Self {
        match error {
            VerificationError::Rejected(reason) => Self::Rejected(reason),
            VerificationError::Port(error) => Self::Port(error),
        }
    }
}

impl StatisticsError {
    fn into_answer(self) -> (u16, Answer) {
        let (code, error) = match self {
            Self::Request(error) => (StatisticsCode::BadRequest, error.detail()),
            Self::NoToken => {
                (StatisticsCode::Unauthorized, "Authorization header is not in `Bearer <token>` format".to_owned())
            }
            Self::Rejected(reason) => (StatisticsCode::Unauthorized, reason),
            Self::Port(
                PortError::Conflict | PortError::Unavailable | PortError::AlreadyUsed | PortError::Internal(_),
            ) => (StatisticsCode::Internal, "error reading stats".to_owned()),
        };
        let (status, code) = code.row();
        (status, Answer { error, code, ..Answer::default() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::health_authority::HealthAuthorityId;
    use crate::interval::Timestamp;
    use crate::ports::exposures::{Exposures, Submission};
    use crate::statistics::platform::Platform;
    use crate::statistics::{Ages, PublishStatistics};
    use crate::testing::clock::FakeClock;
    use crate::testing::exposures::FakeExposures;
    use crate::testing::random::FakeRandom;
    use crate::testing::verifier::FakeVerifier;
    use serde_json::{Value, json};

    /// 2020-09-14T12:00:00Z.
    const NOW: Timestamp = Timestamp::from_unix(1_600_084_800);
    const JSON: Option<&str> = Some("application/json");

    /// Ten publishes of health authority 1 in the hour before.
    fn store() -> FakeExposures {
        let store = FakeExposures::default();
        let ages = Ages { oldest_key: 13, onset: Some(4) };
        let statistics = PublishStatistics::new(NOW.plus_seconds(-60), Platform::Android, ages, 14, 0);
        for _ in 0..10 {
            store
                .insert_and_revise(&Submission {
                    app: "app".into(),
                    regions: vec![],
                    traveler: false,
                    health_authority: Some(HealthAuthorityId(1)),
                    inserts: vec![],
                    revisions: vec![],
                    statistics: Some(statistics),
                    commits: None,
                })
                .expect("counted");
        }
        store
    }

    /// Status, body without padding, and the padding in bytes.
    fn report(
        store: &FakeExposures,
        content_type: Option<&str>,
        token: Option<&str>,
        body: &str,
    ) -> (u16, Value, usize) {
        let reporter = StatisticsReporter {
            settings: &StatisticsSettings::default(),
            verifier: &FakeVerifier::default(),
            statistics: store,
            clock: &FakeClock::at(NOW),
            random: &FakeRandom::seeded(3),
        };
        let PublishResponse { status, chaff, body } = reporter.report(content_type, token, body.as_bytes());
        assert!(!chaff);
        let mut value: Value = serde_json::from_slice(&body).expect("JSON");
        let padding = value.as_object_mut().and_then(|fields| fields.remove("padding")).expect("always padded");
        (status, value, crate::base64::decode(padding.as_str().expect("text")).expect("base64").len())
    }

    #[test]
    fn authority_sees_its_own_days_and_no_others() {
        let store = store();
        let (status, body, padding) = report(&store, JSON, Some("Bearer 1"), r#"{"padding":"AAAA"}"#);
        let mut ages = vec![0; 16];
        ages[13] = 10;
        let mut onsets = vec![0; 30];
        onsets[4] = 10;
        let day = json!({"day": "2020-09-14T00:00:00Z", "publish_requests": {"unknown": 0, "android": 10, "ios": 0},
            "total_teks_published": 140, "requests_with_revisions": 0, "tek_age_distribution": ages,
            "onset_to_upload_distribution": onsets, "requests_missing_onset_date": 0});
        assert_eq!((status, body), (200, json!({"days": [day]})));
        assert!((2048..3072).contains(&padding));
        let (status, body, _) = report(&store, JSON, Some("Bearer 2"), "{}");
        assert_eq!((status, body), (200, json!({})));
    }

    #[test]
    fn body_is_looked_at_first_and_every_fault_of_it_is_a_400() {
        let store = store();
        for (content_type, body, text) in [
            (Some("text/json"), "{}", "content-type is not application/json"),
            (None, "{}", "content-type is not application/json"),
            (JSON, "", "body must not be empty"),
            (JSON, r#"{"days":1}"#, "unknown field \"days\""),
            (JSON, r#"{"padding":1}"#, "invalid value \"padding\" at position 12"),
            (JSON, &" ".repeat(64_001), "http: request body too large"),
        ] {
            let (status, answer, _) = report(&store, content_type, None, body);
            assert_eq!((status, answer), (400, json!({"error": text, "code": "bad_request"})));
        }
    }

    #[test]
    fn only_a_bearer_token_opens() {
        let store = store();
        let format = "Authorization header is not in `Bearer <token>` format";
        for (token, text) in [
            (None, format),
            (Some("bearer 1"), format),
            (Some("1"), format),
            (Some("Bearer x"), "unauthorized: no number"),
        ] {
            let (status, answer, _) = report(&store, JSON, token, "{}");
            assert_eq!((status, answer), (401, json!({"error": text, "code": "unauthorized"})), "{token:?}");
        }
    }

    #[test]
    fn failing_store_is_our_fault_without_detail() {
        let store = store();
        store.faults.fail_next(PortError::Unavailable);
        let (status, answer, _) = report(&store, JSON, Some("Bearer 1"), "{}");
        assert_eq!((status, answer), (500, json!({"error": "error reading stats", "code": "internal_error"})));
    }
}
