use crate::Host;
use crate::bindings::tocsin::capability::exports as wit;
use crate::convert::{key_to_wit, port_error};
use tocsin_domain::interval::Timestamp;
use tocsin_domain::ports::PortError;
use tocsin_domain::ports::exports::{
    ActiveExportConfig, BatchLease, ExportConfig, Exports, KeyRange, LeasedBatch, NewBatch, PaddingKey, Page, Pass,
    Selection, SelectionSize, Window,
};
use tocsin_domain::signature_info::SignatureInfo;

impl Exports for Host {
    fn active_configs(&self, at: Timestamp) -> Result<Vec<ActiveExportConfig>, PortError> {
        let configs = wit::active_configs(at.unix()).map_err(port_error)?;
        Ok(configs
            .into_iter()
            .map(|wit::ActiveExportConfig { config, latest_batch_end }| ActiveExportConfig {
                config: export_config(config),
                latest_batch_end: latest_batch_end.map(Timestamp::from_unix),
            })
            .collect())
    }

    fn create_batches(&self, batches: &[NewBatch]) -> Result<u32, PortError> {
        let batches: Vec<_> = batches
            .iter()
            .map(|&NewBatch { config_id, window }| wit::NewBatch { config_id, window: window_to_wit(window) })
            .collect();
        wit::create_batches(&batches).map_err(port_error)
    }

    fn lease_batch(&self, now: Timestamp, until: Timestamp) -> Result<Option<LeasedBatch>, PortError> {
        let leased = wit::lease_batch(now.unix(), until.unix()).map_err(port_error)?;
        Ok(leased.map(|wit::LeasedBatch { lease, window, config }| {
            let wit::BatchLease { batch_id, token } = lease;
            let wit::Window { start, end } = window;
            LeasedBatch {
                lease: BatchLease { batch_id, token },
                window: Window { start: Timestamp::from_unix(start), end: Timestamp::from_unix(end) },
                config: export_config(config),
            }
        }))
    }

    fn release_batch(&self, lease: BatchLease) -> Result<(), PortError> {
        wit::release_batch(lease_to_wit(lease)).map_err(port_error)
    }

    fn count(&self, selection: &Selection) -> Result<SelectionSize, PortError> {
        let wit::SelectionSize { primary, revised } = wit::count(&selection_to_wit(selection)).map_err(port_error)?;
        Ok(SelectionSize { primary, revised })
    }

    fn read(
        &self,
        selection: &Selection,
        pass: Pass,
        keys: KeyRange,
        cursor: u64,
        limit: u32,
    ) -> Result<Page, PortError> {
        let pass = match pass {
            Pass::Primary => wit::Pass::Primary,
            Pass::Revised => wit::Pass::Revised,
        };
        let KeyRange { first, last } = keys;
        let wit::Page { rows, next } =
            wit::read(&selection_to_wit(selection), pass, wit::KeyRange { first, last }, cursor, limit)
                .map_err(port_error)?;
        Ok(Page { rows, next })
    }

    fn store_padding(&self, lease: BatchLease, padding: &[PaddingKey]) -> Result<(), PortError> {
        let padding: Vec<_> = padding
            .iter()
            .map(|&PaddingKey { source, key }| wit::PaddingKey { source, key: key_to_wit(key) })
            .collect();
        wit::store_padding(lease_to_wit(lease), &padding).map_err(port_error)
    }

    fn signature_infos(&self, ids: &[u64]) -> Result<Vec<SignatureInfo>, PortError> {
        let infos = wit::signature_infos(ids).map_err(port_error)?;
        Ok(infos
            .into_iter()
            .map(|wit::SignatureInfo { id, signing_key, verification_key_id, verification_key_version, thru }| {
                SignatureInfo {
                    id,
                    signing_key,
                    verification_key_id,
                    verification_key_version,
                    thru: thru.map(Timestamp::from_unix),
                }
            })
            .collect())
    }

    fn live_files(&self, config_id: u64, ended_since: Timestamp) -> Result<Vec<String>, PortError> {
        wit::live_files(config_id, ended_since.unix()).map_err(port_error)
    }

    fn complete_batch(&self, lease: BatchLease, files: &[String]) -> Result<(), PortError> {
        wit::complete_batch(lease_to_wit(lease), files).map_err(port_error)
    }
}

fn export_config(config: wit::ExportConfig) -> ExportConfig {
    let wit::ExportConfig {
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
    ExportConfig {
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

fn window_to_wit(window: Window) -> wit::Window {
    let Window { start, end } = window;
    wit::Window { start: start.unix(), end: end.unix() }
}

fn lease_to_wit(lease: BatchLease) -> wit::BatchLease {
    let BatchLease { batch_id, token } = lease;
    wit::BatchLease { batch_id, token }
}

fn selection_to_wit(selection: &Selection) -> wit::Selection {
    let Selection { window, regions, include_travelers, exclude_regions, only_non_travelers } = selection;
    wit::Selection {
        window: window_to_wit(*window),
        regions: regions.clone(),
        include_travelers: *include_travelers,
        exclude_regions: exclude_regions.clone(),
        only_non_travelers: *only_non_travelers,
    }
}
