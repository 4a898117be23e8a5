//! The types all interfaces share.

use crate::bindings::tocsin::types::types as wit;
use tocsin_domain::exposure::ReportType;
use tocsin_domain::ports::PortError;
use tocsin_domain::tek::TemporaryExposureKey;

pub(crate) fn port_error(error: wit::PortError) -> PortError {
    match error {
        wit::PortError::Conflict => PortError::Conflict,
        wit::PortError::Unavailable => PortError::Unavailable,
        wit::PortError::AlreadyUsed => PortError::AlreadyUsed,
        wit::PortError::Internal(text) => PortError::Internal(text),
    }
}

/// For a component that implements an interface which fails with a port error.
pub fn port_error_to_wit(error: PortError) -> wit::PortError {
    match error {
        PortError::Conflict => wit::PortError::Conflict,
        PortError::Unavailable => wit::PortError::Unavailable,
        PortError::AlreadyUsed => wit::PortError::AlreadyUsed,
        PortError::Internal(text) => wit::PortError::Internal(text),
    }
}

/// To the WIT enum.
pub fn report_type_to_wit(report_type: ReportType) -> wit::ReportType {
    match report_type {
        ReportType::ConfirmedTest => wit::ReportType::ConfirmedTest,
        ReportType::ConfirmedClinicalDiagnosis => wit::ReportType::ConfirmedClinicalDiagnosis,
        ReportType::SelfReport => wit::ReportType::SelfReport,
        ReportType::Recursive => wit::ReportType::Recursive,
        ReportType::Revoked => wit::ReportType::Revoked,
    }
}

/// From the WIT enum.
pub fn report_type_from_wit(report_type: wit::ReportType) -> ReportType {
    match report_type {
        wit::ReportType::ConfirmedTest => ReportType::ConfirmedTest,
        wit::ReportType::ConfirmedClinicalDiagnosis => ReportType::ConfirmedClinicalDiagnosis,
        wit::ReportType::SelfReport => ReportType::SelfReport,
        wit::ReportType::Recursive => ReportType::Recursive,
        wit::ReportType::Revoked => ReportType::Revoked,
    }
}

pub(crate) fn key_to_wit(key: TemporaryExposureKey) -> wit::TemporaryExposureKey {
    let (high, low) = key.to_words();
    wit::TemporaryExposureKey { high, low }
}

pub(crate) fn key_from_wit(key: wit::TemporaryExposureKey) -> TemporaryExposureKey {
    let wit::TemporaryExposureKey { high, low } = key;
    TemporaryExposureKey::from_words(high, low)
}

/// The host handed out a value outside its documented range.
pub(crate) fn out_of_range(what: &str) -> PortError {
    PortError::Internal(format!("the host returned a {what} out of range"))
}
