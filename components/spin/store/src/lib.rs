//! The storage ports over one SQLite connection that belongs to somebody else, as Spin's does: statements go out, rows come
//! back, and nothing is kept in memory from one request to the next.
//!
//! # The same file as the host's store
//!
//! Tables, columns, row ids and meanings are those of the host's embedded store, whose migrations this crate includes; a row
//! written by one means the same to the other. Spin's file has three objects more, which the host ignores:
//!
//! * `spin_exposure_key`, a unique index on the key. The host keeps that index in memory and is the only process that
//!   writes; here every request is an instance of its own, so the file itself has to say that a key exists. It costs what
//!   the host saves: a random page for each key.
//! * `spin_lease` and `spin_counter`. The host's leases end with its process; here they must be seen by other instances.
//!
//! A file that the host wrote gets them when it is opened here first. One file must never be used by both at once: the
//! host does not see keys that others add.
//!
//! # Transactions
//!
//! Each call that changes several rows is one `BEGIN IMMEDIATE ... COMMIT`, so that writers come one after the other and
//! what a call checked still holds when it writes. Conflicts are found by reading inside the transaction, never by the
//! text of an error. An instance that ends in between takes its connection with it, and SQLite undoes the rest.

#![warn(missing_docs)]

mod append;
mod commits;
mod directory;
mod exports;
mod exposures;
mod key_rows;
mod leases;
mod retention;
#[path = "../../../../host/src/storage/revision_keys.rs"]
pub mod revision_keys;
#[path = "../../../../host/src/storage/row_id.rs"]
mod row_id;
mod rows;
mod schema;
mod selection;
mod sql;
mod statistics;

pub use sql::{Row, Sql, SqlError, Value};

use tocsin_domain::ports::PortError;

/// All storage ports over a connection.
#[derive(Debug)]
pub struct Store<S> {
    sql: S,
}

impl<S: Sql> Store<S> {
    /// Uses a connection, whose file is brought to the newest schema first.
    ///
    /// [`PortError::Internal`] when the file is another application's, or of a newer version.
    pub fn open(sql: S) -> Result<Self, PortError> {
        let store = Self { sql };
        store.prepare_file()?;
        Ok(store)
    }

    /// Runs one statement.
    fn run(&self, statement: &str, parameters: &[Value]) -> Result<Vec<Row>, PortError> {
        self.sql.query(statement, parameters).map_err(PortError::from)
    }

    /// The first row of one statement.
    fn first(&self, statement: &str, parameters: &[Value]) -> Result<Option<Row>, PortError> {
        Ok(self.run(statement, parameters)?.into_iter().next())
    }

    /// Does all of `work` or nothing, while nobody else writes.
    fn transaction<T>(&self, work: impl FnOnce() -> Result<T, PortError>) -> Result<T, PortError> {
        self.run("BEGIN IMMEDIATE", &[])?;
        let outcome = work().and_then(|value| self.run("COMMIT", &[]).map(|_| value));
        if outcome.is_err() {
            // Fails when SQLite itself ended the transaction, which is as good.
            drop(self.run("ROLLBACK", &[]));
        }
        outcome
    }
}

/// An id of the ports as a column. Ids that do not fit are of nobody.
fn id_to_column(id: u64) -> i64 {
    i64::try_from(id).unwrap_or(-1)
}
