//! The HMAC by which a certificate covers the keys without showing them to the health authority.

use crate::ports::verifier::ProofKey;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

/// Which fields of a key the HMAC covers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transcript {
    /// `KEY.START.PERIOD.RISK`.
    WithRisk,
    /// `KEY.START.PERIOD`, which apps that send no transmission risk may use.
    WithoutRisk,
}

/// HMAC-SHA256 under `secret` (any length) of the keys as sent: segments in the byte order of the keys' text, joined by
/// commas. What is hashed is the text, so another base64 of the same key is another HMAC.
pub fn keys_hmac(secret: &[u8], keys: &[ProofKey<'_>], transcript: Transcript) -> [u8; 32] {
    let mut ordered: Vec<&ProofKey<'_>> = keys.iter().collect();
    ordered.sort_by_key(|key| key.key);
    let mut message = Vec::with_capacity(keys.len() * 48);
    for key in ordered {
        let ProofKey { key, rolling_start, rolling_period, transmission_risk } = key;
        if !message.is_empty() {
            message.push(b',');
        }
        message.extend_from_slice(key.as_bytes());
        push_number(&mut message, i64::from(*rolling_start));
        push_number(&mut message, i64::from(*rolling_period));
        match transcript {
            Transcript::WithRisk => push_number(&mut message, *transmission_risk),
            Transcript::WithoutRisk => {}
        }
    }
    match Hmac::<Sha256>::new_from_slice(secret) {
        Ok(mac) => mac.chain_update(message).finalize().into_bytes().into(),
        // HMAC takes secrets of every length (RFC 2104); all zeroes is no HMAC anyone can ask for.
        Err(_) => [0; 32],
    }
}

/// Appends a point and the decimal number. Three numbers a key: formatting them took as long as hashing the message.
fn push_number(message: &mut Vec<u8>, number: i64) {
    message.push(b'.');
    if number < 0 {
        message.push(b'-');
    }
    // At most 19 digits, written from the last.
    let mut digits = [0u8; 20];
    let mut start = digits.len();
    let mut rest = number.unsigned_abs();
    for digit in digits.iter_mut().rev() {
        *digit = b'0' + (rest % 10) as u8;
        rest /= 10;
        start -= 1;
        if rest == 0 {
            break;
        }
    }
    message.extend_from_slice(&digits[start..]);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base64;

    fn key(key: &str, transmission_risk: i64) -> ProofKey<'_> {
        ProofKey { key, rolling_start: 2_650_000, rolling_period: 144, transmission_risk }
    }

    fn hex(bytes: &[u8]) -> String {
        bytes.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    // Expected values: `printf %s TEXT | openssl dgst -sha256 -hmac secret`.
    #[test]
    fn hmac_is_that_of_the_joined_text() {
        let keys = [key("b+A=", 3), key("AAAA", 0)];
        // AAAA.2650000.144.0,b+A=.2650000.144.3
        assert_eq!(hex(&keys_hmac(b"secret", &keys, Transcript::WithRisk)), WITH_RISK);
        // AAAA.2650000.144,b+A=.2650000.144
        assert_eq!(hex(&keys_hmac(b"secret", &keys, Transcript::WithoutRisk)), WITHOUT_RISK);
    }
    const WITH_RISK: &str = "5c408221ed531374a68b82318d13fdd02c7138e18f5684c84c07073644ae4085";
    const WITHOUT_RISK: &str = "312270be6e5201ca9bd42de8ae83ea62582f4683bb7c4c4c28a1bf3ef3b9cb4b";

    // The values that the reference server's own tests expect (google/exposure-notifications-server,
    // pkg/verification/utils_test.go).
    #[test]
    fn hmac_agrees_with_the_reference_server() {
        let secret: Vec<u8> = (1..=16).collect();
        let hmac = |risks: [i64; 2], transcript| {
            let key = |key, rolling_start, transmission_risk| ProofKey {
                key,
                rolling_start,
                rolling_period: 144,
                transmission_risk,
            };
            let keys = [key("z2Cx9hdz2SlxZ8GEgqTYpA==", 1, risks[0]), key("dPCphLzfG4uzXneNimkPRQ==", 144, risks[1])];
            base64::encode(&keys_hmac(&secret, &keys, transcript))
        };
        assert_eq!(hmac([3, 5], Transcript::WithRisk), "2u1nHt5WWurJytFLF3xitNzM99oNrad2y4YGOL53AeY=");
        assert_eq!(hmac([0, 0], Transcript::WithRisk), "mFNI9zhTA17n4ndd1Vu5tsn4XQX0gPrIKyjeh/9noUE=");
        assert_eq!(hmac([0, 0], Transcript::WithoutRisk), "J9S7xVebH/66dm14wGsIcAnSUR3PHD4NtDQEOGZbDUo=");
    }

    #[test]
    fn numbers_are_decimal() {
        for number in [0, 7, 10, 144, -1, 2_650_000, i64::from(i32::MIN), i64::MIN, i64::MAX] {
            let mut message = Vec::new();
            push_number(&mut message, number);
            assert_eq!(String::from_utf8(message), Ok(format!(".{number}")));
        }
    }

    #[test]
    fn order_of_the_request_does_not_matter_and_spelling_does() {
        let hmac = |keys: &[ProofKey<'_>]| keys_hmac(b"", keys, Transcript::WithRisk);
        assert_eq!(hmac(&[key("a", 1), key("B", 2)]), hmac(&[key("B", 2), key("a", 1)]));
        assert_ne!(hmac(&[key("a=", 1)]), hmac(&[key("a", 1)]));
    }
}
