//! Classic tokens under self-managed keys.

use super::*;
use base64ct::{Base64, Base64UrlUnpadded, Encoding};
use proptest::prelude::*;

/// A token that another implementation made, with its keys.
struct Vector {
    token: String,
    host: Host,
    submission: Submission,
    config: PlayIntegrityConfig,
}

fn read_vector() -> Option<Vector> {
    let vector: Value = serde_json::from_str(&vector("play-integrity/classic-self-managed.json")?).expect("JSON");
    let field = |name: &str| vector[name].as_str().expect("a text").to_owned();
    let hash = Base64UrlUnpadded::decode_vec(&field("nonce")).expect("base64url");
    let wrap = Base64::decode_vec(&field("decryptionKeyBase64")).expect("base64");
    Some(Vector {
        token: field("token"),
        host: Host { now: NOW, wrap: wrap.try_into().expect("32 bytes"), ..Host::default() },
        submission: submission("ens-v3", hash.try_into().expect("32 bytes")),
        config: PlayIntegrityConfig {
            binding: Binding::EnsV3,
            verify_key_spki: Some(field("verificationKeyBase64").try_into().expect("a key")),
            ..config()
        },
    })
}

impl Vector {
    fn begin(&self) -> Outcome {
        begin(&self.submission, &evidence(Kind::Classic, &self.token), &self.config, &self.host)
    }

    /// What becomes of it after a change.
    fn changed(change: impl FnOnce(&mut Self)) -> Option<(&'static str, Stage)> {
        // Without vectors nothing is claimed about them.
        let mut vector = read_vector()?;
        change(&mut vector);
        refusal(&vector.begin())
    }
}

#[test]
fn token_of_another_implementation_is_accepted_and_claimed_once() {
    let Some(vector) = read_vector() else { return };
    let Outcome::Accept(acceptance) = vector.begin() else { panic!("not accepted: {:?}", vector.begin()) };
    let claim = Commit::ClaimOnce {
        space: "play-integrity-classic".to_owned(),
        digest: Sha256::digest(&vector.token).into(),
        expires_at: NOW + 660,
    };
    assert!(acceptance.commits == [claim]);
    let signals = [("recognition", "PLAY_RECOGNIZED"), ("device", "MEETS_DEVICE_INTEGRITY"), ("licensing", "LICENSED")];
    assert_eq!(acceptance.signals, signals.map(|(name, value)| (name.to_owned(), value.to_owned())));
}

#[test]
fn token_of_another_implementation_is_refused_when_anything_else_changes() {
    if read_vector().is_none() {
        return;
    }
    let check = |code: &'static str, stage, change: fn(&mut Vector)| {
        assert_eq!(Vector::changed(change), Some((code, stage)), "{code}");
    };
    check("stale", Stage::Freshness, |vector| vector.host.now += 601);
    check("in-future", Stage::Freshness, |vector| vector.host.now -= 61);
    check("app-mismatch", Stage::Identity, |vector| vector.submission.app.push('x'));
    check("app-mismatch", Stage::Identity, |vector| vector.submission.app.make_ascii_uppercase());
    check("app-mismatch", Stage::Identity, |vector| vector.config.package = Some("other".to_owned()));
    check("binding-mismatch", Stage::Binding, |vector| vector.submission.transcripts[0].sha256[31] ^= 1);
    check("binding-mismatch", Stage::Binding, |vector| vector.submission.transcripts.clear());
    check("binding-mismatch", Stage::Binding, |vector| vector.config.binding = Binding::EnsV4);
    check("cert-digest-mismatch", Stage::Identity, |vector| vector.config.certificate_sha256.truncate(1));
    check("pi-decrypt", Stage::Signature, |vector| vector.host.wrap[0] ^= 1);
    check("pi-decrypt", Stage::Signature, |vector| vector.config.wrap_key = Some("other".to_owned()));
    check("pi-signature", Stage::Signature, |vector| vector.config.verify_key_spki = Some(make::verify_key()));
    check("version-too-old", Stage::Integrity, |vector| vector.config.min_version_code = 43);
    check("integrity-device", Stage::Integrity, |vector| {
        "MEETS_STRONG_INTEGRITY".clone_into(&mut vector.config.device)
    });
    check("app-unrecognized", Stage::Integrity, |vector| vector.config.recognition.clear());

    assert_eq!(Vector::changed(|vector| vector.host.now += 600), None);
    assert_eq!(Vector::changed(|vector| vector.host.now -= 60), None);
    assert_eq!(Vector::changed(|vector| vector.config.min_version_code = 42), None);
    assert_eq!(Vector::changed(|vector| vector.config.require_licensed = true), None);
    let renamed = |vector: &mut Vector| {
        "health-app".clone_into(&mut vector.submission.app);
        vector.config.package = Some(APP.to_owned());
    };
    assert_eq!(Vector::changed(renamed), None);
}

#[test]
fn no_character_of_a_token_can_be_changed() {
    let Some(mut vector) = read_vector() else { return };
    let token = vector.token.clone();
    for at in 0..token.len() {
        let mut changed = token.clone().into_bytes();
        changed[at] = if changed[at] == b'A' { b'B' } else { b'A' };
        vector.token = String::from_utf8(changed).expect("ASCII");
        assert!(refusal(&vector.begin()).is_some(), "{at}");
    }
}

#[test]
fn token_of_our_own_is_accepted() {
    assert_eq!(offline(&Token::of(&verdict()), &config()), None);
}

/// One change of a token.
type Change = fn(&mut Token);

#[test]
fn token_that_is_not_as_google_makes_it_is_refused() {
    let check = |code: &'static str, stage, change: Change| {
        let mut token = Token::of(&verdict());
        change(&mut token);
        assert_eq!(offline(&token, &config()), Some((code, stage)), "{code}");
    };
    check("pi-malformed", Stage::Parse, |token| token.header = "[]".to_owned());
    check("pi-malformed", Stage::Parse, |token| token.iv = vec![9; 16]);
    check("pi-malformed", Stage::Parse, |token| token.content_key = vec![7; 16]);
    check("pi-malformed", Stage::Parse, |token| token.content = Some("{}".to_owned()));
    check("pi-malformed", Stage::Parse, |token| token.payload = "[]".to_owned());
    check("pi-malformed", Stage::Parse, |token| token.payload = r#"{"a":1,"a":1}"#.to_owned());
    check("pi-malformed", Stage::Parse, |token| token.payload = " ".repeat(40_000));
    check("pi-alg", Stage::Parse, |token| token.header = r#"{"alg":"dir","enc":"A256GCM"}"#.to_owned());
    check("pi-alg", Stage::Parse, |token| token.header = r#"{"alg":"A256KW","enc":"A256GCM","zip":"DEF"}"#.to_owned());
    check("pi-inner-alg", Stage::Parse, |token| token.inner_header = r#"{"alg":"none"}"#.to_owned());
    check("pi-inner-alg", Stage::Parse, |token| token.inner_header = r#"{"alg":"HS256"}"#.to_owned());
    check("pi-signature", Stage::Signature, |token| token.signer = 6);
}

#[test]
fn content_is_bound_to_its_header_and_key() {
    let token = Token::of(&verdict());
    let other = Token { header: r#"{"enc":"A256GCM","alg":"A256KW"}"#.to_owned(), ..token.clone() };
    let key = Token { content_key: vec![8; 32], ..token.clone() };
    let parts = |token: &Token| token.seal().split('.').map(str::to_owned).collect::<Vec<_>>();
    let mixed = |at: usize, from: &Token| {
        let mut mixed = parts(&token);
        mixed[at].clone_from(&parts(from)[at]);
        let evidence = evidence(Kind::Classic, &mixed.join("."));
        refusal(&begin(&submission("ens-v4", make::HASH), &evidence, &config(), &make::host()))
    };
    assert_eq!(mixed(0, &token), None);
    assert_eq!(mixed(0, &other), Some(("pi-decrypt", Stage::Signature)));
    assert_eq!(mixed(1, &key), Some(("pi-decrypt", Stage::Signature)));
}

#[test]
fn host_that_unwraps_to_another_length_is_an_error_and_no_panic() {
    struct Short;
    impl Services for Short {
        fn now(&self) -> i64 {
            NOW
        }
        fn random(&self, _: u32) -> Vec<u8> {
            Vec::new()
        }
        fn anchors(&self, _: &str) -> Vec<Vec<u8>> {
            Vec::new()
        }
        fn is_revoked(&self, _: &str) -> Option<bool> {
            None
        }
        fn unwrap_key(&self, _: &str, _: &[u8]) -> Option<Vec<u8>> {
            Some(vec![0; 16])
        }
        fn sign_es256(&self, _: &str, _: &[u8]) -> Option<Vec<u8>> {
            None
        }
        fn find_key(&self, _: &str, _: &[u8]) -> Option<crate::contract::AttestedKey> {
            None
        }
    }
    let evidence = evidence(Kind::Classic, &Token::of(&verdict()).seal());
    let outcome = begin(&submission("ens-v4", make::HASH), &evidence, &config(), &Short);
    assert_eq!(refusal(&outcome), Some(("pi-decrypt", Stage::Signature)));
}

proptest! {
    #[test]
    fn random_bytes_are_never_accepted(token in prop::collection::vec(any::<u8>(), 0..2_000)) {
        let evidence = Evidence { method: Kind::Classic.method().to_owned(), token, ..Evidence::default() };
        let outcome = begin(&submission("ens-v4", make::HASH), &evidence, &config(), &make::host());
        prop_assert!(refusal(&outcome).is_some());
    }

    /// Signed and sealed, so that everything behind the signature is reached.
    #[test]
    fn random_content_is_never_accepted(content in "[A-Za-z0-9_.-]{0,200}", payload in "\\PC{0,200}") {
        let token = Token { content: Some(content), ..Token::of(&verdict()) };
        prop_assert!(offline(&token, &config()).is_some());
        let token = Token { payload, ..Token::of(&verdict()) };
        prop_assert!(offline(&token, &config()).is_some());
    }
}
