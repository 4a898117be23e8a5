//! The host's words for a store, where its conformance suite looks for them.

#[path = "../../../../../../host/src/storage/administration.rs"]
#[expect(dead_code, reason = "the administration is the host's; the suite prepares a store by a part of it")]
pub(crate) mod administration;
#[path = "../../../../../../host/src/storage/conformance/mod.rs"]
#[expect(dead_code, unused_imports, reason = "claims about the administration are not run here")]
pub(crate) mod conformance;

pub(crate) use administration::{AdminError, Administration};
pub(crate) use tocsin_spin_store::revision_keys::{self, RevisionKeys};
