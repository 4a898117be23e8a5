//! Talks to a running server through its socket.

use super::AdminRequest;
use bytes::Bytes;
use http::{Request, StatusCode, header};
use http_body_util::{BodyExt, Full};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use std::fmt;
use std::io;
use std::path::Path;
use tokio::net::UnixStream;

/// What became of a request to a server.
#[derive(Debug)]
pub enum ClientError {
    /// No server listens on the socket.
    NoServer,
    /// The server refused or failed; the text is its answer.
    Refused(String),
    /// The connection failed.
    Connection(String),
}

impl fmt::Display for ClientError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoServer => f.write_str("no server is running"),
            Self::Refused(text) => f.write_str(text),
            Self::Connection(text) => write!(f, "the connection to the running server failed: {text}"),
        }
    }
}

impl std::error::Error for ClientError {}

/// Sends a request to the server behind `socket`.
pub async fn send(socket: &Path, request: &AdminRequest) -> Result<Value, ClientError> {
    let stream = match UnixStream::connect(socket).await {
        Ok(stream) => stream,
        // A socket file that nobody listens on stays behind when a server is killed.
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused) => {
            return Err(ClientError::NoServer);
        }
        Err(error) => return Err(connection(&error)),
    };
    let body = serde_json::to_vec(request).map_err(|error| connection(&error))?;
    let (mut sender, link) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(|error| connection(&error))?;
    tokio::spawn(link);
    let request = Request::post("/admin")
        .header(header::HOST, "localhost")
        .header(header::CONTENT_TYPE, "application/json")
        .body(Full::new(Bytes::from(body)))
        .map_err(|error| connection(&error))?;
    let response = sender.send_request(request).await.map_err(|error| connection(&error))?;
    let status = response.status();
    let body = response.into_body().collect().await.map_err(|error| connection(&error))?.to_bytes();
    let value: Value = serde_json::from_slice(&body).map_err(|error| connection(&error))?;
    if status == StatusCode::OK {
        return Ok(value);
    }
    let text = value.get("error").and_then(Value::as_str).unwrap_or("the server gave no reason");
    Err(ClientError::Refused(text.to_owned()))
}

fn connection(error: &dyn fmt::Display) -> ClientError {
    ClientError::Connection(error.to_string())
}
