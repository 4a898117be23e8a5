//! A strict reader of CBOR (RFC 8949) for evidence: definite lengths, shortest heads, no tags, no key twice in a map,
//! and limits on depth and number of items, so that reading ends soon whatever the input is.

/// Deepest nesting: a value within three containers.
const MAX_DEPTH: u8 = 4;
/// Most values of one item, keys included. Evidence has some twenty.
const MAX_VALUES: u16 = 256;

/// Not CBOR, or not of the kind that is read here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Malformed;

/// One value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value<'a> {
    /// An integer from 0.
    Unsigned(u64),
    /// The integer -1 - n.
    Negative(u64),
    /// A byte string.
    Bytes(&'a [u8]),
    /// A text string.
    Text(&'a str),
    /// An array.
    Array(Vec<Value<'a>>),
    /// A map, in the order received; its keys are integers or texts, and different.
    Map(Vec<(Value<'a>, Value<'a>)>),
    /// `false`, `true`, `null`, `undefined` or a floating-point number: read over.
    Other,
}

impl<'a> Value<'a> {
    /// Reads one value that fills `bytes`.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, Malformed> {
        match Self::parse_first(bytes)? {
            (value, []) => Ok(value),
            _ => Err(Malformed),
        }
    }

    /// Reads the value at the start of `bytes`; returns what follows, too.
    pub fn parse_first(bytes: &'a [u8]) -> Result<(Self, &'a [u8]), Malformed> {
        let mut reader = Reader { rest: bytes, values_left: MAX_VALUES };
        let value = reader.value(MAX_DEPTH)?;
        Ok((value, reader.rest))
    }

    /// The value of a text key of this map.
    pub fn get(&self, key: &str) -> Option<&Self> {
        self.find(&Value::Text(key))
    }

    /// The value of an integer key of this map.
    pub fn get_integer(&self, key: i64) -> Option<&Self> {
        self.find(&if key < 0 { Value::Negative(key.unsigned_abs() - 1) } else { Value::Unsigned(key.unsigned_abs()) })
    }

    /// The byte string that this is.
    pub fn as_bytes(&self) -> Option<&'a [u8]> {
        if let Self::Bytes(bytes) = self { Some(bytes) } else { None }
    }

    /// The text that this is.
    pub fn as_text(&self) -> Option<&'a str> {
        if let Self::Text(text) = self { Some(text) } else { None }
    }

    /// The entries of the map that this is.
    pub fn as_map(&self) -> Option<&[(Self, Self)]> {
        if let Self::Map(entries) = self { Some(entries) } else { None }
    }

    fn find(&self, key: &Value<'_>) -> Option<&Self> {
        self.as_map()?.iter().find(|(known, _)| known == key).map(|(_, value)| value)
    }
}

struct Reader<'a> {
    rest: &'a [u8],
    values_left: u16,
}

impl<'a> Reader<'a> {
    fn value(&mut self, depth: u8) -> Result<Value<'a>, Malformed> {
        self.values_left = self.values_left.checked_sub(1).ok_or(Malformed)?;
        let depth = depth.checked_sub(1).ok_or(Malformed)?;
        let [head] = *self.take::<1>()?;
        let (major, info) = (head >> 5, head & 0x1f);
        if major == 7 {
            // false to undefined, or a float of 2, 4 or 8 bytes.
            match info {
                20..=23 => {}
                25 => _ = self.take::<2>()?,
                26 => _ = self.take::<4>()?,
                27 => _ = self.take::<8>()?,
                _ => return Err(Malformed),
            }
            return Ok(Value::Other);
        }
        let argument = self.argument(info)?;
        match major {
            0 => Ok(Value::Unsigned(argument)),
            1 => Ok(Value::Negative(argument)),
            2 => Ok(Value::Bytes(self.slice(argument)?)),
            3 => Ok(Value::Text(std::str::from_utf8(self.slice(argument)?).map_err(|_| Malformed)?)),
            4 => (0..argument).map(|_| self.value(depth)).collect::<Result<_, _>>().map(Value::Array),
            5 => self.map(argument, depth),
            _ => Err(Malformed),
        }
    }

    fn map(&mut self, length: u64, depth: u8) -> Result<Value<'a>, Malformed> {
        let mut entries: Vec<(Value<'a>, Value<'a>)> = Vec::new();
        for _ in 0..length {
            let key = self.value(depth)?;
            let is_key = matches!(key, Value::Unsigned(_) | Value::Negative(_) | Value::Text(_));
            if !is_key || entries.iter().any(|(known, _)| *known == key) {
                return Err(Malformed);
            }
            entries.push((key, self.value(depth)?));
        }
        Ok(Value::Map(entries))
    }

    /// The number that a head carries, in its shortest form.
    fn argument(&mut self, info: u8) -> Result<u64, Malformed> {
        let (value, least) = match info {
            0..=23 => (u64::from(info), 0),
            24 => (u64::from(u8::from_be_bytes(*self.take()?)), 24),
            25 => (u64::from(u16::from_be_bytes(*self.take()?)), 1 << 8),
            26 => (u64::from(u32::from_be_bytes(*self.take()?)), 1 << 16),
            27 => (u64::from_be_bytes(*self.take()?), 1 << 32),
            _ => return Err(Malformed),
        };
        if value < least { Err(Malformed) } else { Ok(value) }
    }

    fn take<const N: usize>(&mut self) -> Result<&'a [u8; N], Malformed> {
        let (taken, rest) = self.rest.split_first_chunk().ok_or(Malformed)?;
        self.rest = rest;
        Ok(taken)
    }

    fn slice(&mut self, length: u64) -> Result<&'a [u8], Malformed> {
        let length = usize::try_from(length).map_err(|_| Malformed)?;
        let (taken, rest) = self.rest.split_at_checked(length).ok_or(Malformed)?;
        self.rest = rest;
        Ok(taken)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(bytes: &[u8], expect: Result<Value<'_>, Malformed>) {
        assert_eq!(Value::parse(bytes), expect, "{bytes:02x?}");
    }

    #[test]
    fn values_of_each_kind_are_read() {
        check(&[0x17], Ok(Value::Unsigned(23)));
        check(&[0x18, 24], Ok(Value::Unsigned(24)));
        check(&[0x19, 1, 0], Ok(Value::Unsigned(256)));
        check(&[0x1a, 0, 1, 0, 0], Ok(Value::Unsigned(65_536)));
        check(&[0x1b, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff], Ok(Value::Unsigned(u64::MAX)));
        check(&[0x26], Ok(Value::Negative(6)));
        check(&[0x42, 1, 2], Ok(Value::Bytes(&[1, 2])));
        check(&[0x62, b'o', b'k'], Ok(Value::Text("ok")));
        check(&[0x82, 1, 0x40], Ok(Value::Array(vec![Value::Unsigned(1), Value::Bytes(&[])])));
        check(&[0xa1, 0x61, b'a', 0xf5], Ok(Value::Map(vec![(Value::Text("a"), Value::Other)])));
        check(&[0xfa, 0, 0, 0, 0], Ok(Value::Other));
    }

    #[test]
    fn what_is_not_strict_is_refused() {
        for bytes in [
            &[][..],
            &[0x18, 23],                     // longer head than needed
            &[0x19, 0, 255],                 // the same, 2 bytes
            &[0x1a, 0, 0, 255, 255],         // the same, 4 bytes
            &[0x1b, 0, 0, 0, 0, 1, 0, 0, 0], // the same, 8 bytes
            &[0x5f, 0x41, 0, 0xff],          // indefinite length
            &[0x9f, 0xff],                   // the same, array
            &[0xbf, 0xff],                   // the same, map
            &[0xc1, 0],                      // tag
            &[0x42, 1],                      // too short
            &[0x5b, 255, 255, 255, 255, 255, 255, 255, 255],
            &[0x9b, 255, 255, 255, 255, 255, 255, 255, 255],
            &[0x61, 0xff],                // not UTF-8
            &[0xa2, 1, 1, 1, 2],          // the same key twice
            &[0xa1, 0x41, 0, 0],          // a key of bytes
            &[0xa1, 0xf5, 0],             // a key of another kind
            &[0xf8, 32],                  // unassigned simple value
            &[0, 0],                      // something follows
            &[0x81, 0x81, 0x81, 0x81, 0], // too deep
        ] {
            check(bytes, Err(Malformed));
        }
        let mut many = vec![0x99, 1, 0];
        many.extend([0; 256]);
        check(&many, Err(Malformed));
    }

    #[test]
    fn maps_are_asked_by_key() {
        let bytes = [0xa3, 1, 2, 0x20, 3, 0x61, b'k', 0x41, 9];
        let map = Value::parse(&bytes).unwrap();
        assert_eq!(map.get_integer(1), Some(&Value::Unsigned(2)));
        assert_eq!(map.get_integer(-1), Some(&Value::Unsigned(3)));
        assert_eq!(map.get("k").and_then(Value::as_bytes), Some(&[9][..]));
        assert_eq!(map.get("x"), None);
        assert_eq!(Value::Other.get("x"), None);
    }

    #[test]
    fn what_follows_the_first_value_is_returned() {
        assert_eq!(Value::parse_first(&[1, 2, 3]), Ok((Value::Unsigned(1), &[2, 3][..])));
    }
}
