//! Reads objects of a watch without the labels, annotations and owners of fields that fastrak does
//! not use.
//!
//! A tenant may write more than a megabyte of labels on each object. Skipped parts are never copied
//! out of the text that the API server sent.

use super::{Text, clipped};
use crate::balancer::FOREIGN_PREFIXES;
use crate::names::{self, kubernetes};
use k8s_openapi::api::core::v1::{
    Node, PersistentVolume, PersistentVolumeSpec, PersistentVolumeStatus,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference, Time};
use serde::Deserialize;
use serde::de::{Deserializer, IgnoredAny, MapAccess, Visitor};
use std::collections::BTreeMap;
use std::fmt;

/// Keys of Kubernetes' own that are read.
const READ: [&str; 9] = [
    kubernetes::SELECTED_NODE,
    kubernetes::STORAGE_PROVISIONER,
    kubernetes::STORAGE_PROVISIONER_BETA,
    kubernetes::STORAGE_CLASS_BETA,
    kubernetes::DEFAULT_CLASS,
    kubernetes::DEFAULT_CLASS_BETA,
    kubernetes::PROVISIONED_BY,
    kubernetes::HOSTNAME,
    kubernetes::OS,
];

/// The metadata that is read.
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Trimmed {
    name: Option<String>,
    namespace: Option<String>,
    uid: Option<String>,
    resource_version: Option<String>,
    creation_timestamp: Option<Time>,
    deletion_timestamp: Option<Time>,
    finalizers: Option<Vec<String>>,
    owner_references: Option<Vec<OwnerReference>>,
    labels: Option<Known>,
    annotations: Option<Known>,
}

/// The labels or annotations that are read.
struct Known(BTreeMap<String, String>);

/// An object: its metadata, its spec and its status.
#[derive(Deserialize)]
struct Parts<S, T> {
    #[serde(default)]
    metadata: Trimmed,
    spec: Option<S>,
    status: Option<T>,
}

/// Reads a volume.
pub fn volume(text: &str) -> Result<PersistentVolume, serde_json::Error> {
    let Parts { metadata, spec, status } =
        serde_json::from_str::<Parts<PersistentVolumeSpec, PersistentVolumeStatus>>(text)?;
    Ok(PersistentVolume { metadata: metadata.into(), spec, status })
}

/// Reads a node, of which only metadata is read: its status lists every image on its disk.
pub fn node(text: &str) -> Result<Node, serde_json::Error> {
    Ok(Node { metadata: metadata(text)?, ..Node::default() })
}

/// Reads the metadata of any object.
pub fn metadata(text: &str) -> Result<ObjectMeta, serde_json::Error> {
    let parts: Parts<IgnoredAny, IgnoredAny> = serde_json::from_str(text)?;
    Ok(parts.metadata.into())
}

fn is_read(key: &str) -> bool {
    let ours = key.strip_prefix(names::DOMAIN).is_some_and(|rest| rest.starts_with('/'));
    ours || READ.contains(&key) || FOREIGN_PREFIXES.iter().any(|prefix| key.starts_with(prefix))
}

impl From<Trimmed> for ObjectMeta {
    fn from(metadata: Trimmed) -> Self {
        Self {
            name: metadata.name,
            namespace: metadata.namespace,
            uid: metadata.uid,
            resource_version: metadata.resource_version,
            creation_timestamp: metadata.creation_timestamp,
            deletion_timestamp: metadata.deletion_timestamp,
            finalizers: metadata.finalizers,
            owner_references: metadata.owner_references,
            labels: metadata.labels.map(|Known(map)| map),
            annotations: metadata.annotations.map(|Known(map)| map),
            ..Self::default()
        }
    }
}

impl<'de> Deserialize<'de> for Known {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(KnownVisitor)
    }
}

struct KnownVisitor;

impl<'de> Visitor<'de> for KnownVisitor {
    type Value = Known;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a map of texts")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Known, A::Error> {
        let mut known = BTreeMap::new();
        while let Some(key) = map.next_key::<Text<'de>>()? {
            if is_read(&key) {
                known.insert(clipped(&key), clipped(&map.next_value::<Text<'de>>()?));
            } else {
                map.next_value::<IgnoredAny>()?;
            }
        }
        Ok(Known(known))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::object::MAX_TEXT;
    use serde_json::json;

    fn object() -> serde_json::Value {
        json!({
            "metadata": {
                "name": "data", "namespace": "shop", "uid": "u", "resourceVersion": "7",
                "creationTimestamp": "2026-01-01T00:00:00Z",
                "labels": { "fastrak.io/node": "node-a", "team": "x", "fastrak.iox/a": "b" },
                "annotations": {
                    "volume.kubernetes.io/selected-node": "node-a",
                    "kubectl.kubernetes.io/last-applied-configuration": "{}",
                },
                "managedFields": [{ "manager": "kubectl", "fieldsV1": { "f:spec": {} } }],
                "novel": [1],
            },
            "spec": { "storageClassName": "fast", "capacity": { "storage": "1Gi" } },
            "status": { "phase": "Pending" },
        })
    }

    #[test]
    fn what_is_not_used_is_left_out() {
        let trimmed = volume(&object().to_string()).unwrap();
        let mut whole: PersistentVolume = serde_json::from_value(object()).unwrap();
        assert_eq!((&trimmed.spec, &trimmed.status), (&whole.spec, &whole.status));
        whole.metadata.managed_fields = None;
        whole.metadata.labels.clone_from(&trimmed.metadata.labels);
        whole.metadata.annotations.clone_from(&trimmed.metadata.annotations);
        assert_eq!(trimmed.metadata, whole.metadata);
        let labels = trimmed.metadata.labels.unwrap();
        assert_eq!(labels.keys().collect::<Vec<_>>(), ["fastrak.io/node"]);
        assert_eq!(trimmed.metadata.annotations.unwrap().len(), 1);
    }

    #[test]
    fn a_clipped_text_never_becomes_a_valid_name() {
        let long = "n".repeat(200_000);
        let read = metadata(
            &json!({ "metadata": { "annotations": { "fastrak.io/node": long } } }).to_string(),
        );
        let annotations = read.unwrap().annotations.unwrap();
        assert_eq!(annotations["fastrak.io/node"].len(), MAX_TEXT);
        assert!(crate::node::NodeName::parse(&annotations["fastrak.io/node"]).is_err());
    }

    #[test]
    fn an_object_without_metadata_is_read_too() {
        assert_eq!(metadata("{}").unwrap(), ObjectMeta::default());
        assert_eq!(metadata(r#"{"metadata": {"labels": null}}"#).unwrap(), ObjectMeta::default());
    }
}
