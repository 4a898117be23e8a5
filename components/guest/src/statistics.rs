use crate::Host;
use crate::bindings::tocsin::capability::statistics as wit;
use crate::convert::{out_of_range, port_error};
use tocsin_domain::health_authority::HealthAuthorityId;
use tocsin_domain::interval::Timestamp;
use tocsin_domain::ports::PortError;
use tocsin_domain::ports::statistics::Statistics;
use tocsin_domain::statistics::HourlyStatistics;

impl Statistics for Host {
    fn hours(&self, health_authority: HealthAuthorityId) -> Result<Vec<HourlyStatistics>, PortError> {
        wit::hours(health_authority.0).map_err(port_error)?.into_iter().map(hourly_statistics).collect()
    }
}

fn hourly_statistics(row: wit::HourlyStatistics) -> Result<HourlyStatistics, PortError> {
    let wit::HourlyStatistics {
        hour,
        requests_unknown,
        requests_android,
        requests_ios,
        keys,
        requests_with_revisions,
        oldest_key_days,
        onset_days,
        missing_onset,
    } = row;
    Ok(HourlyStatistics {
        hour: Timestamp::from_unix(hour),
        requests_unknown,
        requests_android,
        requests_ios,
        keys,
        requests_with_revisions,
        oldest_key_days: oldest_key_days.try_into().map_err(|_| out_of_range("number of ages"))?,
        onset_days: onset_days.try_into().map_err(|_| out_of_range("number of onsets"))?,
        missing_onset,
    })
}
