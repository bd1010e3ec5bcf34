//! Keeps [`Snapshot`] up to date from watches of StorageClasses, Nodes, PersistentVolumes, namespaces (their
//! metadata alone), the agents' pods and the inlets operator's CustomResourceDefinition. Readers never wait for it: they see one snapshot after another, each whole.

use super::agent_pods::{AgentPod, AgentTracker};
use crate::duration::duration;
use arc_swap::ArcSwapOption;
use fastrak_admission::snapshot::namespace::NamespaceInfo;
use fastrak_admission::snapshot::node::NodeShape;
use fastrak_admission::snapshot::volume::{VolumeInfo, VolumeShape};
use fastrak_admission::snapshot::{ClassInfo, NodeInfo, Snapshot};
use fastrak_api::names::{self, inlets, kubernetes};
use fastrak_api::node::NodeName;
use fastrak_api::object::trimmed;
use fastrak_runtime::ready::ReadyHandle;
use fastrak_runtime::reflector::Reflector;
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

/// The flags of the snapshot.
#[derive(Clone, Debug, clap::Args)]
pub struct SnapshotArgs {
    /// How long an agent may be not Ready before it counts as down and is reported, in seconds.
    #[arg(long, env = "FASTRAK_AGENT_GRACE", default_value = "60", value_name = "SECONDS", value_parser = duration)]
    pub agent_grace: Duration,
}

/// The latest snapshot, and the news of each.
#[derive(Clone, Debug)]
pub struct SnapshotStore {
    snapshot: Arc<ArcSwapOption<Snapshot>>,
    news: Arc<watch::Sender<()>>,
}

/// What feeds the board.
#[derive(Debug)]
pub struct SnapshotWatcher {
    /// The board to keep up to date.
    pub store: SnapshotStore,
    /// The namespace that fastrak itself is in.
    pub namespace: String,
    /// Ready once there is a first snapshot.
    pub ready: ReadyHandle,
    /// How long an agent may be without a Ready pod before it counts as down.
    pub agent_grace: Duration,
}

impl Default for SnapshotStore {
    fn default() -> Self {
        Self { snapshot: Arc::default(), news: Arc::new(watch::Sender::new(())) }
    }
}

impl SnapshotStore {
    /// The snapshot as others may read it at any time.
    #[must_use]
    pub fn snapshot(&self) -> Arc<ArcSwapOption<Snapshot>> {
        Arc::clone(&self.snapshot)
    }

    /// The latest snapshot, once there is one.
    #[must_use]
    pub fn latest(&self) -> Option<Arc<Snapshot>> {
        self.snapshot.load_full()
    }

    /// Tells of every snapshot that comes from now on.
    #[must_use]
    pub fn subscribe(&self) -> watch::Receiver<()> {
        self.news.subscribe()
    }

    fn put(&self, snapshot: Snapshot) {
        self.snapshot.store(Some(Arc::new(snapshot)));
        self.news.send_replace(());
    }
}

#[derive(Default)]
struct Mirrors {
    classes: Reflector<String, ClassInfo>,
    nodes: Reflector<NodeName, NodeInfo>,
    namespaces: Reflector<String, NamespaceInfo>,
    agents: Reflector<String, AgentPod>,
    tunnels: Reflector<String, ()>,
    volumes: Reflector<String, Arc<VolumeInfo>>,
}

impl Mirrors {
    /// Returns the snapshot once all is listed. The agents' pods, the operator's CustomResourceDefinition and
    /// the volumes are not waited for: the webhook may lack the right to see them.
    fn snapshot(
        &self,
        namespace: &str,
        tracker: &mut AgentTracker,
        patience: Instant,
    ) -> Option<Snapshot> {
        let now = Instant::now();
        let (classes, nodes) = (self.classes.all()?, self.nodes.all()?);
        let namespaces = self.namespaces.all()?;
        let agents = self.agents.all();
        let agents = agents.and_then(|pods| tracker.track(&nodes, &pods, now));
        let agents = agents.map(Arc::new);
        let inlets_operator = self.tunnels.all().map(|tunnels| !tunnels.is_empty());
        let volumes = self.volumes.all().or_else(|| (now >= patience).then(Arc::default));
        let namespace = namespace.to_owned();
        Some(Snapshot { classes, nodes, agents, inlets_operator, volumes, namespaces, namespace })
    }
}

impl SnapshotWatcher {
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
                Some(event) = classes.next() => mirrors.classes.apply(event),
                Some(event) = nodes.next() => mirrors.nodes.apply(event),
                Some(event) = namespaces.next() => mirrors.namespaces.apply(event),
                Some(event) = tunnels.next() => mirrors.tunnels.apply(event),
                Some(event) = agents.next() => mirrors.agents.apply(event),
                Some(event) = volumes.next() => mirrors.volumes.apply(event),
                () = reached(pace.next(&mirrors)) => {
                    self.publish(&mirrors, &mut pace);
                    false
                }
            };
            // The first snapshot is waited for by every replica that starts.
            if changed && (self.store.latest().is_none() || pace.is_due()) {
                self.publish(&mirrors, &mut pace);
            }
        }
    }

    fn publish(&self, mirrors: &Mirrors, pace: &mut Pace) {
        pace.published();
        let snapshot = mirrors.snapshot(&self.namespace, &mut pace.tracker, pace.patience);
        let Some(snapshot) = snapshot else { return };
        tracing::debug!(
            classes = snapshot.classes.len(),
            nodes = snapshot.nodes.len(),
            "new facts"
        );
        self.store.put(snapshot);
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

fn read_class(text: &str) -> Read<String, ClassInfo> {
    let class: StorageClass = serde_json::from_str(text)?;
    let fact = ClassInfo::read(&class);
    Ok((fact.class.name.clone(), Some(fact)))
}

fn read_node(text: &str) -> Read<NodeName, NodeInfo> {
    let node: NodeShape = serde_json::from_str(text)?;
    let name = NodeName::parse(node.metadata.name.as_deref().unwrap_or_default());
    Ok((name.map_err(serde::de::Error::custom)?, Some(NodeInfo::of(&node))))
}

fn read_name(text: &str) -> Read<String, ()> {
    Ok((trimmed::metadata(text)?.name.unwrap_or_default(), Some(())))
}

fn read_volume(text: &str) -> Read<String, Arc<VolumeInfo>> {
    let volume: VolumeShape<'_> = serde_json::from_str(text)?;
    let name = volume.metadata.name.as_deref().unwrap_or_default().to_owned();
    Ok((name, volume.fact().map(Arc::new)))
}

fn read_namespace(text: &str) -> Read<String, NamespaceInfo> {
    let metadata = trimmed::metadata(text)?;
    let fact = NamespaceInfo::read(&metadata);
    Ok((metadata.name.unwrap_or_default(), fact))
}
