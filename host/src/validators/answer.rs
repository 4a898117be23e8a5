//! The limits of the contract on what a validator answers.

use crate::bindings::validator::tocsin::validator::types::{
    Acceptance, AttestedKey, Claim, Commit, CounterStep, Exchange, Rejection, Submission,
};
use tocsin_domain::interval::Timestamp;

/// Exchanges of one submission.
pub(super) const MAX_EXCHANGES: u32 = 3;
/// Bodies of exchanges and what is handed over.
pub(super) const MAX_EXCHANGE_BYTES: usize = 64 * 1024;
/// Letters of `identity`.
pub(super) const MAX_IDENTITY_CHARS: usize = 100;
const MAX_SIGNALS: usize = 16;
const MAX_COMMITS: usize = 8;
const MAX_KEY_ID_BYTES: usize = 64;
/// An uncompressed point of P-521.
const MAX_PUBLIC_KEY_BYTES: usize = 133;
const MAX_SPACE_BYTES: usize = 64;
const MAX_CODE_BYTES: usize = 64;
const MAX_DETAIL_CHARS: usize = 1_000;
const MAX_CLAIM_SECONDS: i64 = 30 * 86_400;

/// Checks an acceptance; the error says which rule it breaks.
pub(super) fn check_acceptance(
    acceptance: &Acceptance,
    submission: &Submission,
    now: Timestamp,
) -> Result<(), &'static str> {
    let Acceptance { score, signals, commits } = acceptance;
    require(*score <= 100, "a score above 100")?;
    require(signals.len() <= MAX_SIGNALS, "more than 16 signals")?;
    require(commits.len() <= MAX_COMMITS, "more than 8 commits")?;
    commits.iter().try_for_each(|commit| check_commit(commit, submission, now))
}

fn check_commit(commit: &Commit, submission: &Submission, now: Timestamp) -> Result<(), &'static str> {
    match commit {
        Commit::ClaimOnce(Claim { space, digest, expires_at }) => {
            require((1..=MAX_SPACE_BYTES).contains(&space.len()), "a claim whose space is not 1 to 64 bytes")?;
            require(digest.len() == 32, "a claim whose digest is not 32 bytes")?;
            let latest = now.plus_seconds(MAX_CLAIM_SECONDS).unix();
            require(*expires_at <= latest, "a claim that expires more than 30 days from now")
        }
        Commit::AdvanceCounter(CounterStep { key_id, expected, next }) => {
            check_key_id(key_id)?;
            require(next > expected, "a counter that does not advance")
        }
        Commit::StoreKey(AttestedKey { key_id, app, public_key, development: _, counter: _, attested_at: _ }) => {
            check_key_id(key_id)?;
            require(*app == submission.app, "a key of another app than the submission's")?;
            require((1..=MAX_PUBLIC_KEY_BYTES).contains(&public_key.len()), "a public key that is no SEC1 point")
        }
    }
}

fn check_key_id(key_id: &[u8]) -> Result<(), &'static str> {
    require((1..=MAX_KEY_ID_BYTES).contains(&key_id.len()), "a key id that is not 1 to 64 bytes")
}

/// Checks a rejection; the error says which rule it breaks.
pub(super) fn check_rejection(rejection: &Rejection) -> Result<(), &'static str> {
    let Rejection { code, stage: _, retryable: _, detail } = rejection;
    let good = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    require(
        (1..=MAX_CODE_BYTES).contains(&code.len()) && code.bytes().all(good),
        "a code that is not 1 to 64 of a-z, 0-9 and -",
    )?;
    require(detail.chars().nth(MAX_DETAIL_CHARS).is_none(), "a detail of more than 1000 characters")
}

/// Checks the sizes of an exchange; the error says which rule it breaks. The rest is checked where it is sent.
pub(super) fn check_exchange(exchange: &Exchange) -> Result<(), &'static str> {
    let Exchange { request, continuation } = exchange;
    require(continuation.len() <= MAX_EXCHANGE_BYTES, "a continuation of more than 64 KiB")?;
    require(request.body.len() <= MAX_EXCHANGE_BYTES, "a request body of more than 64 KiB")
}

/// Checks the identity; the error says which rule it breaks.
pub(super) fn check_identity(identity: &str) -> Result<(), &'static str> {
    require(!identity.is_empty(), "an empty identity")?;
    require(identity.chars().nth(MAX_IDENTITY_CHARS).is_none(), "an identity of more than 100 characters")?;
    require(!identity.chars().any(char::is_control), "an identity with characters that cannot be printed")
}

fn require(holds: bool, otherwise: &'static str) -> Result<(), &'static str> {
    if holds { Ok(()) } else { Err(otherwise) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bindings::validator::tocsin::validator::types::{HttpRequest, Stage};

    const NOW: Timestamp = Timestamp::from_unix(1_000_000);

    fn submission() -> Submission {
        crate::validators::doubles::submission("com.example.App")
    }

    fn check(commit: Commit, expect: Result<(), &str>) {
        let acceptance = Acceptance { score: 100, signals: vec![], commits: vec![commit] };
        assert_eq!(check_acceptance(&acceptance, &submission(), NOW), expect);
    }

    fn claim() -> Claim {
        Claim { space: "nonce".to_owned(), digest: vec![1; 32], expires_at: NOW.unix() + MAX_CLAIM_SECONDS }
    }

    fn key() -> AttestedKey {
        AttestedKey {
            key_id: vec![1; 64],
            app: "com.example.App".to_owned(),
            public_key: vec![4; 65],
            development: false,
            counter: 0,
            attested_at: NOW.unix(),
        }
    }

    #[test]
    fn commits_at_their_limits_pass_and_beyond_are_named() {
        check(Commit::ClaimOnce(claim()), Ok(()));
        check(Commit::ClaimOnce(Claim { digest: vec![1; 31], ..claim() }), Err("a claim whose digest is not 32 bytes"));
        check(
            Commit::ClaimOnce(Claim { expires_at: claim().expires_at + 1, ..claim() }),
            Err("a claim that expires more than 30 days from now"),
        );
        let no_space = "a claim whose space is not 1 to 64 bytes";
        check(Commit::ClaimOnce(Claim { space: String::new(), ..claim() }), Err(no_space));
        check(Commit::ClaimOnce(Claim { space: "x".repeat(65), ..claim() }), Err(no_space));
        check(Commit::StoreKey(key()), Ok(()));
        let another = "a key of another app than the submission's";
        check(Commit::StoreKey(AttestedKey { app: "com.example.app".to_owned(), ..key() }), Err(another));
        let key_id = "a key id that is not 1 to 64 bytes";
        check(Commit::StoreKey(AttestedKey { key_id: vec![1; 65], ..key() }), Err(key_id));
        let no_point = "a public key that is no SEC1 point";
        check(Commit::StoreKey(AttestedKey { public_key: vec![], ..key() }), Err(no_point));
        let step = |key_id, expected, next| Commit::AdvanceCounter(CounterStep { key_id, expected, next });
        check(step(vec![1], 0, u32::MAX), Ok(()));
        check(step(vec![1], 7, 7), Err("a counter that does not advance"));
        check(step(vec![], 7, 8), Err(key_id));
    }

    #[test]
    fn acceptance_has_limits_of_its_own() {
        let check = |score, signals, commits, expect| {
            let signals = vec![("a".to_owned(), "b".to_owned()); signals];
            let commits = vec![Commit::ClaimOnce(claim()); commits];
            let acceptance = Acceptance { score, signals, commits };
            assert_eq!(check_acceptance(&acceptance, &submission(), NOW), expect);
        };
        check(100, 16, 8, Ok(()));
        check(101, 0, 0, Err("a score above 100"));
        check(0, 17, 0, Err("more than 16 signals"));
        check(0, 0, 9, Err("more than 8 commits"));
    }

    #[test]
    fn rejection_has_a_plain_code_and_a_short_detail() {
        let check = |code: &str, detail: &str, good: bool| {
            let rejection =
                Rejection { code: code.to_owned(), stage: Stage::Policy, retryable: false, detail: detail.to_owned() };
            assert_eq!(check_rejection(&rejection).is_ok(), good, "{code:?}");
        };
        check(&"a".repeat(64), &"ä".repeat(1000), true);
        check("pi-2", "", true);
        check("a", &"ä".repeat(1001), false);
        for bad in ["", "A", "a b", "a_b", "ä", "a\n", &"a".repeat(65)] {
            check(bad, "", false);
        }
    }

    #[test]
    fn exchange_and_identity_are_short() {
        let request = |body| HttpRequest {
            method: "GET".to_owned(),
            url: String::new(),
            headers: vec![],
            body: vec![0; body],
            credential: None,
        };
        let check = |body, continuation, good| {
            let exchange = Exchange { request: request(body), continuation: vec![0; continuation] };
            assert_eq!(check_exchange(&exchange).is_ok(), good);
        };
        check(65_536, 65_536, true);
        check(65_537, 0, false);
        check(0, 65_537, false);
        assert_eq!(check_identity(&"ä".repeat(100)), Ok(()));
        for bad in ["", "a\nb", &"a".repeat(101)] {
            assert!(check_identity(bad).is_err(), "{bad:?}");
        }
    }
}
