//! Port `leases`. In memory: only this process can use the store, so a lease cannot outlive it.

use super::SqliteStore;
use parking_lot::Mutex;
use std::collections::HashMap;
use tocsin_domain::interval::Timestamp;
use tocsin_domain::ports::PortError;
use tocsin_domain::ports::leases::{LeaseToken, Leases};

/// Who has which name until when.
#[derive(Debug, Default)]
pub(super) struct LeaseTable(Mutex<Held>);

#[derive(Debug, Default)]
struct Held {
    names: HashMap<String, (LeaseToken, Timestamp)>,
    last_token: u64,
}

impl Leases for SqliteStore {
    fn acquire(&self, names: &[String], now: Timestamp, until: Timestamp) -> Result<Option<LeaseToken>, PortError> {
        let mut held = self.shared.leases.0.lock();
        held.names.retain(|_, (_, expires)| *expires > now);
        if names.iter().any(|name| held.names.contains_key(name)) {
            return Ok(None);
        }
        held.last_token += 1;
        let token = LeaseToken(held.last_token);
        held.names.extend(names.iter().map(|name| (name.clone(), (token, until))));
        Ok(Some(token))
    }

    fn release(&self, token: LeaseToken) -> Result<(), PortError> {
        self.shared.leases.0.lock().names.retain(|_, (holder, _)| *holder != token);
        Ok(())
    }
}
