//! The use case: one publish from body to answer.

#[cfg(test)]
mod model_tests;
#[cfg(test)]
mod tests;

use crate::authorized_app::AuthorizedApp;
use crate::ports::authorized_apps::AuthorizedApps;
use crate::ports::exposures::{Exposures, Submission};
use crate::ports::sealing::Sealing;
use crate::ports::verifier::{Claims, Proof, ProofKey, VerificationError, Verifier};
use crate::ports::{Clock, PortError, Random};
use crate::problem::PublishCode;
use crate::publish::request::{PublishRequest, RequestError, RequestKey};
use crate::publish::response::{Answer, PublishResponse};
use crate::publish::revision::{Decision, RevisionError, RevisionPolicy, decide};
use crate::publish::revision_token::{self, RevisionToken};
use crate::publish::transform::{TransformError, Transformed, oldest_end, transform};
use crate::settings::PublishSettings;
use crate::tek::TemporaryExposureKey;
use crate::text::shortened;
use std::fmt;

/// How often a publish is decided when others change the same rows in between.
const MAX_ATTEMPTS: u32 = 5;

/// Answers publish requests with the help of the ports.
#[derive(Clone, Copy)]
pub struct Publisher<'a> {
    /// What the operator configured.
    pub settings: &'a PublishSettings,
    /// Which apps may publish.
    pub authorized_apps: &'a dyn AuthorizedApps,
    /// Checks the proof of the diagnosis.
    pub verifier: &'a dyn Verifier,
    /// The store.
    pub exposures: &'a dyn Exposures,
    /// Seals and opens revision tokens.
    pub sealing: &'a dyn Sealing,
    /// The time; read once for each decision.
    pub clock: &'a dyn Clock,
    /// For padding.
    pub random: &'a dyn Random,
}

impl Publisher<'_> {
    /// Answers a `POST /v1/publish`.
    ///
    /// `content_type` is the header's value, `body` the whole body; one byte more than
    /// [`MAX_BODY_BYTES`](crate::publish::request::MAX_BODY_BYTES) is enough to have it refused as too large.
    pub fn publish(&self, content_type: Option<&str>, body: &[u8]) -> PublishResponse {
        let answer = match PublishRequest::parse(content_type, body) {
            Ok(request) => self.process(&request).unwrap_or_else(PublishError::into_answer),
            Err(error) => PublishError::Request(error).into_answer(),
        };
        answer.into_response(self.random, self.settings)
    }

    fn process(&self, request: &PublishRequest<'_>) -> Result<Answer, PublishError> {
        let app = self.authorized_app(&request.health_authority_id)?;
        let regions = self.regions(&app, &request.health_authority_id)?;
        let claims = self.claims(request, &app)?;
        let token = RevisionToken::read(&request.revision_token, self.sealing).map_err(PublishError::Port)?;
        let mut submission = Submission {
            app: app.name,
            regions,
            traveler: request.traveler,
            health_authority: claims.as_ref().map(|claims| claims.health_authority),
            inserts: Vec::new(),
            revisions: Vec::new(),
        };
        let policy = RevisionPolicy {
            require_token: !app.bypass_revision_token,
            allow_partial: self.settings.allow_partial_revisions,
        };
        for _ in 0..MAX_ATTEMPTS {
            // A new attempt is a new decision, with the time of its own: the last one may have failed because an export
            // passed the time it would have stored.
            let now = self.clock.now();
            let transformed =
                transform(request, claims.as_ref(), self.settings, now).map_err(PublishError::Transform)?;
            match self.store(&transformed, &token, policy, &mut submission) {
                Ok(decision) => {
                    let entries = token.succeed(&decision.token_entries, oldest_end(self.settings, now));
                    // The keys are stored. A phone without a token can still read its answer.
                    let sealed = revision_token::seal(&entries, self.settings.revision_token_min_entries, self.sealing);
                    return Ok(success(transformed, decision.inserted, sealed.ok().flatten()));
                }
                Err(StoreError::Revision(error)) => {
                    return Err(PublishError::Revision { error, warnings: transformed.warnings });
                }
                Err(StoreError::Port(PortError::Conflict)) => {}
                Err(StoreError::Port(error)) => return Err(PublishError::Port(error)),
            }
        }
        Err(PublishError::Contention)
    }

    fn authorized_app(&self, name: &str) -> Result<AuthorizedApp, PublishError> {
        match self.authorized_apps.find_app(&name.to_lowercase()) {
            Ok(Some(app)) => Ok(app),
            Ok(None) => Err(PublishError::UnknownApp(shortened(name).into_owned())),
            Err(error) => Err(PublishError::AppLookup(error)),
        }
    }

    fn regions(&self, app: &AuthorizedApp, name: &str) -> Result<Vec<String>, PublishError> {
        let default = &self.settings.default_region;
        if !app.allowed_regions.is_empty() {
            Ok(app.allowed_regions.iter().map(|region| region.to_uppercase()).collect())
        } else if !default.is_empty() {
            Ok(vec![default.to_uppercase()])
        } else {
            Err(PublishError::NoRegion(shortened(name).into_owned()))
        }
    }

    /// What the proof says; `None` when it says nothing and the app need not have one.
    fn claims(&self, request: &PublishRequest<'_>, app: &AuthorizedApp) -> Result<Option<Claims>, PublishError> {
        let proof = Proof {
            verification_payload: &request.verification_payload,
            hmac_key: &request.hmac_key,
            allowed_health_authorities: &app.allowed_health_authorities,
            keys: request.keys.iter().map(proof_key).collect(),
        };
        match self.verifier.verify(&proof) {
            Ok(claims) => Ok(Some(claims)),
            Err(VerificationError::Rejected(_)) if app.bypass_verification => Ok(None),
            Err(VerificationError::Rejected(reason)) => Err(PublishError::Verification(reason)),
            Err(VerificationError::Port(error)) => Err(PublishError::Port(error)),
        }
    }

    /// Decides and stores, all or nothing.
    fn store(
        &self,
        transformed: &Transformed,
        token: &RevisionToken,
        policy: RevisionPolicy,
        submission: &mut Submission,
    ) -> Result<Stored, StoreError> {
        if transformed.keys.is_empty() {
            return Ok(Stored::default());
        }
        let keys: Vec<TemporaryExposureKey> = transformed.keys.iter().map(|key| key.key).collect();
        let found = self.exposures.find(&keys).map_err(StoreError::Port)?;
        let decision = decide(&transformed.keys, &found, token, policy).map_err(StoreError::Revision)?;
        let stores_nothing = decision.is_empty();
        let Decision { inserts, revisions, token_entries } = decision;
        let inserted = inserts.len();
        if !stores_nothing {
            submission.inserts = inserts;
            submission.revisions = revisions;
            self.exposures.insert_and_revise(submission).map_err(StoreError::Port)?;
        }
        Ok(Stored { inserted, token_entries })
    }
}

fn proof_key<'r>(sent: &'r RequestKey<'_>) -> ProofKey<'r> {
    let RequestKey { key, rolling_start, rolling_period, transmission_risk } = sent;
    ProofKey {
        key,
        rolling_start: *rolling_start,
        rolling_period: *rolling_period,
        transmission_risk: *transmission_risk,
    }
}

/// What was stored.
#[derive(Default)]
struct Stored {
    inserted: usize,
    token_entries: Vec<revision_token::TokenEntry>,
}

enum StoreError {
    Revision(RevisionError),
    Port(PortError),
}

fn success(transformed: Transformed, inserted_exposures: usize, revision_token: Option<String>) -> Answer {
    let error = transformed.error_text();
    Answer {
        status: 200,
        revision_token: revision_token.unwrap_or_default(),
        inserted_exposures,
        code: error.as_ref().map_or("", |_| PublishCode::PartialFailure.wire()),
        error: error.unwrap_or_default(),
        warnings: transformed.warnings,
    }
}

/// Why a publish failed, in the order of the checks.
enum PublishError {
    /// The body cannot be read.
    Request(RequestError),
    /// No such app.
    UnknownApp(String),
    /// The app could not be looked up.
    AppLookup(PortError),
    /// Nobody says which region the app's keys belong to.
    NoRegion(String),
    /// The proof is not valid.
    Verification(String),
    /// No key can be stored.
    Transform(TransformError),
    /// Keys exist and cannot be revised like that.
    Revision { error: RevisionError, warnings: Vec<String> },
    /// Others changed the same rows each time.
    Contention,
    /// A port failed.
    Port(PortError),
}

impl PublishError {
    /// The one place where a failure gets its code, status and text. What failed inside the server stays there.
    fn into_answer(self) -> Answer {
        const INTERNAL: &str = "Internal Server Error";
        let (code, text, warnings) = match self {
            Self::Request(error) => (error.code(), error.to_string(), vec![]),
            Self::UnknownApp(name) => {
                (PublishCode::UnknownHealthAuthorityId, format!("unauthorized health authority: {name}"), vec![])
            }
            Self::AppLookup(PortError::Conflict | PortError::Unavailable | PortError::Internal(_)) => {
                (PublishCode::UnableToLoadHealthAuthority, "error loading health authority config".to_owned(), vec![])
            }
            Self::NoRegion(name) => (
                PublishCode::HealthAuthorityMissingRegionConfig,
                format!("unknown health authority regions for {name}"),
                vec![],
            ),
            Self::Verification(reason) => (
                PublishCode::VerificationCertificateInvalid,
                format!("unable to validate diagnosis verification: {reason}"),
                vec![],
            ),
            Self::Transform(TransformError { reason, warnings }) => {
                (PublishCode::BadRequest, format!("unable to read request data: {reason}"), warnings)
            }
            Self::Revision { error, warnings } => (error.code(), error.to_string(), warnings),
            Self::Contention | Self::Port(PortError::Conflict | PortError::Unavailable | PortError::Internal(_)) => {
                (PublishCode::Internal, INTERNAL.to_owned(), vec![])
            }
        };
        Answer::failure(code, text, warnings)
    }
}

impl fmt::Debug for Publisher<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Publisher").field("settings", self.settings).finish_non_exhaustive()
    }
}
