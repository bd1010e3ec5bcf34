//! Keeps [`Facts`] up to date from watches of StorageClasses, Nodes and namespaces, of the last
//! their metadata alone. Readers never wait for it: they see one snapshot after another, each whole.

use super::mirror::Mirror;
use super::namespace::NamespaceFact;
use super::node::NodeShape;
use super::{ClassFact, Facts, NodeFact};
use arc_swap::ArcSwapOption;
use fastrak_api::node::NodeName;
use fastrak_api::object::trimmed;
use fastrak_runtime::ready::ReadyHandle;
use fastrak_runtime::shutdown::Shutdown;
use fastrak_runtime::watch::Watch;
use futures::StreamExt as _;
use k8s_openapi::api::core::v1::{Namespace, Node};
use k8s_openapi::api::storage::v1::StorageClass;
use kube::Client;
use std::convert::Infallible;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::Instant;

/// How long changes are gathered before a new snapshot is made: a rollout touches many nodes, and
/// each snapshot copies what it holds.
const GATHER: Duration = Duration::from_millis(20);

/// The latest snapshot, and the news of each.
#[derive(Clone, Debug)]
pub struct Board {
    facts: Arc<ArcSwapOption<Facts>>,
    news: Arc<watch::Sender<()>>,
}

/// What feeds the board.
#[derive(Debug)]
pub struct Feed {
    /// The board to keep up to date.
    pub board: Board,
    /// The namespace that fastrak itself is in.
    pub namespace: String,
    /// Ready once there is a first snapshot.
    pub ready: ReadyHandle,
}

impl Default for Board {
    fn default() -> Self {
        Self { facts: Arc::default(), news: Arc::new(watch::Sender::new(())) }
    }
}

impl Board {
    /// The snapshot as others may read it at any time.
    #[must_use]
    pub fn facts(&self) -> Arc<ArcSwapOption<Facts>> {
        Arc::clone(&self.facts)
    }

    /// The latest snapshot, once there is one.
    #[must_use]
    pub fn latest(&self) -> Option<Arc<Facts>> {
        self.facts.load_full()
    }

    /// Tells of every snapshot that comes from now on.
    #[must_use]
    pub fn subscribe(&self) -> watch::Receiver<()> {
        self.news.subscribe()
    }

    fn put(&self, facts: Facts) {
        self.facts.store(Some(Arc::new(facts)));
        self.news.send_replace(());
    }
}

#[derive(Default)]
struct Mirrors {
    classes: Mirror<String, ClassFact>,
    nodes: Mirror<NodeName, NodeFact>,
    namespaces: Mirror<String, NamespaceFact>,
}

impl Mirrors {
    fn facts(&self, namespace: &str) -> Option<Facts> {
        let (classes, nodes) = (self.classes.all()?, self.nodes.all()?);
        let namespaces = self.namespaces.all()?;
        Some(Facts { classes, nodes, namespaces, namespace: namespace.to_owned() })
    }
}

impl Feed {
    /// Watches until shutdown is requested.
    pub async fn run(self, client: Client, shutdown: Shutdown) -> Result<(), Infallible> {
        let namespaces = Watch::all::<Namespace>(client.clone(), read_namespace).metadata_only();
        let mut namespaces = pin!(namespaces.events());
        let mut nodes = pin!(Watch::all::<Node>(client.clone(), read_node).events());
        let mut classes = pin!(Watch::all::<StorageClass>(client, read_class).events());
        let mut mirrors = Mirrors::default();
        let mut due: Option<Instant> = None;
        loop {
            let changed = tokio::select! {
                () = shutdown.requested() => return Ok(()),
                Some(event) = classes.next() => mirrors.classes.take(event),
                Some(event) = nodes.next() => mirrors.nodes.take(event),
                Some(event) = namespaces.next() => mirrors.namespaces.take(event),
                () = reached(due) => {
                    due = None;
                    self.publish(&mirrors);
                    false
                }
            };
            if !changed {
                continue;
            }
            match due {
                // The first snapshot is waited for by every replica that starts.
                None if self.board.latest().is_none() => self.publish(&mirrors),
                None => due = Some(Instant::now() + GATHER),
                Some(_) => {}
            }
        }
    }

    fn publish(&self, mirrors: &Mirrors) {
        let Some(facts) = mirrors.facts(&self.namespace) else { return };
        tracing::debug!(classes = facts.classes.len(), nodes = facts.nodes.len(), "new facts");
        self.board.put(facts);
        self.ready.ready();
    }
}

async fn reached(due: Option<Instant>) {
    match due {
        Some(due) => tokio::time::sleep_until(due).await,
        None => std::future::pending().await,
    }
}

/// What there is of an object by its key; none if the object says nothing.
type Read<K, V> = Result<(K, Option<V>), serde_json::Error>;

fn read_class(text: &str) -> Read<String, ClassFact> {
    let class: StorageClass = serde_json::from_str(text)?;
    let fact = ClassFact::read(&class);
    Ok((fact.class.name.clone(), Some(fact)))
}

fn read_node(text: &str) -> Read<NodeName, NodeFact> {
    let node: NodeShape = serde_json::from_str(text)?;
    let name = NodeName::parse(node.metadata.name.as_deref().unwrap_or_default());
    Ok((name.map_err(serde::de::Error::custom)?, Some(NodeFact::of(&node))))
}

fn read_namespace(text: &str) -> Read<String, NamespaceFact> {
    let metadata = trimmed::metadata(text)?;
    let fact = NamespaceFact::read(&metadata);
    Ok((metadata.name.unwrap_or_default(), fact))
}
