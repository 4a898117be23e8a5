//! The store as requests in Spin see it: each call is an instance with a connection of its own.

use crate::connection::TestConnection;
use crate::storage::administration::{
    AdminError, Administration, AuthorizedAppRecord, BatchState, ExportBatchRecord, ExportConfigRecord,
    ExportFileRecord, FileState, HealthAuthorityKeyRecord, HealthAuthorityRecord, HealthAuthorityUpdate,
    NewExportConfig, NewHealthAuthority, SignatureInfoRecord, SignerRecord, StoreStatus,
};
use rusqlite::params;
use std::path::PathBuf;
use tocsin_domain::authorized_app::AuthorizedApp;
use tocsin_domain::health_authority::{HealthAuthority, HealthAuthorityId, HealthAuthorityKey};
use tocsin_domain::interval::Timestamp;
use tocsin_domain::ports::PortError;
use tocsin_domain::ports::authorized_apps::AuthorizedApps;
use tocsin_domain::ports::exports::{
    ActiveExportConfig, BatchLease, Exports, KeyRange, LeasedBatch, NewBatch, PaddingKey, Page, Pass, Selection,
    SelectionSize,
};
use tocsin_domain::ports::exposures::{Exposures, Found, Submission};
use tocsin_domain::ports::health_authorities::HealthAuthorities;
use tocsin_domain::ports::leases::{LeaseToken, Leases};
use tocsin_domain::ports::retention::{ExpiredFile, PurgeSlice, Retention, StaleIndex};
use tocsin_domain::ports::statistics::Statistics;
use tocsin_domain::signature_info::SignatureInfo;
use tocsin_domain::statistics::HourlyStatistics;
use tocsin_domain::tek::TemporaryExposureKey;
use tocsin_domain::verification::key_set::Changes;
use tocsin_spin_store::Store;
use tocsin_spin_store::revision_keys::{NewRevisionKey, RevisionKeyRow, RevisionKeys, RewrappedKey};

/// A store in a file that is opened for each call.
#[derive(Debug)]
pub(crate) struct FreshInstances {
    pub(crate) file: PathBuf,
}

impl FreshInstances {
    pub(crate) fn new(file: PathBuf) -> Self {
        let store = Self { file };
        store.instance().expect("opened");
        store
    }

    /// A new instance.
    pub(crate) fn instance(&self) -> Result<Store<TestConnection>, PortError> {
        Store::open(TestConnection::open(&self.file))
    }

    /// A connection beside the store, to prepare it and to look into it.
    pub(crate) fn connection(&self) -> rusqlite::Connection {
        TestConnection::open(&self.file).0
    }
}

impl Exposures for FreshInstances {
    fn find(&self, keys: &[TemporaryExposureKey]) -> Result<Found, PortError> {
        self.instance()?.find(keys)
    }

    fn insert_and_revise(&self, submission: &Submission) -> Result<(), PortError> {
        self.instance()?.insert_and_revise(submission)
    }
}

impl Exports for FreshInstances {
    fn active_configs(&self, at: Timestamp) -> Result<Vec<ActiveExportConfig>, PortError> {
        self.instance()?.active_configs(at)
    }

    fn create_batches(&self, batches: &[NewBatch]) -> Result<u32, PortError> {
        self.instance()?.create_batches(batches)
    }

    fn lease_batch(&self, now: Timestamp, until: Timestamp) -> Result<Option<LeasedBatch>, PortError> {
        self.instance()?.lease_batch(now, until)
    }

    fn release_batch(&self, lease: BatchLease) -> Result<(), PortError> {
        self.instance()?.release_batch(lease)
    }

    fn count(&self, selection: &Selection) -> Result<SelectionSize, PortError> {
        self.instance()?.count(selection)
    }

    fn read(
        &self,
        selection: &Selection,
        pass: Pass,
        keys: KeyRange,
        cursor: u64,
        limit: u32,
    ) -> Result<Page, PortError> {
        self.instance()?.read(selection, pass, keys, cursor, limit)
    }

    fn store_padding(&self, lease: BatchLease, padding: &[PaddingKey]) -> Result<(), PortError> {
        self.instance()?.store_padding(lease, padding)
    }

    fn signature_infos(&self, ids: &[u64]) -> Result<Vec<SignatureInfo>, PortError> {
        self.instance()?.signature_infos(ids)
    }

    fn live_files(&self, config_id: u64, ended_since: Timestamp) -> Result<Vec<String>, PortError> {
        Exports::live_files(&self.instance()?, config_id, ended_since)
    }

    fn complete_batch(&self, lease: BatchLease, files: &[String]) -> Result<(), PortError> {
        self.instance()?.complete_batch(lease, files)
    }
}

impl Retention for FreshInstances {
    fn purge_exposures(&self, created_before: Timestamp) -> Result<PurgeSlice, PortError> {
        self.instance()?.purge_exposures(created_before)
    }

    fn purge_statistics(&self, before: Timestamp) -> Result<u64, PortError> {
        self.instance()?.purge_statistics(before)
    }

    fn expire_files(&self, ended_before: Timestamp) -> Result<Vec<StaleIndex>, PortError> {
        self.instance()?.expire_files(ended_before)
    }

    fn live_files(&self, config_id: u64, ended_since: Timestamp) -> Result<Vec<String>, PortError> {
        Retention::live_files(&self.instance()?, config_id, ended_since)
    }

    fn expired_files(&self, limit: u32) -> Result<Vec<ExpiredFile>, PortError> {
        self.instance()?.expired_files(limit)
    }

    fn forget_files(&self, ids: &[u64]) -> Result<(), PortError> {
        self.instance()?.forget_files(ids)
    }
}

impl Leases for FreshInstances {
    fn acquire(&self, names: &[String], now: Timestamp, until: Timestamp) -> Result<Option<LeaseToken>, PortError> {
        self.instance()?.acquire(names, now, until)
    }

    fn release(&self, token: LeaseToken) -> Result<(), PortError> {
        self.instance()?.release(token)
    }
}

impl AuthorizedApps for FreshInstances {
    fn find_app(&self, name: &str) -> Result<Option<AuthorizedApp>, PortError> {
        self.instance()?.find_app(name)
    }
}

impl HealthAuthorities for FreshInstances {
    fn find_health_authority(&self, issuer: &str) -> Result<Option<HealthAuthority>, PortError> {
        self.instance()?.find_health_authority(issuer)
    }
}

impl Statistics for FreshInstances {
    fn hours(&self, health_authority: HealthAuthorityId) -> Result<Vec<HourlyStatistics>, PortError> {
        self.instance()?.hours(health_authority)
    }
}

impl RevisionKeys for FreshInstances {
    fn revision_keys(&self) -> Result<Vec<RevisionKeyRow>, PortError> {
        self.instance()?.revision_keys()
    }

    fn insert_revision_keys(&self, keys: &[NewRevisionKey]) -> Result<(), PortError> {
        self.instance()?.insert_revision_keys(keys)
    }

    fn destroy_revision_keys(&self, ids: &[u64], now: Timestamp) -> Result<(), PortError> {
        self.instance()?.destroy_revision_keys(ids, now)
    }

    fn rewrap_revision_keys(&self, keys: &[RewrappedKey]) -> Result<(), PortError> {
        self.instance()?.rewrap_revision_keys(keys)
    }
}

/// What the suite prepares and looks at; an operator does the rest with the host.
impl Administration for FreshInstances {
    fn add_health_authority(&self, _: &NewHealthAuthority) -> Result<HealthAuthorityRecord, AdminError> {
        Err(not_here())
    }

    fn update_health_authority(&self, _: u64, _: &HealthAuthorityUpdate) -> Result<HealthAuthorityRecord, AdminError> {
        Err(not_here())
    }

    fn health_authorities(&self) -> Result<Vec<HealthAuthorityRecord>, AdminError> {
        Err(not_here())
    }

    fn add_health_authority_key(&self, _: u64, _: &HealthAuthorityKeyRecord) -> Result<(), AdminError> {
        Err(not_here())
    }

    fn revoke_health_authority_key(&self, _: u64, _: &str, _: Timestamp) -> Result<(), AdminError> {
        Err(not_here())
    }

    fn reinstate_health_authority_key(&self, _: u64, _: &str) -> Result<(), AdminError> {
        Err(not_here())
    }

    fn activate_health_authority_key(&self, _: u64, _: &str, _: Timestamp) -> Result<(), AdminError> {
        Err(not_here())
    }

    fn apply_key_set_changes(&self, _: u64, _: &[HealthAuthorityKey], _: &Changes) -> Result<(), AdminError> {
        Err(not_here())
    }

    fn add_authorized_app(&self, _: &AuthorizedAppRecord) -> Result<(), AdminError> {
        Err(not_here())
    }

    fn update_authorized_app(&self, _: &AuthorizedAppRecord) -> Result<(), AdminError> {
        Err(not_here())
    }

    fn authorized_apps(&self) -> Result<Vec<AuthorizedAppRecord>, AdminError> {
        Err(not_here())
    }

    fn add_export_config(&self, new: &NewExportConfig) -> Result<ExportConfigRecord, AdminError> {
        let NewExportConfig {
            bucket,
            filename_root,
            period_seconds,
            output_region,
            input_regions,
            exclude_regions,
            include_travelers,
            only_non_travelers,
            max_records_override,
            signers,
            from_unix,
            thru_unix,
        } = new.clone();
        let connection = self.connection();
        let add_signer = |signer: &SignerRecord| -> u64 {
            let SignerRecord { signing_key, verification_key_id, verification_key_version } = signer;
            let sql = "INSERT INTO signature_info(signing_key, verification_key_id, verification_key_version)
                       VALUES (?1, ?2, ?3) RETURNING id";
            let values = params![signing_key, verification_key_id, verification_key_version];
            number(connection.query_row(sql, values, |row| row.get(0)).expect("added"))
        };
        let signature_info_ids: Vec<u64> = signers.iter().map(add_signer).collect();
        let sql = "INSERT INTO export_config(bucket, filename_root, period_seconds, output_region, input_regions,
                       exclude_regions, include_travelers, only_non_travelers, signature_info_ids, max_records_override,
                       from_at, thru_at) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12) RETURNING id";
        let json = |list: &[String]| serde_json::to_string(list).expect("JSON");
        let values = params![
            bucket,
            filename_root,
            i64::try_from(period_seconds).expect("small"),
            output_region,
            json(&input_regions),
            json(&exclude_regions),
            include_travelers,
            only_non_travelers,
            serde_json::to_string(&signature_info_ids).expect("JSON"),
            max_records_override,
            from_unix,
            thru_unix,
        ];
        let id = number(connection.query_row(sql, values, |row| row.get(0)).expect("added"));
        Ok(ExportConfigRecord {
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
            from_unix,
            thru_unix,
        })
    }

    fn export_configs(&self) -> Result<Vec<ExportConfigRecord>, AdminError> {
        Err(not_here())
    }

    fn end_export_config(&self, id: u64, thru: Timestamp) -> Result<(), AdminError> {
        let sql = "UPDATE export_config SET thru_at = ?2 WHERE id = ?1";
        let values = params![i64::try_from(id).expect("small"), thru.unix()];
        self.connection().execute(sql, values).expect("ended");
        Ok(())
    }

    fn signature_info_records(&self) -> Result<Vec<SignatureInfoRecord>, AdminError> {
        Err(not_here())
    }

    fn end_signature_info(&self, _: u64, _: Timestamp) -> Result<(), AdminError> {
        Err(not_here())
    }

    fn add_export_config_signer(
        &self,
        _: u64,
        _: &SignerRecord,
        _: Timestamp,
    ) -> Result<SignatureInfoRecord, AdminError> {
        Err(not_here())
    }

    fn end_export_config_signer(&self, _: u64, _: u64, _: Timestamp) -> Result<SignatureInfoRecord, AdminError> {
        Err(not_here())
    }

    fn export_batches(&self, config_id: Option<u64>, limit: u32) -> Result<Vec<ExportBatchRecord>, AdminError> {
        let connection = self.connection();
        let mut statement = connection
            .prepare(
                "SELECT id, config_id, start_at, end_at, state, lease_expires,
                     (SELECT count(*) FROM export_file WHERE batch_id = export_batch.id)
                 FROM export_batch WHERE ?1 IS NULL OR config_id = ?1 ORDER BY end_at DESC, id DESC LIMIT ?2",
            )
            .expect("prepared");
        let config_id = config_id.map(|id| i64::try_from(id).expect("small"));
        let batches = statement.query_map(params![config_id, limit], |row| {
            Ok(ExportBatchRecord {
                id: number(row.get(0)?),
                config_id: number(row.get(1)?),
                start_unix: row.get(2)?,
                end_unix: row.get(3)?,
                state: match row.get::<_, String>(4)?.as_str() {
                    "open" => BatchState::Open,
                    "leased" => BatchState::Leased,
                    "complete" => BatchState::Complete,
                    state => {
                        assert_eq!(state, "deleted");
                        BatchState::Deleted
                    }
                },
                lease_expires_unix: row.get(5)?,
                files: number(row.get(6)?),
            })
        });
        Ok(batches.expect("read").map(|batch| batch.expect("a batch")).collect())
    }

    fn export_files(&self, batch_id: u64) -> Result<Vec<ExportFileRecord>, AdminError> {
        let connection = self.connection();
        let sql = "SELECT id, bucket, filename, state FROM export_file WHERE batch_id = ?1 ORDER BY id";
        let mut statement = connection.prepare(sql).expect("prepared");
        let files = statement.query_map([i64::try_from(batch_id).expect("small")], |row| {
            Ok(ExportFileRecord {
                id: number(row.get(0)?),
                batch_id,
                bucket: row.get(1)?,
                name: row.get(2)?,
                state: match row.get::<_, String>(3)?.as_str() {
                    "live" => FileState::Live,
                    "expired" => FileState::Expired,
                    state => {
                        assert_eq!(state, "deleted");
                        FileState::Deleted
                    }
                },
            })
        });
        Ok(files.expect("read").map(|file| file.expect("a file")).collect())
    }

    fn status(&self) -> Result<StoreStatus, AdminError> {
        let connection = self.connection();
        let count = |sql| number(connection.query_row(sql, [], |row| row.get(0)).expect("counted"));
        Ok(StoreStatus {
            exposures: count("SELECT count(*) FROM exposure"),
            open_batches: count("SELECT count(*) FROM export_batch WHERE state IN ('open', 'leased')"),
            oldest_open_batch_end_unix: None,
        })
    }
}

fn number(column: i64) -> u64 {
    u64::try_from(column).expect("not negative")
}

fn not_here() -> AdminError {
    AdminError::Invalid("the store in Spin has no administration".to_owned())
}
