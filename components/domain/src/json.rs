//! JSON objects as the reference server reads them: field names without regard to case, the last of equal names wins,
//! `null` leaves the zero value, and integers are JSON integers within range.
//!
//! serde's derive can do none of that, and its error texts quote values, which may be keys. So the few visitors are
//! written here, and errors are told by field name ([`Blame`]) and position only.

use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use std::borrow::Cow;
use std::cell::RefCell;
use std::fmt;
use std::marker::PhantomData;

/// Which field a failed parse is about. serde's errors cannot carry that.
#[derive(Default)]
pub(crate) struct Blame {
    /// Dotted path of the field, inner names are added first.
    path: RefCell<String>,
    unknown: RefCell<Option<String>>,
}

impl Blame {
    fn within(&self, name: &str) {
        let mut path = self.path.borrow_mut();
        let dot = if path.is_empty() { "" } else { "." };
        *path = format!("{name}{dot}{path}");
    }

    /// The path of the field that could not be read, empty when there is none.
    pub(crate) fn into_parts(self) -> (String, Option<String>) {
        (self.path.into_inner(), self.unknown.into_inner())
    }
}

/// What an object does about names it does not know.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum UnknownFields {
    /// Fail, and blame the name.
    Refuse,
    /// Skip the value.
    Ignore,
}

/// An object with named fields.
pub(crate) trait Object<'de> {
    /// One of its fields.
    type Field: Copy + 'static;
    /// Names and fields.
    const FIELDS: &'static [(&'static str, Self::Field)];
    /// What to do about other names.
    const UNKNOWN: UnknownFields;

    /// Reads the value of one field.
    fn read<A: MapAccess<'de>>(&mut self, field: Self::Field, map: &mut A, blame: &Blame) -> Result<(), A::Error>;
}

/// Reads an object into `T`.
pub(crate) struct ObjectSeed<'o, T> {
    pub(crate) into: &'o mut T,
    pub(crate) blame: &'o Blame,
}

impl<'de, T: Object<'de>> DeserializeSeed<'de> for ObjectSeed<'_, T> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de, T: Object<'de>> Visitor<'de> for ObjectSeed<'_, T> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let Self { into, blame } = self;
        while let Some(entry) = map.next_key_seed(Name::<T> { blame, object: PhantomData })? {
            match entry {
                Some((name, field)) => into.read(field, &mut map, blame).inspect_err(|_| blame.within(name))?,
                None => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        Ok(())
    }
}

/// Recognizes a field name; `None` for one to ignore.
struct Name<'b, T> {
    blame: &'b Blame,
    object: PhantomData<T>,
}

impl<'de, T: Object<'de>> DeserializeSeed<'de> for Name<'_, T> {
    type Value = Option<(&'static str, T::Field)>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_identifier(self)
    }
}

impl<'de, T: Object<'de>> Visitor<'de> for Name<'_, T> {
    type Value = Option<(&'static str, T::Field)>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a field name")
    }

    fn visit_str<E: Error>(self, name: &str) -> Result<Self::Value, E> {
        let exact = T::FIELDS.iter().find(|(known, _)| *known == name);
        let found = exact.or_else(|| T::FIELDS.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)));
        match (found, T::UNKNOWN) {
            (Some(&entry), _) => Ok(Some(entry)),
            (None, UnknownFields::Ignore) => Ok(None),
            (None, UnknownFields::Refuse) => {
                *self.blame.unknown.borrow_mut() = Some(name.to_owned());
                Err(E::custom("unknown field"))
            }
        }
    }
}

/// Reads a string; one without escapes is borrowed.
pub(crate) struct Text<'o, 'de>(pub(crate) &'o mut Cow<'de, str>);

impl<'de> DeserializeSeed<'de> for Text<'_, 'de> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Text<'_, 'de> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a string")
    }

    fn visit_borrowed_str<E>(self, text: &'de str) -> Result<(), E> {
        *self.0 = Cow::Borrowed(text);
        Ok(())
    }

    fn visit_str<E>(self, text: &str) -> Result<(), E> {
        *self.0 = Cow::Owned(text.to_owned());
        Ok(())
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }
}

/// Reads a list of strings; `null` is an empty one, and one inside the list an empty string.
pub(crate) struct Texts<'o, 'de>(pub(crate) &'o mut Vec<Cow<'de, str>>);

impl<'de> DeserializeSeed<'de> for Texts<'_, 'de> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Texts<'_, 'de> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array of strings")
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        self.0.clear();
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        self.0.clear();
        loop {
            let mut text = Cow::Borrowed("");
            if seq.next_element_seed(Text(&mut text))?.is_none() {
                return Ok(());
            }
            self.0.push(text);
        }
    }
}

/// Reads a string and forgets it.
pub(crate) struct UnusedText;

impl<'de> DeserializeSeed<'de> for UnusedText {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl Visitor<'_> for UnusedText {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a string")
    }

    fn visit_str<E>(self, _text: &str) -> Result<(), E> {
        Ok(())
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }
}

/// Reads an integer of the range of `T`.
pub(crate) struct Integer<'o, T>(pub(crate) &'o mut T);

impl<'de, T: TryFrom<i64> + TryFrom<u64>> DeserializeSeed<'de> for Integer<'_, T> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<T: TryFrom<i64> + TryFrom<u64>> Visitor<'_> for Integer<'_, T> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an integer")
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<(), E> {
        *self.0 = T::try_from(value).map_err(|_| E::custom("out of range"))?;
        Ok(())
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<(), E> {
        *self.0 = T::try_from(value).map_err(|_| E::custom("out of range"))?;
        Ok(())
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }
}

/// Reads `true` or `false`.
pub(crate) struct Flag<'o>(pub(crate) &'o mut bool);

impl<'de> DeserializeSeed<'de> for Flag<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl Visitor<'_> for Flag<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a boolean")
    }

    fn visit_bool<E>(self, value: bool) -> Result<(), E> {
        *self.0 = value;
        Ok(())
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }
}
