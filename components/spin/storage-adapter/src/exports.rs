use crate::bindings::exports::tocsin::capability::exports as wit;
use crate::{Component, WitPortError, with_store};
use tocsin_domain::interval::Timestamp;
use tocsin_domain::ports::exports::{
    ActiveExportConfig, BatchLease, ExportConfig, Exports, KeyRange, LeasedBatch, NewBatch, PaddingKey, Page, Pass,
    Selection, SelectionSize, Window,
};
use tocsin_domain::signature_info::SignatureInfo;
use tocsin_spin_adapter::key_from_wit;

impl wit::Guest for Component {
    fn active_configs(at: i64) -> Result<Vec<wit::ActiveExportConfig>, WitPortError> {
        let configs = with_store(|store| store.active_configs(Timestamp::from_unix(at)))?;
        Ok(configs
            .into_iter()
            .map(|ActiveExportConfig { config, latest_batch_end }| wit::ActiveExportConfig {
                config: export_config(config),
                latest_batch_end: latest_batch_end.map(Timestamp::unix),
            })
            .collect())
    }

    fn create_batches(batches: Vec<wit::NewBatch>) -> Result<u32, WitPortError> {
        let batches: Vec<_> = batches
            .into_iter()
            .map(|wit::NewBatch { config_id, window }| NewBatch { config_id, window: window_from_wit(window) })
            .collect();
        with_store(|store| store.create_batches(&batches))
    }

    fn lease_batch(now: i64, until: i64) -> Result<Option<wit::LeasedBatch>, WitPortError> {
        let (now, until) = (Timestamp::from_unix(now), Timestamp::from_unix(until));
        let leased = with_store(|store| store.lease_batch(now, until))?;
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

    fn release_batch(lease: wit::BatchLease) -> Result<(), WitPortError> {
        with_store(|store| store.release_batch(lease_from_wit(lease)))
    }

    fn count(selection: wit::Selection) -> Result<wit::SelectionSize, WitPortError> {
        let selection = selection_from_wit(selection);
        let SelectionSize { primary, revised } = with_store(|store| store.count(&selection))?;
        Ok(wit::SelectionSize { primary, revised })
    }

    fn read(
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
        let Page { rows, next } =
            with_store(|store| store.read(&selection, pass, KeyRange { first, last }, cursor, limit))?;
        Ok(wit::Page { rows, next })
    }

    fn store_padding(lease: wit::BatchLease, padding: Vec<wit::PaddingKey>) -> Result<(), WitPortError> {
        let padding: Vec<_> = padding
            .into_iter()
            .map(|wit::PaddingKey { source, key }| PaddingKey { source, key: key_from_wit(key) })
            .collect();
        with_store(|store| store.store_padding(lease_from_wit(lease), &padding))
    }

    fn signature_infos(ids: Vec<u64>) -> Result<Vec<wit::SignatureInfo>, WitPortError> {
        let infos = with_store(|store| store.signature_infos(&ids))?;
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

    fn live_files(config_id: u64, ended_since: i64) -> Result<Vec<String>, WitPortError> {
        with_store(|store| Exports::live_files(store, config_id, Timestamp::from_unix(ended_since)))
    }

    fn complete_batch(lease: wit::BatchLease, files: Vec<String>) -> Result<(), WitPortError> {
        with_store(|store| store.complete_batch(lease_from_wit(lease), &files))
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
