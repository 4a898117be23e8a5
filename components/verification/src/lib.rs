//! The verification component: `tocsin:component/verifier` by the verification certificate protocol.

#![cfg_attr(
    target_family = "wasm",
    expect(unsafe_code, reason = "only in what the bindings generate, at the component boundary")
)]

use tocsin_domain::health_authority::HealthAuthorityId;
use tocsin_domain::ports::settings::Settings;
use tocsin_domain::ports::verifier::{self as domain, Verifier};
use tocsin_domain::verification::certificate::CertificateVerifier;
use tocsin_guest::{Host, port_error_to_wit, report_type_to_wit};

mod bindings {
    wit_bindgen::generate!({
        path: "../../wit",
        inline: "package tocsin:guest; world verification { export tocsin:component/verifier@0.1.0; }",
        world: "tocsin:guest/verification",
        with: { "tocsin:types/types@0.1.0": tocsin_guest::bindings::tocsin::types::types },
        pub_export_macro: true,
    });
}

use bindings::exports::tocsin::component::verifier::{Claims, Guest, Proof, ProofKey, VerificationError};

struct Component;

/// Gives a verifier over the host to `work`.
fn with_verifier<T>(work: impl FnOnce(&dyn Verifier) -> T) -> T {
    work(&CertificateVerifier {
        settings: &Host.verification(),
        health_authorities: &Host,
        signature_check: &Host,
        clock: &Host,
    })
}

/// Gives a proof in the domain's form to `look`.
fn with_proof<T>(proof: &Proof, look: impl FnOnce(&domain::Proof<'_>) -> T) -> T {
    let Proof { verification_payload, hmac_key, allowed_health_authorities, keys } = proof;
    let allowed: Vec<_> = allowed_health_authorities.iter().copied().map(HealthAuthorityId).collect();
    look(&domain::Proof {
        verification_payload,
        hmac_key,
        allowed_health_authorities: &allowed,
        keys: keys.iter().map(proof_key).collect(),
    })
}

impl Guest for Component {
    fn verify(proof: Proof) -> Result<Claims, VerificationError> {
        let claims = with_verifier(|verifier| with_proof(&proof, |proof| verifier.verify(proof)));
        match claims {
            Ok(domain::Claims { health_authority, report_type, symptom_onset }) => Ok(Claims {
                health_authority: health_authority.0,
                report_type: report_type_to_wit(report_type),
                symptom_onset,
            }),
            Err(error) => Err(error_to_wit(error)),
        }
    }

    fn diagnose(proof: Proof) -> Vec<String> {
        with_verifier(|verifier| with_proof(&proof, |proof| verifier.diagnose(proof)))
    }

    fn authenticate(token: String) -> Result<u64, VerificationError> {
        let authority = with_verifier(|verifier| verifier.authenticate(&token));
        authority.map(|id| id.0).map_err(error_to_wit)
    }
}

fn error_to_wit(error: domain::VerificationError) -> VerificationError {
    match error {
        domain::VerificationError::Rejected(text) => VerificationError::Rejected(text),
        domain::VerificationError::Port(error) => VerificationError::Port(port_error_to_wit(error)),
    }
}

fn proof_key(sent: &ProofKey) -> domain::ProofKey<'_> {
    let ProofKey { key, rolling_start, rolling_period, transmission_risk } = sent;
    domain::ProofKey {
        key,
        rolling_start: *rolling_start,
        rolling_period: *rolling_period,
        transmission_risk: *transmission_risk,
    }
}

#[cfg(target_family = "wasm")]
bindings::export!(Component with_types_in bindings);
