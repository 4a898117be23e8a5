use super::convert::{WitPortError, out_of_range};
use crate::bindings::capabilities::tocsin::capability::validation as wit;
use crate::bindings::capabilities::tocsin::validator::types as contract;
use crate::state::InstanceState;
use tocsin_domain::interval::Timestamp;
use tocsin_domain::ports::PortError;
use tocsin_domain::validation::{AttestedKey, Commit, ValidatorCommit};

impl contract::Host for InstanceState {}

impl wit::Host for InstanceState {
    async fn validate(
        &mut self,
        _submission: contract::Submission,
        _health_authority: Option<u64>,
        _evidence: Option<contract::Evidence>,
    ) -> Result<wit::Decision, WitPortError> {
        Err(WitPortError::Unavailable)
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
