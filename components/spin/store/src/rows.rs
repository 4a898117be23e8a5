//! Reads the columns of a row, one after the other.

use crate::row_id::RowId;
use crate::sql::Value;
use tocsin_domain::exposure::{ReportType, TransmissionRisk};
use tocsin_domain::interval::{RollingPeriod, Timestamp};
use tocsin_domain::ports::PortError;
use tocsin_domain::tek::TemporaryExposureKey;

/// The columns of a row that are not read yet. Each method reads the next one.
pub(crate) struct Columns<'r>(std::slice::Iter<'r, Value>);

impl<'r> Columns<'r> {
    pub(crate) fn of(row: &'r [Value]) -> Self {
        Self(row.iter())
    }

    fn next(&mut self) -> Result<&'r Value, PortError> {
        self.0.next().ok_or_else(|| unreadable("a column is missing"))
    }

    pub(crate) fn optional_integer(&mut self) -> Result<Option<i64>, PortError> {
        match self.next()? {
            Value::Integer(number) => Ok(Some(*number)),
            Value::Null => Ok(None),
            Value::Real(_) | Value::Text(_) | Value::Blob(_) => Err(unreadable("not a number")),
        }
    }

    pub(crate) fn integer(&mut self) -> Result<i64, PortError> {
        self.optional_integer()?.ok_or_else(|| unreadable("no number"))
    }

    /// A number of a smaller range.
    pub(crate) fn number<T: TryFrom<i64>>(&mut self) -> Result<T, PortError> {
        small(self.integer()?)
    }

    /// A number of a smaller range, or nothing.
    pub(crate) fn optional_number<T: TryFrom<i64>>(&mut self) -> Result<Option<T>, PortError> {
        self.optional_integer()?.map(small).transpose()
    }

    /// 0 or 1.
    pub(crate) fn flag(&mut self) -> Result<bool, PortError> {
        Ok(self.integer()? != 0)
    }

    pub(crate) fn time(&mut self) -> Result<Timestamp, PortError> {
        self.integer().map(Timestamp::from_unix)
    }

    pub(crate) fn optional_time(&mut self) -> Result<Option<Timestamp>, PortError> {
        Ok(self.optional_integer()?.map(Timestamp::from_unix))
    }

    pub(crate) fn text(&mut self) -> Result<&'r str, PortError> {
        match self.next()? {
            Value::Text(text) => Ok(text),
            Value::Integer(_) | Value::Real(_) | Value::Blob(_) | Value::Null => Err(unreadable("no text")),
        }
    }

    /// Text as an owned string.
    pub(crate) fn string(&mut self) -> Result<String, PortError> {
        self.text().map(str::to_owned)
    }

    pub(crate) fn optional_blob(&mut self) -> Result<Option<&'r [u8]>, PortError> {
        match self.next()? {
            Value::Blob(bytes) => Ok(Some(bytes)),
            Value::Null => Ok(None),
            Value::Integer(_) | Value::Real(_) | Value::Text(_) => Err(unreadable("not bytes")),
        }
    }

    pub(crate) fn blob(&mut self) -> Result<&'r [u8], PortError> {
        self.optional_blob()?.ok_or_else(|| unreadable("no bytes"))
    }

    /// JSON in text.
    pub(crate) fn json<T: serde::de::DeserializeOwned>(&mut self) -> Result<T, PortError> {
        serde_json::from_str(self.text()?).map_err(|_| unreadable("not the expected JSON"))
    }

    pub(crate) fn row_id(&mut self) -> Result<RowId, PortError> {
        RowId::from_column(self.integer()?).ok_or_else(|| unreadable("no row id of an exposure"))
    }

    pub(crate) fn key(&mut self) -> Result<TemporaryExposureKey, PortError> {
        TemporaryExposureKey::try_from(self.blob()?).map_err(|_| unreadable("a key is not 16 bytes"))
    }

    pub(crate) fn rolling_period(&mut self) -> Result<RollingPeriod, PortError> {
        RollingPeriod::try_from(self.integer()?).map_err(|_| unreadable("a rolling period is not 1 to 144"))
    }

    pub(crate) fn transmission_risk(&mut self) -> Result<TransmissionRisk, PortError> {
        TransmissionRisk::try_from(self.integer()?).map_err(|_| unreadable("a transmission risk is not 0 to 8"))
    }

    /// A report type; 0 or nothing: unknown.
    pub(crate) fn report_type(&mut self) -> Result<Option<ReportType>, PortError> {
        Ok(self.optional_number()?.and_then(ReportType::from_number))
    }
}

fn small<T: TryFrom<i64>>(number: i64) -> Result<T, PortError> {
    T::try_from(number).map_err(|_| unreadable("a number is out of range"))
}

/// The error for a value that this server never writes.
pub(crate) fn unreadable(what: &str) -> PortError {
    PortError::Internal(format!("a row of the database makes no sense: {what}; restore it from a backup"))
}
