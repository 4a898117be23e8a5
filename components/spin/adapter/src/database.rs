//! Spin's SQLite as the store's connection.

use crate::bindings::fermyon::spin::sqlite as spin;
use std::cell::RefCell;
use std::rc::Rc;
use tocsin_domain::ports::PortError;
use tocsin_spin_store::{Row, Sql, SqlError, Store, Value};

/// Label of the database, which the manifest grants with `sqlite_databases`.
const LABEL: &str = "default";

/// A connection of Spin's.
#[derive(Debug)]
pub struct Connection(spin::Connection);

impl Sql for Connection {
    fn query(&self, statement: &str, parameters: &[Value]) -> Result<Vec<Row>, SqlError> {
        let parameters: Vec<_> = parameters.iter().map(to_spin).collect();
        let spin::QueryResult { columns: _, rows } = self.0.execute(statement, &parameters).map_err(sql_error)?;
        Ok(rows.into_iter().map(|spin::RowResult { values }| values.into_iter().map(from_spin).collect()).collect())
    }
}

thread_local! {
    static STORE: RefCell<Option<Rc<Store<Connection>>>> = const { RefCell::new(None) };
}

/// The store of this instance, opened when it is first asked for.
pub fn store() -> Result<Rc<Store<Connection>>, PortError> {
    if let Some(store) = STORE.with_borrow(Clone::clone) {
        return Ok(store);
    }
    let connection = spin::Connection::open(LABEL).map_err(sql_error)?;
    let store = Rc::new(Store::open(Connection(connection))?);
    STORE.set(Some(Rc::clone(&store)));
    Ok(store)
}

fn to_spin(value: &Value) -> spin::Value {
    match value {
        Value::Integer(number) => spin::Value::Integer(*number),
        Value::Real(number) => spin::Value::Real(*number),
        Value::Text(text) => spin::Value::Text(text.clone()),
        Value::Blob(bytes) => spin::Value::Blob(bytes.clone()),
        Value::Null => spin::Value::Null,
    }
}

fn from_spin(value: spin::Value) -> Value {
    match value {
        spin::Value::Integer(number) => Value::Integer(number),
        spin::Value::Real(number) => Value::Real(number),
        spin::Value::Text(text) => Value::Text(text),
        spin::Value::Blob(bytes) => Value::Blob(bytes),
        spin::Value::Null => Value::Null,
    }
}

fn sql_error(error: spin::Error) -> SqlError {
    match error {
        spin::Error::NoSuchDatabase => {
            SqlError::Failed(format!("Spin has no SQLite database {LABEL:?}; define it in the runtime configuration"))
        }
        spin::Error::AccessDenied => SqlError::Failed(format!(
            "the component may not use the SQLite database {LABEL:?}; add it to sqlite_databases in spin.toml"
        )),
        spin::Error::InvalidConnection => SqlError::Failed("the connection to SQLite is not valid".to_owned()),
        spin::Error::DatabaseFull => SqlError::Unavailable,
        spin::Error::Io(text) => SqlError::from_text(text),
    }
}
