//! The exposure: a diagnosis key with its metadata, as it is stored.

use crate::interval::{IntervalNumber, RollingPeriod, Timestamp};
use crate::tek::TemporaryExposureKey;

/// Why a key was published. The numbers are those of the export format (`ReportType` in its protobuf); the wire strings
/// are those of the publish API and of the verification certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ReportType {
    /// A positive laboratory test; wire string `confirmed`.
    ConfirmedTest = 1,
    /// A clinical diagnosis; wire string `likely`.
    ConfirmedClinicalDiagnosis = 2,
    /// The person's own report; wire string `user-report`.
    SelfReport = 3,
    /// Reserved by the format; this server never writes it.
    Recursive = 4,
    /// The earlier report was wrong; wire string `negative`.
    Revoked = 5,
}

impl ReportType {
    /// From the string of the publish API; `None` for anything it does not know, the empty string included.
    pub fn from_wire(text: &str) -> Option<Self> {
        match text {
            "confirmed" => Some(Self::ConfirmedTest),
            "likely" => Some(Self::ConfirmedClinicalDiagnosis),
            "user-report" => Some(Self::SelfReport),
            "negative" => Some(Self::Revoked),
            _ => None,
        }
    }

    /// The string of the publish API.
    pub const fn wire(self) -> &'static str {
        match self {
            Self::ConfirmedTest => "confirmed",
            Self::ConfirmedClinicalDiagnosis => "likely",
            Self::SelfReport => "user-report",
            Self::Recursive => "recursive",
            Self::Revoked => "negative",
        }
    }

    /// The number of the export format, 1 to 5. Storage uses the same numbers, with 0 for "unknown".
    pub const fn number(self) -> u8 {
        self as u8
    }

    /// The inverse of [`Self::number`]; `None` for 0 and for numbers the format does not define.
    pub const fn from_number(number: u8) -> Option<Self> {
        match number {
            1 => Some(Self::ConfirmedTest),
            2 => Some(Self::ConfirmedClinicalDiagnosis),
            3 => Some(Self::SelfReport),
            4 => Some(Self::Recursive),
            5 => Some(Self::Revoked),
            _ => None,
        }
    }
}

/// Transmission risk, 0 to 8. 0 means "not given".
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct TransmissionRisk(u8);

impl TransmissionRisk {
    /// The level, 0 to 8.
    pub const fn get(self) -> u8 {
        self.0
    }

    /// The risk to store when the phone gave none: confirmed test 2, clinical diagnosis 4, revoked 6, else 0. A risk the
    /// phone gave always wins.
    pub const fn backfilled(self, report_type: Option<ReportType>) -> Self {
        if self.0 != 0 {
            return self;
        }
        Self(match report_type {
            Some(ReportType::ConfirmedTest) => 2,
            Some(ReportType::ConfirmedClinicalDiagnosis) => 4,
            Some(ReportType::Revoked) => 6,
            Some(ReportType::SelfReport | ReportType::Recursive) | None => 0,
        })
    }
}

impl TryFrom<i64> for TransmissionRisk {
    type Error = i64;

    /// Fails with the value itself unless it lies in 0..=8.
    fn try_from(value: i64) -> Result<Self, i64> {
        match u8::try_from(value) {
            Ok(risk @ 0..=8) => Ok(Self(risk)),
            _ => Err(value),
        }
    }
}

/// An exposure to be stored for the first time. What all keys of one publish share stands in
/// [`crate::ports::exposures::Submission`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NewExposure {
    /// The diagnosis key.
    pub key: TemporaryExposureKey,
    /// First interval of validity.
    pub rolling_start: IntervalNumber,
    /// Intervals of validity.
    pub rolling_period: RollingPeriod,
    /// Risk after backfill.
    pub transmission_risk: TransmissionRisk,
    /// From the verification certificate; `None` only when the app bypasses verification.
    pub report_type: Option<ReportType>,
    /// Days from the onset of symptoms to the key's first day, -14 to 14 with default settings.
    pub days_since_onset: Option<i8>,
    /// Truncated time of upload, or the end of the embargo when the key is still valid. Decides which export batch the
    /// key goes into, and when it is purged.
    pub created_at: Timestamp,
}

/// The one change of status an exposure can have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Revision {
    /// New report type.
    pub report_type: ReportType,
    /// Truncated time of the revision, or the end of the embargo. Decides which export batch carries it.
    pub revised_at: Timestamp,
    /// Days from onset to the key's first day, as the revising request says.
    pub days_since_onset: Option<i8>,
    /// Risk after backfill. Stored, and like in the reference server not exported.
    pub transmission_risk: TransmissionRisk,
}

/// An exposure as the store has it, as far as the revision rules need it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StoredExposure {
    /// The store's row id; opaque here.
    pub id: u64,
    /// Counts the row's changes. A revision names the version it was decided on and fails with a conflict on another.
    pub version: u32,
    /// The diagnosis key.
    pub key: TemporaryExposureKey,
    /// First interval of validity.
    pub rolling_start: IntervalNumber,
    /// Intervals of validity.
    pub rolling_period: RollingPeriod,
    /// Report type at first upload.
    pub report_type: Option<ReportType>,
    /// Report type after revision, if it was revised.
    pub revised_report_type: Option<ReportType>,
    /// Whether the key was uploaded here, rather than imported from another server.
    pub local_provenance: bool,
    /// Decides which export batch carries it as new. A revision is never exported before that.
    pub created_at: Timestamp,
}

/// One row of an export selection. For a revised row, report type and onset are those of the revision.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SelectedExposure {
    /// The store's row id; opaque here, and the source of a padding key names it.
    pub id: u64,
    /// The diagnosis key.
    pub key: TemporaryExposureKey,
    /// First interval of validity.
    pub rolling_start: IntervalNumber,
    /// Intervals of validity.
    pub rolling_period: RollingPeriod,
    /// Original transmission risk.
    pub transmission_risk: TransmissionRisk,
    /// Report type to export.
    pub report_type: Option<ReportType>,
    /// Days since onset to export.
    pub days_since_onset: Option<i8>,
}

/// A page of an export selection, packed because a list of records costs about 0.2 us each to lift across the WIT
/// boundary. Each row is [`SelectedExposure::PACKED_LENGTH`] bytes, numbers little-endian: id `u64`, key 16 bytes,
/// rolling start `i32`, rolling period `u8`, transmission risk `u8`, report type `u8` (0 unknown), days since onset
/// `i8` (-128 none).
impl SelectedExposure {
    /// Bytes of one packed row.
    pub const PACKED_LENGTH: usize = 32;
    const NO_ONSET: i8 = i8::MIN;

    /// Appends this row to `page`.
    pub fn pack_into(&self, page: &mut Vec<u8>) {
        let mut row = [0u8; Self::PACKED_LENGTH];
        row[0..8].copy_from_slice(&self.id.to_le_bytes());
        row[8..24].copy_from_slice(self.key.as_bytes());
        row[24..28].copy_from_slice(&self.rolling_start.get().to_le_bytes());
        row[28] = self.rolling_period.get();
        row[29] = self.transmission_risk.get();
        row[30] = self.report_type.map_or(0, ReportType::number);
        row[31] = self.days_since_onset.unwrap_or(Self::NO_ONSET).to_le_bytes()[0];
        page.extend_from_slice(&row);
    }

    /// Reads one packed row; `None` if the store handed out a value outside its range.
    pub fn unpack(row: &[u8; Self::PACKED_LENGTH]) -> Option<Self> {
        let (id, rest) = row.split_first_chunk::<8>()?;
        let (key, rest) = rest.split_first_chunk::<16>()?;
        let (start, rest) = rest.split_first_chunk::<4>()?;
        let [period, risk, report_type, onset] = *rest.first_chunk::<4>()?;
        let onset = i8::from_le_bytes([onset]);
        Some(Self {
            id: u64::from_le_bytes(*id),
            key: TemporaryExposureKey::new(*key),
            rolling_start: IntervalNumber::new(i32::from_le_bytes(*start)),
            rolling_period: RollingPeriod::try_from(i64::from(period)).ok()?,
            transmission_risk: TransmissionRisk::try_from(i64::from(risk)).ok()?,
            report_type: ReportType::from_number(report_type),
            days_since_onset: (onset != Self::NO_ONSET).then_some(onset),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn backfill_follows_the_reference_table_and_respects_the_phone() {
        let none = TransmissionRisk::default();
        let cases = [
            (Some(ReportType::ConfirmedTest), 2),
            (Some(ReportType::ConfirmedClinicalDiagnosis), 4),
            (Some(ReportType::Revoked), 6),
            (Some(ReportType::SelfReport), 0),
            (None, 0),
        ];
        for (report_type, risk) in cases {
            assert_eq!(none.backfilled(report_type).get(), risk, "{report_type:?}");
            assert_eq!(TransmissionRisk(3).backfilled(report_type).get(), 3);
        }
    }

    #[test]
    fn packed_row_round_trips() {
        for onset in [None, Some(-14), Some(0), Some(14)] {
            let row = SelectedExposure {
                id: 0x0102_0304_0506_0708,
                key: TemporaryExposureKey::new([7; 16]),
                rolling_start: IntervalNumber::new(2_650_000),
                rolling_period: RollingPeriod::DAY,
                transmission_risk: TransmissionRisk(8),
                report_type: Some(ReportType::Revoked),
                days_since_onset: onset,
            };
            let mut page = Vec::new();
            row.pack_into(&mut page);
            let packed: [u8; 32] = page.as_slice().try_into().expect("32 bytes");
            assert_eq!(SelectedExposure::unpack(&packed), Some(row));
        }
    }

    #[test]
    fn packed_row_with_an_impossible_period_is_refused() {
        let mut row = [0u8; 32];
        row[28] = 145;
        assert_eq!(SelectedExposure::unpack(&row), None);
    }
}
