//! Keeps [`Facts`] up to date from watches of StorageClasses, Nodes, PersistentVolumes, namespaces (their
//! metadata alone), the agents' pods and the inlets operator's CustomResourceDefinition. Readers never wait for it: they see one snapshot after another, each whole.

use super::agent::{AgentPod, AgentTracker};
use super::mirror::Mirror;
use super::namespace::NamespaceFact;
use super::node::NodeShape;
use super::volume::{VolumeFact, VolumeShape};
use super::{ClassFact, Facts, NodeFact};
use arc_swap::ArcSwapOption;
use fastrak_api::names::{self, inlets, kubernetes};
use fastrak_api::node::NodeName;
use fastrak_api::object::trimmed;
use fastrak_runtime::ready::ReadyHandle;
use fastrak_runtime::shutdown::Shutdown;
use fastrak_runtime::watch::Watch;
use futures::StreamExt as _;
use k8s_openapi::api::core::v1::{Namespace, Node, PersistentVolume, Pod};
use k8s_openapi::api::storage::v1::StorageClass;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::Client;
use std::convert::Infallible;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::Instant;

/// The least time between two snapshots: a rollout touches many nodes, and each snapshot copies what it
/// holds. A change after a quiet time is shown at once, since a volume and the claim that is to get it may
/// come in one manifest.
const GATHER: Duration = Duration::from_millis(20);

/// How long repairs wait for the list of volumes. If they may not be listed, the claims still need their
/// repairs.
const VOLUMES_PATIENCE: Duration = Duration::from_secs(30);

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
    /// How long an agent may be without a Ready pod before it counts as down.
    pub agent_grace: Duration,
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
    agents: Mirror<String, AgentPod>,
    tunnels: Mirror<String, ()>,
    volumes: Mirror<String, Arc<VolumeFact>>,
}

impl Mirrors {
    /// Returns the facts once all is listed. The agents' pods, the operator's CustomResourceDefinition and
    /// the volumes are not waited for: the webhook may lack the right to see them.
    fn facts(
        &self,
        namespace: &str,
        tracker: &mut AgentTracker,
        patience: Instant,
    ) -> Option<Facts> {
        let now = Instant::now();
        let (classes, nodes) = (self.classes.all()?, self.nodes.all()?);
        let namespaces = self.namespaces.all()?;
        let agents = self.agents.all();
        let agents = agents.and_then(|pods| tracker.track(&nodes, &pods, now));
        let agents = agents.map(Arc::new);
        let inlets_operator = self.tunnels.all().map(|tunnels| !tunnels.is_empty());
        let volumes = self.volumes.all().or_else(|| (now >= patience).then(Arc::default));
        let namespace = namespace.to_owned();
        Some(Facts { classes, nodes, agents, inlets_operator, volumes, namespaces, namespace })
    }
}

impl Feed {
    /// Watches until shutdown is requested.
    pub async fn run(self, client: Client, shutdown: Shutdown) -> Result<(), Infallible> {
        let namespaces = Watch::all::<Namespace>(client.clone(), read_namespace).metadata_only();
        let mut namespaces = pin!(namespaces.events());
        let mut nodes = pin!(Watch::all::<Node>(client.clone(), read_node).events());
        let volumes = Watch::all::<PersistentVolume>(client.clone(), read_volume);
        let mut volumes = pin!(volumes.events());
        let agents = Watch::namespaced::<Pod>(client.clone(), &self.namespace, AgentPod::read);
        let mut agents = pin!(agents.labels(&agent_selector()).events());
        let tunnels = Watch::all::<CustomResourceDefinition>(client.clone(), read_name);
        let mut tunnels = pin!(tunnels.named(inlets::TUNNELS).metadata_only().events());
        let mut classes = pin!(Watch::all::<StorageClass>(client, read_class).events());
        let mut mirrors = Mirrors::default();
        let mut pace = Pace::new(self.agent_grace);
        loop {
            let changed = tokio::select! {
                () = shutdown.requested() => return Ok(()),
                Some(event) = classes.next() => mirrors.classes.take(event),
                Some(event) = nodes.next() => mirrors.nodes.take(event),
                Some(event) = namespaces.next() => mirrors.namespaces.take(event),
                Some(event) = tunnels.next() => mirrors.tunnels.take(event),
                Some(event) = agents.next() => mirrors.agents.take(event),
                Some(event) = volumes.next() => mirrors.volumes.take(event),
                () = reached(pace.next(&mirrors)) => {
                    self.publish(&mirrors, &mut pace);
                    false
                }
            };
            // The first snapshot is waited for by every replica that starts.
            if changed && (self.board.latest().is_none() || pace.is_due()) {
                self.publish(&mirrors, &mut pace);
            }
        }
    }

    fn publish(&self, mirrors: &Mirrors, pace: &mut Pace) {
        pace.published();
        let facts = mirrors.facts(&self.namespace, &mut pace.tracker, pace.patience);
        let Some(facts) = facts else { return };
        tracing::debug!(classes = facts.classes.len(), nodes = facts.nodes.len(), "new facts");
        self.board.put(facts);
        self.ready.ready();
    }
}

/// When snapshots are made.
struct Pace {
    tracker: AgentTracker,
    /// Until when the volumes are waited for.
    patience: Instant,
    last: Option<Instant>,
    /// When the changes since the last snapshot are to be shown.
    due: Option<Instant>,
}

impl Pace {
    fn new(agent_grace: Duration) -> Self {
        let tracker = AgentTracker::new(agent_grace);
        Self { tracker, patience: Instant::now() + VOLUMES_PATIENCE, last: None, due: None }
    }

    /// Records that something has changed. Returns whether it is to be shown at once.
    fn is_due(&mut self) -> bool {
        let now = Instant::now();
        let next = self.last.map_or(now, |last| last + GATHER);
        self.due.get_or_insert(next);
        next <= now
    }

    fn published(&mut self) {
        self.due = None;
        self.last = Some(Instant::now());
    }

    /// Returns when the next snapshot is to be made.
    fn next(&self, mirrors: &Mirrors) -> Option<Instant> {
        // One that was made after that has shown that there are no volumes to wait for.
        let is_waiting = mirrors.volumes.all().is_none() && self.last <= Some(self.patience);
        let patience = is_waiting.then_some(self.patience);
        self.due.into_iter().chain(self.tracker.next()).chain(patience).min()
    }
}

/// Returns the label by which the pods of agents are selected.
fn agent_selector() -> String {
    format!("{}={}", kubernetes::APP_NAME, names::AGENT)
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

fn read_name(text: &str) -> Read<String, ()> {
    Ok((trimmed::metadata(text)?.name.unwrap_or_default(), Some(())))
}

fn read_volume(text: &str) -> Read<String, Arc<VolumeFact>> {
    let volume: VolumeShape<'_> = serde_json::from_str(text)?;
    let name = volume.metadata.name.as_deref().unwrap_or_default().to_owned();
    Ok((name, volume.fact().map(Arc::new)))
}

fn read_namespace(text: &str) -> Read<String, NamespaceFact> {
    let metadata = trimmed::metadata(text)?;
    let fact = NamespaceFact::read(&metadata);
    Ok((metadata.name.unwrap_or_default(), fact))
}
