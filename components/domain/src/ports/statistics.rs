//! Port `statistics`: how often people published by certificates of a health authority. No keys, and nothing about a
//! single publish.

use super::PortError;
use crate::health_authority::HealthAuthorityId;
use crate::statistics::HourlyStatistics;

/// Reads counts.
pub trait Statistics {
    /// All hours of that health authority, in the order of time.
    fn hours(&self, health_authority: HealthAuthorityId) -> Result<Vec<HourlyStatistics>, PortError>;
}
