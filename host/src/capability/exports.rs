use super::blocking;
use super::convert::{WitPortError, key_from_wit};
use crate::bindings::capabilities::tocsin::capability::exports as wit;
use crate::state::InstanceState;
use tocsin_domain::interval::Timestamp;
use tocsin_domain::ports::exports::{
    ActiveExportConfig, BatchLease, ExportConfig, Exports, KeyRange, LeasedBatch, NewBatch, PaddingKey, Page, Pass,
    Selection, SelectionSize, Window,
};
use tocsin_domain::signature_info::SignatureInfo;

impl wit::Host for InstanceState {
    async fn active_configs(&mut self, at: i64) -> Result<Vec<wit::ActiveExportConfig>, WitPortError> {
        let configs = blocking(self, move |services| services.store.active_configs(Timestamp::from_unix(at))).await?;
        Ok(configs
            .into_iter()
            .map(|ActiveExportConfig { config, latest_batch_end }| wit::ActiveExportConfig {
                config: export_config(config),
                latest_batch_end: latest_batch_end.map(Timestamp::unix),
            })
            .collect())
    }

    async fn create_batches(&mut self, batches: Vec<wit::NewBatch>) -> Result<u32, WitPortError> {
        let batches: Vec<_> = batches
            .into_iter()
            .map(|wit::NewBatch { config_id, window }| NewBatch { config_id, window: window_from_wit(window) })
            .collect();
        blocking(self, move |services| services.store.create_batches(&batches)).await
    }

    async fn lease_batch(&mut self, now: i64, until: i64) -> Result<Option<wit::LeasedBatch>, WitPortError> {
        let (now, until) = (Timestamp::from_unix(now), Timestamp::from_unix(until));
        let leased = blocking(self, move |services| services.store.lease_batch(now, until)).await?;
        Ok(leased.map(|LeasedBatch { lease, window, config }| {
            let BatchLease { batch_id, token } = lease;
            let Window { start, end } = window;
            wit::LeasedBatch {
                lease: wit::BatchLease { batch_id, token },
                window: wit::Window { start: start.unix(), end: end.unix() },
                config: export_config(config),
            }
        }))
    }

    async fn release_batch(&mut self, lease: wit::BatchLease) -> Result<(), WitPortError> {
        let lease = lease_from_wit(lease);
        blocking(self, move |services| services.store.release_batch(lease)).await
    }

    async fn count(&mut self, selection: wit::Selection) -> Result<wit::SelectionSize, WitPortError> {
        let selection = selection_from_wit(selection);
        let SelectionSize { primary, revised } =
            blocking(self, move |services| services.store.count(&selection)).await?;
        Ok(wit::SelectionSize { primary, revised })
    }

    async fn read(
        &mut self,
        selection: wit::Selection,
        pass: wit::Pass,
        keys: wit::KeyRange,
        cursor: u64,
        limit: u32,
    ) -> Result<wit::Page, WitPortError> {
        let selection = selection_from_wit(selection);
        let pass = match pass {
            wit::Pass::Primary => Pass::Primary,
            wit::Pass::Revised => Pass::Revised,
        };
        let wit::KeyRange { first, last } = keys;
        let keys = KeyRange { first, last };
        let Page { rows, next } =
            blocking(self, move |services| services.store.read(&selection, pass, keys, cursor, limit)).await?;
        Ok(wit::Page { rows, next })
    }

    async fn store_padding(
        &mut self,
        lease: wit::BatchLease,
        padding: Vec<wit::PaddingKey>,
    ) -> Result<(), WitPortError> {
        let lease = lease_from_wit(lease);
        let padding: Vec<_> = padding
            .into_iter()
            .map(|wit::PaddingKey { source, key }| PaddingKey { source, key: key_from_wit(key) })
            .collect();
        blocking(self, move |services| services.store.store_padding(lease, &padding)).await
    }

    async fn signature_infos(&mut self, ids: Vec<u64>) -> Result<Vec<wit::SignatureInfo>, WitPortError> {
        let infos = blocking(self, move |services| services.store.signature_infos(&ids)).await?;
        Ok(infos
            .into_iter()
            .map(|SignatureInfo { id, signing_key, verification_key_id, verification_key_version, thru }| {
                wit::SignatureInfo {
                    id,
                    signing_key,
                    verification_key_id,
                    verification_key_version,
                    thru: thru.map(Timestamp::unix),
                }
            })
            .collect())
    }

    async fn live_files(&mut self, config_id: u64, ended_since: i64) -> Result<Vec<String>, WitPortError> {
        blocking(self, move |services| {
            Exports::live_files(&*services.store, config_id, Timestamp::from_unix(ended_since))
        })
        .await
    }

    async fn complete_batch(&mut self, lease: wit::BatchLease, files: Vec<String>) -> Result<(), WitPortError> {
        let lease = lease_from_wit(lease);
        blocking(self, move |services| services.store.complete_batch(lease, &files)).await
    }
}

fn export_config(config: ExportConfig) -> wit::ExportConfig {
    let ExportConfig {
        id,
        bucket,
        filename_root,
        period_seconds,
        output_region,
        input_regions,
        exclude_regions,
        include_travelers,
        only_non_travelers,
        signature_info_ids,
        max_records_override,
    } = config;
    wit::ExportConfig {
        id,
        bucket,
        filename_root,
        period_seconds,
        output_region,
        input_regions,
        exclude_regions,
        include_travelers,
        only_non_travelers,
        signature_info_ids,
        max_records_override,
    }
}

fn window_from_wit(window: wit::Window) -> Window {
    let wit::Window { start, end } = window;
    Window { start: Timestamp::from_unix(start), end: Timestamp::from_unix(end) }
}

fn lease_from_wit(lease: wit::BatchLease) -> BatchLease {
    let wit::BatchLease { batch_id, token } = lease;
    BatchLease { batch_id, token }
}

fn selection_from_wit(selection: wit::Selection) -> Selection {
    let wit::Selection { window, regions, include_travelers, exclude_regions, only_non_travelers } = selection;
    Selection { window: window_from_wit(window), regions, include_travelers, exclude_regions, only_non_travelers }
}
