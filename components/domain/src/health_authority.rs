//! The health authority: who vouches for a diagnosis, and with which keys.

use crate::interval::Timestamp;

/// The store's id of a health authority.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct HealthAuthorityId(pub u64);

/// An organisation that issues verification certificates.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HealthAuthority {
    /// The store's id.
    pub id: HealthAuthorityId,
    /// `iss` of its certificates; unique.
    pub issuer: String,
    /// `aud` of its certificates.
    pub audience: String,
    /// For people.
    pub name: String,
    /// Whether it may read its statistics.
    pub statistics_enabled: bool,
    /// All its keys, revoked ones included.
    pub keys: Vec<HealthAuthorityKey>,
}

/// A public key of a health authority.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HealthAuthorityKey {
    /// `kid` of the certificates it signs; unique per health authority.
    pub version: String,
    /// Valid strictly after this time.
    pub from: Timestamp,
    /// Valid strictly before this time; `None`: no end.
    pub thru: Option<Timestamp>,
    /// The P-256 point, uncompressed (65 bytes, first byte 4), taken from the PEM when the key was added.
    pub public_key: Vec<u8>,
}

impl HealthAuthorityKey {
    /// Whether certificates signed with this key are accepted at `now`.
    pub fn is_valid_at(&self, now: Timestamp) -> bool {
        now > self.from && self.thru.is_none_or(|thru| thru > now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn key_is_valid_strictly_between_its_two_times() {
        let at = Timestamp::from_unix;
        let key = HealthAuthorityKey { version: "v1".into(), from: at(10), thru: Some(at(20)), public_key: vec![] };
        for (now, valid) in [(9, false), (10, false), (11, true), (19, true), (20, false), (21, false)] {
            assert_eq!(key.is_valid_at(at(now)), valid, "at {now}");
        }
        let endless = HealthAuthorityKey { thru: None, ..key };
        assert!(endless.is_valid_at(at(i64::MAX)));
    }
}
