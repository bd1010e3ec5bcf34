//! The metadata of an object, borrowed from its text. It holds what fastrak reads and skips the
//! rest, most of all of `managedFields`, which are the larger half of many objects.
//!
//! Each review reads its objects this way, so nothing is copied that can be borrowed.

mod owned;
pub mod trimmed;

pub use self::owned::{ManagedFields, OwnedFields};

use serde::Deserialize;
use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserializer, IgnoredAny, MapAccess, Visitor};
use smol_str::SmolStr;
use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;
use std::ops::Deref;

/// The maximum length of a text that is kept of an object. Texts with a meaning are shorter: names
/// have 253 characters, keys 317. Some texts of tenants have no other limit than the object's.
pub const MAX_TEXT: usize = 512;

/// A text, borrowed if it has no escapes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
pub struct Text<'a>(#[serde(borrow)] Cow<'a, str>);

/// Annotations or labels, in the order in which they were read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pairs<'a>(Vec<(Text<'a>, Text<'a>)>);

/// A value that is read only from a JSON object. Serde also reads a struct from a list, and a patch
/// for a list would not apply.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Mapping<T>(pub T);

/// The parts of an object's metadata that fastrak decides by.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Metadata<'a> {
    /// Its namespace.
    #[serde(borrow)]
    pub namespace: Option<Text<'a>>,
    /// Its name.
    #[serde(borrow)]
    pub name: Option<Text<'a>>,
    /// The prefix of a generated name.
    #[serde(borrow)]
    pub generate_name: Option<Text<'a>>,
    /// Its uid.
    #[serde(borrow)]
    pub uid: Option<Text<'a>>,
    /// Its version.
    #[serde(borrow)]
    pub resource_version: Option<Text<'a>>,
    /// When it was created.
    #[serde(borrow)]
    pub creation_timestamp: Option<Text<'a>>,
    /// Present while it is being deleted.
    pub deletion_timestamp: Option<IgnoredAny>,
    /// Its annotations.
    #[serde(borrow)]
    pub annotations: Option<Pairs<'a>>,
    /// Its labels.
    #[serde(borrow)]
    pub labels: Option<Pairs<'a>>,
    /// Its finalizers.
    #[serde(borrow)]
    pub finalizers: Option<Vec<Text<'a>>>,
    /// Its owners.
    #[serde(borrow)]
    pub owner_references: Option<Vec<Owner<'a>>>,
    /// The owners of its fields.
    #[serde(borrow)]
    pub managed_fields: Option<Vec<ManagedFields<'a>>>,
}

/// An owner of an object.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Owner<'a> {
    /// The version of its kind.
    #[serde(borrow)]
    pub api_version: Option<Text<'a>>,
    /// Its kind.
    #[serde(borrow)]
    pub kind: Option<Text<'a>>,
    /// Its uid.
    #[serde(borrow)]
    pub uid: Option<Text<'a>>,
    /// True if it is the object's controller.
    pub controller: Option<bool>,
}

impl Text<'_> {
    /// Returns the text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl<'a> From<&'a str> for Text<'a> {
    fn from(text: &'a str) -> Self {
        Self(Cow::Borrowed(text))
    }
}

impl Deref for Text<'_> {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

impl Pairs<'_> {
    /// Returns whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Returns the value of a key. The last of several counts, as for the API server.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&str> {
        self.0.iter().rev().find(|(have, _)| have.as_str() == key).map(|(_, value)| value.as_str())
    }

    /// Returns the keys with their values.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(key, value)| (key.as_str(), value.as_str()))
    }

    /// Returns the keys.
    pub fn keys(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|(key, _)| key.as_str())
    }
}

impl Metadata<'_> {
    /// Returns the value of an annotation.
    #[must_use]
    pub fn annotation(&self, key: &str) -> Option<&str> {
        self.annotations.as_ref()?.get(key)
    }

    /// Returns the value of a label.
    #[must_use]
    pub fn label(&self, key: &str) -> Option<&str> {
        self.labels.as_ref()?.get(key)
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Pairs<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(PairsVisitor(PhantomData))
    }
}

struct PairsVisitor<'a>(PhantomData<&'a ()>);

impl<'de: 'a, 'a> Visitor<'de> for PairsVisitor<'a> {
    type Value = Pairs<'a>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a map of texts")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Pairs<'a>, A::Error> {
        let mut pairs = Vec::with_capacity(map.size_hint().unwrap_or_default().clamp(8, 64));
        while let Some(pair) = map.next_entry()? {
            pairs.push(pair);
        }
        Ok(Pairs(pairs))
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Mapping<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(MappingVisitor(PhantomData))
    }
}

struct MappingVisitor<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de>> Visitor<'de> for MappingVisitor<T> {
    type Value = Mapping<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Mapping<T>, A::Error> {
        T::deserialize(MapAccessDeserializer::new(map)).map(Mapping)
    }
}

pub(crate) fn owned(text: Option<&Text<'_>>) -> Option<String> {
    text.map(|text| clipped(text))
}

/// Returns a copy of a text, without what is beyond [`MAX_TEXT`].
#[must_use]
pub fn clipped(text: &str) -> String {
    text[..text.floor_char_boundary(MAX_TEXT)].to_owned()
}

/// Returns the same for a text that rarely needs an allocation.
pub(crate) fn short(text: &str) -> SmolStr {
    SmolStr::new(&text[..text.floor_char_boundary(MAX_TEXT)])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_without_escapes_is_borrowed() {
        let read: Metadata<'_> = serde_json::from_str(
            r#"{"name": "plain", "annotations": {"a\"b": "c\n", "d": "e"}, "novel": [1]}"#,
        )
        .unwrap();
        assert!(matches!(read.name, Some(Text(Cow::Borrowed("plain")))));
        assert_eq!(read.annotation("a\"b"), Some("c\n"));
        let pairs = read.annotations.unwrap();
        assert!(matches!(&pairs.0[1], (Text(Cow::Borrowed("d")), Text(Cow::Borrowed("e")))));
    }

    #[test]
    fn the_last_of_two_values_of_a_key_counts() {
        let pairs: Pairs<'_> = serde_json::from_str(r#"{"a": "1", "b": "2", "a": "3"}"#).unwrap();
        assert_eq!(pairs.get("a"), Some("3"));
        assert_eq!(pairs.get("c"), None);
    }

    #[test]
    fn a_list_is_not_an_object() {
        assert!(serde_json::from_str::<Metadata<'_>>("[]").is_ok());
        assert!(serde_json::from_str::<Mapping<Metadata<'_>>>("[]").is_err());
        assert!(serde_json::from_str::<Mapping<Metadata<'_>>>("{}").is_ok());
    }

    #[test]
    fn a_value_that_is_not_a_text_is_an_error() {
        for odd in [r#"{"a": 1}"#, r#"{"a": null}"#, "[]", "7"] {
            assert!(serde_json::from_str::<Pairs<'_>>(odd).is_err(), "{odd}");
        }
    }
}
