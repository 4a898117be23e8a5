//! The embedded store: one SQLite file, one process, one thread that writes.
//!
//! What makes it fast: rows are appended in the order of time instead of being put where their random keys sort, the
//! index on the keys is in memory ([`super::key_index`]), and the publishes that wait while one commit is being made
//! durable share the next. What it costs: exactly one process may use the file ([`OpenError::InUse`]), the index is
//! rebuilt when the store opens, and nobody else may add exposures to the file.
//!
//! Reads go through connections of their own and never wait for the writer.

mod admin;
mod append;
mod commits;
mod connection;
mod directory;
mod exports;
mod exposures;
mod failure;
mod key_sets;
mod leases;
mod readers;
mod retention;
mod revision_keys;
mod schema;
mod selection;
mod signers;
mod statistics;
#[cfg(test)]
mod tests;
mod writer;

use super::key_index::KeyIndex;
use super::row_id::RowId;
use directory::Directory;
use leases::LeaseTable;
use parking_lot::RwLock;
use readers::Readers;
use rusqlite::Connection;
use std::fmt;
use std::fs::{File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::mpsc::{self, SyncSender};
use std::time::{Duration, Instant};
use tocsin_domain::interval::Timestamp;
use tocsin_domain::tek::TemporaryExposureKey;
use writer::{Writer, WriterHandle};

/// How the store uses memory and disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SqliteOptions {
    /// Page cache of the writing connection in MiB. Each reading connection has a quarter of it.
    pub cache_mebibytes: u32,
    /// Pages of 4 KiB in the write-ahead log after which it is copied into the database file. More is a little faster
    /// and stalls publishes for longer: about 20 ms at 1,000.
    pub checkpoint_pages: u32,
}

impl Default for SqliteOptions {
    fn default() -> Self {
        Self { cache_mebibytes: 16, checkpoint_pages: 1_000 }
    }
}

/// Why the store cannot be opened.
#[derive(Debug)]
pub enum OpenError {
    /// Another process has it.
    InUse(PathBuf),
    /// The file is a database, but none of ours.
    NotOurs(PathBuf),
    /// The file was written by a newer version of the server.
    NewerSchema {
        /// The file.
        path: PathBuf,
        /// Its schema.
        found: u32,
        /// The newest schema this server knows.
        known: u32,
    },
    /// The operating system refuses.
    Io(PathBuf, io::Error),
    /// SQLite refuses, or a row makes no sense.
    Database(PathBuf, String),
}

impl fmt::Display for OpenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::InUse(path) => write!(
                f,
                "{} is in use by another process, and only one may write to it: stop that process first, or let its \
                 administration listener do what you want",
                path.display()
            ),
            Self::NotOurs(path) => write!(f, "{} is not a Tocsin database", path.display()),
            Self::NewerSchema { path, found, known } => write!(
                f,
                "{} has schema {found}, this server knows up to {known}: run the newer server that wrote it, or restore \
                 a backup from before the upgrade",
                path.display()
            ),
            Self::Io(path, error) => write!(f, "{}: {error}", path.display()),
            Self::Database(path, text) => write!(f, "{}: {text}", path.display()),
        }
    }
}

impl std::error::Error for OpenError {}

/// The embedded store. Implements all storage ports and [`super::Administration`]; share it in an `Arc`.
///
/// [`Exposures::find`](tocsin_domain::ports::exposures::Exposures::find), the app and the health authority look-ups
/// take microseconds and may be called from asynchronous code. To publish from asynchronous code use
/// [`SqliteStore::insert_and_revise_async`]. All other methods wait for the disk: call them where blocking is allowed.
#[derive(Debug)]
pub struct SqliteStore {
    // In the order in which they are dropped: the lock goes last.
    writer: WriterHandle,
    shared: Arc<Shared>,
    _lock: File,
}

/// What the writer and its callers see.
#[derive(Debug)]
struct Shared {
    index: KeyIndex,
    /// Latest end of any export batch, see [`tocsin_domain::ports::exposures::Found::open_from`].
    open_from: AtomicI64,
    directory: RwLock<Arc<Directory>>,
    leases: LeaseTable,
    readers: Readers,
}

impl Shared {
    fn open_from(&self) -> Timestamp {
        Timestamp::from_unix(self.open_from.load(Ordering::Acquire))
    }
}

impl SqliteStore {
    /// Opens the store in the file `path`, or creates it there, with its lock file beside it.
    ///
    /// Reads the key of every exposure, about 3 million a second. Leases are void then: whoever held them is gone, since
    /// no two processes can have the store.
    pub fn open(path: &Path, options: &SqliteOptions) -> Result<Self, OpenError> {
        let lock = lock(path)?;
        connection::create_private(path).map_err(|error| OpenError::Io(path.to_owned(), error))?;
        let connection = connection::open_writing(path, options).map_err(|error| database_error(path, &error))?;
        schema::migrate(&connection, path)?;
        let shared = Self::load(&connection, path, options).map_err(|error| database_error(path, &error))?;
        let shared = Arc::new(shared);
        let writer = WriterHandle::start(Writer::new(connection, Arc::clone(&shared)))
            .map_err(|error| OpenError::Io(path.to_owned(), error))?;
        Ok(Self { writer, shared, _lock: lock })
    }

    /// Number of exposures stored, padding included. Takes no time, unlike [`super::Administration::status`].
    pub fn rows(&self) -> u64 {
        self.shared.index.len()
    }

    fn load(connection: &Connection, path: &Path, options: &SqliteOptions) -> rusqlite::Result<Shared> {
        connection
            .execute("UPDATE export_batch SET state = 'open', lease_expires = NULL WHERE state = 'leased'", [])?;
        let open_from =
            connection.query_row("SELECT ifnull(max(end_at), 0) FROM export_batch", [], |row| row.get(0))?;
        Ok(Shared {
            index: build_index(connection)?,
            open_from: AtomicI64::new(open_from),
            directory: RwLock::new(Arc::new(Directory::load(connection)?)),
            leases: LeaseTable::default(),
            readers: Readers::new(path, options),
        })
    }
}

fn database_error(path: &Path, error: &rusqlite::Error) -> OpenError {
    OpenError::Database(path.to_owned(), error.to_string())
}

/// Takes the lock that makes this process the only one. The operating system gives it back when the process ends, however
/// it ends.
fn lock(path: &Path) -> Result<File, OpenError> {
    let mut name = path.as_os_str().to_owned();
    name.push(".lock");
    let lock_path = PathBuf::from(name);
    let file = connection::create_private(&lock_path).map_err(|error| OpenError::Io(lock_path.clone(), error))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(OpenError::InUse(path.to_owned())),
        Err(TryLockError::Error(error)) => Err(OpenError::Io(lock_path, error)),
    }
}

/// Keys and row ids on their way into the index.
type Chunk = Vec<(TemporaryExposureKey, RowId)>;
const CHUNK_ROWS: usize = 4_096;

/// Reads all keys. Reading and entering take about the same time, so each has a thread.
fn build_index(connection: &Connection) -> rusqlite::Result<KeyIndex> {
    let index = KeyIndex::new();
    let started = Instant::now();
    let number = std::thread::scope(|scope| {
        let (chunks, receiver) = mpsc::sync_channel::<Chunk>(8);
        let index = &index;
        scope.spawn(move || {
            for (key, id) in receiver.into_iter().flatten() {
                index.insert(index.hash(&key), id);
            }
        });
        read_keys(connection, &chunks)
    })?;
    if number > 0 {
        let seconds = started.elapsed().as_secs_f64();
        tracing::info!(exposures = number, seconds, "read the keys of all exposures");
    }
    Ok(index)
}

fn read_keys(connection: &Connection, chunks: &SyncSender<Chunk>) -> rusqlite::Result<u64> {
    let mut reported = Instant::now();
    let mut statement = connection.prepare("SELECT id, key FROM exposure")?;
    let mut rows = statement.query([])?;
    let mut number = 0_u64;
    let mut chunk = Chunk::with_capacity(CHUNK_ROWS);
    while let Some(row) = rows.next()? {
        chunk.push((key_column(row, 1)?, id_column(row, 0)?));
        number += 1;
        if chunk.len() == CHUNK_ROWS {
            send(chunks, std::mem::replace(&mut chunk, Chunk::with_capacity(CHUNK_ROWS)));
            if reported.elapsed() > Duration::from_secs(2) {
                reported = Instant::now();
                tracing::info!(exposures = number, "reading the keys of all exposures");
            }
        }
    }
    send(chunks, chunk);
    Ok(number)
}

/// The receiver ends only when the sender does, or by a panic, which ends the scope of both.
fn send(chunks: &SyncSender<Chunk>, chunk: Chunk) {
    drop(chunks.send(chunk));
}

/// A row id in a column.
fn id_column(row: &rusqlite::Row<'_>, column: usize) -> rusqlite::Result<RowId> {
    let number = row.get_ref(column)?.as_i64()?;
    RowId::from_column(number).ok_or(rusqlite::Error::IntegralValueOutOfRange(column, number))
}

/// A key in a column.
fn key_column(row: &rusqlite::Row<'_>, column: usize) -> rusqlite::Result<TemporaryExposureKey> {
    let bytes = row.get_ref(column)?.as_blob()?;
    TemporaryExposureKey::try_from(bytes).map_err(|_| out_of_range(column, "a key is not 16 bytes"))
}

/// The error for a value that this server never writes.
fn out_of_range(column: usize, what: &'static str) -> rusqlite::Error {
    rusqlite::Error::FromSqlConversionFailure(column, rusqlite::types::Type::Null, what.into())
}
