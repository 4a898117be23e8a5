//! Sealing that hides nothing and notices every change.

use super::faults::Faults;
use crate::ports::PortError;
use crate::ports::sealing::{Sealed, Sealing};
use sha2::{Digest, Sha256};

/// Seals by appending a digest. The layout has the lengths of the real one: 12-byte nonce, text, 16-byte tag.
#[derive(Debug)]
pub struct FakeSealing {
    /// Id of the key that seals.
    pub effective_key: u64,
    /// Ids of the keys that open.
    pub allowed_keys: Vec<u64>,
    /// Which calls fail.
    pub faults: Faults,
}

impl Default for FakeSealing {
    /// Seals and opens under key 1.
    fn default() -> Self {
        Self { effective_key: 1, allowed_keys: vec![1], faults: Faults::default() }
    }
}

const NONCE: [u8; 12] = [0x4e; 12];

fn tag(key_id: &str, text: &[u8]) -> [u8; 16] {
    let digest: [u8; 32] = Sha256::new().chain_update(key_id).chain_update(b"|").chain_update(text).finalize().into();
    std::array::from_fn(|i| digest[i])
}

impl Sealing for FakeSealing {
    fn seal(&self, plaintext: &[u8]) -> Result<Sealed, PortError> {
        self.faults.check()?;
        let key_id = self.effective_key.to_string();
        let data = [&NONCE[..], plaintext, &tag(&key_id, plaintext)].concat();
        Ok(Sealed { key_id, data })
    }

    fn open(&self, sealed: &Sealed) -> Result<Option<Vec<u8>>, PortError> {
        self.faults.check()?;
        let allowed = self.allowed_keys.iter().any(|key| key.to_string() == sealed.key_id);
        let text = sealed.data.strip_prefix(&NONCE).and_then(|rest| rest.split_last_chunk::<16>());
        Ok(text.filter(|(text, found)| allowed && **found == tag(&sealed.key_id, text)).map(|(text, _)| text.to_vec()))
    }
}
