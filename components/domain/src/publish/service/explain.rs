//! The use case: what would a publish do, and why. Changes nothing.

use super::{Answer, Incoming, PublishError, Publisher, proof, success};
use crate::authorized_app::AuthorizedApp;
use crate::exposure::{NewExposure, ReportType};
use crate::interval::{Timestamp, rfc3339};
use crate::ports::verifier::{Claims, VerificationError};
use crate::publish::request::PublishRequest;
use crate::publish::revision::{self, decide};
use crate::publish::revision_token::RevisionToken;
use crate::publish::transform::{Fate, key_fates, transform};
use crate::validation::Decision;
use serde::{Deserialize, Serialize};

/// What a publish would do. Holds no key, no token and no certificate.
#[derive(Clone, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Explanation {
    /// What the phone would be told.
    pub answer: ExplainedAnswer,
    /// The authorized app, if there is one of that name.
    pub app: Option<String>,
    /// Regions that the keys would be stored for.
    pub regions: Vec<String>,
    /// Whether they would be stored as a traveler's.
    pub traveler: bool,
    /// The certificate, as far as it was looked at.
    pub certificate: Option<ExplainedCertificate>,
    /// What the app's validators say; `None` if it has none, or they were not asked.
    #[serde(default)]
    pub validators: Option<ExplainedValidators>,
    /// The revision token, as far as it was looked at.
    pub revision_token: Option<ExplainedToken>,
    /// Each key, in the order of the request; empty when the body cannot be read.
    pub keys: Vec<ExplainedKey>,
}

impl Explanation {
    /// As JSON, which serde reads back.
    pub fn to_json(&self) -> String {
        // A struct of strings and numbers always serializes.
        serde_json::to_string(self).unwrap_or_default()
    }
}

/// What the phone would be told.
#[derive(Clone, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct ExplainedAnswer {
    /// HTTP status.
    pub status: u16,
    /// The `code`; empty: none.
    pub code: String,
    /// The `error`; empty: none.
    pub error: String,
    /// Keys stored for the first time.
    pub inserted_exposures: u64,
    /// The `warnings`.
    pub warnings: Vec<String>,
}

/// What the server thinks of a verification certificate.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExplainedCertificate {
    /// Whether it is valid and covers the keys.
    pub valid: bool,
    /// Why not.
    pub reason: Option<String>,
    /// What would have to change, as far as the server can tell.
    pub hints: Vec<String>,
    /// It is not valid, and the app may publish all the same.
    pub bypassed: bool,
    /// Its report type.
    pub report_type: Option<String>,
    /// Its symptom onset interval.
    pub symptom_onset_interval: Option<u32>,
}

/// What the app's validators say together.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExplainedValidators {
    /// In a word.
    pub outcome: ValidatorsOutcome,
    /// Name of a validator and why it refuses, for each that does.
    pub reasons: Vec<String>,
}

/// What the app's validators say, in a word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ValidatorsOutcome {
    /// The submission may be stored.
    Accepted,
    /// It may not.
    Refused,
    /// They cannot say now.
    TryLater,
    /// It may not, and the phone is told that it was stored.
    Pretended,
}

/// What the server thinks of a revision token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ExplainedToken {
    /// None was sent, or what was sent is not base64, which counts as none.
    Absent,
    /// It was not sealed by this server, or its key was destroyed.
    Unreadable,
    /// It holds so many keys.
    Holds(usize),
}

/// What would become of a key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExplainedKey {
    /// Its place in the request, from 0.
    pub index: usize,
    /// In a word.
    pub outcome: KeyOutcome,
    /// Why; empty when it is stored or revised.
    pub reason: String,
    /// When it counts as uploaded (or revised): decides which export carries it. Unix seconds.
    pub counts_from_unix: Option<i64>,
    /// The same, for people.
    pub counts_from: Option<String>,
    /// It is still valid, and held back until it is not.
    pub held_back: bool,
}

/// What would become of a key, in a word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum KeyOutcome {
    /// The whole request is refused.
    Refused,
    /// It is dropped, others may be stored.
    Dropped,
    /// It is stored for the first time.
    Stored,
    /// It is stored already, and its report type changes.
    Revised,
    /// It is stored already, and nothing changes.
    Unchanged,
    /// It is negative and unknown: there is nothing to take back.
    NothingToTakeBack,
    /// The same key comes again in the request, and the last one counts.
    Repeated,
}

impl ExplainedKey {
    fn new(index: usize, outcome: KeyOutcome, reason: impl Into<String>) -> Self {
        let reason = reason.into();
        Self { index, outcome, reason, counts_from_unix: None, counts_from: None, held_back: false }
    }

    fn at(self, time: Timestamp, now: Timestamp) -> Self {
        let (unix, text) = (time.unix(), rfc3339(time));
        Self { counts_from_unix: Some(unix), counts_from: Some(text), held_back: time > now, ..self }
    }
}

impl Publisher<'_> {
    /// What [`Publisher::publish`] would answer to `incoming` now, and why, key by key.
    pub fn explain(&self, incoming: &Incoming<'_>) -> Explanation {
        let mut explanation = Explanation::default();
        let answer = self.explain_into(incoming, &mut explanation).unwrap_or_else(PublishError::into_answer);
        let Answer { status, revision_token: _, inserted_exposures, error, code, warnings, chaff: _ } = answer;
        // A refusal is the reason of every key that has none of its own.
        for key in explanation.keys.iter_mut().filter(|key| key.outcome == KeyOutcome::Refused) {
            key.reason.clone_from(&error);
        }
        let inserted_exposures = u64::try_from(inserted_exposures).unwrap_or(u64::MAX);
        explanation.answer = ExplainedAnswer { status, code: code.to_owned(), error, inserted_exposures, warnings };
        explanation
    }

    fn explain_into(&self, incoming: &Incoming<'_>, explanation: &mut Explanation) -> Result<Answer, PublishError> {
        let request = incoming.read().map_err(PublishError::Request)?;
        if request.chaff == Some(true) {
            return Ok(Answer { status: 200, ..Answer::default() });
        }
        let refused = |index| ExplainedKey::new(index, KeyOutcome::Refused, "");
        explanation.keys = (0..request.keys.len()).map(refused).collect();
        explanation.traveler = request.traveler;
        let app = self.authorized_app(&request.health_authority_id)?;
        explanation.app = Some(app.name.clone());
        explanation.regions = self.regions(&request, &app)?;
        let claims = self.explain_claims(&request, &app, explanation)?;
        if app.validated {
            self.explain_validators(&request, &app, claims.as_ref(), explanation)?;
        }
        let token = RevisionToken::read(&request.revision_token, self.sealing).map_err(PublishError::Port)?;
        explanation.revision_token = Some(match &token {
            RevisionToken::Absent => ExplainedToken::Absent,
            RevisionToken::Unreadable => ExplainedToken::Unreadable,
            RevisionToken::Open(entries) => ExplainedToken::Holds(entries.len()),
        });
        let now = self.clock.now();
        let transformed = transform(&request, claims.as_ref(), self.settings, now);
        let fates = key_fates(&request, claims.as_ref(), self.settings, now);
        for (key, fate) in explanation.keys.iter_mut().zip(&fates) {
            match fate {
                Fate::Kept(_) => {}
                Fate::FarFromOnset(text) | Fate::Bad(text) => {
                    *key = ExplainedKey::new(key.index, KeyOutcome::Dropped, text.clone());
                }
            }
        }
        let transformed = transformed.map_err(PublishError::Transform)?;
        let keys: Vec<_> = transformed.keys.iter().map(|key| key.key).collect();
        let found = self.exposures.find(&keys).map_err(PublishError::Port)?;
        let decision = decide(&transformed.keys, &found, &token, self.revision_policy(&app))
            .map_err(|error| PublishError::Revision { error, warnings: transformed.warnings.clone() })?;
        for (index, fate) in fates.iter().enumerate() {
            if let (Fate::Kept(kept), Some(key)) = (fate, explanation.keys.get_mut(index)) {
                let comes_again = fates
                    .iter()
                    .skip(index + 1)
                    .any(|later| matches!(later, Fate::Kept(later) if later.key == kept.key));
                *key = if comes_again {
                    ExplainedKey::new(index, KeyOutcome::Repeated, "the same key comes again in the request")
                } else {
                    explain_key(index, kept, &decision, now)
                };
            }
        }
        Ok(success(transformed, decision.inserts.len(), None))
    }

    /// Asks them, as a publish would. That nothing of it is committed, [`Self::explain`] sees to by storing nothing.
    fn explain_validators(
        &self,
        request: &PublishRequest<'_>,
        app: &AuthorizedApp,
        claims: Option<&Claims>,
        explanation: &mut Explanation,
    ) -> Result<(), PublishError> {
        transform(request, claims, self.settings, self.clock.now()).map_err(PublishError::Transform)?;
        let (outcome, reasons, error) = match self.judge(request, app, &explanation.regions, claims)? {
            Decision::Accepted(_) => (ValidatorsOutcome::Accepted, Vec::new(), None),
            Decision::Refused(reasons) => (ValidatorsOutcome::Refused, reasons, Some(PublishError::Refused)),
            Decision::TryLater(reasons) => (ValidatorsOutcome::TryLater, reasons, Some(PublishError::TryLater)),
            // The phone is told something else; the operator wants to know what is.
            Decision::Pretend(reasons) => (ValidatorsOutcome::Pretended, reasons, Some(PublishError::Refused)),
        };
        explanation.validators = Some(ExplainedValidators { outcome, reasons });
        error.map_or(Ok(()), Err)
    }

    fn explain_claims(
        &self,
        request: &PublishRequest<'_>,
        app: &AuthorizedApp,
        explanation: &mut Explanation,
    ) -> Result<Option<Claims>, PublishError> {
        let proof = proof(request, app);
        match self.verifier.verify(&proof) {
            Ok(claims) => {
                explanation.certificate = Some(ExplainedCertificate {
                    valid: true,
                    reason: None,
                    hints: Vec::new(),
                    bypassed: false,
                    report_type: Some(claims.report_type.wire().to_owned()),
                    symptom_onset_interval: claims.symptom_onset,
                });
                Ok(Some(claims))
            }
            Err(VerificationError::Rejected(reason)) => {
                explanation.certificate = Some(ExplainedCertificate {
                    valid: false,
                    reason: Some(reason.clone()),
                    hints: self.verifier.diagnose(&proof),
                    bypassed: app.bypass_verification,
                    report_type: None,
                    symptom_onset_interval: None,
                });
                if app.bypass_verification { Ok(None) } else { Err(PublishError::Verification(reason)) }
            }
            Err(VerificationError::Port(error)) => Err(PublishError::Port(error)),
        }
    }
}

fn explain_key(index: usize, kept: &NewExposure, decision: &revision::Decision, now: Timestamp) -> ExplainedKey {
    if let Some(insert) = decision.inserts.iter().find(|insert| insert.key == kept.key) {
        return ExplainedKey::new(index, KeyOutcome::Stored, "").at(insert.created_at, now);
    }
    if let Some(revision) = decision.revisions.iter().find(|revision| revision.key == kept.key) {
        return ExplainedKey::new(index, KeyOutcome::Revised, "").at(revision.revision.revised_at, now);
    }
    if kept.report_type == Some(ReportType::Revoked) && decision.token_entries.iter().any(|entry| entry.key == kept.key)
    {
        let reason = "a negative key that is not stored here: there is nothing to take back";
        return ExplainedKey::new(index, KeyOutcome::NothingToTakeBack, reason);
    }
    let reason = "the key is stored already, and this changes nothing, or the revision token does not hold it";
    ExplainedKey::new(index, KeyOutcome::Unchanged, reason)
}
