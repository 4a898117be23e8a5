use crate::Host;
use crate::bindings::tocsin::component::verifier as wit;
use crate::convert::{port_error, report_type_from_wit};
use tocsin_domain::health_authority::HealthAuthorityId;
use tocsin_domain::ports::verifier::{Claims, Proof, ProofKey, VerificationError, Verifier};

impl Verifier for Host {
    fn verify(&self, proof: &Proof<'_>) -> Result<Claims, VerificationError> {
        match wit::verify(&proof_to_wit(proof)) {
            Ok(wit::Claims { health_authority, report_type, symptom_onset }) => Ok(Claims {
                health_authority: HealthAuthorityId(health_authority),
                report_type: report_type_from_wit(report_type),
                symptom_onset,
            }),
            Err(error) => Err(verification_error(error)),
        }
    }

    fn diagnose(&self, proof: &Proof<'_>) -> Vec<String> {
        wit::diagnose(&proof_to_wit(proof))
    }

    fn authenticate(&self, token: &str) -> Result<HealthAuthorityId, VerificationError> {
        wit::authenticate(token).map(HealthAuthorityId).map_err(verification_error)
    }
}

fn proof_to_wit(proof: &Proof<'_>) -> wit::Proof {
    let Proof { verification_payload, hmac_key, allowed_health_authorities, keys } = proof;
    wit::Proof {
        verification_payload: (*verification_payload).to_owned(),
        hmac_key: (*hmac_key).to_owned(),
        allowed_health_authorities: allowed_health_authorities.iter().map(|id| id.0).collect(),
        keys: keys
            .iter()
            .map(|&ProofKey { key, rolling_start, rolling_period, transmission_risk }| wit::ProofKey {
                key: key.to_owned(),
                rolling_start,
                rolling_period,
                transmission_risk,
            })
            .collect(),
    }
}

fn verification_error(error: wit::VerificationError) -> VerificationError {
    match error {
        wit::VerificationError::Rejected(text) => VerificationError::Rejected(text),
        wit::VerificationError::Port(error) => VerificationError::Port(port_error(error)),
    }
}
