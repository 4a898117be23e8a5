//! The one table from what went wrong to what the client sees: wire code and HTTP status.

/// Why a publish was not, or not wholly, a success. Several reasons share a wire code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PublishCode {
    /// The body is not declared to be JSON.
    UnsupportedMediaType,
    /// The body is longer than the limit.
    TooLarge,
    /// The request is malformed, or no key of it can be stored.
    BadRequest,
    /// No authorized app has the name that was sent.
    UnknownHealthAuthorityId,
    /// The authorized app could not be looked up.
    UnableToLoadHealthAuthority,
    /// The app may not publish for a region that the request names (v1alpha1 only).
    RegionNotAllowed,
    /// Neither the app nor the server names a region.
    HealthAuthorityMissingRegionConfig,
    /// The proof of the diagnosis is not valid.
    VerificationCertificateInvalid,
    /// Keys exist already, and no revision token was sent.
    MissingRevisionToken,
    /// The revision token cannot be read, or does not cover the keys.
    InvalidRevisionToken,
    /// A key can be revised once only.
    KeyAlreadyRevised,
    /// The report type cannot change that way.
    InvalidReportTypeTransition,
    /// A stored key is not what the request says it is, or is not ours to revise. The reference reports this as an
    /// internal error with status 400; clients see the same code and status here.
    KeyMismatch,
    /// Validators of the app do not accept the submission.
    SubmissionRefused,
    /// Validators of the app cannot say now; trying again may help.
    ValidatorsUnavailable,
    /// Our fault; trying again may help.
    Internal,
    /// Some keys were stored, others could not be.
    PartialFailure,
}

impl PublishCode {
    /// HTTP status and wire code.
    pub const fn row(self) -> (u16, &'static str) {
        match self {
            Self::UnsupportedMediaType => (415, "bad_request"),
            Self::TooLarge => (413, "bad_request"),
            Self::BadRequest => (400, "bad_request"),
            Self::UnknownHealthAuthorityId => (401, "unknown_health_authority_id"),
            Self::UnableToLoadHealthAuthority => (500, "unable_to_load_health_authority"),
            Self::RegionNotAllowed => (401, ""),
            Self::HealthAuthorityMissingRegionConfig => (500, "health_authority_missing_region_config"),
            Self::VerificationCertificateInvalid => (401, "health_authority_verification_certificate_invalid"),
            Self::MissingRevisionToken => (400, "missing_revision_token"),
            Self::InvalidRevisionToken => (400, "invalid_revision_token"),
            Self::KeyAlreadyRevised => (400, "key_already_revised"),
            Self::InvalidReportTypeTransition => (400, "invalid_report_type_transition"),
            Self::KeyMismatch => (400, "internal_error"),
            Self::SubmissionRefused => (401, "submission_refused"),
            Self::ValidatorsUnavailable => (503, "validators_unavailable"),
            Self::Internal => (500, "internal_error"),
            Self::PartialFailure => (200, "partial_failure"),
        }
    }

    /// HTTP status.
    pub const fn status(self) -> u16 {
        self.row().0
    }

    /// The `code` of the response.
    pub const fn wire(self) -> &'static str {
        self.row().1
    }
}

/// Why there are no statistics.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StatisticsCode {
    /// The body is not what it should be, whatever is wrong with it.
    BadRequest,
    /// No token, or not one of a health authority that may read statistics.
    Unauthorized,
    /// Our fault; trying again may help.
    Internal,
}

impl StatisticsCode {
    /// HTTP status and wire code.
    pub const fn row(self) -> (u16, &'static str) {
        match self {
            Self::BadRequest => (400, "bad_request"),
            Self::Unauthorized => (401, "unauthorized"),
            Self::Internal => (500, "internal_error"),
        }
    }
}

/// A failure as a client sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// HTTP status.
    pub status: u16,
    /// Machine-readable reason.
    pub code: &'static str,
    /// For people: what is wrong with the request. Never about the inside of the server.
    pub detail: String,
}

impl Problem {
    /// Of a publish.
    pub fn publish(code: PublishCode, detail: impl Into<String>) -> Self {
        let (status, code) = code.row();
        Self { status, code, detail: detail.into() }
    }
}

/// The body of a job that failed: `{"errors":["..."]}`.
pub fn failures_json(failures: &[String]) -> String {
    serde_json::json!({ "errors": failures }).to_string()
}
