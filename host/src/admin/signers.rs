//! Signers of export configs, and their rotation.

use super::AdminFailure;
use crate::services::Services;
use crate::storage::administration::{AdminError, Administration, SignatureInfoRecord, SignerRecord, check_new_signer};
use serde::{Deserialize, Serialize};

/// Overlaps beyond a year are typing errors.
const MAX_OVERLAP_SECONDS: u64 = 366 * 86_400;

/// A signer of an export config.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct ConfigSigner {
    pub(crate) config_id: u64,
    pub(crate) filename_root: String,
    pub(crate) signature_info: SignatureInfoRecord,
    /// It signs the files made now.
    pub(crate) active: bool,
}

/// What a rotation did or, in a dry run, would do.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct SignerRotation {
    pub(crate) id: u64,
    pub(crate) dry_run: bool,
    /// Who signs from now on.
    pub(crate) signer: SignerRecord,
    /// Its key was made.
    pub(crate) key_created: bool,
    /// The public half, to register with the phone platforms; `None`: the key is not made yet.
    pub(crate) public_key_pem: Option<String>,
    /// The signers that were there, with their ends.
    pub(crate) ended: Vec<SignatureInfoRecord>,
}

/// All signers of all configs, ended ones too.
pub(super) fn list(services: &Services) -> Result<Vec<ConfigSigner>, AdminFailure> {
    let now = services.clock.now().unix();
    let infos = services.store.signature_info_records()?;
    let mut signers = Vec::new();
    for config in services.store.export_configs()? {
        for info in infos.iter().filter(|info| config.signature_info_ids.contains(&info.id)) {
            signers.push(ConfigSigner {
                config_id: config.id,
                filename_root: config.filename_root.clone(),
                signature_info: info.clone(),
                active: info.thru_unix.is_none_or(|thru| thru >= now),
            });
        }
    }
    Ok(signers)
}

/// Adds a signer to a config, and ends the others after the overlap. Cut off at any point it leaves a config that is signed,
/// and can be repeated.
pub(super) fn rotate(
    services: &Services,
    id: u64,
    signer: &SignerRecord,
    overlap_seconds: u64,
    dry_run: bool,
) -> Result<SignerRotation, AdminFailure> {
    let now = services.clock.now();
    let overlap = i64::try_from(overlap_seconds).ok().filter(|_| overlap_seconds <= MAX_OVERLAP_SECONDS);
    let Some(overlap) = overlap else {
        return Err(AdminError::Invalid("the overlap can be at most a year".to_owned()).into());
    };
    let until = now.plus_seconds(overlap);
    let config_signers = list(services)?.into_iter().filter(|signer| signer.config_id == id);
    let present: Vec<SignatureInfoRecord> = config_signers.map(|signer| signer.signature_info).collect();
    if !services.store.export_configs()?.iter().any(|config| config.id == id) {
        return Err(AdminError::NotFound(format!("there is no export config {id}")).into());
    }
    check_new_signer(signer, &present, now)?;
    services.keyring.check_signing_key_name(&signer.signing_key)?;
    let existing = services.keyring.public_keys().into_iter().find(|key| key.name == signer.signing_key);
    let key_created = existing.is_none();
    let ending =
        present.iter().filter(|info| info.signer != *signer && info.thru_unix.is_none_or(|thru| thru >= now.unix()));
    let (public_key, ended) = if dry_run {
        let end = |info: &SignatureInfoRecord| SignatureInfoRecord {
            thru_unix: Some(info.thru_unix.map_or(until.unix(), |thru| thru.min(until.unix()))),
            ..info.clone()
        };
        (existing, ending.map(end).collect())
    } else {
        let public_key = match existing {
            Some(key) => key,
            None => services.keyring.create_signing_key(&signer.signing_key)?,
        };
        // First, so that there is no time without a signer.
        services.store.add_export_config_signer(id, signer, now)?;
        let end = |info: &SignatureInfoRecord| services.store.end_export_config_signer(id, info.id, until);
        let ended = ending.map(end).collect::<Result<_, _>>()?;
        let signing_key = &signer.signing_key;
        tracing::info!(config_id = id, signing_key, previous_until = until.unix(), "rotated a signer of export files");
        (Some(public_key), ended)
    };
    Ok(SignerRotation {
        id,
        dry_run,
        signer: signer.clone(),
        key_created,
        public_key_pem: public_key.map(|key| key.public_key_pem),
        ended,
    })
}
