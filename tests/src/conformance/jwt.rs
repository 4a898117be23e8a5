//! Certificates and statistics tokens: compact JWS, signed with ES256, and the HMAC over the keys.

use super::context::Context;
use super::{Problem, State, base64, problem};
use hmac::{Hmac, KeyInit, Mac};
use p256::ecdsa::signature::Signer;
use p256::ecdsa::{Signature, SigningKey};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use sha2::Sha256;

/// How a JWT differs from the one that would be right.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Jwt {
    /// Later steps send it as `{{certificate:NAME}}`.
    pub name: Option<String>,
    /// Claims besides and instead of the usual ones.
    pub claims: Map<String, Value>,
    /// Usual claims to leave out.
    pub omit_claims: Vec<String>,
    /// The claims as text, instead of JSON.
    pub raw_claims: Option<String>,
    /// Header fields besides and instead of the usual ones.
    pub header: Map<String, Value>,
    /// Usual header fields to leave out.
    pub omit_header: Vec<String>,
    /// The header as text, instead of JSON.
    pub raw_header: Option<String>,
    /// What `tekmac` covers, if not the keys of the body.
    pub hmac: HmacOf,
    /// The private key, by its name in `state.json`.
    pub signed_by: Option<String>,
    /// Claims that are changed when the signature is there already.
    pub claims_after_signing: Map<String, Value>,
    /// Another signature.
    pub tamper: Option<Tamper>,
}

/// What the HMAC covers.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct HmacOf {
    /// These keys.
    pub keys: Option<Vec<Value>>,
    /// Under this secret, base64.
    pub secret: Option<String>,
    /// Whether the keys are sorted, as they must be.
    pub sorted: bool,
    /// Whether transmission risks are covered.
    pub transmission_risk: bool,
}

impl Default for HmacOf {
    fn default() -> Self {
        Self { keys: None, secret: None, sorted: true, transmission_risk: true }
    }
}

/// What is done to a signature.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Tamper {
    /// A bit in its middle is changed.
    FlipBit,
    /// `s` is replaced by `-s`: another right signature.
    NegateS,
    /// The halves are exchanged.
    SwapRAndS,
    /// It is written as ASN.1 DER.
    Der,
    /// Its last byte is missing.
    Cut,
    /// There is a byte more.
    Longer,
    /// There is none.
    Empty,
    /// All bytes are 0.
    Zeros,
}

/// What a JWT is for.
#[derive(Clone, Copy)]
pub(super) enum Kind<'a> {
    /// A verification certificate: keys of the body, and its `hmacKey`.
    Certificate { keys: &'a [Value], secret: Option<&'a str> },
    /// A statistics token.
    Statistics,
}

/// Makes a JWT.
pub(super) fn make(jwt: &Jwt, kind: Kind<'_>, state: &State, context: &mut Context) -> Result<String, Problem> {
    let issuer = match kind {
        Kind::Certificate { .. } => &state.default_issuer,
        Kind::Statistics => &state.default_statistics_issuer,
    };
    let authority = state.authority(issuer)?;
    let Some(key) = authority.keys.first() else {
        return problem(format!("state.json has no key of {issuer}"));
    };
    let header = merged(json!({"alg": "ES256", "kid": key.version, "typ": "JWT"}), &jwt.omit_header, &jwt.header);
    let header = text_or(&jwt.raw_header, context.value(&header)?, context)?;
    let now = context.now();
    let times = |audience: &str| json!({"iss": issuer, "aud": audience, "iat": now, "exp": now + 3600});
    let (mut usual, tekmac) = match kind {
        Kind::Certificate { keys, secret } => (times(&authority.audience), Some(tekmac(jwt, keys, secret, context)?)),
        Kind::Statistics => (times(&state.statistics_audience), None),
    };
    if let Some(tekmac) = &tekmac {
        usual["reportType"] = json!("confirmed");
        usual["tekmac"] = json!(tekmac);
    }
    let claims = context.value(&merged(usual, &jwt.omit_claims, &jwt.claims))?;
    let claims_sent = merged(claims.clone(), &[], &context.object(&jwt.claims_after_signing)?);
    // What is spelt out can name what it could not know.
    let raw_claims = jwt.raw_claims.as_ref().map(|text| text.replace("{{tekmac}}", tekmac.as_deref().unwrap_or("")));
    let claims = text_or(&raw_claims, claims, context)?;
    let claims_sent = if jwt.claims_after_signing.is_empty() { claims.clone() } else { claims_sent.to_string() };
    let signing_key = state.private_key(jwt.signed_by.as_deref().unwrap_or(&key.key))?;
    let header = base64::encode_url(header.as_bytes());
    let signature =
        signature(&signing_key, &format!("{header}.{}", base64::encode_url(claims.as_bytes())), jwt.tamper)?;
    Ok(format!("{header}.{}.{}", base64::encode_url(claims_sent.as_bytes()), base64::encode_url(&signature)))
}

fn merged(usual: Value, omitted: &[String], instead: &Map<String, Value>) -> Value {
    let mut fields = match usual {
        Value::Object(fields) => fields,
        _ => Map::new(),
    };
    fields.retain(|name, _| !omitted.contains(name));
    fields.extend(instead.clone());
    Value::Object(fields)
}

fn text_or(raw: &Option<String>, value: Value, context: &mut Context) -> Result<String, Problem> {
    match raw {
        Some(text) => context.text(text),
        None => Ok(value.to_string()),
    }
}

fn signature(key: &SigningKey, signed: &str, tamper: Option<Tamper>) -> Result<Vec<u8>, Problem> {
    let right: Signature = key.sign(signed.as_bytes());
    let mut bytes = right.to_bytes().to_vec();
    match tamper {
        None => {}
        Some(Tamper::FlipBit) => bytes[40] ^= 4,
        Some(Tamper::NegateS) => {
            let (r, s) = right.split_scalars();
            match Signature::from_scalars(r, -s) {
                Ok(other) => bytes = other.to_bytes().to_vec(),
                Err(_) => return problem("a signature could not be negated"),
            }
        }
        Some(Tamper::SwapRAndS) => bytes.rotate_left(32),
        Some(Tamper::Der) => bytes = right.to_der().as_bytes().to_vec(),
        Some(Tamper::Cut) => bytes.truncate(63),
        Some(Tamper::Longer) => bytes.push(0),
        Some(Tamper::Empty) => bytes.clear(),
        Some(Tamper::Zeros) => bytes.fill(0),
    }
    Ok(bytes)
}

/// The HMAC of a certificate, base64.
fn tekmac(jwt: &Jwt, keys: &[Value], secret: Option<&str>, context: &mut Context) -> Result<String, Problem> {
    let HmacOf { keys: other_keys, secret: other_secret, sorted, transmission_risk } = &jwt.hmac;
    let keys: Vec<Value> = match other_keys {
        Some(other) => other.iter().map(|key| context.value(key)).collect::<Result<_, _>>()?,
        None => keys.to_vec(),
    };
    let secret = match other_secret {
        Some(other) => context.text(other)?,
        None => secret.unwrap_or(context.hmac_key()).to_owned(),
    };
    // A secret that is no base64 is the server's to refuse.
    let secret = base64::decode(&secret).unwrap_or_default();
    Ok(base64::encode(&keys_hmac(&secret, &keys, *sorted, *transmission_risk)))
}

/// HMAC-SHA256 of `KEY.START.PERIOD.RISK`, joined by commas in the order of the text of the keys.
fn keys_hmac(secret: &[u8], keys: &[Value], sorted: bool, transmission_risk: bool) -> [u8; 32] {
    let text = |key: &Value| key["key"].as_str().unwrap_or_default().to_owned();
    let mut keys: Vec<&Value> = keys.iter().collect();
    if sorted {
        keys.sort_by_key(|key| text(key));
    }
    let segment = |key: &&Value| {
        let number = |name: &str| key[name].as_i64().unwrap_or_default();
        let covered = format!("{}.{}.{}", text(key), number("rollingStartNumber"), number("rollingPeriod"));
        if transmission_risk { format!("{covered}.{}", number("transmissionRisk")) } else { covered }
    };
    let message = keys.iter().map(segment).collect::<Vec<_>>().join(",");
    // Unwrap safety: HMAC takes secrets of every length (RFC 2104).
    let mac = Hmac::<Sha256>::new_from_slice(secret).unwrap();
    mac.chain_update(message).finalize().into_bytes().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    // Values of the reference server's own tests: google/exposure-notifications-server, pkg/verification/utils_test.go.
    #[test]
    fn hmac_is_that_of_the_reference_server() {
        let secret: Vec<u8> = (1..=16).collect();
        let hmac = |risks: [i64; 2], transmission_risk| {
            let key = |key: &str, start, risk: i64| json!({"key": key, "rollingStartNumber": start, "rollingPeriod": 144, "transmissionRisk": risk});
            let keys = [key("z2Cx9hdz2SlxZ8GEgqTYpA==", 1, risks[0]), key("dPCphLzfG4uzXneNimkPRQ==", 144, risks[1])];
            base64::encode(&keys_hmac(&secret, &keys, true, transmission_risk))
        };
        assert_eq!(hmac([3, 5], true), "2u1nHt5WWurJytFLF3xitNzM99oNrad2y4YGOL53AeY=");
        assert_eq!(hmac([0, 0], true), "mFNI9zhTA17n4ndd1Vu5tsn4XQX0gPrIKyjeh/9noUE=");
        assert_eq!(hmac([0, 0], false), "J9S7xVebH/66dm14wGsIcAnSUR3PHD4NtDQEOGZbDUo=");
    }

    #[test]
    fn missing_numbers_are_zero() {
        let hmac = |key: Value| keys_hmac(b"s", &[key], true, true);
        let full = json!({"key": "", "rollingStartNumber": 0, "rollingPeriod": 0, "transmissionRisk": 0});
        assert_eq!(hmac(json!({})), hmac(full));
        assert_ne!(hmac(json!({})), hmac(json!({"rollingPeriod": 1})));
    }

    #[test]
    fn tampered_signatures_are_what_they_say() {
        use p256::ecdsa::signature::Verifier;
        let key = SigningKey::from_slice(&[7; 32]).expect("a key");
        let verifies = |tamper| {
            let bytes = signature(&key, "text", tamper).expect("signed");
            Signature::from_slice(&bytes).is_ok_and(|signature| key.verifying_key().verify(b"text", &signature).is_ok())
        };
        assert!(verifies(None) && verifies(Some(Tamper::NegateS)));
        for tamper in
            [Tamper::FlipBit, Tamper::SwapRAndS, Tamper::Der, Tamper::Cut, Tamper::Longer, Tamper::Empty, Tamper::Zeros]
        {
            assert!(!verifies(Some(tamper)), "{tamper:?}");
        }
        let negated = signature(&key, "text", Some(Tamper::NegateS)).expect("signed");
        assert_ne!(signature(&key, "text", None).expect("signed"), negated);
    }
}
