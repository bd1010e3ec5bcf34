//! The snapshot of the cluster that commands use: from a file, or the shipped StorageClasses.

use super::input::{self, text};
use super::{ClusterArgs, CommandError, output};
use fastrak_admission::snapshot::namespace::NamespaceInfo;
use fastrak_admission::snapshot::node::PartialNode;
use fastrak_admission::snapshot::volume::{PartialVolume, VolumeInfo};
use fastrak_admission::snapshot::{ClassInfo, NodeInfo, Snapshot};
use fastrak_api::node::NodeName;
use k8s_openapi::api::core::v1::Namespace;
use k8s_openapi::api::storage::v1::StorageClass;
use kube::core::PartialObjectMeta;
use serde::de::DeserializeOwned;
use serde_json::Value;
use std::collections::BTreeMap;
use std::sync::Arc;

/// The shipped classes.
const SHIPPED: &str = include_str!("../../../deploy/base/storageclasses.yaml");

/// Returns the snapshot, and prints a message about it.
pub(super) fn snapshot(args: &ClusterArgs, namespace: &str) -> Result<Snapshot, CommandError> {
    let (source, from) = match &args.cluster {
        Some(path) => (input::file(path)?, path.display().to_string()),
        None => (SHIPPED.to_owned(), "the shipped classes".to_owned()),
    };
    let snapshot = read(&input::objects(&source, &from)?, &from, namespace)?;
    let (classes, nodes) = (snapshot.classes.len(), snapshot.nodes.len());
    output::message(&match args.cluster {
        Some(_) => format!("cluster: {classes} StorageClasses and {nodes} nodes from {from}"),
        None => format!(
            "cluster: {classes} shipped StorageClasses and no nodes; set --cluster to a file with yours"
        ),
    });
    Ok(snapshot)
}

fn read(objects: &[Value], from: &str, own: &str) -> Result<Snapshot, CommandError> {
    let (mut classes, mut nodes) = (BTreeMap::new(), BTreeMap::new());
    let (mut namespaces, mut volumes) = (BTreeMap::new(), BTreeMap::new());
    for object in objects {
        match (text(object, "/apiVersion"), text(object, "/kind")) {
            ("storage.k8s.io/v1", "StorageClass") => {
                let class: StorageClass = typed(object, from)?;
                let name = class.metadata.name.clone().unwrap_or_default();
                classes.insert(name, ClassInfo::read(&class));
            }
            ("v1", "Node") => {
                let node: PartialNode = typed(object, from)?;
                let name = NodeName::parse(node.metadata.name.as_deref().unwrap_or_default());
                nodes.extend(name.ok().map(|name| (name, NodeInfo::read(&node))));
            }
            ("v1", "Namespace") => {
                let metadata = typed::<PartialObjectMeta<Namespace>>(object, from)?.metadata;
                let info = NamespaceInfo::read(&metadata);
                namespaces.extend(info.map(|info| (metadata.name.unwrap_or_default(), info)));
            }
            ("v1", "PersistentVolume") => volumes.extend(volume(object, from)?),
            // Other objects are ignored.
            _ => {}
        }
    }
    Ok(Snapshot {
        classes: Arc::new(classes),
        nodes: Arc::new(nodes),
        agents: None,
        inlets_operator: None,
        volumes: Some(Arc::new(volumes)),
        namespaces: Arc::new(namespaces),
        namespace: own.to_owned(),
    })
}

/// A volume of the snapshot and its name.
type Kept = Option<(String, Arc<VolumeInfo>)>;

fn volume(object: &Value, from: &str) -> Result<Kept, CommandError> {
    let text = object.to_string();
    let shape: PartialVolume<'_> =
        serde_json::from_str(&text).map_err(|error| unread(object, from, error))?;
    let name = shape.metadata.name.as_deref().unwrap_or_default().to_owned();
    Ok(shape.info().map(|fact| (name, Arc::new(fact))))
}

fn typed<T: DeserializeOwned>(object: &Value, from: &str) -> Result<T, CommandError> {
    // From a text, as the server does: deserialising from values would link the code twice.
    serde_json::from_str(&object.to_string()).map_err(|error| unread(object, from, error))
}

fn unread(object: &Value, from: &str, source: serde_json::Error) -> CommandError {
    CommandError::Object {
        from: from.to_owned(),
        name: format!("{} {}", text(object, "/kind"), text(object, "/metadata/name")),
        source,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use fastrak_api::names;

    #[test]
    fn the_shipped_classes_are_used_without_a_file() {
        let objects = input::objects(SHIPPED, "shipped").unwrap();
        let snapshot = read(&objects, "shipped", "own").unwrap();
        let defaults: Vec<_> = snapshot.defaults().iter().map(|f| f.class.name.clone()).collect();
        assert_eq!(defaults, [names::CLASS_DEFAULT]);
        assert!(snapshot.class(names::CLASS_RETAIN).is_some_and(|class| class.is_ours()));
    }

    #[test]
    fn a_malformed_object_is_reported_by_name() {
        let object = serde_json::json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": "a"}, "spec": {"taints": 1}});
        let error = read(&[object], "file", "own").unwrap_err();
        assert_eq!(error.to_string(), "file: Node a is malformed");
    }
}
