//! Assertions: signatures by a key that an earlier submission registered.

use crate::cbor::Value;
use crate::contract::{Acceptance, Commit, Evidence, Rejection, Services, Stage};
use crate::x509::{EcKey, Key as _, SignatureAlgorithm};

use super::auth_data::AuthData;
use super::config::{AppAttestConfig, Environment};
use super::{Expected, check_extensions, signals};

/// Largest assertion object, bytes. Apple's have 140 to 250.
const MAX_BYTES: usize = 4 * 1024;

pub(super) fn judge(
    evidence: &Evidence,
    expected: &Expected<'_>,
    config: &AppAttestConfig,
    services: &dyn Services,
) -> Result<Acceptance, Rejection> {
    let malformed = |detail| Rejection::new("aa-assert-malformed", Stage::Parse, detail);
    if evidence.token.len() > MAX_BYTES {
        return Err(malformed("the assertion is larger than 4 KiB"));
    }
    let object = Value::parse(&evidence.token).map_err(|_| malformed("the assertion is not one strict CBOR value"))?;
    let bytes = |key| object.get(key).and_then(Value::as_bytes);
    let signature = bytes("signature").ok_or_else(|| malformed("there is no signature"))?;
    let signed = bytes("authenticatorData").ok_or_else(|| malformed("there is no authenticator data"))?;
    let auth_data = AuthData::parse(signed).map_err(|error| malformed(error.0))?;
    let extensions = auth_data.extensions().map_err(|error| malformed(error.0))?;

    // Step 1: the key.
    let key_id = evidence.key_id.as_deref().unwrap_or_default();
    let key = services
        .find_key(&expected.submission.app, key_id)
        .filter(|key| key.app == expected.submission.app && key.key_id == key_id)
        .ok_or_else(|| Rejection::new("aa-unknown-key", Stage::State, "the key is not registered for this app"))?;
    let environment = if key.development { Environment::Development } else { Environment::Production };
    if !config.environments.contains(&environment) {
        return Err(Rejection::new(
            "aa-environment",
            Stage::Identity,
            "the key's environment is not one of environments",
        ));
    }
    // Steps 2 and 3: the nonce is the message, so it is hashed once more. Another submission shows here, too.
    EcKey::from_p256_point(&key.public_key)
        .and_then(|public| public.verify(SignatureAlgorithm::EcdsaSha256, &expected.nonce(signed), signature))
        .map_err(|_| {
            let detail = "the signature is not that of the key over this submission";
            Rejection::new("aa-assert-signature", Stage::Signature, detail)
        })?;
    // Step 4.
    expected.check_app(auth_data.rp_id_hash)?;
    // Step 5.
    if auth_data.counter <= key.counter {
        return Err(Rejection::new("aa-counter", Stage::State, "the key's counter did not grow"));
    }
    // Step 6.
    config.assertion_challenge.check(expected.submission)?;
    // Steps 7 and 8, of iOS 27.
    if config.check_assertion_extensions {
        check_extensions(extensions, config)?;
    }
    Ok(Acceptance {
        score: config.score,
        signals: signals(environment, extensions),
        commits: vec![Commit::AdvanceCounter { key_id: key.key_id, expected: key.counter, next: auth_data.counter }],
    })
}
