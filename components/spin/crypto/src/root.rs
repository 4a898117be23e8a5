//! Root keys, which wrap revision keys. The one with the greatest id wraps, all of them unwrap.

use crate::aead::{AesKey, KEY_BYTES};
use crate::{named_texts, unusable};
use std::collections::BTreeMap;
use std::fmt;
use tocsin_domain::interval::Timestamp;
use tocsin_domain::ports::{PortError, Random};
use tocsin_spin_store::revision_keys::{NewRevisionKey, RevisionKeyRow};

/// Binds a wrapped key to its use, as the host does. Its id follows, so that rows cannot change places.
const WRAP_CONTEXT: &[u8] = b"tocsin revision key 1 ";

/// All root keys, from a variable.
pub struct RootKeys {
    variable: String,
    keys: BTreeMap<u64, AesKey>,
}

impl fmt::Debug for RootKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RootKeys").field("ids", &self.keys.keys()).finish_non_exhaustive()
    }
}

impl RootKeys {
    /// Reads the content of `variable`: a JSON object from id to 256 bits of base64, the content of the host's files
    /// `root/ID.key`.
    pub fn parse(variable: &str, json: &str) -> Result<Self, PortError> {
        let mut keys = BTreeMap::new();
        for (name, text) in named_texts(variable, json)? {
            let id = name.parse().ok().filter(|id| (1..=i64::MAX.unsigned_abs() / 2).contains(id));
            let id =
                id.ok_or_else(|| unusable(variable, "names a root key by something that is no positive number"))?;
            let bytes = tocsin_domain::base64::decode(text.trim()).unwrap_or_default();
            let bytes: [u8; KEY_BYTES] =
                bytes.try_into().map_err(|_| unusable(variable, "holds a root key that is not 256 bits of base64"))?;
            keys.insert(id, AesKey::new(&bytes));
        }
        if keys.is_empty() {
            return Err(unusable(variable, "holds no root key"));
        }
        Ok(Self { variable: variable.to_owned(), keys })
    }

    /// Wraps a revision key under the newest root key.
    pub(crate) fn wrap(
        &self,
        id: u64,
        key: &[u8; KEY_BYTES],
        created_at: Timestamp,
        random: &impl Random,
    ) -> Result<NewRevisionKey, PortError> {
        let newest = self.keys.last_key_value();
        let (root_key_id, root) = newest.ok_or_else(|| unusable(&self.variable, "holds no root key"))?;
        Ok(NewRevisionKey { id, root_key_id: *root_key_id, wrapped: root.seal(&context(id), key, random)?, created_at })
    }

    /// Unwraps a revision key; `None`: it was destroyed.
    pub(crate) fn unwrap(&self, row: &RevisionKeyRow) -> Result<Option<AesKey>, PortError> {
        let RevisionKeyRow { id, root_key_id, wrapped, created_at: _, destroyed_at: _ } = row;
        let Some(wrapped) = wrapped else { return Ok(None) };
        let key = self.keys.get(root_key_id).and_then(|root| root.open(&context(*id), wrapped));
        let key: Option<[u8; KEY_BYTES]> = key.and_then(|key| key.try_into().ok());
        let key = key.ok_or_else(|| {
            PortError::Internal(format!(
                "revision key {id} in the database cannot be unwrapped: it is wrapped under root key {root_key_id}, which \
                 the variable {} lacks or has another key for; restore that key from a backup",
                self.variable
            ))
        })?;
        Ok(Some(AesKey::new(&key)))
    }
}

fn context(id: u64) -> Vec<u8> {
    [WRAP_CONTEXT, &id.to_be_bytes()].concat()
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::aead::tests::Fixed;

    /// 32 bytes of 1 and of 2.
    pub(crate) const JSON: &str =
        r#"{"1": "AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=", "2": "AgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgI="}"#;

    fn row(new: NewRevisionKey) -> RevisionKeyRow {
        let NewRevisionKey { id, root_key_id, wrapped, created_at } = new;
        RevisionKeyRow { id, root_key_id, wrapped: Some(wrapped), created_at, destroyed_at: None }
    }

    #[test]
    fn newest_root_key_wraps_and_the_row_is_bound_to_its_id() {
        let roots = RootKeys::parse("v", JSON).expect("parsed");
        let wrapped = row(roots.wrap(5, &[7; KEY_BYTES], Timestamp::from_unix(3), &Fixed(0)).expect("wrapped"));
        assert_eq!((wrapped.root_key_id, wrapped.created_at), (2, Timestamp::from_unix(3)));
        assert_eq!(wrapped.wrapped.as_ref().map(Vec::len), Some(12 + 32 + 16));
        let unwrapped = roots.unwrap(&wrapped).expect("unwrapped").expect("there");
        let sealed = AesKey::new(&[7; KEY_BYTES]).seal(b"", b"text", &Fixed(1)).expect("sealed");
        assert_eq!(unwrapped.open(b"", &sealed).as_deref(), Some(b"text".as_slice()));
        for bad in [
            RevisionKeyRow { id: 6, ..wrapped.clone() },
            RevisionKeyRow { root_key_id: 1, ..wrapped.clone() },
            RevisionKeyRow { root_key_id: 9, ..wrapped.clone() },
            RevisionKeyRow { wrapped: Some(vec![0; 60]), ..wrapped.clone() },
        ] {
            assert!(matches!(roots.unwrap(&bad), Err(PortError::Internal(_))), "{bad:?}");
        }
        assert!(matches!(roots.unwrap(&RevisionKeyRow { wrapped: None, ..wrapped }), Ok(None)));
    }

    #[test]
    fn unusable_variable_is_named_and_its_content_not_shown() {
        for (json, reason) in [
            ("AQEBAQ", "JSON object"),
            (r#"["AQEBAQ"]"#, "JSON object"),
            (r#"{"1": "AQEBAQ"}"#, "256 bits"),
            (r#"{"0": "AQEBAQ"}"#, "no positive number"),
            (r#"{"one": "AQEBAQ"}"#, "no positive number"),
            ("{}", "no root key"),
        ] {
            let error = RootKeys::parse("root_keys", json).map(drop).expect_err("refused").to_string();
            assert!(error.contains("root_keys") && error.contains(reason) && !error.contains("AQEBAQ"), "{error}");
        }
    }

    #[test]
    fn contexts_are_those_of_the_host() {
        let host = include_str!("../../../../host/src/signing/root.rs");
        assert!(host.contains(&format!("b\"{}\"", String::from_utf8_lossy(WRAP_CONTEXT))));
        let host = include_str!("../../../../host/src/signing/mod.rs");
        assert!(host.contains(&format!("b\"{}\"", String::from_utf8_lossy(crate::revision::REVISION_TOKEN_CONTEXT))));
    }
}
