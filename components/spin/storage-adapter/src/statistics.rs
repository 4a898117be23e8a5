use crate::bindings::exports::tocsin::capability::statistics as wit;
use crate::{Component, WitPortError, with_store};
use tocsin_domain::health_authority::HealthAuthorityId;
use tocsin_domain::ports::statistics::Statistics;
use tocsin_domain::statistics::HourlyStatistics;

impl wit::Guest for Component {
    fn hours(health_authority: u64) -> Result<Vec<wit::HourlyStatistics>, WitPortError> {
        let hours = with_store(|store| store.hours(HealthAuthorityId(health_authority)))?;
        Ok(hours.into_iter().map(hourly_statistics).collect())
    }
}

fn hourly_statistics(row: HourlyStatistics) -> wit::HourlyStatistics {
    let HourlyStatistics {
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
    wit::HourlyStatistics {
        hour: hour.unix(),
        requests_unknown,
        requests_android,
        requests_ios,
        keys,
        requests_with_revisions,
        oldest_key_days: oldest_key_days.to_vec(),
        onset_days: onset_days.to_vec(),
        missing_onset,
    }
}
