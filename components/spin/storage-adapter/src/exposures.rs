use crate::bindings::exports::tocsin::capability::exposures as wit;
use crate::bindings::tocsin::capability::validation::ValidatorCommit as WitValidatorCommit;
use crate::bindings::tocsin::validator::types as contract;
use crate::{Component, WitPortError, with_store};
use tocsin_domain::exposure::{NewExposure, Revision, StoredExposure};
use tocsin_domain::health_authority::HealthAuthorityId;
use tocsin_domain::interval::{IntervalNumber, Timestamp};
use tocsin_domain::ports::PortError;
use tocsin_domain::ports::exposures::{Exposures, Found, RevisionOf, Submission};
use tocsin_domain::statistics::PublishStatistics;
use tocsin_domain::statistics::platform::Platform;
use tocsin_domain::validation::{AttestedKey, Commit, CommitSet, ValidatorCommit};
use tocsin_spin_adapter::bindings::tocsin::types::types::TemporaryExposureKey as WitKey;
use tocsin_spin_adapter::{
    key_from_wit, key_to_wit, out_of_range, report_type_from_wit, report_type_to_wit, rolling_period, transmission_risk,
};

impl wit::Guest for Component {
    fn find(keys: Vec<WitKey>) -> Result<wit::Found, WitPortError> {
        let keys: Vec<_> = keys.into_iter().map(key_from_wit).collect();
        let Found { existing, open_from } = with_store(|store| store.find(&keys))?;
        Ok(wit::Found { existing: existing.into_iter().map(stored_exposure).collect(), open_from: open_from.unix() })
    }

    fn insert_and_revise(submission: wit::Submission) -> Result<(), WitPortError> {
        with_store(|store| store.insert_and_revise(&submission_from_wit(submission)?))
    }
}

fn stored_exposure(row: StoredExposure) -> wit::StoredExposure {
    let StoredExposure {
        id,
        version,
        key,
        rolling_start,
        rolling_period,
        report_type,
        revised_report_type,
        local_provenance,
        created_at,
    } = row;
    wit::StoredExposure {
        id,
        version,
        key: key_to_wit(key),
        rolling_start: rolling_start.get(),
        rolling_period: rolling_period.get(),
        report_type: report_type.map(report_type_to_wit),
        revised_report_type: revised_report_type.map(report_type_to_wit),
        local_provenance,
        created_at: created_at.unix(),
    }
}

fn submission_from_wit(submission: wit::Submission) -> Result<Submission, PortError> {
    let wit::Submission { app, regions, traveler, health_authority, inserts, revisions, statistics, commits } =
        submission;
    Ok(Submission {
        app,
        regions,
        traveler,
        health_authority: health_authority.map(HealthAuthorityId),
        inserts: inserts.into_iter().map(new_exposure).collect::<Result<_, _>>()?,
        revisions: revisions.into_iter().map(revision).collect::<Result<_, _>>()?,
        statistics: statistics.map(publish_statistics),
        commits: commits.map(commit_set).transpose()?,
    })
}

fn new_exposure(exposure: wit::NewExposure) -> Result<NewExposure, PortError> {
    let wit::NewExposure {
        key,
        rolling_start,
        rolling_period: period,
        transmission_risk: risk,
        report_type,
        days_since_onset,
        created_at,
    } = exposure;
    Ok(NewExposure {
        key: key_from_wit(key),
        rolling_start: IntervalNumber::new(rolling_start),
        rolling_period: rolling_period(period)?,
        transmission_risk: transmission_risk(risk)?,
        report_type: report_type.map(report_type_from_wit),
        days_since_onset,
        created_at: Timestamp::from_unix(created_at),
    })
}

fn revision(revision: wit::Revision) -> Result<RevisionOf, PortError> {
    let wit::Revision { id, expected_version, key, report_type, revised_at, days_since_onset, transmission_risk: risk } =
        revision;
    Ok(RevisionOf {
        id,
        expected_version,
        key: key_from_wit(key),
        revision: Revision {
            report_type: report_type_from_wit(report_type),
            revised_at: Timestamp::from_unix(revised_at),
            days_since_onset,
            transmission_risk: transmission_risk(risk)?,
        },
    })
}

fn publish_statistics(statistics: wit::PublishStatistics) -> PublishStatistics {
    let wit::PublishStatistics { hour, platform, keys, revision, oldest_key_days, onset_days } = statistics;
    PublishStatistics {
        hour: Timestamp::from_unix(hour),
        platform: match platform {
            wit::Platform::Unknown => Platform::Unknown,
            wit::Platform::Android => Platform::Android,
            wit::Platform::Ios => Platform::Ios,
        },
        keys,
        revision,
        oldest_key_days,
        onset_days,
    }
}

fn commit_set(set: wit::CommitSet) -> Result<CommitSet, PortError> {
    let wit::CommitSet { binding, commits } = set;
    Ok(CommitSet {
        binding: binding.try_into().map_err(|_| out_of_range("binding"))?,
        commits: commits.into_iter().map(commit).collect::<Result<_, _>>()?,
    })
}

fn commit(commit: WitValidatorCommit) -> Result<ValidatorCommit, PortError> {
    let WitValidatorCommit { validator, commit } = commit;
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
