//! Administration: one request type for all commands, applied where the store is: in the running server (through its
//! private listener) or, when none runs, in the command itself.

mod apply;
pub mod client;
pub(crate) mod keys;
mod offline;
pub(crate) mod signers;

pub(crate) use apply::warn_about_bypasses;
pub use apply::{AdminFailure, apply};
pub use offline::{OfflineFailure, apply_offline};

use crate::jobs::Job;
use crate::storage::administration::{
    AuthorizedAppRecord, HealthAuthorityKeyRecord, HealthAuthorityUpdate, NewExportConfig, NewHealthAuthority,
    SignerRecord,
};
use serde::{Deserialize, Serialize};

/// Something an operator wants.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(tag = "command", content = "with", rename_all = "kebab-case", deny_unknown_fields)]
pub enum AdminRequest {
    /// Counts and warnings, for people and monitors.
    Status,
    /// The health authorities' validators and what they did.
    ListValidators,
    /// Start or end maintenance of the running server.
    SetMaintenance {
        /// Start it.
        on: bool,
    },
    /// Add a health authority.
    AddHealthAuthority(NewHealthAuthority),
    /// All health authorities with their keys.
    ListHealthAuthorities,
    /// Add a key to a health authority.
    AddHealthAuthorityKey {
        /// Its issuer.
        issuer: String,
        /// The key.
        key: HealthAuthorityKeyRecord,
    },
    /// Revoke a key of a health authority.
    RevokeHealthAuthorityKey {
        /// Its issuer.
        issuer: String,
        /// The key's version.
        version: String,
    },
    /// Take the end of a key of a health authority away.
    ReinstateHealthAuthorityKey {
        /// Its issuer.
        issuer: String,
        /// The key's version.
        version: String,
    },
    /// Have a key of a health authority that begins later begin now.
    ActivateHealthAuthorityKey {
        /// Its issuer.
        issuer: String,
        /// The key's version.
        version: String,
    },
    /// Change a health authority.
    UpdateHealthAuthority {
        /// Its issuer.
        issuer: String,
        /// What to change.
        update: HealthAuthorityUpdate,
    },
    /// Import the keys of one health authority now.
    ImportKeySet {
        /// Its issuer.
        issuer: String,
        /// Only say what would change.
        dry_run: bool,
    },
    /// Add an authorized app.
    AddApp {
        /// The app, without its health authorities.
        app: AuthorizedAppRecord,
        /// Issuers of the health authorities it may present certificates of.
        issuers: Vec<String>,
    },
    /// All authorized apps.
    ListApps,
    /// Add an export config.
    AddExportConfig(NewExportConfig),
    /// All export configs.
    ListExportConfigs,
    /// End an export config now.
    EndExportConfig {
        /// Its id.
        id: u64,
    },
    /// Have another key sign the files of an export config, and the present ones no more after a while.
    RotateExportConfigSigner {
        /// The config's id.
        id: u64,
        /// Who signs from now on. Its key is made if there is none of that name.
        signer: SignerRecord,
        /// How long the present signers go on beside it, in seconds; at most a year.
        overlap_seconds: u64,
        /// Only say what would be done.
        dry_run: bool,
    },
    /// All signers of all export configs.
    ListExportConfigSigners,
    /// Make a signing key.
    CreateSigningKey {
        /// Its name.
        name: String,
    },
    /// Make and destroy the revision keys that are due.
    RotateRevisionKeys {
        /// Make a key even if none is due.
        create_anyway: bool,
        /// Only say what would be done.
        dry_run: bool,
    },
    /// Make a new root key and wrap the revision keys under it.
    RotateRootKey {
        /// Only say what would be done.
        dry_run: bool,
    },
    /// Public halves of the signing keys, times of the revision keys, and ids of the root keys.
    ListKeys,
    /// The latest batches.
    ListBatches {
        /// At most so many.
        limit: u32,
    },
    /// What a publish would do, and why. Changes nothing.
    ExplainPublish {
        /// The body speaks v1alpha1.
        v1alpha1: bool,
        /// The body of the request.
        body: String,
    },
    /// Run a job now.
    RunJob {
        /// Which.
        job: Job,
    },
}
