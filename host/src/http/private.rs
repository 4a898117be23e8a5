//! The private routes: jobs, as a scheduler calls them, and administration. They listen on a Unix socket, or on an address
//! that only the operator reaches.

use super::{Body, answer_of_component, json, problem, text};
use crate::admin::{self, AdminRequest};
use crate::engine::{Components, ServiceName};
use crate::jobs::{self, Job};
use bytes::Bytes;
use http::{Method, Request, Response, StatusCode, header};
use http_body_util::{BodyExt, Limited};
use hyper::body::Incoming;
use std::sync::Arc;
use std::time::Duration;

const MAX_ADMIN_BYTES: usize = 1024 * 1024;
const JOB_TIMEOUT: Duration = Duration::from_secs(600);

/// Answers operators and schedulers.
#[derive(Clone, Debug)]
pub struct PrivateRoutes {
    components: Arc<Components>,
}

impl PrivateRoutes {
    /// Over the running components.
    pub fn new(components: Arc<Components>) -> Self {
        Self { components }
    }

    /// Answers one request.
    pub async fn handle(self, request: Request<Incoming>) -> Response<Body> {
        let service = match request.uri().path() {
            "/admin" => return self.administer(request).await,
            "/health" => return self.health().await,
            "/rotate-keys" => return self.rotate_keys().await,
            "/create-batches" | "/do-work" => ServiceName::Export,
            "/cleanup-exposure" | "/cleanup-export" => ServiceName::Purge,
            _ => return text(StatusCode::NOT_FOUND, "404 page not found\n"),
        };
        let mut request = request.map(|_| Bytes::new());
        request.headers_mut().insert(http::header::HOST, http::HeaderValue::from_static("localhost"));
        answer_of_component(service, JOB_TIMEOUT, self.components.handle_http(service, request)).await
    }

    async fn administer(&self, request: Request<Incoming>) -> Response<Body> {
        if request.method() != Method::POST {
            return problem(StatusCode::METHOD_NOT_ALLOWED, "bad_request", "administration takes POST");
        }
        // A web page in an operator's browser can post here without asking only with other content types.
        if request.headers().get(header::CONTENT_TYPE).is_none_or(|value| value != "application/json") {
            return problem(StatusCode::UNSUPPORTED_MEDIA_TYPE, "bad_request", "administration takes application/json");
        }
        let Ok(body) = Limited::new(request.into_body(), MAX_ADMIN_BYTES).collect().await else {
            return problem(StatusCode::BAD_REQUEST, "bad_request", "the body broke off or is longer than 1 MiB");
        };
        let request: AdminRequest = match serde_json::from_slice(&body.to_bytes()) {
            Ok(request) => request,
            Err(error) => return problem(StatusCode::BAD_REQUEST, "bad_request", &error.to_string()),
        };
        match admin::apply(&self.components, request).await {
            Ok(value) => json(StatusCode::OK, &value),
            Err(error) => problem(error.status(), error.code(), &error.to_string()),
        }
    }

    /// Answers as the components answer for their jobs.
    async fn rotate_keys(&self) -> Response<Body> {
        match jobs::run(&self.components, Job::RotateKeys).await {
            Ok(report) if report["already_running"] == true => {
                json(StatusCode::OK, &serde_json::json!({ "error": "too early" }))
            }
            Ok(_) => json(StatusCode::OK, &serde_json::json!({ "ok": true })),
            Err(error) => {
                json(StatusCode::INTERNAL_SERVER_ERROR, &serde_json::json!({ "errors": [error.to_string()] }))
            }
        }
    }

    async fn health(&self) -> Response<Body> {
        match admin::apply(&self.components, AdminRequest::Status).await {
            Ok(value) => json(StatusCode::OK, &value),
            Err(error) => problem(error.status(), error.code(), &error.to_string()),
        }
    }
}
