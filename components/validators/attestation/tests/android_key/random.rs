//! Whatever a phone sends, the answer is a rejection with a code, never a panic and never an acceptance.

use proptest::prelude::*;

use tocsin_attestation::android_key::key_description::KeyDescription;

use crate::case::{Case, factory, remote};
use crate::make::ATTESTATION;
use crate::support::{code, judge};

fn judge_bytes(case: &Case, chain: &[Vec<u8>]) -> &'static str {
    code(&judge(&case.submission, chain, &case.config, &case.host))
}

proptest! {
    #[test]
    fn random_certificates_are_never_accepted(
        chain in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..300), 0..8)
    ) {
        prop_assert_eq!(judge_bytes(&factory(), &chain), "ka-chain-shape");
    }

    #[test]
    fn random_extensions_of_a_genuine_chain_are_never_accepted(
        extension in prop::collection::vec(any::<u8>(), 0..300)
    ) {
        let mut case = factory();
        case.description = None;
        case.chain[0].extensions.push((ATTESTATION, extension));
        prop_assert_eq!(judge_bytes(&case, &case.certificates()), "ka-extension");
    }

    #[test]
    fn a_changed_byte_below_the_root_is_never_accepted(
        certificate in 0_usize..4, position in any::<prop::sample::Index>(), change in 1_u8..
    ) {
        let case = remote();
        let mut chain = case.certificates();
        let position = position.index(chain[certificate].len());
        chain[certificate][position] ^= change;
        let found = judge_bytes(&case, &chain);
        prop_assert!(["ka-chain", "ka-chain-shape"].contains(&found), "{}", found);
    }

    /// The reader alone is fast enough for many more inputs near the real ones.
    #[test]
    fn a_changed_attestation_is_read_or_refused_but_never_panics(
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6)
    ) {
        let mut bytes = factory().description.expect("a description").der();
        for (position, value) in changes {
            let position = position.index(bytes.len());
            bytes[position] = value;
        }
        if let Ok(description) = KeyDescription::parse(&bytes) {
            prop_assert!(description.attestation_challenge.len() <= 128);
        }
    }
}
