//! The little of the protobuf wire format that the protocol needs, written by hand because an export file is encoded at
//! tens of millions of keys a second and a revision token holds three fields
//! (<https://protobuf.dev/programming-guides/encoding/>).

/// Wire type of a field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Value<'a> {
    /// Wire type 0.
    Varint(u64),
    /// Wire type 1, little-endian.
    Fixed64(u64),
    /// Wire type 2.
    Bytes(&'a [u8]),
    /// Wire type 5, little-endian.
    Fixed32(u32),
}

/// The bytes are not a protobuf message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Malformed;

/// Appends a base-128 varint.
pub fn put_varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push((value & 0x7f) as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// Appends field `number` with a varint. Negative `int32` values must come sign-extended, as the format demands.
pub fn put_uint(out: &mut Vec<u8>, number: u32, value: u64) {
    put_varint(out, u64::from(number) << 3);
    put_varint(out, value);
}

/// Appends field `number` with an `int32`.
pub fn put_int32(out: &mut Vec<u8>, number: u32, value: i32) {
    put_uint(out, number, i64::from(value).cast_unsigned());
}

/// Appends field `number` with a `sint32` (zig-zag).
pub fn put_sint32(out: &mut Vec<u8>, number: u32, value: i32) {
    put_uint(out, number, u64::from((value.cast_unsigned() << 1) ^ (value >> 31).cast_unsigned()));
}

/// Appends field `number` with a `fixed64`.
pub fn put_fixed64(out: &mut Vec<u8>, number: u32, value: u64) {
    put_varint(out, u64::from(number) << 3 | 1);
    out.extend_from_slice(&value.to_le_bytes());
}

/// Appends field `number` with bytes, a string or an embedded message.
pub fn put_bytes(out: &mut Vec<u8>, number: u32, bytes: &[u8]) {
    put_varint(out, u64::from(number) << 3 | 2);
    put_varint(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

/// Undoes the zig-zag encoding of `sint32`.
pub fn zigzag_decode(value: u64) -> i32 {
    let value = value as u32;
    (value >> 1).cast_signed() ^ -((value & 1).cast_signed())
}

/// Reads the fields of a message in order. After an error the iterator ends.
#[derive(Clone, Debug)]
pub struct Fields<'a> {
    rest: &'a [u8],
}

impl<'a> Fields<'a> {
    /// Over the fields of `message`.
    pub fn new(message: &'a [u8]) -> Self {
        Self { rest: message }
    }

    fn varint(&mut self) -> Result<u64, Malformed> {
        let mut value = 0u64;
        for shift in (0..64).step_by(7) {
            let (&byte, rest) = self.rest.split_first().ok_or(Malformed)?;
            self.rest = rest;
            let bits = u64::from(byte & 0x7f);
            if shift == 63 && bits > 1 {
                return Err(Malformed);
            }
            value |= bits << shift;
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err(Malformed)
    }

    fn take<const N: usize>(&mut self) -> Result<&'a [u8; N], Malformed> {
        let (taken, rest) = self.rest.split_first_chunk::<N>().ok_or(Malformed)?;
        self.rest = rest;
        Ok(taken)
    }

    fn field(&mut self) -> Result<(u32, Value<'a>), Malformed> {
        let tag = self.varint()?;
        let number = u32::try_from(tag >> 3).map_err(|_| Malformed)?;
        let value = match tag & 7 {
            0 => Value::Varint(self.varint()?),
            1 => Value::Fixed64(u64::from_le_bytes(*self.take()?)),
            2 => {
                let length = usize::try_from(self.varint()?).map_err(|_| Malformed)?;
                let (bytes, rest) = self.rest.split_at_checked(length).ok_or(Malformed)?;
                self.rest = rest;
                Value::Bytes(bytes)
            }
            5 => Value::Fixed32(u32::from_le_bytes(*self.take()?)),
            _ => return Err(Malformed),
        };
        if number == 0 { Err(Malformed) } else { Ok((number, value)) }
    }
}

impl<'a> Iterator for Fields<'a> {
    type Item = Result<(u32, Value<'a>), Malformed>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let field = self.field();
        if field.is_err() {
            self.rest = &[];
        }
        Some(field)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn encodes_the_examples_of_the_format_description() {
        let mut out = Vec::new();
        put_uint(&mut out, 1, 150);
        put_bytes(&mut out, 2, b"testing");
        put_sint32(&mut out, 3, -1);
        put_int32(&mut out, 4, -2);
        put_fixed64(&mut out, 5, 1);
        let expect: &[u8] = &[
            0x08, 0x96, 0x01, 0x12, 7, b't', b'e', b's', b't', b'i', b'n', b'g', 0x18, 1, 0x20, 0xfe, 0xff, 0xff, 0xff,
            0xff, 0xff, 0xff, 0xff, 0xff, 1, 0x29, 1, 0, 0, 0, 0, 0, 0, 0,
        ];
        assert_eq!(out, expect);
    }

    #[test]
    fn truncated_and_overlong_messages_are_malformed() {
        for bad in [
            &[0x08][..],
            &[0x12, 5, 1],
            &[0x08, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2],
            &[0x0b],
            &[0x00, 1],
        ] {
            assert_eq!(Fields::new(bad).next(), Some(Err(Malformed)), "{bad:?}");
        }
    }

    proptest! {
        #[test]
        fn written_fields_are_read_back(number in 1u32..1000, value: u64, small: i32, bytes: Vec<u8>) {
            let mut out = Vec::new();
            put_uint(&mut out, number, value);
            put_sint32(&mut out, number, small);
            put_bytes(&mut out, number, &bytes);
            let fields: Vec<_> = Fields::new(&out).collect();
            prop_assert_eq!(fields[0], Ok((number, Value::Varint(value))));
            let Ok((_, Value::Varint(zigzag))) = fields[1] else { panic!("not a varint") };
            prop_assert_eq!(zigzag_decode(zigzag), small);
            prop_assert_eq!(fields[2], Ok((number, Value::Bytes(&bytes))));
        }

        #[test]
        fn reading_never_panics(bytes: Vec<u8>) {
            let _ = Fields::new(&bytes).count();
        }
    }
}
