//! What an observer of an encrypted connection sees of an answer: its length. Every byte counts here.

use crate::http::Body;
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Response, StatusCode, header};
use http_body_util::Full;
use hyper::body::Body as _;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use tocsin_domain::ports::Random;

/// Before the random text in the body of a chaff answer.
const OPEN: &[u8] = br#"{"padding":""#;
/// And after it.
const CLOSE: &[u8] = br#""}"#;

/// The shape of a real answer, without its padding.
#[derive(Clone, Debug)]
pub(super) struct Shape {
    /// Headers as the route made them: hyper adds `content-length` and `date` behind them, to real answers and chaff alike.
    pub(super) headers: Arc<HeaderMap>,
    /// Length of the reason phrase in the status line.
    reason_bytes: usize,
    /// Length of the body but for the text of the field `padding`.
    body_bytes: usize,
    /// Whether the body has such a field.
    pub(super) is_padded: bool,
}

impl Shape {
    /// Of an answer. Headers are taken from `known` if they are there, so that the shapes of a route share them.
    pub(super) fn of<'a>(response: &Response<Body>, known: impl IntoIterator<Item = &'a Arc<HeaderMap>>) -> Self {
        let headers = known.into_iter().find(|known| is_same(known, response.headers())).cloned();
        let body = bytes_of(response.body());
        let padding = padding_text(&body);
        Self {
            headers: headers.unwrap_or_else(|| Arc::new(response.headers().clone())),
            reason_bytes: reason(response.status()).len(),
            body_bytes: body.len() - padding.map_or(0, <[u8]>::len),
            is_padded: padding.is_some(),
        }
    }

    /// What of the length of a real answer depends on status and body, when it has so much padding. Version, code, headers
    /// and `date` are always equally long.
    pub(super) fn wire_bytes(&self, padding_bytes: usize) -> usize {
        wire_bytes(self.reason_bytes, self.body_bytes + padding_bytes)
    }

    /// A chaff answer of exactly this length. Where none exists (see [`body_of_wire_bytes`]) it is a byte shorter, and it is
    /// never shorter than an empty `padding`.
    pub(super) fn chaff(&self, padding_bytes: usize, random: &dyn Random) -> Response<Body> {
        let wanted = body_of_wire_bytes(self.wire_bytes(padding_bytes), reason(StatusCode::OK).len());
        let body = body(wanted.saturating_sub(OPEN.len() + CLOSE.len()), random);
        let mut headers = HeaderMap::clone(&self.headers);
        if let Some(length) = headers.get_mut(header::CONTENT_LENGTH) {
            *length = HeaderValue::from(body.len());
        }
        let mut response = Response::new(Full::new(Bytes::from(body)));
        *response.headers_mut() = headers;
        response
    }
}

/// The same headers with the same values in the same order.
fn is_same(one: &HeaderMap, other: &HeaderMap) -> bool {
    one.iter().eq(other.iter())
}

/// The reason phrase that hyper writes.
fn reason(status: StatusCode) -> &'static str {
    status.canonical_reason().unwrap_or("<none>")
}

/// Reason phrase, digits of `content-length` and body.
fn wire_bytes(reason_bytes: usize, body_bytes: usize) -> usize {
    let digits = body_bytes.checked_ilog10().map_or(1, |log| log as usize + 1);
    reason_bytes + digits + body_bytes
}

/// The longest body with which an answer of that reason phrase has at most `wanted` bytes. With 999 bytes and with 1000 an
/// answer differs by two, because of the digits, so that one length in between does not exist.
fn body_of_wire_bytes(wanted: usize, reason_bytes: usize) -> usize {
    let longest = wanted.saturating_sub(reason_bytes);
    // There are at most 20 digits.
    let fits = |body: &usize| wire_bytes(reason_bytes, *body) <= wanted;
    (longest.saturating_sub(20)..=longest).rev().find(fits).unwrap_or(0)
}

/// A chaff body with `length` random characters.
fn body(length: usize, random: &dyn Random) -> Vec<u8> {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut body = vec![0; OPEN.len() + length + CLOSE.len()];
    let (open, rest) = body.split_at_mut(OPEN.len());
    let (text, close) = rest.split_at_mut(length);
    open.copy_from_slice(OPEN);
    close.copy_from_slice(CLOSE);
    random.fill(text);
    for byte in text {
        *byte = ALPHABET[usize::from(*byte % 64)];
    }
    body
}

/// The bytes of a body, which is whole in memory.
fn bytes_of(body: &Body) -> Bytes {
    let mut body = body.clone();
    match Pin::new(&mut body).poll_frame(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(Some(Ok(frame))) => frame.into_data().unwrap_or_default(),
        Poll::Ready(Some(Err(never))) => match never {},
        Poll::Ready(None) | Poll::Pending => Bytes::new(),
    }
}

/// The text of the field `padding`.
fn padding_text(body: &[u8]) -> Option<&[u8]> {
    // With both quotes it cannot be part of a string, in which a quote is escaped.
    const FIELD: &[u8] = br#""padding":""#;
    let quote_before = |end: usize| memchr::memrchr(b'"', &body[..end]);
    // Publish writes it last, and then the body need not be searched.
    if let Some(end) = quote_before(body.len())
        && let Some(start) = quote_before(end)
        && body[..=start].ends_with(FIELD)
    {
        return Some(&body[start + 1..end]);
    }
    let start = body.windows(FIELD.len()).position(|window| window == FIELD)? + FIELD.len();
    let length = body[start..].iter().position(|byte| *byte == b'"')?;
    Some(&body[start..start + length])
}

/// What of the length of an answer depends on status and body.
#[cfg(test)]
pub(super) fn length(response: &Response<Body>) -> usize {
    wire_bytes(reason(response.status()).len(), bytes_of(response.body()).len())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::{json, maintenance, text};
    use serde_json::json;
    use tocsin_domain::testing::random::FakeRandom;

    fn answer(status: u16, body: &str) -> Response<Body> {
        let mut response = json(StatusCode::OK, &json!({}));
        *response.status_mut() = StatusCode::from_u16(status).expect("a status");
        *response.body_mut() = Full::new(Bytes::from(body.to_owned()));
        response
    }

    #[test]
    fn padding_is_found_wherever_it_is_and_never_in_a_text() {
        let check = |body: &str, expect: Option<&str>| {
            assert_eq!(padding_text(body.as_bytes()), expect.map(str::as_bytes), "{body}");
        };
        check(r#"{"padding":"abcd"}"#, Some("abcd"));
        check(r#"{"padding":""}"#, Some(""));
        check(r#"{"revisionToken":"x","padding":"abcd"}"#, Some("abcd"));
        check(r#"{"padding":"abcd","warnings":["w"]}"#, Some("abcd"));
        check(r#"{"error":"\"padding\":\"x\"","code":"y"}"#, None);
        check(r#"{"error":"\"padding\":\"x\"","padding":"abcd","code":"y"}"#, Some("abcd"));
        check(r#"{"status":"ok"}"#, None);
        check("404 page not found\n", None);
        check("\"", None);
        check("", None);
    }

    #[test]
    fn chaff_is_as_long_as_the_answer_it_imitates_to_the_byte() {
        let random = FakeRandom::seeded(1);
        let long = "x".repeat(1500);
        for real in [
            answer(200, r#"{"status":"ok"}"#),
            answer(200, &format!(r#"{{"revisionToken":"{long}","padding":"{long}"}}"#)),
            answer(400, &format!(r#"{{"error":"e","padding":"{long}"}}"#)),
            answer(401, &format!(r#"{{"error":"e","padding":"{long}"}}"#)),
            answer(599, &format!(r#"{{"padding":"{long}"}}"#)),
            text(StatusCode::INTERNAL_SERVER_ERROR, "Internal Server Error\n"),
            maintenance::answer(),
            crate::http::retry_later(),
        ] {
            let shape = Shape::of(&real, []);
            let padding_bytes = padding_text(&bytes_of(real.body())).map_or(0, <[u8]>::len);
            let chaff = shape.chaff(padding_bytes, &random);
            assert_eq!(chaff.status(), 200);
            assert_eq!(length(&chaff), length(&real), "{real:?}");
            assert!(is_same(chaff.headers(), real.headers()));
            let body: serde_json::Value = serde_json::from_slice(&bytes_of(chaff.body())).expect("JSON");
            assert_eq!(body.as_object().map(serde_json::Map::len), Some(1));
            assert!(body["padding"].is_string());
        }
    }

    #[test]
    fn every_length_that_exists_is_met_and_between_two_the_shorter_is_taken() {
        for body_bytes in 14..12_000 {
            for reason_bytes in [2, 11, 21] {
                let wanted = wire_bytes(reason_bytes, body_bytes);
                let chaff = wire_bytes(2, body_of_wire_bytes(wanted, 2));
                let does_not_exist = [99, 999, 9_999].map(|body| wire_bytes(2, body) + 1).contains(&wanted);
                assert_eq!(chaff, wanted - usize::from(does_not_exist), "{reason_bytes} {body_bytes}");
            }
        }
    }

    #[test]
    fn length_that_a_component_states_is_that_of_the_chaff() {
        let mut real = answer(400, r#"{"error":"e","padding":"abcd"}"#);
        real.headers_mut().insert(header::CONTENT_LENGTH, HeaderValue::from_static("31"));
        let chaff = Shape::of(&real, []).chaff(4, &FakeRandom::seeded(1));
        let stated = chaff.headers().get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok());
        assert_eq!(stated, Some(bytes_of(chaff.body()).len().to_string().as_str()));
    }

    #[test]
    fn shapes_with_the_same_headers_share_them() {
        let first = Shape::of(&answer(200, "{}"), []);
        let second = Shape::of(&answer(400, "{}"), [&first.headers]);
        assert!(Arc::ptr_eq(&first.headers, &second.headers));
        let other = Shape::of(&text(StatusCode::OK, "x"), [&first.headers]);
        assert!(!Arc::ptr_eq(&first.headers, &other.headers));
    }
}
