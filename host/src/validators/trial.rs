//! A validator tried out with made-up submissions, as `tocsin validator test` does: the same engine, limits and checks as in
//! a server, but with a fixed clock, answers that the caller makes up, and what a server would read from files as values.

use super::answer::{MAX_EXCHANGES, check_acceptance, check_exchange, check_rejection};
use super::check::{self, CheckedValidator, Loaded};
use super::engine::ValidatorEngine;
use super::exchange::Exchanges;
use super::failure::{Failure, FailureKind, ValidatorError};
use super::grants::{DeviceKeys, GrantedValues, Grants, NoDeviceKeys};
use super::instance::{self, Usage};
use super::revocation::RevocationList;
use super::{AttestedKey, Evidence, Submission};
use crate::bindings::capabilities::tocsin::validator::types::{
    Acceptance, Exchange, HttpRequest, HttpResponse, Rejection, Verdict,
};
use crate::components::CompileCache;
use crate::config::{RevocationConfig, ValidatorConfig};
use crate::services::SystemClock;
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;
use tocsin_domain::interval::Timestamp;
use tocsin_domain::ports::{Clock, PortError};

/// What a validator is shown, and what its host has for it.
#[derive(Clone, Debug)]
pub struct Trial {
    /// The time, in unix seconds.
    pub now: i64,
    /// Its configuration, JSON.
    pub configuration: String,
    /// The submission.
    pub submission: Submission,
    /// What the phone sent.
    pub evidence: Option<Evidence>,
    /// Sets of trust anchors: certificates in DER form.
    pub anchors: BTreeMap<String, Vec<Vec<u8>>>,
    /// Private keys, as in the files of a server: a P-256 key (PKCS#8, PEM) signs, 32 bytes of base64 unwrap.
    pub keys: BTreeMap<String, String>,
    /// Serial numbers of revoked certificates; `None`: there is no list.
    pub revoked: Option<BTreeSet<String>>,
    /// Device keys that earlier submissions stored.
    pub device_keys: Vec<AttestedKey>,
}

/// What becomes of a question.
#[derive(Clone, Debug)]
pub enum Answered {
    /// The answer; none: no connection.
    With(Option<HttpResponse>),
    /// The trial ends here.
    Not,
}

/// The last word of a validator.
#[derive(Clone, Debug)]
pub enum LastWord {
    /// The submission may be stored.
    Accept(Acceptance),
    /// It may not.
    Reject(Rejection),
    /// A question that was not answered.
    Ask(HttpRequest),
}

/// A validator to try out.
pub struct TrialValidator {
    engine: ValidatorEngine,
    loaded: Loaded,
    config: ValidatorConfig,
}

impl std::fmt::Debug for TrialValidator {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TrialValidator").field("checked", &self.loaded.checked).finish_non_exhaustive()
    }
}

impl TrialValidator {
    /// Compiles and checks a component. Of the configuration its limits count. Takes as long as compiling does.
    pub fn new(bytes: &[u8], config: ValidatorConfig, cache: Option<CompileCache>) -> Result<Self, ValidatorError> {
        let grants = Grants::new("validator", &config, Arc::new(SystemClock), Arc::new(NoDeviceKeys), None)?;
        let engine = ValidatorEngine::new(1, grants.limits.memory_bytes, cache)?;
        let loaded = check::load(&engine, &Arc::new(grants), bytes)?;
        Ok(Self { engine, loaded, config })
    }

    /// What the check of the file found.
    pub fn checked(&self) -> &CheckedValidator {
        &self.loaded.checked
    }

    /// Shows it a submission. `answer` stands for the servers that it asks.
    ///
    /// The outer error is the trial's (a key that cannot be read), the inner one the validator's, as in a server.
    pub async fn judge(
        &self,
        trial: &Trial,
        mut answer: impl FnMut(&HttpRequest) -> Answered,
    ) -> Result<(Result<LastWord, Failure>, Usage), ValidatorError> {
        let clock: Arc<dyn Clock + Send + Sync> = Arc::new(FixedClock(Timestamp::from_unix(trial.now)));
        let grants = Arc::new(self.grants(trial, clock.clone())?);
        let bad = |rule| Failure::new(FailureKind::BadAnswer, rule);
        let (mut usage, mut resumption) = (Usage::default(), None);
        let mut questions = 0;
        let word = loop {
            let (submission, evidence) = (&trial.submission, trial.evidence.as_ref());
            let (verdict, cost) =
                instance::judge(&self.engine, &self.loaded, &grants, submission, evidence, resumption.as_ref()).await;
            usage.add(cost);
            match verdict {
                Err(failure) => break Err(failure),
                Ok(Verdict::Accept(acceptance)) => {
                    let checked = check_acceptance(&acceptance, submission, clock.now());
                    break checked.map(|()| LastWord::Accept(acceptance)).map_err(bad);
                }
                Ok(Verdict::Reject(rejection)) => {
                    break check_rejection(&rejection).map(|()| LastWord::Reject(rejection)).map_err(bad);
                }
                Ok(Verdict::Ask(_)) if questions == MAX_EXCHANGES => {
                    break Err(Failure::new(FailureKind::TooManyExchanges, "it asked more than three times"));
                }
                Ok(Verdict::Ask(exchange)) => {
                    if let Err(failure) = self.check_question(&exchange, clock.clone())? {
                        break Err(failure);
                    }
                    let Exchange { request, continuation } = exchange;
                    match answer(&request) {
                        Answered::With(response) => resumption = Some((continuation, response)),
                        Answered::Not => break Ok(LastWord::Ask(request)),
                    }
                    questions += 1;
                }
            }
        };
        Ok((word, usage))
    }

    fn grants(&self, trial: &Trial, clock: Arc<dyn Clock + Send + Sync>) -> Result<Grants, ValidatorError> {
        let Trial { now, configuration, submission: _, evidence: _, anchors, keys, revoked, device_keys } = trial;
        let revocation = match revoked {
            None => None,
            Some(serials) => {
                // There is no file of that name, so the list is empty at first.
                let config = RevocationConfig { file: PathBuf::new(), ..RevocationConfig::default() };
                Some(Arc::new(RevocationList::open(&config)?.holding(serials, Timestamp::from_unix(*now))))
            }
        };
        let values = GrantedValues {
            configuration: configuration.clone(),
            anchors: anchors.clone(),
            keys: keys.clone(),
            revocation,
        };
        let mut config = self.config.clone();
        config.configuration = toml::Table::new();
        Grants::of_values("validator", &config, clock, Arc::new(KnownKeys(device_keys.clone())), values)
    }

    /// The rules of a server, but for the list of hosts, which the operator of a server writes.
    fn check_question(
        &self,
        exchange: &Exchange,
        clock: Arc<dyn Clock + Send + Sync>,
    ) -> Result<Result<(), Failure>, ValidatorError> {
        if let Err(rule) = check_exchange(exchange) {
            return Ok(Err(Failure::new(FailureKind::BadAnswer, rule)));
        }
        let authority = exchange.request.url.parse::<http::Uri>().ok().and_then(|uri| uri.into_parts().authority);
        let hosts = authority.iter().map(ToString::to_string).collect();
        let exchanges = Exchanges::new(&ValidatorConfig { hosts, ..self.config.clone() }, clock)?;
        Ok(exchanges.check(&exchange.request))
    }
}

struct FixedClock(Timestamp);

impl Clock for FixedClock {
    fn now(&self) -> Timestamp {
        self.0
    }
}

struct KnownKeys(Vec<AttestedKey>);

impl DeviceKeys for KnownKeys {
    fn find(&self, _: &str, app: &str, key_id: &[u8]) -> Result<Option<AttestedKey>, PortError> {
        Ok(self.0.iter().find(|key| key.app == app && key.key_id == key_id).cloned())
    }
}
