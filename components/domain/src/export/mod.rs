//! Export: from stored exposures to the signed files that phones download.

pub mod deflate;
pub mod zip;
