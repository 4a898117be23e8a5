//! Files and connections with the settings that durability, speed and privacy need.

use super::SqliteOptions;
use rusqlite::{Connection, OpenFlags};
use std::fs::{File, OpenOptions};
use std::io;
use std::path::Path;

/// Opens the file, or creates it readable and writable by its owner only. SQLite gives the files it puts beside a
/// database the same mode.
pub(super) fn create_private(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}

/// The connection of the writer thread.
pub(super) fn open_writing(path: &Path, options: &SqliteOptions) -> rusqlite::Result<Connection> {
    let connection = open(path, options.cache_mebibytes)?;
    // FULL: an answered publish survives a power cut. With grouped commits NORMAL is no faster.
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.pragma_update(None, "wal_autocheckpoint", options.checkpoint_pages)?;
    connection.pragma_update(None, "foreign_keys", true)?;
    // Purged keys are overwritten with zeros, not only unlinked.
    connection.pragma_update(None, "secure_delete", true)?;
    // A long read can make the log grow; afterwards it shrinks to this many bytes.
    connection.pragma_update(None, "journal_size_limit", 64 << 20)?;
    Ok(connection)
}

/// A connection that only reads.
pub(super) fn open_reading(path: &Path, options: &SqliteOptions) -> rusqlite::Result<Connection> {
    let connection = open(path, options.cache_mebibytes.div_ceil(4))?;
    connection.pragma_update(None, "query_only", true)?;
    Ok(connection)
}

fn open(path: &Path, cache_mebibytes: u32) -> rusqlite::Result<Connection> {
    // No mutex: a connection is used by one thread at a time. No URI: a path is a path, whatever it looks like.
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    connection.pragma_update(None, "journal_mode", "WAL")?;
    // Negative: KiB instead of pages, in 32 bits.
    let kibibytes = i64::from(cache_mebibytes).saturating_mul(1_024).min(i64::from(i32::MAX));
    connection.pragma_update(None, "cache_size", -kibibytes)?;
    // No copies of rows in temporary files.
    connection.pragma_update(None, "temp_store", "MEMORY")?;
    connection.set_prepared_statement_cache_capacity(64);
    Ok(connection)
}
