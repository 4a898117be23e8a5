//! The revision token: the phone's proof that it uploaded a key, given to it sealed.
//!
//! Wire form: base64 of `RevisionToken { string kid = 1; bytes data = 2; }`, whose data is the sealed
//! `RevisionTokenData { repeated RevisableKey = 1; }`.

use crate::base64;
use crate::exposure::NewExposure;
use crate::interval::{IntervalNumber, RollingPeriod, key_end};
use crate::ports::PortError;
use crate::ports::sealing::{Sealed, Sealing};
use crate::protobuf::{Fields, Malformed, Value, put_bytes, put_int32};
use crate::tek::TemporaryExposureKey;

/// A key that may be revised by whoever has the token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TokenEntry {
    /// The key.
    pub key: TemporaryExposureKey,
    /// First interval of validity.
    pub rolling_start: IntervalNumber,
    /// Intervals of validity.
    pub rolling_period: RollingPeriod,
}

impl From<&NewExposure> for TokenEntry {
    fn from(exposure: &NewExposure) -> Self {
        let NewExposure { key, rolling_start, rolling_period, .. } = *exposure;
        Self { key, rolling_start, rolling_period }
    }
}

/// The token of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RevisionToken {
    /// None was sent, or what was sent is not even base64.
    Absent,
    /// It was not sealed by this server, or too long ago. New keys can be published all the same.
    Unreadable,
    /// The keys it holds.
    Open(Vec<TokenEntry>),
}

impl RevisionToken {
    /// Opens the token of a request.
    pub fn read(text: &str, sealing: &dyn Sealing) -> Result<Self, PortError> {
        if text.is_empty() {
            return Ok(Self::Absent);
        }
        // As in the reference, base64 is the one defect that counts as no token at all.
        let Ok(bytes) = base64::decode(text) else { return Ok(Self::Absent) };
        let Ok(sealed) = parse_sealed(&bytes) else { return Ok(Self::Unreadable) };
        let Some(plaintext) = sealing.open(&sealed)? else { return Ok(Self::Unreadable) };
        Ok(parse_entries(&plaintext).map_or(Self::Unreadable, Self::Open))
    }

    /// The entries, if the token could be opened.
    pub fn entries(&self) -> Option<&[TokenEntry]> {
        match self {
            Self::Open(entries) => Some(entries),
            Self::Absent | Self::Unreadable => None,
        }
    }

    /// The entries of the next token: those of this one that have not expired, then those of `added` it does not hold.
    /// What a token once said about a key remains.
    pub fn succeed(&self, added: &[TokenEntry], oldest_end: IntervalNumber) -> Vec<TokenEntry> {
        let old = self.entries().unwrap_or_default();
        let mut entries: Vec<TokenEntry> = Vec::with_capacity(old.len() + added.len());
        entries.extend(old.iter().filter(|entry| key_end(entry.rolling_start, entry.rolling_period) >= oldest_end));
        let kept = entries.len();
        for entry in added {
            if !entries[..kept].iter().any(|known| known.key == entry.key) {
                entries.push(*entry);
            }
        }
        entries
    }
}

/// Seals `entries`, filled up to `min_entries` with dummies that hide how many keys it holds. `None` for no entries.
pub fn seal(entries: &[TokenEntry], min_entries: u32, sealing: &dyn Sealing) -> Result<Option<String>, PortError> {
    if entries.is_empty() {
        return Ok(None);
    }
    let Sealed { key_id, data } = sealing.seal(&plaintext(entries, min_entries))?;
    let mut token = Vec::with_capacity(data.len() + key_id.len() + 8);
    put_bytes(&mut token, 1, key_id.as_bytes());
    put_bytes(&mut token, 2, &data);
    Ok(Some(base64::encode(&token)))
}

fn plaintext(entries: &[TokenEntry], min_entries: u32) -> Vec<u8> {
    // An entry of today's magnitudes: 18 bytes of key, 5 of start, 3 of period, 2 of framing.
    const ENTRY_BYTES: usize = 28;
    // 16 zero bytes under field 1; both numbers are zero and so, in proto3, not written.
    const DUMMY: [u8; 18] = [0x0a, 16, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    let dummies = usize::try_from(min_entries).unwrap_or(usize::MAX).saturating_sub(entries.len());
    let mut out = Vec::with_capacity(entries.len() * ENTRY_BYTES + dummies.min(1000) * (DUMMY.len() + 2));
    let mut message = Vec::with_capacity(ENTRY_BYTES);
    for entry in entries {
        message.clear();
        put_bytes(&mut message, 1, entry.key.as_bytes());
        if entry.rolling_start.get() != 0 {
            put_int32(&mut message, 2, entry.rolling_start.get());
        }
        put_int32(&mut message, 3, i32::from(entry.rolling_period.get()));
        put_bytes(&mut out, 1, &message);
    }
    for _ in 0..dummies {
        put_bytes(&mut out, 1, &DUMMY);
    }
    out
}

fn parse_sealed(token: &[u8]) -> Result<Sealed, Malformed> {
    let (mut key_id, mut data) = (&[][..], &[][..]);
    for field in Fields::new(token) {
        match field? {
            (1, Value::Bytes(bytes)) => key_id = bytes,
            (2, Value::Bytes(bytes)) => data = bytes,
            (1 | 2, _) => return Err(Malformed),
            _ => {}
        }
    }
    let key_id = str::from_utf8(key_id).map_err(|_| Malformed)?.to_owned();
    // Ids are decimal numbers; the sealing port need not see anything else.
    if key_id.is_empty() || !key_id.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(Malformed);
    }
    Ok(Sealed { key_id, data: data.to_vec() })
}

fn parse_entries(plaintext: &[u8]) -> Result<Vec<TokenEntry>, Malformed> {
    let mut entries = Vec::new();
    for field in Fields::new(plaintext) {
        match field? {
            (1, Value::Bytes(message)) => entries.extend(parse_entry(message)?),
            (1, _) => return Err(Malformed),
            _ => {}
        }
    }
    Ok(entries)
}

/// One entry; `None` for a dummy.
fn parse_entry(message: &[u8]) -> Result<Option<TokenEntry>, Malformed> {
    let int32 = |value: u64| i32::try_from(value.cast_signed()).map_err(|_| Malformed);
    let (mut key, mut start, mut period) = (&[][..], 0, 0);
    for field in Fields::new(message) {
        match field? {
            (1, Value::Bytes(bytes)) => key = bytes,
            (2, Value::Varint(value)) => start = int32(value)?,
            (3, Value::Varint(value)) => period = int32(value)?,
            (1..=3, _) => return Err(Malformed),
            _ => {}
        }
    }
    if start == 0 && period == 0 {
        return Ok(None);
    }
    Ok(Some(TokenEntry {
        key: TemporaryExposureKey::try_from(key).map_err(|_| Malformed)?,
        rolling_start: IntervalNumber::new(start),
        rolling_period: RollingPeriod::try_from(i64::from(period)).map_err(|_| Malformed)?,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::sealing::FakeSealing;
    use proptest::prelude::*;

    fn entry(byte: u8, start: i32, period: i64) -> TokenEntry {
        TokenEntry {
            key: TemporaryExposureKey::new([byte; 16]),
            rolling_start: IntervalNumber::new(start),
            rolling_period: RollingPeriod::try_from(period).expect("1 to 144"),
        }
    }

    #[test]
    fn plaintext_is_the_protobuf_of_the_specification() {
        let mut expect = vec![0x0a, 25, 0x0a, 16];
        expect.extend([7; 16]);
        expect.extend([0x10, 0x90, 0xdf, 0xa1, 0x01, 0x18, 0x90, 0x01]);
        expect[1] = (expect.len() - 2) as u8;
        expect.extend([0x0a, 0x12, 0x0a, 0x10]);
        expect.extend([0; 16]);
        assert_eq!(plaintext(&[entry(7, 2_650_000, 144)], 2), expect);
    }

    #[test]
    fn token_is_padded_to_the_smallest_length_and_opens_without_the_padding() {
        let sealing = FakeSealing::default();
        let entries = [entry(1, 2_650_000, 144), entry(2, 0, 1), entry(3, -7, 9)];
        let lengths = [0, 3, 28].map(|min| plaintext(&entries, min).len());
        assert_eq!(lengths[0], lengths[1]);
        assert_eq!(lengths[2], lengths[0] + 25 * 20);
        let token = seal(&entries, 28, &sealing).expect("seals").expect("not empty");
        assert_eq!(RevisionToken::read(&token, &sealing), Ok(RevisionToken::Open(entries.to_vec())));
        assert_eq!(seal(&[], 28, &sealing), Ok(None));
    }

    #[test]
    fn only_bad_base64_counts_as_no_token() {
        let sealing = FakeSealing::default();
        let wire = |key_id: &[u8], data: &[u8]| {
            let mut token = Vec::new();
            put_bytes(&mut token, 1, key_id);
            put_bytes(&mut token, 2, data);
            base64::encode(&token)
        };
        let foreign = sealing.seal(b"\x0a\x01").expect("seals");
        for (text, expect) in [
            (String::new(), RevisionToken::Absent),
            ("*".to_owned(), RevisionToken::Absent),
            ("=".to_owned(), RevisionToken::Unreadable),
            (base64::encode(b"\x0a"), RevisionToken::Unreadable),
            (wire(b"\xff", b"x"), RevisionToken::Unreadable),
            (wire(b"x1", b"x"), RevisionToken::Unreadable),
            (wire(b"99", &foreign.data), RevisionToken::Unreadable),
            (wire(b"1", b"too short"), RevisionToken::Unreadable),
            (wire(foreign.key_id.as_bytes(), &foreign.data), RevisionToken::Unreadable),
        ] {
            assert_eq!(RevisionToken::read(&text, &sealing), Ok(expect), "{text:?}");
        }
    }

    #[test]
    fn sealing_failure_is_reported() {
        let sealing = FakeSealing::default();
        let token = seal(&[entry(1, 5, 5)], 1, &sealing).expect("seals").expect("not empty");
        sealing.faults.fail_next(PortError::Unavailable);
        assert_eq!(RevisionToken::read(&token, &sealing), Err(PortError::Unavailable));
        sealing.faults.fail_next(PortError::Unavailable);
        assert_eq!(seal(&[entry(1, 5, 5)], 1, &sealing), Err(PortError::Unavailable));
    }

    #[test]
    fn next_token_forgets_expired_keys_and_keeps_what_it_knows() {
        let token = RevisionToken::Open(vec![entry(1, 100, 44), entry(2, 100, 43), entry(3, 500, 144)]);
        let added = [entry(3, 400, 1), entry(4, 600, 144)];
        let next = token.succeed(&added, IntervalNumber::new(144));
        assert_eq!(next, vec![entry(1, 100, 44), entry(3, 500, 144), entry(4, 600, 144)]);
        assert_eq!(RevisionToken::Unreadable.succeed(&added, IntervalNumber::new(144)), added.to_vec());
    }

    proptest! {
        #[test]
        fn any_entries_come_back(keys in prop::collection::vec((any::<u8>(), any::<i32>(), 1i64..=144), 1..40)) {
            let entries: Vec<_> = keys.into_iter().map(|(byte, start, period)| entry(byte, start, period)).collect();
            prop_assert_eq!(parse_entries(&plaintext(&entries, 28)), Ok(entries));
        }

        #[test]
        fn reading_never_panics(bytes: Vec<u8>) {
            let _ = parse_entries(&bytes);
            let _ = RevisionToken::read(&base64::encode(&bytes), &FakeSealing::default());
        }
    }
}
