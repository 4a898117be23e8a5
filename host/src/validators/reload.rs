//! Component files that change while the server runs: compiled aside, checked, and taken over. Calls that run end with
//! the component they began with.

use super::chain::Validator;
use super::check::{self, CheckedValidator, Loaded};
use super::engine::ValidatorEngine;
use super::failure::ValidatorError;
use parking_lot::Mutex;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Weak};
use std::time::{Duration, SystemTime};

/// How often files are looked at.
const EVERY: Duration = Duration::from_secs(2);

/// Where a component comes from.
pub(super) struct Source {
    /// The file; `None`: it is built in and never changes.
    pub(super) file: Option<PathBuf>,
    /// Held while compiling, so that two that look at the same time do not both replace.
    seen: Mutex<FileState>,
    /// Why the file as it was seen is not in use.
    error: Mutex<Option<String>>,
}

/// What tells one file from another without reading it. A file that is not there differs from any.
#[derive(Clone, PartialEq, Eq, Default)]
struct FileState(Option<(u64, u64, Option<SystemTime>)>);

/// What came of a changed file.
#[derive(Debug)]
pub struct Replacement {
    /// Name of the validator.
    pub validator: String,
    /// The file that is in use now, or why the old one still is.
    pub outcome: Result<CheckedValidator, ValidatorError>,
}

impl Source {
    /// A file of the operator's, which is read now.
    pub(super) fn read_file(file: &Path) -> Result<(Self, Vec<u8>), ValidatorError> {
        // The state first: a change between the two is then seen as one.
        let state = file_state(file);
        let bytes = read(file)?;
        Ok((Self { file: Some(file.to_owned()), seen: Mutex::new(state), error: Mutex::default() }, bytes))
    }

    /// What is in the server's binary.
    pub(super) fn built_in() -> Self {
        Self { file: None, seen: Mutex::default(), error: Mutex::default() }
    }

    /// Why the file as it is now is not in use.
    pub(super) fn error(&self) -> Option<String> {
        self.error.lock().clone()
    }

    /// Looks at the file, and loads it if it changed.
    pub(super) fn look(&self, engine: &ValidatorEngine, validator: &Validator) -> Option<Replacement> {
        let file = self.file.as_ref()?;
        let mut seen = self.seen.lock();
        let state = file_state(file);
        if state == *seen {
            return None;
        }
        *seen = state;
        let loaded = read(file).and_then(|bytes| check::load(engine, &validator.grants, &bytes));
        let outcome = loaded.map(|loaded| replace(validator, loaded));
        *self.error.lock() = outcome.as_ref().err().map(ToString::to_string);
        if let Err(error) = &outcome {
            let in_use = validator.current.read().checked.digest.clone();
            let validator = validator.name();
            tracing::error!(validator, file = %file.display(), %error, in_use, "a changed validator is not used");
        }
        Some(Replacement { validator: validator.name().to_owned(), outcome })
    }
}

fn replace(validator: &Validator, loaded: Loaded) -> CheckedValidator {
    let checked = loaded.checked.clone();
    let CheckedValidator { identity, digest, imports: _, size: _, compile: _, identity_usage: _ } = &checked;
    let old = std::mem::replace(&mut *validator.current.write(), Arc::new(loaded));
    let replaced = &old.checked.digest;
    tracing::info!(validator = validator.name(), identity, digest, replaced, "replaced a validator");
    checked
}

fn read(file: &Path) -> Result<Vec<u8>, ValidatorError> {
    std::fs::read(file).map_err(|error| ValidatorError::new(format!("{} cannot be read: {error}", file.display())))
}

fn file_state(file: &Path) -> FileState {
    let metadata = std::fs::metadata(file);
    FileState(metadata.ok().map(|found| (found.len(), found.ino(), found.modified().ok())))
}

/// Looks at the files until `validators` are gone.
pub(super) fn watch(validators: Weak<super::Validators>) -> std::io::Result<()> {
    let look = move || {
        loop {
            std::thread::sleep(EVERY);
            let Some(validators) = validators.upgrade() else { return };
            validators.reload();
        }
    };
    std::thread::Builder::new().name("validator files".to_owned()).spawn(look).map(drop)
}
