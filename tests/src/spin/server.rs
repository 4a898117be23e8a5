//! Routes requests to composed components, as `spin.toml` says, and runs each in an instance of its own.

use super::compose::compose;
use super::interfaces::{Resources, bindings};
use crate::harness::components_folder;
use bytes::Bytes;
use http::{HeaderValue, Request, Response, header};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tocsin_domain::ports::Clock;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use wasmtime::component::{Component, HasSelf, Linker, ResourceTable};
use wasmtime::{Config, Engine, Store};
use wasmtime_wasi::{HostWallClock, WasiCtx, WasiCtxView, WasiView};
use wasmtime_wasi_http::p2::bindings::ProxyPre;
use wasmtime_wasi_http::p2::bindings::http::types::{ErrorCode, Scheme};
use wasmtime_wasi_http::{RequestOptions, WasiBody, WasiHttpCtx, WasiHttpCtxView, WasiHttpHooks, WasiHttpView};

/// The data of a store: one request's.
pub struct InstanceState {
    wasi: WasiCtx,
    http: WasiHttpCtx,
    hooks: NoOutgoingHttp,
    pub(super) table: ResourceTable,
    pub(super) app: Arc<SpinApp>,
}

struct NoOutgoingHttp;

type Connection = Box<dyn Future<Output = Result<(), wasmtime_wasi_http::Error>> + Send>;
type Sent = Result<(http::Response<WasiBody>, Connection), wasmtime_wasi_http::Error>;

impl WasiHttpHooks for NoOutgoingHttp {
    fn send_request(
        &mut self,
        _request: Request<WasiBody>,
        _options: Option<RequestOptions>,
        _sent: Connection,
    ) -> Box<dyn Future<Output = Sent> + Send> {
        Box::new(async { Err(ErrorCode::HttpRequestDenied.into()) })
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

struct InjectedClock(Arc<dyn Clock + Send + Sync>);

impl HostWallClock for InjectedClock {
    fn resolution(&self) -> Duration {
        Duration::from_secs(1)
    }

    fn now(&self) -> Duration {
        Duration::from_secs(u64::try_from(self.0.now().unix()).unwrap_or(0))
    }
}

/// An application: composed components and what they share.
pub struct SpinApp {
    engine: Engine,
    components: BTreeMap<&'static str, ProxyPre<InstanceState>>,
    /// What the application has.
    pub resources: Resources,
    clock: Arc<dyn Clock + Send + Sync>,
}

impl std::fmt::Debug for SpinApp {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SpinApp").finish_non_exhaustive()
    }
}

impl SpinApp {
    /// Composes and compiles all components.
    pub fn new(resources: Resources, clock: Arc<dyn Clock + Send + Sync>) -> Arc<Self> {
        let engine = Engine::new(&Config::new()).expect("an engine");
        let mut linker = Linker::new(&engine);
        wasmtime_wasi::p2::add_to_linker_async(&mut linker).expect("WASI");
        wasmtime_wasi_http::p2::add_only_http_to_linker_async(&mut linker).expect("HTTP");
        bindings::Spin::add_to_linker::<InstanceState, HasSelf<InstanceState>>(&mut linker, |state| state)
            .expect("Spin's interfaces");
        let ready = |bytes: &[u8]| {
            let component = Component::new(&engine, bytes).expect("compiles");
            ProxyPre::new(linker.instantiate_pre(&component).expect("links")).expect("a handler")
        };
        let mut components: BTreeMap<_, _> =
            ["publish", "export", "purge"].into_iter().map(|name| (name, ready(&compose(name).bytes))).collect();
        let files = std::fs::read(components_folder().join("spin/files-route.wasm")).expect("built");
        components.insert("files", ready(&files));
        Arc::new(Self { engine, components, resources, clock })
    }

    /// The component of a route.
    fn route(path: &str) -> Option<&'static str> {
        match path {
            "/" | "/health" | "/v1/publish" | "/v1/stats" => Some("publish"),
            "/create-batches" | "/do-work" => Some("export"),
            "/cleanup-exposure" | "/cleanup-export" => Some("purge"),
            path if path.starts_with("/exports/") => Some("files"),
            _ => None,
        }
    }

    /// Answers a request in an instance of its own.
    pub async fn handle(self: &Arc<Self>, request: Request<Bytes>) -> Response<Bytes> {
        let answer = |status, text: String| Response::builder().status(status).body(Bytes::from(text)).expect("valid");
        let Some(component) = Self::route(request.uri().path()) else {
            return answer(404, String::new());
        };
        self.run(component, request).await.unwrap_or_else(|error| answer(500, format!("{error:#}")))
    }

    async fn run(self: &Arc<Self>, component: &str, mut request: Request<Bytes>) -> wasmtime::Result<Response<Bytes>> {
        request.headers_mut().insert(header::HOST, HeaderValue::from_static("localhost"));
        let mut wasi = WasiCtx::builder();
        wasi.wall_clock(InjectedClock(self.clock.clone())).inherit_stderr();
        let state = InstanceState {
            wasi: wasi.build(),
            http: WasiHttpCtx::new(),
            hooks: NoOutgoingHttp,
            table: ResourceTable::new(),
            app: self.clone(),
        };
        let mut store = Store::new(&self.engine, state);
        let (sender, receiver) = tokio::sync::oneshot::channel();
        let request = request.map(|body| Full::new(body).map_err(|never| -> ErrorCode { match never {} }));
        let request = store.data_mut().http().new_incoming_request(Scheme::Http, request)?;
        let out = store.data_mut().http().new_response_outparam(sender)?;
        let pre = self.components[component].clone();
        let run = async move {
            let proxy = pre.instantiate_async(&mut store).await?;
            proxy.wasi_http_incoming_handler().call_handle(store, request, out).await
        };
        let receive = async move {
            let response = receiver.await.map_err(|_| wasmtime::format_err!("no answer"))?;
            let (parts, body) = response.map_err(|code| wasmtime::format_err!("{code:?}"))?.into_parts();
            let body = body.collect().await.map_err(|_| wasmtime::format_err!("the answer broke off"))?;
            Ok(Response::from_parts(parts, body.to_bytes()))
        };
        let (ran, answer) = tokio::join!(run, receive);
        ran?;
        answer
    }
}

/// An application that listens on loopback.
#[derive(Debug)]
pub struct SpinServer {
    /// Where.
    pub address: SocketAddr,
    task: JoinHandle<()>,
}

impl SpinServer {
    /// Serves until it is dropped.
    pub async fn start(app: Arc<SpinApp>) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a port");
        let address = listener.local_addr().expect("bound");
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let app = app.clone();
                let service = service_fn(move |request: Request<Incoming>| {
                    let app = app.clone();
                    async move {
                        let (parts, body) = request.into_parts();
                        let body = body.collect().await?.to_bytes();
                        let answer = app.handle(Request::from_parts(parts, body)).await;
                        Ok::<_, hyper::Error>(answer.map(Full::new))
                    }
                });
                tokio::spawn(
                    hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service),
                );
            }
        });
        Self { address, task }
    }
}

impl Drop for SpinServer {
    fn drop(&mut self) {
        self.task.abort();
    }
}
