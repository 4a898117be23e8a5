//! Export: from stored exposures to the signed files that phones download.
//!
//! Two use cases, run by the host's timer: [`batch::create_batches`] cuts time into batches, [`worker::do_work`] exports one
//! batch. [`read`] is the other side, what a phone does with a file. The rest is the format: [`file`] and [`zip`], with
//! [`deflate`] below.

pub mod batch;
pub mod deflate;
pub mod file;
pub mod forecast;
pub mod index;
pub mod names;
mod padding;
pub mod read;
mod record;
mod selection;
pub mod window;
pub mod worker;
pub mod zip;

use crate::ports::PortError;
use std::fmt;

/// Why the worker did not export a batch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ExportError {
    /// Leasing failed; no batch is concerned.
    Port(PortError),
    /// Exporting a batch failed. It is tried again when its lease has expired; other batches can be exported now.
    Batch {
        /// The batch.
        batch_id: u64,
        /// Its config.
        config_id: u64,
        /// What went wrong.
        cause: BatchFailure,
    },
}

/// Why a batch was not exported.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BatchFailure {
    /// A call failed.
    Port(PortError),
    /// The batch does not have the rows that were counted: something changed a closed window.
    SelectionChanged,
    /// The store handed out a page that is no whole number of rows, or that does not lead on.
    BadPage,
    /// A file of 4 GiB or more. Fewer keys per file (`max_records`) help.
    TooLarge,
}

impl From<PortError> for ExportError {
    fn from(error: PortError) -> Self {
        Self::Port(error)
    }
}

impl From<PortError> for BatchFailure {
    fn from(error: PortError) -> Self {
        Self::Port(error)
    }
}

impl From<zip::TooLarge> for BatchFailure {
    fn from(zip::TooLarge: zip::TooLarge) -> Self {
        Self::TooLarge
    }
}

impl fmt::Display for ExportError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Port(error) => write!(f, "no export batch could be leased: {error}"),
            Self::Batch { batch_id, config_id, cause } => {
                write!(f, "export batch {batch_id} of export config {config_id}: {cause}")
            }
        }
    }
}

impl fmt::Display for BatchFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Port(error) => error.fmt(f),
            Self::SelectionChanged => f.write_str("the batch does not have the rows that were counted"),
            Self::BadPage => f.write_str("the store returned an impossible page of rows"),
            Self::TooLarge => f.write_str("a file would have 4 GiB or more; lower max_records"),
        }
    }
}

impl std::error::Error for ExportError {}

impl std::error::Error for BatchFailure {}

#[cfg(test)]
mod tests;
