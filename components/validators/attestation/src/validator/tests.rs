//! What the validators share.
