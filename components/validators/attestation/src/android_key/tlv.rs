//! A strict DER reader that borrows: definite and minimal lengths, minimal integers, and the multi-byte tag numbers
//! that the authorization list of a key uses (up to 724). It never recurses, so its depth is that of the caller.

/// What is wrong with the bytes: the name of a rule, never a part of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Malformed(pub &'static str);

/// Class of a tag (X.690, 8.1.2.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// Types of ASN.1 itself.
    Universal,
    /// Unused here.
    Application,
    /// Numbered members of a sequence.
    Context,
    /// Unused here.
    Private,
}

/// An identifier octet, or several.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tag {
    /// Class.
    pub class: Class,
    /// Whether the content is again TLV.
    pub constructed: bool,
    /// Number.
    pub number: u32,
}

impl Tag {
    /// BOOLEAN.
    pub const BOOLEAN: Self = Self::universal(false, 1);
    /// INTEGER.
    pub const INTEGER: Self = Self::universal(false, 2);
    /// OCTET STRING.
    pub const OCTET_STRING: Self = Self::universal(false, 4);
    /// NULL.
    pub const NULL: Self = Self::universal(false, 5);
    /// ENUMERATED.
    pub const ENUMERATED: Self = Self::universal(false, 10);
    /// SEQUENCE.
    pub const SEQUENCE: Self = Self::universal(true, 16);
    /// SET.
    pub const SET: Self = Self::universal(true, 17);

    const fn universal(constructed: bool, number: u32) -> Self {
        Self { class: Class::Universal, constructed, number }
    }
}

/// Reads one TLV after the other.
#[derive(Clone, Copy)]
pub struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    /// Over these bytes.
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    /// Whether everything was read.
    pub fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    /// Refuses what follows the last expected member.
    pub fn end(self) -> Result<(), Malformed> {
        if self.is_empty() { Ok(()) } else { Err(Malformed("something follows the last member")) }
    }

    /// The next TLV, whatever it is.
    pub fn any(&mut self) -> Result<(Tag, &'a [u8]), Malformed> {
        let tag = self.tag()?;
        let length = self.length()?;
        let (content, rest) = self.rest.split_at_checked(length).ok_or(Malformed("a length goes beyond the end"))?;
        self.rest = rest;
        Ok((tag, content))
    }

    /// The content of the next TLV, which must have this tag.
    pub fn expect(&mut self, tag: Tag) -> Result<&'a [u8], Malformed> {
        let (found, content) = self.any()?;
        if found == tag { Ok(content) } else { Err(Malformed("a member has another type than the schema says")) }
    }

    /// A SEQUENCE.
    pub fn sequence(&mut self) -> Result<Self, Malformed> {
        self.expect(Tag::SEQUENCE).map(Self::new)
    }

    /// A SET. DER wants its members sorted, but phones write them as they come, and nothing hangs on the order.
    pub fn set(&mut self) -> Result<Self, Malformed> {
        self.expect(Tag::SET).map(Self::new)
    }

    /// An OCTET STRING.
    pub fn octets(&mut self) -> Result<&'a [u8], Malformed> {
        self.expect(Tag::OCTET_STRING)
    }

    /// An INTEGER, 0 to 2^64 - 1.
    pub fn unsigned(&mut self) -> Result<u64, Malformed> {
        unsigned(self.expect(Tag::INTEGER)?)
    }

    /// An ENUMERATED, 0 to 2^64 - 1.
    pub fn enumerated(&mut self) -> Result<u64, Malformed> {
        unsigned(self.expect(Tag::ENUMERATED)?)
    }

    /// A BOOLEAN. DER knows one spelling of true.
    pub fn boolean(&mut self) -> Result<bool, Malformed> {
        match self.expect(Tag::BOOLEAN)? {
            [0x00] => Ok(false),
            [0xff] => Ok(true),
            _ => Err(Malformed("a boolean is neither 00 nor ff")),
        }
    }

    /// A NULL, by which the schema says that a flag is set.
    pub fn null(&mut self) -> Result<(), Malformed> {
        if self.expect(Tag::NULL)?.is_empty() { Ok(()) } else { Err(Malformed("a null has content")) }
    }

    fn byte(&mut self) -> Result<u8, Malformed> {
        let (&first, rest) = self.rest.split_first().ok_or(Malformed("the bytes end too early"))?;
        self.rest = rest;
        Ok(first)
    }

    fn tag(&mut self) -> Result<Tag, Malformed> {
        let first = self.byte()?;
        let class = match first >> 6 {
            0 => Class::Universal,
            1 => Class::Application,
            2 => Class::Context,
            _ => Class::Private,
        };
        let number = match first & 0x1f {
            0x1f => self.high_number()?,
            low => u32::from(low),
        };
        Ok(Tag { class, constructed: first & 0x20 != 0, number })
    }

    /// Seven bits a byte, at most 28 bits in all, without leading zeros, and only for numbers that need it.
    fn high_number(&mut self) -> Result<u32, Malformed> {
        let mut number = 0_u32;
        for position in 0..4 {
            let byte = self.byte()?;
            if position == 0 && byte == 0x80 {
                return Err(Malformed("a tag number has leading zeros"));
            }
            number = number << 7 | u32::from(byte & 0x7f);
            if byte & 0x80 == 0 {
                return if number < 31 { Err(Malformed("a small tag number is in the long form")) } else { Ok(number) };
            }
        }
        Err(Malformed("a tag number is too large"))
    }

    /// One byte below 128, else up to three bytes of length, as few as possible.
    fn length(&mut self) -> Result<usize, Malformed> {
        let first = self.byte()?;
        let count = match first {
            0..=0x7f => return Ok(usize::from(first)),
            0x80 => return Err(Malformed("a length is indefinite")),
            0x81..=0x83 => first & 0x7f,
            0x84..=0xff => return Err(Malformed("a length is too large")),
        };
        let mut length = 0_usize;
        for position in 0..count {
            let byte = self.byte()?;
            if position == 0 && byte == 0 {
                return Err(Malformed("a length has leading zeros"));
            }
            length = length << 8 | usize::from(byte);
        }
        if length < 0x80 { Err(Malformed("a short length is in the long form")) } else { Ok(length) }
    }
}

/// Reads bytes that are one TLV and nothing else.
pub fn only<'a, T>(
    bytes: &'a [u8],
    read: impl FnOnce(&mut Reader<'a>) -> Result<T, Malformed>,
) -> Result<T, Malformed> {
    let mut reader = Reader::new(bytes);
    let value = read(&mut reader)?;
    reader.end()?;
    Ok(value)
}

fn unsigned(content: &[u8]) -> Result<u64, Malformed> {
    let digits = match content {
        [] => return Err(Malformed("an integer is empty")),
        [0] => content,
        [0, second, ..] if *second < 0x80 => return Err(Malformed("an integer has leading zeros")),
        [0, digits @ ..] => digits,
        [first, ..] if *first >= 0x80 => return Err(Malformed("an integer is negative")),
        digits => digits,
    };
    if digits.len() > 8 {
        return Err(Malformed("an integer has more than 64 bits"));
    }
    Ok(digits.iter().fold(0, |value, digit| value << 8 | u64::from(*digit)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn integer(bytes: &[u8]) -> Result<u64, Malformed> {
        only(bytes, Reader::unsigned)
    }

    #[test]
    fn integers_have_one_spelling_and_up_to_64_bits() {
        assert_eq!(integer(&[2, 1, 0]), Ok(0));
        assert_eq!(integer(&[2, 1, 0x7f]), Ok(127));
        assert_eq!(integer(&[2, 2, 0, 0x80]), Ok(128));
        assert_eq!(integer(&[2, 9, 0, 255, 255, 255, 255, 255, 255, 255, 255]), Ok(u64::MAX));
        for (bytes, rule) in [
            (&[2, 0][..], "an integer is empty"),
            (&[2, 2, 0, 0x7f], "an integer has leading zeros"),
            (&[2, 1, 0x80], "an integer is negative"),
            (&[2, 9, 1, 0, 0, 0, 0, 0, 0, 0, 0], "an integer has more than 64 bits"),
            (&[2, 1, 1, 0], "something follows the last member"),
            (&[10, 1, 1], "a member has another type than the schema says"),
            (&[2, 2, 1], "a length goes beyond the end"),
            (&[2], "the bytes end too early"),
            (&[], "the bytes end too early"),
        ] {
            assert_eq!(integer(bytes), Err(Malformed(rule)));
        }
    }

    #[test]
    fn true_is_ff_only() {
        assert_eq!(only(&[1, 1, 0xff], Reader::boolean), Ok(true));
        assert_eq!(only(&[1, 1, 0], Reader::boolean), Ok(false));
        for bytes in [&[1, 1, 1][..], &[1, 2, 0xff, 0xff], &[1, 0]] {
            assert_eq!(only(bytes, Reader::boolean), Err(Malformed("a boolean is neither 00 nor ff")));
        }
        assert_eq!(only(&[5, 0], Reader::null), Ok(()));
        assert_eq!(only(&[5, 1, 0], Reader::null), Err(Malformed("a null has content")));
    }

    #[test]
    fn lengths_are_definite_and_minimal() {
        let with = |header: &[u8], content: usize| {
            let mut bytes = header.to_vec();
            bytes.resize(header.len() + content, 7);
            only(&bytes, Reader::octets).map(<[u8]>::len)
        };
        assert_eq!(with(&[4, 0x7f], 127), Ok(127));
        assert_eq!(with(&[4, 0x81, 0x80], 128), Ok(128));
        assert_eq!(with(&[4, 0x82, 1, 0], 256), Ok(256));
        for (header, content, rule) in [
            (&[4, 0x80][..], 2, "a length is indefinite"),
            (&[4, 0x81, 0x7f], 127, "a short length is in the long form"),
            (&[4, 0x82, 0, 0x80], 128, "a length has leading zeros"),
            (&[4, 0x84, 1, 0, 0, 0], 4, "a length is too large"),
            (&[4, 0x83, 255, 255, 255], 4, "a length goes beyond the end"),
        ] {
            assert_eq!(with(header, content), Err(Malformed(rule)));
        }
    }

    #[test]
    fn tag_numbers_have_one_spelling() {
        let number = |bytes: &[u8]| only(bytes, Reader::any).map(|(tag, _)| (tag.class, tag.constructed, tag.number));
        assert_eq!(number(&[0xbf, 0x85, 0x40, 0]), Ok((Class::Context, true, 704)));
        assert_eq!(number(&[0xaa, 0]), Ok((Class::Context, true, 10)));
        assert_eq!(number(&[0x5f, 0x1f, 0]), Ok((Class::Application, false, 31)));
        assert_eq!(number(&[0xc1, 0]), Ok((Class::Private, false, 1)));
        for (bytes, rule) in [
            (&[0xbf, 0x0a, 0][..], "a small tag number is in the long form"),
            (&[0xbf, 0x80, 0x7f, 0], "a tag number has leading zeros"),
            (&[0xbf, 0xff, 0xff, 0xff, 0xff, 0x7f, 0], "a tag number is too large"),
            (&[0xbf, 0x85], "the bytes end too early"),
        ] {
            assert_eq!(number(bytes), Err(Malformed(rule)));
        }
    }
}
