//! The temporary exposure key.

use std::fmt;

/// A temporary exposure key (TEK): the 16 random bytes a phone generates each day (Exposure Notification cryptography
/// specification v1.2). It is health data once published, so `Debug` never shows it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TemporaryExposureKey([u8; TemporaryExposureKey::LENGTH]);

impl TemporaryExposureKey {
    /// Length of a key in bytes.
    pub const LENGTH: usize = 16;

    /// Wraps 16 bytes; every value is a valid key.
    pub const fn new(bytes: [u8; Self::LENGTH]) -> Self {
        Self(bytes)
    }

    /// The key's bytes.
    pub const fn as_bytes(&self) -> &[u8; Self::LENGTH] {
        &self.0
    }

    /// The key as two big-endian numbers, the form in which it crosses the WIT boundary without an allocation.
    pub fn to_words(self) -> (u64, u64) {
        let value = u128::from_be_bytes(self.0);
        ((value >> 64) as u64, value as u64)
    }

    /// The inverse of [`Self::to_words`].
    pub fn from_words(high: u64, low: u64) -> Self {
        Self(((u128::from(high) << 64) | u128::from(low)).to_be_bytes())
    }
}

impl TryFrom<&[u8]> for TemporaryExposureKey {
    type Error = std::array::TryFromSliceError;

    /// Fails unless the slice holds exactly 16 bytes.
    fn try_from(bytes: &[u8]) -> Result<Self, Self::Error> {
        Ok(Self(bytes.try_into()?))
    }
}

impl fmt::Debug for TemporaryExposureKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TemporaryExposureKey(redacted)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_keep_the_byte_order() {
        let key = TemporaryExposureKey::new([1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16]);
        assert_eq!(key.to_words(), (0x0102_0304_0506_0708, 0x090a_0b0c_0d0e_0f10));
        let (high, low) = key.to_words();
        assert_eq!(TemporaryExposureKey::from_words(high, low), key);
    }

    #[test]
    fn debug_output_never_shows_key_bytes() {
        let shown = format!("{:?}", TemporaryExposureKey::new([0xab; 16]));
        assert_eq!(shown, "TemporaryExposureKey(redacted)");
    }
}
