//! The revision token as far as anybody can read it: `RevisionToken { string kid = 1; bytes data = 2; }`, whose data is a
//! nonce of 12 bytes, the ciphertext and a tag of 16 bytes.

use super::{Problem, base64, problem};

const NONCE_AND_TAG: usize = 12 + 16;
/// Entries a token is filled up to.
const MIN_ENTRIES: usize = 28;
/// An entry of a key of these years that is valid for 128 intervals or more: 18 bytes of key, 5 of start, 3 of period, 2
/// of framing.
const ENTRY: usize = 28;
/// Such an entry of zeros: 18 bytes of key, 2 of framing.
const DUMMY: usize = 20;

/// The outer message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Token {
    kid: String,
    data: Vec<u8>,
}

impl Token {
    /// Reads a token as servers write it.
    pub(super) fn parse(text: &str) -> Result<Self, Problem> {
        let Some(bytes) = base64::decode_standard(text) else {
            return problem("the revision token is not base64 of the standard alphabet with padding");
        };
        let (mut kid, mut data) = (None, None);
        let mut rest = bytes.as_slice();
        while let [tag, tail @ ..] = rest {
            let Some((value, tail)) = length_delimited(tail) else {
                return problem("the revision token is no protocol buffer");
            };
            match tag {
                0x0a => kid = Some(value),
                0x12 => data = Some(value),
                other => return problem(format!("the revision token has a field with tag {other:#04x}")),
            }
            rest = tail;
        }
        let kid = kid.and_then(|kid| std::str::from_utf8(kid).ok()).unwrap_or_default();
        let data = data.unwrap_or_default();
        if kid.is_empty() || !kid.bytes().all(|byte| byte.is_ascii_digit()) {
            return problem(format!("kid of the revision token is {kid:?} and not a decimal number"));
        }
        if data.len() <= NONCE_AND_TAG {
            return problem(format!("data of the revision token has {} bytes", data.len()));
        }
        Ok(Self { kid: kid.to_owned(), data: data.to_vec() })
    }

    /// One that no server has sealed.
    pub(super) fn sample() -> Self {
        Self { kid: "1".to_owned(), data: vec![0; NONCE_AND_TAG + MIN_ENTRIES * DUMMY] }
    }

    /// Writes it.
    pub(super) fn text(&self) -> String {
        let mut bytes = vec![0x0a];
        put_length(self.kid.len(), &mut bytes);
        bytes.extend_from_slice(self.kid.as_bytes());
        bytes.push(0x12);
        put_length(self.data.len(), &mut bytes);
        bytes.extend_from_slice(&self.data);
        base64::encode(&bytes)
    }

    /// The same with another key id.
    pub(super) fn with_kid(self, kid: &str) -> Self {
        Self { kid: kid.to_owned(), ..self }
    }

    /// The same with the last bit of its data changed.
    pub(super) fn flipped(mut self) -> Self {
        if let Some(last) = self.data.last_mut() {
            *last ^= 1;
        }
        self
    }

    /// The same with so many bytes of its data.
    pub(super) fn cut(mut self, length: usize) -> Self {
        self.data.truncate(length);
        self
    }

    /// How many of its entries are keys, told by its length. Right if each key is valid for 128 intervals or more.
    pub(super) fn entries(&self) -> Result<usize, Problem> {
        let length = self.data.len() - NONCE_AND_TAG;
        let above_dummies = length.checked_sub(MIN_ENTRIES * DUMMY);
        match above_dummies {
            Some(above) if above <= MIN_ENTRIES * (ENTRY - DUMMY) && above % (ENTRY - DUMMY) == 0 => {
                Ok(above / (ENTRY - DUMMY))
            }
            Some(_) if length.is_multiple_of(ENTRY) => Ok(length / ENTRY),
            Some(_) | None => problem(format!("a revision token whose plaintext has {length} bytes holds no entries")),
        }
    }
}

fn length_delimited(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let mut length = 0usize;
    for (place, byte) in bytes.iter().enumerate().take(3) {
        length |= usize::from(byte & 0x7f) << (7 * place);
        if byte & 0x80 == 0 {
            return bytes[place + 1..].split_at_checked(length);
        }
    }
    None
}

fn put_length(mut length: usize, into: &mut Vec<u8>) {
    while length >= 0x80 {
        into.push(length.to_le_bytes()[0] | 0x80);
        length >>= 7;
    }
    into.push(length.to_le_bytes()[0]);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token(kid: &str, data: usize) -> Token {
        Token { kid: kid.to_owned(), data: vec![7; data] }
    }

    #[test]
    fn what_is_written_is_read() {
        for data in [29, 127, 128, 900] {
            let token = token("12", data);
            assert_eq!(Token::parse(&token.text()), Ok(token));
        }
        let token = token("12", 40);
        assert_ne!(token.clone().flipped(), token);
        assert_eq!(token.clone().cut(11).data.len(), 11);
        assert!(token.clone().with_kid("x").text() != token.text());
    }

    #[test]
    fn other_messages_are_refused() {
        for text in ["", "!", "AA==", "CgEx", "CgF4EgE=", "CgExEgF4"] {
            assert!(Token::parse(text).is_err(), "{text}");
        }
        assert!(Token::parse(&token("12", 28).text()).is_err());
        assert!(Token::parse(&token("v1", 60).text()).is_err());
    }

    #[test]
    fn entries_are_counted_by_length() {
        for keys in [0usize, 1, 27, 28, 29, 44] {
            let plaintext = keys * ENTRY + MIN_ENTRIES.saturating_sub(keys) * DUMMY;
            assert_eq!(token("1", NONCE_AND_TAG + plaintext).entries(), Ok(keys), "{keys}");
        }
        assert!(token("1", NONCE_AND_TAG + 28 * DUMMY + 4).entries().is_err());
        assert!(token("1", NONCE_AND_TAG + 28).entries().is_err());
    }
}
