use crate::Host;
use crate::bindings::tocsin::capability::sealing as wit;
use crate::convert::port_error;
use tocsin_domain::ports::PortError;
use tocsin_domain::ports::sealing::{Sealed, Sealing};

impl Sealing for Host {
    fn seal(&self, plaintext: &[u8]) -> Result<Sealed, PortError> {
        let wit::Sealed { key_id, data } = wit::seal(plaintext).map_err(port_error)?;
        Ok(Sealed { key_id, data })
    }

    fn open(&self, sealed: &Sealed) -> Result<Option<Vec<u8>>, PortError> {
        let Sealed { key_id, data } = sealed;
        wit::open(&wit::Sealed { key_id: key_id.clone(), data: data.clone() }).map_err(port_error)
    }
}
