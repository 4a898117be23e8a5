//! What a phone uploads: reading the request, checking and transforming its keys, revising keys that exist, answering.

pub mod request;
pub(crate) mod text;
