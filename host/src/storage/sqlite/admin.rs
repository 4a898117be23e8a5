//! What the operator does.

use super::super::administration::{
    AdminError, Administration, AuthorizedAppRecord, BatchState, ExportBatchRecord, ExportConfigRecord,
    ExportFileRecord, FileState, HealthAuthorityKeyRecord, HealthAuthorityRecord, HealthAuthorityUpdate,
    NewExportConfig, NewHealthAuthority, SignatureInfoRecord, SignerRecord, StoreStatus, check_authorized_app,
    check_export_config, check_health_authority, check_health_authority_key, trimmed_uri,
};
use super::directory::{json_column, load_apps, load_health_authorities};
use super::failure::id_to_column;
use super::{SqliteStore, key_sets, out_of_range, signers};
use rusqlite::{Connection, ErrorCode, OptionalExtension, Row};
use tocsin_domain::health_authority::HealthAuthorityKey;
use tocsin_domain::interval::Timestamp;
use tocsin_domain::ports::PortError;
use tocsin_domain::verification::key_set::Changes;

impl Administration for SqliteStore {
    fn add_health_authority(&self, new: &NewHealthAuthority) -> Result<HealthAuthorityRecord, AdminError> {
        check_health_authority(new)?;
        let NewHealthAuthority { issuer, audience, name, jwks_uri, allow_empty_key_set, statistics_enabled } =
            new.clone();
        let jwks_uri = jwks_uri.as_deref().and_then(trimmed_uri);
        self.change_directory(move |connection| {
            let insert = "INSERT INTO health_authority(issuer, audience, name, jwks_uri, allow_empty_key_set,
                            statistics_enabled) VALUES (?1, ?2, ?3, ?4, ?5, ?6) RETURNING id";
            let values = (&issuer, &audience, &name, &jwks_uri, allow_empty_key_set, statistics_enabled);
            let added = connection.query_row(insert, values, |row| id_of(row, 0));
            let id = duplicate(added, || format!("there is a health authority with the issuer `{issuer}` already"))?;
            let keys = Vec::new();
            Ok(HealthAuthorityRecord {
                id,
                issuer,
                audience,
                name,
                jwks_uri,
                allow_empty_key_set,
                statistics_enabled,
                keys,
            })
        })
    }

    fn update_health_authority(
        &self,
        id: u64,
        update: &HealthAuthorityUpdate,
    ) -> Result<HealthAuthorityRecord, AdminError> {
        let update = update.clone();
        self.change_directory(move |connection| {
            require_health_authority(connection, id)?;
            key_sets::update(connection, id, &update)?;
            let all = load_health_authorities(connection)?;
            let updated = all.into_iter().find(|authority| authority.id == id);
            updated.ok_or_else(|| AdminError::NotFound(format!("there is no health authority {id}")))
        })
    }

    fn health_authorities(&self) -> Result<Vec<HealthAuthorityRecord>, AdminError> {
        Ok(self.shared.readers.read(load_health_authorities)?)
    }

    fn add_health_authority_key(&self, id: u64, key: &HealthAuthorityKeyRecord) -> Result<(), AdminError> {
        check_health_authority_key(key)?;
        let HealthAuthorityKeyRecord { version, from_unix, thru_unix, public_key } = key.clone();
        self.change_directory(move |connection| {
            require_health_authority(connection, id)?;
            let added = connection.execute(
                "INSERT INTO health_authority_key(health_authority_id, version, from_at, thru_at, public_key)
                 VALUES (?1, ?2, ?3, ?4, ?5)",
                (id_to_column(id), &version, from_unix, thru_unix, public_key),
            );
            duplicate(added, || format!("health authority {id} has a key `{version}` already")).map(drop)
        })
    }

    fn revoke_health_authority_key(&self, id: u64, version: &str, now: Timestamp) -> Result<(), AdminError> {
        let version = version.to_owned();
        self.change_directory(move |connection| {
            let revoke =
                "UPDATE health_authority_key SET thru_at = min(ifnull(thru_at, max(from_at, ?3)), max(from_at, ?3))
                          WHERE health_authority_id = ?1 AND version = ?2";
            let changed = connection.execute(revoke, (id_to_column(id), &version, now.unix()))?;
            found(changed, || format!("health authority {id} has no key `{version}`"))
        })
    }

    fn reinstate_health_authority_key(&self, id: u64, version: &str) -> Result<(), AdminError> {
        let version = version.to_owned();
        self.change_directory(move |connection| {
            let reinstate =
                "UPDATE health_authority_key SET thru_at = NULL WHERE health_authority_id = ?1 AND version = ?2";
            let changed = connection.execute(reinstate, (id_to_column(id), &version))?;
            found(changed, || format!("health authority {id} has no key `{version}`"))
        })
    }

    fn activate_health_authority_key(&self, id: u64, version: &str, now: Timestamp) -> Result<(), AdminError> {
        let version = version.to_owned();
        self.change_directory(move |connection| key_sets::activate_key(connection, id, &version, now))
    }

    fn apply_key_set_changes(
        &self,
        id: u64,
        stored: &[HealthAuthorityKey],
        changes: &Changes,
    ) -> Result<(), AdminError> {
        let (stored, changes) = (stored.to_vec(), changes.clone());
        self.change_directory(move |connection| {
            require_health_authority(connection, id)?;
            key_sets::apply_changes(connection, id, &stored, &changes)
        })
    }

    fn add_authorized_app(&self, app: &AuthorizedAppRecord) -> Result<(), AdminError> {
        check_authorized_app(app)?;
        let app = app.clone();
        self.change_directory(move |connection| {
            let insert = "INSERT INTO authorized_app(name, regions, health_authority_ids, bypass_verification,
                            bypass_revision_token) VALUES (?1, ?2, ?3, ?4, ?5)";
            let written = write_app(connection, insert, &app)?;
            duplicate(written, || format!("there is an authorized app `{}` already", app.name.to_lowercase())).map(drop)
        })
    }

    fn update_authorized_app(&self, app: &AuthorizedAppRecord) -> Result<(), AdminError> {
        check_authorized_app(app)?;
        let app = app.clone();
        self.change_directory(move |connection| {
            let update = "UPDATE authorized_app SET regions = ?2, health_authority_ids = ?3, bypass_verification = ?4,
                            bypass_revision_token = ?5 WHERE name = ?1";
            let changed = write_app(connection, update, &app)??;
            found(changed, || format!("there is no authorized app `{}`", app.name.to_lowercase()))
        })
    }

    fn authorized_apps(&self) -> Result<Vec<AuthorizedAppRecord>, AdminError> {
        Ok(self.shared.readers.read(load_apps)?)
    }

    fn add_export_config(&self, new: &NewExportConfig) -> Result<ExportConfigRecord, AdminError> {
        check_export_config(new)?;
        let new = new.clone();
        self.writer.call(move |writer| writer.transaction(|connection| add_export_config(connection, new)))
    }

    fn export_configs(&self) -> Result<Vec<ExportConfigRecord>, AdminError> {
        Ok(self.shared.readers.read(load_export_configs)?)
    }

    fn end_export_config(&self, id: u64, thru: Timestamp) -> Result<(), AdminError> {
        self.end("export_config", "export config", id, thru)
    }

    fn signature_info_records(&self) -> Result<Vec<SignatureInfoRecord>, AdminError> {
        Ok(self.shared.readers.read(load_signature_infos)?)
    }

    fn end_signature_info(&self, id: u64, thru: Timestamp) -> Result<(), AdminError> {
        self.end("signature_info", "signature info", id, thru)
    }

    fn add_export_config_signer(
        &self,
        id: u64,
        signer: &SignerRecord,
        now: Timestamp,
    ) -> Result<SignatureInfoRecord, AdminError> {
        let signer = signer.clone();
        self.writer.call(move |writer| writer.transaction(|connection| signers::add(connection, id, &signer, now)))
    }

    fn end_export_config_signer(
        &self,
        id: u64,
        signature_info_id: u64,
        thru: Timestamp,
    ) -> Result<SignatureInfoRecord, AdminError> {
        let end = move |connection: &Connection| signers::end(connection, id, signature_info_id, thru);
        self.writer.call(move |writer| writer.transaction(end))
    }

    fn export_batches(&self, config_id: Option<u64>, limit: u32) -> Result<Vec<ExportBatchRecord>, AdminError> {
        Ok(self.shared.readers.read(|connection| load_batches(connection, config_id, limit))?)
    }

    fn export_files(&self, batch_id: u64) -> Result<Vec<ExportFileRecord>, AdminError> {
        Ok(self.shared.readers.read(|connection| load_files(connection, batch_id))?)
    }

    fn status(&self) -> Result<StoreStatus, AdminError> {
        if !self.writer.is_running() {
            return Err(PortError::Unavailable.into());
        }
        let open = "SELECT count(*), min(end_at) FROM export_batch WHERE state IN ('open', 'leased')";
        let read = |connection: &Connection| connection.query_row(open, [], |row| Ok((id_of(row, 0)?, row.get(1)?)));
        let (open_batches, oldest_open_batch_end_unix) = self.shared.readers.read::<_, rusqlite::Error>(read)?;
        Ok(StoreStatus { exposures: self.shared.index.len(), open_batches, oldest_open_batch_end_unix })
    }
}

impl SqliteStore {
    fn end(&self, table: &'static str, what: &'static str, id: u64, thru: Timestamp) -> Result<(), AdminError> {
        self.writer.call(move |writer| {
            let end = format!("UPDATE {table} SET thru_at = ?2 WHERE id = ?1");
            let changed = writer.connection().execute(&end, (id_to_column(id), thru.unix()))?;
            found(changed, || format!("there is no {what} {id}"))
        })
    }
}

/// An id or a count in a column.
pub(super) fn id_of(row: &Row<'_>, column: usize) -> rusqlite::Result<u64> {
    let number: i64 = row.get(column)?;
    u64::try_from(number).map_err(|_| rusqlite::Error::IntegralValueOutOfRange(column, number))
}

fn duplicate<T>(result: rusqlite::Result<T>, text: impl FnOnce() -> String) -> Result<T, AdminError> {
    result.map_err(|error| match error.sqlite_error_code() {
        Some(ErrorCode::ConstraintViolation) => AdminError::Duplicate(text()),
        Some(_) | None => error.into(),
    })
}

fn found(changed: usize, text: impl FnOnce() -> String) -> Result<(), AdminError> {
    if changed > 0 { Ok(()) } else { Err(AdminError::NotFound(text())) }
}

fn require_health_authority(connection: &Connection, id: u64) -> Result<(), AdminError> {
    let mut statement = connection.prepare_cached("SELECT 1 FROM health_authority WHERE id = ?1")?;
    let exists = statement.exists([id_to_column(id)])?;
    found(usize::from(exists), || format!("there is no health authority {id}"))
}

fn write_app(
    connection: &Connection,
    sql: &str,
    app: &AuthorizedAppRecord,
) -> Result<rusqlite::Result<usize>, AdminError> {
    let AuthorizedAppRecord { name, regions, health_authorities, bypass_verification, bypass_revision_token } = app;
    for id in health_authorities {
        require_health_authority(connection, *id)?;
    }
    let values =
        (name.to_lowercase(), json(regions), json(health_authorities), bypass_verification, bypass_revision_token);
    Ok(connection.execute(sql, values))
}

pub(super) fn json<T: serde::Serialize>(list: &[T]) -> String {
    // Unwrap safety: called with lists of strings and of numbers, which JSON can hold.
    serde_json::to_string(list).unwrap()
}

fn add_export_config(connection: &Connection, new: NewExportConfig) -> Result<ExportConfigRecord, AdminError> {
    let signers = new.signers.iter().map(|signer| signature_info_id(connection, signer));
    let signature_info_ids: Vec<u64> = signers.collect::<rusqlite::Result<_>>()?;
    let record = ExportConfigRecord {
        id: 0,
        bucket: new.bucket,
        filename_root: new.filename_root,
        period_seconds: new.period_seconds,
        output_region: new.output_region,
        input_regions: new.input_regions,
        exclude_regions: new.exclude_regions,
        include_travelers: new.include_travelers,
        only_non_travelers: new.only_non_travelers,
        max_records_override: new.max_records_override,
        signature_info_ids,
        from_unix: new.from_unix,
        thru_unix: new.thru_unix,
    };
    let added = connection.query_row(
        "INSERT INTO export_config(bucket, filename_root, period_seconds, output_region, input_regions, exclude_regions,
            include_travelers, only_non_travelers, max_records_override, signature_info_ids, from_at, thru_at)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12) RETURNING id",
        (
            &record.bucket,
            &record.filename_root,
            id_to_column(record.period_seconds),
            &record.output_region,
            json(&record.input_regions),
            json(&record.exclude_regions),
            record.include_travelers,
            record.only_non_travelers,
            record.max_records_override,
            json(&record.signature_info_ids),
            record.from_unix,
            record.thru_unix,
        ),
        |row| id_of(row, 0),
    );
    let id = duplicate(added, || {
        format!("there is an export config for `{}` in the bucket `{}` already", record.filename_root, record.bucket)
    })?;
    Ok(ExportConfigRecord { id, ..record })
}

/// The signature info of a signer that has no end, which is added when there is none.
pub(super) fn signature_info_id(connection: &Connection, signer: &SignerRecord) -> rusqlite::Result<u64> {
    let SignerRecord { signing_key, verification_key_id, verification_key_version } = signer;
    let values = (signing_key, verification_key_id, verification_key_version);
    let find = "SELECT id FROM signature_info WHERE signing_key = ?1 AND verification_key_id = ?2
                AND verification_key_version = ?3 AND thru_at IS NULL";
    if let Some(id) = connection.query_row(find, values, |row| id_of(row, 0)).optional()? {
        return Ok(id);
    }
    let insert = "INSERT INTO signature_info(signing_key, verification_key_id, verification_key_version)
                  VALUES (?1, ?2, ?3) RETURNING id";
    connection.query_row(insert, values, |row| id_of(row, 0))
}

pub(super) fn load_export_configs(connection: &Connection) -> rusqlite::Result<Vec<ExportConfigRecord>> {
    let sql = "SELECT id, bucket, filename_root, period_seconds, output_region, input_regions, exclude_regions,
                 include_travelers, only_non_travelers, max_records_override, signature_info_ids, from_at, thru_at
               FROM export_config ORDER BY id";
    connection
        .prepare_cached(sql)?
        .query_map([], |row| {
            Ok(ExportConfigRecord {
                id: id_of(row, 0)?,
                bucket: row.get(1)?,
                filename_root: row.get(2)?,
                period_seconds: id_of(row, 3)?,
                output_region: row.get(4)?,
                input_regions: json_column(row, 5)?,
                exclude_regions: json_column(row, 6)?,
                include_travelers: row.get(7)?,
                only_non_travelers: row.get(8)?,
                max_records_override: row.get(9)?,
                signature_info_ids: json_column(row, 10)?,
                from_unix: row.get(11)?,
                thru_unix: row.get(12)?,
            })
        })?
        .collect()
}

pub(super) fn load_signature_infos(connection: &Connection) -> rusqlite::Result<Vec<SignatureInfoRecord>> {
    let sql = "SELECT id, signing_key, verification_key_id, verification_key_version, thru_at
               FROM signature_info ORDER BY id";
    connection
        .prepare_cached(sql)?
        .query_map([], |row| {
            let signer = SignerRecord {
                signing_key: row.get(1)?,
                verification_key_id: row.get(2)?,
                verification_key_version: row.get(3)?,
            };
            Ok(SignatureInfoRecord { id: id_of(row, 0)?, signer, thru_unix: row.get(4)? })
        })?
        .collect()
}

fn load_batches(
    connection: &Connection,
    config_id: Option<u64>,
    limit: u32,
) -> rusqlite::Result<Vec<ExportBatchRecord>> {
    let sql = "SELECT id, config_id, start_at, end_at, state, lease_expires,
                 (SELECT count(*) FROM export_file WHERE batch_id = export_batch.id)
               FROM export_batch WHERE ?1 IS NULL OR config_id = ?1 ORDER BY end_at DESC, id DESC LIMIT ?2";
    connection
        .prepare_cached(sql)?
        .query_map((config_id.map(id_to_column), limit), |row| {
            let state = match row.get_ref(4)?.as_str()? {
                "open" => BatchState::Open,
                "leased" => BatchState::Leased,
                "complete" => BatchState::Complete,
                "deleted" => BatchState::Deleted,
                _ => return Err(out_of_range(4, "no state of an export batch")),
            };
            Ok(ExportBatchRecord {
                id: id_of(row, 0)?,
                config_id: id_of(row, 1)?,
                start_unix: row.get(2)?,
                end_unix: row.get(3)?,
                state,
                lease_expires_unix: row.get(5)?,
                files: id_of(row, 6)?,
            })
        })?
        .collect()
}

fn load_files(connection: &Connection, batch_id: u64) -> rusqlite::Result<Vec<ExportFileRecord>> {
    let sql = "SELECT id, batch_id, bucket, filename, state FROM export_file WHERE batch_id = ?1 ORDER BY id";
    connection
        .prepare_cached(sql)?
        .query_map([id_to_column(batch_id)], |row| {
            let state = match row.get_ref(4)?.as_str()? {
                "live" => FileState::Live,
                "expired" => FileState::Expired,
                "deleted" => FileState::Deleted,
                _ => return Err(out_of_range(4, "no state of an export file")),
            };
            Ok(ExportFileRecord {
                id: id_of(row, 0)?,
                batch_id: id_of(row, 1)?,
                bucket: row.get(2)?,
                name: row.get(3)?,
                state,
            })
        })?
        .collect()
}
