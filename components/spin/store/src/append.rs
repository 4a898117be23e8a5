//! Adds rows of exposures. Called inside a transaction, so what is read of the table still holds when it is written.

use crate::Store;
use crate::row_id::{Hour, RowId};
use crate::rows::Columns;
use crate::sql::{Sql, Value, placeholders, values};
use std::collections::BTreeMap;
use tocsin_domain::exposure::{NewExposure, ReportType};
use tocsin_domain::ports::PortError;
use tocsin_domain::tek::TemporaryExposureKey;

/// The app in the rows of padding keys; they belong to nobody.
pub(crate) const PADDING_APP: &str = "export-generated";

/// Keys or ids in one statement; SQLite takes 32,766 parameters at most.
pub(crate) const CHUNK: usize = 500;

/// What all keys of a publish share.
pub(crate) struct Provenance {
    pub(crate) app: String,
    /// JSON list, sorted.
    pub(crate) regions: String,
    pub(crate) traveler: bool,
    pub(crate) local: bool,
    pub(crate) health_authority: Option<i64>,
}

/// The last ids of the hours that a transaction adds rows to.
#[derive(Default)]
pub(crate) struct Allocator(BTreeMap<Hour, RowId>);

impl<S: Sql> Store<S> {
    /// The next free id of an hour.
    pub(crate) fn allocate(&self, allocator: &mut Allocator, hour: Hour) -> Result<RowId, PortError> {
        let next = match allocator.0.get(&hour) {
            Some(last) => last.next(),
            None => {
                let range = values![hour.first_id().cast_signed(), hour.end_id().cast_signed()];
                let last =
                    self.first("SELECT id FROM exposure WHERE id >= ?1 AND id < ?2 ORDER BY id DESC LIMIT 1", &range)?;
                match last {
                    Some(row) => Columns::of(&row).row_id()?.next(),
                    None => Some(hour.first()),
                }
            }
        };
        // 268 million keys in an hour: not on this planet, but an hour must not run into the next.
        let id = next.ok_or(PortError::Unavailable)?;
        allocator.0.insert(hour, id);
        Ok(id)
    }

    /// The id of a provenance, which is added when it is new.
    pub(crate) fn provenance_id(&self, provenance: &Provenance) -> Result<i64, PortError> {
        let Provenance { app, regions, traveler, local, health_authority } = provenance;
        let values = values![app, regions, *traveler, *local, *health_authority];
        let found = self.first(
            "SELECT id FROM provenance WHERE app = ?1 AND regions = ?2 AND traveler = ?3 AND local = ?4
             AND health_authority_id IS ?5",
            &values,
        )?;
        let row = match found {
            Some(row) => row,
            None => self
                .first(
                    "INSERT INTO provenance(app, regions, traveler, local, health_authority_id)
                     VALUES (?1, ?2, ?3, ?4, ?5) RETURNING id",
                    &values,
                )?
                .unwrap_or_default(),
        };
        Columns::of(&row).integer()
    }

    /// Whether any of the keys has a row.
    pub(crate) fn any_key_exists(&self, keys: &[TemporaryExposureKey]) -> Result<bool, PortError> {
        for keys in keys.chunks(CHUNK) {
            let sql = format!("SELECT 1 FROM exposure WHERE key IN ({}) LIMIT 1", placeholders(keys.len()));
            if self.first(&sql, &key_values(keys))?.is_some() {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Writes rows.
    pub(crate) fn append(&self, rows: &[(RowId, NewExposure)], provenance_id: i64) -> Result<(), PortError> {
        const COLUMNS: usize = 9;
        for rows in rows.chunks(CHUNK) {
            let row_values = format!("({})", placeholders(COLUMNS));
            let sql = format!(
                "INSERT INTO exposure(id, provenance_id, created_at, key, rolling_start, rolling_period, transmission_risk,
                    report_type, days_since_onset) VALUES {}",
                vec![row_values; rows.len()].join(", ")
            );
            let mut parameters = Vec::with_capacity(rows.len() * COLUMNS);
            for (id, exposure) in rows {
                let NewExposure {
                    key,
                    rolling_start,
                    rolling_period,
                    transmission_risk,
                    report_type,
                    days_since_onset,
                    created_at,
                } = exposure;
                parameters.extend(values![
                    id.column(),
                    provenance_id,
                    *created_at,
                    key.as_bytes().as_slice(),
                    rolling_start.get(),
                    rolling_period.get(),
                    transmission_risk.get(),
                    report_type.map_or(0, ReportType::number),
                    *days_since_onset,
                ]);
            }
            self.run(&sql, &parameters)?;
        }
        Ok(())
    }
}

/// Keys as parameters.
pub(crate) fn key_values(keys: &[TemporaryExposureKey]) -> Vec<Value> {
    keys.iter().map(|key| Value::from(key.as_bytes().as_slice())).collect()
}
