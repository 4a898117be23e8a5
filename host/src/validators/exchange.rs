//! Questions that the host asks for a validator: of hosts that the operator allows, and with credentials that the
//! validator never sees.

use super::answer::MAX_EXCHANGE_BYTES;
use super::credentials::Credential;
use super::failure::{Failure, FailureKind, ValidatorError};
use crate::bindings::validator::tocsin::validator::types::{HttpRequest, HttpResponse};
use crate::config::{ValidatorConfig, host_and_port};
use crate::outgoing::{OutgoingHttp, RequestLimits};
use bytes::Bytes;
use http::uri::{Authority, Scheme};
use http::{HeaderName, HeaderValue, Method, Request, Uri, header};
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;
use tocsin_domain::ports::Clock;

const HTTPS_PORT: u16 = 443;
const HTTP_PORT: u16 = 80;
const MAX_HEADERS: usize = 32;
/// What the host sets itself, or what is between two neighbours only (RFC 9110, section 7.6.1).
const FORBIDDEN_HEADERS: [HeaderName; 11] = [
    header::HOST,
    header::CONNECTION,
    header::CONTENT_LENGTH,
    header::EXPECT,
    header::PROXY_AUTHENTICATE,
    header::PROXY_AUTHORIZATION,
    header::TE,
    header::TRAILER,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
    HeaderName::from_static("keep-alive"),
];

/// What one validator may ask.
pub(super) struct Exchanges {
    http: OutgoingHttp,
    hosts: BTreeSet<(String, u16)>,
    allow_insecure_http: bool,
    credentials: BTreeMap<String, Credential>,
    limits: RequestLimits,
    clock: Arc<dyn Clock + Send + Sync>,
}

impl Exchanges {
    /// Reads the credentials. The error does not say which validator it is about.
    pub(super) fn new(config: &ValidatorConfig, clock: Arc<dyn Clock + Send + Sync>) -> Result<Self, ValidatorError> {
        let http = OutgoingHttp::new(None, config.allow_insecure_http)
            .map_err(|error| ValidatorError::new(error.to_string()))?;
        let hosts = config.hosts.iter().filter_map(|host| target(&host.parse().ok()?, HTTPS_PORT)).collect();
        let mut credentials = BTreeMap::new();
        for (name, file) in &config.credentials {
            let credential = Credential::read(file, &config.google_scope, |uri| {
                is_secure_enough(uri, config.allow_insecure_http) && http.check_uri(&uri.to_string()).is_ok()
            });
            credentials.insert(name.clone(), credential.map_err(ValidatorError::new)?);
        }
        let timeout = Duration::from_millis(config.exchange_timeout_ms);
        Ok(Self {
            http,
            hosts,
            allow_insecure_http: config.allow_insecure_http,
            credentials,
            limits: RequestLimits { connect_timeout: timeout, timeout, max_body_bytes: MAX_EXCHANGE_BYTES },
            clock,
        })
    }

    /// Asks; sizes are checked already. `None`: no usable answer came. An error is the validator's fault.
    pub(super) async fn ask(&self, validator: &str, request: HttpRequest) -> Result<Option<HttpResponse>, Failure> {
        let credential = match &request.credential {
            None => None,
            Some(name) => {
                let unknown = || bad("it names a credential that is not in its section of the configuration");
                Some(self.credentials.get(name).ok_or_else(unknown)?)
            }
        };
        let mut request = self.request(request)?;
        let send = async {
            if let Some(credential) = credential {
                let bearer = credential.bearer(&self.http, &self.limits, self.clock.now()).await?;
                request.headers_mut().insert(header::AUTHORIZATION, bearer);
            }
            self.http.send(request, &self.limits).await.map_err(|error| error.to_string())
        };
        // The credential's own request included.
        let answer = tokio::time::timeout(self.limits.timeout, send).await;
        match answer.unwrap_or_else(|_| Err("it took too long".to_owned())) {
            Ok(response) => {
                Ok(Some(HttpResponse { status: response.status().as_u16(), body: response.into_body().to_vec() }))
            }
            Err(error) => {
                tracing::warn!(validator, error, "an exchange of a validator has no answer");
                Ok(None)
            }
        }
    }

    /// Whether a request keeps the rules; whether its credential exists is not looked at.
    pub(super) fn check(&self, request: &HttpRequest) -> Result<(), Failure> {
        self.request(request.clone()).map(|_| ())
    }

    fn request(&self, request: HttpRequest) -> Result<Request<Bytes>, Failure> {
        let HttpRequest { method, url, headers, body, credential } = request;
        let method = match method.as_str() {
            "GET" => Method::GET,
            "POST" => Method::POST,
            _ => return Err(bad("a request that is neither GET nor POST")),
        };
        let uri = self.http.check_uri(&url).map_err(|_| bad("a request without a usable https URL"))?;
        if !is_secure_enough(&uri, self.allow_insecure_http) {
            return Err(bad("a request in clear"));
        }
        self.check_host(&uri)?;
        if headers.len() > MAX_HEADERS {
            return Err(bad("a request with more than 32 headers"));
        }
        let mut built = Request::new(Bytes::from(body));
        *built.method_mut() = method;
        *built.uri_mut() = uri;
        for (name, value) in headers {
            let name = HeaderName::from_bytes(name.as_bytes()).map_err(|_| bad("a header with a bad name"))?;
            let value = HeaderValue::from_bytes(value.as_bytes()).map_err(|_| bad("a header with a bad value"))?;
            if FORBIDDEN_HEADERS.contains(&name) || (credential.is_some() && name == header::AUTHORIZATION) {
                return Err(bad("a header that only the host sets"));
            }
            built.headers_mut().append(name, value);
        }
        Ok(built)
    }

    fn check_host(&self, uri: &Uri) -> Result<(), Failure> {
        let default_port = if uri.scheme() == Some(&Scheme::HTTP) { HTTP_PORT } else { HTTPS_PORT };
        let target = uri.authority().and_then(|authority| target(authority, default_port));
        match target {
            Some(target) if self.hosts.contains(&target) => Ok(()),
            Some((host, port)) => {
                let rule = format!("it wants to ask {host}:{port}, which is not in its `hosts`");
                Err(Failure::new(FailureKind::HostNotAllowed, rule))
            }
            None => Err(bad("a request without a usable https URL")),
        }
    }
}

fn bad(rule: &str) -> Failure {
    Failure::new(FailureKind::BadAnswer, rule)
}

fn target(authority: &Authority, default_port: u16) -> Option<(String, u16)> {
    let (host, port) = host_and_port(authority)?;
    Some((host, port.unwrap_or(default_port)))
}

/// https, or, if that is allowed, http to this machine.
fn is_secure_enough(uri: &Uri, allow_insecure_http: bool) -> bool {
    if uri.scheme() == Some(&Scheme::HTTPS) {
        return true;
    }
    let host = uri.host().unwrap_or_default().trim_start_matches('[').trim_end_matches(']');
    let is_loopback = host == "localhost" || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback());
    allow_insecure_http && is_loopback
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::validators::doubles::{FixedClock, HttpDouble, secret_file};
    use std::time::Instant;

    fn exchanges(hosts: &[&str], change: impl FnOnce(&mut ValidatorConfig)) -> Exchanges {
        let mut config = ValidatorConfig {
            hosts: hosts.iter().map(|&host| host.to_owned()).collect(),
            allow_insecure_http: true,
            ..ValidatorConfig::default()
        };
        change(&mut config);
        Exchanges::new(&config, Arc::new(FixedClock(1_000_000))).expect("good")
    }

    fn get(url: &str) -> HttpRequest {
        HttpRequest { method: "GET".to_owned(), url: url.to_owned(), headers: vec![], body: vec![], credential: None }
    }

    async fn ask(exchanges: &Exchanges, request: HttpRequest) -> Result<Option<HttpResponse>, Failure> {
        exchanges.ask("acme", request).await
    }

    #[tokio::test]
    async fn question_is_sent_as_the_validator_wants_it() {
        let server = HttpDouble::start(vec![(418, "short and stout".to_owned())]).await;
        let exchanges = exchanges(&[&server.host()], |_| {});
        let request = HttpRequest {
            method: "POST".to_owned(),
            headers: vec![("X-Test".to_owned(), "1".to_owned()), ("authorization".to_owned(), "own".to_owned())],
            body: b"question".to_vec(),
            ..get(&server.uri("/path?x=1"))
        };
        let answer = ask(&exchanges, request).await.expect("allowed").expect("answered");
        assert_eq!((answer.status, &answer.body[..]), (418, &b"short and stout"[..]));
        let asked = server.asked().remove(0);
        assert!(asked.starts_with("POST /path?x=1 HTTP/1.1\r\n"), "{asked}");
        for part in ["x-test: 1\r\n", "authorization: own\r\n", "content-length: 8\r\n", "\r\n\r\nquestion"] {
            assert!(asked.contains(part), "{part:?} is not in {asked}");
        }
    }

    #[tokio::test]
    async fn only_allowed_hosts_are_asked_and_the_failure_names_others() {
        let exchanges = exchanges(&["api.example", "other.example:8443", "127.0.0.1:1"], |_| {});
        let check = async |url: &str, expect: &str| {
            let failure = ask(&exchanges, get(url)).await.expect_err(url);
            assert_eq!(failure.kind, FailureKind::HostNotAllowed, "{url}");
            assert!(failure.rule.contains(expect), "{failure}");
        };
        check("https://evil.example/", "evil.example:443").await;
        check("https://api.example:444/", "api.example:444").await;
        check("https://api.example.evil/", "api.example.evil:443").await;
        check("https://other.example/", "other.example:443").await;
        check("http://127.0.0.1/", "127.0.0.1:80").await;
        // Allowed, whatever the case; nothing answers.
        assert!(exchanges.check_host(&"https://API.example/x".parse().expect("a URI")).is_ok());
        assert!(ask(&exchanges, get("http://127.0.0.1:1/")).await.is_ok_and(|answer| answer.is_none()));
    }

    #[tokio::test]
    async fn what_is_against_the_contract_is_not_sent() {
        let exchanges = exchanges(&["api.example", "127.0.0.1:1"], |_| {});
        let check = async |request: HttpRequest, rule: &str| {
            let failure = ask(&exchanges, request).await.expect_err(rule);
            assert_eq!((failure.kind, failure.rule.contains(rule)), (FailureKind::BadAnswer, true), "{failure}");
        };
        let good = || get("https://api.example/");
        check(HttpRequest { method: "PUT".to_owned(), ..good() }, "neither GET nor POST").await;
        check(get("http://api.example/"), "in clear").await;
        check(get("file:///etc/passwd"), "https URL").await;
        check(get("https://api.example@evil.example/"), "https URL").await;
        check(get("/relative"), "https URL").await;
        check(get("https://api.example:/"), "https URL").await;
        check(get("https://api.example:+443/"), "https URL").await;
        check(get("https://api.example:0443/"), "https URL").await;
        check(HttpRequest { credential: Some("none".to_owned()), ..good() }, "credential").await;
        for name in ["Host", "connection", "Transfer-Encoding", "content-length", "keep-alive", "proxy-authorization"] {
            check(HttpRequest { headers: vec![(name.to_owned(), "x".to_owned())], ..good() }, "only the host sets")
                .await;
        }
        for (name, value) in [("a b", "x"), ("a", "x\r\ny: z"), ("", "x")] {
            check(HttpRequest { headers: vec![(name.to_owned(), value.to_owned())], ..good() }, "a bad").await;
        }
    }

    #[tokio::test]
    async fn long_slow_and_redirecting_servers_give_no_answer_or_just_theirs() {
        let answers = vec![(200, "x".repeat(65_536)), (200, "x".repeat(65_537)), (302, String::new())];
        let server = HttpDouble::start(answers).await;
        let exchanges = exchanges(&[&server.host()], |config| config.exchange_timeout_ms = 500);
        let url = server.uri("/");
        assert_eq!(ask(&exchanges, get(&url)).await.expect("allowed").map(|answer| answer.body.len()), Some(65_536));
        assert!(ask(&exchanges, get(&url)).await.expect("allowed").is_none());
        assert_eq!(ask(&exchanges, get(&url)).await.expect("allowed").map(|answer| answer.status), Some(302));
        let started = Instant::now();
        // The double has no more answers and keeps silent.
        assert!(ask(&exchanges, get(&url)).await.expect("allowed").is_none());
        assert!(started.elapsed() < Duration::from_secs(10));
    }

    #[tokio::test]
    async fn credential_is_added_and_cannot_be_replaced() {
        let folder = tempfile::tempdir().expect("temporary folder");
        let server = HttpDouble::start(vec![(200, String::new())]).await;
        let file = secret_file(folder.path(), "token", "secret-token\n");
        let exchanges = exchanges(&[&server.host()], |config| {
            config.credentials.insert("api".to_owned(), file);
        });
        let request = || HttpRequest { credential: Some("api".to_owned()), ..get(&server.uri("/")) };
        let own = vec![("Authorization".to_owned(), "Bearer mine".to_owned())];
        ask(&exchanges, HttpRequest { headers: own, ..request() }).await.expect_err("only the host sets it");
        ask(&exchanges, request()).await.expect("allowed").expect("answered");
        let asked = server.asked();
        assert_eq!(asked.len(), 1);
        assert!(asked[0].contains("authorization: Bearer secret-token\r\n"), "{}", asked[0]);
    }
}
