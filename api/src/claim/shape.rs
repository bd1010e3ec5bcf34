//! A claim as it is on the wire, as far as fastrak reads it. What is read from it is `claim.rs`'s to
//! say.

use crate::object::{Mapping, Metadata, Pairs, Text, text, texts};
use k8s_openapi::api::core::v1::{
    PersistentVolumeClaim, PersistentVolumeClaimSpec, PersistentVolumeClaimStatus,
};
use serde::Deserialize;
use serde::de::IgnoredAny;

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
    /// Its status.
    #[serde(borrow)]
    pub status: Option<ClaimStatus<'a>>,
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
    /// As files, or as a raw block device.
    #[serde(borrow)]
    pub volume_mode: Option<Text<'a>>,
    /// By which its volume is selected.
    pub selector: Option<IgnoredAny>,
    /// Its VolumeAttributesClass.
    #[serde(borrow)]
    pub volume_attributes_class_name: Option<Text<'a>>,
    /// What it is to be filled from.
    #[serde(borrow)]
    pub data_source: Option<Source<'a>>,
    /// The same, where it may be of any kind and namespace.
    #[serde(borrow)]
    pub data_source_ref: Option<Source<'a>>,
    /// What it asks for.
    #[serde(borrow)]
    pub resources: Option<Resources<'a>>,
}

/// What a claim is to be filled from.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Source<'a> {
    /// Its kind.
    #[serde(borrow)]
    pub kind: Option<Text<'a>>,
    /// Its name.
    #[serde(borrow)]
    pub name: Option<Text<'a>>,
}

/// What a claim asks for.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Resources<'a> {
    /// The least that will do.
    #[serde(borrow)]
    pub requests: Option<Pairs<'a>>,
}

/// The status of a claim.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct ClaimStatus<'a> {
    /// Its phase.
    #[serde(borrow)]
    pub phase: Option<Text<'a>>,
}

impl<'a> ClaimShape<'a> {
    /// The same of a claim that has been read already.
    #[must_use]
    pub fn of(claim: &'a PersistentVolumeClaim) -> Self {
        Self {
            metadata: Some(Mapping(Metadata::of(&claim.metadata))),
            spec: claim.spec.as_ref().map(|spec| Mapping(ClaimSpec::of(spec))),
            status: claim.status.as_ref().map(ClaimStatus::of),
        }
    }
}

impl<'a> ClaimSpec<'a> {
    fn of(spec: &'a PersistentVolumeClaimSpec) -> Self {
        let requests = spec.resources.as_ref().and_then(|resources| resources.requests.as_ref());
        let requests = requests.map(|map| map.iter().map(|(key, size)| (key, &size.0)).collect());
        Self {
            storage_class_name: text(&spec.storage_class_name),
            volume_name: text(&spec.volume_name),
            access_modes: texts(&spec.access_modes),
            volume_mode: text(&spec.volume_mode),
            selector: spec.selector.as_ref().map(|_| IgnoredAny),
            volume_attributes_class_name: text(&spec.volume_attributes_class_name),
            data_source: spec.data_source.as_ref().map(|source| Source {
                kind: Some((&source.kind).into()),
                name: Some((&source.name).into()),
            }),
            data_source_ref: spec.data_source_ref.as_ref().map(|source| Source {
                kind: Some((&source.kind).into()),
                name: Some((&source.name).into()),
            }),
            resources: Some(Resources { requests }),
        }
    }
}

impl<'a> ClaimStatus<'a> {
    fn of(status: &'a PersistentVolumeClaimStatus) -> Self {
        Self { phase: text(&status.phase) }
    }
}
