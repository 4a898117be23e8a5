//! Attestations that Google signed in 2020.

use super::*;
use base64ct::{Base64, Encoding};

/// A recorded attestation and what lets it pass as far as it can.
struct Recorded {
    token: String,
    host: Host,
    submission: Submission,
    config: SafetyNetConfig,
}

/// The attestation of that file, made at that time about that hash.
fn recorded(file: &str, binding: Binding, hash: &str, made: i64) -> Option<Recorded> {
    let token = vector(&format!("safetynet/{file}"))?;
    let root = vector("safetynet/GlobalSign_Root_CA_R2.pem")?;
    let der: String = root.lines().filter(|line| !line.starts_with("-----")).collect();
    let anchors = vec![Base64::decode_vec(&der).expect("PEM")];
    let hash = decode_lenient(hash).expect("base64").try_into().expect("32 bytes");
    Some(Recorded {
        token: token.trim().to_owned(),
        host: Host { now: made, anchors, ..Host::default() },
        submission: submission(binding.format(), hash),
        config: SafetyNetConfig { binding, ..config() },
    })
}

/// The one whose nonce is the third historic format.
fn genuine() -> Option<Recorded> {
    recorded("3d7b952e-c77723d5.jws", Binding::EnsV3, "VLIju4jpickw6QDy/poqNlVd/0aIsJlNclAIh2jBz1M=", 1_589_588_408)
}

/// The one whose nonce is the first, from a device that Google trusts in nothing.
fn failing() -> Option<Recorded> {
    recorded("d1c75aa2-8145ebae.jws", Binding::EnsV1, "Mb668YLw6ePJPK/s3cotpEi8FQM1S2odugnvxb3mPBI", 1_587_846_205)
}

impl Recorded {
    fn begin(&self) -> Outcome {
        begin(&self.submission, &evidence(&self.token), &self.config, &self.host)
    }
}

/// What becomes of the genuine one after a change; nothing is claimed without vectors.
fn check(expect: impl Into<Option<&'static str>>, change: impl FnOnce(&mut Recorded)) {
    let Some(mut recorded) = genuine() else { return };
    change(&mut recorded);
    assert_eq!(refusal(&recorded.begin()).map(|(code, _)| code), expect.into());
}

#[test]
fn recorded_attestation_is_accepted_at_its_time() {
    let Some(recorded) = genuine() else { return };
    let Outcome::Accept(acceptance) = recorded.begin() else { panic!("not accepted: {:?}", recorded.begin()) };
    let signals = [("cts-profile-match", "true"), ("basic-integrity", "true"), ("hardware-backed", "false")];
    assert_eq!(acceptance.signals, signals.map(|(name, value)| (name.to_owned(), value.to_owned())));
    let claim = crate::contract::Commit::ClaimOnce {
        space: "safetynet".to_owned(),
        digest: <sha2::Sha256 as sha2::Digest>::digest(&recorded.token).into(),
        expires_at: 1_589_588_408 + 660,
    };
    assert!(acceptance.commits == [claim]);
}

/// The reference server's own tests stopped passing when the leaf expired.
#[test]
fn certificates_must_be_valid_now_or_in_an_archive_at_the_time_of_the_evidence() {
    const DAY: u32 = 86_400;
    let years_later = |recorded: &mut Recorded| {
        recorded.host.now += i64::from(DAY) * 2_000;
        recorded.config.max_age_seconds = DAY * 2_000;
    };
    check("sn-chain-expired", years_later);
    check(None, |recorded| {
        years_later(recorded);
        recorded.config.archive = true;
    });
    // An archive does not make evidence fresh.
    check("stale", |recorded| {
        recorded.host.now += 601;
        recorded.config.archive = true;
    });
    check("sn-chain-expired", |recorded| recorded.host.now -= i64::from(DAY) * 365);
}

#[test]
fn recorded_attestation_is_refused_when_anything_else_changes() {
    check(None, |recorded| recorded.host.now += 600);
    check("stale", |recorded| recorded.host.now += 601);
    check(None, |recorded| recorded.host.now -= 60);
    check("in-future", |recorded| recorded.host.now -= 61);
    check("app-mismatch", |recorded| recorded.submission.app.push('x'));
    check("app-mismatch", |recorded| recorded.submission.app.make_ascii_uppercase());
    check("app-mismatch", |recorded| recorded.config.package = Some("other".to_owned()));
    check(None, |recorded| {
        "health-app".clone_into(&mut recorded.submission.app);
        recorded.config.package = Some(APP.to_owned());
    });
    check("cert-digest-mismatch", |recorded| recorded.config.certificate_sha256.truncate(1));
    check("binding-mismatch", |recorded| recorded.submission.transcripts[0].sha256[0] ^= 1);
    check("binding-mismatch", |recorded| recorded.submission.transcripts.clear());
    check("binding-mismatch", |recorded| recorded.config.binding = Binding::EnsV4);
    check("config-missing", |recorded| recorded.host.anchors.clear());
    check("sn-chain", |recorded| recorded.host.anchors = make::host().anchors);
    check("config-missing", |recorded| recorded.config.enabled = false);
}

#[test]
fn attestation_from_a_device_that_fails_is_refused() {
    let Some(recorded) = failing() else { return };
    // Google does not even say which app asked.
    assert_eq!(refusal(&recorded.begin()), Some(("app-mismatch", Stage::Identity)));
    let stale = Recorded { host: Host { now: recorded.host.now + 601, ..recorded.host.clone() }, ..recorded };
    assert_eq!(refusal(&stale.begin()), Some(("stale", Stage::Freshness)));
    let Some(other) = failing() else { return };
    let unpadded = Recorded { config: SafetyNetConfig { binding: Binding::EnsV3, ..other.config }, ..other };
    assert_eq!(refusal(&unpadded.begin()), Some(("binding-mismatch", Stage::Binding)));
}

#[test]
fn tampered_attestation_is_refused() {
    let Some(recorded) = genuine() else { return };
    let change = |at: usize| {
        let mut token = recorded.token.clone().into_bytes();
        token[at] = if token[at] == b'A' { b'B' } else { b'A' };
        check_token(&recorded, String::from_utf8(token).expect("ASCII"))
    };
    let dots: Vec<usize> = recorded.token.match_indices('.').map(|(at, _)| at).collect();
    assert_eq!(change(dots[1] + 1), Some("sn-signature"));
    assert_eq!(change(dots[1] - 60), Some("sn-signature"));
    // The last character has bits that decode to nothing.
    let respelled = recorded.token.strip_suffix('g').expect("as recorded").to_owned() + "h";
    assert_eq!(check_token(&recorded, respelled), Some("sn-malformed"));
    for at in (0..recorded.token.len()).step_by(61) {
        assert!(change(at).is_some(), "{at}");
    }
}

fn check_token(recorded: &Recorded, token: String) -> Option<&'static str> {
    let outcome = begin(&recorded.submission, &evidence(&token), &recorded.config, &recorded.host);
    refusal(&outcome).map(|(code, _)| code)
}
