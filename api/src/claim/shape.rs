//! A claim as it is on the wire, as far as fastrak reads it at admission. What is read from it is `claim.rs`'s to
//! say.

use crate::object::{Mapping, Metadata, Pairs, Text, pairs, text, texts};
use k8s_openapi::api::core::v1::PersistentVolumeClaim;
use serde::Deserialize;
use serde::de::IgnoredAny;
use std::fmt;

/// The parts of a claim.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct ClaimShape<'a> {
    /// Its metadata.
    #[serde(borrow)]
    pub metadata: Option<Mapping<Metadata<'a>>>,
    /// Its spec.
    #[serde(borrow)]
    pub spec: Option<Mapping<ClaimSpec<'a>>>,
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
    /// How it is to be mounted.
    #[serde(borrow)]
    pub access_modes: Option<Vec<Text<'a>>>,
    /// Filesystem or Block.
    #[serde(borrow)]
    pub volume_mode: Option<Text<'a>>,
    /// The labels of the volumes that would do.
    #[serde(borrow)]
    pub selector: Option<Mapping<Selector<'a>>>,
    /// What it is to be filled from.
    #[serde(borrow)]
    pub data_source: Option<Mapping<DataSource<'a>>>,
    /// The same, for more kinds of sources.
    #[serde(borrow)]
    pub data_source_ref: Option<Mapping<DataSource<'a>>>,
    /// Its VolumeAttributesClass.
    #[serde(borrow)]
    pub volume_attributes_class_name: Option<Text<'a>>,
}

/// A label selector, as far as it is read: whether it selects anything in particular.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Selector<'a> {
    #[serde(borrow)]
    match_labels: Option<Pairs<'a>>,
    match_expressions: Option<Vec<IgnoredAny>>,
}

/// An object that a claim is to be filled from.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct DataSource<'a> {
    #[serde(borrow)]
    kind: Text<'a>,
    #[serde(borrow)]
    name: Text<'a>,
}

impl Selector<'_> {
    /// Whether it matches every volume, as the binder of Kubernetes reads an empty one: the same as none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        let labels = self.match_labels.as_ref().is_none_or(Pairs::is_empty);
        labels && self.match_expressions.as_ref().is_none_or(Vec::is_empty)
    }
}

impl fmt::Display for DataSource<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.kind.as_str(), self.name.as_str())
    }
}

impl<'a> ClaimShape<'a> {
    /// The same of a claim that has been read already.
    #[must_use]
    pub fn of(claim: &'a PersistentVolumeClaim) -> Self {
        let spec = claim.spec.as_ref().map(|spec| ClaimSpec {
            storage_class_name: text(&spec.storage_class_name),
            volume_name: text(&spec.volume_name),
            access_modes: texts(&spec.access_modes),
            volume_mode: text(&spec.volume_mode),
            selector: spec.selector.as_ref().map(|selector| {
                let expressions = selector.match_expressions.as_ref();
                let expressions = expressions.map(|all| all.iter().map(|_| IgnoredAny).collect());
                let match_labels = pairs(&selector.match_labels);
                Mapping(Selector { match_labels, match_expressions: expressions })
            }),
            data_source: spec.data_source.as_ref().map(|source| {
                Mapping(DataSource { kind: (&source.kind).into(), name: (&source.name).into() })
            }),
            data_source_ref: spec.data_source_ref.as_ref().map(|source| {
                Mapping(DataSource { kind: (&source.kind).into(), name: (&source.name).into() })
            }),
            volume_attributes_class_name: text(&spec.volume_attributes_class_name),
        });
        Self { metadata: Some(Mapping(Metadata::of(&claim.metadata))), spec: spec.map(Mapping) }
    }
}
