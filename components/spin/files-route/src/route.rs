use crate::caching::{etag_of, headers_of, is_known};
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

wasip2::http::proxy::export!(Component);
