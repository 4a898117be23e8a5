//! Where revision keys are kept: wrapped, so that the database alone opens no token. Not a port: no component can do any
//! of it.

use std::fmt;
use tocsin_domain::interval::Timestamp;
use tocsin_domain::ports::PortError;

/// A revision key as stored. Its row stays when it is destroyed, so that its id is never used again.
#[derive(Clone, PartialEq, Eq)]
pub struct RevisionKeyRow {
    /// Ids grow in the order in which keys are made; what a revision token names.
    pub id: u64,
    /// The root key that unwraps it.
    pub root_key_id: u64,
    /// The wrapped key; `None`: destroyed.
    pub wrapped: Option<Vec<u8>>,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was destroyed.
    pub destroyed_at: Option<Timestamp>,
}

/// A revision key to store.
#[derive(Clone, PartialEq, Eq)]
pub struct NewRevisionKey {
    /// Its id, which the wrapped key is bound to.
    pub id: u64,
    /// The root key that unwraps it.
    pub root_key_id: u64,
    /// The wrapped key.
    pub wrapped: Vec<u8>,
    /// When it was made.
    pub created_at: Timestamp,
}

/// A stored revision key under another root key.
#[derive(Clone, PartialEq, Eq)]
pub struct RewrappedKey {
    /// Its id.
    pub id: u64,
    /// The root key that unwraps it from now on.
    pub root_key_id: u64,
    /// The wrapped key.
    pub wrapped: Vec<u8>,
}

/// Keeps revision keys. Every method blocks, and does all of its work or none.
pub trait RevisionKeys {
    /// All keys by id, destroyed ones too.
    fn revision_keys(&self) -> Result<Vec<RevisionKeyRow>, PortError>;

    /// Adds keys. [`PortError::Conflict`] when there is one of an id already, destroyed or not.
    fn insert_revision_keys(&self, keys: &[NewRevisionKey]) -> Result<(), PortError>;

    /// Destroys keys: what is stored of them is overwritten. Those that are destroyed already keep their time.
    fn destroy_revision_keys(&self, ids: &[u64], now: Timestamp) -> Result<(), PortError>;

    /// Replaces what is stored of keys. [`PortError::Conflict`] when one of them does not exist or is destroyed.
    fn rewrap_revision_keys(&self, keys: &[RewrappedKey]) -> Result<(), PortError>;
}

// Wrapped keys are not shown: logs need not hold even those.

impl fmt::Debug for RevisionKeyRow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { id, root_key_id, wrapped, created_at, destroyed_at } = self;
        f.debug_struct("RevisionKeyRow")
            .field("id", id)
            .field("root_key_id", root_key_id)
            .field("wrapped", &wrapped.as_ref().map(Vec::len))
            .field("created_at", created_at)
            .field("destroyed_at", destroyed_at)
            .finish()
    }
}

impl fmt::Debug for NewRevisionKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { id, root_key_id, wrapped: _, created_at } = self;
        f.debug_struct("NewRevisionKey")
            .field("id", id)
            .field("root_key_id", root_key_id)
            .field("created_at", created_at)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for RewrappedKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { id, root_key_id, wrapped: _ } = self;
        f.debug_struct("RewrappedKey").field("id", id).field("root_key_id", root_key_id).finish_non_exhaustive()
    }
}
