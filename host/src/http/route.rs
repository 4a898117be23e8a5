//! The routes that phones and health authorities send to, which maintenance closes and chaff imitates. Files that everybody
//! downloads are not among them.

/// A route of the public listener.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Route {
    /// `/v1/publish`.
    Publish,
    /// `/`, the old form of publish.
    PublishV1alpha1,
    /// `/v1/stats`, for health authorities.
    Statistics,
    /// `/health`.
    Health,
}

impl Route {
    /// The route of a path, if it is one. Whether v1alpha1 is served is for the caller to know.
    pub fn of_path(path: &str) -> Option<Self> {
        match path {
            "/v1/publish" => Some(Self::Publish),
            "/" => Some(Self::PublishV1alpha1),
            "/v1/stats" => Some(Self::Statistics),
            "/health" => Some(Self::Health),
            _ => None,
        }
    }

    /// Whether a request is read to its end before it is answered.
    pub fn reads_body(self) -> bool {
        match self {
            Self::Publish | Self::PublishV1alpha1 | Self::Statistics => true,
            Self::Health => false,
        }
    }
}
