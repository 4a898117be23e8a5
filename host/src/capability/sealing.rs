use super::convert::{WitPortError, port_error};
use crate::bindings::capabilities::tocsin::capability::sealing as wit;
use crate::state::InstanceState;
use tocsin_domain::ports::sealing::{Sealed, Sealing};

impl wit::Host for InstanceState {
    fn seal(&mut self, plaintext: Vec<u8>) -> Result<wit::Sealed, WitPortError> {
        let Sealed { key_id, data } = self.services.keyring.seal(&plaintext).map_err(port_error)?;
        Ok(wit::Sealed { key_id, data })
    }

    fn open(&mut self, sealed: wit::Sealed) -> Result<Option<Vec<u8>>, WitPortError> {
        let wit::Sealed { key_id, data } = sealed;
        self.services.keyring.open(&Sealed { key_id, data }).map_err(port_error)
    }
}
