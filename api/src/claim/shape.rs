//! A claim as it is on the wire, as far as fastrak reads it at admission. What is read from it is `claim.rs`'s to
//! say.

use crate::object::{Mapping, Metadata, Text, text};
use k8s_openapi::api::core::v1::PersistentVolumeClaim;
use serde::Deserialize;

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
}

impl<'a> ClaimShape<'a> {
    /// The same of a claim that has been read already.
    #[must_use]
    pub fn of(claim: &'a PersistentVolumeClaim) -> Self {
        let spec = claim.spec.as_ref().map(|spec| ClaimSpec {
            storage_class_name: text(&spec.storage_class_name),
            volume_name: text(&spec.volume_name),
        });
        Self { metadata: Some(Mapping(Metadata::of(&claim.metadata))), spec: spec.map(Mapping) }
    }
}
