//! HTTP: the public listener for phones, the private one for jobs and administration.

pub mod chaff;
pub mod export_files;
pub mod maintenance;
mod patience;
pub mod private;
pub mod public;
pub mod route;
pub mod server;

use crate::engine::{InstanceFailure, ServiceName};
use bytes::Bytes;
use http::{HeaderValue, Response, StatusCode, header};
use http_body_util::Full;
use std::time::Duration;

/// A body that is whole in memory.
pub type Body = Full<Bytes>;

/// A JSON answer.
pub(crate) fn json(status: StatusCode, value: &serde_json::Value) -> Response<Body> {
    let mut response = Response::new(Full::new(Bytes::from(value.to_string())));
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

/// An error of the host itself. A 5xx has no detail.
pub(crate) fn problem(status: StatusCode, code: &str, error: &str) -> Response<Body> {
    json(status, &serde_json::json!({ "error": error, "code": code }))
}

/// A plain text answer.
pub(crate) fn text(status: StatusCode, text: &'static str) -> Response<Body> {
    let mut response = Response::new(Full::new(Bytes::from_static(text.as_bytes())));
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    response
}

/// Waits for a component and turns its failure into an answer.
pub(crate) async fn answer_of_component(
    service: ServiceName,
    limit: Duration,
    work: impl Future<Output = Result<Response<Bytes>, InstanceFailure>>,
) -> Response<Body> {
    match tokio::time::timeout(limit, work).await {
        Ok(Ok(response)) => response.map(Full::new),
        Ok(Err(InstanceFailure::Fault(error))) => {
            tracing::error!(service = ?service, error, "a component failed");
            problem(StatusCode::INTERNAL_SERVER_ERROR, "internal_error", "Internal Server Error")
        }
        Ok(Err(InstanceFailure::Busy)) => {
            tracing::warn!(service = ?service, "no instance is free");
            retry_later()
        }
        Err(_) => {
            tracing::error!(service = ?service, "a request took too long");
            retry_later()
        }
    }
}

/// The server is busy or too slow; the same request may succeed later.
pub(crate) fn retry_later() -> Response<Body> {
    let mut response = problem(StatusCode::SERVICE_UNAVAILABLE, "internal_error", "please try again later");
    response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("5"));
    response
}
