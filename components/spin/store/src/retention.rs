//! Port `retention`.

use crate::row_id::Hour;
use crate::rows::Columns;
use crate::sql::{Sql, values};
use crate::{Store, id_to_column};
use tocsin_domain::interval::Timestamp;
use tocsin_domain::ports::PortError;
use tocsin_domain::ports::retention::{ExpiredFile, PurgeSlice, Retention, StaleIndex};

/// Rows deleted in one commit: other writers wait that long.
const SLICE: u32 = 20_000;

impl<S: Sql> Retention for Store<S> {
    fn purge_exposures(&self, created_before: Timestamp) -> Result<PurgeSlice, PortError> {
        self.transaction(|| {
            let slice = self.purge_slice(created_before)?;
            if !slice.more {
                self.purge_commits(created_before)?;
            }
            Ok(slice)
        })
    }

    fn purge_statistics(&self, before: Timestamp) -> Result<u64, PortError> {
        self.delete_statistics(before)
    }

    /// An index stays stale until its expired files are forgotten: whoever writes it may fail and be repeated.
    fn expire_files(&self, ended_before: Timestamp) -> Result<Vec<StaleIndex>, PortError> {
        let rows = self.transaction(|| {
            self.run(
                "UPDATE export_file SET state = 'expired' WHERE state = 'live'
                 AND batch_id IN (SELECT id FROM export_batch WHERE end_at < ?1 AND state = 'complete')",
                &values![ended_before],
            )?;
            self.run(
                "SELECT DISTINCT c.id, c.bucket, c.filename_root FROM export_file f
                 JOIN export_batch b ON b.id = f.batch_id JOIN export_config c ON c.id = b.config_id
                 WHERE f.state = 'expired' ORDER BY c.id",
                &[],
            )
        })?;
        let index = |row: &Vec<_>| {
            let mut columns = Columns::of(row);
            Ok(StaleIndex { config_id: columns.number()?, bucket: columns.string()?, filename_root: columns.string()? })
        };
        rows.iter().map(index).collect()
    }

    fn live_files(&self, config_id: u64, ended_since: Timestamp) -> Result<Vec<String>, PortError> {
        self.live_file_names(config_id, ended_since)
    }

    fn expired_files(&self, limit: u32) -> Result<Vec<ExpiredFile>, PortError> {
        let rows = self.run(
            "SELECT f.id, f.bucket, f.filename FROM export_file f JOIN export_batch b ON b.id = f.batch_id
             WHERE f.state = 'expired' ORDER BY b.end_at, f.id LIMIT ?1",
            &values![limit],
        )?;
        let file = |row: &Vec<_>| {
            let mut columns = Columns::of(row);
            Ok(ExpiredFile { id: columns.number()?, bucket: columns.string()?, name: columns.string()? })
        };
        rows.iter().map(file).collect()
    }

    fn forget_files(&self, ids: &[u64]) -> Result<(), PortError> {
        self.transaction(|| {
            for id in ids {
                let batch = self.first(
                    "UPDATE export_file SET state = 'deleted' WHERE id = ?1 AND state = 'expired' RETURNING batch_id",
                    &values![id_to_column(*id)],
                )?;
                let Some(batch) = batch else { continue };
                self.run(
                    "UPDATE export_batch SET state = 'deleted' WHERE id = ?1 AND state = 'complete'
                     AND NOT EXISTS (SELECT 1 FROM export_file WHERE batch_id = ?1 AND state <> 'deleted')",
                    &batch,
                )?;
            }
            Ok(())
        })
    }
}

impl<S: Sql> Store<S> {
    /// Deletes at the left edge of the table. An hour's rows are in the order in which they came, so in the hour of the
    /// cutoff itself each row's own time counts.
    fn purge_slice(&self, created_before: Timestamp) -> Result<PurgeSlice, PortError> {
        let end = Hour::clamped(created_before).end_id().cast_signed();
        let oldest = "SELECT id FROM exposure WHERE id > ?1 AND id < ?2 AND created_at < ?3 ORDER BY id LIMIT 1";
        let Some(first) = self.first(oldest, &values![0_i64, end, created_before])? else {
            return Ok(PurgeSlice { deleted: 0, more: false });
        };
        let first = Columns::of(&first).row_id()?;
        let hour_end = first.hour().end_id().cast_signed();
        let slice = self.first(
            "SELECT count(*), max(id) FROM (SELECT id FROM exposure
                WHERE id >= ?1 AND id < ?2 AND created_at < ?3 ORDER BY id LIMIT ?4)",
            &values![first.column(), hour_end, created_before, SLICE],
        )?;
        let slice = slice.unwrap_or_default();
        let mut columns = Columns::of(&slice);
        let (deleted, last) = (columns.number()?, columns.row_id()?);
        let range = values![first.column(), last.column(), created_before];
        self.run(
            "DELETE FROM exposure_revision WHERE exposure_id BETWEEN ?1 AND ?2
             AND (SELECT created_at FROM exposure WHERE id = exposure_id) < ?3",
            &range,
        )?;
        self.run("DELETE FROM exposure WHERE id BETWEEN ?1 AND ?2 AND created_at < ?3", &range)?;
        let more = self.first(oldest, &values![last.column(), end, created_before])?.is_some();
        Ok(PurgeSlice { deleted, more })
    }
}
