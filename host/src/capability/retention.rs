use super::blocking;
use super::convert::WitPortError;
use crate::bindings::capabilities::tocsin::capability::retention as wit;
use crate::state::InstanceState;
use tocsin_domain::interval::Timestamp;
use tocsin_domain::ports::retention::{ExpiredFile, PurgeSlice, Retention, StaleIndex};

impl wit::Host for InstanceState {
    async fn purge_exposures(&mut self, created_before: i64) -> Result<wit::PurgeSlice, WitPortError> {
        let before = Timestamp::from_unix(created_before);
        let PurgeSlice { deleted, more } =
            blocking(self, move |services| services.store.purge_exposures(before)).await?;
        Ok(wit::PurgeSlice { deleted, more })
    }

    async fn purge_statistics(&mut self, before: i64) -> Result<u64, WitPortError> {
        blocking(self, move |services| services.store.purge_statistics(Timestamp::from_unix(before))).await
    }

    async fn expire_files(&mut self, ended_before: i64) -> Result<Vec<wit::StaleIndex>, WitPortError> {
        let before = Timestamp::from_unix(ended_before);
        let indexes = blocking(self, move |services| services.store.expire_files(before)).await?;
        Ok(indexes
            .into_iter()
            .map(|StaleIndex { config_id, bucket, filename_root }| wit::StaleIndex { config_id, bucket, filename_root })
            .collect())
    }

    async fn live_files(&mut self, config_id: u64, ended_since: i64) -> Result<Vec<String>, WitPortError> {
        blocking(self, move |services| {
            Retention::live_files(&*services.store, config_id, Timestamp::from_unix(ended_since))
        })
        .await
    }

    async fn expired_files(&mut self, limit: u32) -> Result<Vec<wit::ExpiredFile>, WitPortError> {
        let files = blocking(self, move |services| services.store.expired_files(limit)).await?;
        Ok(files.into_iter().map(|ExpiredFile { id, bucket, name }| wit::ExpiredFile { id, bucket, name }).collect())
    }

    async fn forget_files(&mut self, ids: Vec<u64>) -> Result<(), WitPortError> {
        blocking(self, move |services| services.store.forget_files(&ids)).await
    }
}
