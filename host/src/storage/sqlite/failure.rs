//! From SQLite's errors to the ports'.

use super::super::AdminError;
use rusqlite::ErrorCode;
use rusqlite::types::FromSqlError;
use tocsin_domain::ports::PortError;

/// Why a piece of work on a connection ended.
#[derive(Debug)]
pub(super) enum Failure {
    /// SQLite failed.
    Sql(rusqlite::Error),
    /// The work itself decided so.
    Refused(PortError),
}

impl From<rusqlite::Error> for Failure {
    fn from(error: rusqlite::Error) -> Self {
        Self::Sql(error)
    }
}

impl From<FromSqlError> for Failure {
    fn from(error: FromSqlError) -> Self {
        Self::Sql(error.into())
    }
}

impl From<PortError> for Failure {
    fn from(error: PortError) -> Self {
        Self::Refused(error)
    }
}

impl From<Failure> for PortError {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Sql(error) => port_error(&error),
            Failure::Refused(error) => error,
        }
    }
}

impl From<rusqlite::Error> for AdminError {
    fn from(error: rusqlite::Error) -> Self {
        Self::Store(port_error(&error))
    }
}

impl From<PortError> for AdminError {
    fn from(error: PortError) -> Self {
        Self::Store(error)
    }
}

/// A full or failing disk may recover; everything else is our fault. SQLite's texts name tables and columns, not values.
pub(super) fn port_error(error: &rusqlite::Error) -> PortError {
    match error.sqlite_error_code() {
        Some(
            ErrorCode::DiskFull
            | ErrorCode::SystemIoFailure
            | ErrorCode::DatabaseBusy
            | ErrorCode::DatabaseLocked
            | ErrorCode::OutOfMemory
            | ErrorCode::CannotOpen,
        ) => {
            tracing::error!(%error, "the store is not available");
            PortError::Unavailable
        }
        Some(_) | None => PortError::Internal(error.to_string()),
    }
}

/// An id of the ports as a column. Ids that do not fit are of nobody.
pub(super) fn id_to_column(id: u64) -> i64 {
    i64::try_from(id).unwrap_or(-1)
}
