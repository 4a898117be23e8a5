//! Brings the file to the newest schema and refuses what it does not know.

use super::{OpenError, database_error};
use rusqlite::Connection;
use std::path::Path;

/// All migrations in order; the schema number of a file is how many it has had. Append only.
const MIGRATIONS: [&str; 5] = [
    include_str!("migrations/0001_first.sql"),
    include_str!("migrations/0002_revision_keys.sql"),
    include_str!("migrations/0003_key_sets.sql"),
    include_str!("migrations/0004_statistics.sql"),
    include_str!("migrations/0005_commits.sql"),
];

/// "TCSN" as a number, in the header of the file, so that another application's database is not taken for ours.
const APPLICATION_ID: i32 = i32::from_be_bytes(*b"TCSN");

/// The newest schema this server knows.
pub(super) fn known() -> u32 {
    // Unwrap safety: there are fewer migrations than 2^32.
    u32::try_from(MIGRATIONS.len()).unwrap()
}

/// Runs the migrations that the file lacks, each in a transaction of its own.
pub(super) fn migrate(connection: &Connection, path: &Path) -> Result<(), OpenError> {
    let sql_error = |error| database_error(path, &error);
    let found = found(connection).map_err(sql_error)?;
    let Some(found) = found else { return Err(OpenError::NotOurs(path.to_owned())) };
    if found > known() {
        return Err(OpenError::NewerSchema { path: path.to_owned(), found, known: known() });
    }
    for (number, migration) in (1_u32..).zip(MIGRATIONS).skip_while(|(number, _)| *number <= found) {
        run(connection, number, migration).map_err(sql_error)?;
        tracing::info!(schema = number, "migrated the database");
    }
    Ok(())
}

/// The file's schema number; `None` if the file is not ours.
fn found(connection: &Connection) -> rusqlite::Result<Option<u32>> {
    let application: i32 = connection.pragma_query_value(None, "application_id", |row| row.get(0))?;
    let number: u32 = connection.pragma_query_value(None, "user_version", |row| row.get(0))?;
    let tables: u32 = connection.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))?;
    let empty = application == 0 && number == 0 && tables == 0;
    Ok((empty || application == APPLICATION_ID).then_some(number))
}

fn run(connection: &Connection, number: u32, migration: &str) -> rusqlite::Result<()> {
    let transaction = connection.unchecked_transaction()?;
    transaction.execute_batch(migration)?;
    transaction.pragma_update(None, "application_id", APPLICATION_ID)?;
    transaction.pragma_update(None, "user_version", number)?;
    transaction.commit()
}
