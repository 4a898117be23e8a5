//! v1alpha1, chaff requests by their body, and what is counted.

use super::tests::{World, YESTERDAY, failure, incoming, request};
use super::*;
use crate::base64;
use crate::health_authority::HealthAuthorityId;
use crate::ports::statistics::Statistics;
use serde_json::{Value, json};
use std::borrow::Cow;

#[test]
fn v1alpha1_speaks_of_regions_and_answers_with_all_fields() {
    let world = World::new();
    let publish = |regions: Value| {
        let keys = json!([{"key": base64::encode(&[1; 16]), "rollingStartNumber": YESTERDAY, "rollingPeriod": 144}]);
        let body = json!({"temporaryExposureKeys": keys, "appPackageName": "APP", "verificationPayload": "confirmed",
            "regions": regions, "hmackey": "", "platform": "android", "deviceVerificationPayload": "x"});
        world.publish_incoming(&Incoming { api: ApiVersion::V1Alpha1, ..incoming(body.to_string().as_bytes()) })
    };
    let refused = json!({"revisionToken": "", "insertedExposures": 0,
        "error": "verifying allowed regions: app APP tried to write to unauthorized region XX"});
    assert_eq!(publish(json!(["XX"])), (401, refused));
    // As the app has it: compared to the letter, stored in upper case.
    assert_eq!(publish(json!(["DE"])).0, 401);
    let (status, body) = publish(json!(["de"]));
    assert_eq!((status, &body["insertedExposures"], &body["error"]), (200, &json!(1), &json!("")));
    assert!(body.get("code").is_none());
    let row = world.exposures.rows().remove(0);
    assert_eq!((row.regions, row.traveler), (vec!["DE".to_owned()], false));
}

#[test]
fn v1alpha1_traveler_is_who_names_several_regions() {
    let parse = |body: &str| {
        let request = PublishRequest::parse_v1alpha1(Some("application/json"), body.as_bytes()).expect("valid");
        (request.traveler, request.regions.len())
    };
    assert_eq!(parse(r#"{"regions":["US","CA"]}"#), (true, 2));
    assert_eq!(parse(r#"{"regions":["US"]}"#), (false, 1));
    assert_eq!(parse(r#"{"regions":null}"#), (false, 0));
    for field in ["traveler", "healthAuthorityID"] {
        let body = format!("{{\"{field}\":null}}");
        let error = PublishRequest::parse_v1alpha1(Some("application/json"), body.as_bytes()).expect_err(field);
        assert_eq!(error, RequestError::UnknownField(field.to_owned()));
    }
}

#[test]
fn chaff_by_the_body_touches_nothing_and_says_so() {
    let world = World::new();
    let body = json!({"chaff": true, "healthAuthorityID": "nobody", "padding": "AAAA"}).to_string();
    let response = world.publisher().publish(&incoming(body.as_bytes()));
    assert_eq!((response.status, response.chaff), (200, true));
    assert_eq!((world.apps.faults.calls(), world.exposures.faults.calls()), (0, 0));
    let real = PublishRequest { chaff: Some(false), ..request("confirmed", &[1]) };
    let (status, body) = world.publish(&real);
    assert_eq!((status, &body["chaff"]), (200, &json!(false)));
    let old = world.publish(&request("confirmed", &[2])).1;
    assert!(old.get("chaff").is_none(), "old apps see what they always saw");
}

#[test]
fn publish_is_counted_once_for_its_health_authority() {
    let world = World::new();
    let statistics = || world.exposures.hours(HealthAuthorityId(1)).expect("statistics");
    let sent = request("likely", &[1, 2]);
    let (_, first) = world.publish(&sent);
    let hour = statistics().remove(0);
    assert_eq!((hour.requests(), hour.keys, hour.oldest_key_days[1], hour.missing_onset), (1, 2, 1, 1));
    // The same again changes nothing and does not count.
    let token: Cow<'_, str> = first["revisionToken"].as_str().expect("token").to_owned().into();
    world.publish(&PublishRequest { revision_token: token.clone(), ..sent.clone() });
    assert_eq!(statistics(), [hour]);
    let revised = PublishRequest { revision_token: token, ..request("confirmed", &[1]) };
    world.publish(&revised);
    let hour = statistics().remove(0);
    assert_eq!((hour.requests(), hour.keys, hour.requests_with_revisions), (2, 3, 1));
}

#[test]
fn publish_that_fails_or_has_no_certificate_is_not_counted() {
    let mut world = World::new();
    world.check(
        &request("confirmed", &[]),
        400,
        &failure("bad_request", "unable to read request data: no exposure keys in publish request"),
    );
    world.apps.apps[0].bypass_verification = true;
    assert_eq!(world.publish(&request("nonsense", &[1])).0, 200);
    assert_eq!(world.exposures.rows().len(), 1);
    assert_eq!(world.exposures.hours(HealthAuthorityId(1)), Ok(vec![]));
}

#[test]
fn publish_counts_in_the_hour_that_its_keys_are_stored_under() {
    let mut world = World::new();
    for (window, expect) in [(600, "12:00"), (3600, "12:00"), (4 * 3600, "12:00"), (24 * 3600, "00:00")] {
        world.settings.truncate_window_seconds = window;
        world.publish(&request("confirmed", &[u8::try_from(window / 600).expect("small")]));
        let hours = world.exposures.hours(HealthAuthorityId(1)).expect("statistics");
        let hour = format!("2020-09-14T{expect}:00Z");
        assert!(hours.iter().any(|row| crate::interval::rfc3339(row.hour) == hour), "{window}: {hours:?}");
    }
    assert_eq!(world.exposures.hours(HealthAuthorityId(1)).expect("statistics").len(), 2);
}
