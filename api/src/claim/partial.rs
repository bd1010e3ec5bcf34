//! The wire form of a claim, limited to the fields that fastrak reads. [`super::Claim`] is what is
//! read from it.

use crate::object::{Mapping, Metadata, Pairs, Text};
use crate::selector::Requirement;
use serde::Deserialize;
use serde::de::{Deserializer, Error, Visitor};
use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;

/// How many bytes of a selector are kept: as much as a dozen labels of a usual length.
const MAX_SELECTOR: usize = 2048;

/// The parts of a claim.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct PartialClaim<'a> {
    /// Its metadata.
    #[serde(borrow)]
    pub metadata: Option<Mapping<Metadata<'a>>>,
    /// Its spec.
    #[serde(borrow)]
    pub spec: Option<Mapping<ClaimSpec<'a>>>,
    /// Its status.
    #[serde(borrow)]
    pub status: Option<Mapping<ClaimStatus<'a>>>,
}

/// The status of a claim.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct ClaimStatus<'a> {
    /// Its phase.
    #[serde(borrow)]
    pub phase: Option<Text<'a>>,
}

/// The spec of a claim.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ClaimSpec<'a> {
    /// Its class.
    #[serde(borrow)]
    pub storage_class_name: Option<Text<'a>>,
    /// Its volume.
    #[serde(borrow)]
    pub volume_name: Option<Text<'a>>,
    /// Its access modes.
    #[serde(borrow)]
    pub access_modes: Option<Vec<Text<'a>>>,
    /// Filesystem or Block.
    #[serde(borrow)]
    pub volume_mode: Option<Text<'a>>,
    /// The labels that its volume must have.
    #[serde(borrow)]
    pub selector: Option<Mapping<Selector<'a>>>,
    /// Its data source.
    #[serde(borrow)]
    pub data_source: Option<Mapping<DataSource<'a>>>,
    /// Its data source of any kind.
    #[serde(borrow)]
    pub data_source_ref: Option<Mapping<DataSource<'a>>>,
    /// Its VolumeAttributesClass.
    #[serde(borrow)]
    pub volume_attributes_class_name: Option<Text<'a>>,
    /// The resources that it requests.
    #[serde(borrow)]
    pub resources: Option<Mapping<Resources<'a>>>,
}

/// The resources that a claim requests.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct Resources<'a> {
    #[serde(borrow)]
    requests: Option<Requests<'a>>,
}

/// The amounts that a claim requests.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
struct Requests<'a> {
    #[serde(borrow)]
    storage: Option<Amount<'a>>,
}

/// A quantity. A manifest may have a number, which the API server turns into a text.
#[derive(Clone, Debug, PartialEq)]
struct Amount<'a>(Cow<'a, str>);

/// A label selector.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Selector<'a> {
    #[serde(borrow)]
    match_labels: Option<Pairs<'a>>,
    #[serde(borrow)]
    match_expressions: Option<Vec<Expression<'a>>>,
}

/// A requirement of a label selector or of a node affinity.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct Expression<'a> {
    #[serde(borrow)]
    key: Text<'a>,
    #[serde(borrow)]
    operator: Text<'a>,
    #[serde(borrow)]
    values: Option<Vec<Text<'a>>>,
}

/// The data source of a claim.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct DataSource<'a> {
    #[serde(borrow)]
    kind: Text<'a>,
    #[serde(borrow)]
    name: Text<'a>,
}

impl Selector<'_> {
    /// Returns whether it matches every volume, as the binder of Kubernetes reads an empty one: the
    /// same as none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        let labels = self.match_labels.as_ref().is_none_or(Pairs::is_empty);
        labels && self.match_expressions.as_ref().is_none_or(Vec::is_empty)
    }

    /// Returns its requirements. None if it is too large to keep, or has an unknown operator.
    pub(super) fn requirements(&self) -> Option<Box<[Requirement]>> {
        let labels = self.match_labels.iter().flat_map(Pairs::iter);
        let labels = labels.map(|(key, value)| Some(Requirement::equals(key, value)));
        let expressions = self.match_expressions.iter().flatten().map(Expression::requirement);
        let pairs = self.match_labels.iter().flat_map(Pairs::iter);
        let size = pairs.map(|(key, value)| key.len() + value.len()).sum::<usize>()
            + self.match_expressions.iter().flatten().map(Expression::size).sum::<usize>();
        (size <= MAX_SELECTOR).then(|| labels.chain(expressions).collect())?
    }
}

impl Expression<'_> {
    /// Returns it as a requirement, if its operator is known.
    #[must_use]
    pub fn requirement(&self) -> Option<Requirement> {
        let values = self.values.iter().flatten().map(Text::as_str);
        Requirement::read(&self.key, &self.operator, values)
    }

    fn size(&self) -> usize {
        let values = self.values.iter().flatten().map(|value| value.len() + size_of::<Text<'_>>());
        self.key.len() + values.sum::<usize>()
    }
}

impl Resources<'_> {
    /// Returns the requested size.
    pub(super) fn storage(&self) -> Option<&str> {
        self.requests.as_ref()?.storage.as_ref().map(|amount| &*amount.0)
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Amount<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(AmountVisitor(PhantomData))
    }
}

struct AmountVisitor<'a>(PhantomData<&'a ()>);

impl<'de: 'a, 'a> Visitor<'de> for AmountVisitor<'a> {
    type Value = Amount<'a>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a quantity")
    }

    fn visit_borrowed_str<E: Error>(self, text: &'de str) -> Result<Amount<'a>, E> {
        Ok(Amount(Cow::Borrowed(text)))
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Amount<'a>, E> {
        Ok(Amount(Cow::Owned(text.to_owned())))
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<Amount<'a>, E> {
        Ok(Amount(Cow::Owned(number.to_string())))
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<Amount<'a>, E> {
        Ok(Amount(Cow::Owned(number.to_string())))
    }

    fn visit_f64<E: Error>(self, number: f64) -> Result<Amount<'a>, E> {
        Ok(Amount(Cow::Owned(number.to_string())))
    }
}

impl fmt::Display for DataSource<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.kind.as_str(), self.name.as_str())
    }
}
