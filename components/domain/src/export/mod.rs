//! Export: from stored exposures to the signed files that phones download.

pub mod deflate;
pub mod file;
pub mod names;
pub mod read;
pub(crate) mod record;
pub mod window;
pub mod zip;
