//! Base64, written from the specification ("tolerant base64") for the suite alone.

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// Standard alphabet, padded.
pub fn encode(bytes: &[u8]) -> String {
    let mut text = String::new();
    for group in bytes.chunks(3) {
        let bits = group.iter().fold(0u32, |bits, byte| bits << 8 | u32::from(*byte)) << (8 * (3 - group.len()));
        for place in 0..4 {
            let value = bits >> (18 - 6 * place) & 63;
            text.push(if place <= group.len() { char::from(ALPHABET[value as usize]) } else { '=' });
        }
    }
    text
}

/// URL alphabet, without padding: a segment of a JWS.
pub fn encode_url(bytes: &[u8]) -> String {
    encode(bytes).trim_end_matches('=').replace('+', "-").replace('/', "_")
}

/// Either alphabet, any number of `=` at the end.
pub fn decode(text: &str) -> Option<Vec<u8>> {
    let text = text.trim_end_matches('=');
    let mut bytes = Vec::new();
    let mut bits = 0u32;
    let mut length = 0;
    for character in text.bytes() {
        let standard = match character {
            b'-' => b'+',
            b'_' => b'/',
            other => other,
        };
        let value = ALPHABET.iter().position(|known| *known == standard)?;
        bits = bits << 6 | u32::try_from(value).ok()?;
        length += 6;
        if length >= 8 {
            length -= 8;
            bytes.push((bits >> length).to_be_bytes()[3]);
        }
    }
    (length != 6).then_some(bytes)
}

/// What servers write: standard alphabet, right padding, no unused bits.
pub fn decode_standard(text: &str) -> Option<Vec<u8>> {
    decode(text).filter(|bytes| encode(bytes) == text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn examples_of_rfc_4648_are_encoded_and_decoded() {
        for (bytes, text) in [("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foobar", "Zm9vYmFy")] {
            assert_eq!(encode(bytes.as_bytes()), text);
            assert_eq!(decode_standard(text), Some(bytes.as_bytes().to_vec()));
        }
    }

    #[test]
    fn only_the_tolerant_decoder_takes_other_spellings() {
        for text in ["-__-AQ", "+//+AQ=", "+//+AR=="] {
            assert_eq!(decode(text), Some(vec![0xfb, 0xff, 0xfe, 1]), "{text}");
            assert_eq!(decode_standard(text), None, "{text}");
        }
        assert_eq!(encode_url(&[0xfb, 0xff, 0xfe, 1]), "-__-AQ");
        for text in ["A", "AAAAA", "A*AA"] {
            assert_eq!(decode(text), None, "{text}");
        }
    }
}
