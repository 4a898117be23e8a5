//! Validators: components of the health authority's that decide whether a submission is acceptable.
//!
//! The contract is `wit/deps/tocsin-validator`. [`Validators`] holds those of the configuration, ready to be called: each
//! call is a fresh instance ([`instance`]) in an engine of their own ([`engine`]), with the limits of its section
//! ([`meter`], [`answer`]) and what the host grants it ([`grants`], [`exchange`]). [`chain`] makes one decision of several
//! answers, [`reload`] takes over files that change.
//!
//! Whatever a validator does, it costs its own submission at most: it is then refused, to be tried again, unless the
//! operator wants it to pass.

mod answer;
mod chain;
mod check;
mod counts;
mod credentials;
#[cfg(test)]
mod doubles;
mod engine;
mod exchange;
mod failure;
mod grants;
mod instance;
mod meter;
mod reload;
mod revocation;
mod status;
pub mod trial;

pub use crate::bindings::validator::tocsin::validator::types::{AttestedKey, Commit, Evidence, Submission};
pub use chain::{Decision, Judgement, Outcome};
pub use check::{CheckedValidator, check_file, check_file_with_cache};
pub use counts::{DecisionCounts, ValidatorCounts};
pub use failure::{Failure, FailureKind, ValidatorError};
pub use grants::{DeviceKeys, NoDeviceKeys};
pub use instance::Usage;
pub use reload::Replacement;
pub use revocation::{RevocationStatus, run_revocation_timer};
pub use status::{AppStatus, ValidatorStatus, ValidatorsStatus};

use crate::components::{CompileCache, builtin_validator};
use crate::config::{Config, ValidatorConfig};
use chain::{Chain, Validator};
use counts::{DecisionCounters, ValidatorCounters};
use engine::ValidatorEngine;
use exchange::Exchanges;
use grants::Grants;
use parking_lot::RwLock;
use reload::Source;
use revocation::RevocationList;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use tocsin_domain::ports::Clock;
use tokio::sync::Semaphore;

/// Submissions shown to observing validators at the same time; when there are more, some are not shown.
const MAX_OBSERVED: usize = 32;
/// Calls beside those of requests and observers: checks of changed files.
const CHECKS: usize = 4;

/// All validators of a server.
pub struct Validators {
    /// `None`: there are no validators.
    engine: Option<Arc<ValidatorEngine>>,
    validators: BTreeMap<String, (Arc<Validator>, Source)>,
    /// By name of the app, lower case.
    chains: HashMap<String, Arc<Chain>>,
    clock: Arc<dyn Clock + Send + Sync>,
    revocation: Option<Arc<RevocationList>>,
    observers: Arc<Semaphore>,
}

impl std::fmt::Debug for Validators {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Validators").field("names", &self.validators.keys()).finish_non_exhaustive()
    }
}

impl Validators {
    /// Compiles (or takes from the cache) and checks the validators of a configuration, and looks after their files from
    /// then on. Without validators this does nothing.
    ///
    /// Fails, naming the validator, when one of them cannot be used.
    pub fn open(
        config: &Config,
        clock: Arc<dyn Clock + Send + Sync>,
        device_keys: Arc<dyn DeviceKeys>,
    ) -> Result<Arc<Self>, ValidatorError> {
        let revocation = match config.validators.values().any(|validator| validator.revocation) {
            true => Some(Arc::new(RevocationList::open(&config.revocation)?)),
            false => None,
        };
        let mut all = Self {
            engine: None,
            validators: BTreeMap::new(),
            chains: HashMap::new(),
            clock,
            revocation,
            observers: Arc::new(Semaphore::new(MAX_OBSERVED)),
        };
        if config.validators.is_empty() {
            return Ok(Arc::new(all));
        }
        let engine = Arc::new(new_engine(config)?);
        for (name, section) in &config.validators {
            let opened = all.open_one(&engine, config, name, section, device_keys.clone());
            let opened = opened.map_err(|error| ValidatorError::new(format!("validator {name}: {error}")))?;
            all.validators.insert(name.clone(), opened);
        }
        all.engine = Some(engine);
        all.add_chains(config);
        let all = Arc::new(all);
        if all.validators.values().any(|(_, source)| source.file.is_some()) {
            reload::watch(Arc::downgrade(&all))
                .map_err(|error| ValidatorError::new(format!("files of validators cannot be watched: {error}")))?;
        }
        Ok(all)
    }

    fn open_one(
        &self,
        engine: &ValidatorEngine,
        config: &Config,
        name: &str,
        section: &ValidatorConfig,
        device_keys: Arc<dyn DeviceKeys>,
    ) -> Result<(Arc<Validator>, Source), ValidatorError> {
        let (source, bytes) = match (&section.file, &section.builtin) {
            (Some(file), _) => Source::read_file(file)?,
            (None, Some(builtin)) => {
                let bytes = builtin_validator(config.folders.components.as_deref(), builtin);
                (Source::built_in(), bytes.map_err(|error| ValidatorError::new(error.to_string()))?)
            }
            (None, None) => return Err(ValidatorError::new("needs either `file` or `builtin`")),
        };
        let grants = Grants::new(name, section, self.clock.clone(), device_keys, self.revocation.clone())?;
        let grants = Arc::new(grants);
        let exchanges = Exchanges::new(section, self.clock.clone())?;
        let loaded = check::load(engine, &grants, &bytes)?;
        let CheckedValidator { identity, digest, imports: _, size, compile: _, identity_usage: _ } = &loaded.checked;
        tracing::info!(validator = name, identity, digest, size, "loaded a validator");
        if section.allow_insecure_http {
            tracing::warn!(validator = name, "A VALIDATOR MAY ASK IN CLEAR (allow_insecure_http): for tests only");
        }
        let validator = Validator {
            grants,
            exchanges,
            on_failure: section.on_failure,
            current: RwLock::new(Arc::new(loaded)),
            counters: ValidatorCounters::default(),
        };
        Ok((Arc::new(validator), source))
    }

    /// The configuration was checked: every name is there.
    fn add_chains(&mut self, config: &Config) {
        for (app, section) in &config.validation {
            let find = |names: &[String]| -> Vec<Arc<Validator>> {
                names.iter().filter_map(|name| Some(self.validators.get(name)?.0.clone())).collect()
            };
            let chain = Chain {
                app: app.clone(),
                validators: find(&section.validators),
                observe: find(&section.observe),
                mode: section.mode,
                threshold: section.threshold,
                on_refusal: section.on_refusal,
                counters: DecisionCounters::default(),
            };
            self.chains.insert(app.to_lowercase(), Arc::new(chain));
        }
    }

    /// Whether the submissions of an app pass through validators. Costs next to nothing.
    pub fn validates(&self, app: &str) -> bool {
        !self.chains.is_empty() && self.chains.contains_key(&app.to_lowercase())
    }

    /// What the validators of the submission's app say together; accepted when it has none.
    pub async fn validate(&self, submission: &Submission, evidence: Option<&Evidence>) -> Decision {
        let chain = if self.chains.is_empty() { None } else { self.chains.get(&submission.app.to_lowercase()) };
        let (Some(chain), Some(engine)) = (chain, &self.engine) else { return Decision::Accepted(Vec::new()) };
        let decision = chain.decide(engine, submission, evidence).await;
        chain.counters.decided(&decision);
        self.observe(engine, chain, submission, evidence);
        decision
    }

    /// Shows the submission to those who only observe. Nobody waits for them.
    fn observe(
        &self,
        engine: &Arc<ValidatorEngine>,
        chain: &Arc<Chain>,
        submission: &Submission,
        evidence: Option<&Evidence>,
    ) {
        if chain.observe.is_empty() {
            return;
        }
        let Ok(permit) = self.observers.clone().try_acquire_owned() else {
            chain.counters.not_observed();
            return;
        };
        let (engine, chain) = (engine.clone(), chain.clone());
        let (submission, evidence) = (submission.clone(), evidence.cloned());
        tokio::spawn(async move {
            for validator in &chain.observe {
                validator.judge(&engine, &submission, evidence.as_ref()).await;
            }
            drop(permit);
        });
    }

    /// Waits until no validator observes any more.
    pub async fn finish_observing(&self) {
        let all = u32::try_from(MAX_OBSERVED).unwrap_or(u32::MAX);
        // The semaphore is never closed.
        drop(self.observers.acquire_many(all).await);
    }

    /// What one validator says, whatever the app's others; `None`: there is none of that name.
    pub async fn judge(
        &self,
        validator: &str,
        submission: &Submission,
        evidence: Option<&Evidence>,
    ) -> Option<Judgement> {
        let ((validator, _), engine) = (self.validators.get(validator)?, self.engine.as_ref()?);
        Some(validator.judge(engine, submission, evidence).await)
    }

    /// Takes over the files that changed since they were last looked at, at once instead of within two seconds. Blocks
    /// while compiling.
    pub fn reload(&self) -> Vec<Replacement> {
        let Some(engine) = &self.engine else { return Vec::new() };
        self.validators.values().filter_map(|(validator, source)| source.look(engine, validator)).collect()
    }
}

fn new_engine(config: &Config) -> Result<ValidatorEngine, ValidatorError> {
    let cache = CompileCache::open(&config.folders.cache).map_err(|error| ValidatorError::new(error.to_string()))?;
    let memory_mib = config.validators.values().map(|validator| validator.memory_mib).max().unwrap_or(1);
    let memory_bytes = usize::try_from(memory_mib).unwrap_or(usize::MAX).saturating_mul(1024 * 1024);
    ValidatorEngine::new(config.public.max_concurrent_requests + MAX_OBSERVED + CHECKS, memory_bytes, Some(cache))
}
