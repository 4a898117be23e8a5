//! Port `leases`: at most one worker does a job.

use super::PortError;
use crate::interval::Timestamp;

/// Proof that a set of names is leased to the caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LeaseToken(pub u64);

/// Leases names for a limited time. Names of different uses carry a prefix, `job:` or `region:`.
pub trait Leases {
    /// Leases all of `names` until `until`, or none: `None` when one of them is held.
    fn acquire(&self, names: &[String], now: Timestamp, until: Timestamp) -> Result<Option<LeaseToken>, PortError>;

    /// Gives the names back. An expired lease is not an error.
    fn release(&self, token: LeaseToken) -> Result<(), PortError>;
}
