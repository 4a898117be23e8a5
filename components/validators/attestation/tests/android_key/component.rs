//! Key attestation as the component calls it: evidence as the phone sends it, configuration as JSON.

use tocsin_attestation::contract::{Acceptance, Evidence, Outcome, Rejection, Score, Stage};
use tocsin_attestation::validator::{AndroidKey, validate};

use crate::case::{SIGNER, factory};
use crate::support::to_base64;

fn judge(chain: &[Vec<u8>], token: &str) -> Result<Acceptance, Rejection> {
    let case = factory();
    let signer: String = SIGNER.iter().map(|byte| format!("{byte:02x}")).collect();
    let configuration = format!(r#"{{"certificate_sha256": ["{signer}"], "score": 90}}"#);
    let evidence = Evidence {
        method: "android-key".to_owned(),
        token: token.as_bytes().to_vec(),
        chain: chain.to_vec(),
        ..Evidence::default()
    };
    match validate::<AndroidKey>(&case.submission, Some(&evidence), &configuration, &case.host) {
        Outcome::Accept(acceptance) => Ok(acceptance),
        Outcome::Reject(rejection) => Err(rejection),
        Outcome::Exchange(_) => panic!("key attestation asks nobody"),
    }
}

#[test]
fn a_chain_is_accepted_apart_or_in_the_token() {
    let chain = factory().certificates();
    let texts: Vec<String> = chain.iter().map(|der| to_base64(der)).collect();
    let unpadded = texts.join(",").replace('=', "");
    // What else the token holds does not matter when there is a chain.
    for (chain, token) in [(&chain[..], ""), (&chain[..], "?"), (&[], &texts.join(",")), (&[], &unpadded)] {
        assert_eq!(judge(chain, token).expect("an acceptance").score, Score::try_from(90).expect("a score"));
    }
}

#[test]
fn a_token_that_is_no_chain_is_refused() {
    let leaf = to_base64(&factory().certificates()[0]);
    for token in ["", "*", ",", &leaf, &format!("{leaf},"), &format!("{leaf}, {leaf},{leaf}")] {
        let rejection = judge(&[], token).expect_err("a rejection");
        assert_eq!((rejection.code, rejection.stage), ("ka-chain-shape", Stage::Parse), "{token}");
    }
}
