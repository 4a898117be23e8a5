//! How the validators do, for operators.

use super::counts::{DecisionCounts, ValidatorCounts};
use super::revocation::RevocationStatus;
use super::{Validators, check::CheckedValidator};
use serde::Serialize;

/// Of all validators.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ValidatorsStatus {
    /// Each validator, by name.
    pub validators: Vec<ValidatorStatus>,
    /// Each app that has some, by name.
    pub apps: Vec<AppStatus>,
    /// The list of revoked attestation certificates, if a validator needs it.
    pub revocation: Option<RevocationStatus>,
}

/// Of one validator.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ValidatorStatus {
    /// Its name in the configuration.
    pub name: String,
    /// Its name and version, by its own account.
    pub identity: String,
    /// The first 16 hexadecimal digits of the SHA-256 of the file in use.
    pub digest: String,
    /// The file; `None`: built in.
    pub file: Option<String>,
    /// Why the file as it is now is not in use, but the one before.
    pub error: Option<String>,
    /// Since the start of the server.
    pub counts: ValidatorCounts,
}

/// Of one app.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct AppStatus {
    /// The app.
    pub app: String,
    /// Its validators, in their order.
    pub validators: Vec<String>,
    /// Those that only observe.
    pub observe: Vec<String>,
    /// Since the start of the server.
    pub decisions: DecisionCounts,
}

impl Validators {
    /// How they do.
    pub fn status(&self) -> ValidatorsStatus {
        let validators = self.validators.iter().map(|(name, (validator, source))| {
            let loaded = validator.current.read().clone();
            let CheckedValidator { identity, digest, .. } = &loaded.checked;
            ValidatorStatus {
                name: name.clone(),
                identity: identity.clone(),
                digest: digest.clone(),
                file: source.file.as_ref().map(|file| file.display().to_string()),
                error: source.error(),
                counts: validator.counters.counts(),
            }
        });
        let names = |validators: &[std::sync::Arc<super::chain::Validator>]| {
            validators.iter().map(|validator| validator.name().to_owned()).collect()
        };
        let mut apps: Vec<AppStatus> = self
            .chains
            .values()
            .map(|chain| AppStatus {
                app: chain.app.clone(),
                validators: names(&chain.validators),
                observe: names(&chain.observe),
                decisions: chain.counters.counts(),
            })
            .collect();
        apps.sort_by(|a, b| a.app.cmp(&b.app));
        ValidatorsStatus {
            validators: validators.collect(),
            apps,
            revocation: self.revocation.as_ref().map(|list| list.status(self.clock.now())),
        }
    }
}
