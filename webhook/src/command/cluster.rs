//! The snapshot of the cluster that commands use: from a file, or the shipped StorageClasses.

use super::input::{self, text};
use super::{ClusterArgs, CommandError, output};
use crate::snapshot::watcher::{Read, read_class, read_namespace, read_volume};
use fastrak_admission::snapshot::node::PartialNode;
use fastrak_admission::snapshot::{NodeInfo, Snapshot};
use fastrak_api::node::NodeName;
use serde_json::{Error, Value};
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
        // From a text, as the server does: deserialising from values would link the code twice.
        let json = object.to_string();
        let done = match (text(object, "/apiVersion"), text(object, "/kind")) {
            ("storage.k8s.io/v1", "StorageClass") => add(&mut classes, read_class(&json)),
            ("v1", "Node") => add_node(&mut nodes, &json),
            ("v1", "Namespace") => add(&mut namespaces, read_namespace(&json)),
            ("v1", "PersistentVolume") => add(&mut volumes, read_volume(&json)),
            // Other objects are ignored.
            _ => Ok(()),
        };
        done.map_err(|source| CommandError::Object {
            from: from.to_owned(),
            name: format!("{} {}", text(object, "/kind"), text(object, "/metadata/name")),
            source,
        })?;
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

fn add<K: Ord, V>(all: &mut BTreeMap<K, V>, read: Read<K, V>) -> Result<(), Error> {
    let (key, value) = read?;
    all.extend(value.map(|value| (key, value)));
    Ok(())
}

/// Adds a node. Ignores one whose name is malformed.
fn add_node(nodes: &mut BTreeMap<NodeName, NodeInfo>, json: &str) -> Result<(), Error> {
    let node: PartialNode = serde_json::from_str(json)?;
    let name = NodeName::parse(node.metadata.name.as_deref().unwrap_or_default());
    nodes.extend(name.ok().map(|name| (name, NodeInfo::read(&node))));
    Ok(())
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
