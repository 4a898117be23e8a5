use crate::Host;
use crate::bindings::tocsin::capability::signature_check as wit;
use crate::convert::port_error;
use tocsin_domain::ports::PortError;
use tocsin_domain::ports::signature_check::SignatureCheck;

impl SignatureCheck for Host {
    fn verify_es256(&self, public_key: &[u8], message: &[u8], signature: &[u8]) -> Result<bool, PortError> {
        wit::verify_es256(public_key, message, signature).map_err(port_error)
    }
}
