//! What one instance of a component owns: its limits, its WASI context (empty but for clock and randomness), its services.

use crate::services::Services;
use crate::validators::Validators;
use std::sync::Arc;
use std::time::{Duration, Instant};
use wasmtime::component::ResourceTable;
use wasmtime::{StoreLimits, StoreLimitsBuilder, UpdateDeadline};
use wasmtime_wasi::{HostWallClock, WasiCtx, WasiCtxView, WasiView};
use wasmtime_wasi_http::p2::bindings::http::types::ErrorCode;
use wasmtime_wasi_http::{RequestOptions, WasiBody, WasiHttpCtx, WasiHttpCtxView, WasiHttpHooks, WasiHttpView};

/// Length of an epoch. Compute limits are checked this often, and a busy component yields to others this often.
pub const EPOCH: Duration = Duration::from_millis(10);

/// What an instance may make the host hold for it, beside its own memory: handles of WASI (a publish has about ten), and
/// random bytes of one call (padding is 2 KiB). wasmtime's own limits suit one trusted guest rather than many hostile ones.
const MAX_HANDLES: usize = 1_000;
pub(crate) const MAX_RANDOM_BYTES: usize = 1024 * 1024;

/// Limits of an instance.
#[derive(Clone, Copy, Debug)]
pub struct InstanceLimits {
    /// Linear memory, in bytes, for all memories of the instance together.
    pub memory_bytes: usize,
    /// Time spent executing, not waiting for the host.
    pub compute: Duration,
}

/// The data of a store.
pub struct InstanceState {
    wasi: WasiCtx,
    http: WasiHttpCtx,
    hooks: NoOutgoingHttp,
    table: ResourceTable,
    pub(crate) limits: StoreLimits,
    compute: Duration,
    started: Instant,
    waited: Duration,
    pub(crate) services: Arc<Services>,
    pub(crate) validators: Arc<Validators>,
}

impl std::fmt::Debug for InstanceState {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("InstanceState").field("waited", &self.waited).finish_non_exhaustive()
    }
}

/// A component cannot even link against `wasi:http/outgoing-handler`; this refuses once more.
struct NoOutgoingHttp;

type Connection = Box<dyn Future<Output = Result<(), wasmtime_wasi_http::Error>> + Send>;
type Sent = Result<(http::Response<WasiBody>, Connection), wasmtime_wasi_http::Error>;

impl WasiHttpHooks for NoOutgoingHttp {
    fn send_request(
        &mut self,
        _request: http::Request<WasiBody>,
        _options: Option<RequestOptions>,
        _sent: Connection,
    ) -> Box<dyn Future<Output = Sent> + Send> {
        Box::new(async { Err(ErrorCode::HttpRequestDenied.into()) })
    }
}

struct InjectedClock(Arc<Services>);

impl HostWallClock for InjectedClock {
    fn resolution(&self) -> Duration {
        Duration::from_secs(1)
    }

    fn now(&self) -> Duration {
        Duration::from_secs(u64::try_from(self.0.clock.now().unix()).unwrap_or(0))
    }
}

impl InstanceState {
    /// For a fresh instance.
    pub fn new(services: Arc<Services>, validators: Arc<Validators>, limits: InstanceLimits) -> Self {
        let mut table = ResourceTable::new();
        table.set_max_capacity(MAX_HANDLES);
        let mut wasi = WasiCtx::builder();
        wasi.wall_clock(InjectedClock(services.clone())).max_random_size(MAX_RANDOM_BYTES as u64);
        Self {
            wasi: wasi.build(),
            http: WasiHttpCtx::new(),
            hooks: NoOutgoingHttp,
            table,
            limits: StoreLimitsBuilder::new().memory_size(limits.memory_bytes).trap_on_grow_failure(true).build(),
            compute: limits.compute,
            started: Instant::now(),
            waited: Duration::ZERO,
            services,
            validators,
        }
    }

    /// Counts time that the instance spent waiting for the host since `since`, which is not its own.
    pub(crate) fn add_wait(&mut self, since: Instant) {
        self.waited += since.elapsed();
    }

    /// At the end of an epoch: stop the instance if it used up its time, else let others run.
    pub(crate) fn check_compute(&self) -> UpdateDeadline {
        if self.started.elapsed().saturating_sub(self.waited) > self.compute {
            UpdateDeadline::Interrupt
        } else {
            UpdateDeadline::YieldCustom(1, Box::pin(tokio::task::yield_now()))
        }
    }
}

impl WasiView for InstanceState {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        WasiCtxView { ctx: &mut self.wasi, table: &mut self.table }
    }
}

impl WasiHttpView for InstanceState {
    fn http(&mut self) -> WasiHttpCtxView<'_> {
        WasiHttpCtxView { ctx: &mut self.http, table: &mut self.table, hooks: &mut self.hooks }
    }
}
