//! The public routes: publish, export files, their verification keys, health.

use super::export_files::ExportFiles;
use super::{Body, answer_of_component, json, problem, retry_later, text};
use crate::config::PublicConfig;
use crate::engine::{Components, PublishRoute, ServiceName};
use crate::services::Services;
use crate::storage::administration::Administration;
use bytes::{Bytes, BytesMut};
use http::{HeaderValue, Method, Request, Response, StatusCode, header};
use http_body_util::BodyExt;
use hyper::body::{Body as _, Incoming};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tocsin_domain::publish::request::ApiVersion;
use tokio::sync::Semaphore;

/// Route of the public keys that verify export files.
pub const VERIFICATION_KEYS_PATH: &str = "/.well-known/export-verification-keys.json";

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
    max_body_bytes: usize,
    read_timeout: Duration,
    request_timeout: Duration,
}

impl PublicRoutes {
    /// Over the running components.
    pub fn new(components: Arc<Components>, config: &PublicConfig) -> Self {
        let files = ExportFiles::new(components.services().clone(), config.exports_bucket.clone());
        Self {
            shared: Arc::new(Shared {
                components,
                files,
                permits: Semaphore::new(config.max_concurrent_requests),
                health: Health::default(),
                max_body_bytes: config.max_body_bytes,
                read_timeout: Duration::from_millis(config.read_timeout_ms),
                request_timeout: Duration::from_millis(config.request_timeout_ms),
            }),
        }
    }

    /// Answers one request.
    pub async fn handle(self, request: Request<Incoming>) -> Response<Body> {
        let path = request.uri().path();
        if let Some(route) = self.publish_route(path) {
            return self.publish(route, request).await;
        }
        if path == "/health" {
            return self.health().await;
        }
        if request.method() != Method::GET && request.method() != Method::HEAD {
            return text(StatusCode::NOT_FOUND, "404 page not found\n");
        }
        if path == VERIFICATION_KEYS_PATH {
            return self.shared.files.verification_keys().await;
        }
        match path.strip_prefix("/exports/") {
            Some(name) => self.shared.files.serve(name, request.method(), request.headers()).await,
            None => text(StatusCode::NOT_FOUND, "404 page not found\n"),
        }
    }

    fn publish_route(&self, path: &str) -> Option<PublishRoute> {
        match path {
            "/v1/publish" => Some(PublishRoute::Publish(ApiVersion::V1)),
            "/" if self.shared.components.services().settings.publish.enable_v1alpha1 => {
                Some(PublishRoute::Publish(ApiVersion::V1Alpha1))
            }
            "/v1/stats" => Some(PublishRoute::Statistics),
            _ => None,
        }
    }

    async fn publish(&self, route: PublishRoute, request: Request<Incoming>) -> Response<Body> {
        let shared = &self.shared;
        let (mut parts, body) = request.into_parts();
        let body = match tokio::time::timeout(shared.read_timeout, read_body(body, shared.max_body_bytes)).await {
            Ok(Ok(body)) => body,
            Ok(Err(())) => {
                return problem(StatusCode::BAD_REQUEST, "bad_request", "the request body broke off");
            }
            Err(_) => {
                return problem(StatusCode::REQUEST_TIMEOUT, "bad_request", "the request body did not arrive in time");
            }
        };
        let permit = tokio::time::timeout(shared.request_timeout, shared.permits.acquire()).await;
        let Ok(Ok(_permit)) = permit else {
            return retry_later();
        };
        // `wasi:http` wants a readable authority. Clients may send none (HTTP/1.0) or nonsense, and publish does not look
        // at it.
        parts.headers.insert(header::HOST, HeaderValue::from_static("localhost"));
        let request = Request::from_parts(parts, body);
        let work = async { Ok(shared.components.answer(route, request).await?.response) };
        answer_of_component(ServiceName::Publish, shared.request_timeout, work).await
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
