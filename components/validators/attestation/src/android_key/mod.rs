//! Android Key Attestation: the phone makes a key in its secure hardware for this one submission, and the hardware
//! certifies it together with the hash of the submission, the state of the device and the app. The key itself is never
//! used and never stored. Everything is checked offline; the host keeps the list of revoked certificates.
//!
//! The evidence is [`Evidence::chain`], leaf first, as `KeyStore.getCertificateChain` returns it. The attestation
//! challenge of the key is the 32-byte hash of the submission's `ens-v4` transcript, which covers the server's
//! challenge; that the challenge is the server's, fresh and unused is for the host to check. [`Evidence::token`] and
//! [`Evidence::key_id`] are not looked at.
//!
//! Rules: Android's "Verify hardware-backed key pairs with key attestation", and Google's own verifier where that is
//! silent. The trust anchors (set [`ANCHORS`]) are Google's two attestation roots, pinned by subject and key.

pub mod chain;
mod config;
pub mod key_description;
pub mod tlv;

use subtle::ConstantTimeEq;

use crate::contract::{Acceptance, Commit, Evidence, Outcome, Rejection, Services, Stage, Submission};

use chain::{Chain, Provisioning};
pub use config::{AndroidKeyConfig, CertificateDigest, RequiredLevel};
use key_description::{KeyDescription, Origin, SecurityLevel, VerifiedBootState};

/// Name of the method in evidence.
pub const METHOD: &str = "android-key";
/// Name of the set of trust anchors.
pub const ANCHORS: &str = "android-key-attestation";
/// Space of the claims that make a key usable once.
pub const CLAIM_SPACE: &str = "android-key";
/// Format of the transcript that the attestation challenge is the hash of.
pub const TRANSCRIPT: &str = "ens-v4";
/// KeyMint's purpose of signing.
const PURPOSE_SIGN: u64 = 2;

/// Judges an attested key. Never asks for an exchange.
pub fn begin(
    submission: &Submission,
    evidence: &Evidence,
    config: &AndroidKeyConfig,
    services: &dyn Services,
) -> Outcome {
    match judge(submission, evidence, config, services) {
        Ok(acceptance) => Outcome::Accept(acceptance),
        Err(rejection) => Outcome::Reject(rejection),
    }
}

fn judge(
    submission: &Submission,
    evidence: &Evidence,
    config: &AndroidKeyConfig,
    services: &dyn Services,
) -> Result<Acceptance, Rejection> {
    let (anchors, now) = (services.anchors(ANCHORS), services.now());
    let binding = check_config(submission, config, &anchors)?;
    config.challenge.check(submission)?;
    let chain = Chain::parse(&evidence.chain)?;
    let (provisioning, extension) = chain.verify(&anchors, now, services)?;
    let description = KeyDescription::parse(extension)
        .map_err(|malformed| Rejection::new("ka-extension", Stage::Parse, malformed.0))?;

    check_description(&description, binding, &submission.app, config, now)?;

    let remembered = i64::from(config.max_age_seconds) + i64::from(config.skew_seconds);
    Ok(Acceptance {
        score: config.score,
        signals: signals(&description, provisioning),
        commits: vec![Commit::ClaimOnce {
            space: CLAIM_SPACE.to_owned(),
            digest: chain.target_key_sha256(),
            expires_at: now.saturating_add(remembered),
        }],
    })
}

/// Steps 7 to 13: what an attestation must say about a submission with that hash, from that app, at `now` (Unix
/// seconds). Whether it may be believed is not asked here.
pub fn check_description(
    description: &KeyDescription<'_>,
    binding: &[u8],
    app: &str,
    config: &AndroidKeyConfig,
    now: i64,
) -> Result<(), Rejection> {
    // Slices of different lengths are unequal.
    if !bool::from(description.attestation_challenge.ct_eq(binding)) {
        return Err(Rejection::new("binding-mismatch", Stage::Binding, "the key attests another submission"));
    }
    check_key(description, config)?;
    check_device(description, config)?;
    check_app(description, config, app)?;
    check_age(description, config, now)
}

/// What does not depend on the evidence; the binding that is expected.
fn check_config<'a>(
    submission: &'a Submission,
    config: &AndroidKeyConfig,
    anchors: &[Vec<u8>],
) -> Result<&'a [u8; 32], Rejection> {
    let missing = |detail| Rejection::new("config-missing", Stage::Config, detail);
    if config.certificate_sha256.is_empty() {
        return Err(missing("certificate_sha256 is empty: list the certificates that sign the app"));
    }
    if config.max_age_seconds == 0 {
        return Err(missing("max_age_seconds is 0"));
    }
    if anchors.is_empty() {
        return Err(missing("the trust anchor set android-key-attestation is empty"));
    }
    submission.transcript(TRANSCRIPT).ok_or_else(|| missing("the submission has no ens-v4 transcript"))
}

/// Steps 8 and 9: the key lives in secure hardware, was made there, and signs.
fn check_key(description: &KeyDescription<'_>, config: &AndroidKeyConfig) -> Result<(), Rejection> {
    let required = match config.security_level {
        RequiredLevel::Tee => SecurityLevel::TrustedEnvironment,
        RequiredLevel::StrongBox => SecurityLevel::StrongBox,
    };
    if description.security_level() < required {
        return Err(integrity(
            "integrity-security-level",
            "the key or its attestation is not kept as securely as required",
        ));
    }
    if description.hardware_enforced.origin != Some(Origin::Generated) {
        return Err(integrity("ka-key-origin", "the secure hardware did not make the key"));
    }
    let purposes = description.hardware_enforced.purposes.as_deref().unwrap_or_default();
    if !purposes.contains(&PURPOSE_SIGN) {
        return Err(integrity("ka-key-origin", "the key does not sign"));
    }
    Ok(())
}

/// Steps 10 and 11: how the device was started, and how old its software is; both only as the hardware says.
fn check_device(description: &KeyDescription<'_>, config: &AndroidKeyConfig) -> Result<(), Rejection> {
    let hardware = &description.hardware_enforced;
    if config.require_verified_boot {
        let root = hardware.root_of_trust.as_ref().ok_or_else(|| {
            integrity("integrity-boot", "the secure hardware says nothing about the start of the device")
        })?;
        if root.verified_boot_state != VerifiedBootState::Verified {
            return Err(integrity("integrity-boot", "the system is not the manufacturer's"));
        }
        if !root.device_locked {
            return Err(integrity("integrity-boot", "the boot loader is unlocked"));
        }
    }
    let day = |level: Option<u64>| level.map(day_of_patch);
    for (found, least) in [
        (hardware.os_patch_level, config.min_os_patch_yyyymm),
        (day(hardware.vendor_patch_level), config.min_vendor_patch_yyyymmdd),
        (day(hardware.boot_patch_level), config.min_boot_patch_yyyymmdd),
    ] {
        if least.is_some_and(|least| found.is_none_or(|found| found < u64::from(least))) {
            return Err(integrity("patch-too-old", "the security fixes are older than required, or of unknown age"));
        }
    }
    Ok(())
}

/// Some phones give the month alone (YYYYMM) where the schema wants a day; day 0 of it is before every day.
fn day_of_patch(level: u64) -> u64 {
    if level < 1_000_000 { level * 100 } else { level }
}

/// Step 12. The system says which app made the key, so this is as good as verified boot.
fn check_app(description: &KeyDescription<'_>, config: &AndroidKeyConfig, app: &str) -> Result<(), Rejection> {
    let package = config.package.as_deref().unwrap_or(app);
    let id = description.software_enforced.attestation_application_id.as_ref();
    if !id.is_some_and(|id| id.packages.iter().any(|found| found.name == package)) {
        return Err(Rejection::new("app-mismatch", Stage::Identity, "the key belongs to another app, or to none"));
    }
    let is_expected = |digest: &[u8; 32]| config.certificate_sha256.iter().any(|expected| expected.0 == *digest);
    if !id.is_some_and(|id| id.signature_digests.iter().any(|digest| is_expected(digest))) {
        return Err(Rejection::new("cert-digest-mismatch", Stage::Identity, "the app is signed by somebody else"));
    }
    Ok(())
}

/// Step 13. The phone's clock is a weak witness; the challenge is the strong one.
fn check_age(description: &KeyDescription<'_>, config: &AndroidKeyConfig, now: i64) -> Result<(), Rejection> {
    let freshness = |code, detail| Rejection::new(code, Stage::Freshness, detail);
    let created = description
        .software_enforced
        .creation_date_time
        .or(description.hardware_enforced.creation_date_time)
        .ok_or_else(|| freshness("stale", "the attestation does not say when the key was made"))?;
    let created = i64::try_from(created / 1_000).unwrap_or(i64::MAX);
    if created < now.saturating_sub(i64::from(config.max_age_seconds)) {
        return Err(freshness("stale", "the key is older than max_age_seconds"));
    }
    if created > now.saturating_add(i64::from(config.skew_seconds)) {
        return Err(freshness("in-future", "the key is newer than skew_seconds allows"));
    }
    Ok(())
}

/// For counting: kinds and dates that very many phones share.
fn signals(description: &KeyDescription<'_>, provisioning: Provisioning) -> Vec<(String, String)> {
    let level = match description.security_level() {
        SecurityLevel::Software => "software",
        SecurityLevel::TrustedEnvironment => "tee",
        SecurityLevel::StrongBox => "strong-box",
    };
    let provisioning = match provisioning {
        Provisioning::Factory => "factory",
        Provisioning::Remote => "remote",
    };
    vec![
        ("security-level".to_owned(), level.to_owned()),
        ("provisioning".to_owned(), provisioning.to_owned()),
        ("attestation-version".to_owned(), description.attestation_version.to_string()),
    ]
}

fn integrity(code: &'static str, detail: &'static str) -> Rejection {
    Rejection::new(code, Stage::Integrity, detail)
}
