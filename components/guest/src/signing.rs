use crate::Host;
use crate::bindings::tocsin::capability::signing as wit;
use crate::convert::port_error;
use tocsin_domain::ports::PortError;
use tocsin_domain::ports::signing::Signing;

impl Signing for Host {
    fn sign(&self, key: &str, message: &[u8]) -> Result<Vec<u8>, PortError> {
        wit::sign(key, message).map_err(port_error)
    }
}
