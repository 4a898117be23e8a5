mod exchange;
mod make;
mod offline;
mod policy;

use super::*;
use crate::android_key::CertificateDigest;
use crate::contract::Commit;
use crate::google::Binding;
use crate::google::testing::{APP, APP_SIGNER, Host, refusal, submission, vector};
use make::{NOW, Token, verdict};
use serde_json::json;
use sha2::{Digest, Sha256};

/// Settings that let the tokens of these tests pass.
fn config() -> PlayIntegrityConfig {
    PlayIntegrityConfig {
        kinds: vec![Kind::Classic, Kind::Standard],
        certificate_sha256: vec![CertificateDigest([1; 32]), CertificateDigest(APP_SIGNER)],
        wrap_key: Some("wrap".to_owned()),
        verify_key_spki: Some(make::verify_key()),
        credential: Some("play".to_owned()),
        ..PlayIntegrityConfig::default()
    }
}

fn evidence(kind: Kind, token: &str) -> Evidence {
    Evidence { method: kind.method().to_owned(), token: token.as_bytes().to_vec(), ..Evidence::default() }
}

/// What becomes of a classic token.
fn offline(token: &Token, config: &PlayIntegrityConfig) -> Option<(&'static str, Stage)> {
    let submission = submission("ens-v4", make::HASH);
    refusal(&begin(&submission, &evidence(Kind::Classic, &token.seal()), config, &make::host()))
}

/// What becomes of a verdict that Google decoded.
fn decoded(kind: Kind, verdict: &Value, config: &PlayIntegrityConfig) -> Outcome {
    let config = PlayIntegrityConfig { wrap_key: None, verify_key_spki: None, ..config.clone() };
    let body = json!({"tokenPayloadExternal": verdict}).to_string().into_bytes();
    let answer = HttpAnswer::Response { status: 200, body };
    resume(&submission("ens-v4", make::HASH), &evidence(kind, "token"), &config, &make::host(), &answer)
}

#[test]
fn defaults_accept_nothing_and_names_are_checked() {
    let config: PlayIntegrityConfig = serde_json::from_str("{}").expect("a config");
    assert_eq!(config, PlayIntegrityConfig::default());
    assert!(config.kinds.is_empty() && !config.allow_testing);
    let outcome = begin(&submission("ens-v4", make::HASH), &evidence(Kind::Classic, "a"), &config, &make::host());
    assert_eq!(refusal(&outcome), Some(("config-missing", Stage::Config)));
    for bad in [r#"{"kind":[]}"#, r#"{"kinds":["other"]}"#, r#"{"verify_key_spki":"AAAA"}"#, r#"{"binding":"ens-v2"}"#]
    {
        assert!(serde_json::from_str::<PlayIntegrityConfig>(bad).is_err(), "{bad}");
    }
}

#[test]
fn config_can_be_written_and_read_again() {
    let text = serde_json::to_string(&config()).expect("JSON");
    assert_eq!(serde_json::from_str::<PlayIntegrityConfig>(&text).ok(), Some(config()));
}
