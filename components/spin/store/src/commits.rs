//! What validators have noted in the transaction that stores a submission.

use crate::Store;
use crate::rows::Columns;
use crate::sql::{Sql, values};
use tocsin_domain::interval::Timestamp;
use tocsin_domain::ports::PortError;
use tocsin_domain::ports::exposures::Submission;
use tocsin_domain::validation::{AttestedKey, Commit, CommitSet, ValidatorCommit};

impl<S: Sql> Store<S> {
    /// Whether all commits of the submission can be noted. Nothing is written.
    pub(crate) fn check_commits(&self, submission: &Submission) -> Result<(), PortError> {
        let Some(CommitSet { binding, commits }) = &submission.commits else { return Ok(()) };
        for ValidatorCommit { validator, commit } in commits {
            let app = &submission.app;
            let is_fresh = match commit {
                Commit::ClaimOnce { space, digest, expires_at: _ } => {
                    let user = self.first(
                        "SELECT binding FROM used_value WHERE validator = ?1 AND space = ?2 AND digest = ?3",
                        &values![validator, space, digest.as_slice()],
                    )?;
                    match user {
                        None => true,
                        Some(row) => Columns::of(&row).blob()? == binding,
                    }
                }
                Commit::AdvanceCounter { key_id, expected, next } => match self.counter(validator, app, key_id)? {
                    None => false,
                    Some((found, user)) => found == *expected || (found == *next && user == binding),
                },
                Commit::StoreKey(key) => match self.counter(validator, app, &key.key_id)? {
                    None => true,
                    Some((_, user)) => user == binding,
                },
            };
            if !is_fresh {
                return Err(PortError::AlreadyUsed);
            }
        }
        Ok(())
    }

    /// Counter of a device key, and the submission that used it last.
    fn counter(&self, validator: &str, app: &str, key_id: &[u8]) -> Result<Option<(u32, Vec<u8>)>, PortError> {
        let row = self.first(
            "SELECT counter, binding FROM device_key WHERE validator = ?1 AND app = ?2 AND key_id = ?3",
            &values![validator, app, key_id],
        )?;
        row.map(|row| {
            let mut columns = Columns::of(&row);
            Ok((columns.number()?, columns.blob()?.to_vec()))
        })
        .transpose()
    }

    /// Notes the commits of a submission that [`Self::check_commits`] let pass.
    pub(crate) fn note_commits(&self, submission: &Submission) -> Result<(), PortError> {
        let Some(CommitSet { binding, commits }) = &submission.commits else { return Ok(()) };
        let binding = binding.as_slice();
        let app = &submission.app;
        for ValidatorCommit { validator, commit } in commits {
            match commit {
                Commit::ClaimOnce { space, digest, expires_at } => self.run(
                    "INSERT OR IGNORE INTO used_value(validator, space, digest, binding, expires_at)
                     VALUES (?1, ?2, ?3, ?4, ?5)",
                    &values![validator, space, digest.as_slice(), binding, *expires_at],
                )?,
                Commit::AdvanceCounter { key_id, expected, next } => self.run(
                    "UPDATE device_key SET counter = ?4, binding = ?5, used_at = max(used_at, ?6)
                     WHERE validator = ?1 AND app = ?2 AND key_id = ?3 AND counter = ?7",
                    &values![validator, app, key_id.as_slice(), *next, binding, uploaded_at(submission), *expected],
                )?,
                Commit::StoreKey(AttestedKey { key_id, app: _, public_key, development, counter, attested_at }) => self
                    .run(
                        "INSERT OR IGNORE INTO device_key(validator, app, key_id, public_key, development, counter,
                            attested_at, used_at, binding) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
                        &values![
                            validator,
                            app,
                            key_id.as_slice(),
                            public_key.as_slice(),
                            *development,
                            *counter,
                            *attested_at,
                            uploaded_at(submission).max(*attested_at),
                            binding,
                        ],
                    )?,
            };
        }
        Ok(())
    }

    /// Forgets what was noted for exposures that are gone: values that expired, and keys last used, before that time.
    pub(crate) fn purge_commits(&self, before: Timestamp) -> Result<(), PortError> {
        self.run("DELETE FROM used_value WHERE expires_at < ?1", &values![before])?;
        self.run("DELETE FROM device_key WHERE used_at < ?1", &values![before])?;
        Ok(())
    }
}

/// When the submission counts as uploaded; its keys that are held back count later.
fn uploaded_at(submission: &Submission) -> Timestamp {
    let inserts = submission.inserts.iter().map(|exposure| exposure.created_at);
    let revisions = submission.revisions.iter().map(|revision| revision.revision.revised_at);
    inserts.chain(revisions).min().unwrap_or_default()
}
