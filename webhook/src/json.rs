//! JSON read as an API server writes it: in one pass, with nothing copied that can be borrowed. It
//! knows no error. What it is not sure of it does not read, and whoever wants to know why reads the
//! text again with the parser that can say so.
//!
//! It is there for its speed: reading was half of what a review cost. Whatever it reads, that
//! parser reads as the same, which a test holds it to.

mod scan;
mod write;

pub(crate) use self::write::{write_base64, write_text, write_texts};

use self::scan::Scanner;
use serde::de::{DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, forward_to_deserialize_any};
use std::fmt;

/// Reads a text, if it is as usual.
pub(crate) fn read<'de, T: Deserialize<'de>>(text: &'de [u8]) -> Option<T> {
    let mut reader = Reader { scanner: Scanner::new(std::str::from_utf8(text).ok()?) };
    let value = T::deserialize(&mut reader).ok()?;
    reader.scanner.is_at_end().then_some(value)
}

/// It is not as usual.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not as usual")]
struct Unusual;

struct Reader<'de> {
    scanner: Scanner<'de>,
}

/// What is between two brackets.
struct Within<'a, 'de> {
    reader: &'a mut Reader<'de>,
    /// The bracket that ends it.
    end: u8,
    begun: bool,
    ended: bool,
}

impl serde::de::Error for Unusual {
    fn custom<T: fmt::Display>(_: T) -> Self {
        Self
    }
}

impl<'de> Reader<'de> {
    #[inline]
    fn string<V: Visitor<'de>>(&mut self, visitor: V) -> Result<V::Value, Unusual> {
        if let Some(text) = self.scanner.plain_string() {
            return visitor.visit_borrowed_str(text);
        }
        let quoted = self.scanner.quoted_string().ok_or(Unusual)?;
        visitor.visit_string(serde_json::from_str(quoted).map_err(|_| Unusual)?)
    }

    /// Reads what is between two brackets, all of it.
    #[inline]
    fn within<T>(
        &mut self,
        (start, end): (u8, u8),
        read: impl FnOnce(&mut Within<'_, 'de>) -> Result<T, Unusual>,
    ) -> Result<T, Unusual> {
        self.scanner.pass(start).ok_or(Unusual)?;
        let mut within = Within { reader: self, end, begun: false, ended: false };
        let value = read(&mut within)?;
        if within.ended { Ok(value) } else { Err(Unusual) }
    }

    fn is_next(&mut self, byte: u8) -> bool {
        self.scanner.peek() == Some(byte)
    }
}

impl<'de> Deserializer<'de> for &mut Reader<'de> {
    type Error = Unusual;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Unusual> {
        match self.scanner.peek() {
            Some(b'{') => self.deserialize_map(visitor),
            Some(b'[') => self.deserialize_seq(visitor),
            Some(b'"') => self.string(visitor),
            _ => Err(Unusual),
        }
    }

    #[inline]
    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Unusual> {
        self.string(visitor)
    }

    #[inline]
    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Unusual> {
        self.string(visitor)
    }

    #[inline]
    fn deserialize_identifier<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Unusual> {
        self.string(visitor)
    }

    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Unusual> {
        let is_true = self.is_next(b't');
        let word = if is_true { "true" } else { "false" };
        self.scanner.pass_word(word).ok_or(Unusual)?;
        visitor.visit_bool(is_true)
    }

    fn deserialize_i32<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Unusual> {
        visitor.visit_i32(self.scanner.small_integer().ok_or(Unusual)?)
    }

    #[inline]
    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Unusual> {
        if !self.is_next(b'n') {
            return visitor.visit_some(self);
        }
        self.scanner.pass_word("null").ok_or(Unusual)?;
        visitor.visit_none()
    }

    #[inline]
    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        visitor: V,
    ) -> Result<V::Value, Unusual> {
        visitor.visit_newtype_struct(self)
    }

    #[inline]
    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Unusual> {
        self.within((b'{', b'}'), |within| visitor.visit_map(within))
    }

    #[inline]
    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        _fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Unusual> {
        self.deserialize_map(visitor)
    }

    #[inline]
    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Unusual> {
        self.within((b'[', b']'), |within| visitor.visit_seq(within))
    }

    #[inline]
    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Unusual> {
        self.scanner.skip().ok_or(Unusual)?;
        visitor.visit_unit()
    }

    forward_to_deserialize_any! {
        i8 i16 i64 i128 u8 u16 u32 u64 u128 f32 f64 char bytes byte_buf unit unit_struct tuple
        tuple_struct enum
    }
}

impl Within<'_, '_> {
    /// Passes what stands before the next entry; whether there is one.
    #[inline]
    fn has_next(&mut self) -> Result<bool, Unusual> {
        let (scanner, begun) = (&mut self.reader.scanner, self.begun);
        let next = scanner.peek().ok_or(Unusual)?;
        self.begun = true;
        if next == self.end {
            self.ended = true;
            return scanner.pass(next).map(|()| false).ok_or(Unusual);
        }
        if begun {
            scanner.pass(b',').ok_or(Unusual)?;
        }
        Ok(true)
    }
}

impl<'de> MapAccess<'de> for &mut Within<'_, 'de> {
    type Error = Unusual;

    #[inline]
    fn next_key_seed<K: DeserializeSeed<'de>>(
        &mut self,
        seed: K,
    ) -> Result<Option<K::Value>, Unusual> {
        if !self.has_next()? {
            return Ok(None);
        }
        // Whatever a key is to be read as: it is a string.
        if self.reader.is_next(b'"') {
            seed.deserialize(&mut *self.reader).map(Some)
        } else {
            Err(Unusual)
        }
    }

    #[inline]
    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Unusual> {
        self.reader.scanner.pass(b':').ok_or(Unusual)?;
        seed.deserialize(&mut *self.reader)
    }
}

impl<'de> SeqAccess<'de> for &mut Within<'_, 'de> {
    type Error = Unusual;

    #[inline]
    fn next_element_seed<T: DeserializeSeed<'de>>(
        &mut self,
        seed: T,
    ) -> Result<Option<T::Value>, Unusual> {
        if self.has_next()? { seed.deserialize(&mut *self.reader).map(Some) } else { Ok(None) }
    }
}

#[cfg(test)]
mod tests;
