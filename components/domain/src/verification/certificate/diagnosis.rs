//! Why the HMAC of a certificate does not fit, the most frequent question of app developers: tries what apps get wrong.

use super::Segments;
use super::claims::CertificateClaims;
use crate::base64;
use crate::ports::verifier::{Proof, ProofKey};
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use std::fmt::Write;
use subtle::ConstantTimeEq;

/// What would have to change so that the HMAC fits. The certificate's signature is not looked at.
pub(super) fn diagnose(proof: &Proof<'_>) -> Vec<String> {
    let Some(tekmac) = claimed_hmac(proof.verification_payload) else {
        return vec!["the certificate cannot be read as a JWT, so its HMAC (claim `tekmac`) is unknown".to_owned()];
    };
    let Ok(expected) = base64::decode(&tekmac) else {
        return match hexadecimal(&tekmac) {
            Some(_) => vec!["the claim `tekmac` is hexadecimal: encode the 32 bytes of the HMAC in base64".to_owned()],
            None => vec!["the claim `tekmac` is not base64".to_owned()],
        };
    };
    let mut hints = Vec::new();
    if expected.len() != 32 {
        hints.push(format!("the claim `tekmac` holds {} bytes, and an HMAC-SHA256 has 32", expected.len()));
    }
    if let Some(bytes) = hexadecimal(&tekmac)
        && let Some(mistake) = matching(proof, &bytes)
    {
        hints.push("the claim `tekmac` is hexadecimal: encode the 32 bytes of the HMAC in base64".to_owned());
        hints.extend(mistake.hints());
        return hints;
    }
    match matching(proof, &expected) {
        Some(mistake) => hints.extend(mistake.hints()),
        None if hints.is_empty() => hints.push(
            "no usual mistake explains the HMAC: the keys, their numbers or the HMAC key of this request are not those \
             that were sent to the health authority for this certificate"
                .to_owned(),
        ),
        None => {}
    }
    hints
}

fn claimed_hmac(payload: &str) -> Option<String> {
    let claims = base64::decode_url(Segments::split(payload).ok()?.claims).ok()?;
    CertificateClaims::parse(&claims).ok().map(|claims| claims.tekmac.into_owned())
}

fn hexadecimal(text: &str) -> Option<Vec<u8>> {
    let digits: Option<Vec<u32>> = text.chars().map(|digit| digit.to_digit(16)).collect();
    let digits = digits.filter(|digits| digits.len() == 64)?;
    digits.chunks_exact(2).map(|pair| u8::try_from(pair[0] * 16 + pair[1]).ok()).collect()
}

/// How an app may have made its HMAC. The first of each is right.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Mistake {
    secret: Secret,
    order: Order,
    text: KeyText,
    risk: Risk,
    period: Period,
    separator: &'static str,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Secret {
    Decoded,
    /// The base64 text itself.
    Text,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Order {
    ByText,
    AsSent,
    ByBytes,
    ByStart,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum KeyText {
    AsSent,
    Standard,
    StandardUnpadded,
    UrlSafe,
    UrlSafeUnpadded,
    Hexadecimal,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Risk {
    AsSent,
    /// Left out of the HMAC.
    LeftOut,
    /// 0 in the HMAC.
    Zero,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Period {
    AsSent,
    /// 144 in the HMAC.
    WholeDay,
}

impl Mistake {
    fn hints(self) -> Vec<String> {
        let Self { secret, order, text, risk, period, separator } = self;
        let secret = match secret {
            Secret::Decoded => None,
            Secret::Text => Some("the HMAC was made with the text of `hmacKey` as its secret: use the decoded bytes"),
        };
        let order = match order {
            Order::ByText => None,
            Order::AsSent => {
                Some("the HMAC was made in the order of the request: sort the segments by the text of `key`")
            }
            Order::ByBytes => {
                Some("the HMAC was made in the order of the decoded keys: sort the segments by the text of `key`")
            }
            Order::ByStart => {
                Some("the HMAC was made in the order of the start numbers: sort the segments by the text of `key`")
            }
        };
        let as_in_request =
            |spelling| format!("the HMAC was made over the keys in {spelling}: use the text of `key` as it is sent");
        let text = match text {
            KeyText::AsSent => None,
            KeyText::Standard => Some(as_in_request("standard base64 with padding")),
            KeyText::StandardUnpadded => Some(as_in_request("standard base64 without padding")),
            KeyText::UrlSafe => Some(as_in_request("URL-safe base64 with padding")),
            KeyText::UrlSafeUnpadded => Some(as_in_request("URL-safe base64 without padding")),
            KeyText::Hexadecimal => Some(as_in_request("hexadecimal")),
        };
        let risk = match risk {
            Risk::AsSent => None,
            Risk::LeftOut => Some(
                "the HMAC was made without `transmissionRisk`, which is allowed only if every key of the request has 0 or \
                 none: put it into the segments, KEY.START.PERIOD.RISK",
            ),
            Risk::Zero => Some("the HMAC was made with a `transmissionRisk` of 0: the request sends another one"),
        };
        let period = match period {
            Period::AsSent => None,
            Period::WholeDay => {
                Some("the HMAC was made with a `rollingPeriod` of 144: the request sends another one or none")
            }
        };
        let separator = (separator != ",")
            .then(|| format!("the HMAC was made over segments joined by {separator:?}: join them by a comma alone"));
        let texts = [secret, order, risk, period].into_iter().flatten().map(str::to_owned);
        texts.chain(text).chain(separator).collect()
    }

    fn hmac(self, proof: &Proof<'_>) -> Option<[u8; 32]> {
        let secret = match self.secret {
            Secret::Decoded => base64::decode(proof.hmac_key).ok()?,
            Secret::Text => proof.hmac_key.as_bytes().to_vec(),
        };
        let mut keys: Vec<&ProofKey<'_>> = proof.keys.iter().collect();
        let spelled = |key: &ProofKey<'_>| self.text.of(key.key);
        match self.order {
            Order::ByText => keys.sort_by_key(|key| spelled(key)),
            Order::AsSent => {}
            Order::ByBytes => keys.sort_by_key(|key| base64::decode(key.key).ok()),
            Order::ByStart => keys.sort_by_key(|key| key.rolling_start),
        }
        let mut message = String::new();
        for (index, key) in keys.into_iter().enumerate() {
            let ProofKey { key: _, rolling_start, rolling_period, transmission_risk } = key;
            let separator = if index == 0 { "" } else { self.separator };
            let period = match self.period {
                Period::AsSent => *rolling_period,
                Period::WholeDay => 144,
            };
            // Writing to a string does not fail.
            let _ = write!(message, "{separator}{}.{rolling_start}.{period}", spelled(key)?);
            let _ = match self.risk {
                Risk::AsSent => write!(message, ".{transmission_risk}"),
                Risk::LeftOut => Ok(()),
                Risk::Zero => write!(message, ".0"),
            };
        }
        Some(Hmac::<Sha256>::new_from_slice(&secret).ok()?.chain_update(message).finalize().into_bytes().into())
    }
}

impl KeyText {
    fn of(self, sent: &str) -> Option<String> {
        let bytes = || base64::decode(sent).ok();
        Some(match self {
            Self::AsSent => sent.to_owned(),
            Self::Standard => base64::encode(&bytes()?),
            Self::StandardUnpadded => base64::encode(&bytes()?).trim_end_matches('=').to_owned(),
            Self::UrlSafe => base64::encode(&bytes()?).replace('+', "-").replace('/', "_"),
            Self::UrlSafeUnpadded => base64::encode_url(&bytes()?),
            Self::Hexadecimal => bytes()?.iter().map(|byte| format!("{byte:02x}")).collect(),
        })
    }
}

/// The way with the fewest mistakes that gives `expected`.
fn matching(proof: &Proof<'_>, expected: &[u8]) -> Option<Mistake> {
    let mut ways = Vec::new();
    for secret in [Secret::Decoded, Secret::Text] {
        for order in [Order::ByText, Order::AsSent, Order::ByBytes, Order::ByStart] {
            for text in [
                KeyText::AsSent,
                KeyText::Standard,
                KeyText::StandardUnpadded,
                KeyText::UrlSafe,
                KeyText::UrlSafeUnpadded,
                KeyText::Hexadecimal,
            ] {
                for risk in [Risk::AsSent, Risk::LeftOut, Risk::Zero] {
                    for period in [Period::AsSent, Period::WholeDay] {
                        for separator in [",", ", ", "", "\n"] {
                            ways.push(Mistake { secret, order, text, risk, period, separator });
                        }
                    }
                }
            }
        }
    }
    ways.sort_by_key(|way| way.hints().len());
    ways.into_iter().find(|way| way.hmac(proof).is_some_and(|hmac| bool::from(hmac.ct_eq(expected))))
}

#[cfg(test)]
mod tests {
    use super::super::tests::World;
    use super::*;
    use serde_json::json;

    const RIGHT: Mistake = Mistake {
        secret: Secret::Decoded,
        order: Order::ByText,
        text: KeyText::AsSent,
        risk: Risk::AsSent,
        period: Period::AsSent,
        separator: ",",
    };

    /// The hints for a certificate whose HMAC was made with `mistake`.
    fn hints(mistake: Mistake, written: fn(&[u8]) -> String) -> Vec<String> {
        let world = World::new();
        let hmac = world.with_proof("", |proof| mistake.hmac(proof)).expect("readable keys");
        let token = world.claim("tekmac", json!(written(&hmac))).token();
        World::new().with_proof(&token, diagnose)
    }

    #[track_caller]
    fn check(mistake: Mistake, word: &str) {
        let hints = hints(mistake, base64::encode);
        assert_eq!(hints.len(), 1, "{hints:?}");
        assert!(hints[0].contains(word), "{hints:?}");
    }

    #[test]
    fn each_usual_mistake_is_recognized() {
        check(Mistake { secret: Secret::Text, ..RIGHT }, "decoded bytes");
        check(Mistake { order: Order::AsSent, ..RIGHT }, "order of the request");
        check(Mistake { text: KeyText::UrlSafeUnpadded, ..RIGHT }, "without padding");
        check(Mistake { text: KeyText::Hexadecimal, ..RIGHT }, "hexadecimal");
        check(Mistake { risk: Risk::LeftOut, ..RIGHT }, "without `transmissionRisk`");
        check(Mistake { risk: Risk::Zero, ..RIGHT }, "`transmissionRisk` of 0");
        check(Mistake { separator: ", ", ..RIGHT }, "joined by \", \"");
    }

    #[test]
    fn two_mistakes_are_both_named() {
        let both = Mistake { secret: Secret::Text, risk: Risk::LeftOut, ..RIGHT };
        assert_eq!(hints(both, base64::encode).len(), 2);
    }

    #[test]
    fn hexadecimal_hmac_is_recognized() {
        let hexadecimal = |hmac: &[u8]| hmac.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
        let hints = hints(RIGHT, hexadecimal);
        assert!(hints.iter().any(|hint| hint.contains("hexadecimal")), "{hints:?}");
    }

    #[test]
    fn unknown_mistake_says_that_the_keys_are_others() {
        let hints = hints(RIGHT, |_| base64::encode(&[7; 32]));
        assert!(hints[0].contains("not those that were sent"), "{hints:?}");
    }
}
