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

impl Guest for Component {
    fn verify(proof: Proof) -> Result<Claims, VerificationError> {
        let Proof { verification_payload, hmac_key, allowed_health_authorities, keys } = &proof;
        let allowed: Vec<_> = allowed_health_authorities.iter().copied().map(HealthAuthorityId).collect();
        let verifier = CertificateVerifier {
            settings: &Host.verification(),
            health_authorities: &Host,
            signature_check: &Host,
            clock: &Host,
        };
        let claims = verifier.verify(&domain::Proof {
            verification_payload,
            hmac_key,
            allowed_health_authorities: &allowed,
            keys: keys.iter().map(proof_key).collect(),
        });
        match claims {
            Ok(domain::Claims { health_authority, report_type, symptom_onset }) => Ok(Claims {
                health_authority: health_authority.0,
                report_type: report_type_to_wit(report_type),
                symptom_onset,
            }),
            Err(domain::VerificationError::Rejected(text)) => Err(VerificationError::Rejected(text)),
            Err(domain::VerificationError::Port(error)) => Err(VerificationError::Port(port_error_to_wit(error))),
        }
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
