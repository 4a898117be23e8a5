//! A small HTTP/1.1 client: one connection, kept alive.

use super::PhoneError;
use bytes::Bytes;
use http::{Request, StatusCode, Uri, header};
use http_body_util::{BodyExt, Full, Limited};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use std::time::Duration;
use tokio::net::TcpStream;

const TIMEOUT: Duration = Duration::from_secs(60);

/// Speaks with one server.
#[derive(Debug)]
pub struct Client {
    host: String,
    address: String,
    sender: Option<SendRequest<Full<Bytes>>>,
}

impl Client {
    /// For the server of an `http://` address. Connects with the first request.
    pub fn new(uri: &Uri) -> Result<Self, PhoneError> {
        let (Some("http"), Some(authority)) = (uri.scheme_str(), uri.authority()) else {
            return Err(PhoneError(format!(
                "{uri} does not begin with http://; simulated phones speak no TLS, so name the server behind the proxy"
            )));
        };
        let port = authority.port_u16().unwrap_or(80);
        Ok(Self { host: authority.to_string(), address: format!("{}:{port}", authority.host()), sender: None })
    }

    /// GET; an answer of more than `limit` bytes is an error.
    pub async fn get(&mut self, uri: &Uri, limit: usize) -> Result<(StatusCode, Bytes), PhoneError> {
        self.send(Request::get(path(uri)), Bytes::new(), limit).await
    }

    /// POST of JSON.
    pub async fn post(&mut self, uri: &Uri, body: Bytes, limit: usize) -> Result<(StatusCode, Bytes), PhoneError> {
        let request = Request::post(path(uri)).header(header::CONTENT_TYPE, "application/json");
        self.send(request, body, limit).await
    }

    async fn send(
        &mut self,
        request: http::request::Builder,
        body: Bytes,
        limit: usize,
    ) -> Result<(StatusCode, Bytes), PhoneError> {
        let request =
            request.header(header::HOST, &self.host).body(Full::new(body)).map_err(|error| self.failed(error))?;
        let answer = tokio::time::timeout(TIMEOUT, self.exchange(request, limit)).await;
        let answer = answer.unwrap_or_else(|_| Err(self.failed("no answer within a minute")));
        if answer.is_err() {
            // Whatever is left in the connection belongs to no later request.
            self.sender = None;
        }
        answer
    }

    async fn exchange(
        &mut self,
        request: Request<Full<Bytes>>,
        limit: usize,
    ) -> Result<(StatusCode, Bytes), PhoneError> {
        let mut sender = match self.sender.take() {
            // The server may have closed the connection meanwhile.
            Some(mut sender) => match sender.ready().await {
                Ok(()) => sender,
                Err(_) => self.connect().await?,
            },
            None => self.connect().await?,
        };
        let response = sender.send_request(request).await.map_err(|error| self.failed(error))?;
        let status = response.status();
        let body = Limited::new(response.into_body(), limit).collect().await.map_err(|error| self.failed(error))?;
        self.sender = Some(sender);
        Ok((status, body.to_bytes()))
    }

    async fn connect(&self) -> Result<SendRequest<Full<Bytes>>, PhoneError> {
        let stream = TcpStream::connect(&self.address).await.map_err(|error| {
            PhoneError(format!(
                "nothing answers at http://{}: {error}. Is the server running (`tocsin serve`)?",
                self.host
            ))
        })?;
        stream.set_nodelay(true).map_err(|error| self.failed(error))?;
        let (sender, connection) = handshake(TokioIo::new(stream)).await.map_err(|error| self.failed(error))?;
        tokio::spawn(connection);
        Ok(sender)
    }

    fn failed(&self, error: impl std::fmt::Display) -> PhoneError {
        PhoneError(format!("the exchange with http://{} failed: {error}", self.host))
    }
}

fn path(uri: &Uri) -> &str {
    uri.path_and_query().map_or("/", |path| path.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_plain_http_addresses_are_taken() {
        let check = |uri: &'static str| Client::new(&Uri::from_static(uri)).map(|client| client.address);
        assert_eq!(check("http://localhost/x").expect("port 80"), "localhost:80");
        assert_eq!(check("http://[::1]:8080/x").expect("IPv6"), "[::1]:8080");
        assert!(check("https://localhost/x").expect_err("refused").to_string().contains("TLS"));
        assert!(check("/x").is_err());
    }
}
