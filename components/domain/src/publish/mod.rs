//! What a phone uploads: reading the request, checking and transforming its keys, revising keys that exist, answering.
//!
//! [`service`] is the way through; everything else is pure.

pub mod request;
pub mod response;
pub mod revision;
pub mod revision_token;
pub mod service;
pub mod transcript;

pub mod transform;
