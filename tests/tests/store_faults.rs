//! The store fails in the middle of a publish, at each step of it: nothing is half done, the phone is told that it was our
//! fault, and the same request succeeds later. Faults are triggers in the database that abort a statement.

use rusqlite::Connection;
use serde_json::Value;
use tocsin_domain::health_authority::HealthAuthorityId;
use tocsin_domain::ports::Clock;
use tocsin_domain::ports::statistics::Statistics;
use tocsin_domain::testing::random::FakeRandom;
use tocsin_tests::harness::client::{Answer, Client};
use tocsin_tests::harness::people::Phone;
use tocsin_tests::harness::server::TestServer;

const KEYS: u64 = 5;

/// The database of a running server, from outside.
struct Database(Connection);

impl Database {
    fn of(server: &TestServer) -> Self {
        Self(Connection::open(server.folder().join("tocsin.db")).expect("opens"))
    }

    /// Aborts `event` on `table` when `condition` holds.
    fn inject(&self, table: &str, event: &str, condition: &str) {
        let trigger = format!(
            "CREATE TRIGGER fault BEFORE {event} ON {table} WHEN {condition}
             BEGIN SELECT RAISE(ABORT, 'injected'); END"
        );
        self.0.execute_batch(&trigger).expect("injected");
    }

    fn mend(&self) {
        self.0.execute_batch("DROP TRIGGER fault").expect("mended");
    }

    /// Everything that a publish writes, as text.
    fn contents(&self) -> Vec<String> {
        let tables =
            [("exposure", "id"), ("exposure_revision", "exposure_id"), ("provenance", "id"), ("statistics", "hour")];
        let mut contents = Vec::new();
        for (table, order) in tables {
            let mut statement = self.0.prepare(&format!("SELECT * FROM {table} ORDER BY {order}")).expect("prepared");
            let columns = statement.column_count();
            let mut rows = statement.query([]).expect("read");
            while let Some(row) = rows.next().expect("read") {
                let values: Vec<_> = (0..columns).map(|column| row.get_ref(column).expect("a value")).collect();
                contents.push(format!("{table} {values:?}"));
            }
        }
        contents
    }
}

async fn publish(server: &TestServer, client: &mut Client, phone: &Phone, report_type: &str) -> Answer {
    client.publish(phone.body(&server.authority, report_type, server.clock.now())).await
}

fn assert_our_fault(answer: &Answer, step: &str) {
    let body = answer.json();
    assert_eq!(answer.status, 500, "{step}");
    assert_eq!(
        (&body["code"], &body["error"]),
        (&Value::from("internal_error"), &Value::from("Internal Server Error"))
    );
    assert!(body["padding"].as_str().is_some_and(|padding| padding.len() >= 1368), "{step}: as long as any answer");
    assert_eq!(body.get("revisionToken"), None, "{step}");
}

/// Publishes while `event` fails, again when it does not, and looks at what is stored after each.
async fn check(server: &TestServer, phone: &Phone, report_type: &str, fault: (&str, &str, &str)) -> Answer {
    let (table, event, condition) = fault;
    let step = format!("{event} on {table} when {condition}");
    let database = Database::of(server);
    let mut client = server.client();
    let before = database.contents();
    database.inject(table, event, condition);
    assert_our_fault(&publish(server, &mut client, phone, report_type).await, &step);
    assert_eq!(database.contents(), before, "{step}: nothing is half done");
    database.mend();
    let answer = publish(server, &mut client, phone, report_type).await;
    assert_eq!(answer.status, 200, "{step}: {:?}", answer.json());
    answer
}

#[tokio::test(flavor = "multi_thread")]
async fn insert_that_fails_at_any_key_leaves_nothing_and_can_be_repeated() {
    let mut server = TestServer::start().await;
    let random = FakeRandom::seeded(1);
    let mut stored = 0;
    for failing in 0..KEYS {
        let phone = Phone::new(&random, i64::try_from(KEYS).expect("small"), server.clock.now());
        let condition = format!("(SELECT count(*) FROM exposure) >= {}", stored + failing);
        let answer = check(&server, &phone, "likely", ("exposure", "INSERT", &condition)).await;
        assert_eq!(answer.json()["insertedExposures"], KEYS);
        stored += KEYS;
    }
    for (table, condition) in [("statistics", "1"), ("statistics", "new.keys > 0")] {
        let phone = Phone::new(&random, 3, server.clock.now());
        assert_eq!(check(&server, &phone, "likely", (table, "INSERT", condition)).await.json()["insertedExposures"], 3);
    }
    let hours = server.components().services().store.hours(HealthAuthorityId(1)).expect("statistics");
    let counts: Vec<_> = hours.iter().map(|hour| (hour.requests(), hour.keys)).collect();
    assert_eq!(counts, [(KEYS + 2, stored + 6)], "each publish is counted once, failures not");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn revision_that_fails_at_any_key_leaves_nothing_and_can_be_repeated() {
    let mut server = TestServer::start().await;
    let random = FakeRandom::seeded(2);
    let mut revised = 0;
    for failing in 0..KEYS {
        let mut phone = Phone::new(&random, i64::try_from(KEYS).expect("small"), server.clock.now());
        let first = publish(&server, &mut server.client(), &phone, "likely").await;
        phone.revision_token = first.json()["revisionToken"].as_str().expect("a token").to_owned();
        let condition = format!("(SELECT count(*) FROM exposure_revision) >= {}", revised + failing);
        let answer = check(&server, &phone, "confirmed", ("exposure_revision", "INSERT", &condition)).await;
        assert_eq!(answer.json().get("insertedExposures"), None, "revisions are no inserts");
        revised += KEYS;
    }
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn provenance_that_cannot_be_stored_fails_the_publish() {
    let mut server = TestServer::start().await;
    let phone = Phone::new(&FakeRandom::seeded(3), 2, server.clock.now());
    assert_eq!(check(&server, &phone, "confirmed", ("provenance", "INSERT", "1")).await.json()["insertedExposures"], 2);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn unreadable_row_is_our_fault_and_not_the_phones() {
    let mut server = TestServer::start().await;
    let mut client = server.client();
    let phone = Phone::new(&FakeRandom::seeded(4), 2, server.clock.now());
    assert_eq!(publish(&server, &mut client, &phone, "likely").await.status, 200);
    let database = Database::of(&server);
    database.0.execute("UPDATE exposure SET rolling_period = 0", []).expect("damaged");
    let before = database.contents();
    assert_our_fault(&publish(&server, &mut client, &phone, "confirmed").await, "reading a damaged row");
    assert_eq!(database.contents(), before);
    server.stop().await;
}
