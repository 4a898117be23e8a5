//! Port `retention`.

use super::super::row_id::{Hour, RowId};
use super::exports::live_files;
use super::failure::{Failure, id_to_column};
use super::writer::Writer;
use super::{SqliteStore, commits, id_column, key_column, statistics};
use rusqlite::{Connection, OptionalExtension};
use tocsin_domain::interval::Timestamp;
use tocsin_domain::ports::PortError;
use tocsin_domain::ports::retention::{ExpiredFile, PurgeSlice, Retention, StaleIndex};
use tocsin_domain::tek::TemporaryExposureKey;

/// Rows deleted in one commit: publishes wait about 10 ms.
const SLICE: u32 = 20_000;

impl Retention for SqliteStore {
    fn purge_exposures(&self, created_before: Timestamp) -> Result<PurgeSlice, PortError> {
        self.writer.call(move |writer| purge_slice(writer, created_before).map_err(PortError::from))
    }

    fn purge_statistics(&self, before: Timestamp) -> Result<u64, PortError> {
        self.writer.call(move |writer| {
            let deleted: Result<u64, Failure> =
                writer.transaction(|connection| Ok(statistics::delete(connection, before)?));
            writer.forget_statistics();
            deleted.map_err(PortError::from)
        })
    }

    fn expire_files(&self, ended_before: Timestamp) -> Result<Vec<StaleIndex>, PortError> {
        self.writer.call(move |writer| {
            writer.transaction(|connection| expire_files(connection, ended_before)).map_err(PortError::from)
        })
    }

    fn live_files(&self, config_id: u64, ended_since: Timestamp) -> Result<Vec<String>, PortError> {
        live_files(self, config_id, ended_since)
    }

    fn expired_files(&self, limit: u32) -> Result<Vec<ExpiredFile>, PortError> {
        let files = self.shared.readers.read(|connection| expired_files(connection, limit));
        files.map_err(PortError::from)
    }

    fn forget_files(&self, ids: &[u64]) -> Result<(), PortError> {
        let ids = ids.to_vec();
        self.writer.call(move |writer| {
            writer.transaction(|connection| forget_files(connection, &ids)).map_err(PortError::from)
        })
    }
}

/// Deletes at the left edge of the table. An hour's rows are in the order in which they came, so in the hour of the
/// cutoff itself each row's own time counts.
fn purge_slice(writer: &mut Writer, created_before: Timestamp) -> Result<PurgeSlice, Failure> {
    let cutoff_hour = Hour::clamped(created_before);
    let ids = (0, cutoff_hour.end_id().cast_signed());
    let slice = writer.transaction(|connection| {
        let doomed = doomed(connection, ids, created_before)?;
        if let (Some((first, _)), Some((last, _))) = (doomed.first(), doomed.last()) {
            delete(connection, *first, *last, created_before)?;
        }
        Ok::<_, rusqlite::Error>(doomed)
    })?;
    let index = &writer.shared().index;
    for (id, key) in &slice {
        index.remove(index.hash(key), *id);
    }
    let Some((last, _)) = slice.last() else {
        writer.transaction(|connection| commits::purge(connection, created_before))?;
        return Ok(PurgeSlice { deleted: 0, more: false });
    };
    let last_hour = last.hour();
    let next = first_after(writer.connection(), *last, ids.1, created_before)?;
    writer.forget_hours_before(last_hour);
    if !next {
        writer.transaction(|connection| commits::purge(connection, created_before))?;
    }
    Ok(PurgeSlice { deleted: u64::try_from(slice.len()).unwrap_or(u64::MAX), more: next })
}

/// The oldest rows that must go, at most a slice and at most an hour.
fn doomed(
    connection: &Connection,
    (from, to): (i64, i64),
    created_before: Timestamp,
) -> rusqlite::Result<Vec<(RowId, TemporaryExposureKey)>> {
    let mut statement = connection.prepare_cached(
        "SELECT id, key FROM exposure WHERE id > ?1 AND id < ?2 AND created_at < ?3 ORDER BY id LIMIT ?4",
    )?;
    let mut rows = statement.query((from, to, created_before.unix(), SLICE))?;
    let mut doomed: Vec<(RowId, TemporaryExposureKey)> = Vec::new();
    while let Some(row) = rows.next()? {
        let id = id_column(row, 0)?;
        if doomed.first().is_some_and(|(first, _)| first.hour() != id.hour()) {
            break;
        }
        doomed.push((id, key_column(row, 1)?));
    }
    Ok(doomed)
}

fn delete(connection: &Connection, first: RowId, last: RowId, created_before: Timestamp) -> rusqlite::Result<()> {
    let range = (first.column(), last.column(), created_before.unix());
    connection
        .prepare_cached(
            "DELETE FROM exposure_revision WHERE exposure_id BETWEEN ?1 AND ?2
             AND (SELECT created_at FROM exposure WHERE id = exposure_id) < ?3",
        )?
        .execute(range)?;
    connection.prepare_cached("DELETE FROM exposure WHERE id BETWEEN ?1 AND ?2 AND created_at < ?3")?.execute(range)?;
    Ok(())
}

fn first_after(connection: &Connection, id: RowId, end: i64, created_before: Timestamp) -> rusqlite::Result<bool> {
    connection.prepare_cached("SELECT 1 FROM exposure WHERE id > ?1 AND id < ?2 AND created_at < ?3 LIMIT 1")?.exists((
        id.column(),
        end,
        created_before.unix(),
    ))
}

/// An index stays stale until its expired files are forgotten: whoever writes it may fail and be repeated.
fn expire_files(connection: &Connection, ended_before: Timestamp) -> Result<Vec<StaleIndex>, Failure> {
    connection.execute(
        "UPDATE export_file SET state = 'expired' WHERE state = 'live'
         AND batch_id IN (SELECT id FROM export_batch WHERE end_at < ?1 AND state = 'complete')",
        [ended_before.unix()],
    )?;
    let mut statement = connection.prepare_cached(
        "SELECT DISTINCT c.id, c.bucket, c.filename_root FROM export_file f
         JOIN export_batch b ON b.id = f.batch_id JOIN export_config c ON c.id = b.config_id
         WHERE f.state = 'expired' ORDER BY c.id",
    )?;
    let indexes = statement.query_map([], |row| {
        Ok(StaleIndex {
            config_id: row.get::<_, i64>(0)?.cast_unsigned(),
            bucket: row.get(1)?,
            filename_root: row.get(2)?,
        })
    })?;
    Ok(indexes.collect::<rusqlite::Result<_>>()?)
}

fn expired_files(connection: &Connection, limit: u32) -> Result<Vec<ExpiredFile>, Failure> {
    let mut statement = connection.prepare_cached(
        "SELECT f.id, f.bucket, f.filename FROM export_file f JOIN export_batch b ON b.id = f.batch_id
         WHERE f.state = 'expired' ORDER BY b.end_at, f.id LIMIT ?1",
    )?;
    let files = statement.query_map([limit], |row| {
        Ok(ExpiredFile { id: row.get::<_, i64>(0)?.cast_unsigned(), bucket: row.get(1)?, name: row.get(2)? })
    })?;
    Ok(files.collect::<rusqlite::Result<_>>()?)
}

fn forget_files(connection: &Connection, ids: &[u64]) -> Result<(), Failure> {
    let mut forget = connection.prepare_cached(
        "UPDATE export_file SET state = 'deleted' WHERE id = ?1 AND state = 'expired' RETURNING batch_id",
    )?;
    let mut finish = connection.prepare_cached(
        "UPDATE export_batch SET state = 'deleted' WHERE id = ?1 AND state = 'complete'
         AND NOT EXISTS (SELECT 1 FROM export_file WHERE batch_id = ?1 AND state <> 'deleted')",
    )?;
    for id in ids {
        let batch: Option<i64> = forget.query_row([id_to_column(*id)], |row| row.get(0)).optional()?;
        if let Some(batch) = batch {
            finish.execute([batch])?;
        }
    }
    Ok(())
}
