use crate::bindings::exports::tocsin::capability::retention as wit;
use crate::{Component, WitPortError, with_store};
use tocsin_domain::interval::Timestamp;
use tocsin_domain::ports::retention::{ExpiredFile, PurgeSlice, Retention, StaleIndex};

impl wit::Guest for Component {
    fn purge_exposures(created_before: i64) -> Result<wit::PurgeSlice, WitPortError> {
        let before = Timestamp::from_unix(created_before);
        let PurgeSlice { deleted, more } = with_store(|store| store.purge_exposures(before))?;
        Ok(wit::PurgeSlice { deleted, more })
    }

    fn purge_statistics(before: i64) -> Result<u64, WitPortError> {
        with_store(|store| store.purge_statistics(Timestamp::from_unix(before)))
    }

    fn expire_files(ended_before: i64) -> Result<Vec<wit::StaleIndex>, WitPortError> {
        let indexes = with_store(|store| store.expire_files(Timestamp::from_unix(ended_before)))?;
        Ok(indexes
            .into_iter()
            .map(|StaleIndex { config_id, bucket, filename_root }| wit::StaleIndex { config_id, bucket, filename_root })
            .collect())
    }

    fn live_files(config_id: u64, ended_since: i64) -> Result<Vec<String>, WitPortError> {
        with_store(|store| Retention::live_files(store, config_id, Timestamp::from_unix(ended_since)))
    }

    fn expired_files(limit: u32) -> Result<Vec<wit::ExpiredFile>, WitPortError> {
        let files = with_store(|store| store.expired_files(limit))?;
        Ok(files.into_iter().map(|ExpiredFile { id, bucket, name }| wit::ExpiredFile { id, bucket, name }).collect())
    }

    fn forget_files(ids: Vec<u64>) -> Result<(), WitPortError> {
        with_store(|store| store.forget_files(&ids))
    }
}
