//! The services of the host over the import of the same name.

use tocsin_attestation::contract::{AttestedKey, Services};

use crate::bindings::tocsin::validator::services;
use crate::convert;

/// The host, as the component sees it.
#[derive(Clone, Copy, Debug, Default)]
pub struct Host;

impl Services for Host {
    fn now(&self) -> i64 {
        services::now()
    }

    fn random(&self, length: u32) -> Vec<u8> {
        services::random(length)
    }

    fn anchors(&self, set: &str) -> Vec<Vec<u8>> {
        services::anchors(set)
    }

    fn is_revoked(&self, serial: &str) -> Option<bool> {
        services::is_revoked(serial)
    }

    fn unwrap_key(&self, key: &str, wrapped: &[u8]) -> Option<Vec<u8>> {
        services::unwrap_key(key, wrapped)
    }

    fn sign_es256(&self, key: &str, message: &[u8]) -> Option<Vec<u8>> {
        services::sign_es256(key, message)
    }

    fn find_key(&self, app: &str, key_id: &[u8]) -> Option<AttestedKey> {
        services::find_key(app, key_id).map(convert::attested_key_from_wit)
    }
}
