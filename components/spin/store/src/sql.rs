//! What the store asks of a SQLite connection: the shape of `fermyon:spin/sqlite`, so that an adapter only renames.

use std::fmt;
use tocsin_domain::interval::Timestamp;
use tocsin_domain::ports::PortError;

/// A value of a column or a parameter.
#[derive(Clone, PartialEq)]
pub enum Value {
    /// A whole number.
    Integer(i64),
    /// A floating point number; the store has none.
    Real(f64),
    /// Text.
    Text(String),
    /// Bytes.
    Blob(Vec<u8>),
    /// Nothing.
    Null,
}

impl fmt::Debug for Value {
    /// Shows the kind only: values are health data.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Integer(_) => "Integer",
            Self::Real(_) => "Real",
            Self::Text(_) => "Text",
            Self::Blob(_) => "Blob",
            Self::Null => "Null",
        })
    }
}

/// The values of a row, in the order of the statement's columns.
pub type Row = Vec<Value>;

/// Why a statement did nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SqlError {
    /// The database is locked, full or cannot be reached; a later try may succeed.
    Unavailable,
    /// Anything else. SQLite's texts name tables and columns, not values.
    Failed(String),
}

impl SqlError {
    /// From the text of an error, which is all that Spin gives. SQLite's own words for what may pass are known; anything
    /// else is a failure.
    pub fn from_text(text: String) -> Self {
        const PASSING: [&str; 4] = ["is locked", "is full", "disk i/o error", "unable to open"];
        let words = text.to_lowercase();
        if PASSING.iter().any(|passing| words.contains(passing)) { Self::Unavailable } else { Self::Failed(text) }
    }
}

impl From<SqlError> for PortError {
    fn from(error: SqlError) -> Self {
        match error {
            SqlError::Unavailable => Self::Unavailable,
            SqlError::Failed(text) => Self::Internal(text),
        }
    }
}

/// One connection. Statements of a transaction go through the same one.
pub trait Sql {
    /// Runs one statement, to its end, and returns its rows. Parameters are numbered from 1.
    fn query(&self, statement: &str, parameters: &[Value]) -> Result<Vec<Row>, SqlError>;
}

/// Parameters of a statement.
macro_rules! values {
    ($($value:expr),* $(,)?) => { [$($crate::sql::Value::from($value)),*] };
}
pub(crate) use values;

/// `?, ?, ?` for that many parameters.
pub(crate) fn placeholders(number: usize) -> String {
    vec!["?"; number].join(", ")
}

impl From<i64> for Value {
    fn from(number: i64) -> Self {
        Self::Integer(number)
    }
}

macro_rules! from_small {
    ($($number:ty)*) => {
        $(impl From<$number> for Value {
            fn from(number: $number) -> Self {
                Self::Integer(number.into())
            }
        })*
    };
}
from_small!(bool u8 i8 u32 i32);

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<&String> for Value {
    fn from(text: &String) -> Self {
        Self::Text(text.clone())
    }
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl From<&[u8]> for Value {
    fn from(bytes: &[u8]) -> Self {
        Self::Blob(bytes.to_vec())
    }
}

impl From<Timestamp> for Value {
    fn from(time: Timestamp) -> Self {
        Self::Integer(time.unix())
    }
}

impl<T: Into<Self>> From<Option<T>> for Value {
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::Null, Into::into)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_may_pass_is_unavailable() {
        let check = |text: &str, expected| assert_eq!(SqlError::from_text(text.to_owned()), expected, "{text}");
        check("database is locked", SqlError::Unavailable);
        check("Error code 5: The database file is locked", SqlError::Unavailable);
        check("database or disk is full", SqlError::Unavailable);
        check("Unable to open the database file", SqlError::Unavailable);
        check("disk I/O error: Error code 522", SqlError::Unavailable);
        let failed = "no such table: exposure";
        check(failed, SqlError::Failed(failed.to_owned()));
    }

    #[test]
    fn debug_output_never_shows_a_value() {
        let row = values!["a name", [7_u8; 16].as_slice(), 42_i64, None::<i64>, true];
        assert_eq!(format!("{row:?}"), "[Text, Blob, Integer, Null, Integer]");
    }

    #[test]
    fn placeholders_are_as_many_as_asked_for() {
        assert_eq!([0, 1, 3].map(placeholders), ["", "?", "?, ?, ?"]);
    }
}
