//! Port `exports`.

use super::super::administration::ExportConfigRecord;
use super::super::row_id::RowId;
use super::append::Appender;
use super::directory::json_column;
use super::failure::{Failure, id_to_column};
use super::selection::{self, padding_provenance};
use super::{Shared, SqliteStore, admin};
use rusqlite::{Connection, OptionalExtension};
use std::collections::HashMap;
use std::sync::atomic::Ordering;
use tocsin_domain::interval::Timestamp;
use tocsin_domain::ports::PortError;
use tocsin_domain::ports::exports::{
    ActiveExportConfig, BatchLease, ExportConfig, Exports, KeyRange, LeasedBatch, NewBatch, PaddingKey, Page, Pass,
    Selection, SelectionSize, Window,
};
use tocsin_domain::signature_info::SignatureInfo;

impl Exports for SqliteStore {
    fn active_configs(&self, at: Timestamp) -> Result<Vec<ActiveExportConfig>, PortError> {
        self.shared.readers.read(|connection| active_configs(connection, at)).map_err(PortError::from)
    }

    fn create_batches(&self, batches: &[NewBatch]) -> Result<u32, PortError> {
        let batches = batches.to_vec();
        self.writer.call(move |writer| {
            let created = writer.transaction(|connection| create_batches(connection, &batches))?;
            // Publishes run on this thread too: none can come between the commit and this.
            if let Some(end) = batches.iter().map(|batch| batch.window.end.unix()).max() {
                writer.shared().open_from.fetch_max(end, Ordering::AcqRel);
            }
            Ok(created)
        })
    }

    fn lease_batch(&self, now: Timestamp, until: Timestamp) -> Result<Option<LeasedBatch>, PortError> {
        self.writer.call(move |writer| {
            writer.transaction(|connection| lease_batch(connection, now, until)).map_err(PortError::from)
        })
    }

    fn release_batch(&self, lease: BatchLease) -> Result<(), PortError> {
        self.writer.call(move |writer| {
            let release = "UPDATE export_batch SET state = 'open', lease_expires = NULL
                           WHERE id = ?1 AND lease_token = ?2 AND state = 'leased'";
            let released = writer.connection().execute(release, lease_columns(lease));
            released.map(drop).map_err(|error| Failure::from(error).into())
        })
    }

    fn count(&self, selection: &Selection) -> Result<SelectionSize, PortError> {
        self.shared.readers.read(|connection| selection::count(connection, selection)).map_err(PortError::from)
    }

    fn read(
        &self,
        selection: &Selection,
        pass: Pass,
        keys: KeyRange,
        cursor: u64,
        limit: u32,
    ) -> Result<Page, PortError> {
        let read = |connection: &Connection| selection::read(connection, selection, pass, keys, cursor, limit);
        self.shared.readers.read(read).map_err(PortError::from)
    }

    fn store_padding(&self, lease: BatchLease, padding: &[PaddingKey]) -> Result<(), PortError> {
        let padding = padding.to_vec();
        self.writer.call(move |writer| {
            let work = |connection: &Connection, appender: &mut Appender, shared: &Shared| {
                store_padding(connection, appender, shared, lease, &padding)
            };
            writer.append(work).map_err(PortError::from)
        })
    }

    fn signature_infos(&self, ids: &[u64]) -> Result<Vec<SignatureInfo>, PortError> {
        let infos = self.shared.readers.read(|connection| signature_infos(connection, ids));
        infos.map_err(PortError::from)
    }

    fn live_files(&self, config_id: u64, ended_since: Timestamp) -> Result<Vec<String>, PortError> {
        live_files(self, config_id, ended_since)
    }

    fn complete_batch(&self, lease: BatchLease, files: &[String]) -> Result<(), PortError> {
        let files = files.to_vec();
        self.writer.call(move |writer| {
            writer.transaction(|connection| complete_batch(connection, lease, &files)).map_err(PortError::from)
        })
    }
}

fn active_configs(connection: &Connection, at: Timestamp) -> Result<Vec<ActiveExportConfig>, Failure> {
    let mut latest = connection.prepare_cached("SELECT max(end_at) FROM export_batch WHERE config_id = ?1")?;
    let is_active = |config: &ExportConfigRecord| {
        config.from_unix < at.unix() && config.thru_unix.is_none_or(|thru| thru > at.unix())
    };
    let configs = admin::load_export_configs(connection)?;
    let active = configs.into_iter().filter(is_active).map(|config| {
        let end: Option<i64> = latest.query_row([id_to_column(config.id)], |row| row.get(0))?;
        Ok(ActiveExportConfig { config: to_config(config), latest_batch_end: end.map(Timestamp::from_unix) })
    });
    active.collect()
}

fn create_batches(connection: &Connection, batches: &[NewBatch]) -> Result<u32, Failure> {
    let configs: HashMap<u64, ExportConfigRecord> =
        admin::load_export_configs(connection)?.into_iter().map(|config| (config.id, config)).collect();
    let mut insert = connection.prepare_cached(
        "INSERT INTO export_batch(config_id, start_at, end_at, config) VALUES (?1, ?2, ?3, ?4)
         ON CONFLICT(config_id, start_at, end_at) DO NOTHING",
    )?;
    let mut created = 0;
    for NewBatch { config_id, window } in batches {
        let Some(config) = configs.get(config_id) else {
            return Err(PortError::Internal(format!("there is no export config {config_id}")).into());
        };
        if window.start >= window.end {
            return Err(PortError::Internal("an export window ends before it starts".to_owned()).into());
        }
        // Unwrap safety: the record has no map and nothing else that JSON cannot hold.
        let snapshot = serde_json::to_string(config).unwrap();
        created += insert.execute((id_to_column(*config_id), window.start.unix(), window.end.unix(), snapshot))?;
    }
    Ok(u32::try_from(created).unwrap_or(u32::MAX))
}

fn lease_batch(connection: &Connection, now: Timestamp, until: Timestamp) -> Result<Option<LeasedBatch>, Failure> {
    let lease = connection
        .prepare_cached(
            "UPDATE export_batch SET state = 'leased', lease_token = lease_token + 1, lease_expires = ?2
             WHERE id = (SELECT id FROM export_batch WHERE state IN ('open', 'leased') AND end_at < ?1
                 AND (state = 'open' OR lease_expires <= ?1) ORDER BY end_at, id LIMIT 1)
             RETURNING id, lease_token, start_at, end_at, config,
                 (SELECT signature_info_ids FROM export_config WHERE export_config.id = config_id)",
        )?
        .query_row((now.unix(), until.unix()), |row| {
            let lease = BatchLease {
                batch_id: row.get::<_, i64>(0)?.cast_unsigned(),
                token: row.get::<_, i64>(1)?.cast_unsigned(),
            };
            let window = Window { start: Timestamp::from_unix(row.get(2)?), end: Timestamp::from_unix(row.get(3)?) };
            // The signers of the batch's own time may have ended: a file is signed by those of the time it is made.
            let signature_info_ids = json_column(row, 5)?;
            let config = ExportConfig { signature_info_ids, ..to_config(json_column(row, 4)?) };
            Ok(LeasedBatch { lease, window, config })
        })
        .optional()?;
    Ok(lease)
}

fn lease_columns(lease: BatchLease) -> (i64, i64) {
    (id_to_column(lease.batch_id), id_to_column(lease.token))
}

/// State of a batch whose latest lease is this one. An expired lease is lost only when the batch was leased again.
fn leased_state(connection: &Connection, lease: BatchLease) -> Result<(String, bool), Failure> {
    connection
        .prepare_cached("SELECT state, padded FROM export_batch WHERE id = ?1 AND lease_token = ?2")?
        .query_row(lease_columns(lease), |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()?
        .ok_or(PortError::Conflict.into())
}

fn store_padding(
    connection: &Connection,
    appender: &mut Appender,
    shared: &Shared,
    lease: BatchLease,
    padding: &[PaddingKey],
) -> Result<(), Failure> {
    match leased_state(connection, lease)? {
        (state, false) if state == "leased" => {}
        (_, true) => return Ok(()),
        (_, false) => return Err(PortError::Conflict.into()),
    }
    let mut provenances: HashMap<i64, i64> = HashMap::new();
    let mut source_provenance = connection.prepare_cached("SELECT provenance_id FROM exposure WHERE id = ?1")?;
    let mut copy = connection.prepare_cached(
        "INSERT INTO exposure(id, provenance_id, created_at, key, rolling_start, rolling_period, transmission_risk,
            report_type, days_since_onset)
         SELECT ?1, ?2, created_at, ?3, rolling_start, rolling_period, transmission_risk, report_type, days_since_onset
         FROM exposure WHERE id = ?4",
    )?;
    for PaddingKey { source, key } in padding {
        // A source that is gone was purged after it was read: read again, decide again.
        let source = RowId::new(*source).ok_or(PortError::Conflict)?;
        let of_source = source_provenance.query_row([source.column()], |row| row.get(0)).optional()?;
        let of_source: i64 = of_source.ok_or(PortError::Conflict)?;
        let provenance_id = match provenances.get(&of_source) {
            Some(id) => *id,
            None => {
                let id = appender.provenance_id(connection, &padding_provenance(connection, of_source)?)?;
                provenances.insert(of_source, id);
                id
            }
        };
        let id = appender.allocate(connection, source.hour())?;
        copy.execute((id.column(), provenance_id, key.as_bytes().as_slice(), source.column()))?;
        appender.enter(&shared.index, (shared.index.hash(key), id));
    }
    connection.execute("UPDATE export_batch SET padded = 1 WHERE id = ?1", [id_to_column(lease.batch_id)])?;
    Ok(())
}

fn signature_infos(connection: &Connection, ids: &[u64]) -> Result<Vec<SignatureInfo>, Failure> {
    let mut infos: Vec<SignatureInfo> = admin::load_signature_infos(connection)?
        .into_iter()
        .filter(|info| ids.contains(&info.id))
        .map(|info| SignatureInfo {
            id: info.id,
            signing_key: info.signer.signing_key,
            verification_key_id: info.signer.verification_key_id,
            verification_key_version: info.signer.verification_key_version,
            thru: info.thru_unix.map(Timestamp::from_unix),
        })
        .collect();
    infos.sort_unstable_by_key(|info| std::cmp::Reverse(info.id));
    Ok(infos)
}

pub(super) fn live_files(
    store: &SqliteStore,
    config_id: u64,
    ended_since: Timestamp,
) -> Result<Vec<String>, PortError> {
    let files = store.shared.readers.read(|connection| {
        let mut statement = connection.prepare_cached(
            "SELECT f.filename FROM export_batch b JOIN export_file f ON f.batch_id = b.id
             WHERE b.config_id = ?1 AND b.end_at >= ?2 AND f.state = 'live'",
        )?;
        let names = statement.query_map((id_to_column(config_id), ended_since.unix()), |row| row.get(0))?;
        names.collect::<rusqlite::Result<Vec<String>>>().map_err(Failure::from)
    });
    files.map_err(PortError::from)
}

/// A file name that an earlier batch used names the new batch's file now: its content was replaced.
fn complete_batch(connection: &Connection, lease: BatchLease, files: &[String]) -> Result<(), Failure> {
    match leased_state(connection, lease)?.0.as_str() {
        "leased" => {}
        // The answer to the first call was lost.
        "complete" => return Ok(()),
        _ => return Err(PortError::Conflict.into()),
    }
    let mut register = connection.prepare_cached(
        "INSERT INTO export_file(batch_id, bucket, filename)
         SELECT id, config ->> 'bucket', ?2 FROM export_batch WHERE id = ?1
         ON CONFLICT(bucket, filename) DO UPDATE SET batch_id = excluded.batch_id, state = 'live'",
    )?;
    for file in files {
        register.execute((id_to_column(lease.batch_id), file))?;
    }
    connection.execute(
        "UPDATE export_batch SET state = 'complete', lease_expires = NULL WHERE id = ?1",
        [id_to_column(lease.batch_id)],
    )?;
    Ok(())
}

/// The part of a config that the export component sees.
fn to_config(record: ExportConfigRecord) -> ExportConfig {
    let ExportConfigRecord {
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
