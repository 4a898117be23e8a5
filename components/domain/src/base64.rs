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
    // Whole groups of four clean characters first; the loop below copes with the rest and finds what is wrong.
    let mut clean = 0;
    for group in trimmed.chunks_exact(4) {
        let Some(bits) = group_bits(group) else { break };
        let [_, a, b, c] = bits.to_be_bytes();
        decoded.extend_from_slice(&[a, b, c]);
        clean += 4;
    }
    let mut bits = 0u32;
    let mut characters = 0u32;
    for (position, &character) in trimmed.iter().enumerate().skip(clean) {
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

/// Decodes the usual texts of 16 bytes (22 characters, or 24 with two `=`) without an allocation. `None` says only that
/// the text is not of that form; [`decode`] may still accept it.
pub fn decode_16(text: &str) -> Option<[u8; 16]> {
    let text = text.as_bytes();
    let text = match text.len() {
        22 => text,
        24 => text.strip_suffix(b"==")?,
        _ => return None,
    };
    let mut decoded = [0; 16];
    let (groups, last) = text.split_at_checked(20)?;
    for (group, out) in groups.chunks_exact(4).zip(decoded.chunks_exact_mut(3)) {
        out.copy_from_slice(&group_bits(group)?.to_be_bytes()[1..]);
    }
    let [a, b] = *last.first_chunk::<2>()?;
    let (a, b) = (VALUES[usize::from(a)], VALUES[usize::from(b)]);
    if (a | b) & 0xc0 != 0 {
        return None;
    }
    decoded[15] = a << 2 | b >> 4;
    Some(decoded)
}

/// The 24 bits of four characters, unless one of them is not of the alphabet.
fn group_bits(group: &[u8]) -> Option<u32> {
    let [a, b, c, d] = *group.first_chunk::<4>()?;
    let [a, b, c, d] = [a, b, c, d].map(|character| VALUES[usize::from(character)]);
    // Values are below 64; both marks have the two high bits set.
    if (a | b | c | d) & 0xc0 != 0 {
        return None;
    }
    Some(u32::from(a) << 18 | u32::from(b) << 12 | u32::from(c) << 6 | u32::from(d))
}

/// Decodes one segment of a compact JWS: URL alphabet, no padding, no line breaks (RFC 7515 section 2).
pub fn decode_url(text: &str) -> Result<Vec<u8>, DecodeError> {
    match text.bytes().position(|character| matches!(character, b'+' | b'/' | b'=' | b'\r' | b'\n')) {
        Some(position) => Err(DecodeError { position }),
        None => decode(text),
    }
}

/// Encodes with the standard alphabet and padding.
pub fn encode(bytes: &[u8]) -> String {
    let mut text = Vec::new();
    encode_to_bytes(bytes, &mut text);
    // The alphabet is ASCII, so the text is never replaced by the default.
    String::from_utf8(text).unwrap_or_default()
}

/// As [`encode`], appending to `text`.
pub fn encode_into(bytes: &[u8], text: &mut String) {
    text.push_str(&encode(bytes));
}

/// Encodes with the URL alphabet and no padding, as in a compact JWS.
pub fn encode_url(bytes: &[u8]) -> String {
    encode(bytes).trim_end_matches('=').replace('+', "-").replace('/', "_")
}

/// As [`encode`], appending to `out` (ASCII).
pub fn encode_to_bytes(bytes: &[u8], out: &mut Vec<u8>) {
    let start = out.len();
    // Filled with the padding character, so that a short last group needs to write its own characters only.
    out.resize(start + bytes.len().div_ceil(3) * 4, b'=');
    let character = |value: u32| ALPHABET[(value & 63) as usize];
    let mut chunks = bytes.chunks_exact(3);
    let mut groups = out[start..].chunks_exact_mut(4);
    for (chunk, group) in chunks.by_ref().zip(groups.by_ref()) {
        let bits = u32::from(chunk[0]) << 16 | u32::from(chunk[1]) << 8 | u32::from(chunk[2]);
        group.copy_from_slice(&[character(bits >> 18), character(bits >> 12), character(bits >> 6), character(bits)]);
    }
    let Some(group) = groups.next() else { return };
    match *chunks.remainder() {
        [a] => group[..2].copy_from_slice(&[character(u32::from(a) >> 2), character(u32::from(a) << 4)]),
        [a, b] => {
            let bits = u32::from(a) << 8 | u32::from(b);
            group[..3].copy_from_slice(&[character(bits >> 10), character(bits >> 4), character(bits << 2)]);
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

    #[test]
    fn encoding_matches_the_examples_of_rfc_4648() {
        for (bytes, text) in [("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foob", "Zm9vYg==")] {
            assert_eq!(encode(bytes.as_bytes()), text);
            let mut appended = String::from("x");
            encode_into(bytes.as_bytes(), &mut appended);
            assert_eq!(appended, format!("x{text}"));
        }
    }

    #[test]
    fn url_segments_with_other_characters_are_refused() {
        for text in ["ab+d", "ab/d", "Zg==", "Zm\nZm"] {
            assert!(decode_url(text).is_err(), "{text:?}");
        }
        assert_eq!(decode_url("-_8"), Ok(vec![0xfb, 0xff]));
        assert_eq!(encode_url(&[0xfb, 0xff]), "-_8");
    }

    proptest! {
        #[test]
        fn sixteen_bytes_decode_the_same_both_ways(bytes: [u8; 16], flip in 0usize..40, other: u8) {
            let mut text = encode(&bytes).into_bytes();
            if let Some(character) = text.get_mut(flip) {
                *character = other & 0x7f;
            }
            let text = String::from_utf8(text).expect("ASCII");
            for text in [text.as_str(), text.trim_end_matches('=')] {
                if let Some(fast) = decode_16(text) {
                    prop_assert_eq!(decode(text), Ok(fast.to_vec()));
                }
            }
            prop_assert_eq!(decode_16(&encode(&bytes)), Some(bytes));
            prop_assert_eq!(decode_16(&encode_url(&bytes)), Some(bytes));
        }

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
