//! Port `validation`: whether the health authority's validators accept a submission.

use super::PortError;
use crate::validation::{Candidate, Decision, Evidence};

/// Asks the validators of an app.
pub trait Validation {
    /// What they say together. Called only for apps that have any.
    fn validate(&self, candidate: &Candidate, evidence: Option<&Evidence>) -> Result<Decision, PortError>;
}
