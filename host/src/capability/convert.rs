//! The types all interfaces share.

use crate::bindings::capabilities::tocsin::types::types as wit;
use tocsin_domain::exposure::{ReportType, TransmissionRisk};
use tocsin_domain::interval::RollingPeriod;
use tocsin_domain::ports::PortError;
use tocsin_domain::tek::TemporaryExposureKey;

pub(super) use wit::PortError as WitPortError;

impl wit::Host for crate::state::InstanceState {}

/// Internal errors are logged here, at the boundary, and their text goes no further than the component.
pub(super) fn port_error(error: PortError) -> WitPortError {
    match error {
        PortError::Conflict => WitPortError::Conflict,
        PortError::Unavailable => {
            tracing::warn!("a capability is not available");
            WitPortError::Unavailable
        }
        PortError::AlreadyUsed => WitPortError::AlreadyUsed,
        PortError::Internal(text) => {
            tracing::error!(error = %text, "a capability failed");
            WitPortError::Internal(text)
        }
    }
}

pub(super) fn report_type_to_wit(report_type: ReportType) -> wit::ReportType {
    match report_type {
        ReportType::ConfirmedTest => wit::ReportType::ConfirmedTest,
        ReportType::ConfirmedClinicalDiagnosis => wit::ReportType::ConfirmedClinicalDiagnosis,
        ReportType::SelfReport => wit::ReportType::SelfReport,
        ReportType::Recursive => wit::ReportType::Recursive,
        ReportType::Revoked => wit::ReportType::Revoked,
    }
}

pub(super) fn report_type_from_wit(report_type: wit::ReportType) -> ReportType {
    match report_type {
        wit::ReportType::ConfirmedTest => ReportType::ConfirmedTest,
        wit::ReportType::ConfirmedClinicalDiagnosis => ReportType::ConfirmedClinicalDiagnosis,
        wit::ReportType::SelfReport => ReportType::SelfReport,
        wit::ReportType::Recursive => ReportType::Recursive,
        wit::ReportType::Revoked => ReportType::Revoked,
    }
}

pub(super) fn key_to_wit(key: TemporaryExposureKey) -> wit::TemporaryExposureKey {
    let (high, low) = key.to_words();
    wit::TemporaryExposureKey { high, low }
}

pub(super) fn key_from_wit(key: wit::TemporaryExposureKey) -> TemporaryExposureKey {
    let wit::TemporaryExposureKey { high, low } = key;
    TemporaryExposureKey::from_words(high, low)
}

pub(super) fn rolling_period(period: u8) -> Result<RollingPeriod, PortError> {
    RollingPeriod::try_from(i64::from(period)).map_err(|_| out_of_range("rolling period"))
}

pub(super) fn transmission_risk(risk: u8) -> Result<TransmissionRisk, PortError> {
    TransmissionRisk::try_from(i64::from(risk)).map_err(|_| out_of_range("transmission risk"))
}

/// A component passed a value outside its documented range.
pub(super) fn out_of_range(what: &str) -> PortError {
    PortError::Internal(format!("a component passed a {what} out of range"))
}
