//! Runs cases against a server.

use super::case::{Case, Need, Step};
use super::check::differences;
use super::context::{Context, filled};
use super::jwt::{self, Kind};
use super::token::Token;
use super::{Problem, State, base64, problem};
use crate::harness::client::{Answer, Client};
use bytes::Bytes;
use http::{HeaderMap, Method, StatusCode};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::time::Duration;

/// A server that takes longer for an answer has not answered.
const PATIENCE: Duration = Duration::from_secs(30);

/// A server, and the time it goes by.
pub struct Target<'t> {
    /// Where it listens.
    pub address: SocketAddr,
    /// What all paths begin with; empty or `/something`.
    pub prefix: String,
    /// Its time in unix seconds; the real one, unless a test has set its clock.
    pub now: &'t (dyn Fn() -> i64 + Sync),
}

/// Which cases are run.
#[derive(Clone, Debug, Default)]
pub struct Selection {
    /// What the server has.
    pub provided: BTreeSet<Need>,
    /// Only cases whose name contains this.
    pub filter: String,
}

/// How one case ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// Name of the case.
    pub name: String,
    /// Its claim.
    pub claim: String,
    /// Its rule.
    pub rule: String,
    /// How it ended.
    pub verdict: Verdict,
}

/// Whether the server did as the case says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It did.
    Passed,
    /// It did not; what was expected, and what came.
    Failed(String),
    /// The server is not said to have what the case needs.
    Skipped(Need),
}

/// Runs all cases of the selection, one after the other.
pub async fn run(cases: &[Case], state: &State, target: &Target<'_>, selection: &Selection) -> Vec<Outcome> {
    let mut outcomes = Vec::new();
    for case in cases.iter().filter(|case| case.name.contains(&selection.filter)) {
        let verdict = match case.needs.iter().find(|need| !selection.provided.contains(need)) {
            Some(need) => Verdict::Skipped(*need),
            None => match run_case(case, state, target).await {
                Ok(()) => Verdict::Passed,
                Err(error) => Verdict::Failed(error.to_string()),
            },
        };
        let Case { name, claim, rule, .. } = case;
        outcomes.push(Outcome { name: name.clone(), claim: claim.clone(), rule: rule.clone(), verdict });
    }
    outcomes
}

/// A case during which an interval ended is run again if it failed: its times were right when it began.
async fn run_case(case: &Case, state: &State, target: &Target<'_>) -> Result<(), Problem> {
    let interval = || (target.now)().div_euclid(600);
    let began = interval();
    match run_steps(case, state, target).await {
        Err(_) if interval() != began => run_steps(case, state, target).await,
        ended => ended,
    }
}

async fn run_steps(case: &Case, state: &State, target: &Target<'_>) -> Result<(), Problem> {
    let mut context = Context::new((target.now)());
    for (step, number) in case.steps.iter().zip(1..) {
        let in_step = |error: Problem| Problem(format!("step {number}: {error}"));
        let request = prepare(step, state, &mut context).map_err(in_step)?;
        let answer = send(request, target).await.map_err(in_step)?;
        let found = differences(&answer, &step.expect, &mut context).map_err(in_step)?;
        if !found.is_empty() {
            return Err(in_step(Problem(found.join("; "))));
        }
    }
    Ok(())
}

/// Prepares every request and reads every expectation of a case without a server: whether its placeholders mean something,
/// also in steps that a server never gets to see because it fails before.
pub fn rehearse(case: &Case, state: &State) -> Result<(), Problem> {
    let mut context = Context::new(1_793_620_800);
    for (step, number) in case.steps.iter().zip(1..) {
        let in_step = |error: Problem| Problem(format!("{}: step {number}: {error}", case.name));
        prepare(step, state, &mut context).map_err(in_step)?;
        let answer = Answer { status: StatusCode::OK, headers: HeaderMap::new(), body: Bytes::from_static(b"{}") };
        differences(&answer, &step.expect, &mut context).map_err(in_step)?;
        if let Some(name) = step.expect.revision_token.as_ref().and_then(|token| token.save.as_ref()) {
            context.save_token(name, &Token::sample().text());
        }
    }
    Ok(())
}

struct Prepared {
    method: Method,
    path: String,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
}

fn prepare(step: &Step, state: &State, context: &mut Context) -> Result<Prepared, Problem> {
    context.begin_step();
    if let Some(jwt) = &step.certificate {
        // The certificate covers keys of the body, and is itself in the body: those are expanded before.
        let body = step.body.as_ref();
        let keys = match body.and_then(|body| body.get("temporaryExposureKeys")).and_then(Value::as_array) {
            Some(keys) => keys.iter().map(|key| context.value(key)).collect::<Result<Vec<_>, _>>()?,
            None => Vec::new(),
        };
        // v1 and v1alpha1 spell it differently.
        let secret = body.and_then(|body| body.get("hmacKey").or_else(|| body.get("hmackey"))).and_then(Value::as_str);
        let secret = secret.map(|text| context.text(text)).transpose()?;
        let kind = Kind::Certificate { keys: &keys, secret: secret.as_deref() };
        let text = jwt::make(jwt, kind, state, context)?;
        context.set_certificate(jwt.name.as_deref(), text);
    }
    if let Some(jwt) = &step.statistics_token {
        let text = jwt::make(jwt, Kind::Statistics, state, context)?;
        context.set_statistics_token(text);
    }
    let method = step.method.as_deref().unwrap_or("POST");
    let Ok(method) = Method::from_bytes(method.as_bytes()) else {
        return problem(format!("{method:?} is no method"));
    };
    Ok(Prepared {
        method,
        path: step.path.clone().unwrap_or("/v1/publish".to_owned()),
        headers: headers(step, context)?,
        body: filled(body(step, context)?)?,
    })
}

fn headers(step: &Step, context: &mut Context) -> Result<Vec<(String, String)>, Problem> {
    let mut headers = BTreeMap::from([("content-type".to_owned(), "application/json".to_owned())]);
    for (name, value) in &step.headers {
        match value {
            Some(value) => headers.insert(name.to_ascii_lowercase(), context.text(value)?),
            None => headers.remove(&name.to_ascii_lowercase()),
        };
    }
    Ok(headers.into_iter().collect())
}

fn body(step: &Step, context: &mut Context) -> Result<Vec<u8>, Problem> {
    Ok(match (&step.body, &step.raw_body, &step.base64_body) {
        (Some(body), _, _) => context.value(body)?.to_string().into_bytes(),
        (None, Some(text), _) => context.text(text)?.into_bytes(),
        (None, None, Some(text)) => match base64::decode(text) {
            Some(bytes) => bytes,
            None => return problem("base64_body is no base64"),
        },
        (None, None, None) => Vec::new(),
    })
}

async fn send(request: Prepared, target: &Target<'_>) -> Result<Answer, Problem> {
    let Prepared { method, path, headers, body } = request;
    let headers: Vec<(&str, &str)> = headers.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    // A connection for each request: one that a server closes after a refusal must not fail the next.
    let mut client = Client::new(target.address);
    let path = format!("{}{path}", target.prefix);
    match tokio::time::timeout(PATIENCE, client.try_send(method, &path, &headers, body)).await {
        Ok(Ok(answer)) => Ok(answer),
        Ok(Err(error)) => problem(format!("no answer: {error}")),
        Err(_) => problem(format!("no answer within {} seconds", PATIENCE.as_secs())),
    }
}

impl std::fmt::Debug for Target<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Target").field("address", &self.address).field("prefix", &self.prefix).finish_non_exhaustive()
    }
}
