//! What phones and caches are told beside the content.

use sha2::{Digest, Sha256};

/// Content type and caching by name: the index changes with each batch, an export file never does.
pub fn headers_of(name: &str) -> (&'static str, &'static str) {
    if name.ends_with("/index.txt") || name == "index.txt" {
        ("text/plain", "no-cache, max-age=0")
    } else {
        ("application/zip", "public, max-age=86400")
    }
}

/// The ETag of a file.
pub fn etag_of(content: &[u8]) -> String {
    let hex: String = Sha256::digest(content).iter().take(16).map(|byte| format!("{byte:02x}")).collect();
    format!("\"{hex}\"")
}

/// `If-None-Match` (RFC 9110 section 13.1.2): a list of tags, weak or not, or `*`.
pub fn is_known(if_none_match: &str, etag: &str) -> bool {
    if_none_match.split(',').map(|tag| tag.trim().trim_start_matches("W/")).any(|tag| tag == "*" || tag == etag)
}

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
