//! The validators that ship, at work in the server: a phone publishes over HTTP with evidence, the component decides in
//! its sandbox, and Apple and Google are played by servers on this machine that check what they are sent with libraries
//! of their own.

mod apple;
mod binding;
mod google;
mod upstream;

use tocsin_domain::ports::Clock;
use tocsin_domain::publish::request::{DeviceEvidence, PublishRequest};
use tocsin_domain::testing::random::FakeRandom;
use tocsin_host::config::{ValidationConfig, ValidatorConfig};
use tocsin_tests::harness::client::Answer;
use tocsin_tests::harness::people::{APP, Phone};
use tocsin_tests::harness::server::TestServer;

/// A server whose app passes through one validator, `attest`.
async fn start(validator: impl FnOnce(&mut ValidatorConfig), chain: impl FnOnce(&mut ValidationConfig)) -> TestServer {
    TestServer::start_with(|config| {
        config.private.listen = Some(([127, 0, 0, 1], 0).into());
        let mut section = ValidatorConfig::default();
        validator(&mut section);
        config.validators.insert("attest".to_owned(), section);
        let mut validation = ValidationConfig { validators: vec!["attest".to_owned()], ..ValidationConfig::default() };
        chain(&mut validation);
        config.validation.insert(APP.to_owned(), validation);
    })
    .await
}

/// A publish of a phone of its own.
fn request(server: &TestServer, seed: u64) -> PublishRequest<'static> {
    let now = server.clock.now();
    Phone::new(&FakeRandom::seeded(seed), 3, now).request(&server.authority, "confirmed", now)
}

/// The publish with this payload as evidence.
async fn publish(server: &TestServer, request: &PublishRequest<'static>, method: &str, payload: String) -> Answer {
    let device =
        DeviceEvidence { method: method.to_owned().into(), payload: payload.into(), ..DeviceEvidence::default() };
    server.client().publish(PublishRequest { device, ..request.clone() }.to_json()).await
}

/// How often the validator refused with that code.
async fn refused(server: &TestServer, kind: &str, code: &str) -> u64 {
    let status = server.private_client().get("/validators").await.json();
    let counts = &status["validators"][0]["counts"][kind];
    counts[code].as_u64().unwrap_or_else(|| panic!("{kind} has no {code}: {status}"))
}

#[track_caller]
fn check(answer: &Answer, status: u16, code: &str) {
    let body = answer.json();
    assert_eq!((answer.status.as_u16(), body["code"].as_str().unwrap_or_default()), (status, code), "{body}");
}
