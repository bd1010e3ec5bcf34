//! The fields of an object that a field manager owns, as far as fastrak reads them: whether one of
//! them is the class of a claim or the ingress of a Service. An unreadable record differs from one
//! without either.

use super::Text;
use serde::Deserialize;
use serde::de::{Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use std::fmt;

/// A path within the owned fields.
type Path = &'static [&'static str];

/// The class of a claim.
const CLASS: Path = &["f:spec", "f:storageClassName"];
/// The addresses of a Service.
const INGRESS: Path = &["f:status", "f:loadBalancer", "f:ingress"];

/// One entry of `managedFields`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ManagedFields<'a> {
    /// Its manager.
    #[serde(borrow)]
    pub manager: Option<Text<'a>>,
    /// The fields that its manager owns.
    pub fields_v1: Option<OwnedFields>,
}

/// The fields that a manager owns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OwnedFields {
    /// The record cannot be read.
    Unreadable,
    /// Other fields than those below.
    Others,
    /// The class of a claim, among others.
    Class,
    /// The ingress of a Service, among others.
    Ingress,
}

impl<'de> Deserialize<'de> for OwnedFields {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let search = Search { left: [Some(CLASS), Some(INGRESS)] };
        Ok(match deserializer.deserialize_any(search)? {
            Found::NoMap => Self::Unreadable,
            Found::Map([true, _]) => Self::Class,
            Found::Map([false, true]) => Self::Ingress,
            Found::Map([false, false]) => Self::Others,
        })
    }
}

/// Searches for paths. Holds the rest of each.
#[derive(Clone, Copy)]
struct Search {
    left: [Option<Path>; 2],
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Found {
    NoMap,
    /// True for each path that exists.
    Map([bool; 2]),
}

impl Search {
    /// Returns the search within the value of a key.
    fn below(self, key: &str) -> Self {
        let rest = |path: Path| path.split_first().filter(|(first, _)| **first == key);
        Self { left: self.left.map(|path| path.and_then(rest).map(|(_, rest)| rest)) }
    }

    /// Returns whether each path ends here.
    fn ends(self) -> [bool; 2] {
        self.left.map(|path| path.is_some_and(<[_]>::is_empty))
    }

    fn goes_on(self) -> bool {
        self.left.iter().flatten().any(|path| !path.is_empty())
    }
}

impl<'de> serde::de::DeserializeSeed<'de> for Search {
    type Value = Found;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Found, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Search {
    type Value = Found;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a record of fields")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Found, A::Error> {
        let mut found = [false; 2];
        while let Some(key) = map.next_key::<Text<'de>>()? {
            let below = self.below(key.as_str());
            let here = if below.goes_on() {
                map.next_value_seed(below)?
            } else {
                map.next_value::<IgnoredAny>().map(|_| Found::Map(below.ends()))?
            };
            if let Found::Map(here) = here {
                found = [found[0] || here[0], found[1] || here[1]];
            }
        }
        Ok(Found::Map(found))
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
    fn a_class_or_an_ingress_is_found_at_its_own_path_alone() {
        for (record, owned) in [
            (r#"{"f:spec": {"f:storageClassName": {}, "f:volumeMode": {}}}"#, OwnedFields::Class),
            (r#"{"f:metadata": {"f:storageClassName": {}}}"#, OwnedFields::Others),
            (r#"{"f:spec": {"f:resources": {"f:storageClassName": {}}}}"#, OwnedFields::Others),
            (r#"{"f:spec": 7}"#, OwnedFields::Others),
            (r#"{"f:status": {"f:loadBalancer": {"f:ingress": {}}}}"#, OwnedFields::Ingress),
            (r#"{"f:status": {"f:loadBalancer": {}, "f:conditions": {}}}"#, OwnedFields::Others),
            (r#"{"f:status": {"f:loadBalancer": 7}, "f:spec": {}}"#, OwnedFields::Others),
            (r#"{"f:spec": {"f:ingress": {}}}"#, OwnedFields::Others),
            ("{}", OwnedFields::Others),
            ("[{}]", OwnedFields::Unreadable),
            ("\"text\"", OwnedFields::Unreadable),
            ("-1.5", OwnedFields::Unreadable),
        ] {
            assert_eq!(serde_json::from_str::<OwnedFields>(record).unwrap(), owned, "{record}");
        }
        let none: ManagedFields<'_> = serde_json::from_str(r#"{"fieldsV1": null}"#).unwrap();
        assert_eq!(none, ManagedFields::default());
    }
}
