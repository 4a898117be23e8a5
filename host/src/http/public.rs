//! The public routes: publish, export files, their verification keys, health.

use super::export_files::ExportFiles;
use super::{Body, json, problem, retry_later, run_component, text};
use crate::config::PublicConfig;
use crate::engine::{Components, ServiceName};
use bytes::{Bytes, BytesMut};
use http::{Method, Request, Response, StatusCode};
use http_body_util::BodyExt;
use hyper::body::{Body as _, Incoming};
use std::sync::Arc;
use std::time::Duration;
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
                max_body_bytes: config.max_body_bytes,
                read_timeout: Duration::from_millis(config.read_timeout_ms),
                request_timeout: Duration::from_millis(config.request_timeout_ms),
            }),
        }
    }

    /// Answers one request.
    pub async fn handle(self, request: Request<Incoming>) -> Response<Body> {
        let path = request.uri().path();
        if path == "/v1/publish" {
            return self.publish(request).await;
        }
        if path == "/health" {
            return json(StatusCode::OK, &serde_json::json!({ "status": "ok" }));
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

    async fn publish(&self, request: Request<Incoming>) -> Response<Body> {
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
        // `wasi:http` wants an authority; HTTP/1.0 clients may send none, and publish does not look at it.
        if parts.uri.authority().is_none() && !parts.headers.contains_key(http::header::HOST) {
            parts.headers.insert(http::header::HOST, http::HeaderValue::from_static("localhost"));
        }
        let permit = tokio::time::timeout(shared.request_timeout, shared.permits.acquire()).await;
        let Ok(Ok(_permit)) = permit else {
            return retry_later();
        };
        let request = Request::from_parts(parts, body);
        run_component(&shared.components, ServiceName::Publish, request, shared.request_timeout).await
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
