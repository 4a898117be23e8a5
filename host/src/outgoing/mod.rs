//! HTTP requests that the host makes itself. Components make none: no instance can reach the network.
//!
//! A request goes to one URI and nowhere else: no redirect is followed, no proxy used, no cookie kept, and the connection
//! ends with the answer. Time and size are limited. Errors hold no address, no part of the answer and nothing that was
//! sent, so they may be logged and shown.
//!
//! HTTPS trusts the certification authorities that Mozilla trusts, which are built in, and those of a file of the
//! operator's. Built in rather than the operating system's, so that one binary is the whole server and works in an empty
//! container; what it costs is that a change of Mozilla's list comes with the next release of the server.

mod connect;
#[cfg(test)]
mod tests;
mod tls;

use bytes::Bytes;
use http::uri::{Scheme, Uri};
use http::{HeaderValue, Request, Response, header};
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper_util::rt::TokioIo;
use std::fmt;
use std::io;
use std::path::Path;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::TlsConnector;

/// Room for the headers of an answer.
const MAX_HEADER_BYTES: usize = 64 * 1024;
/// Longest URI that is accepted, in bytes.
const MAX_URI_BYTES: usize = 2048;

/// Makes requests. One is enough for a server; it keeps no connections.
pub struct OutgoingHttp {
    tls: TlsConnector,
    allow_insecure_http: bool,
}

impl fmt::Debug for OutgoingHttp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OutgoingHttp").field("allow_insecure_http", &self.allow_insecure_http).finish_non_exhaustive()
    }
}

/// Limits of one request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RequestLimits {
    /// For each address of the host until the connection stands, TLS not included.
    pub connect_timeout: Duration,
    /// For everything, the name's resolution and the body's last byte included.
    pub timeout: Duration,
    /// Of the answer's body.
    pub max_body_bytes: usize,
}

/// Why there is no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OutgoingError {
    /// The URI is not one that can be asked.
    Uri(UriProblem),
    /// The host's name has no address, or the resolver does not answer.
    UnknownHost,
    /// No address of the host takes connections.
    Connect(io::ErrorKind),
    /// The server could not prove who it is; the text says why.
    Certificate(&'static str),
    /// The TLS handshake failed.
    Tls,
    /// It took too long.
    Timeout,
    /// The body is longer than this many bytes.
    TooLarge(usize),
    /// What the server sent is not HTTP, or it broke off.
    Protocol,
}

/// What is wrong with a URI.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UriProblem {
    /// It is not an absolute URI with a host.
    Malformed,
    /// It is longer than 2,048 bytes.
    TooLong,
    /// Its scheme is neither `https` nor `http`.
    Scheme,
    /// It is `http`, which is not allowed.
    Insecure,
    /// It has a user name or a password, which would be in the database and its backups in clear.
    Credentials,
}

impl fmt::Display for UriProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Malformed => "it must be a whole URI with a host, such as https://health.example/jwks.json",
            Self::TooLong => "it is longer than 2048 bytes",
            Self::Scheme => "it must begin with https://",
            Self::Insecure => {
                "http:// lets everybody on the way change the answer; use https:// (for tests on this machine only, \
                 allow_insecure_http = true in its section allows it)"
            }
            Self::Credentials => "it must not hold a user name or password",
        })
    }
}

impl fmt::Display for OutgoingError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Uri(problem) => write!(f, "the URI is not usable: {problem}"),
            Self::UnknownHost => f.write_str("the host's name cannot be resolved"),
            Self::Connect(kind) => write!(f, "the host cannot be reached ({kind})"),
            Self::Certificate(reason) => write!(f, "the server's certificate is not accepted: {reason}"),
            Self::Tls => f.write_str("the TLS handshake failed"),
            Self::Timeout => f.write_str("the server did not answer in time"),
            Self::TooLarge(limit) => write!(f, "the answer is longer than {limit} bytes"),
            Self::Protocol => f.write_str("the server broke off, or does not speak HTTP"),
        }
    }
}

impl std::error::Error for OutgoingError {}

/// The certification authorities of a file cannot be used; the text says why.
#[derive(Debug)]
pub struct CaFileError(String);

impl fmt::Display for CaFileError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for CaFileError {}

impl OutgoingHttp {
    /// Trusts also the certificates (PEM) of `ca_file`, and makes requests in clear if that is allowed.
    pub fn new(ca_file: Option<&Path>, allow_insecure_http: bool) -> Result<Self, CaFileError> {
        Ok(Self { tls: tls::connector(ca_file)?, allow_insecure_http })
    }

    /// Reads a URI that an operator gave, and refuses what [`Self::send`] would.
    pub fn check_uri(&self, text: &str) -> Result<Uri, UriProblem> {
        if text.len() > MAX_URI_BYTES {
            return Err(UriProblem::TooLong);
        }
        let uri: Uri = text.parse().map_err(|_| UriProblem::Malformed)?;
        self.target(&uri).map(|_| uri)
    }

    /// Gets what is behind a URI, with any status.
    pub async fn get(&self, uri: &Uri, limits: &RequestLimits) -> Result<Response<Bytes>, OutgoingError> {
        let mut request = Request::new(Bytes::new());
        *request.uri_mut() = uri.clone();
        self.send(request, limits).await
    }

    /// Sends a request to its (absolute) URI. `Host` is set from it, and `User-Agent` unless the caller has.
    pub async fn send(
        &self,
        mut request: Request<Bytes>,
        limits: &RequestLimits,
    ) -> Result<Response<Bytes>, OutgoingError> {
        let target = self.target(request.uri()).map_err(OutgoingError::Uri)?;
        let path = request.uri().path_and_query().map_or("/", |path| path.as_str());
        *request.uri_mut() = path.parse().map_err(|_| OutgoingError::Uri(UriProblem::Malformed))?;
        let headers = request.headers_mut();
        headers.insert(header::HOST, target.host_header);
        headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
        headers
            .entry(header::USER_AGENT)
            .or_insert(HeaderValue::from_static(concat!("tocsin/", env!("CARGO_PKG_VERSION"))));
        let exchange = async {
            let stream = connect::connect(&target.host, target.port, limits.connect_timeout).await?;
            if target.is_secure {
                exchange(tls::handshake(&self.tls, &target.host, stream).await?, request, limits).await
            } else {
                exchange(stream, request, limits).await
            }
        };
        tokio::time::timeout(limits.timeout, exchange).await.unwrap_or(Err(OutgoingError::Timeout))
    }

    fn target(&self, uri: &Uri) -> Result<Target, UriProblem> {
        let is_secure = match uri.scheme() {
            Some(scheme) if *scheme == Scheme::HTTPS => true,
            Some(scheme) if *scheme == Scheme::HTTP && self.allow_insecure_http => false,
            Some(scheme) if *scheme == Scheme::HTTP => return Err(UriProblem::Insecure),
            Some(_) => return Err(UriProblem::Scheme),
            None => return Err(UriProblem::Malformed),
        };
        let authority = uri.authority().ok_or(UriProblem::Malformed)?;
        if authority.as_str().contains('@') {
            return Err(UriProblem::Credentials);
        }
        let host = authority.host().trim_start_matches('[').trim_end_matches(']');
        let default_port = if is_secure { 443 } else { 80 };
        let port = match authority.as_str().strip_prefix(authority.host()) {
            Some("") => default_port,
            Some(port) => port.strip_prefix(':').and_then(|port| port.parse().ok()).unwrap_or(0),
            None => 0,
        };
        if port == 0 {
            return Err(UriProblem::Malformed);
        }
        let host_header = HeaderValue::from_str(authority.as_str()).map_err(|_| UriProblem::Malformed)?;
        if host.is_empty() {
            return Err(UriProblem::Malformed);
        }
        Ok(Target { is_secure, host: host.to_owned(), port, host_header })
    }
}

/// Where a request goes.
struct Target {
    is_secure: bool,
    host: String,
    port: u16,
    host_header: HeaderValue,
}

/// One request and its answer. Everything ends when this future does or is dropped: nothing runs beside it.
async fn exchange(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    request: Request<Bytes>,
    limits: &RequestLimits,
) -> Result<Response<Bytes>, OutgoingError> {
    let (mut sender, connection) = hyper::client::conn::http1::Builder::new()
        .max_buf_size(MAX_HEADER_BYTES)
        .handshake(TokioIo::new(stream))
        .await
        .map_err(|_| OutgoingError::Protocol)?;
    let answer = async {
        let response = sender.send_request(request.map(Full::new)).await.map_err(|_| OutgoingError::Protocol)?;
        let (parts, body) = response.into_parts();
        let body = Limited::new(body, limits.max_body_bytes).collect().await.map_err(|error| {
            if error.is::<LengthLimitError>() {
                OutgoingError::TooLarge(limits.max_body_bytes)
            } else {
                OutgoingError::Protocol
            }
        })?;
        Ok(Response::from_parts(parts, body.to_bytes()))
    };
    tokio::pin!(answer);
    tokio::select! {
        biased;
        done = &mut answer => done,
        // The connection has ended; what came over it may not have been read yet.
        _ = connection => answer.await,
    }
}
