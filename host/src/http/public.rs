//! The public routes: publish, export files, their verification keys, health.

use super::chaff::{self, Arrival, Chaff};
use super::export_files::ExportFiles;
use super::route::Route;
use super::{Body, answer_of_component, json, maintenance, problem, retry_later, text};
use crate::config::{ChaffConfig, PublicConfig};
use crate::engine::{Components, PublishAnswer, PublishRoute, ServiceName};
use crate::services::Services;
use crate::storage::administration::Administration;
use crate::validators::CHALLENGE_SECONDS;
use bytes::{Bytes, BytesMut};
use http::{HeaderValue, Method, Request, Response, StatusCode, header, request};
use http_body_util::BodyExt;
use hyper::body::{Body as _, Incoming};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tocsin_domain::base64;
use tocsin_domain::publish::request::ApiVersion;
use tokio::sync::Semaphore;

/// Route of the public keys that verify export files.
pub const VERIFICATION_KEYS_PATH: &str = "/.well-known/export-verification-keys.json";

/// Route of the challenges that evidence answers.
pub const CHALLENGE_PATH: &str = "/v1/challenge";

/// Answers phones.
#[derive(Clone, Debug)]
pub struct PublicRoutes {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    components: Arc<Components>,
    files: ExportFiles,
    permits: Semaphore,
    health: Health,
    chaff: Chaff,
    max_body_bytes: usize,
    read_timeout: Duration,
    request_timeout: Duration,
}

impl PublicRoutes {
    /// Over the running components.
    pub fn new(components: Arc<Components>, config: &PublicConfig, chaff: &ChaffConfig) -> Self {
        let services = components.services();
        let files = ExportFiles::new(services.clone(), config.exports_bucket.clone());
        let chaff = Chaff::new(chaff, &services.settings, services.maintenance.mode());
        Self {
            shared: Arc::new(Shared {
                components,
                files,
                permits: Semaphore::new(config.max_concurrent_requests),
                health: Health::default(),
                chaff,
                max_body_bytes: config.max_body_bytes,
                read_timeout: Duration::from_millis(config.read_timeout_ms),
                request_timeout: Duration::from_millis(config.request_timeout_ms),
            }),
        }
    }

    /// Answers one request.
    pub async fn handle(self, request: Request<Incoming>) -> Response<Body> {
        let path = request.uri().path();
        if let Some(route) = self.route(path) {
            return self.answer(route, request).await;
        }
        if request.method() != Method::GET && request.method() != Method::HEAD {
            return text(StatusCode::NOT_FOUND, "404 page not found\n");
        }
        if path == VERIFICATION_KEYS_PATH {
            return self.shared.files.verification_keys().await;
        }
        if path == CHALLENGE_PATH {
            return self.challenge();
        }
        match path.strip_prefix("/exports/") {
            Some(name) => self.shared.files.serve(name, request.method(), request.headers()).await,
            None => text(StatusCode::NOT_FOUND, "404 page not found\n"),
        }
    }

    fn route(&self, path: &str) -> Option<Route> {
        let enabled = |route: &Route| match route {
            Route::Publish | Route::Statistics | Route::Health => true,
            Route::PublishV1alpha1 => self.shared.components.services().settings.publish.enable_v1alpha1,
        };
        Route::of_path(path).filter(enabled)
    }

    /// Chaff is looked for before maintenance, and both when the body is there: whether a request is chaff cannot be told by
    /// when or whether its body is read.
    async fn answer(&self, route: Route, request: Request<Incoming>) -> Response<Body> {
        let shared = &self.shared;
        let (parts, body) = request.into_parts();
        let body = match self.read(route, body).await {
            Ok(body) => body,
            Err(answer) => return answer,
        };
        let arrival = Arrival { route, mode: shared.components.services().maintenance.mode(), at: Instant::now() };
        if chaff::is_marked(&parts.headers) {
            // Much of it may wait, and its body is of no use any more.
            drop((parts, body));
            return shared.chaff.answer(arrival).await;
        }
        let answer = if arrival.mode.is_maintenance() {
            maintenance::answer()
        } else {
            let publish = |route| self.publish(route, parts, body);
            let (answer, is_chaff) = match route {
                Route::Publish => publish(PublishRoute::Publish(ApiVersion::V1)).await,
                Route::PublishV1alpha1 => publish(PublishRoute::Publish(ApiVersion::V1Alpha1)).await,
                Route::Statistics => publish(PublishRoute::Statistics).await,
                Route::Health => (self.health().await, false),
            };
            if is_chaff {
                return shared.chaff.answer(arrival).await;
            }
            answer
        };
        shared.chaff.record(arrival, &answer);
        answer
    }

    async fn read(&self, route: Route, body: Incoming) -> Result<Bytes, Response<Body>> {
        if !route.reads_body() {
            return Ok(Bytes::new());
        }
        let shared = &self.shared;
        match tokio::time::timeout(shared.read_timeout, read_body(body, shared.max_body_bytes)).await {
            Ok(Ok(body)) => Ok(body),
            Ok(Err(())) => Err(problem(StatusCode::BAD_REQUEST, "bad_request", "the request body broke off")),
            Err(_) => {
                let error = "the request body did not arrive in time";
                Err(problem(StatusCode::REQUEST_TIMEOUT, "bad_request", error))
            }
        }
    }

    /// The answer, and whether it must be made to look like another because the request was chaff by its body.
    async fn publish(&self, route: PublishRoute, mut parts: request::Parts, body: Bytes) -> (Response<Body>, bool) {
        let shared = &self.shared;
        let permit = tokio::time::timeout(shared.request_timeout, shared.permits.acquire()).await;
        let Ok(Ok(_permit)) = permit else {
            return (retry_later(), false);
        };
        // `wasi:http` wants a readable authority. Clients may send none (HTTP/1.0) or nonsense, and publish does not look
        // at it.
        parts.headers.insert(header::HOST, HeaderValue::from_static("localhost"));
        let request = Request::from_parts(parts, body);
        let mut is_chaff = false;
        let work = async {
            let PublishAnswer { response, chaff } = shared.components.answer(route, request).await?;
            is_chaff = chaff;
            Ok(response)
        };
        let answer = answer_of_component(ServiceName::Publish, shared.request_timeout, work).await;
        (answer, is_chaff)
    }

    /// A new challenge. It is given to anybody, and phones that send chaff had better fetch one too.
    fn challenge(&self) -> Response<Body> {
        let Some(challenge) = self.shared.components.validators().challenge() else {
            return text(StatusCode::NOT_FOUND, "404 page not found\n");
        };
        let challenge = base64::encode(&challenge);
        let value = serde_json::json!({ "challenge": challenge, "expiresInSeconds": CHALLENGE_SECONDS });
        let mut answer = json(StatusCode::OK, &value);
        answer.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        answer
    }

    /// Whether the store works, looked at once a second at most.
    async fn health(&self) -> Response<Body> {
        if self.shared.health.is_good(self.shared.components.services()).await {
            json(StatusCode::OK, &serde_json::json!({ "status": "ok" }))
        } else {
            text(StatusCode::INTERNAL_SERVER_ERROR, "Internal Server Error\n")
        }
    }
}

/// The last look at the store.
#[derive(Debug, Default)]
struct Health(tokio::sync::Mutex<Option<(Instant, bool)>>);

impl Health {
    async fn is_good(&self, services: &Arc<Services>) -> bool {
        const CACHED: Duration = Duration::from_secs(1);
        let mut last = self.0.lock().await;
        if let Some((looked, good)) = *last
            && looked.elapsed() < CACHED
        {
            return good;
        }
        let services = services.clone();
        let status = tokio::task::spawn_blocking(move || services.store.status()).await;
        let good = matches!(status, Ok(Ok(_)));
        *last = Some((Instant::now(), good));
        good
    }
}

/// Reads until the end, or until there are more than `limit` bytes: the component then says that it is too long.
async fn read_body(mut body: Incoming, limit: usize) -> Result<Bytes, ()> {
    let mut whole = BytesMut::new();
    while let Some(frame) = body.frame().await {
        if let Ok(data) = frame.map_err(|_| ())?.into_data() {
            if whole.is_empty() && body.is_end_stream() {
                return Ok(data);
            }
            whole.extend_from_slice(&data);
            if whole.len() > limit {
                break;
            }
        }
    }
    Ok(whole.freeze())
}
