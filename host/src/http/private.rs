//! The private routes: jobs, as a scheduler calls them, and administration. They listen on a Unix socket, or on an address
//! that only the operator reaches.

use super::{Body, answer_of_component, json, problem, text};
use crate::admin::{self, AdminRequest};
use crate::engine::{Components, ServiceName};
use crate::jobs::{self, Job};
use crate::key_sets;
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
            "/explain/publish" => return self.explain_publish(request).await,
            "/validators" => return self.apply(AdminRequest::ListValidators).await,
            "/jwks" => return self.import_key_sets().await,
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
        let body = match read_posted_json(request).await {
            Ok(body) => body,
            Err(refusal) => return refusal,
        };
        match serde_json::from_slice(&body) {
            Ok(request) => self.apply(request).await,
            Err(error) => problem(StatusCode::BAD_REQUEST, "bad_request", &error.to_string()),
        }
    }

    /// The dry run of a publish: the body of `/v1/publish`, or of `/` with `?api=v1alpha1`.
    async fn explain_publish(&self, request: Request<Incoming>) -> Response<Body> {
        let v1alpha1 = match request.uri().query() {
            None => false,
            Some("api=v1alpha1") => true,
            Some(_) => return problem(StatusCode::BAD_REQUEST, "bad_request", "the query can be api=v1alpha1 only"),
        };
        match read_posted_json(request).await {
            Ok(body) => {
                // The components would repair it in the same way.
                let body = String::from_utf8_lossy(&body).into_owned();
                self.apply(AdminRequest::ExplainPublish { v1alpha1, body }).await
            }
            Err(refusal) => refusal,
        }
    }

    async fn apply(&self, request: AdminRequest) -> Response<Body> {
        match admin::apply(&self.components, request).await {
            Ok(value) => json(StatusCode::OK, &value),
            Err(error) => problem(error.status(), error.code(), &error.to_string()),
        }
    }

    async fn import_key_sets(&self) -> Response<Body> {
        match key_sets::import_all(self.components.services()).await {
            Ok(Some(_)) => json(StatusCode::OK, &serde_json::json!({ "ok": true })),
            Ok(None) => json(StatusCode::OK, &serde_json::json!({ "error": "too early" })),
            Err(failures) => json(StatusCode::INTERNAL_SERVER_ERROR, &serde_json::json!({ "errors": failures })),
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
        self.apply(AdminRequest::Status).await
    }
}

/// The body of a POST of JSON, or the answer to what is none.
async fn read_posted_json(request: Request<Incoming>) -> Result<Bytes, Response<Body>> {
    if request.method() != Method::POST {
        return Err(problem(StatusCode::METHOD_NOT_ALLOWED, "bad_request", "this route takes POST"));
    }
    // A web page in an operator's browser can post here without asking only with other content types.
    if request.headers().get(header::CONTENT_TYPE).is_none_or(|value| value != "application/json") {
        return Err(problem(StatusCode::UNSUPPORTED_MEDIA_TYPE, "bad_request", "this route takes application/json"));
    }
    match Limited::new(request.into_body(), MAX_ADMIN_BYTES).collect().await {
        Ok(body) => Ok(body.to_bytes()),
        Err(_) => Err(problem(StatusCode::BAD_REQUEST, "bad_request", "the body broke off or is longer than 1 MiB")),
    }
}
