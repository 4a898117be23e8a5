//! Files in Spin's key-value store `default`: a file is the value of the key `BUCKET/NAME`.
//!
//! A value is written by one call, so no reader sees a part of it.

use crate::bindings::fermyon::spin::key_value::{Error, Store};
use tocsin_domain::ports::PortError;

/// Label of the store, which the manifest grants with `key_value_stores`.
const LABEL: &str = "default";

/// The content of a file, if there is one of that name.
pub fn get(bucket: &str, name: &str) -> Result<Option<Vec<u8>>, PortError> {
    with_store(|store| store.get(&key(bucket, name)))
}

/// Writes a file whole, replacing one of that name.
pub fn put(bucket: &str, name: &str, content: &[u8]) -> Result<(), PortError> {
    with_store(|store| store.set(&key(bucket, name), content))
}

/// Deletes a file. One that does not exist is deleted already.
pub fn delete(bucket: &str, name: &str) -> Result<(), PortError> {
    with_store(|store| store.delete(&key(bucket, name)))
}

fn with_store<T>(work: impl FnOnce(&Store) -> Result<T, Error>) -> Result<T, PortError> {
    Store::open(LABEL).and_then(|store| work(&store)).map_err(port_error)
}

fn key(bucket: &str, name: &str) -> String {
    format!("{bucket}/{name}")
}

fn port_error(error: Error) -> PortError {
    match error {
        Error::StoreTableFull => PortError::Unavailable,
        Error::NoSuchStore => PortError::Internal(format!(
            "Spin has no key-value store {LABEL:?}; define it in the runtime configuration"
        )),
        Error::AccessDenied => PortError::Internal(format!(
            "the component may not use the key-value store {LABEL:?}; add it to key_value_stores in spin.toml"
        )),
        Error::Other(text) => PortError::Internal(format!("the key-value store failed: {text}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn key_of_a_file_is_its_path() {
        assert_eq!(key("public", "US/index.txt"), "public/US/index.txt");
    }

    #[test]
    fn what_the_manifest_lacks_is_said() {
        let says = |error, words: &str| assert!(port_error(error).to_string().contains(words));
        says(Error::AccessDenied, "key_value_stores");
        says(Error::NoSuchStore, "runtime configuration");
        says(Error::Other("disk".to_owned()), "disk");
        assert_eq!(port_error(Error::StoreTableFull), PortError::Unavailable);
    }
}
