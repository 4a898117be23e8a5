//! One call of a validator: a fresh instance in a fresh store, with its limits.

use super::check::Loaded;
use super::engine::ValidatorEngine;
use super::failure::{Failure, FailureKind};
use super::grants::Grants;
use super::meter::{ComputeMeter, SpaceLimiter};
use crate::bindings::validator::Contract;
use crate::bindings::validator::tocsin::types::types as shared;
use crate::bindings::validator::tocsin::validator::services;
use crate::bindings::validator::tocsin::validator::types::{
    self, AttestedKey, Evidence, HttpResponse, Submission, Verdict,
};
use serde::Serialize;
use std::sync::Arc;
use std::time::Duration;
use tocsin_domain::ports::Clock;
use wasmtime::component::ResourceTable;
use wasmtime::{Store, Trap, UpdateDeadline};
use wasmtime_wasi::{HostWallClock, WasiCtx, WasiCtxView, WasiView};

/// Handles of WASI that an instance may hold; a runtime needs a handful.
const MAX_HANDLES: usize = 1_000;
/// Random bytes of one call of the host.
const MAX_RANDOM_BYTES: u32 = 1_024;
/// What a call may wait for the host, beside its time to compute. Nothing of the contract takes long.
const MAX_WAIT: Duration = Duration::from_secs(2);

/// What a call cost.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Usage {
    /// Fuel.
    pub fuel: u64,
    /// Most linear memory held at once, in bytes.
    pub memory_bytes: usize,
    /// Time spent executing.
    pub compute: Duration,
}

impl Usage {
    /// Together with a later call.
    pub(super) fn add(&mut self, other: Self) {
        let Self { fuel, memory_bytes, compute } = other;
        self.fuel = self.fuel.saturating_add(fuel);
        self.memory_bytes = self.memory_bytes.max(memory_bytes);
        self.compute = self.compute.saturating_add(compute);
    }
}

/// What to resume with: what was handed over, and the answer.
pub(super) type Resumption = (Vec<u8>, Option<HttpResponse>);

/// Judges a submission, or goes on after an exchange.
pub(super) async fn judge(
    engine: &ValidatorEngine,
    loaded: &Loaded,
    grants: &Arc<Grants>,
    submission: &Submission,
    evidence: Option<&Evidence>,
    resumption: Option<&Resumption>,
) -> (Result<Verdict, Failure>, Usage) {
    call(engine, loaded, grants, Some(&submission.app), async |contract, store| {
        let validator = contract.tocsin_validator_validator();
        match resumption {
            None => validator.call_validate(store, submission, evidence).await,
            Some((continuation, response)) => {
                validator.call_resume(store, submission, evidence, continuation, response.as_ref()).await
            }
        }
    })
    .await
}

/// Asks for name and version.
pub(super) async fn identity(
    engine: &ValidatorEngine,
    loaded: &Loaded,
    grants: &Arc<Grants>,
) -> (Result<String, Failure>, Usage) {
    call(engine, loaded, grants, None, async |contract, store| {
        contract.tocsin_validator_validator().call_identity(store).await
    })
    .await
}

async fn call<T>(
    engine: &ValidatorEngine,
    loaded: &Loaded,
    grants: &Arc<Grants>,
    app: Option<&str>,
    run: impl AsyncFnOnce(&Contract, &mut Store<CallState>) -> wasmtime::Result<T>,
) -> (Result<T, Failure>, Usage) {
    let limits = grants.limits;
    let meter = ComputeMeter::default();
    let mut store = Store::new(&engine.engine, CallState::new(grants.clone(), app, meter.clone()));
    store.limiter(|state| &mut state.space);
    store.set_hostcall_fuel(limits.result_bytes);
    store.set_epoch_deadline(1);
    store.epoch_deadline_callback(move |context| {
        let spent = context.data().meter.spent();
        Ok(if spent > limits.compute {
            UpdateDeadline::Interrupt
        } else {
            UpdateDeadline::YieldCustom(1, Box::pin(tokio::task::yield_now()))
        })
    });
    let outcome = match store.set_fuel(limits.fuel) {
        Err(error) => Some(Err(error)),
        Ok(()) => {
            let run = async {
                let contract = loaded.pre.instantiate_async(&mut store).await?;
                run(&contract, &mut store).await
            };
            meter.run(limits.compute.saturating_add(MAX_WAIT), run).await
        }
    };
    let usage = Usage {
        fuel: limits.fuel.saturating_sub(store.get_fuel().unwrap_or(0)),
        memory_bytes: store.data().space.memory_bytes(),
        compute: meter.spent(),
    };
    let outcome = match outcome {
        Some(outcome) => outcome.map_err(|error| failure(&error)),
        None => Err(Failure::new(FailureKind::OutOfTime, "it waited for too long")),
    };
    (outcome, usage)
}

/// Texts of our own only: what the error holds may be the validator's.
fn failure(error: &wasmtime::Error) -> Failure {
    if let Some(failure) = error.downcast_ref::<Failure>() {
        return failure.clone();
    }
    if error.is::<wasmtime::PoolConcurrencyLimitError>() {
        return Failure::new(FailureKind::Busy, "no instance is free");
    }
    match error.downcast_ref::<Trap>() {
        Some(Trap::OutOfFuel) => Failure::new(FailureKind::OutOfFuel, "all fuel is used up (fuel)"),
        Some(Trap::Interrupt) => Failure::new(FailureKind::OutOfTime, "it computed for too long (compute_ms)"),
        Some(trap) => Failure::new(FailureKind::Trapped, trap.to_string()),
        // wasmtime has no type for this that could be asked for.
        None if format!("{error:#}").contains("fuel allocated for hostcalls") => {
            Failure::new(FailureKind::TooLong, "it passed too many bytes to the host (max_result_bytes)")
        }
        None if error.is::<wasmtime_wasi::I32Exit>() => Failure::new(FailureKind::Trapped, "it called exit"),
        None => Failure::new(FailureKind::Trapped, "it broke the rules of components or of WASI"),
    }
}

/// The data of a store.
pub(super) struct CallState {
    wasi: WasiCtx,
    table: ResourceTable,
    space: SpaceLimiter,
    meter: ComputeMeter,
    grants: Arc<Grants>,
    app: Option<String>,
}

struct InjectedClock(Arc<dyn Clock + Send + Sync>);

impl HostWallClock for InjectedClock {
    fn resolution(&self) -> Duration {
        Duration::from_secs(1)
    }

    fn now(&self) -> Duration {
        Duration::from_secs(u64::try_from(self.0.now().unix()).unwrap_or(0))
    }
}

impl CallState {
    fn new(grants: Arc<Grants>, app: Option<&str>, meter: ComputeMeter) -> Self {
        let mut table = ResourceTable::new();
        table.set_max_capacity(MAX_HANDLES);
        let mut wasi = WasiCtx::builder();
        wasi.wall_clock(InjectedClock(grants.clock.clone())).max_random_size(u64::from(MAX_RANDOM_BYTES));
        Self {
            wasi: wasi.build(),
            table,
            space: SpaceLimiter::new(grants.limits.memory_bytes),
            meter,
            grants,
            app: app.map(str::to_owned),
        }
    }
}

impl WasiView for CallState {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        WasiCtxView { ctx: &mut self.wasi, table: &mut self.table }
    }
}

impl shared::Host for CallState {}

impl types::Host for CallState {}

impl services::Host for CallState {
    fn now(&mut self) -> shared::Timestamp {
        self.grants.clock.now().unix()
    }

    fn random(&mut self, length: u32) -> wasmtime::Result<Vec<u8>> {
        if length > MAX_RANDOM_BYTES {
            let rule = "it asked for more than 1024 random bytes";
            return Err(Failure::new(FailureKind::BadAnswer, rule).into());
        }
        let mut bytes = vec![0; usize::try_from(length).unwrap_or(0)];
        aws_lc_rs::rand::fill(&mut bytes)
            .map_err(|_| Failure::new(FailureKind::HostFailed, "there is no randomness"))?;
        Ok(bytes)
    }

    fn configuration(&mut self) -> String {
        self.grants.configuration.clone()
    }

    fn anchors(&mut self, set: String) -> Vec<Vec<u8>> {
        self.grants.anchors(&set)
    }

    fn is_revoked(&mut self, serial: String) -> Option<bool> {
        self.grants.is_revoked(&serial)
    }

    fn unwrap_key(&mut self, key: String, wrapped: Vec<u8>) -> Option<Vec<u8>> {
        self.grants.unwrap_key(&key, &wrapped)
    }

    fn sign_es256(&mut self, key: String, message: Vec<u8>) -> Option<Vec<u8>> {
        self.grants.sign_es256(&key, &message)
    }

    async fn find_key(&mut self, app: String, key_id: Vec<u8>) -> wasmtime::Result<Option<AttestedKey>> {
        // Keys of other apps are none of its business.
        if self.app.as_ref() != Some(&app) {
            return Ok(None);
        }
        let grants = self.grants.clone();
        let find = move || grants.device_keys.find(&grants.name, &app, &key_id);
        match tokio::task::spawn_blocking(find).await {
            Ok(Ok(found)) => Ok(found),
            Ok(Err(error)) => {
                tracing::error!(%error, "device keys cannot be read");
                Err(Failure::new(FailureKind::HostFailed, "device keys cannot be read").into())
            }
            Err(_) => Err(Failure::new(FailureKind::HostFailed, "reading device keys panicked").into()),
        }
    }
}
