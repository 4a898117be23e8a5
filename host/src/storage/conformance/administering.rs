//! Administration, and the ports that show what it did.

use super::*;
use crate::storage::AdminError;
use crate::storage::administration::{
    AuthorizedAppRecord, HealthAuthorityKeyRecord, HealthAuthorityRecord, HealthAuthorityUpdate, NewHealthAuthority,
};
use tocsin_domain::health_authority::HealthAuthorityKey;
use tocsin_domain::ports::PortError;
use tocsin_domain::verification::key_set::{Changes, Revocation};

fn add_authority(store: &impl Store, issuer: &str) -> HealthAuthorityRecord {
    store.add_health_authority(&new_authority(issuer)).expect("added")
}

fn new_authority(issuer: &str) -> NewHealthAuthority {
    NewHealthAuthority {
        issuer: issuer.to_owned(),
        audience: "server".to_owned(),
        name: "Health".to_owned(),
        jwks_uri: None,
        allow_empty_key_set: false,
        statistics_enabled: true,
    }
}

fn authority_key(version: &str) -> HealthAuthorityKeyRecord {
    let mut public_key = vec![7; 65];
    public_key[0] = 4;
    HealthAuthorityKeyRecord { version: version.to_owned(), from_unix: NOON, thru_unix: None, public_key }
}

fn app(name: &str, health_authorities: &[u64]) -> AuthorizedAppRecord {
    AuthorizedAppRecord {
        name: name.to_owned(),
        regions: vec!["US".to_owned()],
        health_authorities: health_authorities.to_vec(),
        bypass_verification: false,
        bypass_revision_token: true,
    }
}

fn refused<T: std::fmt::Debug>(result: Result<T, AdminError>) {
    assert!(matches!(result, Err(AdminError::Invalid(_))), "{result:?}");
}

fn not_found<T: std::fmt::Debug>(result: Result<T, AdminError>) {
    assert!(matches!(result, Err(AdminError::NotFound(_))), "{result:?}");
}

fn duplicate<T: std::fmt::Debug>(result: Result<T, AdminError>) {
    assert!(matches!(result, Err(AdminError::Duplicate(_))), "{result:?}");
}

pub(crate) fn health_authority_is_found_by_its_exact_issuer(store: &impl Store) {
    let added = add_authority(store, "gov.example");
    add_authority(store, "gov.other");
    store.add_health_authority_key(added.id, &authority_key("v1")).expect("added");
    store.add_health_authority_key(added.id, &authority_key("v2")).expect("added");
    let found = store.find_health_authority("gov.example").expect("no error").expect("there");
    assert_eq!(found.id, HealthAuthorityId(added.id));
    assert_eq!(
        (found.issuer.as_str(), found.audience.as_str(), found.name.as_str()),
        ("gov.example", "server", "Health")
    );
    assert_eq!(found.keys.iter().map(|key| key.version.as_str()).collect::<Vec<_>>(), ["v1", "v2"]);
    assert_eq!((found.keys[0].from, found.keys[0].thru), (at(NOON), None));
    assert_eq!(found.keys[0].public_key, authority_key("v1").public_key);
    for unknown in ["GOV.EXAMPLE", "gov.example ", ""] {
        assert_eq!(store.find_health_authority(unknown), Ok(None), "{unknown:?}");
    }
    let listed = store.health_authorities().expect("read");
    assert_eq!((listed.len(), listed[0].keys.len(), listed[1].keys.len()), (2, 2, 0));
}

pub(crate) fn health_authority_without_names_or_with_a_taken_issuer_is_refused(store: &impl Store) {
    let good = new_authority("gov.example");
    refused(store.add_health_authority(&NewHealthAuthority { issuer: String::new(), ..good.clone() }));
    refused(store.add_health_authority(&NewHealthAuthority { audience: String::new(), ..good.clone() }));
    refused(store.add_health_authority(&NewHealthAuthority { name: String::new(), ..good.clone() }));
    store.add_health_authority(&good).expect("added");
    duplicate(store.add_health_authority(&good));
    assert_eq!(store.health_authorities().expect("read").len(), 1);
}

pub(crate) fn malformed_health_authority_key_is_refused(store: &impl Store) {
    let id = add_authority(store, "gov.example").id;
    let good = authority_key("v1");
    let mut compressed = good.clone();
    compressed.public_key.truncate(33);
    let mut wrong_form = good.clone();
    wrong_form.public_key[0] = 2;
    for bad in [
        HealthAuthorityKeyRecord { version: String::new(), ..good.clone() },
        HealthAuthorityKeyRecord { thru_unix: Some(NOON - 1), ..good.clone() },
        HealthAuthorityKeyRecord { public_key: Vec::new(), ..good.clone() },
        compressed,
        wrong_form,
    ] {
        refused(store.add_health_authority_key(id, &bad));
    }
    not_found(store.add_health_authority_key(id + 1, &good));
    store.add_health_authority_key(id, &good).expect("added");
    duplicate(store.add_health_authority_key(id, &good));
}

pub(crate) fn revoked_key_ends_now_or_at_its_start_and_only_once(store: &impl Store) {
    let id = add_authority(store, "gov.example").id;
    for version in ["started", "future"] {
        store.add_health_authority_key(id, &authority_key(version)).expect("added");
    }
    store.revoke_health_authority_key(id, "started", at(NOON + 50)).expect("revoked");
    store.revoke_health_authority_key(id, "future", at(NOON - 50)).expect("revoked");
    let ends = || {
        let found = store.find_health_authority("gov.example").expect("no error").expect("there");
        found.keys.iter().map(|key| key.thru.expect("an end").unix()).collect::<Vec<_>>()
    };
    assert_eq!(ends(), [NOON + 50, NOON]);
    store.revoke_health_authority_key(id, "started", at(NOON + 90)).expect("revoked");
    assert_eq!(ends(), [NOON + 50, NOON], "a revoked key stays as it is");
    not_found(store.revoke_health_authority_key(id, "v9", at(NOON)));
    not_found(store.revoke_health_authority_key(id + 1, "started", at(NOON)));
}

pub(crate) fn reinstated_key_has_no_end_and_activated_key_begins_now(store: &impl Store) {
    let id = add_authority(store, "gov.example").id;
    store.add_health_authority_key(id, &authority_key("v1")).expect("added");
    let times = || {
        let key = keys_of(store, "gov.example").remove(0);
        (key.from.unix(), key.thru.map(Timestamp::unix))
    };
    store.revoke_health_authority_key(id, "v1", at(NOON - 50)).expect("revoked");
    refused(store.activate_health_authority_key(id, "v1", at(NOON - 40)));
    assert_eq!(times(), (NOON, Some(NOON)), "a revoked key does not come back by being activated");
    store.reinstate_health_authority_key(id, "v1").expect("reinstated");
    assert_eq!(times(), (NOON, None));
    store.activate_health_authority_key(id, "v1", at(NOON - 40)).expect("activated");
    assert_eq!(times(), (NOON - 41, None));
    assert!(keys_of(store, "gov.example")[0].is_valid_at(at(NOON - 40)));
    store.activate_health_authority_key(id, "v1", at(NOON)).expect("nothing to do");
    assert_eq!(times(), (NOON - 41, None));
    not_found(store.reinstate_health_authority_key(id, "v2"));
    not_found(store.activate_health_authority_key(id, "v2", at(NOON)));
}

pub(crate) fn health_authority_changes_only_as_told(store: &impl Store) {
    let uri = |uri: &str| Some(uri.to_owned());
    let new = NewHealthAuthority { jwks_uri: uri(" "), ..new_authority("gov.example") };
    let added = store.add_health_authority(&new).expect("added");
    assert_eq!((&added.jwks_uri, added.allow_empty_key_set, added.statistics_enabled), (&None, false, true));
    let check = |update: HealthAuthorityUpdate, expect: (Option<&str>, bool, bool)| {
        let updated = store.update_health_authority(added.id, &update).expect("updated");
        let got = (updated.jwks_uri.as_deref(), updated.allow_empty_key_set, updated.statistics_enabled);
        assert_eq!(got, expect, "{update:?}");
        assert_eq!(store.health_authorities().expect("read"), [updated]);
    };
    let nothing = HealthAuthorityUpdate::default();
    check(
        HealthAuthorityUpdate { jwks_uri: uri(" https://a.example/k\n"), ..nothing.clone() },
        (Some("https://a.example/k"), false, true),
    );
    check(
        HealthAuthorityUpdate { allow_empty_key_set: Some(true), ..nothing.clone() },
        (Some("https://a.example/k"), true, true),
    );
    check(
        HealthAuthorityUpdate { statistics_enabled: Some(false), ..nothing.clone() },
        (Some("https://a.example/k"), true, false),
    );
    check(nothing.clone(), (Some("https://a.example/k"), true, false));
    check(HealthAuthorityUpdate { jwks_uri: uri(""), ..nothing.clone() }, (None, true, false));
    not_found(store.update_health_authority(added.id + 1, &nothing));
}

fn keys_of(store: &impl Store, issuer: &str) -> Vec<HealthAuthorityKey> {
    store.find_health_authority(issuer).expect("no error").expect("there").keys
}

fn imported_key(version: &str) -> HealthAuthorityKey {
    let HealthAuthorityKeyRecord { version, from_unix, thru_unix, public_key } = authority_key(version);
    HealthAuthorityKey { version, from: at(from_unix), thru: thru_unix.map(at), public_key }
}

pub(crate) fn key_set_changes_count_at_once(store: &impl Store) {
    let id = add_authority(store, "gov.example").id;
    let other = add_authority(store, "gov.other").id;
    for version in ["v1", "v2", "v3"] {
        store.add_health_authority_key(id, &authority_key(version)).expect("added");
        store.add_health_authority_key(other, &authority_key(version)).expect("added");
    }
    let changes = Changes {
        purge: vec!["v1".to_owned(), "v3".to_owned()],
        revoke: vec![Revocation { version: "v2".to_owned(), thru: at(NOON + 5) }],
        // One takes the version of a key that goes.
        insert: vec![imported_key("v4"), HealthAuthorityKey { from: at(NOON + 4), ..imported_key("v1") }],
    };
    store.apply_key_set_changes(id, &keys_of(store, "gov.example"), &changes).expect("applied");
    let expect = [
        HealthAuthorityKey { thru: Some(at(NOON + 5)), ..imported_key("v2") },
        imported_key("v4"),
        HealthAuthorityKey { from: at(NOON + 4), ..imported_key("v1") },
    ];
    assert_eq!(keys_of(store, "gov.example"), expect);
    assert_eq!(keys_of(store, "gov.other").len(), 3, "keys of another health authority stay");
    not_found(store.apply_key_set_changes(99, &[], &changes));
}

pub(crate) fn key_set_changes_decided_on_other_keys_conflict_and_nothing_is_stored(store: &impl Store) {
    let id = add_authority(store, "gov.example").id;
    store.add_health_authority_key(id, &authority_key("v1")).expect("added");
    let decided_on = keys_of(store, "gov.example");
    let changes = Changes { insert: vec![imported_key("v2")], ..Changes::default() };
    let conflict = Err(AdminError::Store(PortError::Conflict));
    store.revoke_health_authority_key(id, "v1", at(NOON + 1)).expect("revoked");
    let now = keys_of(store, "gov.example");
    assert_eq!(store.apply_key_set_changes(id, &decided_on, &changes), conflict);
    assert_eq!(store.apply_key_set_changes(id, &[], &changes), conflict);
    let impossible = Changes { purge: vec!["v1".to_owned(), "v9".to_owned()], ..changes };
    assert_eq!(store.apply_key_set_changes(id, &now, &impossible), conflict);
    assert_eq!(keys_of(store, "gov.example"), now);
}

pub(crate) fn app_is_found_without_regard_to_case(store: &impl Store) {
    let id = add_authority(store, "gov.example").id;
    store.add_authorized_app(&app("Com.Example.App", &[id])).expect("added");
    for name in ["com.example.app", "COM.EXAMPLE.APP", "Com.Example.App"] {
        let found = store.find_app(name).expect("no error").expect("there");
        assert_eq!(found.name, "com.example.app");
        assert_eq!(found.allowed_regions, ["US"]);
        assert_eq!(found.allowed_health_authorities, [HealthAuthorityId(id)]);
        assert!(!found.bypass_verification && found.bypass_revision_token);
    }
    assert_eq!(store.find_app("com.example"), Ok(None));
    assert_eq!(store.find_app(""), Ok(None));
    duplicate(store.add_authorized_app(&app("com.EXAMPLE.app", &[])));
}

pub(crate) fn app_without_name_region_or_known_authority_is_refused(store: &impl Store) {
    refused(store.add_authorized_app(&app("", &[])));
    refused(store.add_authorized_app(&AuthorizedAppRecord { regions: vec![], ..app("a", &[]) }));
    refused(store.add_authorized_app(&AuthorizedAppRecord { regions: vec![String::new()], ..app("a", &[]) }));
    not_found(store.add_authorized_app(&app("a", &[1])));
    assert_eq!(store.authorized_apps(), Ok(vec![]));
}

pub(crate) fn updated_app_is_seen_at_once(store: &impl Store) {
    not_found(store.update_authorized_app(&app("a", &[])));
    store.add_authorized_app(&app("a", &[])).expect("added");
    let regions = vec!["CA".to_owned(), "MX".to_owned()];
    store.update_authorized_app(&AuthorizedAppRecord { regions: regions.clone(), ..app("A", &[]) }).expect("updated");
    assert_eq!(store.find_app("a").expect("no error").expect("there").allowed_regions, regions);
    refused(store.update_authorized_app(&AuthorizedAppRecord { regions: vec![], ..app("a", &[]) }));
    not_found(store.update_authorized_app(&app("a", &[9])));
    assert_eq!(store.authorized_apps().expect("read")[0].regions, regions);
}

pub(crate) fn export_config_rules_are_checked(store: &impl Store) {
    let good = new_config("root");
    for bad in [
        NewExportConfig { bucket: String::new(), ..good.clone() },
        NewExportConfig { filename_root: String::new(), ..good.clone() },
        NewExportConfig { output_region: String::new(), ..good.clone() },
        NewExportConfig { period_seconds: 0, ..good.clone() },
        NewExportConfig { period_seconds: 7, ..good.clone() },
        NewExportConfig { period_seconds: 2 * 86_400, ..good.clone() },
        NewExportConfig { include_travelers: true, only_non_travelers: true, ..good.clone() },
        NewExportConfig { max_records_override: Some(0), ..good.clone() },
        NewExportConfig { thru_unix: Some(0), ..good.clone() },
        NewExportConfig { signers: vec![signer("v-1")], ..good.clone() },
        NewExportConfig { signers: (0..11).map(|n| signer(&format!("v{n}"))).collect(), ..good.clone() },
        NewExportConfig { signers: vec![SignerRecord { signing_key: String::new(), ..signer("v1") }], ..good.clone() },
    ] {
        refused(store.add_export_config(&bad));
    }
    assert_eq!((store.export_configs(), store.signature_info_records()), (Ok(vec![]), Ok(vec![])));
    for (number, period_seconds) in (0..).zip([1, 60, 3_600, 86_400]) {
        let config = NewExportConfig { period_seconds, ..new_config(&format!("root{number}")) };
        store.add_export_config(&config).expect("added");
    }
    let bare = NewExportConfig { signers: vec![signer("")], ..new_config("bare") };
    store.add_export_config(&bare).expect("an empty version is allowed");
}

pub(crate) fn filename_root_is_unique_in_its_bucket_without_regard_to_case(store: &impl Store) {
    add_config(store, "root");
    duplicate(store.add_export_config(&new_config("ROOT")));
    let other = NewExportConfig { bucket: "other".to_owned(), ..new_config("root") };
    store.add_export_config(&other).expect("another bucket");
    not_found(store.end_export_config(99, at(NOON)));
}

pub(crate) fn signers_are_shared_between_configs_until_they_end(store: &impl Store) {
    let first = add_config(store, "first").signature_info_ids;
    assert_eq!(add_config(store, "second").signature_info_ids, first);
    store.end_signature_info(first[0], at(NOON)).expect("ended");
    assert_ne!(add_config(store, "third").signature_info_ids, first);
    assert_eq!(store.signature_infos(&first).expect("read")[0].thru, Some(at(NOON)));
    assert_eq!(store.signature_info_records().expect("read").len(), 2);
    not_found(store.end_signature_info(99, at(NOON)));
}

pub(crate) fn status_counts_exposures_and_open_batches(store: &impl Store) {
    let config = add_config(store, "root").id;
    publish(store, &submission(0..5, NOON));
    complete_new_batch(store, config, window(NOON, NOON + HOUR), &[]);
    let status = store.status().expect("read");
    assert_eq!((status.exposures, status.open_batches, status.oldest_open_batch_end_unix), (5, 0, None));
    lease_new_batch(store, config, window(NOON + HOUR, NOON + 2 * HOUR));
    let open = NewBatch { config_id: config, window: window(NOON + 2 * HOUR, NOON + 3 * HOUR) };
    assert_eq!(store.create_batches(&[open]), Ok(1));
    let status = store.status().expect("read");
    assert_eq!((status.open_batches, status.oldest_open_batch_end_unix), (2, Some(NOON + 2 * HOUR)));
}
