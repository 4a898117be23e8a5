//! What validators have noted in the transaction that stores a submission, and the device keys they look up.

use super::SqliteStore;
use super::failure::Failure;
use rusqlite::{Connection, OptionalExtension};
use tocsin_domain::interval::Timestamp;
use tocsin_domain::ports::PortError;
use tocsin_domain::ports::exposures::Submission;
use tocsin_domain::validation::{AttestedKey, Commit, CommitSet, ValidatorCommit};

impl SqliteStore {
    /// A device key of that app that an earlier submission stored for that validator. Names of apps are compared without
    /// regard to case.
    pub fn device_key(&self, validator: &str, app: &str, key_id: &[u8]) -> Result<Option<AttestedKey>, PortError> {
        let app = app.to_lowercase();
        let key = self.shared.readers.read(|connection| find_key(connection, (validator, &app, key_id)));
        key.map_err(PortError::from)
    }
}

fn find_key(connection: &Connection, place: (&str, &str, &[u8])) -> Result<Option<AttestedKey>, Failure> {
    let (_, app, key_id) = place;
    let mut statement = connection.prepare_cached(
        "SELECT public_key, development, counter, attested_at FROM device_key
         WHERE validator = ?1 AND app = ?2 AND key_id = ?3",
    )?;
    let key = statement.query_row(place, |row| {
        Ok(AttestedKey {
            key_id: key_id.to_vec(),
            app: app.to_owned(),
            public_key: row.get(0)?,
            development: row.get(1)?,
            counter: row.get(2)?,
            attested_at: Timestamp::from_unix(row.get(3)?),
        })
    });
    Ok(key.optional()?)
}

/// Whether all commits of the submission can be noted. Nothing is written.
pub(super) fn check(submission: &Submission, connection: &Connection) -> Result<(), Failure> {
    let Some(CommitSet { binding, commits }) = &submission.commits else { return Ok(()) };
    for ValidatorCommit { validator, commit } in commits {
        let app = &submission.app;
        let fresh = match commit {
            Commit::ClaimOnce { space, digest, expires_at: _ } => {
                let user: Option<Vec<u8>> = connection
                    .prepare_cached(
                        "SELECT binding FROM used_value WHERE validator = ?1 AND space = ?2 AND digest = ?3",
                    )?
                    .query_row((validator, space, digest.as_slice()), |row| row.get(0))
                    .optional()?;
                user.is_none_or(|user| user == binding)
            }
            Commit::AdvanceCounter { key_id, expected, next } => match counter(connection, (validator, app, key_id))? {
                None => false,
                Some((found, user)) => found == *expected || (found == *next && user == binding),
            },
            Commit::StoreKey(key) => match counter(connection, (validator, app, &key.key_id))? {
                None => true,
                Some((_, user)) => user == binding,
            },
        };
        if !fresh {
            return Err(PortError::AlreadyUsed.into());
        }
    }
    Ok(())
}

/// Counter of a device key, and the submission that used it last.
fn counter(connection: &Connection, place: (&str, &str, &[u8])) -> rusqlite::Result<Option<(u32, Vec<u8>)>> {
    connection
        .prepare_cached("SELECT counter, binding FROM device_key WHERE validator = ?1 AND app = ?2 AND key_id = ?3")?
        .query_row(place, |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()
}

/// Notes the commits of a submission that [`check`] let pass.
pub(super) fn note(submission: &Submission, connection: &Connection) -> rusqlite::Result<()> {
    let Some(CommitSet { binding, commits }) = &submission.commits else { return Ok(()) };
    let binding = binding.as_slice();
    let app = &submission.app;
    for ValidatorCommit { validator, commit } in commits {
        match commit {
            Commit::ClaimOnce { space, digest, expires_at } => connection
                .prepare_cached("INSERT OR IGNORE INTO used_value(validator, space, digest, binding, expires_at) VALUES (?1, ?2, ?3, ?4, ?5)")?
                .execute((validator, space, digest.as_slice(), binding, expires_at.unix()))?,
            Commit::AdvanceCounter { key_id, expected, next } => connection
                .prepare_cached(
                    "UPDATE device_key SET counter = ?4, binding = ?5, used_at = max(used_at, ?6)
                     WHERE validator = ?1 AND app = ?2 AND key_id = ?3 AND counter = ?7",
                )?
                .execute((validator, app, key_id, next, binding, uploaded_at(submission), expected))?,
            Commit::StoreKey(AttestedKey { key_id, app: _, public_key, development, counter, attested_at }) => connection
                .prepare_cached(
                    "INSERT OR IGNORE INTO device_key(validator, app, key_id, public_key, development, counter,
                        attested_at, used_at, binding) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
                )?
                .execute((
                    validator,
                    app,
                    key_id,
                    public_key,
                    development,
                    counter,
                    attested_at.unix(),
                    uploaded_at(submission).max(attested_at.unix()),
                    binding,
                ))?,
        };
    }
    Ok(())
}

/// When the submission counts as uploaded; its keys that are held back count later.
fn uploaded_at(submission: &Submission) -> i64 {
    let inserts = submission.inserts.iter().map(|exposure| exposure.created_at);
    let revisions = submission.revisions.iter().map(|revision| revision.revision.revised_at);
    inserts.chain(revisions).min().map_or(0, Timestamp::unix)
}

/// Forgets what was noted for exposures that are gone: values that expired, and keys last used, before that time.
pub(super) fn purge(connection: &Connection, before: Timestamp) -> rusqlite::Result<()> {
    connection.prepare_cached("DELETE FROM used_value WHERE expires_at < ?1")?.execute([before.unix()])?;
    connection.prepare_cached("DELETE FROM device_key WHERE used_at < ?1")?.execute([before.unix()])?;
    Ok(())
}
