//! The part of a publish that the app's own validators decide.

use super::{PublishError, Publisher};
use crate::authorized_app::AuthorizedApp;
use crate::exposure::NewExposure;
use crate::ports::verifier::Claims;
use crate::publish::request::{PublishRequest, ReadEvidence};
use crate::publish::transcript;
use crate::publish::transform::{Fate, Transformed, key_fates, transform};
use crate::validation::{Candidate, CommitSet, Decision, KeyMetadata};

/// What validators let happen.
#[derive(Default)]
pub(super) struct Permit {
    /// To note with the submission.
    pub(super) commits: Option<CommitSet>,
    /// Its keys, if they were looked at already.
    pub(super) transformed: Option<Transformed>,
    /// Store nothing, and answer as if it was stored.
    pub(super) pretend: bool,
}

impl Publisher<'_> {
    /// Asks the app's validators, if it has any.
    pub(super) fn permit(
        &self,
        request: &PublishRequest<'_>,
        app: &AuthorizedApp,
        regions: &[String],
        claims: Option<&Claims>,
    ) -> Result<Permit, PublishError> {
        if !app.validated {
            return Ok(Permit::default());
        }
        // What the server refuses itself need not be judged, and costs a health authority no question to anybody.
        let now = self.clock.now();
        let transformed = transform(request, claims, self.settings, now).map_err(PublishError::Transform)?;
        match self.judge(request, app, regions, claims)? {
            Decision::Accepted(commits) => {
                let noted = |commits| CommitSet { binding: transcript::binding(request), commits };
                let commits = if commits.is_empty() { None } else { Some(noted(commits)) };
                Ok(Permit { commits, transformed: Some(transformed), pretend: false })
            }
            Decision::Refused(_) => Err(PublishError::Refused),
            Decision::TryLater(_) => Err(PublishError::TryLater),
            Decision::Pretend(_) => Ok(Permit { commits: None, transformed: Some(transformed), pretend: true }),
        }
    }

    /// What the app's validators say together.
    pub(super) fn judge(
        &self,
        request: &PublishRequest<'_>,
        app: &AuthorizedApp,
        regions: &[String],
        claims: Option<&Claims>,
    ) -> Result<Decision, PublishError> {
        let evidence = request.evidence().map_err(PublishError::Evidence)?;
        let ReadEvidence { evidence, challenge, transcripts } = evidence;
        let fates = key_fates(request, claims, self.settings, self.clock.now());
        let metadata = |fate: &Fate| match fate {
            Fate::Kept(NewExposure { rolling_start, rolling_period, transmission_risk, .. }) => Some(KeyMetadata {
                rolling_start: *rolling_start,
                rolling_period: *rolling_period,
                transmission_risk: *transmission_risk,
            }),
            Fate::FarFromOnset(_) | Fate::Bad(_) => None,
        };
        let candidate = Candidate {
            app: app.name.clone(),
            health_authority: claims.map(|claims| claims.health_authority),
            report_type: claims.map(|claims| claims.report_type),
            symptom_onset: claims.and_then(|claims| claims.symptom_onset),
            keys: fates.iter().filter_map(metadata).collect(),
            regions: regions.to_vec(),
            traveler: request.traveler,
            transcripts,
            challenge,
        };
        self.validation.validate(&candidate, evidence.as_ref()).map_err(PublishError::Port)
    }
}
