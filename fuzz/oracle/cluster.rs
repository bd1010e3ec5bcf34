//! Small clusters to decide by.

use super::picks::Picks;
use fastrak_admission::mutate::service::Settings;
use fastrak_admission::snapshot::namespace::NamespaceInfo;
use fastrak_admission::snapshot::node::PartialNode;
use fastrak_admission::snapshot::{ClassInfo, NodeInfo, Snapshot};
use fastrak_api::balancer::Mode;
use fastrak_api::names::{self, kubernetes};
use fastrak_api::node::NodeName;
use k8s_openapi::api::storage::v1::StorageClass;
use serde_json::{Value, json};
use std::sync::Arc;

/// What a decision is made by.
pub(crate) struct Cluster {
    /// What is known.
    pub(crate) snapshot: Snapshot,
    /// What is configured.
    pub(crate) settings: Settings,
}

/// The nodes that there can be; the last name is longer than a label may be.
pub(crate) const NODES: [&str; 3] = [
    "a",
    "b",
    "node-with-a-name-that-is-longer-than-the-sixty-three-characters-of-a-label.example",
];

impl Cluster {
    /// One node, and no class is marked as the default.
    pub(crate) fn usual() -> Self {
        Self::picked(&mut Picks::of(&[1]))
    }

    /// Up to three nodes, and classes that are marked or not.
    pub(crate) fn picked(picks: &mut Picks<'_>) -> Self {
        let count = picks.one(&[0, 1, 2, 3]);
        let nodes = NODES[..count].iter().map(|name| node(name, picks)).collect::<Vec<_>>();
        let ours = |name: &str, mode: &str, picks: &mut Picks<'_>| {
            class(name, names::PROVISIONER, mode, picks.yes())
        };
        let classes = [
            ours(names::CLASS_DEFAULT, "WaitForFirstConsumer", picks),
            ours("now", "Immediate", picks),
            class("foreign", "example.com/other", "Immediate", picks.yes()),
        ];
        let snapshot = Snapshot {
            classes: Arc::new(classes.into_iter().collect()),
            nodes: Arc::new(nodes.into_iter().collect()),
            agents: None,
            inlets_operator: None,
            volumes: None,
            namespaces: Arc::new([("shop".to_owned(), namespace(picks))].into()),
            namespace: names::NAMESPACE.to_owned(),
        };
        let balancer = picks.one(&Mode::ALL);
        Self {
            snapshot,
            settings: Settings {
                balancer,
                alternative: Mode::None,
                addresses: picks.yes(),
                dry_run: picks.one(&[false, false, true]),
            },
        }
    }
}

fn namespace(picks: &mut Picks<'_>) -> NamespaceInfo {
    let text = |of: &[Option<&str>], picks: &mut Picks<'_>| picks.one(of).map(str::to_owned);
    NamespaceInfo {
        opted_out: picks.one(&[false, false, false, true]),
        default_class: text(&[None, Some("now"), Some("foreign"), Some("gone"), Some("")], picks),
        balancer: text(
            &[
                None,
                Some("inlets"),
                Some("none"),
                Some("auto"),
                Some("address-pool"),
                Some("node-ip"),
                Some("-"),
            ],
            picks,
        ),
    }
}

fn class(name: &str, provisioner: &str, mode: &str, marked: bool) -> (String, ClassInfo) {
    let marks = json!({kubernetes::DEFAULT_CLASS: marked.to_string()});
    let class: StorageClass = read(json!({
        "metadata": {"name": name, "annotations": marks},
        "provisioner": provisioner,
        "volumeBindingMode": mode,
    }));
    (name.to_owned(), ClassInfo::read(&class))
}

fn node(name: &str, picks: &mut Picks<'_>) -> (NodeName, NodeInfo) {
    let os = picks.one(&["linux", "windows"]);
    let node: PartialNode =
        read(json!({"metadata": {"name": name, "labels": {kubernetes::OS: os}}}));
    (NodeName::parse(name).expect("a node's name"), NodeInfo::read(&node))
}

fn read<K: serde::de::DeserializeOwned>(value: Value) -> K {
    serde_json::from_value(value).expect("an object")
}
