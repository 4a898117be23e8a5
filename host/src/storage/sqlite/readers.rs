//! The connections that only read.

use super::SqliteOptions;
use super::connection::open_reading;
use parking_lot::Mutex;
use rusqlite::Connection;
use std::path::{Path, PathBuf};

/// Connections beyond this many are closed after use.
const KEPT: usize = 4;

/// Opens reading connections when they are needed and keeps a few.
#[derive(Debug)]
pub(super) struct Readers {
    path: PathBuf,
    options: SqliteOptions,
    idle: Mutex<Vec<Connection>>,
}

impl Readers {
    pub(super) fn new(path: &Path, options: &SqliteOptions) -> Self {
        Self { path: path.to_owned(), options: *options, idle: Mutex::new(Vec::new()) }
    }

    /// Does `work`, which sees one state of the database from its first statement on.
    pub(super) fn read<T, E: From<rusqlite::Error>>(
        &self,
        work: impl FnOnce(&Connection) -> Result<T, E>,
    ) -> Result<T, E> {
        let idle = self.idle.lock().pop();
        let connection = match idle {
            Some(connection) => connection,
            None => open_reading(&self.path, &self.options)?,
        };
        let transaction = connection.unchecked_transaction()?;
        let result = work(&transaction);
        transaction.finish()?;
        let mut idle = self.idle.lock();
        if idle.len() < KEPT {
            idle.push(connection);
        }
        result
    }

    /// Closes the idle connections, so that the writer is the last and leaves no write-ahead log behind.
    pub(super) fn close(&self) {
        self.idle.lock().clear();
    }
}
