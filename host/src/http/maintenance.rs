//! Maintenance: phones are asked to come back later, while everybody can still download.

use super::Body;
use bytes::Bytes;
use http::{HeaderValue, Response, StatusCode, header};
use http_body_util::Full;
use std::sync::atomic::{AtomicU64, Ordering};

/// The body of the reference server, to the byte.
const BODY: &[u8] = br#"{"error": "please try again later"}"#;

/// Whether the server is in maintenance, and how often that has changed.
#[derive(Debug)]
pub struct Maintenance(AtomicU64);

/// What was so when a request was looked at. A later mode is greater.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Mode(u64);

impl Maintenance {
    /// In maintenance or not.
    pub fn new(is_on: bool) -> Self {
        Self(AtomicU64::new(u64::from(is_on)))
    }

    /// How it is now.
    pub fn mode(&self) -> Mode {
        Mode(self.0.load(Ordering::Relaxed))
    }

    /// Starts or ends maintenance. Requests in progress are not touched.
    pub fn set(&self, is_on: bool) {
        let switch = |count: u64| (Mode(count).is_maintenance() != is_on).then(|| count + 1);
        // It is an error to fetch_update when there is nothing to update.
        self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, switch).ok();
    }
}

impl Mode {
    /// Whether it is maintenance. The count of changes is odd then.
    pub fn is_maintenance(self) -> bool {
        !self.0.is_multiple_of(2)
    }
}

/// Says in the log that there is maintenance.
pub(crate) fn warn() {
    tracing::warn!("maintenance: phones are asked to come back later (429); `tocsin maintenance off` ends it");
}

/// The answer to every request that is not chaff. It has no padding: all of them are the same.
pub(super) fn answer() -> Response<Body> {
    let mut response = Response::new(Full::new(Bytes::from_static(BODY)));
    *response.status_mut() = StatusCode::TOO_MANY_REQUESTS;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mode_changes_only_when_it_is_switched_to_the_other() {
        let maintenance = Maintenance::new(false);
        let first = maintenance.mode();
        assert!(!first.is_maintenance());
        maintenance.set(false);
        assert_eq!(maintenance.mode(), first);
        maintenance.set(true);
        let second = maintenance.mode();
        assert!(second.is_maintenance() && second > first);
        maintenance.set(true);
        assert_eq!(maintenance.mode(), second);
        maintenance.set(false);
        let third = maintenance.mode();
        assert!(!third.is_maintenance() && third > second, "normal again, and yet another mode");
        assert!(Maintenance::new(true).mode().is_maintenance());
    }
}
