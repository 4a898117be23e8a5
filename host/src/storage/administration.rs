//! What an operator does with a store. Not a port: no component can do any of it.
//!
//! The records are also the JSON of `tocsin ... --json` and of the administration listener, so times are unix seconds
//! and say so in their names.

use serde::{Deserialize, Serialize};
use std::fmt;
use tocsin_domain::health_authority::HealthAuthorityKey;
use tocsin_domain::interval::Timestamp;
use tocsin_domain::ports::PortError;
use tocsin_domain::verification::key_set::Changes;

/// Why the operator's wish was not done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AdminError {
    /// There is one of that name already.
    Duplicate(String),
    /// There is none of that name.
    NotFound(String),
    /// The wish itself makes no sense; the text says why.
    Invalid(String),
    /// The store failed.
    Store(PortError),
}

impl fmt::Display for AdminError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Duplicate(text) | Self::NotFound(text) | Self::Invalid(text) => f.write_str(text),
            Self::Store(error) => write!(f, "the store failed: {error}"),
        }
    }
}

impl std::error::Error for AdminError {}

/// A health authority to add.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NewHealthAuthority {
    /// `iss` of its certificates; not empty, unique.
    pub issuer: String,
    /// `aud` of its certificates; not empty.
    pub audience: String,
    /// For people; not empty.
    pub name: String,
    /// Where it publishes its keys; blank counts as none.
    #[serde(default)]
    pub jwks_uri: Option<String>,
    /// Whether an import may leave it without a valid key.
    #[serde(default)]
    pub allow_empty_key_set: bool,
    /// Whether it may read its statistics.
    #[serde(default = "enabled")]
    pub statistics_enabled: bool,
}

fn enabled() -> bool {
    true
}

/// What to change of a health authority; `None` leaves things as they are.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct HealthAuthorityUpdate {
    /// Where it publishes its keys; blank: nowhere, keys are added by hand.
    pub jwks_uri: Option<String>,
    /// Whether an import may leave it without a valid key.
    pub allow_empty_key_set: Option<bool>,
    /// Whether it may read its statistics.
    pub statistics_enabled: Option<bool>,
}

/// A health authority with its keys.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HealthAuthorityRecord {
    /// The store's id.
    pub id: u64,
    /// `iss` of its certificates.
    pub issuer: String,
    /// `aud` of its certificates.
    pub audience: String,
    /// For people.
    pub name: String,
    /// Where it publishes its keys; `None`: they are added by hand.
    #[serde(default)]
    pub jwks_uri: Option<String>,
    /// Whether an import may leave it without a valid key.
    #[serde(default)]
    pub allow_empty_key_set: bool,
    /// Whether it may read its statistics.
    #[serde(default = "enabled")]
    pub statistics_enabled: bool,
    /// All its keys, in the order they were added.
    pub keys: Vec<HealthAuthorityKeyRecord>,
}

/// A public key of a health authority.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HealthAuthorityKeyRecord {
    /// `kid` of the certificates it signs; not empty, unique per health authority.
    pub version: String,
    /// Valid strictly after this time.
    pub from_unix: i64,
    /// Valid strictly before this time; `None`: no end.
    pub thru_unix: Option<i64>,
    /// The uncompressed P-256 point: 65 bytes, the first 4. Hexadecimal in JSON.
    #[serde(with = "hexadecimal")]
    pub public_key: Vec<u8>,
}

/// An authorized app.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AuthorizedAppRecord {
    /// The name the app sends; not empty, stored in lower case, unique.
    pub name: String,
    /// Regions its keys belong to; at least one, none empty.
    pub regions: Vec<String>,
    /// Ids of the health authorities whose certificates it may present; each exists.
    pub health_authorities: Vec<u64>,
    /// Accept keys without a valid verification certificate. For tests only.
    pub bypass_verification: bool,
    /// Accept revisions without a revision token. For tests only.
    pub bypass_revision_token: bool,
}

/// A signer of export files.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SignerRecord {
    /// Name of the private key; not empty.
    pub signing_key: String,
    /// Verification key id; letters, digits and `_`, may be empty.
    pub verification_key_id: String,
    /// Verification key version; letters, digits and `_`, may be empty.
    pub verification_key_version: String,
}

/// A signature info as stored.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SignatureInfoRecord {
    /// The store's id.
    pub id: u64,
    /// Who signs.
    pub signer: SignerRecord,
    /// Signs no more after this time; `None`: no end.
    pub thru_unix: Option<i64>,
}

/// An export config to add.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NewExportConfig {
    /// Name of the blob store's bucket; not empty.
    pub bucket: String,
    /// Prefix of all file names; not empty, unique together with the bucket without regard to case.
    pub filename_root: String,
    /// Length of a batch in seconds: 1 to 86,400, divides a day.
    pub period_seconds: u64,
    /// Region written into the files.
    pub output_region: String,
    /// Regions whose keys are selected; empty: the output region.
    pub input_regions: Vec<String>,
    /// Regions whose keys are left out.
    pub exclude_regions: Vec<String>,
    /// Also select every traveler's keys, of any region. Not together with `only_non_travelers`.
    pub include_travelers: bool,
    /// Select only keys of people who did not travel.
    pub only_non_travelers: bool,
    /// Keys per file, instead of the server's setting; not zero.
    pub max_records_override: Option<u32>,
    /// Who signs; at most ten (phones may ignore more). Signers the store knows already keep their ids.
    pub signers: Vec<SignerRecord>,
    /// Active strictly after this time.
    pub from_unix: i64,
    /// Active strictly before this time; `None`: no end.
    pub thru_unix: Option<i64>,
}

/// An export config as stored.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ExportConfigRecord {
    /// The store's id.
    pub id: u64,
    /// Name of the blob store's bucket.
    pub bucket: String,
    /// Prefix of all file names.
    pub filename_root: String,
    /// Length of a batch in seconds.
    pub period_seconds: u64,
    /// Region written into the files.
    pub output_region: String,
    /// Regions whose keys are selected; empty: the output region.
    pub input_regions: Vec<String>,
    /// Regions whose keys are left out.
    pub exclude_regions: Vec<String>,
    /// Also select every traveler's keys.
    pub include_travelers: bool,
    /// Select only keys of people who did not travel.
    pub only_non_travelers: bool,
    /// Keys per file, instead of the server's setting.
    pub max_records_override: Option<u32>,
    /// Who signs.
    pub signature_info_ids: Vec<u64>,
    /// Active strictly after this time.
    pub from_unix: i64,
    /// Active strictly before this time; `None`: no end.
    pub thru_unix: Option<i64>,
}

/// State of an export batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BatchState {
    /// To be worked on.
    Open,
    /// A worker has it.
    Leased,
    /// Its files are out.
    Complete,
    /// Its files are gone.
    Deleted,
}

/// An export batch as stored.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ExportBatchRecord {
    /// The store's id.
    pub id: u64,
    /// Its config.
    pub config_id: u64,
    /// First second it covers.
    pub start_unix: i64,
    /// First second it covers no more.
    pub end_unix: i64,
    /// Where it stands.
    pub state: BatchState,
    /// When the lease of a leased batch expires.
    pub lease_expires_unix: Option<i64>,
    /// Number of its files, deleted ones included.
    pub files: u64,
}

/// State of an export file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FileState {
    /// Listed in the index.
    Live,
    /// To be deleted.
    Expired,
    /// Deleted.
    Deleted,
}

/// An export file as stored.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ExportFileRecord {
    /// The store's id.
    pub id: u64,
    /// Its batch.
    pub batch_id: u64,
    /// Its bucket.
    pub bucket: String,
    /// Its name.
    pub name: String,
    /// Where it stands.
    pub state: FileState,
}

/// What `/health` tells of a store.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StoreStatus {
    /// Exposures stored, padding included.
    pub exposures: u64,
    /// Batches that are not complete.
    pub open_batches: u64,
    /// Earliest end of those.
    pub oldest_open_batch_end_unix: Option<i64>,
}

/// Manages what the operator configures in the store. Every method blocks.
pub trait Administration {
    /// Adds a health authority.
    fn add_health_authority(&self, new: &NewHealthAuthority) -> Result<HealthAuthorityRecord, AdminError>;
    /// Changes a health authority.
    fn update_health_authority(
        &self,
        id: u64,
        update: &HealthAuthorityUpdate,
    ) -> Result<HealthAuthorityRecord, AdminError>;
    /// All health authorities, by id.
    fn health_authorities(&self) -> Result<Vec<HealthAuthorityRecord>, AdminError>;
    /// Adds a key to a health authority.
    fn add_health_authority_key(&self, id: u64, key: &HealthAuthorityKeyRecord) -> Result<(), AdminError>;
    /// Revokes a key: it ends `now`, or at its start if that is later. A key that has ended keeps its end.
    fn revoke_health_authority_key(&self, id: u64, version: &str, now: Timestamp) -> Result<(), AdminError>;
    /// Takes the end of a key away, so that it is valid again from its start on.
    fn reinstate_health_authority_key(&self, id: u64, version: &str) -> Result<(), AdminError>;
    /// Makes a key that begins later valid at `now`. One that has begun stays as it is; one that was revoked is refused.
    fn activate_health_authority_key(&self, id: u64, version: &str, now: Timestamp) -> Result<(), AdminError>;
    /// Makes all of `changes`, which were decided on the keys `stored` (all of them, in the order they were added), or
    /// none: [`PortError::Conflict`] when the keys are others by now. The changes count for publishes at once.
    fn apply_key_set_changes(
        &self,
        id: u64,
        stored: &[HealthAuthorityKey],
        changes: &Changes,
    ) -> Result<(), AdminError>;
    /// Adds an authorized app.
    fn add_authorized_app(&self, app: &AuthorizedAppRecord) -> Result<(), AdminError>;
    /// Replaces the authorized app of that name.
    fn update_authorized_app(&self, app: &AuthorizedAppRecord) -> Result<(), AdminError>;
    /// All authorized apps, by name.
    fn authorized_apps(&self) -> Result<Vec<AuthorizedAppRecord>, AdminError>;
    /// Adds an export config and the signature infos it needs.
    fn add_export_config(&self, new: &NewExportConfig) -> Result<ExportConfigRecord, AdminError>;
    /// All export configs, by id.
    fn export_configs(&self) -> Result<Vec<ExportConfigRecord>, AdminError>;
    /// Ends an export config at `thru`. Batches that exist are still worked.
    fn end_export_config(&self, id: u64, thru: Timestamp) -> Result<(), AdminError>;
    /// All signature infos, by id.
    fn signature_info_records(&self) -> Result<Vec<SignatureInfoRecord>, AdminError>;
    /// Ends a signature info at `thru`.
    fn end_signature_info(&self, id: u64, thru: Timestamp) -> Result<(), AdminError>;
    /// Has a signer sign the files of an export config that are made from now on, also those of batches that exist. One
    /// that signs them already, or was to end, has no end afterwards.
    fn add_export_config_signer(
        &self,
        id: u64,
        signer: &SignerRecord,
        now: Timestamp,
    ) -> Result<SignatureInfoRecord, AdminError>;
    /// Ends a signer of an export config at `thru`; an earlier end stays. Other configs keep it: what is returned may
    /// therefore have an id of its own. The last signer of a config cannot end.
    fn end_export_config_signer(
        &self,
        id: u64,
        signature_info_id: u64,
        thru: Timestamp,
    ) -> Result<SignatureInfoRecord, AdminError>;
    /// At most `limit` batches, of one config or of all, latest end first.
    fn export_batches(&self, config_id: Option<u64>, limit: u32) -> Result<Vec<ExportBatchRecord>, AdminError>;
    /// The files of a batch, in the order they were registered.
    fn export_files(&self, batch_id: u64) -> Result<Vec<ExportFileRecord>, AdminError>;
    /// Counts for `/health`; fails when the store can no longer write.
    fn status(&self) -> Result<StoreStatus, AdminError>;
}

/// A health authority's names must all be there.
pub(crate) fn check_health_authority(new: &NewHealthAuthority) -> Result<(), AdminError> {
    let NewHealthAuthority { issuer, audience, name, jwks_uri: _, allow_empty_key_set: _, statistics_enabled: _ } = new;
    for (value, what) in [(issuer, "issuer"), (audience, "audience"), (name, "name")] {
        require(!value.is_empty(), || format!("the {what} of a health authority cannot be empty"))?;
    }
    Ok(())
}

/// A URI without the blanks around it; `None` if there is nothing else.
pub(crate) fn trimmed_uri(uri: &str) -> Option<String> {
    Some(uri.trim().to_owned()).filter(|uri| !uri.is_empty())
}

/// Version, times and point of a key.
pub(crate) fn check_health_authority_key(key: &HealthAuthorityKeyRecord) -> Result<(), AdminError> {
    let HealthAuthorityKeyRecord { version, from_unix, thru_unix, public_key } = key;
    require(!version.is_empty(), || "the version of a health authority key cannot be empty".to_owned())?;
    require(thru_unix.is_none_or(|thru| thru >= *from_unix), || "the key ends before it starts".to_owned())?;
    require(public_key.len() == 65 && public_key[0] == 4, || {
        "the public key is not an uncompressed P-256 point (65 bytes, the first of them 4)".to_owned()
    })
}

/// Name and regions of an app. That its health authorities exist is for the store to check.
pub(crate) fn check_authorized_app(app: &AuthorizedAppRecord) -> Result<(), AdminError> {
    require(!app.name.is_empty(), || "the name of an authorized app cannot be empty".to_owned())?;
    require(!app.regions.is_empty() && app.regions.iter().all(|region| !region.is_empty()), || {
        "an authorized app needs at least one region, and no region can be empty".to_owned()
    })
}

/// The rules of the reference's administration console, plus: no empty names.
pub(crate) fn check_export_config(new: &NewExportConfig) -> Result<(), AdminError> {
    const DAY_SECONDS: u64 = 86_400;
    let named = !new.bucket.is_empty() && !new.filename_root.is_empty() && !new.output_region.is_empty();
    require(named, || "bucket, filename root and output region cannot be empty".to_owned())?;
    require(new.period_seconds >= 1, || "the period must be at least 1 second".to_owned())?;
    require(new.period_seconds <= DAY_SECONDS, || "the period can be at most a day".to_owned())?;
    require(DAY_SECONDS.is_multiple_of(new.period_seconds), || {
        format!("the period must divide a day evenly, {} seconds do not", new.period_seconds)
    })?;
    require(!(new.include_travelers && new.only_non_travelers), || {
        "include_travelers and only_non_travelers cannot both be set".to_owned()
    })?;
    require(new.max_records_override != Some(0), || "max_records_override cannot be 0".to_owned())?;
    require(new.thru_unix.is_none_or(|thru| thru > new.from_unix), || "the config ends before it starts".to_owned())?;
    require(new.signers.len() <= MAX_SIGNERS, || "at most ten signers: phones may ignore more".to_owned())?;
    new.signers.iter().try_for_each(check_signer)
}

/// Signers of a file.
const MAX_SIGNERS: usize = 10;

/// Whether a signer can be added to those of a config.
pub(crate) fn check_new_signer(
    new: &SignerRecord,
    signers: &[SignatureInfoRecord],
    now: Timestamp,
) -> Result<(), AdminError> {
    check_signer(new)?;
    let signs = |info: &&SignatureInfoRecord| info.thru_unix.is_none_or(|thru| thru >= now.unix());
    let others: Vec<&SignerRecord> =
        signers.iter().filter(signs).map(|info| &info.signer).filter(|signer| *signer != new).collect();
    let SignerRecord { signing_key: _, verification_key_id: id, verification_key_version: version } = new;
    let names_same =
        |other: &&&SignerRecord| other.verification_key_id == *id && other.verification_key_version == *version;
    if let Some(same) = others.iter().find(names_same) {
        return Err(AdminError::Invalid(format!(
            "the key `{}` signs as verification key id `{id}`, version `{version}` already, and phones could not tell the \
             two apart: choose another version",
            same.signing_key
        )));
    }
    require(others.len() < MAX_SIGNERS, || "at most ten signers: phones may ignore more".to_owned())
}

/// Whether a signer of a config can end at `thru`: another must go on.
pub(crate) fn check_last_signer(
    ending: &SignatureInfoRecord,
    signers: &[SignatureInfoRecord],
    thru: Timestamp,
) -> Result<(), AdminError> {
    let goes_on = |other: &SignatureInfoRecord| {
        other.id != ending.id && other.thru_unix.is_none_or(|other_thru| other_thru > thru.unix())
    };
    require(signers.iter().any(goes_on), || {
        "files would not be signed any more, and no phone would take them: add another signer first".to_owned()
    })
}

fn check_signer(signer: &SignerRecord) -> Result<(), AdminError> {
    let SignerRecord { signing_key, verification_key_id, verification_key_version } = signer;
    require(!signing_key.is_empty(), || "a signer needs the name of a signing key".to_owned())?;
    for text in [verification_key_id, verification_key_version] {
        require(text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_'), || {
            format!("`{text}`: verification key id and version can hold letters, digits and _ only")
        })?;
    }
    Ok(())
}

fn require(holds: bool, otherwise: impl FnOnce() -> String) -> Result<(), AdminError> {
    if holds { Ok(()) } else { Err(AdminError::Invalid(otherwise())) }
}

/// Bytes as hexadecimal text.
mod hexadecimal {
    use serde::{Deserialize, Deserializer, Serializer, de::Error};
    use std::fmt::Write;

    pub(super) fn serialize<S: Serializer>(bytes: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
        let mut text = String::with_capacity(bytes.len() * 2);
        for byte in bytes {
            // Unwrap safety: writing to a String does not fail.
            write!(text, "{byte:02x}").unwrap();
        }
        serializer.serialize_str(&text)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<u8>, D::Error> {
        let text = String::deserialize(deserializer)?;
        let digits: Option<Vec<u32>> = text.chars().map(|digit| digit.to_digit(16)).collect();
        match digits.map(|digits| digits.chunks_exact(2).map(|pair| pair[0] * 16 + pair[1]).collect::<Vec<_>>()) {
            Some(bytes) if text.len() % 2 == 0 => {
                bytes.into_iter().map(|byte| u8::try_from(byte).map_err(D::Error::custom)).collect()
            }
            Some(_) | None => Err(D::Error::custom("expected an even number of hexadecimal digits")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn public_key_is_hexadecimal_in_json() {
        let key = HealthAuthorityKeyRecord {
            version: "v1".to_owned(),
            from_unix: 5,
            thru_unix: None,
            public_key: vec![4, 0, 255],
        };
        let json = serde_json::to_string(&key).expect("serializes");
        assert_eq!(json, r#"{"version":"v1","from_unix":5,"thru_unix":null,"public_key":"0400ff"}"#);
        assert_eq!(serde_json::from_str::<HealthAuthorityKeyRecord>(&json).expect("parses"), key);
        for bad in ["040", "0g", "é0"] {
            assert!(serde_json::from_str::<HealthAuthorityKeyRecord>(&json.replace("0400ff", bad)).is_err(), "{bad}");
        }
    }
}
