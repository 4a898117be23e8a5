//! Serves the export files and their index from Spin's key-value store, at `/exports/NAME` as our host does: `GET` and
//! `HEAD`, with an ETag and the same caching. Phones see nothing but the bucket `public`.

#![warn(missing_docs)]

pub mod caching;
#[cfg(target_family = "wasm")]
mod route;
