//! Which fields of an object somebody owns, as far as fastrak asks: whether one of them is the class of
//! a claim. A record that cannot be read is told from one that is silent.

use serde::Deserialize;
use serde::de::{Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use std::fmt;

/// The class within the fields that somebody owns.
const CLASS: &str = "f:storageClassName";
/// The spec within them.
const SPEC: &str = "f:spec";

/// One entry of `managedFields`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ManagedFields {
    /// What its manager owns.
    pub fields_v1: Option<OwnedFields>,
}

/// What a manager owns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OwnedFields {
    /// What stands there is no record.
    Unreadable,
    /// Other fields than the class of a claim.
    Others,
    /// The class of a claim, among others.
    Class,
}

impl<'de> Deserialize<'de> for OwnedFields {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let found = deserializer.deserialize_any(Keys { wanted: SPEC, within: Some(CLASS) })?;
        Ok(match found {
            Found::NoMap => Self::Unreadable,
            Found::Absent => Self::Others,
            Found::Present => Self::Class,
        })
    }
}

/// Looks for a key, and for a second one within its value.
#[derive(Clone, Copy)]
struct Keys {
    wanted: &'static str,
    within: Option<&'static str>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Found {
    NoMap,
    Absent,
    Present,
}

impl<'de> serde::de::DeserializeSeed<'de> for Keys {
    type Value = Found;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Found, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Keys {
    type Value = Found;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a record of fields")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Found, A::Error> {
        let mut found = Found::Absent;
        while let Some(key) = map.next_key::<super::Text<'de>>()? {
            let here = match self.within {
                _ if key.as_str() != self.wanted => map.next_value::<IgnoredAny>().map(|_| None)?,
                None => map.next_value::<IgnoredAny>().map(|_| Some(Found::Present))?,
                Some(wanted) => Some(map.next_value_seed(Self { wanted, within: None })?),
            };
            if here == Some(Found::Present) {
                found = Found::Present;
            }
        }
        Ok(found)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Found, A::Error> {
        while seq.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Found::NoMap)
    }

    fn visit_bool<E: Error>(self, _: bool) -> Result<Found, E> {
        Ok(Found::NoMap)
    }

    fn visit_i64<E: Error>(self, _: i64) -> Result<Found, E> {
        Ok(Found::NoMap)
    }

    fn visit_u64<E: Error>(self, _: u64) -> Result<Found, E> {
        Ok(Found::NoMap)
    }

    fn visit_f64<E: Error>(self, _: f64) -> Result<Found, E> {
        Ok(Found::NoMap)
    }

    fn visit_str<E: Error>(self, _: &str) -> Result<Found, E> {
        Ok(Found::NoMap)
    }

    fn visit_unit<E: Error>(self) -> Result<Found, E> {
        Ok(Found::NoMap)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_class_is_owned_where_it_stands_below_the_spec() {
        for (record, owned) in [
            (r#"{"f:spec": {"f:storageClassName": {}, "f:volumeMode": {}}}"#, OwnedFields::Class),
            (r#"{"f:metadata": {"f:storageClassName": {}}}"#, OwnedFields::Others),
            (r#"{"f:spec": {"f:resources": {"f:storageClassName": {}}}}"#, OwnedFields::Others),
            (r#"{"f:spec": 7}"#, OwnedFields::Others),
            ("{}", OwnedFields::Others),
            ("[{}]", OwnedFields::Unreadable),
            ("\"text\"", OwnedFields::Unreadable),
            ("-1.5", OwnedFields::Unreadable),
        ] {
            assert_eq!(serde_json::from_str::<OwnedFields>(record).unwrap(), owned, "{record}");
        }
        let none: ManagedFields = serde_json::from_str(r#"{"fieldsV1": null}"#).unwrap();
        assert_eq!(none.fields_v1, None);
    }
}
