//! Who signs the files of an export config, as it changes.

use super::super::administration::{
    AdminError, ExportConfigRecord, SignatureInfoRecord, SignerRecord, check_last_signer, check_new_signer,
};
use super::admin::{id_of, json, load_export_configs, load_signature_infos, signature_info_id};
use super::failure::id_to_column;
use rusqlite::Connection;
use tocsin_domain::interval::Timestamp;

/// Adds a signer to a config, without an end.
pub(super) fn add(
    connection: &Connection,
    config_id: u64,
    signer: &SignerRecord,
    now: Timestamp,
) -> Result<SignatureInfoRecord, AdminError> {
    let (_, infos) = config_with_signers(connection, config_id)?;
    check_new_signer(signer, &infos, now)?;
    let id = signature_info_id(connection, signer)?;
    // An older info of the same signer, with an end, would have the file signed twice by one key.
    let others = infos.iter().filter(|info| info.signer != *signer).map(|info| info.id);
    write_ids(connection, config_id, &others.chain([id]).collect::<Vec<_>>())?;
    Ok(SignatureInfoRecord { id, signer: signer.clone(), thru_unix: None })
}

/// Ends a signer of a config at `thru`, or leaves it its earlier end.
pub(super) fn end(
    connection: &Connection,
    config_id: u64,
    id: u64,
    thru: Timestamp,
) -> Result<SignatureInfoRecord, AdminError> {
    let (configs, infos) = config_with_signers(connection, config_id)?;
    let Some(info) = infos.iter().find(|info| info.id == id) else {
        return Err(AdminError::NotFound(format!("export config {config_id} has no signature info {id}")));
    };
    if info.thru_unix.is_some_and(|end| end <= thru.unix()) {
        return Ok(info.clone());
    }
    check_last_signer(info, &infos, thru)?;
    let is_shared = configs.iter().any(|other| other.id != config_id && other.signature_info_ids.contains(&id));
    let id = if is_shared {
        // The other configs keep theirs.
        let SignerRecord { signing_key, verification_key_id, verification_key_version } = &info.signer;
        let copy = connection.query_row(
            "INSERT INTO signature_info(signing_key, verification_key_id, verification_key_version, thru_at)
             VALUES (?1, ?2, ?3, ?4) RETURNING id",
            (signing_key, verification_key_id, verification_key_version, thru.unix()),
            |row| id_of(row, 0),
        )?;
        let ids: Vec<u64> = infos.iter().map(|info| if info.id == id { copy } else { info.id }).collect();
        write_ids(connection, config_id, &ids)?;
        copy
    } else {
        let end = "UPDATE signature_info SET thru_at = ?2 WHERE id = ?1";
        connection.execute(end, (id_to_column(id), thru.unix()))?;
        id
    };
    Ok(SignatureInfoRecord { id, signer: info.signer.clone(), thru_unix: Some(thru.unix()) })
}

/// All configs, and the signature infos of one of them in its order.
fn config_with_signers(
    connection: &Connection,
    config_id: u64,
) -> Result<(Vec<ExportConfigRecord>, Vec<SignatureInfoRecord>), AdminError> {
    let configs = load_export_configs(connection)?;
    let Some(config) = configs.iter().find(|config| config.id == config_id) else {
        return Err(AdminError::NotFound(format!("there is no export config {config_id}")));
    };
    let all = load_signature_infos(connection)?;
    let of_id = |id: &u64| all.iter().find(|info| info.id == *id).cloned();
    let infos = config.signature_info_ids.iter().filter_map(of_id).collect();
    Ok((configs, infos))
}

fn write_ids(connection: &Connection, config_id: u64, ids: &[u64]) -> rusqlite::Result<()> {
    let write = "UPDATE export_config SET signature_info_ids = ?2 WHERE id = ?1";
    connection.execute(write, (id_to_column(config_id), json(ids))).map(drop)
}
