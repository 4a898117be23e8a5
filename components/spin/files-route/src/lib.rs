//! Serves the export files and their index from Spin's key-value store, at `/exports/NAME` as our host does: `GET` and
//! `HEAD`, with an ETag and the same caching. Phones see nothing but the bucket `public`.

#![cfg_attr(test, expect(dead_code, reason = "only a component has an entry"))]

use sha2::{Digest, Sha256};
use tocsin_guest::http::{self, Response};
use tocsin_spin_adapter::{files, log};
use wasip2::http::types::{IncomingRequest, Method, ResponseOutparam};

/// The bucket that phones read.
const BUCKET: &str = "public";
/// What the paths of files begin with.
const PREFIX: &str = "/exports/";

struct Component;

impl wasip2::exports::http::incoming_handler::Guest for Component {
    fn handle(request: IncomingRequest, out: ResponseOutparam) {
        let path = http::path(&request);
        let Some(name) = path.strip_prefix(PREFIX) else { return http::respond_not_found(out) };
        let is_head = match request.method() {
            Method::Get => false,
            Method::Head => true,
            _ => return respond(out, 405, &[("allow", "GET, HEAD")], b""),
        };
        match files::get(BUCKET, name) {
            Ok(Some(content)) => {
                serve(out, name, &content, is_head, http::header(&request, "if-none-match").as_deref());
            }
            Ok(None) => http::respond_not_found(out),
            Err(error) => {
                log(&format!("an export file cannot be read: {error}"));
                respond(out, 500, &[], b"Internal Server Error\n");
            }
        }
    }
}

fn serve(out: ResponseOutparam, name: &str, content: &[u8], is_head: bool, if_none_match: Option<&str>) {
    let (content_type, cache_control) = headers_of(name);
    let etag = etag_of(content);
    let caching = [("cache-control", cache_control), ("etag", etag.as_str())];
    if if_none_match.is_some_and(|tags| is_known(tags, &etag)) {
        return respond(out, 304, &caching, b"");
    }
    let length = content.len().to_string();
    let [cache_control, etag] = caching;
    let headers = [cache_control, etag, ("content-type", content_type), ("content-length", length.as_str())];
    respond(out, 200, &headers, if is_head { b"" } else { content });
}

fn respond(out: ResponseOutparam, status: u16, headers: &[(&str, &str)], body: &[u8]) {
    http::respond(out, &Response { status, headers, body });
}

/// Content type and caching by name: the index changes with each batch, an export file never does.
fn headers_of(name: &str) -> (&'static str, &'static str) {
    if name.ends_with("/index.txt") || name == "index.txt" {
        ("text/plain", "no-cache, max-age=0")
    } else {
        ("application/zip", "public, max-age=86400")
    }
}

fn etag_of(content: &[u8]) -> String {
    let hex: String = Sha256::digest(content).iter().take(16).map(|byte| format!("{byte:02x}")).collect();
    format!("\"{hex}\"")
}

/// `If-None-Match` (RFC 9110 section 13.1.2): a list of tags, weak or not, or `*`.
fn is_known(if_none_match: &str, etag: &str) -> bool {
    if_none_match.split(',').map(|tag| tag.trim().trim_start_matches("W/")).any(|tag| tag == "*" || tag == etag)
}

#[cfg(target_family = "wasm")]
wasip2::http::proxy::export!(Component);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn index_is_never_cached_and_export_files_are() {
        assert_eq!(headers_of("us/index.txt"), ("text/plain", "no-cache, max-age=0"));
        assert_eq!(headers_of("index.txt"), ("text/plain", "no-cache, max-age=0"));
        assert_eq!(headers_of("us/1-2-00001.zip"), ("application/zip", "public, max-age=86400"));
    }

    /// SHA-256 of nothing begins with e3b0c442 98fc1c14 9afbf4c8 996fb924.
    #[test]
    fn etag_is_the_first_half_of_the_content_s_hash() {
        assert_eq!(etag_of(b""), "\"e3b0c44298fc1c149afbf4c8996fb924\"");
    }

    #[test]
    fn if_none_match_accepts_lists_weak_tags_and_the_star() {
        for (tags, known) in [("\"abc\"", true), ("\"x\", W/\"abc\"", true), ("*", true), ("\"x\"", false), ("", false)]
        {
            assert_eq!(is_known(tags, "\"abc\""), known, "{tags}");
        }
    }
}
