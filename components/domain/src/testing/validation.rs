//! Validators that say what a test wants.

use super::faults::Faults;
use crate::ports::PortError;
use crate::ports::validation::Validation;
use crate::validation::{Candidate, Decision, Evidence};
use std::sync::{Mutex, PoisonError};

/// Decides everything alike, and remembers what it was asked.
#[derive(Debug)]
pub struct FakeValidation {
    /// The decision.
    pub decision: Decision,
    /// Which calls fail.
    pub faults: Faults,
    seen: Mutex<Vec<(Candidate, Option<Evidence>)>>,
}

impl Default for FakeValidation {
    /// Accepts, with nothing to note.
    fn default() -> Self {
        Self::deciding(Decision::Accepted(Vec::new()))
    }
}

impl FakeValidation {
    /// With that decision.
    pub fn deciding(decision: Decision) -> Self {
        Self { decision, faults: Faults::default(), seen: Mutex::default() }
    }

    /// What it was asked, in order.
    pub fn seen(&self) -> Vec<(Candidate, Option<Evidence>)> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Validation for FakeValidation {
    fn validate(&self, candidate: &Candidate, evidence: Option<&Evidence>) -> Result<Decision, PortError> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).push((candidate.clone(), evidence.cloned()));
        self.faults.check()?;
        Ok(self.decision.clone())
    }
}
