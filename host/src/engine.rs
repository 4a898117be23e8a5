//! The wasmtime engine: compiles components, and runs each request or job in a fresh instance with its limits.

use crate::bindings::export::ExportJobsPre;
use crate::bindings::publish::PublishPre;
use crate::bindings::purge::PurgeJobsPre;
use crate::capability;
use crate::components::{CompileCache, ComponentError, ComponentFiles, compose_publish};
use crate::config::LimitsConfig;
use crate::services::Services;
use crate::state::{EPOCH, InstanceLimits, InstanceState};
use bytes::Bytes;
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tocsin_domain::publish::request::ApiVersion;
use tocsin_domain::publish::response::{API_VERSION_HEADER, CONTENT_TYPE_HEADER, api_version};
use tocsin_domain::publish::service::explain::Explanation;
use wasmtime::component::{Component, InstancePre, Linker};
use wasmtime::{Config, Enabled, Engine, InstanceAllocationStrategy, PoolingAllocationConfig, Store};
use wasmtime_wasi_http::WasiHttpView;
use wasmtime_wasi_http::p2::bindings::ProxyPre;
use wasmtime_wasi_http::p2::bindings::http::types::{ErrorCode, Scheme};

/// Jobs that may run beside the requests.
const JOB_INSTANCES: usize = 4;
/// No answer of ours is longer; a component that answers more is refused.
const MAX_RESPONSE_BYTES: usize = 1024 * 1024;

/// Which component answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ServiceName {
    /// Publish, with verification inside.
    Publish,
    /// Export jobs.
    Export,
    /// Purge jobs.
    Purge,
}

/// What the publish component is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PublishRoute {
    /// To publish keys.
    Publish(ApiVersion),
    /// A health authority's statistics.
    Statistics,
}

/// What it answered.
#[derive(Debug)]
pub struct PublishAnswer {
    /// The answer.
    pub response: http::Response<Bytes>,
    /// The request was a chaff request by its body, and the answer must be made to look like another.
    pub chaff: bool,
}

/// A component did not do its work. What it did before, if anything, was whole.
#[derive(Debug)]
pub enum InstanceFailure {
    /// It trapped, ran out of time or memory, or broke its contract. The text is for the log.
    Fault(String),
    /// There is no room for another instance.
    Busy,
}

impl fmt::Display for InstanceFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Fault(text) => f.write_str(text),
            Self::Busy => f.write_str("no instance is free"),
        }
    }
}

impl std::error::Error for InstanceFailure {}

struct Service<Typed> {
    typed: Typed,
    http: ProxyPre<InstanceState>,
    limits: InstanceLimits,
}

/// The components of the server, ready to run.
pub struct Components {
    engine: Engine,
    services: Arc<Services>,
    publish: Service<Option<PublishPre<InstanceState>>>,
    export: Service<ExportJobsPre<InstanceState>>,
    purge: Service<PurgeJobsPre<InstanceState>>,
}

impl fmt::Debug for Components {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Components").finish_non_exhaustive()
    }
}

impl Components {
    /// Compiles (or takes from the cache) and links all components.
    ///
    /// Fails when a component imports what the host does not grant, or does not export its service.
    pub fn new(
        files: &ComponentFiles,
        cache_folder: &Path,
        limits: &LimitsConfig,
        max_requests: usize,
        services: Arc<Services>,
    ) -> Result<Self, ComponentError> {
        let engine = new_engine(limits, max_requests)?;
        start_epochs(&engine);
        let cache = CompileCache::open(cache_folder)?;
        let linker = new_linker(&engine)?;
        let publish = cache.compile(&engine, "publish", &[&files.publish, &files.verification], || {
            compose_publish(&files.publish, &files.verification)
        })?;
        let export = cache.compile(&engine, "export", &[&files.export], || Ok(files.export.clone()))?;
        let purge = cache.compile(&engine, "purge", &[&files.purge], || Ok(files.purge.clone()))?;
        let job_limits = |limits: crate::config::JobLimits| instance_limits(limits.memory_mib, limits.compute_ms);
        Ok(Self {
            publish: service(
                "publish",
                &linker,
                &publish,
                instance_limits(limits.publish.memory_mib, limits.publish.compute_ms),
                |pre| Ok(PublishPre::new(pre).ok()),
            )?,
            export: service("export", &linker, &export, job_limits(limits.export), ExportJobsPre::new)?,
            purge: service("purge", &linker, &purge, job_limits(limits.purge), PurgeJobsPre::new)?,
            engine,
            services,
        })
    }

    /// What the components may use.
    pub fn services(&self) -> &Arc<Services> {
        &self.services
    }

    fn store(&self, limits: InstanceLimits) -> Store<InstanceState> {
        let mut store = Store::new(&self.engine, InstanceState::new(self.services.clone(), limits));
        store.limiter(|state| &mut state.limits);
        store.set_epoch_deadline(1);
        store.epoch_deadline_callback(|context| Ok(context.data().check_compute()));
        store
    }

    /// Answers an HTTP request through the component's `wasi:http/incoming-handler`.
    pub async fn handle_http(
        &self,
        service: ServiceName,
        request: http::Request<Bytes>,
    ) -> Result<http::Response<Bytes>, InstanceFailure> {
        let (pre, limits) = match service {
            ServiceName::Publish => (&self.publish.http, self.publish.limits),
            ServiceName::Export => (&self.export.http, self.export.limits),
            ServiceName::Purge => (&self.purge.http, self.purge.limits),
        };
        let mut store = self.store(limits);
        let (sender, receiver) = tokio::sync::oneshot::channel();
        let request = request.map(|body| Full::new(body).map_err(|never| -> ErrorCode { match never {} }));
        let request = store.data_mut().http().new_incoming_request(Scheme::Http, request).map_err(fault)?;
        let out = store.data_mut().http().new_response_outparam(sender).map_err(fault)?;
        let run = async move {
            let proxy = pre.instantiate_async(&mut store).await.map_err(instantiation_failure)?;
            // The store goes when the call ends: a component that never answers is then seen by the receiver.
            proxy.wasi_http_incoming_handler().call_handle(store, request, out).await.map_err(fault)
        };
        let answer = async move {
            match receiver.await {
                Ok(Ok(response)) => {
                    let (parts, body) = response.into_parts();
                    let body = Limited::new(body, MAX_RESPONSE_BYTES).collect().await.map_err(|error| {
                        if error.downcast_ref::<LengthLimitError>().is_some() {
                            InstanceFailure::Fault("the answer of a component is too long".to_owned())
                        } else {
                            InstanceFailure::Fault(format!("a component broke off its answer: {error}"))
                        }
                    })?;
                    Ok(Some(http::Response::from_parts(parts, body.to_bytes())))
                }
                Ok(Err(code)) => {
                    // Only the name: what the error holds is text of the component, and may be what a phone sent.
                    let code = format!("{code:?}");
                    let name = code.split(|c: char| !c.is_alphanumeric()).next().unwrap_or_default();
                    Err(InstanceFailure::Fault(format!("a component answered with the error {name}")))
                }
                Err(_) => Ok(None),
            }
        };
        let (ran, answer) = tokio::join!(run, answer);
        ran?;
        answer?.ok_or_else(|| InstanceFailure::Fault("a component did not answer".to_owned()))
    }

    /// Answers a phone or a health authority: through the typed export of publish if it has one, which costs about an
    /// eighth less (`cargo xtask bench sandbox`), else through `wasi:http`.
    pub async fn answer(
        &self,
        route: PublishRoute,
        request: http::Request<Bytes>,
    ) -> Result<PublishAnswer, InstanceFailure> {
        if self.publish.typed.is_none() {
            let response = self.handle_http(ServiceName::Publish, request).await?;
            return Ok(PublishAnswer { response, chaff: false });
        }
        let header = |name: http::HeaderName| {
            let value = request.headers().get(name).and_then(|value| value.to_str().ok());
            value.map(str::to_owned)
        };
        let content_type = header(http::header::CONTENT_TYPE);
        let user_agent = header(http::header::USER_AGENT);
        let authorization = header(http::header::AUTHORIZATION);
        let body = request.into_body().into();
        let mut builder = http::Response::builder();
        let Response { status, chaff, body } = match route {
            PublishRoute::Publish(api) => {
                builder = builder.header(API_VERSION_HEADER, api_version(api));
                self.publish(&publish_request(api, content_type, user_agent, body)).await?
            }
            PublishRoute::Statistics => {
                let request = StatisticsRequest { content_type, authorization, body };
                self.call_publish(async |typed, store| typed.call_statistics(store, &request).await).await?
            }
        };
        if body.len() > MAX_RESPONSE_BYTES {
            return Err(InstanceFailure::Fault("the answer of a component is too long".to_owned()));
        }
        let response = builder
            .status(status)
            .header(CONTENT_TYPE_HEADER.0, CONTENT_TYPE_HEADER.1)
            .body(Bytes::from(body))
            .map_err(|error| InstanceFailure::Fault(format!("a component answered with no HTTP status: {error}")))?;
        Ok(PublishAnswer { response, chaff })
    }

    /// Publishes through the typed export.
    pub async fn publish(&self, request: &PublishRequest) -> Result<Response, InstanceFailure> {
        self.call_publish(async |typed, store| typed.call_publish(store, request).await).await
    }

    /// What a publish would do, and why, as publish explains it. Changes nothing.
    pub async fn explain(&self, api: ApiVersion, body: Vec<u8>) -> Result<Explanation, InstanceFailure> {
        let request = publish_request(api, Some("application/json".to_owned()), None, body);
        let text = self.call_publish(async |typed, store| typed.call_explain(store, &request).await).await?;
        serde_json::from_str(&text)
            .map_err(|error| InstanceFailure::Fault(format!("a component explained unreadably: {error}")))
    }

    async fn call_publish<T>(
        &self,
        call: impl AsyncFnOnce(&publisher::Guest, &mut Store<InstanceState>) -> wasmtime::Result<T>,
    ) -> Result<T, InstanceFailure> {
        let typed = self.publish.typed.as_ref();
        let typed = typed.ok_or_else(|| InstanceFailure::Fault("publish has no typed export".to_owned()))?;
        let mut store = self.store(self.publish.limits);
        let instance = typed.instantiate_async(&mut store).await.map_err(instantiation_failure)?;
        call(instance.tocsin_component_publisher(), &mut store).await.map_err(fault)
    }

    /// Creates the batches that are due. The inner error is the job's own.
    pub async fn create_batches(&self) -> Result<Result<BatchesReport, String>, InstanceFailure> {
        let mut store = self.store(self.export.limits);
        let instance = self.export.typed.instantiate_async(&mut store).await.map_err(instantiation_failure)?;
        instance.tocsin_component_exporter().call_create_batches(&mut store).await.map_err(fault)
    }

    /// Works on at most one batch. The inner error is the job's own.
    pub async fn do_work(&self) -> Result<Result<WorkReport, WorkError>, InstanceFailure> {
        let mut store = self.store(self.export.limits);
        let instance = self.export.typed.instantiate_async(&mut store).await.map_err(instantiation_failure)?;
        instance.tocsin_component_exporter().call_do_work(&mut store).await.map_err(fault)
    }

    /// Purges exposures and returns how many. The inner error is the job's own.
    pub async fn purge_exposures(&self) -> Result<Result<u64, String>, InstanceFailure> {
        let mut store = self.store(self.purge.limits);
        let instance = self.purge.typed.instantiate_async(&mut store).await.map_err(instantiation_failure)?;
        instance.tocsin_component_purger().call_purge_exposures(&mut store).await.map_err(fault)
    }

    /// Purges export files. The inner error is the job's own.
    pub async fn purge_export_files(&self) -> Result<Result<FilesReport, String>, InstanceFailure> {
        let mut store = self.store(self.purge.limits);
        let instance = self.purge.typed.instantiate_async(&mut store).await.map_err(instantiation_failure)?;
        instance.tocsin_component_purger().call_purge_export_files(&mut store).await.map_err(fault)
    }
}

/// The request of the typed export.
pub fn publish_request(
    api: ApiVersion,
    content_type: Option<String>,
    user_agent: Option<String>,
    body: Vec<u8>,
) -> PublishRequest {
    let api = match api {
        ApiVersion::V1 => publisher::ApiVersion::V1,
        ApiVersion::V1Alpha1 => publisher::ApiVersion::V1alpha1,
    };
    PublishRequest { api, content_type, user_agent, body }
}

use crate::bindings::publish::exports::tocsin::component::publisher::{self, Response, StatisticsRequest};

pub use crate::bindings::publish::exports::tocsin::component::publisher::PublishRequest;

pub use crate::bindings::export::exports::tocsin::component::exporter::{
    BatchReport, BatchesReport, WorkError, WorkReport,
};
pub use crate::bindings::purge::exports::tocsin::component::purger::FilesReport;

fn instance_limits(memory_mib: u32, compute_ms: u64) -> InstanceLimits {
    InstanceLimits { memory_bytes: memory_mib as usize * 1024 * 1024, compute: Duration::from_millis(compute_ms) }
}

fn service<Typed>(
    name: &str,
    linker: &Linker<InstanceState>,
    component: &Component,
    limits: InstanceLimits,
    typed: fn(InstancePre<InstanceState>) -> wasmtime::Result<Typed>,
) -> Result<Service<Typed>, ComponentError> {
    let failed = |error: wasmtime::Error| ComponentError::new(format!("{name}.wasm cannot be used: {error:#}"));
    let pre = linker.instantiate_pre(component).map_err(failed)?;
    Ok(Service { http: ProxyPre::new(pre.clone()).map_err(failed)?, typed: typed(pre).map_err(failed)?, limits })
}

/// One core module becomes several core instances (adapters and shims), and publish holds two components.
fn new_engine(limits: &LimitsConfig, max_requests: usize) -> Result<Engine, ComponentError> {
    let instances = u32::try_from(max_requests + JOB_INSTANCES).unwrap_or(u32::MAX / 32);
    let memory_mib = limits.publish.memory_mib.max(limits.export.memory_mib).max(limits.purge.memory_mib);
    let mut pool = PoolingAllocationConfig::default();
    pool.total_component_instances(instances)
        .total_core_instances(instances * 16)
        .total_memories(instances * 2)
        .total_tables(instances * 8)
        .total_stacks(instances)
        .max_memory_size(memory_mib as usize * 1024 * 1024)
        .table_elements(5_000)
        .linear_memory_keep_resident(2 * 1024 * 1024)
        .table_keep_resident(64 * 1024)
        // Resets only the pages an instance wrote, where the kernel can tell (Linux 6.7): half the cost of a request.
        .pagemap_scan(Enabled::Auto);
    let mut config = Config::new();
    config
        .epoch_interruption(true)
        .allocation_strategy(InstanceAllocationStrategy::Pooling(pool))
        // Component-model async is not used, and its bookkeeping costs at each call across the boundary.
        .concurrency_support(false);
    Engine::new(&config).map_err(|error| {
        ComponentError::new(format!(
            "the WebAssembly engine does not start: {error:#}; lower public.max_concurrent_requests if memory is short"
        ))
    })
}

fn new_linker(engine: &Engine) -> Result<Linker<InstanceState>, ComponentError> {
    let mut linker = Linker::new(engine);
    // WASI without files, network, environment, arguments or output (`InstanceState::new`), and no outgoing HTTP.
    wasmtime_wasi::p2::add_to_linker_async(&mut linker)
        .and_then(|()| {
            let options = wasmtime_wasi_http::p2::bindings::LinkOptions::default();
            wasmtime_wasi_http::p2::bindings::http::types::add_to_linker::<_, wasmtime_wasi_http::WasiHttp>(
                &mut linker,
                &options.into(),
                InstanceState::http,
            )
        })
        .and_then(|()| capability::add_to_linker(&mut linker))
        .map_err(|error| ComponentError::new(format!("the host's interfaces do not link: {error:#}")))?;
    Ok(linker)
}

/// Advances the epoch until the engine is gone.
pub(crate) fn start_epochs(engine: &Engine) {
    let engine = engine.weak();
    std::thread::Builder::new()
        .name("epochs".to_owned())
        .spawn(move || {
            while let Some(engine) = engine.upgrade() {
                engine.increment_epoch();
                drop(engine);
                std::thread::sleep(EPOCH);
            }
        })
        // Unwrap safety: a system that cannot start a thread cannot run a server; this is at start.
        .unwrap();
}

fn fault(error: wasmtime::Error) -> InstanceFailure {
    InstanceFailure::Fault(format!("{error:#}"))
}

fn instantiation_failure(error: wasmtime::Error) -> InstanceFailure {
    if error.is::<wasmtime::PoolConcurrencyLimitError>() { InstanceFailure::Busy } else { fault(error) }
}
