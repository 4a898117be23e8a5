//! `tocsin validator test`: runs the cases of a validator's author, and says what each call cost.

mod cases;
mod expectation;

use super::Global;
use super::failure::{Failure, failed};
use super::output::{Table, count, counted, say};
use crate::bindings::capabilities::tocsin::validator::types::HttpRequest;
use crate::components::CompileCache;
use crate::config::ValidatorConfig;
use crate::validators::Usage;
use crate::validators::trial::{Answered, LastWord, TrialValidator};
use cases::{CannedAnswer, Case, read_cases};
use clap::Args;
use expectation::{stage_name, summary};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};

/// Unit of the table's memory.
const KIB: usize = 1024;

/// The component, the cases, and the limits.
#[derive(Args)]
#[command(after_help = "\
Runs every case in a fresh instance, with the limits of a server, and prints the outcome, whether it is the expected one, and
what it cost. Exits with 1 when a case failed. docs/validators.md describes the file of cases. Needs no data folder; with one, code
that was compiled before is used again.

Examples:
  tocsin validator test validator.wasm --cases cases.json
  tocsin validator test validator.wasm --cases cases.json --compute-ms 50 --json")]
pub(super) struct ValidatorTestArgs {
    /// The component file
    file: PathBuf,
    /// The file of cases (JSON)
    #[arg(long, value_name = "FILE")]
    cases: PathBuf,
    /// Limit of its memory, in MiB
    #[arg(long, value_name = "MIB", default_value_t = ValidatorConfig::default().memory_mib)]
    memory_mib: u32,
    /// Limit of the time that a call may execute, in milliseconds
    #[arg(long, value_name = "MS", default_value_t = ValidatorConfig::default().compute_ms)]
    compute_ms: u64,
    /// Limit of the fuel of a call
    #[arg(long, value_name = "UNITS", default_value_t = ValidatorConfig::default().fuel)]
    fuel: u64,
}

/// How a case went.
struct Ran {
    name: String,
    outcome: String,
    /// For scripts.
    value: Value,
    /// Empty: it went as expected.
    differences: Vec<String>,
    usage: Usage,
}

/// Runs the cases.
pub(super) async fn run(global: &Global, args: &ValidatorTestArgs) -> Result<(), Failure> {
    let ValidatorTestArgs { file, cases, memory_mib, compute_ms, fuel } = args;
    let text = std::fs::read_to_string(cases).map_err(|error| cannot_read(cases, &error))?;
    let cases = read_cases(&text).map_err(|problem| {
        Failure::new(format!("{}: {problem}", cases.display()), "docs/validators.md describes the file of cases.")
    })?;
    let bytes = std::fs::read(file).map_err(|error| cannot_read(file, &error))?;
    let limits =
        ValidatorConfig { memory_mib: *memory_mib, compute_ms: *compute_ms, fuel: *fuel, ..ValidatorConfig::default() };
    // With a data folder its cache is used: cases change more often than the component.
    let cache = global.config().ok().map(|config| CompileCache::open(&config.folders.cache));
    let cache = cache.transpose().map_err(failed)?;
    let validator = TrialValidator::new(&bytes, limits, cache).map_err(|error| {
        let next = format!("`tocsin validator check {}` looks at the file alone.", file.display());
        Failure::new(format!("{}: {error}", file.display()), next)
    })?;
    let mut all = Vec::new();
    for case in cases {
        all.push(run_case(&validator, case).await?);
    }
    let checked = validator.checked();
    let wrong = all.iter().filter(|ran| !ran.differences.is_empty()).count();
    if global.json {
        let value = json!({
            "file": file,
            "identity": checked.identity,
            "digest": checked.digest,
            "compile_ms": checked.compile.as_millis(),
            "cases": all.iter().map(to_json).collect::<Vec<_>>(),
            "passed": all.len() - wrong,
            "failed": wrong,
        });
        say(&value.to_string());
    } else {
        say(text_of(&checked.identity, &checked.digest, &all).trim_end());
    }
    match wrong {
        0 => Ok(()),
        wrong => {
            let cases = counted(all.len() as u64, "case", "cases");
            Err(failed(format!("{wrong} of {cases} did not go as expected")))
        }
    }
}

/// Whether a text is a file of cases.
#[cfg(test)]
pub(super) fn check_cases(text: &str) -> Result<(), String> {
    read_cases(text).map(|_| ())
}

fn cannot_read(file: &Path, error: &std::io::Error) -> Failure {
    failed(format!("cannot read {}: {error}", file.display()))
}

async fn run_case(validator: &TrialValidator, case: Case) -> Result<Ran, Failure> {
    let Case { name, trial, answers, expect } = case;
    let mut answers = answers.into_iter();
    let mut differences = Vec::new();
    let judged = validator.judge(&trial, |request| match answers.next() {
        None => Answered::Not,
        Some(canned) => {
            differences.extend(question_differences(&canned, request));
            Answered::With(canned.response)
        }
    });
    let (word, usage) = judged.await.map_err(|error| failed(format!("case {name:?}: {error}")))?;
    let left = answers.len();
    if left > 0 {
        differences.push(format!("{} not asked for", counted(left as u64, "answer was", "answers were")));
    }
    let (outcome, value) = match &word {
        Ok(word) => {
            differences.extend(expect.differences(word));
            (summary(word), word_to_json(word))
        }
        Err(failure) => {
            differences.push(failure.to_string());
            let value = json!({ "failure": { "kind": failure.kind.as_str(), "rule": failure.rule } });
            (format!("failure {}", failure.kind), value)
        }
    };
    Ok(Ran { name, outcome, value, differences, usage })
}

fn question_differences(canned: &CannedAnswer, request: &HttpRequest) -> Vec<String> {
    let CannedAnswer { url, method, credential, response: _ } = canned;
    let mut differences = Vec::new();
    if *url != request.url {
        differences.push(format!("it asked {:?}, not {url:?}", request.url));
    }
    if let Some(method) = method.as_ref().filter(|method| **method != request.method) {
        differences.push(format!("it asked with {:?}, not {method:?}", request.method));
    }
    if credential.is_some() && *credential != request.credential {
        differences.push(format!("it named the credential {:?}, not {credential:?}", request.credential));
    }
    differences
}

fn text_of(identity: &str, digest: &str, all: &[Ran]) -> String {
    let mut table = Table::new(&["case", "outcome", "result", "fuel", "memory KiB", "us"]);
    for Ran { name, outcome, value: _, differences, usage } in all {
        let Usage { fuel, memory_bytes, compute } = *usage;
        let ok = if differences.is_empty() { "ok" } else { "FAILED" };
        let figures = [fuel, (memory_bytes / KIB) as u64, u64::try_from(compute.as_micros()).unwrap_or(u64::MAX)];
        let texts = [name.clone(), outcome.clone(), ok.to_owned()];
        table.row(texts.into_iter().chain(figures.map(count)));
    }
    let mut text = format!("{identity}, {digest}\n\n{}", table.text_or(""));
    for Ran { name, differences, .. } in all {
        for difference in differences {
            text.push_str(&format!("\n{name}: {difference}"));
        }
    }
    text
}

fn to_json(ran: &Ran) -> Value {
    let Ran { name, outcome: _, value, differences, usage } = ran;
    let Usage { fuel, memory_bytes, compute } = *usage;
    json!({
        "name": name,
        "outcome": value,
        "ok": differences.is_empty(),
        "differences": differences,
        "fuel": fuel,
        "memory_bytes": memory_bytes,
        "microseconds": u64::try_from(compute.as_micros()).unwrap_or(u64::MAX),
    })
}

fn word_to_json(word: &LastWord) -> Value {
    match word {
        LastWord::Accept(acceptance) => json!({ "accept": {
            "score": acceptance.score,
            "signals": acceptance.signals.iter().cloned().collect::<std::collections::BTreeMap<_, _>>(),
            "commits": acceptance.commits.len(),
        } }),
        LastWord::Reject(rejection) => json!({ "reject": {
            "code": rejection.code,
            "stage": stage_name(rejection.stage),
            "retryable": rejection.retryable,
            "detail": rejection.detail,
        } }),
        LastWord::Ask(request) => json!({ "ask": { "method": request.method, "url": request.url } }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn table_shows_outcome_and_cost_and_then_what_differs() {
        let ran = |name: &str, outcome: &str, differences: &[&str]| Ran {
            name: name.to_owned(),
            outcome: outcome.to_owned(),
            value: Value::Null,
            differences: differences.iter().map(|&it| it.to_owned()).collect(),
            usage: Usage { fuel: 12_345, memory_bytes: 1_114_112, compute: Duration::from_micros(1_234) },
        };
        let all = [ran("good", "accept 100", &[]), ran("bad", "reject a", &["code is \"a\", not \"b\" (why)"])];
        let expect = "\
acme 1.0, 0123456789abcdef

case  outcome     result    fuel  memory KiB     us
good  accept 100  ok    12,345       1,088  1,234
bad   reject a    FAILED  12,345       1,088  1,234

bad: code is \"a\", not \"b\" (why)";
        let text = text_of("acme 1.0", "0123456789abcdef", &all);
        let plain = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
        assert_eq!(plain(&text), plain(expect));
    }

    #[test]
    fn question_that_the_case_does_not_expect_is_named() {
        let request = HttpRequest {
            method: "GET".to_owned(),
            url: "https://a.example/".to_owned(),
            headers: vec![],
            body: vec![],
            credential: None,
        };
        let canned = |url: &str, method: Option<&str>, credential: Option<&str>| CannedAnswer {
            url: url.to_owned(),
            method: method.map(str::to_owned),
            credential: credential.map(str::to_owned),
            response: None,
        };
        assert!(question_differences(&canned("https://a.example/", Some("GET"), None), &request).is_empty());
        assert_eq!(
            question_differences(&canned("https://b.example/", Some("POST"), Some("c")), &request),
            [
                r#"it asked "https://a.example/", not "https://b.example/""#,
                r#"it asked with "GET", not "POST""#,
                r#"it named the credential None, not Some("c")"#,
            ]
        );
    }
}
