//! What a publish does to keys that exist: the rules of revision and of the token that allows it (pure).

#[cfg(test)]
mod tests;

use crate::exposure::{NewExposure, ReportType, Revision, StoredExposure};
use crate::ports::exposures::{Found, RevisionOf};
use crate::problem::PublishCode;
use crate::publish::revision_token::{RevisionToken, TokenEntry};
use std::fmt;

/// How strict the server is with one app.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RevisionPolicy {
    /// Whether a token must hold each key that exists (false: the app bypasses tokens).
    pub require_token: bool,
    /// Whether existing keys that the token does not hold are dropped instead of failing the request.
    pub allow_partial: bool,
}

/// What to store, and what to tell the phone.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Decision {
    /// Keys to store.
    pub inserts: Vec<NewExposure>,
    /// Rows to revise.
    pub revisions: Vec<RevisionOf>,
    /// Keys the next token must hold besides those of the last.
    pub token_entries: Vec<TokenEntry>,
}

/// Why nothing is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RevisionError {
    /// Keys exist, and the token that was sent cannot be read, does not hold them, or tells other times for them.
    InvalidToken,
    /// Keys exist, and no token was sent.
    MissingToken,
    /// A key exists with another start or period.
    KeyMismatch,
    /// A key came from another server, and only that one can revise it.
    NotLocal,
    /// A key can be revised once.
    AlreadyRevised,
    /// The report type cannot change like that.
    InvalidTransition {
        /// The stored, original report type.
        from: Option<ReportType>,
        /// The one of the request.
        to: Option<ReportType>,
    },
}

impl RevisionError {
    /// How the failure is reported.
    pub const fn code(&self) -> PublishCode {
        match self {
            Self::InvalidToken => PublishCode::InvalidRevisionToken,
            Self::MissingToken => PublishCode::MissingRevisionToken,
            Self::KeyMismatch | Self::NotLocal => PublishCode::KeyMismatch,
            Self::AlreadyRevised => PublishCode::KeyAlreadyRevised,
            Self::InvalidTransition { .. } => PublishCode::InvalidReportTypeTransition,
        }
    }
}

impl fmt::Display for RevisionError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = |report_type: &Option<ReportType>| report_type.map_or("", ReportType::wire);
        match self {
            Self::InvalidToken => f.write_str("revision token is invalid"),
            Self::MissingToken => f.write_str("no revision token, but sent existing keys"),
            Self::KeyMismatch => f.write_str("an existing key has another start interval or rolling period"),
            Self::NotLocal => f.write_str("an existing key was not uploaded to this server"),
            Self::AlreadyRevised => f.write_str("key was already revised"),
            Self::InvalidTransition { from, to } => write!(
                f,
                "invalid report type transition: cannot transition from \"{}\" to \"{}\"",
                name(from),
                name(to)
            ),
        }
    }
}

impl std::error::Error for RevisionError {}

/// Decides what becomes of `incoming` (in the order of key bytes, each key once, as [`super::transform::transform`]
/// leaves them), given what is stored.
///
/// No time in the decision lies before [`Found::open_from`]: an export that covers an earlier time was cut already and
/// would never carry the key.
pub fn decide(
    incoming: &[NewExposure],
    found: &Found,
    token: &RevisionToken,
    policy: RevisionPolicy,
) -> Result<Decision, RevisionError> {
    decide_with_readable_token(incoming, found, token, policy).map_err(|error| match token {
        // Whatever else is wrong, the phone must first get rid of that token.
        RevisionToken::Unreadable => RevisionError::InvalidToken,
        RevisionToken::Absent | RevisionToken::Open(_) => error,
    })
}

fn decide_with_readable_token(
    incoming: &[NewExposure],
    found: &Found,
    token: &RevisionToken,
    policy: RevisionPolicy,
) -> Result<Decision, RevisionError> {
    let mut decision = Decision {
        inserts: Vec::with_capacity(incoming.len()),
        revisions: Vec::new(),
        token_entries: Vec::with_capacity(incoming.len()),
    };
    if policy.require_token && token.entries().is_none() && !found.existing.is_empty() {
        return Err(RevisionError::MissingToken);
    }
    // The token is checked for every key before any key's report type is looked at, so that the error does not depend on
    // the order of keys.
    let mut known = Vec::with_capacity(found.existing.len());
    for exposure in incoming {
        let exposure = NewExposure { created_at: exposure.created_at.max(found.open_from), ..*exposure };
        match found.existing.iter().find(|stored| stored.key == exposure.key) {
            None => decision.add_new(exposure),
            Some(stored) if is_allowed(&exposure, stored, token, policy)? => known.push((exposure, stored)),
            Some(_) => {}
        }
    }
    for (exposure, stored) in known {
        if let Some(revision) = revise(stored, &exposure)? {
            let StoredExposure { id, version, key, rolling_start, rolling_period, .. } = *stored;
            decision.revisions.push(RevisionOf { id, expected_version: version, key, revision });
            // What is stored, in case the app bypasses tokens and sent something else: else the token would be of no use.
            decision.token_entries.push(TokenEntry { key, rolling_start, rolling_period });
        }
    }
    Ok(decision)
}

impl Decision {
    fn add_new(&mut self, exposure: NewExposure) {
        self.token_entries.push(TokenEntry::from(&exposure));
        // Nothing to take back: an unknown key that is negative is not stored, and the phone cannot tell.
        if exposure.report_type != Some(ReportType::Revoked) {
            self.inserts.push(exposure);
        }
    }
}

/// Whether the request may touch `stored` (false: the key is left out).
fn is_allowed(
    incoming: &NewExposure,
    stored: &StoredExposure,
    token: &RevisionToken,
    policy: RevisionPolicy,
) -> Result<bool, RevisionError> {
    if !policy.require_token {
        return Ok(true);
    }
    if (incoming.rolling_start, incoming.rolling_period) != (stored.rolling_start, stored.rolling_period) {
        return Err(RevisionError::KeyMismatch);
    }
    // Of two entries for one key the reference, too, believes the last.
    match token.entries().unwrap_or_default().iter().rfind(|entry| entry.key == stored.key) {
        Some(entry) if (entry.rolling_start, entry.rolling_period) != (stored.rolling_start, stored.rolling_period) => {
            Err(RevisionError::InvalidToken)
        }
        Some(_) => Ok(true),
        None if policy.allow_partial => Ok(false),
        None => Err(RevisionError::InvalidToken),
    }
}

/// The revision that `incoming` makes of `stored`, if it makes one.
pub fn revise(stored: &StoredExposure, incoming: &NewExposure) -> Result<Option<Revision>, RevisionError> {
    let (from, to) = (stored.report_type, incoming.report_type);
    // Sending the same again is harmless, even after a revision.
    if from == to || (stored.revised_report_type.is_some() && stored.revised_report_type == to) {
        return Ok(None);
    }
    if !stored.local_provenance {
        return Err(RevisionError::NotLocal);
    }
    if stored.revised_report_type.is_some() {
        return Err(RevisionError::AlreadyRevised);
    }
    match to {
        Some(report_type) if can_become(from, report_type) => Ok(Some(Revision {
            report_type,
            // A key that is still held back must not be revised in an export before the one that carries it as new: a
            // phone that has not seen the key would forget the revision and then believe the key.
            revised_at: incoming.created_at.max(stored.created_at),
            days_since_onset: incoming.days_since_onset,
            transmission_risk: incoming.transmission_risk.backfilled(to),
        })),
        Some(_) | None => Err(RevisionError::InvalidTransition { from, to }),
    }
}

/// Which report types may follow which. An unknown one counts as a clinical diagnosis.
const fn can_become(from: Option<ReportType>, to: ReportType) -> bool {
    use ReportType::{ConfirmedClinicalDiagnosis, ConfirmedTest, Recursive, Revoked, SelfReport};
    match from {
        None | Some(ConfirmedClinicalDiagnosis) => match to {
            ConfirmedTest | Revoked => true,
            ConfirmedClinicalDiagnosis | SelfReport | Recursive => false,
        },
        Some(SelfReport) => match to {
            ConfirmedTest | ConfirmedClinicalDiagnosis | Revoked => true,
            SelfReport | Recursive => false,
        },
        Some(ConfirmedTest | Recursive | Revoked) => false,
    }
}
