//! Secret files: made with mode 0600, refused when others can read them.

use std::fmt;
use std::fs::{DirBuilder, OpenOptions};
use std::io::{ErrorKind, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// A key file cannot be used.
#[derive(Debug)]
pub struct KeyFileError {
    path: PathBuf,
    reason: String,
}

impl KeyFileError {
    pub(super) fn new(path: &Path, reason: impl Into<String>) -> Self {
        Self { path: path.to_owned(), reason: reason.into() }
    }

    fn io(path: &Path, error: &std::io::Error) -> Self {
        Self::new(path, format!("cannot be used: {error}"))
    }
}

impl fmt::Display for KeyFileError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "key file {} {}", self.path.display(), self.reason)
    }
}

impl std::error::Error for KeyFileError {}

/// Makes the folder of keys and the two inside it, with mode 0700.
pub(super) fn make_folder(folder: &Path) -> Result<(), KeyFileError> {
    for folder in [folder.to_owned(), folder.join("signing"), folder.join("revision")] {
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&folder)
            .map_err(|error| KeyFileError::io(&folder, &error))?;
    }
    Ok(())
}

/// Names (without extension) and paths of the files with that extension, sorted.
pub(super) fn list(folder: &Path, extension: &str) -> Result<Vec<(String, PathBuf)>, KeyFileError> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(|error| KeyFileError::io(folder, &error))? {
        let path = entry.map_err(|error| KeyFileError::io(folder, &error))?.path();
        if path.extension().is_some_and(|found| found == extension)
            && let Some(name) = path.file_stem().and_then(|name| name.to_str())
        {
            files.push((name.to_owned(), path));
        }
    }
    files.sort();
    Ok(files)
}

/// Reads a secret file.
pub(super) fn read_secret(path: &Path) -> Result<String, KeyFileError> {
    let metadata = std::fs::metadata(path).map_err(|error| KeyFileError::io(path, &error))?;
    if metadata.mode() & 0o077 != 0 {
        return Err(KeyFileError::new(
            path,
            format!("can be used by others (mode {:o}); change that with `chmod 600`", metadata.mode() & 0o777),
        ));
    }
    std::fs::read_to_string(path).map_err(|error| KeyFileError::io(path, &error))
}

/// Writes a new secret file. One that exists is never overwritten.
pub(super) fn write_secret(path: &Path, content: &str) -> Result<(), KeyFileError> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path).map_err(|error| {
        if error.kind() == ErrorKind::AlreadyExists {
            KeyFileError::new(path, "exists already, and keys are never overwritten")
        } else {
            KeyFileError::io(path, &error)
        }
    })?;
    let written = file.write_all(content.as_bytes()).and_then(|()| file.sync_all());
    written.map_err(|error| KeyFileError::io(path, &error))
}
