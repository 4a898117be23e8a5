//! The types all interfaces share.

use crate::bindings::tocsin::types::types as wit;
use crate::system::log;
use tocsin_domain::exposure::{ReportType, TransmissionRisk};
use tocsin_domain::interval::RollingPeriod;
use tocsin_domain::ports::PortError;
use tocsin_domain::tek::TemporaryExposureKey;

/// To the WIT variant. What the operator should know is logged here, at the boundary.
pub fn port_error_to_wit(error: PortError) -> wit::PortError {
    match error {
        PortError::Conflict => wit::PortError::Conflict,
        PortError::Unavailable => {
            log("a capability is not available: the database is locked or full, or variables cannot be read");
            wit::PortError::Unavailable
        }
        PortError::AlreadyUsed => wit::PortError::AlreadyUsed,
        PortError::Internal(text) => {
            log(&text);
            wit::PortError::Internal(text)
        }
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

/// To the WIT record.
pub fn key_to_wit(key: TemporaryExposureKey) -> wit::TemporaryExposureKey {
    let (high, low) = key.to_words();
    wit::TemporaryExposureKey { high, low }
}

/// From the WIT record.
pub fn key_from_wit(key: wit::TemporaryExposureKey) -> TemporaryExposureKey {
    let wit::TemporaryExposureKey { high, low } = key;
    TemporaryExposureKey::from_words(high, low)
}

/// A rolling period that a component passed.
pub fn rolling_period(period: u8) -> Result<RollingPeriod, PortError> {
    RollingPeriod::try_from(i64::from(period)).map_err(|_| out_of_range("rolling period"))
}

/// A transmission risk that a component passed.
pub fn transmission_risk(risk: u8) -> Result<TransmissionRisk, PortError> {
    TransmissionRisk::try_from(i64::from(risk)).map_err(|_| out_of_range("transmission risk"))
}

/// A component passed a value outside its documented range.
pub fn out_of_range(what: &str) -> PortError {
    PortError::Internal(format!("a component passed a {what} out of range"))
}
