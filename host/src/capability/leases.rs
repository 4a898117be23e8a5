use super::blocking;
use super::convert::WitPortError;
use crate::bindings::capabilities::tocsin::capability::leases as wit;
use crate::state::InstanceState;
use tocsin_domain::interval::Timestamp;
use tocsin_domain::ports::leases::{LeaseToken, Leases};

impl wit::Host for InstanceState {
    async fn acquire(&mut self, names: Vec<String>, now: i64, until: i64) -> Result<Option<u64>, WitPortError> {
        let (now, until) = (Timestamp::from_unix(now), Timestamp::from_unix(until));
        let token = blocking(self, move |services| services.store.acquire(&names, now, until)).await?;
        Ok(token.map(|LeaseToken(token)| token))
    }

    async fn release(&mut self, token: u64) -> Result<(), WitPortError> {
        blocking(self, move |services| services.store.release(LeaseToken(token))).await
    }
}
