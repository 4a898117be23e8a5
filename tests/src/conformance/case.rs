//! The files: one case each. Unknown fields are refused, so that a typing error cannot make a case weaker.

use super::{Problem, problem};
use crate::conformance::jwt::Jwt;
use serde::Deserialize;
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;

/// One claim about the protocol, with the requests that show it.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Case {
    /// Folder and file without `.json`: `1.3-json/integer-with-fraction-is-refused`.
    #[serde(skip)]
    pub name: String,
    /// What is shown, as a sentence.
    pub claim: String,
    /// Where the rule is written: file and section.
    pub rule: String,
    /// What a server must have for the case to make sense.
    #[serde(default)]
    pub needs: Vec<Need>,
    /// What Google's reference server does instead, where this suite deliberately asks for something else.
    pub divergence: Option<String>,
    /// Requests, sent one after the other.
    pub steps: Vec<Step>,
}

/// Something not every server has, or not every time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Need {
    /// The server's clock agrees with the runner's to a second or so: the case sits on the border of an interval.
    Clock,
    /// The server was prepared for this run: the case would see what earlier runs left.
    Fresh,
    /// `/v1/stats`.
    Statistics,
    /// Revision tokens have the form of the reference server; to phones they are opaque.
    TokenFormat,
    /// The v1alpha1 API at `/`.
    V1alpha1,
}

impl Need {
    /// All of them, by name.
    pub const ALL: [(&'static str, Self); 5] = [
        ("clock", Self::Clock),
        ("fresh", Self::Fresh),
        ("statistics", Self::Statistics),
        ("token-format", Self::TokenFormat),
        ("v1alpha1", Self::V1alpha1),
    ];
}

impl fmt::Display for Need {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = Self::ALL.iter().find(|(_, need)| need == self).map_or("", |(name, _)| name);
        f.write_str(name)
    }
}

/// A request and what must be answered.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Step {
    /// For readers.
    pub note: Option<String>,
    /// `POST` if not given.
    pub method: Option<String>,
    /// `/v1/publish` if not given.
    pub path: Option<String>,
    /// Besides `content-type: application/json`; `null` leaves a header out.
    pub headers: BTreeMap<String, Option<String>>,
    /// The body as JSON.
    pub body: Option<Value>,
    /// The body as text.
    pub raw_body: Option<String>,
    /// The body as bytes.
    pub base64_body: Option<String>,
    /// What `{{certificate}}` stands for in this step.
    pub certificate: Option<Jwt>,
    /// What `{{statistics_token}}` stands for in this step.
    pub statistics_token: Option<Jwt>,
    /// The answer.
    pub expect: Expect,
}

/// What is compared. Fields of the answer that are not mentioned are not compared, except by `fields`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Expect {
    /// HTTP status.
    pub status: u16,
    /// Fields of the answer and their exact values.
    pub json: Map<String, Value>,
    /// All fields the answer has, no more and no fewer.
    pub fields: Option<Vec<String>>,
    /// Fields it does not have.
    pub absent: Vec<String>,
    /// Each is somewhere in `error`.
    pub error_contains: Vec<String>,
    /// None of them is in `error`.
    pub error_lacks: Vec<String>,
    /// The warnings in order: for each what it contains.
    pub warnings: Option<Vec<Vec<String>>>,
    /// About the revision token.
    pub revision_token: Option<ExpectToken>,
    /// Smallest and largest number of bytes that `padding` decodes to.
    pub padding_bytes: Option<(usize, usize)>,
    /// Headers and their exact values; `null`: the header is not there.
    pub headers: BTreeMap<String, Option<String>>,
}

/// What is compared of a revision token. One must be there.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ExpectToken {
    /// Later steps send it as `{{token:NAME}}`.
    pub save: Option<String>,
    /// How many entries it holds, dummies not counted.
    pub entries: Option<usize>,
    /// Names of saved tokens it differs from.
    pub differs_from: Vec<String>,
}

/// Reads a case; `name` is its folder and file.
pub fn parse_case(name: &str, text: &str) -> Result<Case, Problem> {
    let in_file = |what: String| Problem(format!("{name}.json: {what}"));
    let case: Case = serde_json::from_str(text).map_err(|error| in_file(error.to_string()))?;
    let empty = if case.claim.trim().is_empty() {
        Some("claim")
    } else if case.steps.is_empty() {
        Some("steps")
    } else {
        None
    };
    if let Some(field) = empty {
        return Err(in_file(format!("{field} is empty")));
    }
    for (step, number) in case.steps.iter().zip(1..) {
        check_step(step).map_err(|error| in_file(format!("step {number}: {error}")))?;
    }
    Ok(Case { name: name.to_owned(), ..case })
}

fn check_step(step: &Step) -> Result<(), Problem> {
    let bodies = [step.body.is_some(), step.raw_body.is_some(), step.base64_body.is_some()];
    if bodies.iter().filter(|given| **given).count() > 1 {
        return problem("only one of body, raw_body and base64_body can be given");
    }
    if !(100..600).contains(&step.expect.status) {
        return problem("expect.status is missing");
    }
    Ok(())
}

/// All cases below a folder, by name.
pub fn load_cases(folder: &Path) -> Result<Vec<Case>, Problem> {
    let mut cases = Vec::new();
    for group in entries(folder)? {
        if !group.is_dir() {
            return problem(format!("{} is not a folder of cases", group.display()));
        }
        for file in entries(&group)? {
            let text =
                std::fs::read_to_string(&file).map_err(|error| Problem(format!("{}: {error}", file.display())))?;
            let path = file.with_extension("");
            let name = path.strip_prefix(folder).unwrap_or(&path).display().to_string();
            if file.extension().is_none_or(|extension| extension != "json") {
                return problem(format!("{} is not a .json file", file.display()));
            }
            cases.push(parse_case(&name, &text)?);
        }
    }
    if cases.is_empty() { problem(format!("there is no case in {}", folder.display())) } else { Ok(cases) }
}

/// What is in a folder, sorted.
fn entries(folder: &Path) -> Result<Vec<std::path::PathBuf>, Problem> {
    let unreadable = |error: std::io::Error| Problem(format!("cannot read {}: {error}", folder.display()));
    let mut paths = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(unreadable)? {
        paths.push(entry.map_err(unreadable)?.path());
    }
    paths.sort();
    Ok(paths)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(text: &str) -> String {
        parse_case("g/c", text).expect_err("refused").to_string()
    }

    #[test]
    fn misspelt_and_missing_fields_are_refused() {
        let with = |step: &str| format!(r#"{{"claim": "c", "rule": "r", "steps": [{step}]}}"#);
        assert!(parse_case("g/c", &with(r#"{"expect": {"status": 200}}"#)).is_ok());
        for (step, error) in [
            (r#"{"expect": {"status": 200, "absnet": []}}"#, "unknown field `absnet`"),
            (r#"{"expect": {"status": 200}, "raw": ""}"#, "unknown field `raw`"),
            (r#"{"expect": {}}"#, "step 1: expect.status is missing"),
            (r#"{"expect": {"status": 200}, "body": {}, "raw_body": ""}"#, "step 1: only one of"),
            (r#"{"certificate": {"clams": {}}, "expect": {"status": 200}}"#, "unknown field `clams`"),
            (r#"{"certificate": {"tamper": "burn"}, "expect": {"status": 200}}"#, "unknown variant `burn`"),
        ] {
            let text = refusal(&with(step));
            assert!(text.starts_with("g/c.json: ") && text.contains(error), "{text}");
        }
        assert!(refusal(&with("")).contains("steps is empty"));
        assert!(refusal(r#"{"rule": "r", "steps": []}"#).contains("missing field `claim`"));
        assert!(refusal(r#"{"claim": "c", "rule": "r", "needs": ["luck"], "steps": []}"#).contains("luck"));
    }

    #[test]
    fn every_need_has_the_name_it_is_written_with() {
        for (name, need) in Need::ALL {
            assert_eq!(serde_json::from_str::<Need>(&format!("{name:?}")).ok(), Some(need));
            assert_eq!(need.to_string(), name);
        }
    }
}
