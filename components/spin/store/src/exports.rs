//! Port `exports`.

use crate::append::Allocator;
use crate::row_id::RowId;
use crate::rows::Columns;
use crate::sql::{Row, Sql, Value, values};
use crate::{Store, id_to_column};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use tocsin_domain::interval::Timestamp;
use tocsin_domain::ports::PortError;
use tocsin_domain::ports::exports::{
    ActiveExportConfig, BatchLease, ExportConfig, Exports, KeyRange, LeasedBatch, NewBatch, PaddingKey, Page, Pass,
    Selection, SelectionSize, Window,
};
use tocsin_domain::signature_info::SignatureInfo;

impl<S: Sql> Exports for Store<S> {
    fn active_configs(&self, at: Timestamp) -> Result<Vec<ActiveExportConfig>, PortError> {
        let rows = self.run(
            &format!(
                "SELECT {CONFIG_COLUMNS}, (SELECT max(end_at) FROM export_batch WHERE config_id = export_config.id)
                 FROM export_config WHERE from_at < ?1 AND (thru_at IS NULL OR thru_at > ?1) ORDER BY id"
            ),
            &values![at],
        )?;
        let active = |row: &Row| {
            let mut columns = Columns::of(row);
            let config = to_config(config_record(&mut columns)?);
            Ok(ActiveExportConfig { config, latest_batch_end: columns.optional_time()? })
        };
        rows.iter().map(active).collect()
    }

    fn create_batches(&self, batches: &[NewBatch]) -> Result<u32, PortError> {
        self.transaction(|| {
            let mut created = 0;
            for NewBatch { config_id, window } in batches {
                let sql = format!("SELECT {CONFIG_COLUMNS} FROM export_config WHERE id = ?1");
                let Some(row) = self.first(&sql, &values![id_to_column(*config_id)])? else {
                    return Err(PortError::Internal(format!("there is no export config {config_id}")));
                };
                if window.start >= window.end {
                    return Err(PortError::Internal("an export window ends before it starts".to_owned()));
                }
                let config = config_record(&mut Columns::of(&row))?;
                // Unwrap safety: the record has no map and nothing else that JSON cannot hold.
                let snapshot = serde_json::to_string(&config).unwrap();
                let inserted = self.run(
                    "INSERT INTO export_batch(config_id, start_at, end_at, config) VALUES (?1, ?2, ?3, ?4)
                     ON CONFLICT(config_id, start_at, end_at) DO NOTHING RETURNING 1",
                    &values![id_to_column(*config_id), window.start, window.end, snapshot],
                )?;
                created += inserted.len();
            }
            Ok(u32::try_from(created).unwrap_or(u32::MAX))
        })
    }

    fn lease_batch(&self, now: Timestamp, until: Timestamp) -> Result<Option<LeasedBatch>, PortError> {
        let row = self.first(
            "UPDATE export_batch SET state = 'leased', lease_token = lease_token + 1, lease_expires = ?2
             WHERE id = (SELECT id FROM export_batch WHERE state IN ('open', 'leased') AND end_at < ?1
                 AND (state = 'open' OR lease_expires <= ?1) ORDER BY end_at, id LIMIT 1)
             RETURNING id, lease_token, start_at, end_at, config,
                 (SELECT signature_info_ids FROM export_config WHERE export_config.id = config_id)",
            &values![now, until],
        )?;
        let Some(row) = row else { return Ok(None) };
        let mut columns = Columns::of(&row);
        let lease = BatchLease { batch_id: columns.number()?, token: columns.number()? };
        let window = Window { start: columns.time()?, end: columns.time()? };
        let config = to_config(columns.json()?);
        // The signers of the batch's own time may have ended: a file is signed by those of the time it is made.
        let config = ExportConfig { signature_info_ids: columns.json()?, ..config };
        Ok(Some(LeasedBatch { lease, window, config }))
    }

    fn release_batch(&self, lease: BatchLease) -> Result<(), PortError> {
        self.run(
            "UPDATE export_batch SET state = 'open', lease_expires = NULL
             WHERE id = ?1 AND lease_token = ?2 AND state = 'leased'",
            &lease_values(lease),
        )?;
        Ok(())
    }

    fn count(&self, selection: &Selection) -> Result<SelectionSize, PortError> {
        self.count_selection(selection)
    }

    fn read(
        &self,
        selection: &Selection,
        pass: Pass,
        keys: KeyRange,
        cursor: u64,
        limit: u32,
    ) -> Result<Page, PortError> {
        self.read_page(selection, pass, keys, cursor, limit)
    }

    fn store_padding(&self, lease: BatchLease, padding: &[PaddingKey]) -> Result<(), PortError> {
        self.transaction(|| match self.leased_state(lease)? {
            (state, false) if state == "leased" => self.write_padding(lease, padding),
            (_, true) => Ok(()),
            (_, false) => Err(PortError::Conflict),
        })
    }

    fn signature_infos(&self, ids: &[u64]) -> Result<Vec<SignatureInfo>, PortError> {
        let rows = self.run(
            "SELECT id, signing_key, verification_key_id, verification_key_version, thru_at
             FROM signature_info ORDER BY id DESC",
            &[],
        )?;
        let mut infos = Vec::new();
        for row in &rows {
            let mut columns = Columns::of(row);
            let info = SignatureInfo {
                id: columns.number()?,
                signing_key: columns.string()?,
                verification_key_id: columns.string()?,
                verification_key_version: columns.string()?,
                thru: columns.optional_time()?,
            };
            if ids.contains(&info.id) {
                infos.push(info);
            }
        }
        Ok(infos)
    }

    fn live_files(&self, config_id: u64, ended_since: Timestamp) -> Result<Vec<String>, PortError> {
        self.live_file_names(config_id, ended_since)
    }

    /// A file name that an earlier batch used names the new batch's file now: its content was replaced.
    fn complete_batch(&self, lease: BatchLease, files: &[String]) -> Result<(), PortError> {
        self.transaction(|| {
            match self.leased_state(lease)?.0.as_str() {
                "leased" => {}
                // The answer to the first call was lost.
                "complete" => return Ok(()),
                _ => return Err(PortError::Conflict),
            }
            let batch_id = id_to_column(lease.batch_id);
            for file in files {
                self.run(
                    "INSERT INTO export_file(batch_id, bucket, filename)
                     SELECT id, config ->> 'bucket', ?2 FROM export_batch WHERE id = ?1
                     ON CONFLICT(bucket, filename) DO UPDATE SET batch_id = excluded.batch_id, state = 'live'",
                    &values![batch_id, file],
                )?;
            }
            self.run(
                "UPDATE export_batch SET state = 'complete', lease_expires = NULL WHERE id = ?1",
                &values![batch_id],
            )?;
            Ok(())
        })
    }
}

impl<S: Sql> Store<S> {
    /// See [`Exports::live_files`].
    pub(crate) fn live_file_names(&self, config_id: u64, ended_since: Timestamp) -> Result<Vec<String>, PortError> {
        let rows = self.run(
            "SELECT f.filename FROM export_batch b JOIN export_file f ON f.batch_id = b.id
             WHERE b.config_id = ?1 AND b.end_at >= ?2 AND f.state = 'live'",
            &values![id_to_column(config_id), ended_since],
        )?;
        rows.iter().map(|row| Columns::of(row).string()).collect()
    }

    /// State of a batch whose latest lease is this one, and whether it has its padding. An expired lease is lost only when
    /// the batch was leased again.
    fn leased_state(&self, lease: BatchLease) -> Result<(String, bool), PortError> {
        let sql = "SELECT state, padded FROM export_batch WHERE id = ?1 AND lease_token = ?2";
        let row = self.first(sql, &lease_values(lease))?.ok_or(PortError::Conflict)?;
        let mut columns = Columns::of(&row);
        Ok((columns.string()?, columns.flag()?))
    }

    fn write_padding(&self, lease: BatchLease, padding: &[PaddingKey]) -> Result<(), PortError> {
        let keys: Vec<_> = padding.iter().map(|padding| padding.key).collect();
        if self.any_key_exists(&keys)? {
            return Err(PortError::Conflict);
        }
        let mut allocator = Allocator::default();
        let mut provenances: BTreeMap<i64, i64> = BTreeMap::new();
        for PaddingKey { source, key } in padding {
            // A source that is gone was purged after it was read: read again, decide again.
            let source = RowId::new(*source).ok_or(PortError::Conflict)?;
            let of_source =
                self.first("SELECT provenance_id FROM exposure WHERE id = ?1", &values![source.column()])?;
            let of_source = Columns::of(&of_source.ok_or(PortError::Conflict)?).integer()?;
            let provenance_id = match provenances.get(&of_source) {
                Some(id) => *id,
                None => {
                    let id = self.provenance_id(&self.padding_provenance(of_source)?)?;
                    provenances.insert(of_source, id);
                    id
                }
            };
            let id = self.allocate(&mut allocator, source.hour())?;
            self.run(
                "INSERT INTO exposure(id, provenance_id, created_at, key, rolling_start, rolling_period,
                    transmission_risk, report_type, days_since_onset)
                 SELECT ?1, ?2, created_at, ?3, rolling_start, rolling_period, transmission_risk, report_type,
                    days_since_onset FROM exposure WHERE id = ?4",
                &values![id.column(), provenance_id, key.as_bytes().as_slice(), source.column()],
            )?;
        }
        self.run("UPDATE export_batch SET padded = 1 WHERE id = ?1", &values![id_to_column(lease.batch_id)])?;
        Ok(())
    }
}

fn lease_values(lease: BatchLease) -> [Value; 2] {
    let BatchLease { batch_id, token } = lease;
    values![id_to_column(batch_id), id_to_column(token)]
}

/// An export config as stored, and as a batch keeps it in JSON: the host's `ExportConfigRecord`.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct ConfigRecord {
    id: u64,
    bucket: String,
    filename_root: String,
    period_seconds: u64,
    output_region: String,
    input_regions: Vec<String>,
    exclude_regions: Vec<String>,
    include_travelers: bool,
    only_non_travelers: bool,
    max_records_override: Option<u32>,
    signature_info_ids: Vec<u64>,
    from_unix: i64,
    thru_unix: Option<i64>,
}

/// The columns that [`config_record`] reads.
const CONFIG_COLUMNS: &str = "id, bucket, filename_root, period_seconds, output_region, input_regions, exclude_regions, \
                              include_travelers, only_non_travelers, max_records_override, signature_info_ids, from_at, \
                              thru_at";

fn config_record(columns: &mut Columns<'_>) -> Result<ConfigRecord, PortError> {
    Ok(ConfigRecord {
        id: columns.number()?,
        bucket: columns.string()?,
        filename_root: columns.string()?,
        period_seconds: columns.number()?,
        output_region: columns.string()?,
        input_regions: columns.json()?,
        exclude_regions: columns.json()?,
        include_travelers: columns.flag()?,
        only_non_travelers: columns.flag()?,
        max_records_override: columns.optional_number()?,
        signature_info_ids: columns.json()?,
        from_unix: columns.integer()?,
        thru_unix: columns.optional_integer()?,
    })
}

/// The part of a config that the export component sees.
fn to_config(record: ConfigRecord) -> ExportConfig {
    let ConfigRecord {
        id,
        bucket,
        filename_root,
        period_seconds,
        output_region,
        input_regions,
        exclude_regions,
        include_travelers,
        only_non_travelers,
        max_records_override,
        signature_info_ids,
        from_unix: _,
        thru_unix: _,
    } = record;
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
