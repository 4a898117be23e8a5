use crate::Host;
use crate::bindings::tocsin::capability::leases as wit;
use crate::convert::port_error;
use tocsin_domain::interval::Timestamp;
use tocsin_domain::ports::PortError;
use tocsin_domain::ports::leases::{LeaseToken, Leases};

impl Leases for Host {
    fn acquire(&self, names: &[String], now: Timestamp, until: Timestamp) -> Result<Option<LeaseToken>, PortError> {
        Ok(wit::acquire(names, now.unix(), until.unix()).map_err(port_error)?.map(LeaseToken))
    }

    fn release(&self, token: LeaseToken) -> Result<(), PortError> {
        wit::release(token.0).map_err(port_error)
    }
}
