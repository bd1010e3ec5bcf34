//! A parser for JSON as API servers write it, and a writer of JSON strings. The parser takes one
//! pass and copies nothing that can be borrowed. It reports no errors: text that it does not
//! support is parsed again with `serde_json`, which reports the error.
//!
//! Parser and writer exist for speed. With `serde_json` for both, the webhook answers 0.46 times as
//! many reviews as a handler that does nothing; with this parser only, 0.60 times; with both, 0.88
//! times. A test compares the results of the parser with those of `serde_json`.

mod scan;
mod write;

pub(crate) use self::write::{write_base64, write_text, write_texts};

use self::scan::Scanner;
use serde::de::{DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, forward_to_deserialize_any};
use std::fmt;

/// Reads a text. Returns nothing if the text has anything that the reader does not support.
pub(crate) fn read<'de, T: Deserialize<'de>>(text: &'de [u8]) -> Option<T> {
    let mut reader = Reader { scanner: Scanner::new(std::str::from_utf8(text).ok()?) };
    let value = T::deserialize(&mut reader).ok()?;
    reader.scanner.is_at_end().then_some(value)
}

/// The text has something that the reader does not support.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("unsupported JSON")]
struct Unsupported;

struct Reader<'de> {
    scanner: Scanner<'de>,
}

/// The entries between two brackets.
struct Entries<'a, 'de> {
    reader: &'a mut Reader<'de>,
    /// The closing bracket.
    end: u8,
    started: bool,
    at_end: bool,
}

impl serde::de::Error for Unsupported {
    fn custom<T: fmt::Display>(_: T) -> Self {
        Self
    }
}

impl<'de> Reader<'de> {
    #[inline]
    fn string<V: Visitor<'de>>(&mut self, visitor: V) -> Result<V::Value, Unsupported> {
        if let Some(text) = self.scanner.plain_string() {
            return visitor.visit_borrowed_str(text);
        }
        let quoted = self.scanner.quoted_string().ok_or(Unsupported)?;
        visitor.visit_string(serde_json::from_str(quoted).map_err(|_| Unsupported)?)
    }

    /// Reads all entries between two brackets.
    #[inline]
    fn read_entries<T>(
        &mut self,
        (start, end): (u8, u8),
        read: impl FnOnce(&mut Entries<'_, 'de>) -> Result<T, Unsupported>,
    ) -> Result<T, Unsupported> {
        self.scanner.pass(start).ok_or(Unsupported)?;
        let mut entries = Entries { reader: self, end, started: false, at_end: false };
        let value = read(&mut entries)?;
        if entries.at_end { Ok(value) } else { Err(Unsupported) }
    }

    fn is_next(&mut self, byte: u8) -> bool {
        self.scanner.peek() == Some(byte)
    }
}

impl<'de> Deserializer<'de> for &mut Reader<'de> {
    type Error = Unsupported;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Unsupported> {
        match self.scanner.peek() {
            Some(b'{') => self.deserialize_map(visitor),
            Some(b'[') => self.deserialize_seq(visitor),
            Some(b'"') => self.string(visitor),
            _ => Err(Unsupported),
        }
    }

    #[inline]
    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Unsupported> {
        self.string(visitor)
    }

    #[inline]
    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Unsupported> {
        self.string(visitor)
    }

    #[inline]
    fn deserialize_identifier<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Unsupported> {
        self.string(visitor)
    }

    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Unsupported> {
        let is_true = self.is_next(b't');
        let word = if is_true { "true" } else { "false" };
        self.scanner.pass_word(word).ok_or(Unsupported)?;
        visitor.visit_bool(is_true)
    }

    fn deserialize_i32<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Unsupported> {
        visitor.visit_i32(self.scanner.small_integer().ok_or(Unsupported)?)
    }

    #[inline]
    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Unsupported> {
        if !self.is_next(b'n') {
            return visitor.visit_some(self);
        }
        self.scanner.pass_word("null").ok_or(Unsupported)?;
        visitor.visit_none()
    }

    #[inline]
    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        visitor: V,
    ) -> Result<V::Value, Unsupported> {
        visitor.visit_newtype_struct(self)
    }

    #[inline]
    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Unsupported> {
        self.read_entries((b'{', b'}'), |entries| visitor.visit_map(entries))
    }

    #[inline]
    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        _fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Unsupported> {
        self.deserialize_map(visitor)
    }

    #[inline]
    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Unsupported> {
        self.read_entries((b'[', b']'), |entries| visitor.visit_seq(entries))
    }

    #[inline]
    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Unsupported> {
        self.scanner.skip().ok_or(Unsupported)?;
        visitor.visit_unit()
    }

    forward_to_deserialize_any! {
        i8 i16 i64 i128 u8 u16 u32 u64 u128 f32 f64 char bytes byte_buf unit unit_struct tuple
        tuple_struct enum
    }
}

impl Entries<'_, '_> {
    /// Skips to the next entry. Returns whether there is one.
    #[inline]
    fn has_next(&mut self) -> Result<bool, Unsupported> {
        let (scanner, started) = (&mut self.reader.scanner, self.started);
        let next = scanner.peek().ok_or(Unsupported)?;
        self.started = true;
        if next == self.end {
            self.at_end = true;
            return scanner.pass(next).map(|()| false).ok_or(Unsupported);
        }
        if started {
            scanner.pass(b',').ok_or(Unsupported)?;
        }
        Ok(true)
    }
}

impl<'de> MapAccess<'de> for &mut Entries<'_, 'de> {
    type Error = Unsupported;

    #[inline]
    fn next_key_seed<K: DeserializeSeed<'de>>(
        &mut self,
        seed: K,
    ) -> Result<Option<K::Value>, Unsupported> {
        if !self.has_next()? {
            return Ok(None);
        }
        // A key is a string, even if it is read as another type.
        if self.reader.is_next(b'"') {
            seed.deserialize(&mut *self.reader).map(Some)
        } else {
            Err(Unsupported)
        }
    }

    #[inline]
    fn next_value_seed<V: DeserializeSeed<'de>>(
        &mut self,
        seed: V,
    ) -> Result<V::Value, Unsupported> {
        self.reader.scanner.pass(b':').ok_or(Unsupported)?;
        seed.deserialize(&mut *self.reader)
    }
}

impl<'de> SeqAccess<'de> for &mut Entries<'_, 'de> {
    type Error = Unsupported;

    #[inline]
    fn next_element_seed<T: DeserializeSeed<'de>>(
        &mut self,
        seed: T,
    ) -> Result<Option<T::Value>, Unsupported> {
        if self.has_next()? { seed.deserialize(&mut *self.reader).map(Some) } else { Ok(None) }
    }
}

#[cfg(test)]
mod tests;
