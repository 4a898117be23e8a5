//! A verifier that believes everything.

use super::faults::Faults;
use crate::exposure::ReportType;
use crate::health_authority::HealthAuthorityId;
use crate::ports::verifier::{Claims, Proof, VerificationError, Verifier};

/// Accepts a verification payload that is the wire string of a report type, optionally followed by `@` and an interval
/// of symptom onset; rejects all others.
#[derive(Debug)]
pub struct FakeVerifier {
    /// Who vouches.
    pub health_authority: HealthAuthorityId,
    /// Which calls fail.
    pub faults: Faults,
}

impl Default for FakeVerifier {
    /// Health authority 1 vouches.
    fn default() -> Self {
        Self { health_authority: HealthAuthorityId(1), faults: Faults::default() }
    }
}

impl Verifier for FakeVerifier {
    fn verify(&self, proof: &Proof<'_>) -> Result<Claims, VerificationError> {
        self.faults.check()?;
        let (report_type, onset) = match proof.verification_payload.split_once('@') {
            Some((report_type, onset)) => (report_type, onset.parse().ok()),
            None => (proof.verification_payload, None),
        };
        match ReportType::from_wire(report_type) {
            Some(report_type) => {
                Ok(Claims { health_authority: self.health_authority, report_type, symptom_onset: onset })
            }
            None => Err(VerificationError::Rejected("no report type".into())),
        }
    }

    fn diagnose(&self, proof: &Proof<'_>) -> Vec<String> {
        vec![format!("{:?} is no report type", proof.verification_payload)]
    }

    /// Believes a token that is the number of the health authority.
    fn authenticate(&self, token: &str) -> Result<HealthAuthorityId, VerificationError> {
        self.faults.check()?;
        let id = token.parse().map_err(|_| VerificationError::Rejected("unauthorized: no number".into()))?;
        Ok(HealthAuthorityId(id))
    }
}
