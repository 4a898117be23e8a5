//! A key of an export in 24 bytes, in the shape in which hundreds of thousands are sorted.

use super::file::KeyMetadata;
use crate::exposure::{ReportType, SelectedExposure};
use crate::settings::KeyOrder;

/// A key and its metadata; the derived order is that of key bytes.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Record {
    high: u64,
    low: u64,
    metadata: Metadata,
}

/// Rolling start, period, risk, report type and onset in one number, the first in the highest bits, so that numbers
/// compare like the tuple.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Metadata(u64);

impl Metadata {
    fn new(row: &SelectedExposure) -> Self {
        // Moves the smallest value to 0; "no onset" takes -128, which is not a day.
        let start = row.rolling_start.get().cast_unsigned() ^ 1 << 31;
        let onset = row.days_since_onset.unwrap_or(i8::MIN).cast_unsigned() ^ 1 << 7;
        let [a, b, c, d] = start.to_be_bytes();
        let report_type = row.report_type.map_or(0, ReportType::number);
        Self(u64::from_be_bytes([
            a,
            b,
            c,
            d,
            row.rolling_period.get(),
            row.transmission_risk.get(),
            report_type,
            onset,
        ]))
    }

    /// As the file encoder wants it.
    pub(crate) fn unpack(self) -> KeyMetadata {
        let [a, b, c, d, period, risk, report_type, onset] = self.0.to_be_bytes();
        let onset = (onset ^ 1 << 7).cast_signed();
        KeyMetadata {
            transmission_risk: risk.into(),
            rolling_start: (u32::from_be_bytes([a, b, c, d]) ^ 1 << 31).cast_signed(),
            rolling_period: period.into(),
            report_type: ReportType::from_number(report_type),
            days_since_onset: (onset != i8::MIN).then(|| onset.into()),
        }
    }
}

impl Record {
    pub(crate) fn new(row: &SelectedExposure) -> Self {
        let (high, low) = row.key.to_words();
        Self { high, low, metadata: Metadata::new(row) }
    }

    pub(crate) fn key(&self) -> [u8; 16] {
        ((u128::from(self.high) << 64) | u128::from(self.low)).to_be_bytes()
    }

    pub(crate) fn metadata(&self) -> Metadata {
        self.metadata
    }
}

/// Puts the keys of one list of a file in order.
pub(crate) fn sort(records: &mut [Record], order: KeyOrder) {
    match order {
        KeyOrder::KeyBytes => records.sort_unstable(),
        KeyOrder::Metadata => records.sort_unstable_by_key(|record| (record.metadata, record.high, record.low)),
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::exposure::TransmissionRisk;
    use crate::interval::{IntervalNumber, RollingPeriod};
    use crate::tek::TemporaryExposureKey;

    pub(crate) fn row(key: [u8; 16], start: i32, period: i64, onset: Option<i8>) -> SelectedExposure {
        SelectedExposure {
            id: 1,
            key: TemporaryExposureKey::new(key),
            rolling_start: IntervalNumber::new(start),
            rolling_period: RollingPeriod::try_from(period).expect("in range"),
            transmission_risk: TransmissionRisk::try_from(3).expect("in range"),
            report_type: Some(ReportType::ConfirmedTest),
            days_since_onset: onset,
        }
    }

    #[test]
    fn records_keep_every_field() {
        for (start, onset) in [(2_650_000, None), (0, Some(-14)), (-7, Some(0)), (i32::MAX, Some(127))] {
            let record = Record::new(&row([0xab; 16], start, 144, onset));
            assert_eq!(record.key(), [0xab; 16]);
            let expect = KeyMetadata {
                transmission_risk: 3,
                rolling_start: start,
                rolling_period: 144,
                report_type: Some(ReportType::ConfirmedTest),
                days_since_onset: onset.map(Into::into),
            };
            assert_eq!(record.metadata().unpack(), expect);
        }
    }

    #[test]
    fn metadata_order_is_start_period_risk_type_onset_then_key() {
        let expect = [
            row([9; 16], -1, 144, None),
            row([9; 16], 5, 7, Some(3)),
            row([1; 16], 5, 144, None),
            row([9; 16], 5, 144, Some(-2)),
            row([1; 16], 5, 144, Some(2)),
            row([2; 16], 5, 144, Some(2)),
        ]
        .map(|row| Record::new(&row));
        let mut sorted = expect;
        sorted.reverse();
        sort(&mut sorted, KeyOrder::Metadata);
        assert!(sorted == expect);
        sort(&mut sorted, KeyOrder::KeyBytes);
        assert!(sorted.is_sorted_by_key(Record::key));
    }
}
