//! The server's challenges: random values that evidence answers, so that it was made just now.
//!
//! Nothing is stored when one is given out: it holds its time and is authenticated with a key that lives as long as the
//! process. A restart makes all of them unknown; a phone then asks for another.

use super::Commit;
use crate::bindings::capabilities::tocsin::validator::types::Claim;
use aws_lc_rs::{constant_time, hmac, rand};
use sha2::{Digest, Sha256};
use tocsin_domain::interval::Timestamp;

/// How long a challenge is good, in seconds.
pub const CHALLENGE_SECONDS: i64 = 600;
/// In the place of a validator's name, which cannot have that character.
const OWNER: &str = ":server";
/// Bytes of the time, of randomness, and of the authentication.
const PARTS: [usize; 3] = [8, 8, 16];
const DOMAIN: &[u8] = b"tocsin-challenge-1\0";

/// Gives out challenges and knows its own.
#[derive(Debug)]
pub(super) struct Challenges(hmac::Key);

impl Challenges {
    /// With a key of its own.
    pub(super) fn new() -> Result<Self, aws_lc_rs::error::Unspecified> {
        hmac::Key::generate(hmac::HMAC_SHA256, &rand::SystemRandom::new()).map(Self)
    }

    /// A challenge, 32 bytes.
    pub(super) fn make(&self, now: Timestamp) -> Option<Vec<u8>> {
        let mut challenge = now.unix().to_be_bytes().to_vec();
        let mut random = [0; PARTS[1]];
        rand::fill(&mut random).ok()?;
        challenge.extend(random);
        challenge.extend(self.authenticate(&challenge));
        Some(challenge)
    }

    fn authenticate(&self, signed: &[u8]) -> Vec<u8> {
        let tag = hmac::sign(&self.0, &[DOMAIN, signed].concat());
        tag.as_ref().iter().copied().take(PARTS[2]).collect()
    }

    /// What lets a challenge be used once, or why it is none of ours that is good.
    pub(super) fn check(&self, challenge: &[u8], now: Timestamp) -> Result<(String, Commit), &'static str> {
        const UNKNOWN: &str = "challenge-unknown";
        let (signed, tag) = challenge.split_at_checked(PARTS[0] + PARTS[1]).ok_or(UNKNOWN)?;
        constant_time::verify_slices_are_equal(&self.authenticate(signed), tag).map_err(|_| UNKNOWN)?;
        let made = signed.first_chunk().copied().map(i64::from_be_bytes).ok_or(UNKNOWN)?;
        let ends = made.saturating_add(CHALLENGE_SECONDS);
        if now.unix() > ends {
            return Err("challenge-expired");
        }
        let digest = Sha256::digest(challenge).to_vec();
        let claim = Claim { space: "challenge".to_owned(), digest, expires_at: ends };
        Ok((OWNER.to_owned(), Commit::ClaimOnce(claim)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_unix(1_600_000_000);

    #[test]
    fn own_challenges_are_known_until_they_expire_and_claimed_once() {
        let challenges = Challenges::new().expect("randomness");
        let challenge = challenges.make(NOW).expect("randomness");
        assert_eq!(challenge.len(), 32);
        assert_ne!(challenges.make(NOW), Some(challenge.clone()));
        for seconds in [0, CHALLENGE_SECONDS] {
            let (owner, commit) = challenges.check(&challenge, NOW.plus_seconds(seconds)).expect("good");
            let Commit::ClaimOnce(claim) = commit else { panic!("another commit") };
            assert_eq!((owner.as_str(), claim.space.as_str()), (":server", "challenge"));
            assert_eq!(claim.digest, Sha256::digest(&challenge).to_vec());
            assert_eq!(claim.expires_at, NOW.unix() + CHALLENGE_SECONDS);
        }
        let late = challenges.check(&challenge, NOW.plus_seconds(CHALLENGE_SECONDS + 1));
        assert_eq!(late.map(|_| ()), Err("challenge-expired"));
    }

    #[test]
    fn others_are_unknown() {
        let challenges = Challenges::new().expect("randomness");
        let good = challenges.make(NOW).expect("randomness");
        let unknown = |challenge: &[u8]| {
            assert_eq!(challenges.check(challenge, NOW).map(|_| ()), Err("challenge-unknown"), "{challenge:?}");
        };
        for position in 0..good.len() {
            let mut changed = good.clone();
            changed[position] ^= 1;
            unknown(&changed);
            unknown(&good[..position]);
        }
        unknown(&[&good[..], &[0]].concat());
        unknown(&Challenges::new().expect("randomness").make(NOW).expect("randomness"));
    }
}
