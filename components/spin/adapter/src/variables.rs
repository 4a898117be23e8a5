//! Spin's variables.

use crate::bindings::fermyon::spin::variables::{self, Error};
use tocsin_domain::ports::PortError;

/// The value of a variable; `None` when the manifest does not give it to this component, or it is empty.
pub fn variable(name: &str) -> Result<Option<String>, PortError> {
    match variables::get(name) {
        Ok(value) => Ok(Some(value).filter(|value| !value.trim().is_empty())),
        Err(Error::Undefined(_)) => Ok(None),
        // Texts of providers may quote what they read: they are not shown.
        Err(Error::Provider(_)) => Err(PortError::Unavailable),
        Err(Error::InvalidName(_) | Error::Other(_)) => {
            Err(PortError::Internal(format!("the variable {name} cannot be read")))
        }
    }
}

/// The value of a variable that must be there.
pub fn required_variable(name: &str) -> Result<String, PortError> {
    variable(name)?.ok_or_else(|| {
        PortError::Internal(format!(
            "the variable {name} is not set; give it to the component in spin.toml, as the README of the adapters shows"
        ))
    })
}
