//! Bad input of every kind on the public listener: the answer names the problem, nothing is stored, nothing falls over.

mod bodies;
mod certificates;
mod connections;
mod exports;
mod fuzz;
mod keys;

use http::Method;
use tocsin_domain::interval::Timestamp;
use tocsin_domain::ports::Clock;
use tocsin_domain::testing::random::FakeRandom;
use tocsin_host::admin::AdminRequest;
use tocsin_host::config::Config;
use tocsin_tests::harness::client::Client;
use tocsin_tests::harness::people::Phone;
use tocsin_tests::harness::server::TestServer;

const JSON: Option<&str> = Some("application/json");

/// A server under attack.
struct Target {
    server: TestServer,
    client: Client,
    random: FakeRandom,
}

/// What a publish must be answered with.
struct Refusal<'a> {
    status: u16,
    code: &'a str,
    /// Part of the text that names the problem.
    error: &'a str,
}

const fn refusal<'a>(status: u16, code: &'a str, error: &'a str) -> Refusal<'a> {
    Refusal { status, code, error }
}

impl Target {
    async fn start() -> Self {
        Self::start_with(|_| {}).await
    }

    async fn start_with(change: impl FnOnce(&mut Config)) -> Self {
        let server = TestServer::start_with(change).await;
        let client = server.client();
        Self { server, client, random: FakeRandom::seeded(11) }
    }

    fn now(&self) -> Timestamp {
        self.server.clock.now()
    }

    fn phone(&self, days: i64) -> Phone {
        Phone::new(&self.random, days, self.now())
    }

    /// A body that would be accepted.
    fn good_body(&self) -> Vec<u8> {
        self.phone(14).body(&self.server.authority, "confirmed", self.now())
    }

    /// Sends a publish that must be refused as said.
    async fn check(&mut self, name: &str, content_type: Option<&str>, body: impl Into<Vec<u8>>, expect: Refusal<'_>) {
        self.check_method(name, Method::POST, content_type, body, expect).await;
    }

    async fn check_method(
        &mut self,
        name: &str,
        method: Method,
        content_type: Option<&str>,
        body: impl Into<Vec<u8>>,
        expect: Refusal<'_>,
    ) {
        let headers: Vec<_> = content_type.map(|value| ("content-type", value)).into_iter().collect();
        let answer = self.client.send(method, "/v1/publish", &headers, body.into()).await;
        let json = answer.json();
        let error = json["error"].as_str().unwrap_or_default();
        assert_eq!((answer.status.as_u16(), answer.code().as_str()), (expect.status, expect.code), "{name}: {error}");
        assert!(!expect.error.is_empty() && error.contains(expect.error), "{name}: {error}");
        assert_eq!(answer.header("content-type"), "application/json", "{name}");
        assert!(json.get("revisionToken").is_none(), "{name}");
    }

    async fn stored(&self) -> u64 {
        let status = self.server.admin(AdminRequest::Status).await;
        status["store"]["exposures"].as_u64().expect("a number")
    }

    /// So many keys are stored, and the next person can publish.
    async fn finish(mut self, expect_stored: u64) {
        assert_eq!(self.stored().await, expect_stored);
        let mut other = self.server.client();
        let answer = other.publish(self.good_body()).await;
        assert_eq!((answer.status.as_u16(), &answer.json()["insertedExposures"]), (200, &14.into()));
        assert_eq!(self.stored().await, expect_stored + 14);
        self.server.stop().await;
    }
}
