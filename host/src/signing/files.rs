//! Secret files: made with mode 0600, refused when others can read them.

use std::fmt;
use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{ErrorKind, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;
use tocsin_domain::interval::Timestamp;

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
    for folder in [folder.to_owned(), folder.join("signing"), folder.join("root")] {
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
pub(crate) fn read_secret(path: &Path) -> Result<String, KeyFileError> {
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
    // The name too must survive a power cut: what this key wraps will.
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let named = written.and_then(|()| File::open(folder)).and_then(|folder| folder.sync_all());
    named.map_err(|error| KeyFileError::io(path, &error))
}

/// The number that names a file.
pub(super) fn number(name: &str, path: &Path) -> Result<u64, KeyFileError> {
    // The store keeps 63 bits.
    let number = name.parse().ok().filter(|number| (1..=i64::MAX.unsigned_abs() / 2).contains(number));
    number.ok_or_else(|| KeyFileError::new(path, "must be named by a number, such as 1.key"))
}

/// Reads 256 bits of base64.
pub(super) fn read_aes_key(path: &Path) -> Result<[u8; 32], KeyFileError> {
    let bytes = tocsin_domain::base64::decode(read_secret(path)?.trim()).unwrap_or_default();
    bytes.try_into().map_err(|_| {
        KeyFileError::new(
            path,
            "is not 256 bits of base64; restore it from a backup (an empty file was never used and can be deleted)",
        )
    })
}

/// When a file was last written.
pub(super) fn modified(path: &Path) -> Result<Timestamp, KeyFileError> {
    let metadata = std::fs::metadata(path).and_then(|metadata| metadata.modified());
    let time = metadata.map_err(|error| KeyFileError::io(path, &error))?;
    let seconds = time.duration_since(UNIX_EPOCH).map_or(0, |elapsed| elapsed.as_secs());
    Ok(Timestamp::from_unix(i64::try_from(seconds).unwrap_or(i64::MAX)))
}

/// Deletes a file.
pub(super) fn remove(path: &Path) -> Result<(), KeyFileError> {
    std::fs::remove_file(path).map_err(|error| KeyFileError::io(path, &error))
}
