//! App Attest: a key in the Secure Enclave, of which Apple certifies that it belongs to a genuine copy of the app,
//! bound to the submission. Everything is checked offline.
//!
//! Two methods. [`ATTESTATION`]: [`Evidence::token`] is the object that `attestKey` returns, [`Evidence::key_id`] the
//! 32 bytes of the key's id, and the client data hash is the hash of the submission's `ens-v4` transcript, raw. In
//! one-shot mode, the default, the key is made for this one submission and forgotten. In registration mode the key is
//! stored, and later submissions come as [`ASSERTION`]: the object that `generateAssertion` returns, over the same kind
//! of hash.
//!
//! Rules: Apple's "Validating apps that connect to your server", in its order, and the checks of receipts from
//! "Assessing fraud risk". Further rules are ours and say so. There is no revocation; the trust anchors (sets
//! [`ANCHORS`] and [`RECEIPT_ANCHORS`]) are the Apple App Attestation Root CA and Apple Root CA - G3.
//!
//! That a challenge is the server's, fresh and unused is for the host to check, before it is given as
//! [`Submission::challenge`]; the transcript covers it.

mod assertion;
mod attestation;
mod auth_data;
mod config;
mod receipt;

use sha2::{Digest, Sha256};

use crate::contract::{Evidence, Outcome, Rejection, Services, Stage, Submission};

use auth_data::Extensions;
pub use config::{AbsentRule, AppAttestConfig, Environment, Freshness, Mode, ReceiptRule};

/// Method of evidence with an attestation.
pub const ATTESTATION: &str = "app-attest";
/// Method of evidence with an assertion.
pub const ASSERTION: &str = "app-attest-assertion";
/// Name of the set of trust anchors of attested keys.
pub const ANCHORS: &str = "apple-app-attest";
/// Name of the set of trust anchors of receipts.
pub const RECEIPT_ANCHORS: &str = "apple-root-g3";
/// Space of the claims that make an attestation usable once.
pub const CLAIM_SPACE: &str = "app-attest";
/// Format of the transcript whose hash is the client data hash.
pub const TRANSCRIPT: &str = "ens-v4";

/// Judges an attestation or an assertion. Never asks for an exchange.
pub fn begin(
    submission: &Submission,
    evidence: &Evidence,
    config: &AppAttestConfig,
    services: &dyn Services,
) -> Outcome {
    let judged = prepare(submission, config).and_then(|expected| match (evidence.method.as_str(), config.mode) {
        (ATTESTATION, Mode::OneShot | Mode::Registered) => attestation::judge(evidence, &expected, config, services),
        (ASSERTION, Mode::Registered) => assertion::judge(evidence, &expected, config, services),
        (ASSERTION, Mode::OneShot) => Err(misconfigured("assertions are accepted only in mode registered")),
        _ => Err(misconfigured("the method is neither app-attest nor app-attest-assertion")),
    });
    match judged {
        Ok(acceptance) => Outcome::Accept(acceptance),
        Err(rejection) => Outcome::Reject(rejection),
    }
}

/// What evidence must be about.
struct Expected<'a> {
    submission: &'a Submission,
    /// Team and bundle id.
    app_id: String,
    /// The hash of the submission.
    client_data_hash: &'a [u8; 32],
}

impl Expected<'_> {
    /// Refuses authenticator data of another app.
    fn check_app(&self, rp_id_hash: &[u8; 32]) -> Result<(), Rejection> {
        if Sha256::digest(&self.app_id)[..] == rp_id_hash[..] {
            return Ok(());
        }
        Err(Rejection::new("app-mismatch", Stage::Identity, "the key belongs to another app or team"))
    }

    /// What the device's key or Apple signed: SHA-256 of the received authenticator data and the hash.
    fn nonce(&self, auth_data: &[u8]) -> [u8; 32] {
        Sha256::new().chain_update(auth_data).chain_update(self.client_data_hash).finalize().into()
    }
}

fn prepare<'a>(submission: &'a Submission, config: &AppAttestConfig) -> Result<Expected<'a>, Rejection> {
    if let Some(problem) = config.problem() {
        return Err(misconfigured(problem));
    }
    let bundle_id = config.bundle_id.as_deref().unwrap_or(&submission.app);
    if bundle_id.is_empty() {
        return Err(misconfigured("bundle_id is empty"));
    }
    Ok(Expected {
        submission,
        app_id: format!("{}.{bundle_id}", config.team_id),
        client_data_hash: submission
            .transcript(TRANSCRIPT)
            .ok_or_else(|| misconfigured("the submission has no ens-v4 transcript"))?,
    })
}

/// Refuses what iOS 27 says of an app that is distributed in another way than the operator wants.
fn check_extensions(extensions: Extensions<'_>, config: &AppAttestConfig) -> Result<(), Rejection> {
    let refused = |code, detail| Err(Rejection::new(code, Stage::Integrity, detail));
    let absent_passes = config.category_absent == AbsentRule::Allow;
    let is_good = extensions.category.map_or(absent_passes, |category| config.categories.contains(&category));
    if !config.categories.is_empty() && !is_good {
        return refused(
            "aa-category",
            "the app was not distributed in a way that categories lists, or does not say how",
        );
    }
    let is_listed = |version: &str| config.bundle_versions.iter().any(|listed| listed == version);
    if !config.bundle_versions.is_empty() && !extensions.bundle_version.map_or(absent_passes, is_listed) {
        return refused(
            "aa-bundle-version",
            "the app's version is not one of bundle_versions, or it does not say which",
        );
    }
    Ok(())
}

/// What may be counted: kinds that very many devices share.
fn signals(environment: Environment, extensions: Extensions<'_>) -> Vec<(String, String)> {
    let category = match extensions.category {
        None => "absent".to_owned(),
        Some(number @ 1..=10) => number.to_string(),
        Some(_) => "unknown".to_owned(),
    };
    vec![("environment".to_owned(), environment.name().to_owned()), ("category".to_owned(), category)]
}

fn misconfigured(detail: &'static str) -> Rejection {
    Rejection::new("config-missing", Stage::Config, detail)
}
