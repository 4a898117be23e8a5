use super::convert::{
    WitPortError, key_from_wit, key_to_wit, out_of_range, port_error, report_type_from_wit, report_type_to_wit,
    rolling_period, transmission_risk,
};
use super::validation::commit_from_wit;
use crate::bindings::capabilities::tocsin::capability::exposures as wit;
use crate::state::InstanceState;
use std::time::Instant;
use tocsin_domain::exposure::{NewExposure, Revision, StoredExposure};
use tocsin_domain::health_authority::HealthAuthorityId;
use tocsin_domain::interval::{IntervalNumber, Timestamp};
use tocsin_domain::ports::PortError;
use tocsin_domain::ports::exposures::{Exposures, Found, RevisionOf, Submission};
use tocsin_domain::statistics::PublishStatistics;
use tocsin_domain::statistics::platform::Platform;
use tocsin_domain::validation::CommitSet;

impl wit::Host for InstanceState {
    fn find(&mut self, keys: Vec<wit::TemporaryExposureKey>) -> Result<wit::Found, WitPortError> {
        let keys: Vec<_> = keys.into_iter().map(key_from_wit).collect();
        let Found { existing, open_from } = self.services.store.find(&keys).map_err(port_error)?;
        Ok(wit::Found { existing: existing.into_iter().map(stored_exposure).collect(), open_from: open_from.unix() })
    }

    async fn insert_and_revise(&mut self, submission: wit::Submission) -> Result<(), WitPortError> {
        let submission = submission_from_wit(submission).map_err(port_error)?;
        let since = Instant::now();
        let outcome = self.services.store.insert_and_revise_async(submission).await;
        self.add_wait(since);
        outcome.map_err(port_error)
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

fn commit_set(set: wit::CommitSet) -> Result<CommitSet, PortError> {
    let wit::CommitSet { binding, commits } = set;
    Ok(CommitSet {
        binding: binding.try_into().map_err(|_| out_of_range("binding"))?,
        commits: commits.into_iter().map(commit_from_wit).collect::<Result<_, _>>()?,
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
