//! The use case: one publish from body to answer.

#[cfg(test)]
mod api_tests;
pub mod explain;
#[cfg(test)]
mod explain_tests;
#[cfg(test)]
mod model_tests;
#[cfg(test)]
mod tests;
mod validation;
#[cfg(test)]
mod validation_tests;

use crate::authorized_app::AuthorizedApp;
use crate::ports::authorized_apps::AuthorizedApps;
use crate::ports::exposures::{Exposures, Submission};
use crate::ports::sealing::Sealing;
use crate::ports::validation::Validation;
use crate::ports::verifier::{Claims, Proof, ProofKey, VerificationError, Verifier};
use crate::ports::{Clock, PortError, Random};
use crate::problem::PublishCode;
use crate::publish::request::{ApiVersion, EvidenceError, PublishRequest, RequestError, RequestKey};
use crate::publish::response::{Answer, PublishResponse};
use crate::publish::revision::{Decision, RevisionError, RevisionPolicy, decide};
use crate::publish::revision_token::{self, RevisionToken};
use crate::publish::transform::{TransformError, Transformed, oldest_end, transform};
use crate::settings::PublishSettings;
use crate::statistics::PublishStatistics;
use crate::statistics::platform::Platform;
use crate::tek::TemporaryExposureKey;
use crate::text::shortened;
use std::fmt;
use validation::Permit;

/// How often a publish is decided when others change the same rows in between.
const MAX_ATTEMPTS: u32 = 5;

/// What came over HTTP, as far as it matters.
#[derive(Clone, Copy)]
pub struct Incoming<'a> {
    /// By the route.
    pub api: ApiVersion,
    /// The `Content-Type` header.
    pub content_type: Option<&'a str>,
    /// The `User-Agent` header; counted as one of three platforms.
    pub user_agent: Option<&'a str>,
    /// The whole body; one byte more than [`MAX_BODY_BYTES`](crate::publish::request::MAX_BODY_BYTES) is enough to have
    /// it refused as too large.
    pub body: &'a [u8],
}

impl<'a> Incoming<'a> {
    pub(super) fn read(&self) -> Result<PublishRequest<'a>, RequestError> {
        match self.api {
            ApiVersion::V1 => PublishRequest::parse(self.content_type, self.body),
            ApiVersion::V1Alpha1 => PublishRequest::parse_v1alpha1(self.content_type, self.body),
        }
    }
}

impl fmt::Debug for Incoming<'_> {
    /// Shows nothing of the body.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Incoming").field("api", &self.api).finish_non_exhaustive()
    }
}

/// Answers publish requests with the help of the ports.
#[derive(Clone, Copy)]
pub struct Publisher<'a> {
    /// What the operator configured.
    pub settings: &'a PublishSettings,
    /// Which apps may publish.
    pub authorized_apps: &'a dyn AuthorizedApps,
    /// Checks the proof of the diagnosis.
    pub verifier: &'a dyn Verifier,
    /// Asks the app's own validators.
    pub validation: &'a dyn Validation,
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
    /// Answers a publish.
    pub fn publish(&self, incoming: &Incoming<'_>) -> PublishResponse {
        let (answer, chaff) = match incoming.read() {
            Ok(PublishRequest { chaff: Some(true), .. }) => {
                (Answer { status: 200, chaff: Some(true), ..Answer::default() }, true)
            }
            Ok(request) => {
                let platform = Platform::of_user_agent(incoming.user_agent);
                let answer = self.process(&request, platform).unwrap_or_else(PublishError::into_answer);
                (Answer { chaff: request.chaff, ..answer }, false)
            }
            Err(error) => (PublishError::Request(error).into_answer(), false),
        };
        PublishResponse { chaff, ..answer.into_response(incoming.api, self.random, self.settings) }
    }

    fn process(&self, request: &PublishRequest<'_>, platform: Platform) -> Result<Answer, PublishError> {
        let app = self.authorized_app(&request.health_authority_id)?;
        let regions = self.regions(request, &app)?;
        let claims = self.claims(request, &app)?;
        let Permit { commits, mut transformed, pretend } = self.permit(request, &app, &regions, claims.as_ref())?;
        let token = RevisionToken::read(&request.revision_token, self.sealing).map_err(PublishError::Port)?;
        let policy = self.revision_policy(&app);
        let mut submission = Submission {
            app: app.name,
            regions,
            traveler: request.traveler,
            health_authority: claims.as_ref().map(|claims| claims.health_authority),
            inserts: Vec::new(),
            revisions: Vec::new(),
            statistics: None,
            commits,
        };
        for _ in 0..MAX_ATTEMPTS {
            // A new attempt is a new decision, with the time of its own: the last one may have failed because an export
            // passed the time it would have stored.
            let now = self.clock.now();
            let transformed = match transformed.take() {
                Some(transformed) => transformed,
                None => transform(request, claims.as_ref(), self.settings, now).map_err(PublishError::Transform)?,
            };
            // By the hour that the keys are stored under, which is all that is kept of the time of upload.
            let uploaded = now.truncate(i64::try_from(self.settings.truncate_window_seconds).unwrap_or(i64::MAX));
            let count =
                |inserted, revised| PublishStatistics::new(uploaded, platform, transformed.ages, inserted, revised);
            match self.store(&transformed, &token, policy, &mut submission, count, pretend) {
                Ok(decision) => {
                    let entries = token.succeed(&decision.token_entries, oldest_end(self.settings, now));
                    // The keys are stored, or are to seem so. A phone without a token can still read its answer.
                    let sealed = revision_token::seal(&entries, self.settings.revision_token_min_entries, self.sealing);
                    return Ok(success(transformed, decision.inserted, sealed.ok().flatten()));
                }
                Err(StoreError::Revision(error)) => {
                    return Err(PublishError::Revision { error, warnings: transformed.warnings });
                }
                Err(StoreError::Port(PortError::Conflict)) => {}
                Err(StoreError::Port(PortError::AlreadyUsed)) => return Err(PublishError::Refused),
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

    /// The regions of the request, which only v1alpha1 has, else those of the app, else the server's.
    fn regions(&self, request: &PublishRequest<'_>, app: &AuthorizedApp) -> Result<Vec<String>, PublishError> {
        let name = || shortened(&request.health_authority_id).into_owned();
        let allowed = &app.allowed_regions;
        let may_use = |region: &str| allowed.is_empty() || allowed.iter().any(|allowed| allowed == region);
        if let Some(region) = request.regions.iter().find(|region| !may_use(region)) {
            return Err(PublishError::RegionNotAllowed { app: name(), region: shortened(region).into_owned() });
        }
        let default = &self.settings.default_region;
        if !request.regions.is_empty() {
            Ok(request.regions.iter().map(|region| region.to_uppercase()).collect())
        } else if !allowed.is_empty() {
            Ok(allowed.iter().map(|region| region.to_uppercase()).collect())
        } else if !default.is_empty() {
            Ok(vec![default.to_uppercase()])
        } else {
            Err(PublishError::NoRegion(name()))
        }
    }

    const fn revision_policy(&self, app: &AuthorizedApp) -> RevisionPolicy {
        RevisionPolicy {
            require_token: !app.bypass_revision_token,
            allow_partial: self.settings.allow_partial_revisions,
        }
    }

    /// What the proof says; `None` when it says nothing and the app need not have one.
    fn claims(&self, request: &PublishRequest<'_>, app: &AuthorizedApp) -> Result<Option<Claims>, PublishError> {
        match self.verifier.verify(&proof(request, app)) {
            Ok(claims) => Ok(Some(claims)),
            Err(VerificationError::Rejected(_)) if app.bypass_verification => Ok(None),
            Err(VerificationError::Rejected(reason)) => Err(PublishError::Verification(reason)),
            Err(VerificationError::Port(error)) => Err(PublishError::Port(error)),
        }
    }

    /// Decides and stores, all or nothing; or only decides, to `pretend`.
    fn store(
        &self,
        transformed: &Transformed,
        token: &RevisionToken,
        policy: RevisionPolicy,
        submission: &mut Submission,
        count: impl FnOnce(usize, usize) -> PublishStatistics,
        pretend: bool,
    ) -> Result<Stored, StoreError> {
        if transformed.keys.is_empty() {
            return Ok(Stored::default());
        }
        let keys: Vec<TemporaryExposureKey> = transformed.keys.iter().map(|key| key.key).collect();
        let found = self.exposures.find(&keys).map_err(StoreError::Port)?;
        let decision = decide(&transformed.keys, &found, token, policy).map_err(StoreError::Revision)?;
        let Decision { inserts, revisions, token_entries } = decision;
        let inserted = inserts.len();
        // What goes into the token counts, and that is also a key that is not stored because it is negative and unknown.
        let counts = submission.health_authority.is_some() && !token_entries.is_empty();
        submission.statistics = counts.then(|| count(inserted, revisions.len()));
        let changes = !inserts.is_empty() || !revisions.is_empty() || counts || submission.commits.is_some();
        if changes && !pretend {
            submission.inserts = inserts;
            submission.revisions = revisions;
            self.exposures.insert_and_revise(submission).map_err(StoreError::Port)?;
        }
        Ok(Stored { inserted, token_entries })
    }
}

/// What the request presents to the verifier.
pub(super) fn proof<'r>(request: &'r PublishRequest<'_>, app: &'r AuthorizedApp) -> Proof<'r> {
    Proof {
        verification_payload: &request.verification_payload,
        hmac_key: &request.hmac_key,
        allowed_health_authorities: &app.allowed_health_authorities,
        keys: request.keys.iter().map(proof_key).collect(),
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
        chaff: None,
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
    /// The request names a region that is not the app's.
    RegionNotAllowed { app: String, region: String },
    /// Nobody says which region the app's keys belong to.
    NoRegion(String),
    /// The proof is not valid.
    Verification(String),
    /// What the phone sent of its platform cannot be read.
    Evidence(EvidenceError),
    /// The app's validators do not accept it.
    Refused,
    /// The app's validators cannot say now.
    TryLater,
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
            Self::AppLookup(
                PortError::Conflict | PortError::Unavailable | PortError::AlreadyUsed | PortError::Internal(_),
            ) => (PublishCode::UnableToLoadHealthAuthority, "error loading health authority config".to_owned(), vec![]),
            Self::RegionNotAllowed { app, region } => (
                PublishCode::RegionNotAllowed,
                format!("verifying allowed regions: app {app} tried to write to unauthorized region {region}"),
                vec![],
            ),
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
            Self::Evidence(EvidenceError(text)) => (PublishCode::BadRequest, text, vec![]),
            Self::Refused => (PublishCode::SubmissionRefused, "the submission was not accepted".to_owned(), vec![]),
            Self::TryLater => (
                PublishCode::ValidatorsUnavailable,
                "the submission cannot be checked now, try later".to_owned(),
                vec![],
            ),
            Self::Transform(TransformError { reason, warnings }) => {
                (PublishCode::BadRequest, format!("unable to read request data: {reason}"), warnings)
            }
            Self::Revision { error, warnings } => (error.code(), error.to_string(), warnings),
            Self::Contention
            | Self::Port(
                PortError::Conflict | PortError::Unavailable | PortError::AlreadyUsed | PortError::Internal(_),
            ) => (PublishCode::Internal, INTERNAL.to_owned(), vec![]),
        };
        Answer::failure(code, text, warnings)
    }
}

impl fmt::Debug for Publisher<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Publisher").field("settings", self.settings).finish_non_exhaustive()
    }
}
