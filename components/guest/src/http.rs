//! The edge to `wasi:http`: read a capped body, write a response. The logic behind it knows neither.

use wasip2::http::types::{Fields, IncomingBody, IncomingRequest, OutgoingBody, OutgoingResponse, ResponseOutparam};
use wasip2::io::streams::StreamError;

/// A response to write.
#[derive(Debug)]
pub struct Response<'a> {
    /// HTTP status.
    pub status: u16,
    /// Headers, lower-case names.
    pub headers: &'a [(&'a str, &'a str)],
    /// Body.
    pub body: &'a [u8],
}

/// The path of a request, without the query.
pub fn path(request: &IncomingRequest) -> String {
    let mut path = request.path_with_query().unwrap_or_default();
    if let Some(query) = path.find('?') {
        path.truncate(query);
    }
    path
}

/// The first value of a header, if it is valid UTF-8.
pub fn header(request: &IncomingRequest, name: &str) -> Option<String> {
    request.headers().get(name).into_iter().next().and_then(|value| String::from_utf8(value).ok())
}

/// Reads the body until its end, or until it is longer than `limit` bytes: what comes back is then longer than `limit`.
/// `None` when the client broke off.
pub fn read_body(request: &IncomingRequest, limit: usize) -> Option<Vec<u8>> {
    let body = request.consume().ok()?;
    let stream = body.stream().ok()?;
    let mut bytes: Vec<u8> = Vec::new();
    let whole = loop {
        let room = limit.saturating_add(1).saturating_sub(bytes.len());
        if room == 0 {
            break true;
        }
        match stream.blocking_read(room as u64) {
            Ok(chunk) if bytes.is_empty() => bytes = chunk,
            Ok(chunk) => bytes.extend_from_slice(&chunk),
            Err(StreamError::Closed) => break true,
            Err(StreamError::LastOperationFailed(_)) => break false,
        }
    };
    drop(stream);
    drop(IncomingBody::finish(body));
    whole.then_some(bytes)
}

/// Writes a response. A client that went away is not an error of ours.
pub fn respond(out: ResponseOutparam, response: &Response<'_>) {
    let headers = Fields::new();
    for (name, value) in response.headers {
        // Our own constant headers are always valid.
        let _ = headers.append(name, value.as_bytes());
    }
    let outgoing = OutgoingResponse::new(headers);
    let _ = outgoing.set_status_code(response.status);
    let Ok(body) = outgoing.body() else { return };
    ResponseOutparam::set(out, Ok(outgoing));
    if let Ok(stream) = body.write() {
        // One call of `blocking-write-and-flush` takes at most 4096 bytes.
        for chunk in response.body.chunks(4096) {
            if stream.blocking_write_and_flush(chunk).is_err() {
                break;
            }
        }
        drop(stream);
    }
    let _ = OutgoingBody::finish(body, None);
}

/// What a job says to the scheduler that called it (`spec/jobs.md`).
#[derive(Debug)]
pub enum JobOutcome {
    /// All of it was done.
    Done,
    /// Another run holds its lease.
    TooEarly,
    /// Some or all of it failed; the texts are for the operator, who alone reaches these routes.
    Failed(Vec<String>),
}

impl JobOutcome {
    /// Done if nothing failed.
    pub fn from_failures(failures: Vec<String>) -> Self {
        if failures.is_empty() { Self::Done } else { Self::Failed(failures) }
    }
}

/// Answers a scheduler: 200 when there is nothing to do again, 500 with the failures otherwise.
pub fn respond_job(out: ResponseOutparam, outcome: JobOutcome) {
    let (status, body) = match outcome {
        JobOutcome::Done => (200, r#"{"ok":true}"#.to_owned()),
        JobOutcome::TooEarly => (200, "{\"error\":\"too early\"}\n".to_owned()),
        JobOutcome::Failed(failures) => (500, tocsin_domain::problem::failures_json(&failures)),
    };
    respond(out, &Response { status, headers: &[("content-type", "application/json")], body: body.as_bytes() });
}

/// Answers a path that is no route.
pub fn respond_not_found(out: ResponseOutparam) {
    respond(out, &Response { status: 404, headers: &[], body: b"404 page not found\n" });
}
