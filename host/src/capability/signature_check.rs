use super::convert::{WitPortError, port_error};
use crate::bindings::capabilities::tocsin::capability::signature_check as wit;
use crate::state::InstanceState;
use tocsin_domain::ports::signature_check::SignatureCheck;

impl wit::Host for InstanceState {
    fn verify_es256(
        &mut self,
        public_key: Vec<u8>,
        message: Vec<u8>,
        signature: Vec<u8>,
    ) -> Result<bool, WitPortError> {
        self.services.keyring.verify_es256(&public_key, &message, &signature).map_err(port_error)
    }
}
