//! Base64 as phones send it, and as the server answers.
//!
//! Shipped apps mix the standard and the URL alphabet, with and without padding, so decoding accepts all of that: `+` and
//! `-` are the same, `/` and `_` are the same, any number of trailing `=` is ignored, line breaks inside are skipped, and
//! unused bits of the last character need not be zero. Encoding always uses the standard alphabet with padding.

use std::fmt;

/// The text is not base64; `position` is the byte offset of the first character that cannot be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DecodeError {
    /// Byte offset in the text.
    pub position: usize,
}

impl fmt::Display for DecodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "illegal base64 data at input byte {}", self.position)
    }
}

impl std::error::Error for DecodeError {}

const INVALID: u8 = 0xff;
const SKIPPED: u8 = 0xfe;

const VALUES: [u8; 256] = {
    let mut values = [INVALID; 256];
    let mut i = 0;
    while i < 64 {
        values[ALPHABET[i] as usize] = i as u8;
        i += 1;
    }
    values[b'-' as usize] = 62;
    values[b'_' as usize] = 63;
    values[b'\r' as usize] = SKIPPED;
    values[b'\n' as usize] = SKIPPED;
    values
};

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// Decodes; see the module's description for what is accepted.
pub fn decode(text: &str) -> Result<Vec<u8>, DecodeError> {
    let trimmed = text.trim_end_matches('=').as_bytes();
    let mut decoded = Vec::with_capacity(trimmed.len() / 4 * 3 + 2);
    let mut bits = 0u32;
    let mut characters = 0u32;
    for (position, &character) in trimmed.iter().enumerate() {
        match VALUES[usize::from(character)] {
            INVALID => return Err(DecodeError { position }),
            SKIPPED => {}
            value => {
                bits = bits << 6 | u32::from(value);
                characters += 1;
                if characters == 4 {
                    let [_, a, b, c] = bits.to_be_bytes();
                    decoded.extend_from_slice(&[a, b, c]);
                    (bits, characters) = (0, 0);
                }
            }
        }
    }
    match characters {
        0 => Ok(decoded),
        2 => {
            decoded.push((bits >> 4).to_be_bytes()[3]);
            Ok(decoded)
        }
        3 => {
            let [_, _, a, b] = (bits >> 2).to_be_bytes();
            decoded.extend_from_slice(&[a, b]);
            Ok(decoded)
        }
        // A single character holds six bits, which is not a byte.
        _ => Err(DecodeError { position: trimmed.len() }),
    }
}

/// Encodes with the standard alphabet and padding.
pub fn encode(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    encode_into(bytes, &mut text);
    text
}

/// As [`encode`], appending to `text`.
pub fn encode_into(bytes: &[u8], text: &mut String) {
    let character = |value: u32| char::from(ALPHABET[(value & 63) as usize]);
    let mut chunks = bytes.chunks_exact(3);
    for chunk in &mut chunks {
        let bits = u32::from(chunk[0]) << 16 | u32::from(chunk[1]) << 8 | u32::from(chunk[2]);
        text.extend([character(bits >> 18), character(bits >> 12), character(bits >> 6), character(bits)]);
    }
    match *chunks.remainder() {
        [a] => text.extend([character(u32::from(a) >> 2), character(u32::from(a) << 4), '=', '=']),
        [a, b] => {
            let bits = u32::from(a) << 8 | u32::from(b);
            text.extend([character(bits >> 10), character(bits >> 4), character(bits << 2), '=']);
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn both_alphabets_and_any_padding_decode_to_the_same_bytes() {
        let bytes = vec![0xfb, 0xff, 0xfe, 0x01];
        for text in ["+//+AQ==", "-__-AQ", "+/_-AQ=", "+//+AQ=====", "+//\r\n+AQ"] {
            assert_eq!(decode(text), Ok(bytes.clone()), "{text:?}");
        }
    }

    #[test]
    fn empty_and_only_padding_decode_to_nothing() {
        for text in ["", "=", "=="] {
            assert_eq!(decode(text), Ok(vec![]), "{text:?}");
        }
    }

    #[test]
    fn bad_text_is_refused_with_its_position() {
        for (text, position) in [("AB C", 2), ("A", 1), ("AAAAA", 5), ("AA=A", 2), ("\u{e9}AAA", 0)] {
            assert_eq!(decode(text), Err(DecodeError { position }), "{text:?}");
        }
    }

    #[test]
    fn unused_bits_of_the_last_character_are_ignored() {
        assert_eq!(decode("QR"), Ok(vec![b'A']));
    }

    proptest! {
        #[test]
        fn encoded_bytes_decode_to_themselves(bytes: Vec<u8>) {
            prop_assert_eq!(decode(&encode(&bytes)), Ok(bytes));
        }

        #[test]
        fn decoding_never_panics(text: String) {
            let _ = decode(&text);
        }
    }
}
