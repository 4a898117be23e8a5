//! What a key set changes.

use super::{KeySet, KeySetError, KeySetKey};
use crate::health_authority::HealthAuthorityKey;
use crate::interval::Timestamp;
use std::collections::HashSet;

/// What the operator decided about the key sets of a health authority.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeySetPolicy {
    /// A set may leave the health authority without any valid key.
    pub allow_empty: bool,
    /// A key that ended longer ago goes, in seconds.
    pub cleanup_ttl_seconds: u64,
}

/// What to do with the keys of one health authority, in this order and all or nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Changes {
    /// Versions of the keys to delete.
    pub purge: Vec<String>,
    /// The keys to end.
    pub revoke: Vec<Revocation>,
    /// The keys to add.
    pub insert: Vec<HealthAuthorityKey>,
}

impl Changes {
    /// Whether there is nothing to do.
    pub fn is_empty(&self) -> bool {
        let Self { purge, revoke, insert } = self;
        purge.is_empty() && revoke.is_empty() && insert.is_empty()
    }
}

/// The end of a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Revocation {
    /// Its version.
    pub version: String,
    /// Valid strictly before this time.
    pub thru: Timestamp,
}

/// Decides what a key set changes about the stored keys of its health authority, whose versions are unique.
///
/// - Keys are compared by their material: a key that is in the set, under whatever `kid`, is not revoked, and one that was
///   revoked here stays revoked and cannot come back under another `kid`. [`still_revoked`] names those.
/// - A stored key that is not in the set ends now. One that has ended is not touched, so that it ages; the reference ends
///   it anew at each run and never deletes it.
/// - A key of the set that is not stored begins one second ago, since a key is valid strictly after its start: certificates
///   signed with it are accepted at once. So is the new `kid` of a key that is stored and valid under another one, which
///   the reference leaves out, and with it all certificates that name it.
/// - A key that ended longer than the TTL ago, and is in the set no more, goes. While it is in the set it is kept: it would
///   come back as a new key.
/// - The `kid` of a key that has ended may be used for a new one, whose row takes its place.
pub fn reconcile(
    stored: &[HealthAuthorityKey],
    set: &KeySet,
    now: Timestamp,
    policy: &KeySetPolicy,
) -> Result<Changes, KeySetError> {
    let KeySetPolicy { allow_empty, cleanup_ttl_seconds } = *policy;
    if set.keys.is_empty() && !allow_empty {
        return Err(KeySetError::Empty);
    }
    let listed: HashSet<&[u8]> = set.keys.iter().map(|key| key.public_key.as_slice()).collect();
    let revoked = ended_material(stored, now);
    let mut changes = Changes::default();
    for KeySetKey { version, public_key } in &set.keys {
        let namesake = stored.iter().find(|key| key.version == *version);
        match namesake {
            Some(key) if key.public_key == *public_key => continue,
            Some(key) if !has_ended(key, now) => return Err(KeySetError::VersionOfAnotherKey(version.clone())),
            // To delete the row would be to forget that its key is revoked.
            Some(key) if listed.contains(key.public_key.as_slice()) => {
                return Err(KeySetError::VersionOfRevokedKey(version.clone()));
            }
            Some(_) | None => {}
        }
        if revoked.contains(public_key.as_slice()) {
            continue;
        }
        changes.purge.extend(namesake.map(|key| key.version.clone()));
        changes.insert.push(HealthAuthorityKey {
            version: version.clone(),
            from: now.plus_seconds(-1),
            thru: None,
            public_key: public_key.clone(),
        });
    }
    let oldest_end = now.plus_seconds(-i64::try_from(cleanup_ttl_seconds).unwrap_or(i64::MAX));
    for key in stored.iter().filter(|key| !listed.contains(key.public_key.as_slice())) {
        if !has_ended(key, now) {
            changes.revoke.push(Revocation { version: key.version.clone(), thru: now.max(key.from) });
        } else if key.thru.is_some_and(|thru| thru < oldest_end) && !changes.purge.contains(&key.version) {
            changes.purge.push(key.version.clone());
        }
    }
    let mut valid = stored.iter().filter(|key| key.is_valid_at(now)).peekable();
    let loses_all = valid.peek().is_some()
        && !valid.any(|key| listed.contains(key.public_key.as_slice()))
        && changes.insert.is_empty();
    if loses_all && !allow_empty {
        return Err(KeySetError::NoneLeft);
    }
    Ok(changes)
}

/// Versions of the keys of the set that are not accepted because they were revoked here.
pub fn still_revoked(stored: &[HealthAuthorityKey], set: &KeySet, now: Timestamp) -> Vec<String> {
    let revoked = ended_material(stored, now);
    let valid: HashSet<&str> =
        stored.iter().filter(|key| !has_ended(key, now)).map(|key| key.version.as_str()).collect();
    set.keys
        .iter()
        .filter(|key| revoked.contains(key.public_key.as_slice()) && !valid.contains(key.version.as_str()))
        .map(|key| key.version.clone())
        .collect()
}

fn ended_material(stored: &[HealthAuthorityKey], now: Timestamp) -> HashSet<&[u8]> {
    stored.iter().filter(|key| has_ended(key, now)).map(|key| key.public_key.as_slice()).collect()
}

/// Whether a key will never be valid (again). One that was revoked before its start ends at its start.
fn has_ended(key: &HealthAuthorityKey, now: Timestamp) -> bool {
    key.thru.is_some_and(|thru| thru <= now || thru <= key.from)
}
