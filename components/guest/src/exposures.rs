use crate::Host;
use crate::bindings::tocsin::capability::exposures as wit;
use crate::convert::{key_from_wit, key_to_wit, out_of_range, port_error, report_type_from_wit, report_type_to_wit};
use crate::validation::commit_to_wit;
use tocsin_domain::exposure::{NewExposure, Revision, StoredExposure};
use tocsin_domain::interval::{IntervalNumber, RollingPeriod, Timestamp};
use tocsin_domain::ports::PortError;
use tocsin_domain::ports::exposures::{Exposures, Found, RevisionOf, Submission};
use tocsin_domain::statistics::PublishStatistics;
use tocsin_domain::statistics::platform::Platform;
use tocsin_domain::tek::TemporaryExposureKey;
use tocsin_domain::validation::CommitSet;

impl Exposures for Host {
    fn find(&self, keys: &[TemporaryExposureKey]) -> Result<Found, PortError> {
        let keys: Vec<_> = keys.iter().copied().map(key_to_wit).collect();
        let wit::Found { existing, open_from } = wit::find(&keys).map_err(port_error)?;
        Ok(Found {
            existing: existing.into_iter().map(stored_exposure).collect::<Result<_, _>>()?,
            open_from: Timestamp::from_unix(open_from),
        })
    }

    fn insert_and_revise(&self, submission: &Submission) -> Result<(), PortError> {
        let Submission { app, regions, traveler, health_authority, inserts, revisions, statistics, commits } =
            submission;
        wit::insert_and_revise(&wit::Submission {
            app: app.clone(),
            regions: regions.clone(),
            traveler: *traveler,
            health_authority: health_authority.map(|id| id.0),
            inserts: inserts.iter().map(new_exposure).collect(),
            revisions: revisions.iter().map(revision).collect(),
            statistics: statistics.as_ref().map(publish_statistics),
            commits: commits.as_ref().map(commit_set),
        })
        .map_err(port_error)
    }
}

fn commit_set(set: &CommitSet) -> wit::CommitSet {
    let CommitSet { binding, commits } = set;
    wit::CommitSet { binding: binding.to_vec(), commits: commits.iter().map(commit_to_wit).collect() }
}

fn stored_exposure(row: wit::StoredExposure) -> Result<StoredExposure, PortError> {
    let wit::StoredExposure {
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
    Ok(StoredExposure {
        id,
        version,
        key: key_from_wit(key),
        rolling_start: IntervalNumber::new(rolling_start),
        rolling_period: RollingPeriod::try_from(i64::from(rolling_period))
            .map_err(|_| out_of_range("rolling period"))?,
        report_type: report_type.map(report_type_from_wit),
        revised_report_type: revised_report_type.map(report_type_from_wit),
        local_provenance,
        created_at: Timestamp::from_unix(created_at),
    })
}

fn new_exposure(exposure: &NewExposure) -> wit::NewExposure {
    let NewExposure {
        key,
        rolling_start,
        rolling_period,
        transmission_risk,
        report_type,
        days_since_onset,
        created_at,
    } = *exposure;
    wit::NewExposure {
        key: key_to_wit(key),
        rolling_start: rolling_start.get(),
        rolling_period: rolling_period.get(),
        transmission_risk: transmission_risk.get(),
        report_type: report_type.map(report_type_to_wit),
        days_since_onset,
        created_at: created_at.unix(),
    }
}

fn revision(revision: &RevisionOf) -> wit::Revision {
    let RevisionOf { id, expected_version, key, revision } = *revision;
    let Revision { report_type, revised_at, days_since_onset, transmission_risk } = revision;
    wit::Revision {
        id,
        expected_version,
        key: key_to_wit(key),
        report_type: report_type_to_wit(report_type),
        revised_at: revised_at.unix(),
        days_since_onset,
        transmission_risk: transmission_risk.get(),
    }
}

fn publish_statistics(statistics: &PublishStatistics) -> wit::PublishStatistics {
    let PublishStatistics { hour, platform, keys, revision, oldest_key_days, onset_days } = *statistics;
    wit::PublishStatistics {
        hour: hour.unix(),
        platform: match platform {
            Platform::Unknown => wit::Platform::Unknown,
            Platform::Android => wit::Platform::Android,
            Platform::Ios => wit::Platform::Ios,
        },
        keys,
        revision,
        oldest_key_days,
        onset_days,
    }
}
