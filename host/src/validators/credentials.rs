//! Credentials for exchanges: bearer tokens, and service accounts of Google's, which get access tokens for a signature.
//!
//! Source of the protocol: <https://developers.google.com/identity/protocols/oauth2/service-account>, "HTTP/REST".

use crate::outgoing::{OutgoingHttp, RequestLimits};
use crate::signing::read_secret;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeyPair;
use aws_lc_rs::signature::RSA_PKCS1_SHA256;
use bytes::Bytes;
use http::{HeaderValue, Method, Request, StatusCode, Uri, header};
use serde::Deserialize;
use std::path::Path;
use tocsin_domain::base64::encode_url;
use tocsin_domain::interval::Timestamp;
use tokio::sync::Mutex;
use tokio_rustls::rustls::pki_types::PrivatePkcs8KeyDer;
use tokio_rustls::rustls::pki_types::pem::PemObject;

/// The protocol allows an hour.
const ASSERTION_SECONDS: i64 = 3_600;
/// An access token is not used in its last minute, so that it does not end on the way.
const RESERVE_SECONDS: i64 = 60;

/// What is sent as a bearer token.
pub(super) enum Credential {
    /// The file's own text.
    Token(HeaderValue),
    /// Access tokens of a service account. Boxed: an RSA key is large.
    ServiceAccount(Box<ServiceAccount>),
}

/// A service account.
pub(super) struct ServiceAccount {
    client_email: String,
    key: KeyPair,
    token_uri: Uri,
    scope: String,
    cached: Mutex<Option<(HeaderValue, Timestamp)>>,
}

#[derive(Deserialize)]
struct AccountFile {
    client_email: String,
    private_key: String,
    token_uri: String,
}

#[derive(Deserialize)]
struct TokenAnswer {
    access_token: String,
    expires_in: i64,
}

impl Credential {
    /// Reads a file. `is_allowed`: whether a URI may be asked for access tokens.
    pub(super) fn read(file: &Path, scope: &str, is_allowed: impl Fn(&Uri) -> bool) -> Result<Self, String> {
        let text = read_secret(file).map_err(|error| error.to_string())?;
        let wrong = |what: &str| format!("credential {} {what}", file.display());
        if !text.trim_start().starts_with('{') {
            return bearer(text.trim()).map(Self::Token).ok_or_else(|| wrong("is no bearer token"));
        }
        // The error of the parser may quote the file.
        let account: AccountFile = serde_json::from_str(&text)
            .map_err(|_| wrong("is no service account: it needs client_email, private_key and token_uri"))?;
        let key = PrivatePkcs8KeyDer::from_pem_slice(account.private_key.as_bytes()).ok();
        let key = key.and_then(|key| KeyPair::from_pkcs8(key.secret_pkcs8_der()).ok());
        let token_uri = account.token_uri.parse().ok().filter(is_allowed);
        Ok(Self::ServiceAccount(Box::new(ServiceAccount {
            client_email: account.client_email,
            key: key.ok_or_else(|| wrong("has a private_key that is no RSA key (PKCS#8, PEM)"))?,
            token_uri: token_uri.ok_or_else(|| wrong("has a token_uri that is no https URI"))?,
            scope: scope.to_owned(),
            cached: Mutex::default(),
        })))
    }

    /// The value of `Authorization`. The error holds no secret.
    pub(super) async fn bearer(
        &self,
        http: &OutgoingHttp,
        limits: &RequestLimits,
        now: Timestamp,
    ) -> Result<HeaderValue, String> {
        match self {
            Self::Token(token) => Ok(token.clone()),
            Self::ServiceAccount(account) => account.bearer(http, limits, now).await,
        }
    }
}

fn bearer(token: &str) -> Option<HeaderValue> {
    let is_good = !token.is_empty() && token.bytes().all(|byte| byte.is_ascii_graphic());
    let mut value = HeaderValue::from_str(&format!("Bearer {token}")).ok().filter(|_| is_good)?;
    value.set_sensitive(true);
    Some(value)
}

impl ServiceAccount {
    async fn bearer(&self, http: &OutgoingHttp, limits: &RequestLimits, now: Timestamp) -> Result<HeaderValue, String> {
        // Held while asking: those who come meanwhile wait for the same token.
        let mut cached = self.cached.lock().await;
        if let Some((token, until)) = &*cached
            && now < *until
        {
            return Ok(token.clone());
        }
        let assertion = self.assertion(now).ok_or("the assertion of a service account cannot be signed")?;
        let body = format!("grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Ajwt-bearer&assertion={assertion}");
        let mut request = Request::new(Bytes::from(body));
        *request.method_mut() = Method::POST;
        *request.uri_mut() = self.token_uri.clone();
        let form = HeaderValue::from_static("application/x-www-form-urlencoded");
        request.headers_mut().insert(header::CONTENT_TYPE, form);
        let no_token = |error: &dyn std::fmt::Display| format!("a service account gets no access token: {error}");
        let response = http.send(request, limits).await.map_err(|error| no_token(&error))?;
        if response.status() != StatusCode::OK {
            return Err(no_token(&format!("the server answered {}", response.status())));
        }
        let unreadable = || no_token(&"the answer holds none");
        let answer: TokenAnswer = serde_json::from_slice(response.body()).map_err(|_| unreadable())?;
        let token = bearer(&answer.access_token).ok_or_else(unreadable)?;
        *cached = Some((token.clone(), now.plus_seconds(answer.expires_in.saturating_sub(RESERVE_SECONDS))));
        Ok(token)
    }

    fn assertion(&self, now: Timestamp) -> Option<String> {
        let head = serde_json::json!({"alg": "RS256", "typ": "JWT"});
        let claims = serde_json::json!({
            "iss": self.client_email,
            "scope": self.scope,
            "aud": self.token_uri.to_string(),
            "iat": now.unix(),
            "exp": now.plus_seconds(ASSERTION_SECONDS).unix(),
        });
        let message =
            format!("{}.{}", encode_url(head.to_string().as_bytes()), encode_url(claims.to_string().as_bytes()));
        let mut signature = vec![0; self.key.public_modulus_len()];
        self.key.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), message.as_bytes(), &mut signature).ok()?;
        Some(format!("{message}.{}", encode_url(&signature)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::validators::doubles::{HttpDouble, secret_file};
    use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der};
    use aws_lc_rs::rsa::KeySize;
    use aws_lc_rs::signature::{KeyPair as _, RSA_PKCS1_2048_8192_SHA256, UnparsedPublicKey};
    use std::time::Duration;

    const LIMITS: RequestLimits = RequestLimits {
        connect_timeout: Duration::from_secs(10),
        timeout: Duration::from_secs(10),
        max_body_bytes: 65_536,
    };

    fn account(key: &KeyPair, token_uri: &str) -> String {
        let der: Pkcs8V1Der = key.as_der().expect("PKCS#8");
        let pem = format!(
            "-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----\n",
            tocsin_domain::base64::encode(der.as_ref())
        );
        let account = serde_json::json!({
            "type": "service_account", "client_email": "a@example", "private_key": pem, "token_uri": token_uri,
        });
        account.to_string()
    }

    #[tokio::test]
    async fn service_account_signs_for_a_token_and_keeps_it_until_a_minute_before_its_end() {
        let folder = tempfile::tempdir().expect("temporary folder");
        let answer = |token: &str| (200, format!("{{\"access_token\":\"{token}\",\"expires_in\":3600}}"));
        let server = HttpDouble::start(vec![answer("first"), answer("second"), (403, String::new())]).await;
        let http = OutgoingHttp::new(None, true).expect("good");
        let key = KeyPair::generate(KeySize::Rsa2048).expect("a key");
        let file = secret_file(folder.path(), "account.json", &account(&key, &server.uri("/token")));
        let credential = Credential::read(&file, "a scope", |_| true).expect("good");
        let bearer = async |now| {
            let bearer = credential.bearer(&http, &LIMITS, Timestamp::from_unix(now)).await;
            bearer.map(|value| value.to_str().expect("text").to_owned())
        };
        assert_eq!(bearer(10_000).await.as_deref(), Ok("Bearer first"));
        assert_eq!(bearer(13_539).await.as_deref(), Ok("Bearer first"));
        assert_eq!(bearer(13_540).await.as_deref(), Ok("Bearer second"));
        assert!(bearer(20_000).await.is_err_and(|error| error.contains("403")));
        let asked = server.asked().remove(0);
        let (_, assertion) = asked.split_once("&assertion=").expect("an assertion");
        let (message, signature) = assertion.rsplit_once('.').expect("a signature");
        let (_, claims) = message.split_once('.').expect("claims");
        let decode = |text: &str| tocsin_domain::base64::decode_url(text).expect("base64url");
        let claims: serde_json::Value = serde_json::from_slice(&decode(claims)).expect("JSON");
        let expect = serde_json::json!({
            "iss": "a@example", "scope": "a scope", "aud": server.uri("/token"), "iat": 10_000, "exp": 13_600,
        });
        assert_eq!(claims, expect);
        let public = UnparsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, key.public_key().as_ref());
        assert!(public.verify(message.as_bytes(), &decode(signature)).is_ok());
        assert!(asked.contains("content-type: application/x-www-form-urlencoded\r\n"), "{asked}");
    }

    #[test]
    fn files_that_are_no_credentials_are_named_and_not_quoted() {
        let folder = tempfile::tempdir().expect("temporary folder");
        let check = |content: &str, part: &str| {
            let file = secret_file(folder.path(), "c", content);
            let error = Credential::read(&file, "", |_| false).map(drop).expect_err("refused");
            assert!(error.contains(part) && !error.contains("hush"), "{error}");
        };
        check("", "bearer");
        check("hush hush", "bearer");
        check("{\"private_key\": hush}", "client_email");
        check("{\"client_email\":\"hush\",\"private_key\":\"hush\",\"token_uri\":\"https://a.example\"}", "RSA");
        let key = KeyPair::generate(KeySize::Rsa2048).expect("a key");
        check(&account(&key, "http://a.example"), "token_uri");
    }
}
