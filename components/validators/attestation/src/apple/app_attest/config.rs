//! What an operator sets for App Attest.

use serde::{Deserialize, Serialize};

use crate::challenge::ChallengeRule;
use crate::contract::Score;

/// What an operator sets for App Attest of one app. With nothing but [`Self::team_id`] set, it accepts one-shot
/// evidence of a production build from the App Store or TestFlight, at most five minutes old by Apple's receipt.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct AppAttestConfig {
    /// Apple's id of the team that makes the app: ten letters and digits. Required.
    pub team_id: String,
    /// Bundle id of the app, in its exact spelling; the name of the authorized app if absent.
    pub bundle_id: Option<String>,
    /// Environments whose keys are accepted; at least one.
    pub environments: Vec<Environment>,
    /// Whether each submission has a key of its own.
    pub mode: Mode,
    /// How the app may have been distributed (iOS 27 and later say so), by Apple's numbers: 1 part of the system,
    /// 2 TestFlight, 3 development, 4 App Store, 5 enterprise or ad hoc, 6 Developer ID, 10 other. Empty: any way.
    pub categories: Vec<u32>,
    /// Bundle versions that are accepted (iOS 27 and later say so). Empty: all.
    pub bundle_versions: Vec<String>,
    /// What becomes of evidence without category or bundle version, as of all systems before iOS 27.
    pub category_absent: AbsentRule,
    /// Whether Apple's receipt within the attestation is checked.
    pub receipt: ReceiptRule,
    /// What says when the attestation was made.
    pub freshness: Freshness,
    /// How old an attestation may be, seconds, at least 1. Apple recommends 300 for receipts.
    pub max_age_seconds: u32,
    /// How far Apple's clock may be ahead of this one, seconds.
    pub skew_seconds: u32,
    /// Whether an attestation must answer a challenge of the server. Without, Apple's dates say how old it is.
    pub challenge: ChallengeRule,
    /// Whether an assertion must answer a challenge of the server. Without, only its counter says that it is new.
    pub assertion_challenge: ChallengeRule,
    /// Whether `categories` and `bundle_versions` apply to assertions, too. Off because Apple has not documented how
    /// assertions spell them.
    pub check_assertion_extensions: bool,
    /// Score of acceptances.
    pub score: Score,
}

impl Default for AppAttestConfig {
    fn default() -> Self {
        Self {
            team_id: String::new(),
            bundle_id: None,
            environments: vec![Environment::Production],
            mode: Mode::OneShot,
            categories: vec![2, 4],
            bundle_versions: Vec::new(),
            category_absent: AbsentRule::Allow,
            receipt: ReceiptRule::Required,
            freshness: Freshness::Receipt,
            max_age_seconds: 300,
            skew_seconds: 60,
            challenge: ChallengeRule::Optional,
            assertion_challenge: ChallengeRule::Required,
            check_assertion_extensions: false,
            score: Score::default(),
        }
    }
}

impl AppAttestConfig {
    /// What is wrong with it, and what to do.
    pub(super) fn problem(&self) -> Option<&'static str> {
        if !crate::apple::is_apple_id(&self.team_id) {
            return Some("team_id is not the team's id of ten letters and digits");
        }
        if self.environments.is_empty() {
            return Some("environments is empty: list production, development or both");
        }
        if self.max_age_seconds == 0 {
            return Some("max_age_seconds is 0");
        }
        if self.freshness == Freshness::Receipt && self.receipt == ReceiptRule::Ignored {
            return Some("freshness is receipt but the receipt is ignored: change one of them");
        }
        None
    }
}

/// Where a build's keys are good.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Environment {
    /// TestFlight, App Store and enterprise builds.
    Production,
    /// Builds of developers.
    Development,
}

impl Environment {
    /// Its name in signals.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Production => "production",
            Self::Development => "development",
        }
    }
}

/// Whether keys are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Mode {
    /// Each submission comes with a fresh key's attestation, and the key is forgotten: nothing links submissions.
    OneShot,
    /// The first submission of an app installation registers its key; later ones come with an assertion by it. The
    /// server then keeps ids of keys of people who published.
    Registered,
}

/// What becomes of evidence that does not say something.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum AbsentRule {
    /// It passes.
    Allow,
    /// It is refused.
    Refuse,
}

/// Whether Apple's receipt is checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ReceiptRule {
    /// There must be one, and all of it must be right.
    Required,
    /// It is not looked at.
    Ignored,
}

/// What says when an attestation was made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Freshness {
    /// The creation time in Apple's receipt.
    Receipt,
    /// The certificate: it was always dated 24 hours back. Observed, not documented by Apple.
    CertificateDates,
    /// Nothing: an attestation is good as long as its certificate is valid, which is days to a year.
    CertificateValidity,
}
