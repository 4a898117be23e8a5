//! Row ids of exposures: the hour they were created in, then a sequence.
//!
//! Rows are thus appended in the order of time, an export reads one range of ids, and a purge deletes at the left edge.

use tocsin_domain::interval::Timestamp;

const SEQUENCE_BITS: u32 = 28;
const HOUR_BITS: u32 = 18;
/// 2020-01-01T00:00:00Z. No exposure notification app existed before; 18 bits of hours reach into 2049.
const FIRST_HOUR: i64 = 1_577_836_800;
const HOUR_SECONDS: i64 = 3_600;

/// An hour that can hold rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Hour(u64);

impl Hour {
    /// The hour of `time`; `None` outside 2020 to 2049.
    pub(crate) fn of(time: Timestamp) -> Option<Self> {
        let hours = time.unix().checked_sub(FIRST_HOUR)?.div_euclid(HOUR_SECONDS);
        u64::try_from(hours).ok().filter(|hour| *hour < 1 << HOUR_BITS).map(Self)
    }

    /// The hour of `time`, or the nearest there is.
    pub(crate) fn clamped(time: Timestamp) -> Self {
        Self::of(time).unwrap_or(Self(if time.unix() < FIRST_HOUR { 0 } else { (1 << HOUR_BITS) - 1 }))
    }

    /// Smallest number that a row id of this hour can have.
    pub(crate) const fn first_id(self) -> u64 {
        self.0 << SEQUENCE_BITS
    }

    /// Smallest number that is greater than all row ids of this hour.
    pub(crate) const fn end_id(self) -> u64 {
        (self.0 + 1) << SEQUENCE_BITS
    }

    /// The first row id of this hour.
    pub(crate) const fn first(self) -> RowId {
        RowId(self.first_id() + 1)
    }
}

/// The id of an exposure's row: 46 bits, never zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct RowId(u64);

impl RowId {
    /// Bits of a row id.
    pub(crate) const BITS: u32 = HOUR_BITS + SEQUENCE_BITS;

    /// The low 46 bits of `number`; `None` if they are zero.
    pub(crate) const fn from_low_bits(number: u64) -> Option<Self> {
        match number & ((1 << Self::BITS) - 1) {
            0 => None,
            id => Some(Self(id)),
        }
    }

    /// From a number of someone else; `None` if it is no row id.
    pub(crate) const fn new(number: u64) -> Option<Self> {
        if number >> Self::BITS == 0 { Self::from_low_bits(number) } else { None }
    }

    /// From a column of the database.
    pub(crate) fn from_column(number: i64) -> Option<Self> {
        u64::try_from(number).ok().and_then(Self::new)
    }

    /// As a number.
    pub(crate) const fn get(self) -> u64 {
        self.0
    }

    /// As a column of the database.
    pub(crate) const fn column(self) -> i64 {
        // 46 bits are positive in 64.
        self.0.cast_signed()
    }

    /// The hour this row was created in.
    pub(crate) const fn hour(self) -> Hour {
        Hour(self.0 >> SEQUENCE_BITS)
    }

    /// The id after this one in the same hour; `None` when the hour is full.
    pub(crate) fn next(self) -> Option<Self> {
        (self.0 + 1 < self.hour().end_id()).then_some(Self(self.0 + 1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hours_reach_from_2020_into_2049() {
        let last = FIRST_HOUR + ((1 << HOUR_BITS) - 1) * HOUR_SECONDS;
        let cases = [
            (i64::MIN, None),
            (FIRST_HOUR - 1, None),
            (FIRST_HOUR, Some(0)),
            (FIRST_HOUR + 3_599, Some(0)),
            (FIRST_HOUR + 3_600, Some(1)),
            (last + 3_599, Some((1 << HOUR_BITS) - 1)),
            (last + 3_600, None),
            (i64::MAX, None),
        ];
        for (seconds, hour) in cases {
            assert_eq!(Hour::of(Timestamp::from_unix(seconds)), hour.map(Hour), "{seconds}");
        }
    }

    #[test]
    fn an_hour_ends_before_its_ids_run_into_the_next() {
        let hour = Hour(7);
        let last = RowId(hour.end_id() - 1);
        assert_eq!(last.hour(), hour);
        assert_eq!(last.next(), None);
        assert_eq!(hour.first().next().map(RowId::hour), Some(hour));
        assert_eq!(RowId::new(1 << RowId::BITS), None);
        assert_eq!(RowId::new(0), None);
    }
}
