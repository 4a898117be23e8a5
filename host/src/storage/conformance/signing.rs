//! Signers of export configs, as they change.

use super::*;
use crate::storage::AdminError;
use crate::storage::administration::SignatureInfoRecord;

/// Versions and ends of the signers of the next batch, made and leased at `NOON`.
fn signers_of_a_batch(store: &impl Store, config_id: u64, hour: i64) -> Vec<(String, Option<i64>)> {
    let leased = lease_new_batch(store, config_id, window(NOON + hour * HOUR, NOON + (hour + 1) * HOUR));
    signers_of(store, &leased.config.signature_info_ids)
}

fn signers_of(store: &impl Store, ids: &[u64]) -> Vec<(String, Option<i64>)> {
    let infos = store.signature_infos(ids).expect("read");
    let mut signers: Vec<_> =
        infos.into_iter().map(|info| (info.verification_key_version, info.thru.map(Timestamp::unix))).collect();
    signers.sort();
    signers
}

fn versions(list: &[(&str, Option<i64>)]) -> Vec<(String, Option<i64>)> {
    list.iter().map(|(version, thru)| ((*version).to_owned(), *thru)).collect()
}

fn ids_of(store: &impl Store, config_id: u64) -> Vec<u64> {
    let configs = store.export_configs().expect("read");
    configs.into_iter().find(|config| config.id == config_id).expect("there").signature_info_ids
}

fn add(store: &impl Store, config_id: u64, version: &str) -> SignatureInfoRecord {
    store.add_export_config_signer(config_id, &signer(version), at(NOON)).expect("added")
}

fn refused(result: Result<SignatureInfoRecord, AdminError>, text: &str) {
    assert!(matches!(&result, Err(AdminError::Invalid(reason)) if reason.contains(text)), "{result:?}");
}

/// A batch may be worked on long after it was made, when the signers it was made with have ended.
pub(crate) fn added_signer_signs_batches_that_exist_already(store: &impl Store) {
    let config = add_config(store, "root");
    assert_eq!(store.create_batches(&[NewBatch { config_id: config.id, window: window(NOON, NOON + HOUR) }]), Ok(1));
    let added = add(store, config.id, "v2");
    let old = store.end_export_config_signer(config.id, config.signature_info_ids[0], at(NOON + 9)).expect("ended");
    assert_eq!((old.id, old.thru_unix), (config.signature_info_ids[0], Some(NOON + 9)));
    let leased = store.lease_batch(at(NOON + 2 * HOUR), at(NOON + 3 * HOUR)).expect("no error").expect("a batch");
    assert_eq!(leased.config.signature_info_ids, [old.id, added.id]);
    assert_eq!(signers_of_a_batch(store, config.id, 1), versions(&[("v1", Some(NOON + 9)), ("v2", None)]));
}

pub(crate) fn signer_is_added_once_and_reopened_when_it_was_to_end(store: &impl Store) {
    let config = add_config(store, "root").id;
    let second = add(store, config, "v2");
    assert_eq!(add(store, config, "v2"), second);
    assert_eq!(ids_of(store, config).len(), 2);
    store.end_export_config_signer(config, second.id, at(NOON + HOUR)).expect("ended");
    let again = add(store, config, "v2");
    assert_eq!(again.thru_unix, None);
    assert_eq!(signers_of(store, &ids_of(store, config)), versions(&[("v1", None), ("v2", None)]), "not twice");
    assert!(matches!(store.add_export_config_signer(99, &signer("v2"), at(NOON)), Err(AdminError::NotFound(_))));
}

pub(crate) fn signer_whose_name_phones_could_confuse_is_refused(store: &impl Store) {
    let config = add_config(store, "root").id;
    let other_key = SignerRecord { signing_key: "export-2".to_owned(), ..signer("v1") };
    refused(store.add_export_config_signer(config, &other_key, at(NOON)), "310");
    refused(store.add_export_config_signer(config, &signer("v-1"), at(NOON)), "v-1");
    for number in 2..=10 {
        add(store, config, &format!("v{number}"));
    }
    refused(store.add_export_config_signer(config, &signer("v11"), at(NOON)), "ten");
    // Those that have ended do not count.
    let first = ids_of(store, config)[0];
    store.end_export_config_signer(config, first, at(NOON)).expect("ended");
    refused(store.add_export_config_signer(config, &signer("v11"), at(NOON)), "ten");
    store.add_export_config_signer(config, &signer("v11"), at(NOON + 1)).expect("added");
    store.add_export_config_signer(config, &other_key, at(NOON + 1)).expect_err("ten again");
}

pub(crate) fn ended_signer_of_one_config_still_signs_for_another(store: &impl Store) {
    let (one, two) = (add_config(store, "one"), add_config(store, "two"));
    assert_eq!(one.signature_info_ids, two.signature_info_ids);
    add(store, one.id, "v2");
    let ended = store.end_export_config_signer(one.id, one.signature_info_ids[0], at(NOON + 7)).expect("ended");
    assert_ne!(ended.id, one.signature_info_ids[0]);
    assert_eq!(signers_of(store, &ids_of(store, one.id)), versions(&[("v1", Some(NOON + 7)), ("v2", None)]));
    assert_eq!(signers_of(store, &ids_of(store, two.id)), versions(&[("v1", None)]));
    // An earlier end stays, a later one does not come instead.
    for (thru, end) in [(NOON + 9, NOON + 7), (NOON + 5, NOON + 5)] {
        let again = store.end_export_config_signer(one.id, ended.id, at(thru)).expect("ended");
        assert_eq!((again.id, again.thru_unix), (ended.id, Some(end)));
    }
}

pub(crate) fn last_signer_of_a_config_cannot_end(store: &impl Store) {
    let config = add_config(store, "root");
    let first = config.signature_info_ids[0];
    refused(store.end_export_config_signer(config.id, first, at(NOON)), "not be signed");
    let second = add(store, config.id, "v2").id;
    store.end_export_config_signer(config.id, second, at(NOON + 5)).expect("the first one signs");
    refused(store.end_export_config_signer(config.id, first, at(NOON + 5)), "not be signed");
    assert!(matches!(store.end_export_config_signer(config.id, 99, at(NOON)), Err(AdminError::NotFound(_))));
    assert!(matches!(store.end_export_config_signer(99, first, at(NOON)), Err(AdminError::NotFound(_))));
}
