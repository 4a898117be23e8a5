//! Play Integrity: Google's verdict about the app, the device and the account behind one request.
//!
//! | kind | bound by | read here, offline | read by Google |
//! |---|---|---|---|
//! | classic | `nonce` | with the app's self-managed keys | yes |
//! | standard | `requestHash` | never | yes |
//!
//! The evidence is the token as the library on the phone returned it. Nonce and request hash are the 43 characters of
//! base64url (no padding) of the hash of the submission's transcript.
//!
//! A classic token under self-managed keys is a JWE (A256KW, A256GCM) around a JWS (ES256) around the verdict. The host
//! keeps the decryption key and unwraps the key of each token; everything else happens here. Otherwise the host asks
//! Google to decode the token ([`begin`] returns an exchange), and [`resume`] judges the answer.

mod config;
#[cfg(test)]
mod tests;
mod verdict;

pub use config::{Kind, PlayIntegrityConfig, VerifyKey};

use super::{Window, config_missing};
use crate::contract::{
    Acceptance, Evidence, Exchange, HttpAnswer, HttpRequest, Outcome, Rejection, Services, Stage, Submission,
};
use crate::jose::{Jwe, Jws, is_compact, parse_object};
use aes_gcm::aead::{Aead, KeyInit, Payload};
use aes_gcm::{Aes256Gcm, Nonce};
use serde_json::{Map, Value};

/// Host that decodes tokens.
pub const DECODE_HOST: &str = "playintegrity.googleapis.com";
/// Longest answer that is read, in bytes.
const MAX_ANSWER_BYTES: usize = 64 * 1024;
/// A 256-bit key wrapped as RFC 3394 says.
const WRAPPED_KEY_BYTES: usize = 40;
const IV_BYTES: usize = 12;

/// How a token is read.
enum Reading<'a> {
    /// With the app's own keys: name of the host's decryption key, and Google's signing key.
    Here(&'a str, &'a VerifyKey),
    /// By Google: name of the credential.
    Google(&'a str),
}

/// What is known before the token is looked at.
struct Request<'a> {
    kind: Kind,
    package: &'a str,
    reading: Reading<'a>,
    window: Window,
}

/// Judges a token, or asks Google to decode it.
pub fn begin(
    submission: &Submission,
    evidence: &Evidence,
    config: &PlayIntegrityConfig,
    services: &dyn Services,
) -> Outcome {
    let token = &evidence.token;
    let judge = || {
        let request = Request::new(submission, evidence, config, services)?;
        match request.reading {
            Reading::Here(wrap_key, verify_key) => {
                let verdict = open(token, wrap_key, verify_key, services)?;
                request.judge(&verdict, submission, token, config).map(Outcome::Accept)
            }
            Reading::Google(credential) => ask(token, request.package, credential).map(Outcome::Exchange),
        }
    };
    judge().unwrap_or_else(Outcome::Reject)
}

/// Judges what Google answered. The answer names the submission, so nothing has to be remembered from [`begin`], and the
/// continuation is empty.
pub fn resume(
    submission: &Submission,
    evidence: &Evidence,
    config: &PlayIntegrityConfig,
    services: &dyn Services,
    answer: &HttpAnswer,
) -> Outcome {
    let judge = || {
        let request = Request::new(submission, evidence, config, services)?;
        match request.reading {
            Reading::Here(..) => Err(config_missing("an answer came, but such tokens are not sent to Google")),
            Reading::Google(_) => request.judge(&answered(answer)?, submission, &evidence.token, config),
        }
    };
    judge().map_or_else(Outcome::Reject, Outcome::Accept)
}

impl<'a> Request<'a> {
    /// Step 1: everything that is needed for such evidence is configured.
    fn new(
        submission: &'a Submission,
        evidence: &Evidence,
        config: &'a PlayIntegrityConfig,
        services: &dyn Services,
    ) -> Result<Self, Rejection> {
        let kind = Kind::of_method(&evidence.method).filter(|kind| config.kinds.contains(kind));
        let kind = kind.ok_or_else(|| config_missing("tokens of this kind are not enabled"))?;
        let max_age_seconds = match kind {
            Kind::Classic => config.classic_max_age_seconds,
            Kind::Standard => config.standard_max_age_seconds,
        };
        if max_age_seconds == 0 {
            return Err(config_missing("the maximal age of such tokens is 0"));
        }
        if config.certificate_sha256.is_empty() {
            return Err(config_missing("certificate_sha256 is empty: list the certificates that sign the app"));
        }
        let reading = match (kind, config.wrap_key.as_deref(), &config.verify_key_spki, config.credential.as_deref()) {
            (Kind::Classic, Some(wrap_key), Some(verify_key), _) => Reading::Here(wrap_key, verify_key),
            (Kind::Classic, Some(_), None, _) | (Kind::Classic, None, Some(_), _) => {
                return Err(config_missing("wrap_key and verify_key_spki go together"));
            }
            (Kind::Classic, None, None, Some(credential)) | (Kind::Standard, _, _, Some(credential)) => {
                Reading::Google(credential)
            }
            (Kind::Classic, None, None, None) => {
                return Err(config_missing("classic tokens need wrap_key and verify_key_spki, or credential"));
            }
            (Kind::Standard, _, _, None) => return Err(config_missing("standard tokens need credential")),
        };
        let package = config.package.as_deref().unwrap_or(&submission.app);
        if !is_package(package) {
            return Err(config_missing("package is no name of an Android package"));
        }
        let window = Window { now: services.now(), max_age_seconds, skew_seconds: config.skew_seconds };
        Ok(Self { kind, package, reading, window })
    }

    /// Steps 5 to 13.
    fn judge(
        &self,
        verdict: &Map<String, Value>,
        submission: &Submission,
        token: &[u8],
        config: &PlayIntegrityConfig,
    ) -> Result<Acceptance, Rejection> {
        let Self { kind, package, reading: _, window } = self;
        verdict::judge(verdict, submission, *kind, package, *window, token, config)
    }
}

/// It becomes part of a URL.
fn is_package(name: &str) -> bool {
    let known = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_');
    (1..=255).contains(&name.len()) && name.bytes().all(known)
}

/// Steps 2 to 4 with the app's own keys: the verdict in a classic token.
fn open(
    token: &[u8],
    wrap_key: &str,
    verify_key: &VerifyKey,
    services: &dyn Services,
) -> Result<Map<String, Value>, Rejection> {
    // 2
    let jwe = Jwe::parse(token).ok_or_else(|| malformed("the token is no compact JWE"))?;
    if !jwe.has_algorithms("A256KW", "A256GCM") {
        return Err(Rejection::new("pi-alg", Stage::Parse, "the token's header is not plain A256KW and A256GCM"));
    }
    let iv: [u8; IV_BYTES] =
        jwe.iv.as_slice().try_into().map_err(|_| malformed("the initialization vector is not 12 bytes"))?;
    if jwe.encrypted_key.len() != WRAPPED_KEY_BYTES {
        return Err(malformed("the wrapped key is not 40 bytes"));
    }
    // 3
    let undecryptable = |detail| Rejection::new("pi-decrypt", Stage::Signature, detail);
    let key = services.unwrap_key(wrap_key, &jwe.encrypted_key).ok_or_else(|| {
        undecryptable(
            "the token's key does not unwrap: it is for another app's key, or Google manages the app's keys and \
             wrap_key is not the one of the Play Console",
        )
    })?;
    let cipher = Aes256Gcm::new_from_slice(&key).map_err(|_| undecryptable("the unwrapped key is not 32 bytes"))?;
    let sealed = Payload { msg: &jwe.sealed, aad: jwe.protected };
    let opened = cipher
        .decrypt(&Nonce::from(iv), sealed)
        .map_err(|_| undecryptable("the token's content does not open with its key"))?;
    // 4
    let jws = Jws::parse(&opened).ok_or_else(|| malformed("the content is no compact JWS of JSON objects"))?;
    if !jws.has_algorithm("ES256") {
        return Err(Rejection::new("pi-inner-alg", Stage::Parse, "the algorithm of the content is not plain ES256"));
    }
    if !jws.verify_es256(verify_key.key()) {
        let detail = "the signature of the content is wrong: verify_key_spki is not the key of the Play Console, or the \
                      content is not Google's";
        return Err(Rejection::new("pi-signature", Stage::Signature, detail));
    }
    Ok(jws.payload)
}

/// The question to Google: what does this token say?
fn ask(token: &[u8], package: &str, credential: &str) -> Result<Exchange, Rejection> {
    let not_a_token = || malformed("the token is empty, too long, or of other characters than tokens are");
    let token = std::str::from_utf8(token).ok().filter(|token| is_compact(token.as_bytes())).ok_or_else(not_a_token)?;
    // The characters that are allowed need no escapes.
    let body = format!("{{\"integrity_token\":\"{token}\"}}").into_bytes();
    Ok(Exchange {
        request: HttpRequest {
            method: "POST".to_owned(),
            url: format!("https://{DECODE_HOST}/v1/{package}:decodeIntegrityToken"),
            headers: vec![
                ("content-type".to_owned(), "application/json".to_owned()),
                ("accept".to_owned(), "application/json".to_owned()),
            ],
            body,
            credential: Some(credential.to_owned()),
        },
        continuation: Vec::new(),
    })
}

/// Step 4 when Google was asked: the verdict in its answer.
fn answered(answer: &HttpAnswer) -> Result<Map<String, Value>, Rejection> {
    let unavailable = |detail| Rejection::retryable("upstream-unavailable", Stage::Upstream, detail);
    match answer {
        HttpAnswer::None => Err(unavailable("Google did not answer")),
        HttpAnswer::Response { status: 200, body } => {
            let answer = if body.len() > MAX_ANSWER_BYTES { None } else { parse_object(body) };
            match answer.and_then(|mut answer| answer.remove("tokenPayloadExternal")) {
                Some(Value::Object(verdict)) => Ok(verdict),
                Some(Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_)) | None => {
                    Err(unavailable("Google's answer has no tokenPayloadExternal"))
                }
            }
        }
        HttpAnswer::Response { status: 400, .. } => {
            let detail = "Google does not decode the token: it is not one, of another app, or too old";
            Err(Rejection::new("pi-token-rejected", Stage::Upstream, detail))
        }
        HttpAnswer::Response { status: status @ (401 | 403), .. } => {
            let detail = format!("Google refused the credential with status {status}: check it and its permissions");
            Err(Rejection::new("upstream-auth", Stage::Upstream, detail))
        }
        HttpAnswer::Response { status: status @ (429 | 500..=599), .. } => {
            Err(Rejection::retryable("upstream-unavailable", Stage::Upstream, format!("Google answered {status}")))
        }
        HttpAnswer::Response { status, .. } => {
            let detail = format!("Google answered {status}, which it does not for a proper question: check package");
            Err(Rejection::new("upstream-config", Stage::Upstream, detail))
        }
    }
}

fn malformed(detail: &'static str) -> Rejection {
    Rejection::new("pi-malformed", Stage::Parse, detail)
}
