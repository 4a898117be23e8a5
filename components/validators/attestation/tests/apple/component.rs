//! App Attest and DeviceCheck as the components call them: evidence as the phone sends it, configuration as JSON.

use base64ct::{Base64, Base64Unpadded, Encoding};

use tocsin_attestation::apple::app_attest::{ASSERTION, ATTESTATION};
use tocsin_attestation::contract::{Evidence, HttpAnswer, Outcome, Score, Stage};
use tocsin_attestation::validator::{AppAttest, DeviceCheck, resume, validate};

use crate::forge::{Forge, NOW};
use crate::support::{Case, Host, check_rejected, submission};

const CONFIG: &str = r#"{"team_id": "A1B2C3D4E5", "score": 70}"#;

fn judge(case: &Case, method: &str, token: String) -> Outcome {
    let evidence = Evidence {
        method: method.to_owned(),
        token: token.into_bytes(),
        key_id: case.evidence.key_id.clone(),
        ..Evidence::default()
    };
    validate::<AppAttest>(&case.submission, Some(&evidence), CONFIG, &case.host)
}

fn rejected(outcome: Outcome) -> Result<(), tocsin_attestation::contract::Rejection> {
    match outcome {
        Outcome::Reject(rejection) => Err(rejection),
        Outcome::Accept(_) | Outcome::Exchange(_) => Ok(()),
    }
}

#[test]
fn an_attestation_in_base64_is_accepted_with_its_score() {
    let case = Forge::default().case();
    let token = &case.evidence.token;
    for token in [Base64::encode_string(token), Base64Unpadded::encode_string(token)] {
        let Outcome::Accept(acceptance) = judge(&case, ATTESTATION, token) else { panic!("not accepted") };
        assert_eq!(acceptance.score, Score::try_from(70).unwrap());
        assert_eq!(acceptance.commits.len(), 1);
    }
}

#[test]
fn a_token_that_is_not_base64_is_malformed() {
    let case = Forge::default().case();
    let good = Base64::encode_string(&case.evidence.token);
    for token in ["*".to_owned(), good.clone() + "=", good.clone() + "\n", good.replace('A', "-"), good.clone() + "A"] {
        check_rejected(rejected(judge(&case, ATTESTATION, token.clone())), "aa-malformed", Stage::Parse);
        check_rejected(rejected(judge(&case, ASSERTION, token)), "aa-assert-malformed", Stage::Parse);
    }
    check_rejected(rejected(judge(&case, ATTESTATION, String::new())), "aa-malformed", Stage::Parse);
}

#[test]
fn device_check_asks_apple_and_then_accepts() {
    const CONFIG: &str = r#"{"team_id": "A1B2C3D4E5", "key_id": "KEY4567890", "sign_key": "apple", "score": 5}"#;
    let signing = [("apple".to_owned(), p256::ecdsa::SigningKey::from_slice(&[5; 32]).unwrap())].into();
    let host = Host { now: NOW, signing, ..Host::default() };
    let (submission, evidence) = (
        submission("app", [9; 32]),
        Evidence { method: "device-check".to_owned(), token: b"dG9rZW4=".to_vec(), ..Evidence::default() },
    );
    let outcome = validate::<DeviceCheck>(&submission, Some(&evidence), CONFIG, &host);
    assert!(matches!(outcome, Outcome::Exchange(_)), "{outcome:?}");
    let hear = |status| {
        let answer = HttpAnswer::Response { status, body: Vec::new() };
        resume::<DeviceCheck>(&submission, Some(&evidence), CONFIG, &host, &answer)
    };
    let Outcome::Accept(acceptance) = hear(200) else { panic!("not accepted") };
    assert_eq!(acceptance.score, Score::try_from(5).unwrap());
    let refused = rejected(hear(401)).expect_err("refused");
    assert_eq!((refused.code, refused.retryable), ("upstream-auth", true), "the operator can mend it");
}
