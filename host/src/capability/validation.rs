use super::convert::{WitPortError, out_of_range};
use crate::bindings::capabilities::tocsin::capability::validation as wit;
use crate::bindings::capabilities::tocsin::validator::types as contract;
use crate::state::InstanceState;
use crate::storage::SqliteStore;
use crate::validators::{Decision, DeviceKeys};
use std::time::Instant;
use tocsin_domain::health_authority::HealthAuthorityId;
use tocsin_domain::interval::Timestamp;
use tocsin_domain::ports::PortError;
use tocsin_domain::validation::{AttestedKey, Commit, ValidatorCommit};

impl contract::Host for InstanceState {}

impl wit::Host for InstanceState {
    async fn validate(
        &mut self,
        mut submission: contract::Submission,
        health_authority: Option<u64>,
        evidence: Option<contract::Evidence>,
    ) -> Result<wit::Decision, WitPortError> {
        if let Some(app) = self.validators.spelling(&submission.app) {
            submission.app = app.to_owned();
        }
        submission.issuer = health_authority.and_then(|id| self.services.store.issuer(HealthAuthorityId(id)));
        let since = Instant::now();
        let decision = self.validators.validate(&submission, evidence.as_ref()).await;
        self.add_wait(since);
        Ok(match decision {
            Decision::Accepted(commits) => wit::Decision::Accepted(
                commits.into_iter().map(|(validator, commit)| wit::ValidatorCommit { validator, commit }).collect(),
            ),
            Decision::Refused(reasons) => wit::Decision::Refused(reasons),
            Decision::TryLater(reasons) => wit::Decision::TryLater(reasons),
            Decision::Pretend(reasons) => wit::Decision::Pretend(reasons),
        })
    }
}

pub(super) fn commit_from_wit(commit: wit::ValidatorCommit) -> Result<ValidatorCommit, PortError> {
    let wit::ValidatorCommit { validator, commit } = commit;
    let commit = match commit {
        contract::Commit::ClaimOnce(contract::Claim { space, digest, expires_at }) => Commit::ClaimOnce {
            space,
            digest: digest.try_into().map_err(|_| out_of_range("digest"))?,
            expires_at: Timestamp::from_unix(expires_at),
        },
        contract::Commit::AdvanceCounter(contract::CounterStep { key_id, expected, next }) => {
            Commit::AdvanceCounter { key_id, expected, next }
        }
        contract::Commit::StoreKey(key) => {
            let contract::AttestedKey { key_id, app, public_key, development, counter, attested_at } = key;
            let attested_at = Timestamp::from_unix(attested_at);
            Commit::StoreKey(AttestedKey { key_id, app, public_key, development, counter, attested_at })
        }
    };
    Ok(ValidatorCommit { validator, commit })
}

impl DeviceKeys for SqliteStore {
    fn find(&self, validator: &str, app: &str, key_id: &[u8]) -> Result<Option<contract::AttestedKey>, PortError> {
        let key = self.device_key(validator, app, key_id)?;
        Ok(key.map(|AttestedKey { key_id, app: _, public_key, development, counter, attested_at }| {
            let (app, attested_at) = (app.to_owned(), attested_at.unix());
            contract::AttestedKey { key_id, app, public_key, development, counter, attested_at }
        }))
    }
}
