//! The authorized app: which apps may publish, for which regions, vouched for by whom.

use crate::health_authority::HealthAuthorityId;

/// An app that may publish, looked up by the `healthAuthorityID` of the request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuthorizedApp {
    /// The name the app sends, lower case.
    pub name: String,
    /// Regions its keys belong to, as configured (upper-cased when stored with a key).
    pub allowed_regions: Vec<String>,
    /// Health authorities whose certificates it may present.
    pub allowed_health_authorities: Vec<HealthAuthorityId>,
    /// Accept keys without a valid verification certificate. For tests only.
    pub bypass_verification: bool,
    /// Accept revisions without a revision token. For tests only.
    pub bypass_revision_token: bool,
    /// Whether validators judge its submissions.
    pub validated: bool,
}
