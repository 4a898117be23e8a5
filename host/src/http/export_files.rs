//! Export files, their index and their verification keys, with caching headers, ETag and conditional GET, so that a pilot
//! needs no CDN.

use super::{Body, json, problem, text};
use crate::services::Services;
use crate::storage::administration::{AdminError, Administration, SignatureInfoRecord, SignerRecord};
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, Response, StatusCode, header};
use http_body_util::Full;
use sha2::{Digest, Sha256};
use std::fmt::Write;
use std::sync::Arc;

/// Serves the files of one bucket.
#[derive(Debug)]
pub struct ExportFiles {
    services: Arc<Services>,
    bucket: String,
}

impl ExportFiles {
    /// Over the files of a bucket.
    pub fn new(services: Arc<Services>, bucket: String) -> Self {
        Self { services, bucket }
    }

    /// Answers GET and HEAD for one file. Names are opaque; what does not exist, or cannot, is a 404.
    pub async fn serve(&self, name: &str, method: &Method, headers: &HeaderMap) -> Response<Body> {
        let blob = match self.services.blobs.get(&self.bucket, name).await {
            Ok(Some(blob)) => blob,
            Ok(None) => return text(StatusCode::NOT_FOUND, "404 page not found\n"),
            Err(error) => {
                tracing::error!(%error, "an export file cannot be read");
                return problem(StatusCode::INTERNAL_SERVER_ERROR, "internal_error", "Internal Server Error");
            }
        };
        let (content_type, cache_control) = headers_of(name);
        let etag = etag_of(&blob.content);
        let mut response = Response::new(Full::default());
        if is_known(headers, &etag) {
            *response.status_mut() = StatusCode::NOT_MODIFIED;
        } else {
            response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
            response.headers_mut().insert(header::CONTENT_LENGTH, HeaderValue::from(blob.content.len()));
            if *method == Method::GET {
                *response.body_mut() = Full::new(blob.content);
            }
        }
        response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static(cache_control));
        if let Ok(etag) = HeaderValue::from_str(&etag) {
            response.headers_mut().insert(header::ETAG, etag);
        }
        response
    }

    /// The public keys with which files are signed now or may have been, so that anyone can check them.
    pub async fn verification_keys(&self) -> Response<Body> {
        let services = self.services.clone();
        let keys = tokio::task::spawn_blocking(move || verification_keys(&services)).await;
        match keys {
            Ok(Ok(keys)) => {
                let mut response = json(StatusCode::OK, &serde_json::json!({ "keys": keys }));
                response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("public, max-age=300"));
                response
            }
            Ok(Err(_)) | Err(_) => {
                problem(StatusCode::INTERNAL_SERVER_ERROR, "internal_error", "Internal Server Error")
            }
        }
    }
}

fn verification_keys(services: &Services) -> Result<Vec<serde_json::Value>, AdminError> {
    let now = services.clock.now().unix();
    let public_keys = services.keyring.public_keys();
    // A signer that ends for one config and goes on for another has two infos.
    let mut active: Vec<(SignerRecord, bool)> = Vec::new();
    for SignatureInfoRecord { id: _, signer, thru_unix } in services.store.signature_info_records()? {
        let signs = thru_unix.is_none_or(|thru| thru >= now);
        match active.iter_mut().find(|(known, _)| *known == signer) {
            Some((_, active)) => *active |= signs,
            None => active.push((signer, signs)),
        }
    }
    let mut keys = Vec::new();
    for (signer, active) in active {
        let Some(public) = public_keys.iter().find(|key| key.name == signer.signing_key) else {
            continue;
        };
        keys.push(serde_json::json!({
            "verification_key_id": signer.verification_key_id,
            "verification_key_version": signer.verification_key_version,
            "signature_algorithm": "1.2.840.10045.4.3.2",
            "public_key_pem": public.public_key_pem,
            "active": active,
        }));
    }
    Ok(keys)
}

/// Content type and caching by name: the index changes with each batch, an export file never does.
fn headers_of(name: &str) -> (&'static str, &'static str) {
    if name.ends_with("/index.txt") || name == "index.txt" {
        ("text/plain", "no-cache, max-age=0")
    } else {
        ("application/zip", "public, max-age=86400")
    }
}

fn etag_of(content: &Bytes) -> String {
    let mut etag = String::with_capacity(34);
    etag.push('"');
    for byte in Sha256::digest(content).iter().take(16) {
        // Writing to a string cannot fail.
        let _ = write!(etag, "{byte:02x}");
    }
    etag.push('"');
    etag
}

/// `If-None-Match` (RFC 9110 section 13.1.2): a list of tags, weak or not, or `*`.
fn is_known(headers: &HeaderMap, etag: &str) -> bool {
    headers
        .get_all(header::IF_NONE_MATCH)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .map(|tag| tag.trim().trim_start_matches("W/"))
        .any(|tag| tag == "*" || tag == etag)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn index_is_never_cached_and_export_files_are() {
        assert_eq!(headers_of("us/index.txt"), ("text/plain", "no-cache, max-age=0"));
        assert_eq!(headers_of("us/1-2-00001.zip"), ("application/zip", "public, max-age=86400"));
    }

    #[test]
    fn if_none_match_accepts_lists_weak_tags_and_the_star() {
        let check = |value: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::IF_NONE_MATCH, HeaderValue::from_static(value));
            is_known(&headers, "\"abc\"")
        };
        assert!(check("\"abc\""));
        assert!(check("\"x\", W/\"abc\""));
        assert!(check("*"));
        assert!(!check("\"x\""));
        assert!(!is_known(&HeaderMap::new(), "\"abc\""));
    }
}
