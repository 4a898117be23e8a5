//! What the validators of one app say together.

use super::answer::{MAX_EXCHANGES, check_acceptance, check_exchange, check_rejection};
use super::check::Loaded;
use super::counts::{DecisionCounters, ValidatorCounters};
use super::engine::ValidatorEngine;
use super::exchange::Exchanges;
use super::failure::{Failure, FailureKind};
use super::grants::Grants;
use super::instance::{self, Resumption, Usage};
use super::{Commit, Evidence, Submission};
use crate::bindings::capabilities::tocsin::validator::types::{Acceptance, Exchange, Rejection, Verdict};
use crate::config::{ChainMode, OnFailure, OnRefusal};
use parking_lot::RwLock;
use std::sync::Arc;

/// Score of a validator that failed and whose failures accept.
const FAILED_SCORE: u8 = 100;

/// What an app's validators say together. Reasons are `NAME: code`.
#[derive(Clone, Debug)]
pub enum Decision {
    /// The submission may be stored, with these commits: the validator that wants it, and what to note.
    Accepted(Vec<(String, Commit)>),
    /// It may not.
    Refused(Vec<String>),
    /// It may not be stored now; the same submission may be accepted later.
    TryLater(Vec<String>),
    /// It may not, and the phone is to be answered as if it was stored.
    Pretend(Vec<String>),
}

/// What one validator says.
#[derive(Clone, Debug)]
pub enum Outcome {
    /// The submission may be stored.
    Accepted {
        /// How sure it is, 0 to 100.
        score: u8,
        /// What to note.
        commits: Vec<Commit>,
    },
    /// It may not.
    Refused {
        /// Why: a code of the validator's, or that of a failure.
        code: String,
        /// Whether it may be accepted later.
        retryable: bool,
    },
}

/// An outcome, how it came about, and what it cost.
#[derive(Clone, Debug)]
pub struct Judgement {
    /// What the validator says.
    pub outcome: Outcome,
    /// If it failed: how. The outcome is then that of `on_failure`.
    pub failure: Option<Failure>,
    /// Of all calls together.
    pub usage: Usage,
    /// Exchanges.
    pub exchanges: u32,
}

/// A validator of the configuration. The component may be replaced meanwhile.
pub(super) struct Validator {
    pub(super) grants: Arc<Grants>,
    pub(super) exchanges: Exchanges,
    pub(super) on_failure: OnFailure,
    pub(super) current: RwLock<Arc<Loaded>>,
    pub(super) counters: ValidatorCounters,
}

impl Validator {
    pub(super) fn name(&self) -> &str {
        &self.grants.name
    }

    /// Judges, counts and logs. All calls of one submission go to the same component.
    pub(super) async fn judge(
        &self,
        engine: &ValidatorEngine,
        submission: &Submission,
        evidence: Option<&Evidence>,
    ) -> Judgement {
        let loaded = self.current.read().clone();
        let (mut usage, mut exchanges) = (Usage::default(), 0);
        let answered = self.run(engine, &loaded, submission, evidence, &mut usage, &mut exchanges).await;
        self.counters.spent(usage.compute);
        let (outcome, failure) = match answered {
            Ok(Ok(Acceptance { score, signals, commits })) => {
                self.counters.accepted(&signals);
                (Outcome::Accepted { score, commits }, None)
            }
            Ok(Err(Rejection { code, stage, retryable, detail })) => {
                self.counters.refused(&code, retryable);
                tracing::debug!(validator = self.name(), code, ?stage, retryable, ?detail, "a validator refuses");
                (Outcome::Refused { code, retryable }, None)
            }
            Err(failure) => {
                self.counters.failed(failure.kind);
                let (digest, identity) = (&loaded.checked.digest, &loaded.checked.identity);
                let (kind, rule) = (failure.kind.as_str(), &failure.rule);
                let on_failure = self.on_failure;
                let validator = self.name();
                tracing::warn!(validator, digest, identity, kind, rule, ?on_failure, "a validator failed");
                (self.on_failure(failure.kind), Some(failure))
            }
        };
        Judgement { outcome, failure, usage, exchanges }
    }

    fn on_failure(&self, kind: FailureKind) -> Outcome {
        match self.on_failure {
            OnFailure::Accept => Outcome::Accepted { score: FAILED_SCORE, commits: Vec::new() },
            OnFailure::Refuse => Outcome::Refused { code: kind.as_str().to_owned(), retryable: true },
        }
    }

    async fn run(
        &self,
        engine: &ValidatorEngine,
        loaded: &Loaded,
        submission: &Submission,
        evidence: Option<&Evidence>,
        usage: &mut Usage,
        exchanges: &mut u32,
    ) -> Result<Result<Acceptance, Rejection>, Failure> {
        let bad = |rule| Failure::new(FailureKind::BadAnswer, rule);
        let mut resumption: Option<Resumption> = None;
        loop {
            let (verdict, cost) =
                instance::judge(engine, loaded, &self.grants, submission, evidence, resumption.as_ref()).await;
            usage.add(cost);
            match verdict? {
                Verdict::Accept(acceptance) => {
                    check_acceptance(&acceptance, submission, self.grants.clock.now()).map_err(bad)?;
                    return Ok(Ok(acceptance));
                }
                Verdict::Reject(rejection) => {
                    check_rejection(&rejection).map_err(bad)?;
                    return Ok(Err(rejection));
                }
                Verdict::Ask(_) if *exchanges == MAX_EXCHANGES => {
                    return Err(Failure::new(FailureKind::TooManyExchanges, "it asked more than three times"));
                }
                Verdict::Ask(exchange) => {
                    check_exchange(&exchange).map_err(bad)?;
                    let Exchange { request, continuation } = exchange;
                    let answer = self.exchanges.ask(self.name(), request).await?;
                    *exchanges += 1;
                    self.counters.asked();
                    resumption = Some((continuation, answer));
                }
            }
        }
    }
}

/// The validators of one app.
pub(super) struct Chain {
    /// The app, as the operator spells it.
    pub(super) app: String,
    pub(super) validators: Vec<Arc<Validator>>,
    pub(super) observe: Vec<Arc<Validator>>,
    pub(super) mode: ChainMode,
    pub(super) threshold: u32,
    pub(super) on_refusal: OnRefusal,
    pub(super) counters: DecisionCounters,
}

/// Refusals of several validators.
#[derive(Default)]
struct Refusals {
    reasons: Vec<String>,
    is_any_final: bool,
}

impl Refusals {
    fn add(&mut self, validator: &str, code: &str, retryable: bool) {
        self.reasons.push(format!("{validator}: {code}"));
        self.is_any_final |= !retryable;
    }
}

impl Chain {
    pub(super) async fn decide(
        &self,
        engine: &ValidatorEngine,
        submission: &Submission,
        evidence: Option<&Evidence>,
    ) -> Decision {
        let mut accepted = Vec::new();
        let mut refusals = Refusals::default();
        let mut sum = 0;
        for validator in &self.validators {
            match validator.judge(engine, submission, evidence).await.outcome {
                Outcome::Accepted { score, commits } => {
                    sum += u32::from(score);
                    accepted.extend(commits.into_iter().map(|commit| (validator.name().to_owned(), commit)));
                    if self.mode == ChainMode::Any {
                        return Decision::Accepted(accepted);
                    }
                }
                Outcome::Refused { code, retryable } => {
                    refusals.add(validator.name(), &code, retryable);
                    if self.mode == ChainMode::All {
                        return self.refuse(refusals);
                    }
                }
            }
        }
        match self.mode {
            ChainMode::All => Decision::Accepted(accepted),
            ChainMode::Any => self.refuse(refusals),
            ChainMode::Score if sum >= self.threshold => Decision::Accepted(accepted),
            ChainMode::Score => {
                if refusals.reasons.is_empty() {
                    refusals.is_any_final = true;
                }
                refusals.reasons.push(format!("score: {sum} of {}", self.threshold));
                self.refuse(refusals)
            }
        }
    }

    /// A refusal for now is never pretended away: the phone would not try again.
    /// The phone is told what the operator wants it to be told.
    pub(super) fn refuse_for_good(&self, reasons: Vec<String>) -> Decision {
        self.refuse(Refusals { reasons, is_any_final: true })
    }

    fn refuse(&self, refusals: Refusals) -> Decision {
        let Refusals { reasons, is_any_final } = refusals;
        match self.on_refusal {
            _ if !is_any_final => Decision::TryLater(reasons),
            OnRefusal::Refuse => Decision::Refused(reasons),
            OnRefusal::Pretend => Decision::Pretend(reasons),
        }
    }
}
