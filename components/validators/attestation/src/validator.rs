//! The validators that ship with the server: which methods of evidence each knows, and what they share: the configuration
//! is read strictly, there must be evidence, and its binary parts come as base64.

mod configuration;
mod roots;
#[cfg(test)]
mod tests;

use std::borrow::Cow;

use base64ct::{Base64, Base64Unpadded, Encoding};
use serde::de::DeserializeOwned;

use crate::android_key::{self, AndroidKeyConfig};
use crate::apple::app_attest::{self, AppAttestConfig};
use crate::apple::device_check::{self, DeviceCheckConfig};
use crate::contract::{Evidence, HttpAnswer, Outcome, Rejection, Services, Stage, Submission};
use crate::google::play_integrity::{self, Kind, PlayIntegrityConfig};
use crate::google::safetynet::{self, SafetyNetConfig};

/// A validator: some methods of evidence and what judges them. [`validate`] and [`resume`] call it.
pub trait Validator {
    /// What the operator sets. Each field has a default and unknown ones are refused.
    type Config: DeserializeOwned;
    /// Its name.
    const NAME: &'static str;
    /// The methods of evidence that it knows.
    const METHODS: &'static [&'static str];

    /// The evidence with its binary parts decoded.
    fn decode(evidence: &Evidence) -> Result<Cow<'_, Evidence>, Rejection> {
        Ok(Cow::Borrowed(evidence))
    }

    /// Judges evidence of one of [`Self::METHODS`], decoded.
    fn begin(submission: &Submission, evidence: &Evidence, config: &Self::Config, services: &dyn Services) -> Outcome;

    /// Goes on after an exchange. Validators that ask nobody never expect an answer.
    fn resume(
        _submission: &Submission,
        _evidence: &Evidence,
        _config: &Self::Config,
        _services: &dyn Services,
        _answer: &HttpAnswer,
    ) -> Outcome {
        let detail = "an answer came, but this validator asks nobody";
        Outcome::Reject(Rejection::new("answer-unexpected", Stage::Upstream, detail))
    }
}

/// Judges a submission. `configuration` is JSON as the operator wrote it.
pub fn validate<V: Validator>(
    submission: &Submission,
    evidence: Option<&Evidence>,
    configuration: &str,
    services: &dyn Services,
) -> Outcome {
    not_the_phones_fault(match prepare::<V>(evidence, configuration) {
        Ok((evidence, config)) => V::begin(submission, &evidence, &config, services),
        Err(rejection) => Outcome::Reject(rejection),
    })
}

/// Goes on after an exchange. Submission, evidence and configuration are the same again, so nothing else had to be
/// remembered.
pub fn resume<V: Validator>(
    submission: &Submission,
    evidence: Option<&Evidence>,
    configuration: &str,
    services: &dyn Services,
    answer: &HttpAnswer,
) -> Outcome {
    not_the_phones_fault(match prepare::<V>(evidence, configuration) {
        Ok((evidence, config)) => V::resume(submission, &evidence, &config, services, answer),
        Err(rejection) => Outcome::Reject(rejection),
    })
}

/// Refusals that the operator can end may be tried again: a wrong setting must not cost a person's keys.
fn not_the_phones_fault(mut outcome: Outcome) -> Outcome {
    if let Outcome::Reject(rejection) = &mut outcome {
        rejection.retryable |=
            rejection.stage == Stage::Config || matches!(rejection.code, "upstream-auth" | "upstream-config");
    }
    outcome
}

/// What every validator does first, in this order: an operator whose configuration is wrong learns it from any
/// submission.
fn prepare<'a, V: Validator>(
    evidence: Option<&'a Evidence>,
    configuration: &str,
) -> Result<(Cow<'a, Evidence>, V::Config), Rejection> {
    let config = configuration::read(configuration)?;
    let evidence =
        evidence.ok_or_else(|| Rejection::new("evidence-missing", Stage::Parse, "the phone sent no evidence"))?;
    if !V::METHODS.contains(&evidence.method.as_str()) {
        let detail = format!("the method of the evidence is none of: {}", V::METHODS.join(", "));
        return Err(Rejection::new("method-unsupported", Stage::Parse, detail));
    }
    Ok((V::decode(evidence)?, config))
}

/// Standard base64, padded or not; `None` if it is not, or has a second spelling.
fn decode_base64(text: &[u8]) -> Option<Vec<u8>> {
    let text = std::str::from_utf8(text).ok()?;
    Base64::decode_vec(text).or_else(|_| Base64Unpadded::decode_vec(text)).ok()
}

/// Apple App Attest: attestations and assertions.
#[derive(Clone, Copy, Debug)]
pub struct AppAttest;

impl Validator for AppAttest {
    type Config = AppAttestConfig;
    const NAME: &'static str = "app-attest";
    const METHODS: &'static [&'static str] = &[app_attest::ATTESTATION, app_attest::ASSERTION];

    /// The token is the base64 of the object.
    fn decode(evidence: &Evidence) -> Result<Cow<'_, Evidence>, Rejection> {
        let code = if evidence.method == app_attest::ASSERTION { "aa-assert-malformed" } else { "aa-malformed" };
        let token = decode_base64(&evidence.token)
            .ok_or_else(|| Rejection::new(code, Stage::Parse, "the token is not base64"))?;
        Ok(Cow::Owned(Evidence {
            method: evidence.method.clone(),
            token,
            chain: Vec::new(),
            key_id: evidence.key_id.clone(),
        }))
    }

    fn begin(
        submission: &Submission,
        evidence: &Evidence,
        config: &AppAttestConfig,
        services: &dyn Services,
    ) -> Outcome {
        app_attest::begin(submission, evidence, config, &roots::OrApples(services))
    }
}

/// Apple DeviceCheck.
#[derive(Clone, Copy, Debug)]
pub struct DeviceCheck;

impl Validator for DeviceCheck {
    type Config = DeviceCheckConfig;
    const NAME: &'static str = "device-check";
    const METHODS: &'static [&'static str] = &[device_check::METHOD];

    fn begin(
        submission: &Submission,
        evidence: &Evidence,
        config: &DeviceCheckConfig,
        services: &dyn Services,
    ) -> Outcome {
        device_check::begin(submission, evidence, config, services)
    }

    fn resume(
        submission: &Submission,
        evidence: &Evidence,
        config: &DeviceCheckConfig,
        services: &dyn Services,
        answer: &HttpAnswer,
    ) -> Outcome {
        device_check::resume(submission, evidence, config, services, answer)
    }
}

/// Google Play Integrity: classic and standard tokens.
#[derive(Clone, Copy, Debug)]
pub struct PlayIntegrity;

impl Validator for PlayIntegrity {
    type Config = PlayIntegrityConfig;
    const NAME: &'static str = "play-integrity";
    const METHODS: &'static [&'static str] = &[Kind::Classic.method(), Kind::Standard.method()];

    fn begin(
        submission: &Submission,
        evidence: &Evidence,
        config: &PlayIntegrityConfig,
        services: &dyn Services,
    ) -> Outcome {
        play_integrity::begin(submission, evidence, config, services)
    }

    fn resume(
        submission: &Submission,
        evidence: &Evidence,
        config: &PlayIntegrityConfig,
        services: &dyn Services,
        answer: &HttpAnswer,
    ) -> Outcome {
        play_integrity::resume(submission, evidence, config, services, answer)
    }
}

/// Android Key Attestation.
#[derive(Clone, Copy, Debug)]
pub struct AndroidKey;

impl Validator for AndroidKey {
    type Config = AndroidKeyConfig;
    const NAME: &'static str = "android-key";
    const METHODS: &'static [&'static str] = &[android_key::METHOD];

    /// The chain, or for apps that have only one text to send it in, the token: the certificates' base64, separated by
    /// commas.
    fn decode(evidence: &Evidence) -> Result<Cow<'_, Evidence>, Rejection> {
        if !evidence.chain.is_empty() || evidence.token.is_empty() {
            return Ok(Cow::Borrowed(evidence));
        }
        let chain: Option<Vec<Vec<u8>>> = evidence.token.split(|byte| *byte == b',').map(decode_base64).collect();
        let chain = chain.ok_or_else(|| {
            let detail = "the token is not the base64 of certificates, separated by commas";
            Rejection::new("ka-chain-shape", Stage::Parse, detail)
        })?;
        Ok(Cow::Owned(Evidence { method: evidence.method.clone(), token: Vec::new(), chain, key_id: None }))
    }

    fn begin(
        submission: &Submission,
        evidence: &Evidence,
        config: &AndroidKeyConfig,
        services: &dyn Services,
    ) -> Outcome {
        android_key::begin(submission, evidence, config, services)
    }
}

/// Recorded attestations of Android SafetyNet.
#[derive(Clone, Copy, Debug)]
pub struct SafetyNet;

impl Validator for SafetyNet {
    type Config = SafetyNetConfig;
    const NAME: &'static str = "safetynet";
    const METHODS: &'static [&'static str] = &[safetynet::METHOD];

    fn begin(
        submission: &Submission,
        evidence: &Evidence,
        config: &SafetyNetConfig,
        services: &dyn Services,
    ) -> Outcome {
        safetynet::begin(submission, evidence, config, services)
    }
}
