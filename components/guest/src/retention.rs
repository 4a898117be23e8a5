use crate::Host;
use crate::bindings::tocsin::capability::retention as wit;
use crate::convert::port_error;
use tocsin_domain::interval::Timestamp;
use tocsin_domain::ports::PortError;
use tocsin_domain::ports::retention::{ExpiredFile, PurgeSlice, Retention, StaleIndex};

impl Retention for Host {
    fn purge_exposures(&self, created_before: Timestamp) -> Result<PurgeSlice, PortError> {
        let wit::PurgeSlice { deleted, more } = wit::purge_exposures(created_before.unix()).map_err(port_error)?;
        Ok(PurgeSlice { deleted, more })
    }

    fn purge_statistics(&self, before: Timestamp) -> Result<u64, PortError> {
        wit::purge_statistics(before.unix()).map_err(port_error)
    }

    fn expire_files(&self, ended_before: Timestamp) -> Result<Vec<StaleIndex>, PortError> {
        let indexes = wit::expire_files(ended_before.unix()).map_err(port_error)?;
        Ok(indexes
            .into_iter()
            .map(|wit::StaleIndex { config_id, bucket, filename_root }| StaleIndex { config_id, bucket, filename_root })
            .collect())
    }

    fn live_files(&self, config_id: u64, ended_since: Timestamp) -> Result<Vec<String>, PortError> {
        wit::live_files(config_id, ended_since.unix()).map_err(port_error)
    }

    fn expired_files(&self, limit: u32) -> Result<Vec<ExpiredFile>, PortError> {
        let files = wit::expired_files(limit).map_err(port_error)?;
        Ok(files.into_iter().map(|wit::ExpiredFile { id, bucket, name }| ExpiredFile { id, bucket, name }).collect())
    }

    fn forget_files(&self, ids: &[u64]) -> Result<(), PortError> {
        wit::forget_files(ids).map_err(port_error)
    }
}
