use super::*;
use crate::base64;
use crate::exposure::{NewExposure, ReportType};
use crate::health_authority::HealthAuthorityId;
use crate::interval::Timestamp;
use crate::ports::statistics::Statistics;
use crate::testing::authorized_apps::FakeAuthorizedApps;
use crate::testing::clock::FakeClock;
use crate::testing::exposures::{FakeExposures, Rival};
use crate::testing::random::FakeRandom;
use crate::testing::sealing::FakeSealing;
use crate::testing::validation::FakeValidation;
use crate::testing::verifier::FakeVerifier;
use serde_json::{Value, json};
use std::borrow::Cow;

/// 2020-09-14T12:34:56Z.
pub(super) const NOW: Timestamp = Timestamp::from_unix(1_600_086_896);
/// First interval of the day before.
pub(super) const YESTERDAY: i32 = 2_666_736 - 144;

/// A server of fakes.
pub(super) struct World {
    pub(super) settings: PublishSettings,
    pub(super) apps: FakeAuthorizedApps,
    pub(super) verifier: FakeVerifier,
    pub(super) validation: FakeValidation,
    pub(super) exposures: FakeExposures,
    pub(super) sealing: FakeSealing,
    pub(super) clock: FakeClock,
    random: FakeRandom,
}

impl World {
    pub(super) fn new() -> Self {
        Self {
            settings: PublishSettings::default(),
            apps: FakeAuthorizedApps::with_app(HealthAuthorityId(1)),
            verifier: FakeVerifier::default(),
            validation: FakeValidation::default(),
            exposures: FakeExposures::default(),
            sealing: FakeSealing::default(),
            clock: FakeClock::at(NOW),
            random: FakeRandom::seeded(1),
        }
    }

    pub(super) fn publisher(&self) -> Publisher<'_> {
        Publisher {
            settings: &self.settings,
            authorized_apps: &self.apps,
            verifier: &self.verifier,
            validation: &self.validation,
            exposures: &self.exposures,
            sealing: &self.sealing,
            clock: &self.clock,
            random: &self.random,
        }
    }

    /// Status and body without the padding.
    pub(super) fn publish(&self, request: &PublishRequest<'_>) -> (u16, Value) {
        self.publish_body(&request.to_json())
    }

    fn publish_body(&self, body: &[u8]) -> (u16, Value) {
        self.publish_incoming(&incoming(body))
    }

    pub(super) fn publish_incoming(&self, incoming: &Incoming<'_>) -> (u16, Value) {
        let PublishResponse { status, chaff: _, body } = self.publisher().publish(incoming);
        let mut value: Value = serde_json::from_slice(&body).expect("JSON");
        let padding = value.as_object_mut().and_then(|fields| fields.remove("padding")).expect("padding");
        assert!((1368..=2732).contains(&padding.as_str().expect("text").len()));
        (status, value)
    }

    #[track_caller]
    pub(super) fn check(&self, request: &PublishRequest<'_>, status: u16, body: &Value) {
        assert_eq!(self.publish(request), (status, body.clone()));
    }
}

pub(super) fn incoming(body: &[u8]) -> Incoming<'_> {
    Incoming { api: ApiVersion::V1, content_type: Some("application/json"), user_agent: None, body }
}

pub(super) fn key(byte: u8) -> RequestKey<'static> {
    let key = Cow::Owned(base64::encode(&[byte; 16]));
    RequestKey { key, rolling_start: YESTERDAY, rolling_period: 144, transmission_risk: 0 }
}

pub(super) fn request(report_type: &'static str, bytes: &[u8]) -> PublishRequest<'static> {
    PublishRequest {
        keys: bytes.iter().map(|byte| key(*byte)).collect(),
        health_authority_id: "APP".into(),
        verification_payload: report_type.into(),
        ..PublishRequest::default()
    }
}

pub(super) fn failure(code: &str, error: &str) -> Value {
    json!({"code": code, "error": error})
}

fn internal() -> Value {
    failure("internal_error", "Internal Server Error")
}

fn take_token(body: &Value) -> String {
    body["revisionToken"].as_str().expect("a token").to_owned()
}

#[test]
fn publish_stores_the_keys_and_answers_with_a_token() {
    let world = World::new();
    let (status, body) = world.publish(&PublishRequest { traveler: true, ..request("confirmed", &[2, 1]) });
    assert_eq!((status, &body["insertedExposures"], body.as_object().map(|o| o.len())), (200, &json!(2), Some(2)));
    let rows = world.exposures.rows();
    assert_eq!(rows.iter().map(|row| row.exposure.key.as_bytes()[0]).collect::<Vec<_>>(), [1, 2]);
    let row = &rows[0];
    assert_eq!((row.app.as_str(), row.regions.as_slice(), row.traveler), ("app", &["DE".to_owned()][..], true));
    assert_eq!(
        (row.health_authority, row.exposure.report_type),
        (Some(HealthAuthorityId(1)), Some(ReportType::ConfirmedTest))
    );
    assert_eq!(row.exposure.created_at, NOW.truncate(3600));
    assert_eq!(row.exposure.days_since_onset, Some(3));
    let token = RevisionToken::read(&take_token(&body), &world.sealing).expect("opens");
    let keys: Vec<_> = token.entries().expect("entries").iter().map(|entry| entry.key.as_bytes()[0]).collect();
    assert_eq!(keys, [1, 2]);
}

#[test]
fn token_revises_the_keys_it_was_given_for() {
    let world = World::new();
    let (_, first) = world.publish(&request("likely", &[1, 2]));
    world.clock.advance_seconds(7200);
    let second = PublishRequest { revision_token: take_token(&first).into(), ..request("confirmed", &[1, 3]) };
    let (status, body) = world.publish(&second);
    assert_eq!((status, &body["insertedExposures"]), (200, &json!(1)));
    let rows = world.exposures.rows();
    let revised: Vec<_> = rows.iter().map(|row| row.revision.map(|revision| revision.report_type)).collect();
    assert_eq!(revised, [Some(ReportType::ConfirmedTest), None, None]);
    assert_eq!(rows[0].revision.map(|revision| revision.revised_at), Some(NOW.plus_seconds(7200).truncate(3600)));
    let token = RevisionToken::read(&take_token(&body), &world.sealing).expect("opens");
    let keys: Vec<_> = token.entries().expect("entries").iter().map(|entry| entry.key.as_bytes()[0]).collect();
    assert_eq!(keys, [1, 2, 3], "old entries first");
    let third = PublishRequest { revision_token: take_token(&body).into(), ..request("negative", &[1]) };
    world.check(&third, 400, &failure("key_already_revised", "key was already revised"));
}

#[test]
fn body_is_judged_first() {
    let world = World::new();
    let unreadable = |message: &str| failure("bad_request", &format!("error unmarshalling API call, code: {message}"));
    for (body, status, message) in [
        ("", 400, "400: body must not be empty"),
        ("{}{}", 400, "400: body must contain only one JSON object"),
        (r#"{"regions":[]}"#, 400, "400: unknown field \"regions\""),
    ] {
        assert_eq!(world.publish_body(body.as_bytes()), (status, unreadable(message)));
    }
    let large = vec![b' '; 64_001];
    assert_eq!(world.publish_body(&large), (413, unreadable("413: http: request body too large")));
    let refused = world.publish_incoming(&Incoming { content_type: Some("text/json"), ..incoming(b"{}") });
    assert_eq!(refused.0, 415);
    assert_eq!(world.apps.faults.calls(), 0);
}

#[test]
fn first_failing_check_of_the_table_answers() {
    let unknown =
        |name: &str| failure("unknown_health_authority_id", &format!("unauthorized health authority: {name}"));
    let world = World::new();
    // Everything is wrong with these requests at once.
    let bad = |name: &'static str| PublishRequest { health_authority_id: name.into(), ..request("bogus", &[]) };
    world.check(&bad("Other"), 401, &unknown("Other"));
    world.check(&PublishRequest::default(), 401, &unknown(""));
    world.apps.faults.fail_next(PortError::Internal("secret".into()));
    let lookup = failure("unable_to_load_health_authority", "error loading health authority config");
    world.check(&bad("app"), 500, &lookup);

    let mut nowhere = World::new();
    nowhere.apps.apps[0].allowed_regions.clear();
    let no_region = failure("health_authority_missing_region_config", "unknown health authority regions for App");
    nowhere.check(&bad("App"), 500, &no_region);

    let rejected = failure(
        "health_authority_verification_certificate_invalid",
        "unable to validate diagnosis verification: no report type",
    );
    world.check(&bad("App"), 401, &rejected);
    let no_keys = failure("bad_request", "unable to read request data: no exposure keys in publish request");
    world.check(&request("likely", &[]), 400, &no_keys);
    assert_eq!(world.exposures.faults.calls(), 0);
}

#[test]
fn default_region_serves_apps_without_one() {
    let mut world = World::new();
    world.apps.apps[0].allowed_regions.clear();
    world.settings.default_region = "us".into();
    assert_eq!(world.publish(&request("likely", &[1])).0, 200);
    assert_eq!(world.exposures.rows()[0].regions, ["US"]);
}

#[test]
fn bypassed_verification_still_applies_valid_claims() {
    let mut world = World::new();
    world.apps.apps[0].bypass_verification = true;
    assert_eq!(world.publish(&request("bogus", &[1])).0, 200);
    assert_eq!(world.publish(&request("confirmed", &[2])).0, 200);
    let rows = world.exposures.rows();
    assert_eq!((rows[0].health_authority, rows[0].exposure.report_type), (None, None));
    assert_eq!(rows[1].exposure.report_type, Some(ReportType::ConfirmedTest));
    world.verifier.faults.fail_next(PortError::Unavailable);
    world.check(&request("bogus", &[3]), 500, &internal());
}

#[test]
fn partial_failure_is_a_success_that_names_the_bad_keys() {
    let world = World::new();
    let mut request = request("likely", &[1, 2]);
    request.keys[1].rolling_period = 0;
    let (status, body) = world.publish(&request);
    let error =
        "1 error occurred:\n\t* key 1 cannot be imported: invalid interval count, 0, must be >= 1 && <= 144\n\n";
    assert_eq!((status, &body["code"], &body["error"]), (200, &json!("partial_failure"), &json!(error)));
    assert_eq!(body["insertedExposures"], json!(1));
}

#[test]
fn request_whose_keys_are_all_dropped_by_onset_succeeds_with_warnings() {
    let world = World::new();
    let (_, first) = world.publish(&request("likely", &[1]));
    let mut far = request("likely", &[2]);
    far.keys[0].rolling_start -= 144 * 14;
    far.symptom_onset_interval = YESTERDAY + 144;
    let warning = "key 0 symptom onset is too large, 15 > 14 - saving without this key";
    world.check(&far, 200, &json!({"warnings": [warning]}));
    far.revision_token = take_token(&first).into();
    let (status, body) = world.publish(&far);
    assert_eq!((status, &body["warnings"], body["insertedExposures"].is_null()), (200, &json!([warning]), true));
    assert_eq!(take_token(&body), take_token(&first));
}

#[test]
fn failures_of_revision_keep_code_status_and_warnings() {
    let mut world = World::new();
    let (_, first) = world.publish(&request("likely", &[1]));
    let again = request("confirmed", &[1]);
    let missing = failure("missing_revision_token", "no revision token, but sent existing keys");
    world.check(&again, 400, &missing);
    let with = |token: &str| PublishRequest { revision_token: token.to_owned().into(), ..again.clone() };
    world.check(&with("*"), 400, &missing);
    let invalid = failure("invalid_revision_token", "revision token is invalid");
    world.check(&with("AAAA"), 400, &invalid);
    world.sealing.allowed_keys.clear();
    world.check(&with(&take_token(&first)), 400, &invalid);
    // An unreadable token is no obstacle to new keys.
    let new = PublishRequest { revision_token: "AAAA".into(), ..request("likely", &[2]) };
    assert_eq!(world.publish(&new).0, 200);
    world.sealing.allowed_keys.push(1);
    let mut other_times = with(&take_token(&first));
    other_times.keys[0].rolling_period = 143;
    let (status, body) = world.publish(&other_times);
    assert_eq!((status, &body["code"]), (400, &json!("internal_error")));

    let mut far = again;
    far.keys.push(RequestKey { rolling_start: YESTERDAY - 144 * 14, ..key(9) });
    far.symptom_onset_interval = YESTERDAY + 144;
    let (status, body) = world.publish(&far);
    assert_eq!((status, &body["code"], body["warnings"].as_array().map(Vec::len)), (400, &missing["code"], Some(1)));
}

#[test]
fn store_failure_at_each_step_is_a_500_and_leaves_nothing_half_done() {
    for (call, error) in [
        (1, PortError::Unavailable),
        (1, PortError::Internal("secret".into())),
        (2, PortError::Unavailable),
        (2, PortError::Internal("secret".into())),
    ] {
        let world = World::new();
        let (_, first) = world.publish(&request("likely", &[1]));
        let before = world.exposures.rows();
        world.exposures.faults.fail_nth(call, error);
        let change = PublishRequest { revision_token: take_token(&first).into(), ..request("confirmed", &[1, 2]) };
        world.check(&change, 500, &internal());
        assert_eq!(world.exposures.rows(), before);
        let (status, body) = world.publish(&change);
        assert_eq!((status, &body["insertedExposures"]), (200, &json!(1)), "a repetition succeeds");
    }
}

#[test]
fn failing_verifier_and_sealing_are_500_before_anything_is_stored() {
    let world = World::new();
    let (_, first) = world.publish(&request("likely", &[1]));
    let change = PublishRequest { revision_token: take_token(&first).into(), ..request("confirmed", &[1, 2]) };
    let before = world.exposures.rows();
    world.verifier.faults.fail_next(PortError::Internal("secret".into()));
    world.check(&change, 500, &internal());
    world.sealing.faults.fail_next(PortError::Unavailable);
    world.check(&change, 500, &internal());
    assert_eq!(world.exposures.rows(), before);
}

#[test]
fn stored_keys_are_acknowledged_even_if_no_token_can_be_sealed() {
    let world = World::new();
    world.sealing.faults.fail_next(PortError::Unavailable);
    world.check(&request("likely", &[1]), 200, &json!({"insertedExposures": 1}));
    assert_eq!(world.exposures.rows().len(), 1);
}

#[test]
fn unknown_negative_keys_get_a_token_and_nothing_else() {
    let world = World::new();
    let (status, body) = world.publish(&request("negative", &[1]));
    assert_eq!((status, body.as_object().map(|fields| fields.len())), (200, Some(1)));
    take_token(&body);
    assert_eq!(world.exposures.rows().len(), 0);
    let hour = world.exposures.hours(HealthAuthorityId(1)).expect("statistics").remove(0);
    assert_eq!((hour.requests_unknown, hour.keys), (1, 0), "counted without keys");
}

fn rival(byte: u8) -> Rival {
    let sent = request("likely", &[byte]);
    let transformed = transform(&sent, None, &PublishSettings::default(), NOW).expect("valid");
    let inserts = transformed.keys.into_iter().map(|key| NewExposure { report_type: None, ..key }).collect();
    Rival::Store(Submission {
        app: "rival".into(),
        regions: vec![],
        traveler: false,
        health_authority: None,
        inserts,
        revisions: vec![],
        statistics: None,
        commits: None,
    })
}

#[test]
fn conflict_is_decided_again_on_what_is_now_stored() {
    let world = World::new();
    world.exposures.after_next_find(rival(1));
    let missing = failure("missing_revision_token", "no revision token, but sent existing keys");
    world.check(&request("likely", &[1, 2]), 400, &missing);
    assert_eq!(world.exposures.rows().len(), 1, "the rival's");
}

#[test]
fn export_that_passes_the_time_of_upload_moves_the_upload() {
    let world = World::new();
    let cut = NOW.truncate(3600).plus_seconds(3600);
    world.exposures.after_next_find(Rival::ExportUpTo(cut));
    let (status, body) = world.publish(&request("likely", &[1]));
    assert_eq!((status, &body["insertedExposures"]), (200, &json!(1)));
    assert_eq!(world.exposures.rows()[0].exposure.created_at, cut);
}

#[test]
fn five_conflicts_are_given_up_as_retryable() {
    let world = World::new();
    let conflicts = |count: u64| (1..=count).for_each(|n| world.exposures.faults.fail_nth(2 * n, PortError::Conflict));
    conflicts(4);
    assert_eq!(world.publish(&request("likely", &[1])).0, 200);
    let calls = world.exposures.faults.calls();
    conflicts(5);
    world.check(&request("likely", &[2]), 500, &internal());
    assert_eq!(world.exposures.faults.calls() - calls, 10);
    assert_eq!(world.exposures.rows().len(), 1);
}

#[test]
fn phone_with_an_issued_certificate_publishes() {
    use crate::health_authority::{HealthAuthority, HealthAuthorityKey};
    use crate::settings::VerificationSettings;
    use crate::testing::health_authorities::FakeHealthAuthorities;
    use crate::testing::signature_check::FakeSignatureCheck;
    use crate::verification::certificate::CertificateVerifier;
    use crate::verification::issue::{CertificateRequest, assemble, phone_hmac, signing_input};

    let (world, secret, public_key) = (World::new(), [9; 32], vec![4; 65]);
    let mut sent = request("", &[1, 2, 3]);
    sent.keys[0].transmission_risk = 5;
    let certificate = signing_input(&CertificateRequest {
        issuer: "issuer",
        audience: "audience",
        key_version: "v1",
        report_type: "confirmed",
        symptom_onset: (YESTERDAY - 144).cast_unsigned(),
        issued_at: NOW,
        expires_at: NOW.plus_seconds(900),
        hmac: phone_hmac(&secret, &sent.keys.iter().map(proof_key).collect::<Vec<_>>()),
    });
    let signature = FakeSignatureCheck::sign(&public_key, certificate.as_bytes());
    sent.verification_payload = assemble(&certificate, &signature).into();
    sent.hmac_key = base64::encode(&secret).into();

    let key = HealthAuthorityKey { version: "v1".into(), from: NOW.plus_seconds(-1), thru: None, public_key };
    let (id, issuer, audience) = (HealthAuthorityId(1), "issuer".into(), "audience".into());
    let authority =
        HealthAuthority { id, issuer, audience, name: "Health".into(), statistics_enabled: true, keys: vec![key] };
    let verifier = CertificateVerifier {
        settings: &VerificationSettings::default(),
        health_authorities: &FakeHealthAuthorities { authorities: vec![authority], ..Default::default() },
        signature_check: &FakeSignatureCheck::default(),
        clock: &world.clock,
    };
    let publisher = Publisher { verifier: &verifier, ..world.publisher() };
    let publish = |sent: &PublishRequest<'_>| publisher.publish(&incoming(&sent.to_json())).status;
    let mut swapped = sent.clone();
    swapped.keys[0].key = sent.keys[1].key.clone();
    assert_eq!(publish(&swapped), 401, "the certificate does not cover these keys");
    assert_eq!(world.exposures.rows().len(), 0);
    assert_eq!(publish(&sent), 200);
    let rows = world.exposures.rows();
    let stored: Vec<_> =
        rows.iter().map(|row| (row.exposure.transmission_risk.get(), row.exposure.days_since_onset)).collect();
    assert_eq!(stored, [(5, Some(1)), (2, Some(1)), (2, Some(1))]);
}
