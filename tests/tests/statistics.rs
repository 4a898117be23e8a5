//! What health authorities are told at `/v1/stats`, over HTTP, with a clock of the test's.

use http::Method;
use serde_json::{Value, json};
use tocsin_domain::ports::Clock;
use tocsin_domain::testing::random::FakeRandom;
use tocsin_host::jobs::Job;
use tocsin_tests::harness::client::{Answer, Client};
use tocsin_tests::harness::people::Phone;
use tocsin_tests::harness::server::TestServer;

const HOUR: i64 = 3600;
const ANDROID: &str = "Dalvik/2.1.0 (Linux; U; Android 10)";

async fn ask(server: &TestServer, client: &mut Client) -> Answer {
    let token = server.authority.statistics_token("keyserver", server.clock.now());
    let headers = [("content-type", "application/json"), ("authorization", &format!("Bearer {token}"))];
    client.send(Method::POST, "/v1/stats", &headers, r#"{"padding":"AAAA"}"#).await
}

async fn publish(server: &TestServer, client: &mut Client, phone: &Phone, report_type: &str, agent: &str) -> Answer {
    let body = phone.body(&server.authority, report_type, server.clock.now());
    let headers = [("content-type", "application/json"), ("user-agent", agent)];
    let answer = client.send(Method::POST, "/v1/publish", &headers, body).await;
    assert_eq!(answer.status, 200, "{:?}", answer.json());
    answer
}

#[tokio::test(flavor = "multi_thread")]
async fn authority_sees_days_with_enough_publishes_and_others_after_the_embargo() {
    let mut server = TestServer::start().await;
    let random = FakeRandom::seeded(5);
    let mut client = server.client();
    let mut revising = Phone::new(&random, 14, server.clock.now());
    let first = publish(&server, &mut client, &revising, "likely", ANDROID).await;
    revising.revision_token = first.json()["revisionToken"].as_str().expect("a token").to_owned();
    for _ in 0..8 {
        publish(&server, &mut client, &Phone::new(&random, 3, server.clock.now()), "confirmed", "iPhone").await;
    }
    publish(&server, &mut client, &revising, "confirmed", ANDROID).await;
    assert_eq!(ask(&server, &mut client).await.json().get("days"), None, "the running hour does not count");

    // Ten publishes, nine of them new, in an hour that is over.
    server.clock.advance_seconds(HOUR);
    let answer = ask(&server, &mut client).await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.header("content-type"), "application/json");
    assert_eq!(answer.header("x-api-version"), "");
    let mut ages = vec![0; 16];
    (ages[3], ages[14]) = (8, 1);
    let expect = json!([{
        "day": "2026-11-02T00:00:00Z",
        "publish_requests": {"unknown": 0, "android": 2, "ios": 8},
        "total_teks_published": 14 + 24 + 14,
        "requests_with_revisions": 1,
        "tek_age_distribution": ages,
        "onset_to_upload_distribution": vec![0; 30],
        "requests_missing_onset_date": 9,
    }]);
    assert_eq!(answer.json()["days"], expect);

    // One publish on another day is hidden for two days.
    server.clock.advance_seconds(24 * HOUR);
    publish(&server, &mut client, &Phone::new(&random, 1, server.clock.now()), "confirmed", "?").await;
    server.clock.advance_seconds(58 * HOUR);
    assert_eq!(ask(&server, &mut client).await.json()["days"], expect);
    server.clock.advance_seconds(2 * HOUR);
    let days = ask(&server, &mut client).await.json()["days"].clone();
    let counts: Vec<_> = days.as_array().into_iter().flatten().map(|day| &day["publish_requests"]["unknown"]).collect();
    assert_eq!(counts, [&json!(0), &json!(1)]);

    // Counts survive a restart and go with the keys.
    server.restart().await;
    let mut client = server.client();
    assert_eq!(ask(&server, &mut client).await.json()["days"], days);
    server.clock.advance_seconds(15 * 24 * HOUR);
    server.job(Job::Purge).await;
    assert_eq!(ask(&server, &mut client).await.json().get("days"), None);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_else_sees_them_and_every_answer_is_padded() {
    let mut server = TestServer::start().await;
    let mut client = server.client();
    let now = server.clock.now();
    let token = |audience: &str| format!("Bearer {}", server.authority.statistics_token(audience, now));
    let (good, other) = (token("keyserver"), token("keys.example"));
    let stranger =
        format!("Bearer {}", tocsin_tests::harness::people::HealthAuthority::new().statistics_token("keyserver", now));
    let json_type = "application/json";
    for (content_type, authorization, body, status, code, text) in [
        (json_type, good.as_str(), "{}", 200, "", ""),
        (json_type, other.as_str(), "{}", 401, "unauthorized", "unauthorized, audience mismatch"),
        (json_type, stranger.as_str(), "{}", 401, "unauthorized", "unauthorized: signature is invalid"),
        (json_type, "Basic eDp5", "{}", 401, "unauthorized", "Authorization header is not in `Bearer <token>` format"),
        (json_type, good.as_str(), "{\"x\":1}", 400, "bad_request", "unknown field \"x\""),
        ("text/plain", good.as_str(), "{}", 400, "bad_request", "content-type is not application/json"),
    ] {
        let headers = [("content-type", content_type), ("authorization", authorization)];
        let answer = client.send(Method::POST, "/v1/stats", &headers, body).await;
        let fields = answer.json();
        let field = |name: &str| fields[name].as_str().unwrap_or_default().to_owned();
        assert_eq!((answer.status.as_u16(), field("code").as_str(), field("error").as_str()), (status, code, text));
        let padding = tocsin_domain::base64::decode(&field("padding")).expect("base64").len();
        assert!((2048..3072).contains(&padding), "{padding}");
    }
    let unsigned: Value = client.send(Method::POST, "/v1/stats", &[("content-type", json_type)], "{}").await.json();
    assert_eq!(unsigned["code"], "unauthorized");
    server.stop().await;
}
