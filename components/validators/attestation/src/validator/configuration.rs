//! Reads a configuration.

use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use crate::contract::{Rejection, Stage};

/// Longest detail of a rejection, characters, by the contract.
const MAX_DETAIL: usize = 1_000;

/// The configuration in a JSON text. The rejection names the field that is wrong.
pub(super) fn read<C: DeserializeOwned>(text: &str) -> Result<C, Rejection> {
    if text.trim().is_empty() {
        let detail = "the validator has no configuration: write at least the fields that have no default";
        return Err(Rejection::new("config-missing", Stage::Config, detail));
    }
    let invalid = |detail: String| {
        Rejection::new("config-invalid", Stage::Config, detail.chars().take(MAX_DETAIL).collect::<String>())
    };
    // A list would be read as the fields in their order.
    if !text.trim_start().starts_with('{') {
        return Err(invalid("the configuration is no JSON object".to_owned()));
    }
    serde_json::from_str(text).map_err(|error| invalid(wrong_field::<C>(text).unwrap_or_else(|| error.to_string())))
}

/// Each field has a default, so the one that is wrong is wrong alone, too.
fn wrong_field<C: DeserializeOwned>(text: &str) -> Option<String> {
    let fields: Map<String, Value> = serde_json::from_str(text).ok()?;
    fields.into_iter().find_map(|(name, value)| {
        // As text again: reading from a value would be a second copy of all code that reads configurations.
        let alone = Value::Object(Map::from_iter([(name.clone(), value)])).to_string();
        let error = serde_json::from_str::<C>(&alone).err()?.to_string();
        // The place is one in our text.
        let what = error.rsplit_once(" at line ").map_or(error.as_str(), |(what, _)| what);
        Some(format!("{name}: {what}"))
    })
}
