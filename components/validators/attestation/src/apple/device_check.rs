//! DeviceCheck: Apple says whether a token comes from a genuine device that runs an app of the team. It is bound to
//! nothing, names no app and has no date that we could see: a weak signal.
//!
//! [`Evidence::token`] is the base64 text that the phone makes of what `DCDevice.generateToken` returns. [`begin`] asks
//! for one call of `validate_device_token`, authorized by a token that the host's key signs, and [`resume`] reads the
//! answer.

use base64ct::{Base64, Base64UrlUnpadded, Encoding};
use serde::{Deserialize, Serialize};
use serde_json::json;
use sha2::{Digest, Sha256};

use crate::contract::{
    Acceptance, Commit, Evidence, Exchange, HttpAnswer, HttpRequest, Outcome, Rejection, Score, Services, Stage,
    Submission,
};

/// Name of the method in evidence.
pub const METHOD: &str = "device-check";
/// Space of the claims that make a token usable once.
pub const CLAIM_SPACE: &str = "device-check";
/// Format of the transcript whose hash is the transaction id, which Apple only writes to its logs.
pub const TRANSCRIPT: &str = "ens-v4";
/// Longest token, bytes of base64. Apple's have some 2,000.
const MAX_TOKEN_BYTES: usize = 8 * 1024;
const SECONDS_PER_DAY: i64 = 24 * 60 * 60;

/// What an operator sets for DeviceCheck of one app.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct DeviceCheckConfig {
    /// Apple's id of the team that makes the app: ten letters and digits. Required.
    pub team_id: String,
    /// Apple's id of the team's DeviceCheck key: ten letters and digits. Required.
    pub key_id: String,
    /// Name of the host's key that signs: the private key of that id. Required.
    pub sign_key: String,
    /// Which of Apple's servers is asked. Tokens of development builds are known only to the development server.
    pub environment: Server,
    /// What becomes of submissions while Apple does not answer.
    pub upstream_down: DownRule,
    /// How long a used token is remembered, days, 1 to 30.
    pub remember_days: u16,
    /// Score of acceptances.
    pub score: Score,
}

impl Default for DeviceCheckConfig {
    fn default() -> Self {
        Self {
            team_id: String::new(),
            key_id: String::new(),
            sign_key: String::new(),
            environment: Server::Production,
            upstream_down: DownRule::Reject,
            remember_days: 14,
            score: Score::default(),
        }
    }
}

/// One of Apple's servers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Server {
    /// For TestFlight and App Store builds.
    Production,
    /// For development builds.
    Development,
}

/// What becomes of submissions while Apple does not answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum DownRule {
    /// They are refused, and may be tried again.
    Reject,
    /// They pass: whoever can disturb the connection to Apple can then publish from anything.
    Accept,
}

/// Prepares the question to Apple.
pub fn begin(
    submission: &Submission,
    evidence: &Evidence,
    config: &DeviceCheckConfig,
    services: &dyn Services,
) -> Outcome {
    match check(evidence, config).and_then(|token| request(submission, token, config, services)) {
        // All that `resume` needs comes again with the evidence.
        Ok(request) => Outcome::Exchange(Exchange { request, continuation: Vec::new() }),
        Err(rejection) => Outcome::Reject(rejection),
    }
}

/// Reads Apple's answer.
pub fn resume(
    _submission: &Submission,
    evidence: &Evidence,
    config: &DeviceCheckConfig,
    services: &dyn Services,
    answer: &HttpAnswer,
) -> Outcome {
    let judged = check(evidence, config).and_then(|token| {
        let verdict = match (read_answer(answer), config.upstream_down) {
            (Err(rejection), DownRule::Accept) if rejection.retryable => "unavailable",
            (Err(rejection), DownRule::Accept | DownRule::Reject) => return Err(rejection),
            (Ok(()), DownRule::Accept | DownRule::Reject) => "genuine",
        };
        Ok(Acceptance {
            score: config.score,
            signals: vec![("device".to_owned(), verdict.to_owned())],
            commits: vec![Commit::ClaimOnce {
                space: CLAIM_SPACE.to_owned(),
                digest: Sha256::digest(token).into(),
                expires_at: services.now().saturating_add(i64::from(config.remember_days) * SECONDS_PER_DAY),
            }],
        })
    });
    match judged {
        Ok(acceptance) => Outcome::Accept(acceptance),
        Err(rejection) => Outcome::Reject(rejection),
    }
}

/// What does not need Apple; the token.
fn check<'a>(evidence: &'a Evidence, config: &DeviceCheckConfig) -> Result<&'a str, Rejection> {
    let missing = |detail| Err(Rejection::new("config-missing", Stage::Config, detail));
    if !super::is_apple_id(&config.team_id) {
        return missing("team_id is not the team's id of ten letters and digits");
    }
    if !super::is_apple_id(&config.key_id) {
        return missing("key_id is not the key's id of ten letters and digits");
    }
    if config.sign_key.is_empty() {
        return missing("sign_key names no key");
    }
    if !(1..=30).contains(&config.remember_days) {
        return missing("remember_days is not 1 to 30");
    }
    let malformed = |detail| Rejection::new("dc-malformed", Stage::Parse, detail);
    if evidence.token.is_empty() || evidence.token.len() > MAX_TOKEN_BYTES {
        return Err(malformed("the token is empty or longer than 8 KiB"));
    }
    // A strict decoder: the claim is on the text, which must not have a second spelling.
    std::str::from_utf8(&evidence.token)
        .ok()
        .filter(|token| Base64::decode_vec(token).is_ok())
        .ok_or_else(|| malformed("the token is not padded base64"))
}

fn request(
    submission: &Submission,
    token: &str,
    config: &DeviceCheckConfig,
    services: &dyn Services,
) -> Result<HttpRequest, Rejection> {
    let missing = |detail| Rejection::new("config-missing", Stage::Config, detail);
    let now = services.now();
    let binding =
        submission.transcript(TRANSCRIPT).ok_or_else(|| missing("the submission has no ens-v4 transcript"))?;
    let transaction_id: String = binding.iter().map(|byte| format!("{byte:02x}")).collect();
    let host = match config.environment {
        Server::Production => "api.devicecheck.apple.com",
        Server::Development => "api.development.devicecheck.apple.com",
    };
    let jwt =
        jwt(config, now, services).ok_or_else(|| missing("sign_key is not a key of the host that signs ES256"))?;
    let body = json!({
        "device_token": token,
        "transaction_id": transaction_id,
        "timestamp": now.saturating_mul(1_000),
    });
    Ok(HttpRequest {
        method: "POST".to_owned(),
        url: format!("https://{host}/v1/validate_device_token"),
        headers: vec![
            ("authorization".to_owned(), format!("Bearer {jwt}")),
            ("content-type".to_owned(), "application/json".to_owned()),
        ],
        body: body.to_string().into_bytes(),
        credential: None,
    })
}

/// What tells Apple who asks. Good for 20 minutes at Apple, and made anew for each call.
fn jwt(config: &DeviceCheckConfig, now: i64, services: &dyn Services) -> Option<String> {
    let part = |json: serde_json::Value| Base64UrlUnpadded::encode_string(json.to_string().as_bytes());
    let signed = format!(
        "{}.{}",
        part(json!({ "alg": "ES256", "kid": config.key_id })),
        part(json!({ "iss": config.team_id, "iat": now }))
    );
    let signature =
        services.sign_es256(&config.sign_key, signed.as_bytes()).filter(|signature| signature.len() == 64)?;
    Some(format!("{signed}.{}", Base64UrlUnpadded::encode_string(&signature)))
}

/// Apple documents the statuses; the texts only tell the phone's fault from ours.
fn read_answer(answer: &HttpAnswer) -> Result<(), Rejection> {
    let upstream = |code, detail| Err(Rejection::new(code, Stage::Upstream, detail));
    let unavailable = |detail| Err(Rejection::retryable("upstream-unavailable", Stage::Upstream, detail));
    match answer {
        HttpAnswer::None => unavailable("Apple did not answer"),
        HttpAnswer::Response { status: 200, .. } => Ok(()),
        HttpAnswer::Response { status: 400, body } if is_about_token(body) => {
            upstream("dc-token-rejected", "Apple does not know the token, or it is of the other environment")
        }
        HttpAnswer::Response { status: 401, .. } => {
            upstream("upstream-auth", "Apple refused the authorization: check team_id, key_id, sign_key and the clock")
        }
        HttpAnswer::Response { status: 429, .. } => unavailable("Apple wants fewer questions"),
        HttpAnswer::Response { status: 500.., .. } => unavailable("Apple's server has a fault"),
        HttpAnswer::Response { .. } => upstream("upstream-config", "Apple did not understand the request"),
    }
}

fn is_about_token(body: &[u8]) -> bool {
    let text = String::from_utf8_lossy(body.get(..body.len().min(1_024)).unwrap_or_default()).to_ascii_lowercase();
    text.contains("device token")
}
