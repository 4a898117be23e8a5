//! A connection that does what Spin's in-process SQLite does, and gives no more.

use rusqlite::types::ValueRef;
use rusqlite::{Connection, params_from_iter, types};
use std::path::Path;
use tocsin_spin_store::{Row, Sql, SqlError, Value};

/// Runs the first statement of a text on a SQLite file; errors are texts.
#[derive(Debug)]
pub(crate) struct TestConnection(pub(crate) Connection);

impl TestConnection {
    pub(crate) fn open(file: &Path) -> Self {
        Self(Connection::open(file).expect("opened"))
    }
}

impl Sql for TestConnection {
    fn query(&self, statement: &str, parameters: &[Value]) -> Result<Vec<Row>, SqlError> {
        self.rows(statement, parameters).map_err(|error| SqlError::from_text(error.to_string()))
    }
}

impl TestConnection {
    fn rows(&self, statement: &str, parameters: &[Value]) -> rusqlite::Result<Vec<Row>> {
        let mut statement = self.0.prepare_cached(statement)?;
        let columns = statement.column_count();
        let parameters = parameters.iter().map(|value| match value {
            Value::Integer(number) => types::Value::Integer(*number),
            Value::Real(number) => types::Value::Real(*number),
            Value::Text(text) => types::Value::Text(text.clone()),
            Value::Blob(bytes) => types::Value::Blob(bytes.clone()),
            Value::Null => types::Value::Null,
        });
        let rows = statement.query_map(params_from_iter(parameters), |row| {
            (0..columns).map(|column| row.get_ref(column).map(value)).collect::<rusqlite::Result<Row>>()
        })?;
        rows.collect()
    }
}

fn value(value: ValueRef<'_>) -> Value {
    match value {
        ValueRef::Null => Value::Null,
        ValueRef::Integer(number) => Value::Integer(number),
        ValueRef::Real(number) => Value::Real(number),
        ValueRef::Text(text) => Value::Text(String::from_utf8(text.to_vec()).expect("UTF-8")),
        ValueRef::Blob(bytes) => Value::Blob(bytes.to_vec()),
    }
}
