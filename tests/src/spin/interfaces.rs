//! What Spin implements: the interfaces of `fermyon:spin@2.0.0` that the adapters use.

use super::server::InstanceState;
use rusqlite::Connection;
use rusqlite::types::{Value as Column, ValueRef};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::Duration;
use wasmtime::component::Resource;

/// Generated from `wit/deps/fermyon-spin`.
pub mod bindings {
    wasmtime::component::bindgen!({
        path: "../wit",
        inline: "
            package tocsin:harness;
            world spin {
                import fermyon:spin/sqlite@2.0.0;
                import fermyon:spin/key-value@2.0.0;
                import fermyon:spin/variables@2.0.0;
            }
        ",
        world: "tocsin:harness/spin",
        with: {
            "fermyon:spin/sqlite.connection": super::OpenDatabase,
            "fermyon:spin/key-value.store": super::OpenStore,
        },
    });
}

use bindings::fermyon::spin::{key_value, sqlite, variables};

/// An open database. Used by one instance.
pub struct OpenDatabase(Mutex<Connection>);

/// An open key-value store; there is one.
pub struct OpenStore;

/// What the application has.
#[derive(Debug, Default)]
pub struct Resources {
    /// File of the database `default`.
    pub database: PathBuf,
    /// The key-value store `default`.
    pub values: Mutex<BTreeMap<String, Vec<u8>>>,
    /// Variables.
    pub variables: BTreeMap<String, String>,
}

impl Resources {
    /// Takes over what the host keeps in a data folder: its database, and its key files as variables.
    pub fn of_data_folder(folder: &Path, settings: &serde_json::Value) -> Self {
        let variables = [
            ("tocsin_settings", settings.to_string()),
            ("tocsin_root_keys", files_as_json(&folder.join("keys/root"))),
            ("tocsin_signing_keys", files_as_json(&folder.join("keys/signing"))),
        ];
        Self {
            database: folder.join("tocsin.db"),
            values: Mutex::default(),
            variables: variables.map(|(name, value)| (name.to_owned(), value)).into(),
        }
    }
}

/// An object with the text of each file under its name without the extension.
fn files_as_json(folder: &Path) -> String {
    let mut object = serde_json::Map::new();
    for entry in std::fs::read_dir(folder).expect("a folder of keys") {
        let path = entry.expect("readable").path();
        let name = path.file_stem().expect("a name").to_string_lossy().into_owned();
        object.insert(name, std::fs::read_to_string(&path).expect("text").trim_end().into());
    }
    serde_json::Value::Object(object).to_string()
}

impl sqlite::Host for InstanceState {}

impl sqlite::HostConnection for InstanceState {
    fn open(&mut self, database: String) -> Result<Resource<OpenDatabase>, sqlite::Error> {
        if database != "default" {
            return Err(sqlite::Error::NoSuchDatabase);
        }
        let connection = Connection::open(&self.app.resources.database).map_err(sqlite_error)?;
        // As Spin's own implementation.
        connection.busy_timeout(Duration::from_secs(5)).map_err(sqlite_error)?;
        self.table.push(OpenDatabase(Mutex::new(connection))).map_err(|error| sqlite::Error::Io(error.to_string()))
    }

    fn execute(
        &mut self,
        connection: Resource<OpenDatabase>,
        statement: String,
        parameters: Vec<sqlite::Value>,
    ) -> Result<sqlite::QueryResult, sqlite::Error> {
        let open = self.table.get(&connection).map_err(|_| sqlite::Error::InvalidConnection)?;
        let connection = open.0.lock().map_err(|_| sqlite::Error::InvalidConnection)?;
        let mut statement = connection.prepare_cached(&statement).map_err(sqlite_error)?;
        let columns: Vec<String> = statement.column_names().map(str::to_owned).collect();
        let parameters = parameters.into_iter().map(|value| match value {
            sqlite::Value::Integer(number) => Column::Integer(number),
            sqlite::Value::Real(number) => Column::Real(number),
            sqlite::Value::Text(text) => Column::Text(text),
            sqlite::Value::Blob(bytes) => Column::Blob(bytes),
            sqlite::Value::Null => Column::Null,
        });
        let mut found = statement.query(rusqlite::params_from_iter(parameters)).map_err(sqlite_error)?;
        let mut rows = Vec::new();
        while let Some(row) = found.next().map_err(sqlite_error)? {
            let value = |index| match row.get_ref(index) {
                Ok(ValueRef::Integer(number)) => sqlite::Value::Integer(number),
                Ok(ValueRef::Real(number)) => sqlite::Value::Real(number),
                Ok(ValueRef::Text(text)) => sqlite::Value::Text(String::from_utf8_lossy(text).into_owned()),
                Ok(ValueRef::Blob(bytes)) => sqlite::Value::Blob(bytes.to_vec()),
                Ok(ValueRef::Null) | Err(_) => sqlite::Value::Null,
            };
            rows.push(sqlite::RowResult { values: (0..columns.len()).map(value).collect() });
        }
        Ok(sqlite::QueryResult { columns, rows })
    }

    fn drop(&mut self, connection: Resource<OpenDatabase>) -> wasmtime::Result<()> {
        self.table.delete(connection)?;
        Ok(())
    }
}

fn sqlite_error(error: rusqlite::Error) -> sqlite::Error {
    match error.sqlite_error_code() {
        Some(rusqlite::ErrorCode::DiskFull) => sqlite::Error::DatabaseFull,
        _ => sqlite::Error::Io(error.to_string()),
    }
}

impl key_value::Host for InstanceState {}

impl key_value::HostStore for InstanceState {
    fn open(&mut self, label: String) -> Result<Resource<OpenStore>, key_value::Error> {
        if label != "default" {
            return Err(key_value::Error::NoSuchStore);
        }
        self.table.push(OpenStore).map_err(|_| key_value::Error::StoreTableFull)
    }

    fn get(&mut self, _store: Resource<OpenStore>, key: String) -> Result<Option<Vec<u8>>, key_value::Error> {
        Ok(self.app.resources.values.lock().expect("no panic").get(&key).cloned())
    }

    fn set(&mut self, _store: Resource<OpenStore>, key: String, value: Vec<u8>) -> Result<(), key_value::Error> {
        self.app.resources.values.lock().expect("no panic").insert(key, value);
        Ok(())
    }

    fn delete(&mut self, _store: Resource<OpenStore>, key: String) -> Result<(), key_value::Error> {
        self.app.resources.values.lock().expect("no panic").remove(&key);
        Ok(())
    }

    fn drop(&mut self, store: Resource<OpenStore>) -> wasmtime::Result<()> {
        self.table.delete(store)?;
        Ok(())
    }
}

impl variables::Host for InstanceState {
    fn get(&mut self, name: String) -> Result<String, variables::Error> {
        self.app.resources.variables.get(&name).cloned().ok_or(variables::Error::Undefined(name))
    }
}
