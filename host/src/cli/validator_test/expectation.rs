//! What a case expects, and how it is compared with what the validator said.

use super::super::arguments::show_time;
use super::super::output::counted;
use super::cases::{base64, time};
use crate::bindings::capabilities::tocsin::validator::types::{
    Acceptance, AttestedKey, Claim, Commit, CounterStep, HttpRequest, Rejection, Stage,
};
use crate::validators::trial::LastWord;
use serde::Deserialize;
use std::collections::BTreeMap;

/// What the validator must say. Fields that are left out may be anything.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "snake_case")]
pub(super) enum Expectation {
    /// The submission may be stored.
    Accept(ExpectedAcceptance),
    /// It may not.
    Reject(ExpectedRejection),
    /// A question, for which the case has no answer.
    Ask(ExpectedQuestion),
}

/// An acceptance.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ExpectedAcceptance {
    score: Option<u8>,
    /// All of them.
    signals: Option<BTreeMap<String, String>>,
    /// All of them, in order.
    commits: Option<Vec<ExpectedCommit>>,
}

/// Something to note.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "snake_case")]
enum ExpectedCommit {
    ClaimOnce(ExpectedClaim),
    AdvanceCounter(ExpectedStep),
    StoreKey(ExpectedKey),
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct ExpectedClaim {
    space: Option<String>,
    digest: Option<String>,
    expires_at: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct ExpectedStep {
    key_id: Option<String>,
    expected: Option<u32>,
    next: Option<u32>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct ExpectedKey {
    key_id: Option<String>,
    app: Option<String>,
    public_key: Option<String>,
    development: Option<bool>,
    counter: Option<u32>,
    attested_at: Option<String>,
}

/// A rejection.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ExpectedRejection {
    code: String,
    stage: Option<String>,
    retryable: Option<bool>,
    detail: Option<String>,
}

/// A question.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ExpectedQuestion {
    url: String,
    method: Option<String>,
    credential: Option<String>,
    body: Option<String>,
}

/// A last word in a few words.
pub(super) fn summary(word: &LastWord) -> String {
    match word {
        LastWord::Accept(Acceptance { score, signals: _, commits }) => match commits.len() {
            0 => format!("accept {score}"),
            number => format!("accept {score}, {}", counted(number as u64, "commit", "commits")),
        },
        LastWord::Reject(Rejection { code, retryable, .. }) => {
            format!("reject {code}{}", if *retryable { ", retryable" } else { "" })
        }
        LastWord::Ask(request) => format!("ask {}", request.url),
    }
}

impl Expectation {
    /// Whether the texts in it can be read at all.
    pub(super) fn check(&self) -> Result<(), String> {
        match self {
            Self::Accept(ExpectedAcceptance { commits: Some(commits), .. }) => {
                commits.iter().try_for_each(|commit| match commit {
                    ExpectedCommit::ClaimOnce(ExpectedClaim { space: _, digest, expires_at }) => {
                        optional(digest, |text| base64("expect.claim_once.digest", text))?;
                        optional(expires_at, |text| time("expect.claim_once.expires_at", text))
                    }
                    ExpectedCommit::AdvanceCounter(ExpectedStep { key_id, .. }) => {
                        optional(key_id, |text| base64("expect.advance_counter.key_id", text))
                    }
                    ExpectedCommit::StoreKey(ExpectedKey { key_id, public_key, attested_at, .. }) => {
                        optional(key_id, |text| base64("expect.store_key.key_id", text))?;
                        optional(public_key, |text| base64("expect.store_key.public_key", text))?;
                        optional(attested_at, |text| time("expect.store_key.attested_at", text))
                    }
                })
            }
            Self::Reject(ExpectedRejection { stage: Some(stage), .. }) if !STAGES.iter().any(|(_, it)| it == stage) => {
                let stages: Vec<&str> = STAGES.iter().map(|(_, name)| *name).collect();
                Err(format!("expect.reject.stage: {stage:?} is none of {}", stages.join(", ")))
            }
            Self::Accept(_) | Self::Reject(_) | Self::Ask(_) => Ok(()),
        }
    }

    /// In what the validator differs from it; empty when it does not.
    pub(super) fn differences(&self, word: &LastWord) -> Vec<String> {
        let mut differences = Differences::default();
        match (self, word) {
            (Self::Accept(expect), LastWord::Accept(acceptance)) => differences.of_acceptance(expect, acceptance),
            (Self::Reject(expect), LastWord::Reject(rejection)) => differences.of_rejection(expect, rejection),
            (Self::Ask(expect), LastWord::Ask(request)) => differences.of_question(expect, request),
            (expect, LastWord::Reject(rejection)) => {
                let detail = &rejection.detail;
                differences.add(format!("expected {}, not {} ({detail})", expect.word(), summary(word)));
            }
            (expect, LastWord::Accept(_) | LastWord::Ask(_)) => {
                differences.add(format!("expected {}, not {}", expect.word(), summary(word)));
            }
        }
        differences.0
    }

    fn word(&self) -> String {
        match self {
            Self::Accept(_) => "accept".to_owned(),
            Self::Reject(ExpectedRejection { code, .. }) => format!("reject {code}"),
            Self::Ask(ExpectedQuestion { url, .. }) => format!("ask {url}"),
        }
    }
}

fn optional<T>(text: &Option<String>, read: impl FnOnce(&str) -> Result<T, String>) -> Result<(), String> {
    text.as_deref().map(read).transpose().map(|_| ())
}

#[derive(Default)]
struct Differences(Vec<String>);

impl Differences {
    fn add(&mut self, difference: String) {
        self.0.push(difference);
    }

    /// Compares a field if the case says what it must be.
    fn field<T: PartialEq + std::fmt::Debug>(&mut self, name: &str, expect: Option<&T>, is: &T) {
        if let Some(expect) = expect.filter(|expect| *expect != is) {
            self.add(format!("{name} is {is:?}, not {expect:?}"));
        }
    }

    /// As [`Self::field`], for bytes that the case has as base64. Different spellings of the same bytes are the same.
    fn bytes(&mut self, name: &str, expect: Option<&String>, is: &[u8]) {
        let expect = expect.map(|text| tocsin_domain::base64::decode(text).unwrap_or_default());
        if let Some(expect) = expect.filter(|expect| expect != is) {
            let encode = tocsin_domain::base64::encode;
            self.add(format!("{name} is {}, not {}", encode(is), encode(&expect)));
        }
    }

    /// As [`Self::field`], for times.
    fn time(&mut self, name: &str, expect: Option<&String>, is: i64) {
        let expect = expect.and_then(|text| time(name, text).ok());
        if let Some(expect) = expect.filter(|expect| *expect != is) {
            self.add(format!("{name} is {}, not {}", show_time(is), show_time(expect)));
        }
    }

    fn of_acceptance(&mut self, expect: &ExpectedAcceptance, is: &Acceptance) {
        let ExpectedAcceptance { score, signals, commits } = expect;
        self.field("score", score.as_ref(), &is.score);
        self.field("signals", signals.as_ref(), &is.signals.iter().cloned().collect());
        let Some(commits) = commits else { return };
        if commits.len() != is.commits.len() {
            self.add(format!("there are {} commits, not {}", is.commits.len(), commits.len()));
        }
        for (number, (expect, is)) in commits.iter().zip(&is.commits).enumerate() {
            self.of_commit(&format!("commits[{number}]"), expect, is);
        }
    }

    fn of_commit(&mut self, at: &str, expect: &ExpectedCommit, is: &Commit) {
        match (expect, is) {
            (ExpectedCommit::ClaimOnce(expect), Commit::ClaimOnce(is)) => {
                let ExpectedClaim { space, digest, expires_at } = expect;
                let Claim { space: is_space, digest: is_digest, expires_at: is_expires_at } = is;
                self.field(&format!("{at}.space"), space.as_ref(), is_space);
                self.bytes(&format!("{at}.digest"), digest.as_ref(), is_digest);
                self.time(&format!("{at}.expires_at"), expires_at.as_ref(), *is_expires_at);
            }
            (ExpectedCommit::AdvanceCounter(expect), Commit::AdvanceCounter(is)) => {
                let ExpectedStep { key_id, expected, next } = expect;
                let CounterStep { key_id: is_key_id, expected: is_expected, next: is_next } = is;
                self.bytes(&format!("{at}.key_id"), key_id.as_ref(), is_key_id);
                self.field(&format!("{at}.expected"), expected.as_ref(), is_expected);
                self.field(&format!("{at}.next"), next.as_ref(), is_next);
            }
            (ExpectedCommit::StoreKey(expect), Commit::StoreKey(is)) => {
                let ExpectedKey { key_id, app, public_key, development, counter, attested_at } = expect;
                self.bytes(&format!("{at}.key_id"), key_id.as_ref(), &is.key_id);
                self.field(&format!("{at}.app"), app.as_ref(), &is.app);
                self.bytes(&format!("{at}.public_key"), public_key.as_ref(), &is.public_key);
                self.field(&format!("{at}.development"), development.as_ref(), &is.development);
                self.field(&format!("{at}.counter"), counter.as_ref(), &is.counter);
                self.time(&format!("{at}.attested_at"), attested_at.as_ref(), is.attested_at);
            }
            (_, is) => self.add(format!("{at} is {}, which was not expected there", commit_name(is))),
        }
    }

    fn of_rejection(&mut self, expect: &ExpectedRejection, is: &Rejection) {
        let ExpectedRejection { code, stage, retryable, detail } = expect;
        if *code != is.code {
            self.add(format!("code is {:?}, not {code:?} ({})", is.code, is.detail));
        }
        self.field("stage", stage.as_ref(), &stage_name(is.stage).to_owned());
        self.field("retryable", retryable.as_ref(), &is.retryable);
        self.field("detail", detail.as_ref(), &is.detail);
    }

    fn of_question(&mut self, expect: &ExpectedQuestion, is: &HttpRequest) {
        let ExpectedQuestion { url, method, credential, body } = expect;
        self.field("url", Some(url), &is.url);
        self.field("method", method.as_ref(), &is.method);
        if credential.is_some() {
            self.field("credential", Some(credential), &is.credential);
        }
        self.field("body", body.as_ref(), &String::from_utf8_lossy(&is.body).into_owned());
    }
}

/// Stages and their names in the contract.
const STAGES: [(Stage, &str); 11] = [
    (Stage::Config, "config"),
    (Stage::Parse, "parse"),
    (Stage::Chain, "chain"),
    (Stage::Signature, "signature"),
    (Stage::Binding, "binding"),
    (Stage::Identity, "identity"),
    (Stage::Freshness, "freshness"),
    (Stage::Integrity, "integrity"),
    (Stage::State, "state"),
    (Stage::Upstream, "upstream"),
    (Stage::Policy, "policy"),
];

/// The name of a stage in the contract.
pub(super) fn stage_name(stage: Stage) -> &'static str {
    STAGES.iter().find(|(it, _)| *it == stage).map_or("unknown", |(_, name)| name)
}

fn commit_name(commit: &Commit) -> &'static str {
    match commit {
        Commit::ClaimOnce(_) => "claim_once",
        Commit::AdvanceCounter(_) => "advance_counter",
        Commit::StoreKey(AttestedKey { .. }) => "store_key",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(expect: &str, word: &LastWord, differences: &[&str]) {
        let expect: Expectation = serde_json::from_str(expect).expect(expect);
        expect.check().expect("readable");
        assert_eq!(expect.differences(word), differences);
    }

    fn acceptance() -> LastWord {
        let claim = Claim { space: "s".to_owned(), digest: vec![1; 32], expires_at: 86_400 };
        let step = CounterStep { key_id: vec![1], expected: 1, next: 2 };
        LastWord::Accept(Acceptance {
            score: 90,
            signals: vec![("a".to_owned(), "b".to_owned())],
            commits: vec![Commit::ClaimOnce(claim), Commit::AdvanceCounter(step)],
        })
    }

    fn rejection() -> LastWord {
        let (code, detail) = ("too-old".to_owned(), "why".to_owned());
        LastWord::Reject(Rejection { code, stage: Stage::Freshness, retryable: true, detail })
    }

    #[test]
    fn what_is_left_out_may_be_anything() {
        check(r#"{"accept": {}}"#, &acceptance(), &[]);
        check(r#"{"accept": {"commits": [{"claim_once": {}}, {"advance_counter": {"next": 2}}]}}"#, &acceptance(), &[]);
        check(r#"{"reject": {"code": "too-old"}}"#, &rejection(), &[]);
    }

    #[test]
    fn each_difference_is_named() {
        check(
            r#"{"accept": {"score": 100, "signals": {}, "commits": [
                {"claim_once": {"space": "t", "digest": "AQ==", "expires_at": "1970-01-03"}},
                {"advance_counter": {"key_id": "Ag==", "expected": 0, "next": 3}}]}}"#,
            &acceptance(),
            &[
                "score is 90, not 100",
                r#"signals is {"a": "b"}, not {}"#,
                r#"commits[0].space is "s", not "t""#,
                "commits[0].digest is AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=, not AQ==",
                "commits[0].expires_at is 1970-01-02 00:00:00 UTC, not 1970-01-03 00:00:00 UTC",
                "commits[1].key_id is AQ==, not Ag==",
                "commits[1].expected is 1, not 0",
                "commits[1].next is 2, not 3",
            ],
        );
        check(
            r#"{"accept": {"commits": [{"store_key": {}}]}}"#,
            &acceptance(),
            &["there are 2 commits, not 1", "commits[0] is claim_once, which was not expected there"],
        );
        check(
            r#"{"reject": {"code": "too-new", "stage": "state", "retryable": false, "detail": ""}}"#,
            &rejection(),
            &[
                r#"code is "too-old", not "too-new" (why)"#,
                r#"stage is "freshness", not "state""#,
                "retryable is true, not false",
                r#"detail is "why", not """#,
            ],
        );
    }

    #[test]
    fn another_verdict_is_a_difference_with_its_reason() {
        check(r#"{"accept": {}}"#, &rejection(), &["expected accept, not reject too-old, retryable (why)"]);
        check(r#"{"reject": {"code": "a"}}"#, &acceptance(), &["expected reject a, not accept 90, 2 commits"]);
        check(r#"{"ask": {"url": "u"}}"#, &acceptance(), &["expected ask u, not accept 90, 2 commits"]);
    }

    #[test]
    fn question_is_compared_in_what_the_case_says() {
        let request = HttpRequest {
            method: "POST".to_owned(),
            url: "https://a.example/".to_owned(),
            headers: vec![],
            body: b"{}".to_vec(),
            credential: None,
        };
        let word = LastWord::Ask(request);
        check(r#"{"ask": {"url": "https://a.example/", "method": "POST", "body": "{}"}}"#, &word, &[]);
        check(
            r#"{"ask": {"url": "https://b.example/", "credential": "c"}}"#,
            &word,
            &[r#"url is "https://a.example/", not "https://b.example/""#, r#"credential is None, not Some("c")"#],
        );
    }

    #[test]
    fn expectation_that_nobody_can_meet_is_an_error() {
        for (expect, part) in [
            (r#"{"reject": {"code": "a", "stage": "never"}}"#, "never"),
            (r#"{"accept": {"commits": [{"claim_once": {"digest": "*"}}]}}"#, "digest"),
            (r#"{"accept": {"commits": [{"claim_once": {"expires_at": "soon"}}]}}"#, "soon"),
        ] {
            let expect: Expectation = serde_json::from_str(expect).expect(expect);
            assert!(expect.check().is_err_and(|error| error.contains(part)), "{part}");
        }
    }
}
