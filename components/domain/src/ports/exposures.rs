//! Port `exposures`: store and revise diagnosis keys. Reads nothing but the rows of keys the caller already holds.

use super::PortError;
use crate::exposure::{NewExposure, Revision, StoredExposure};
use crate::health_authority::HealthAuthorityId;
use crate::interval::Timestamp;
use crate::statistics::PublishStatistics;
use crate::tek::TemporaryExposureKey;
use crate::validation::CommitSet;

/// What is stored for a set of keys, and until when exports have been cut.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// The rows that exist, in no particular order.
    pub existing: Vec<StoredExposure>,
    /// No export batch covers this time or any later one. An exposure stored with an earlier time would be in no
    /// export, so [`Exposures::insert_and_revise`] refuses it with a conflict.
    pub open_from: Timestamp,
}

/// All that one publish changes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Submission {
    /// Name of the authorized app, lower case.
    pub app: String,
    /// Regions of every key, upper case.
    pub regions: Vec<String>,
    /// Whether the person travelled.
    pub traveler: bool,
    /// The health authority that vouched; `None` when verification was bypassed.
    pub health_authority: Option<HealthAuthorityId>,
    /// Keys to store. Each key occurs once, and in `revisions` not at all.
    pub inserts: Vec<NewExposure>,
    /// Rows to revise.
    pub revisions: Vec<RevisionOf>,
    /// What is counted for the health authority; `None` when there is none.
    pub statistics: Option<PublishStatistics>,
    /// What the app's validators want noted; `None`: nothing.
    pub commits: Option<CommitSet>,
}

/// A revision and the row it was decided on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RevisionOf {
    /// Row id, from [`StoredExposure::id`].
    pub id: u64,
    /// Row version, from [`StoredExposure::version`].
    pub expected_version: u32,
    /// The row's key.
    pub key: TemporaryExposureKey,
    /// What becomes of it.
    pub revision: Revision,
}

/// Stores diagnosis keys.
pub trait Exposures {
    /// The rows of `keys`.
    fn find(&self, keys: &[TemporaryExposureKey]) -> Result<Found, PortError>;

    /// Stores all of `submission`, durably, or nothing.
    ///
    /// [`PortError::Conflict`] when a key to insert exists, a row to revise has another version, or a time lies before
    /// [`Found::open_from`]. [`PortError::AlreadyUsed`] when a commit cannot be noted because another submission was there
    /// before.
    fn insert_and_revise(&self, submission: &Submission) -> Result<(), PortError>;
}
