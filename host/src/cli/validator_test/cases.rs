//! The format of case files: what a validator is shown, and what it must say to it. A list in JSON; a field that is not
//! known is an error, and whatever is left out has a value that is good for most validators.

use super::super::arguments;
use super::expectation::Expectation;
use crate::bindings::capabilities::tocsin::validator::types::{
    AttestedKey, Evidence, HttpResponse, KeyMetadata, Submission, Transcript,
};
use crate::bindings::validator::tocsin::types::types::ReportType;
use crate::validators::trial::Trial;
use serde::Deserialize;
use serde::de::Deserializer;
use serde_json::Value;
use sha2::{Digest, Sha256};
use std::collections::{BTreeMap, BTreeSet};
use tocsin_domain::interval::{DAY_SECONDS, INTERVAL_SECONDS};

/// The time of cases that name none: a Thursday.
const DEFAULT_NOW: &str = "2026-01-01T12:00:00Z";
/// Intervals of a whole day.
const DAY_INTERVALS: i64 = DAY_SECONDS / INTERVAL_SECONDS;
/// Formats of transcripts that a server gives.
const TRANSCRIPT_FORMATS: [&str; 3] = ["ens-v1", "ens-v3", "ens-v4"];

/// One case.
#[derive(Debug)]
pub(super) struct Case {
    /// A claim: what the case shows.
    pub(super) name: String,
    /// What the validator is shown.
    pub(super) trial: Trial,
    /// What the host answers to its questions, in order.
    pub(super) answers: Vec<CannedAnswer>,
    /// What it must say.
    pub(super) expect: Expectation,
}

/// What a fake server answers.
#[derive(Debug)]
pub(super) struct CannedAnswer {
    /// The URL that must be asked.
    pub(super) url: String,
    /// The method that must be used, if the case says so.
    pub(super) method: Option<String>,
    /// The credential that must be named, if the case says so.
    pub(super) credential: Option<String>,
    /// The answer; none stands for no connection.
    pub(super) response: Option<HttpResponse>,
}

/// Reads a file of cases. The error says where it is wrong.
pub(super) fn read_cases(text: &str) -> Result<Vec<Case>, String> {
    let raw: Vec<RawCase> = serde_json::from_str(text).map_err(|error| error.to_string())?;
    if raw.is_empty() {
        return Err("there is no case in it".to_owned());
    }
    let mut names = BTreeSet::new();
    raw.into_iter()
        .map(|case| {
            let name = case.name.clone();
            if !names.insert(name.clone()) {
                return Err(format!("two cases have the name {name:?}"));
            }
            case.convert().map_err(|problem| format!("case {name:?}: {problem}"))
        })
        .collect()
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawCase {
    name: String,
    #[serde(default = "default_now")]
    now: String,
    configuration: Option<Value>,
    #[serde(default)]
    submission: RawSubmission,
    evidence: Option<RawEvidence>,
    #[serde(default)]
    anchors: BTreeMap<String, Vec<String>>,
    #[serde(default)]
    keys: BTreeMap<String, String>,
    revoked: Option<BTreeSet<String>>,
    #[serde(default)]
    device_keys: Vec<RawAttestedKey>,
    #[serde(default)]
    exchange: Vec<RawAnswer>,
    expect: Expectation,
}

fn default_now() -> String {
    DEFAULT_NOW.to_owned()
}

impl RawCase {
    fn convert(self) -> Result<Case, String> {
        let Self {
            name,
            now,
            configuration,
            submission,
            evidence,
            anchors,
            keys,
            revoked,
            device_keys,
            exchange,
            expect,
        } = self;
        let now = time("now", &now)?;
        let submission = submission.convert(&name, now)?;
        let certificates = |(set, list): (String, Vec<String>)| {
            let list: Result<_, String> = list.iter().map(|text| base64(&format!("anchors.{set}"), text)).collect();
            Ok((set, list?))
        };
        let trial = Trial {
            now,
            configuration: configuration.unwrap_or_else(|| Value::Object(serde_json::Map::new())).to_string(),
            anchors: anchors.into_iter().map(certificates).collect::<Result<_, String>>()?,
            keys,
            revoked,
            device_keys: device_keys
                .into_iter()
                .map(|key| key.convert(&submission.app, now))
                .collect::<Result<_, String>>()?,
            submission,
            evidence: evidence.map(RawEvidence::convert).transpose()?,
        };
        let answers = exchange.into_iter().map(RawAnswer::convert).collect::<Result<_, String>>()?;
        expect.check()?;
        Ok(Case { name, trial, answers, expect })
    }
}

/// Where null means none, and a field that is left out has a value.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, default)]
struct RawSubmission {
    app: String,
    issuer: Option<String>,
    report_type: Option<String>,
    symptom_onset: Option<RawInterval>,
    keys: Vec<RawKey>,
    regions: Vec<String>,
    traveler: bool,
    transcripts: Option<Vec<RawTranscript>>,
    challenge: Option<String>,
}

impl Default for RawSubmission {
    fn default() -> Self {
        Self {
            app: "org.example.app".to_owned(),
            issuer: Some("health.example".to_owned()),
            report_type: Some("confirmed-test".to_owned()),
            symptom_onset: None,
            keys: vec![RawKey { days_ago: Some(1), rolling_start: None, rolling_period: 144, transmission_risk: 0 }],
            regions: vec!["US".to_owned()],
            traveler: false,
            transcripts: None,
            challenge: None,
        }
    }
}

impl RawSubmission {
    fn convert(self, case: &str, now: i64) -> Result<Submission, String> {
        let Self { app, issuer, report_type, symptom_onset, keys, regions, traveler, transcripts, challenge } = self;
        let transcripts = match transcripts {
            Some(transcripts) => transcripts.into_iter().map(RawTranscript::convert).collect::<Result<_, String>>()?,
            None => TRANSCRIPT_FORMATS.map(|format| transcript_of(case, format)).to_vec(),
        };
        Ok(Submission {
            app,
            issuer,
            report_type: report_type.as_deref().map(report_type_named).transpose()?,
            symptom_onset: symptom_onset.map(|onset| onset.convert(now)).transpose()?,
            keys: keys.into_iter().map(|key| key.convert(now)).collect::<Result<_, String>>()?,
            regions,
            traveler,
            transcripts,
            challenge: challenge.map(|challenge| base64("submission.challenge", &challenge)).transpose()?,
        })
    }
}

/// Differs from case to case, and is the same each time.
fn transcript_of(case: &str, format: &str) -> Transcript {
    Transcript { format: format.to_owned(), sha256: Sha256::digest(format!("{format} of {case}")).to_vec() }
}

fn report_type_named(name: &str) -> Result<ReportType, String> {
    Ok(match name {
        "confirmed-test" => ReportType::ConfirmedTest,
        "confirmed-clinical-diagnosis" => ReportType::ConfirmedClinicalDiagnosis,
        "self-report" => ReportType::SelfReport,
        "recursive" => ReportType::Recursive,
        "revoked" => ReportType::Revoked,
        _ => {
            return Err(format!(
                "submission.report_type: {name:?} is none of confirmed-test, confirmed-clinical-diagnosis, \
                 self-report, recursive, revoked"
            ));
        }
    })
}

/// An interval number, or the first one of a day (UTC).
#[derive(Deserialize)]
#[serde(untagged, expecting = "an interval number, or {\"days_ago\": N}")]
enum RawInterval {
    Number(u32),
    Day(DaysAgo),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct DaysAgo {
    days_ago: i32,
}

impl RawInterval {
    fn convert(self, now: i64) -> Result<u32, String> {
        match self {
            Self::Number(number) => Ok(number),
            Self::Day(DaysAgo { days_ago }) => u32::try_from(first_interval(now, days_ago))
                .map_err(|_| "submission.symptom_onset: that is before 1970".to_owned()),
        }
    }
}

/// The first interval of the day that many days before `now` (UTC).
fn first_interval(now: i64, days_ago: i32) -> i64 {
    (now.div_euclid(DAY_SECONDS) - i64::from(days_ago)) * DAY_INTERVALS
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawKey {
    days_ago: Option<i32>,
    rolling_start: Option<i32>,
    #[serde(default = "whole_day")]
    rolling_period: u8,
    #[serde(default)]
    transmission_risk: u8,
}

fn whole_day() -> u8 {
    144
}

impl RawKey {
    fn convert(self, now: i64) -> Result<KeyMetadata, String> {
        let Self { days_ago, rolling_start, rolling_period, transmission_risk } = self;
        let rolling_start = match (rolling_start, days_ago) {
            (Some(start), None) => start,
            (None, Some(days_ago)) => i32::try_from(first_interval(now, days_ago))
                .map_err(|_| "submission.keys: that many days ago is no interval number".to_owned())?,
            (Some(_), Some(_)) | (None, None) => {
                return Err("submission.keys: a key has either rolling_start or days_ago".to_owned());
            }
        };
        Ok(KeyMetadata { rolling_start, rolling_period, transmission_risk })
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawTranscript {
    format: String,
    sha256: String,
}

impl RawTranscript {
    fn convert(self) -> Result<Transcript, String> {
        let Self { format, sha256 } = self;
        let sha256 = base64("submission.transcripts", &sha256)?;
        if sha256.len() != 32 {
            return Err("submission.transcripts: sha256 is not 32 bytes".to_owned());
        }
        Ok(Transcript { format, sha256 })
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawEvidence {
    method: String,
    token: Option<String>,
    token_text: Option<String>,
    #[serde(default)]
    chain: Vec<String>,
    key_id: Option<String>,
}

impl RawEvidence {
    fn convert(self) -> Result<Evidence, String> {
        let Self { method, token, token_text, chain, key_id } = self;
        let token = match (token, token_text) {
            (Some(token), None) => base64("evidence.token", &token)?,
            (None, text) => text.unwrap_or_default().into_bytes(),
            (Some(_), Some(_)) => return Err("evidence: either token (base64) or token_text".to_owned()),
        };
        Ok(Evidence {
            method,
            token,
            chain: chain.iter().map(|text| base64("evidence.chain", text)).collect::<Result<_, String>>()?,
            key_id: key_id.map(|text| base64("evidence.key_id", &text)).transpose()?,
        })
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawAttestedKey {
    key_id: String,
    app: Option<String>,
    public_key: String,
    #[serde(default)]
    development: bool,
    #[serde(default)]
    counter: u32,
    attested_at: Option<String>,
}

impl RawAttestedKey {
    fn convert(self, app_of_submission: &str, now: i64) -> Result<AttestedKey, String> {
        let Self { key_id, app, public_key, development, counter, attested_at } = self;
        Ok(AttestedKey {
            key_id: base64("device_keys.key_id", &key_id)?,
            app: app.unwrap_or_else(|| app_of_submission.to_owned()),
            public_key: base64("device_keys.public_key", &public_key)?,
            development,
            counter,
            attested_at: attested_at.map_or(Ok(now), |text| time("device_keys.attested_at", &text))?,
        })
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawAnswer {
    url: String,
    method: Option<String>,
    credential: Option<String>,
    #[serde(default)]
    no_answer: bool,
    #[serde(default, deserialize_with = "present")]
    status: Option<u16>,
    body: Option<String>,
    body_base64: Option<String>,
}

/// So that `"status": null` is an error rather than a status that was left out.
fn present<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u16>, D::Error> {
    u16::deserialize(deserializer).map(Some)
}

impl RawAnswer {
    fn convert(self) -> Result<CannedAnswer, String> {
        let Self { url, method, credential, no_answer, status, body, body_base64 } = self;
        let response = match (no_answer, status, body, body_base64) {
            (true, None, None, None) => None,
            (true, _, _, _) => {
                return Err("exchange: an answer that does not come has no status and no body".to_owned());
            }
            (false, _, Some(_), Some(_)) => return Err("exchange: either body or body_base64".to_owned()),
            (false, status, text, None) => {
                Some(HttpResponse { status: status.unwrap_or(200), body: text.unwrap_or_default().into_bytes() })
            }
            (false, status, None, Some(bytes)) => {
                Some(HttpResponse { status: status.unwrap_or(200), body: base64("exchange.body_base64", &bytes)? })
            }
        };
        Ok(CannedAnswer { url, method, credential, response })
    }
}

/// Bytes of a field.
pub(super) fn base64(field: &str, text: &str) -> Result<Vec<u8>, String> {
    tocsin_domain::base64::decode(text).map_err(|error| format!("{field}: {error}"))
}

/// Unix seconds of a field.
pub(super) fn time(field: &str, text: &str) -> Result<i64, String> {
    arguments::time(text).map_err(|problem| format!("{field}: {problem}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOON: i64 = 1_767_268_800;

    fn one(fields: &str) -> Result<Case, String> {
        let text = format!(r#"[{{"name": "a", "expect": {{"accept": {{}}}}{fields}}}]"#);
        read_cases(&text).map(|mut cases| cases.remove(0))
    }

    #[test]
    fn shortest_case_is_a_submission_of_yesterdays_key() {
        let Case { name, trial, answers, .. } = one("").expect("good");
        assert_eq!((name.as_str(), trial.now, trial.configuration.as_str()), ("a", NOON, "{}"));
        assert!(
            answers.is_empty() && trial.evidence.is_none() && trial.revoked.is_none() && trial.device_keys.is_empty()
        );
        let submission = &trial.submission;
        assert_eq!(
            (submission.app.as_str(), submission.regions.as_slice()),
            ("org.example.app", &["US".to_owned()][..])
        );
        assert_eq!(submission.issuer.as_deref(), Some("health.example"));
        assert_eq!(submission.report_type, Some(ReportType::ConfirmedTest));
        let [key] = submission.keys.as_slice() else { panic!("{:?}", submission.keys) };
        assert_eq!(i64::from(key.rolling_start) * INTERVAL_SECONDS, NOON - DAY_SECONDS / 2 - DAY_SECONDS);
        assert_eq!((key.rolling_period, key.transmission_risk), (144, 0));
        let formats: Vec<&str> = submission.transcripts.iter().map(|it| it.format.as_str()).collect();
        assert_eq!(formats, TRANSCRIPT_FORMATS);
    }

    #[test]
    fn null_means_none() {
        let submission =
            one(r#", "submission": {"issuer": null, "report_type": null}"#).expect("good").trial.submission;
        assert_eq!((submission.issuer, submission.report_type), (None, None));
    }

    #[test]
    fn everything_can_be_said() {
        let case = one(
            r#", "now": "2026-11-26T00:00:00Z", "configuration": {"a": [1]},
            "submission": {"app": "b", "symptom_onset": {"days_ago": 1}, "keys": [{"rolling_start": 144, "rolling_period": 1,
                "transmission_risk": 8}], "regions": ["CA", "MX"], "traveler": true, "challenge": "AQID",
                "transcripts": [{"format": "x", "sha256": "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="}]},
            "evidence": {"method": "m", "token_text": "t", "chain": ["AQ=="], "key_id": "Ag=="},
            "anchors": {"roots": ["Aw=="]}, "keys": {"k": "text"}, "revoked": ["ab"],
            "device_keys": [{"key_id": "BA==", "public_key": "BQ==", "counter": 7}],
            "exchange": [{"url": "https://a.example/", "status": 201, "body": "x"},
                         {"url": "https://b.example/", "method": "POST", "credential": "c", "no_answer": true}]"#,
        )
        .expect("good");
        let Trial { now, configuration, submission, evidence, anchors, keys, revoked, device_keys } = case.trial;
        assert_eq!((now, configuration.as_str()), (1_795_651_200, r#"{"a":[1]}"#));
        assert_eq!(submission.symptom_onset, Some(2_992_608));
        assert_eq!((submission.keys[0].rolling_start, submission.keys[0].transmission_risk), (144, 8));
        assert_eq!((submission.traveler, submission.challenge), (true, Some(vec![1, 2, 3])));
        assert_eq!(submission.transcripts[0].sha256, [0; 32]);
        let Evidence { method, token, chain, key_id } = evidence.expect("evidence");
        assert_eq!((method.as_str(), token.as_slice(), chain, key_id), ("m", &b"t"[..], vec![vec![1]], Some(vec![2])));
        assert_eq!((anchors["roots"].clone(), keys["k"].as_str()), (vec![vec![3]], "text"));
        assert!(revoked.is_some_and(|revoked| revoked.contains("ab")));
        let [key] = device_keys.as_slice() else { panic!("{device_keys:?}") };
        assert_eq!((key.app.as_str(), key.counter, key.attested_at), ("b", 7, now));
        let [first, second] = case.answers.as_slice() else { panic!("{:?}", case.answers) };
        assert_eq!(first.response.as_ref().map(|it| (it.status, it.body.as_slice())), Some((201, &b"x"[..])));
        assert!(second.response.is_none() && second.credential.as_deref() == Some("c"));
    }

    #[test]
    fn mistakes_are_named() {
        let check = |fields: &str, parts: &[&str]| {
            let error = one(fields).expect_err(fields);
            parts.iter().for_each(|part| assert!(error.contains(part), "{part:?} is not in {error}"));
        };
        check(r#", "evidense": {}"#, &["evidense", "line 1"]);
        check(r#", "submission": {"region": []}"#, &["region"]);
        check(r#", "now": "yesterday""#, &["case \"a\"", "now", "yesterday"]);
        check(r#", "submission": {"report_type": "likely"}"#, &["likely", "confirmed-test"]);
        check(r#", "submission": {"keys": [{}]}"#, &["rolling_start or days_ago"]);
        check(r#", "submission": {"symptom_onset": "x"}"#, &["interval number"]);
        check(r#", "submission": {"transcripts": [{"format": "x", "sha256": "AQ=="}]}"#, &["32 bytes"]);
        check(r#", "evidence": {"method": "m", "token": "*"}"#, &["evidence.token"]);
        check(r#", "evidence": {"method": "m", "token": "", "token_text": ""}"#, &["token_text"]);
        check(r#", "exchange": [{"url": "u", "no_answer": true, "status": 200}]"#, &["no status"]);
        check(r#", "exchange": [{"url": "u", "status": null}]"#, &["null"]);
        assert!(read_cases("[]").is_err_and(|error| error.contains("no case")));
        let twice = r#"{"name": "a", "expect": {"accept": {}}}"#;
        assert!(read_cases(&format!("[{twice}, {twice}]")).is_err_and(|error| error.contains("two cases")));
    }
}
