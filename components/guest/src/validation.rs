use crate::Host;
use crate::bindings::tocsin::capability::validation as wit;
use crate::bindings::tocsin::validator::types as contract;
use crate::convert::{out_of_range, port_error, report_type_to_wit};
use tocsin_domain::interval::Timestamp;
use tocsin_domain::ports::PortError;
use tocsin_domain::ports::validation::Validation;
use tocsin_domain::validation::{
    AttestedKey, Candidate, Commit, Decision, Evidence, KeyMetadata, Transcript, ValidatorCommit,
};

impl Validation for Host {
    fn validate(&self, candidate: &Candidate, evidence: Option<&Evidence>) -> Result<Decision, PortError> {
        let health_authority = candidate.health_authority.map(|id| id.0);
        let submission = submission(candidate);
        match wit::validate(&submission, health_authority, evidence.map(evidence_to_wit).as_ref()) {
            Ok(wit::Decision::Accepted(commits)) => {
                Ok(Decision::Accepted(commits.into_iter().map(commit_from_wit).collect::<Result<_, _>>()?))
            }
            Ok(wit::Decision::Refused(reasons)) => Ok(Decision::Refused(reasons)),
            Ok(wit::Decision::TryLater(reasons)) => Ok(Decision::TryLater(reasons)),
            Ok(wit::Decision::Pretend(reasons)) => Ok(Decision::Pretend(reasons)),
            Err(error) => Err(port_error(error)),
        }
    }
}

fn submission(candidate: &Candidate) -> contract::Submission {
    let Candidate {
        app,
        health_authority: _,
        report_type,
        symptom_onset,
        keys,
        regions,
        traveler,
        transcripts,
        challenge,
    } = candidate;
    contract::Submission {
        app: app.clone(),
        issuer: None,
        report_type: report_type.map(report_type_to_wit),
        symptom_onset: *symptom_onset,
        keys: keys.iter().map(key_metadata).collect(),
        regions: regions.clone(),
        traveler: *traveler,
        transcripts: transcripts.iter().map(transcript).collect(),
        challenge: challenge.clone(),
    }
}

fn key_metadata(key: &KeyMetadata) -> contract::KeyMetadata {
    let KeyMetadata { rolling_start, rolling_period, transmission_risk } = key;
    contract::KeyMetadata {
        rolling_start: rolling_start.get(),
        rolling_period: rolling_period.get(),
        transmission_risk: transmission_risk.get(),
    }
}

fn transcript(transcript: &Transcript) -> contract::Transcript {
    let Transcript { format, sha256 } = transcript;
    contract::Transcript { format: (*format).to_owned(), sha256: sha256.to_vec() }
}

fn evidence_to_wit(evidence: &Evidence) -> contract::Evidence {
    let Evidence { method, token, chain, key_id } = evidence.clone();
    contract::Evidence { method, token, chain, key_id }
}

fn commit_from_wit(commit: wit::ValidatorCommit) -> Result<ValidatorCommit, PortError> {
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

pub(crate) fn commit_to_wit(commit: &ValidatorCommit) -> wit::ValidatorCommit {
    let ValidatorCommit { validator, commit } = commit.clone();
    let commit = match commit {
        Commit::ClaimOnce { space, digest, expires_at } => contract::Commit::ClaimOnce(contract::Claim {
            space,
            digest: digest.to_vec(),
            expires_at: expires_at.unix(),
        }),
        Commit::AdvanceCounter { key_id, expected, next } => {
            contract::Commit::AdvanceCounter(contract::CounterStep { key_id, expected, next })
        }
        Commit::StoreKey(key) => {
            let AttestedKey { key_id, app, public_key, development, counter, attested_at } = key;
            let attested_at = attested_at.unix();
            contract::Commit::StoreKey(contract::AttestedKey {
                key_id,
                app,
                public_key,
                development,
                counter,
                attested_at,
            })
        }
    };
    wit::ValidatorCommit { validator, commit }
}
