//! Keeps the [`Snapshot`] up to date from watches of StorageClasses, Nodes, PersistentVolumes, the
//! metadata of namespaces, the agents' pods and the inlets operator's CustomResourceDefinition.
//! Readers never wait and always see a complete snapshot.

use super::agent_pods::{AgentPod, AgentTracker};
use arc_swap::ArcSwapOption;
use fastrak_admission::snapshot::namespace::NamespaceInfo;
use fastrak_admission::snapshot::node::PartialNode;
use fastrak_admission::snapshot::volume::{PartialVolume, VolumeInfo};
use fastrak_admission::snapshot::{ClassInfo, NodeInfo, Snapshot};
use fastrak_api::duration::parse_or_seconds;
use fastrak_api::names::{self, inlets, kubernetes};
use fastrak_api::node::NodeName;
use fastrak_api::object::trimmed;
use fastrak_runtime::ready::ReadyHandle;
use fastrak_runtime::reflector::Reflector;
use fastrak_runtime::shutdown::Shutdown;
use fastrak_runtime::timer::reached;
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

/// The minimum time between two snapshots: a rollout changes many nodes, and each snapshot copies
/// what has changed. A change after a quiet time is published at once: a volume and its claim may
/// be created together.
const DEBOUNCE: Duration = Duration::from_millis(20);

/// How long repairs wait for the list of volumes. Without the right to list them, claims still need
/// repairs.
const VOLUMES_TIMEOUT: Duration = Duration::from_secs(30);

/// The flags of the snapshot.
#[derive(Clone, Debug, clap::Args)]
pub struct SnapshotArgs {
    /// How long an agent or a speaker may be not Ready before it is down, in seconds.
    #[arg(long, env = "FASTRAK_AGENT_GRACE", default_value = "60", value_name = "SECONDS", value_parser = parse_or_seconds)]
    pub agent_grace: Duration,
}

/// The latest snapshot.
#[derive(Clone, Debug)]
pub struct SnapshotStore {
    snapshot: Arc<ArcSwapOption<Snapshot>>,
    changes: Arc<watch::Sender<()>>,
}

/// The task that keeps the snapshot up to date.
#[derive(Debug)]
pub(crate) struct SnapshotWatcher {
    /// The snapshot to update.
    pub store: SnapshotStore,
    pub namespace: String,
    /// Ready once there is a first snapshot.
    pub ready: ReadyHandle,
    /// How long an agent may be not Ready before it is down.
    pub agent_grace: Duration,
}

impl Default for SnapshotStore {
    fn default() -> Self {
        Self { snapshot: Arc::default(), changes: Arc::new(watch::Sender::new(())) }
    }
}

impl SnapshotStore {
    /// Returns the shared snapshot. Reading it does not block.
    #[must_use]
    pub fn snapshot(&self) -> Arc<ArcSwapOption<Snapshot>> {
        Arc::clone(&self.snapshot)
    }

    /// Returns the latest snapshot, if there is one.
    #[must_use]
    pub fn latest(&self) -> Option<Arc<Snapshot>> {
        self.snapshot.load_full()
    }

    /// Returns a receiver that is notified of each new snapshot.
    #[must_use]
    pub fn subscribe(&self) -> watch::Receiver<()> {
        self.changes.subscribe()
    }

    fn put(&self, snapshot: Snapshot) {
        self.snapshot.store(Some(Arc::new(snapshot)));
        self.changes.send_replace(());
    }
}

#[derive(Default)]
struct Reflectors {
    classes: Reflector<String, ClassInfo>,
    nodes: Reflector<NodeName, NodeInfo>,
    namespaces: Reflector<String, NamespaceInfo>,
    agents: Reflector<String, AgentPod>,
    tunnels: Reflector<String, ()>,
    volumes: Reflector<String, Arc<VolumeInfo>>,
}

impl Reflectors {
    /// Returns the snapshot once the lists are complete, except those of the agents' pods, the
    /// operator's CustomResourceDefinition and the volumes: the webhook may lack the rights for
    /// them.
    fn snapshot(
        &self,
        namespace: &str,
        tracker: &mut AgentTracker,
        volumes_deadline: Instant,
    ) -> Option<Snapshot> {
        let now = Instant::now();
        let (classes, nodes) = (self.classes.all()?, self.nodes.all()?);
        let namespaces = self.namespaces.all()?;
        let agents = self.agents.all();
        let agents = agents.and_then(|pods| tracker.track(&nodes, &pods, now));
        let agents = agents.map(Arc::new);
        let inlets_operator = self.tunnels.all().map(|tunnels| !tunnels.is_empty());
        let volumes = self.volumes.all().or_else(|| (now >= volumes_deadline).then(Arc::default));
        let namespace = namespace.to_owned();
        Some(Snapshot { classes, nodes, agents, inlets_operator, volumes, namespaces, namespace })
    }
}

impl SnapshotWatcher {
    /// Watches until shutdown is requested.
    pub(crate) async fn run(self, client: Client, shutdown: Shutdown) -> Result<(), Infallible> {
        let namespaces = Watch::all::<Namespace>(client.clone(), read_namespace).metadata_only();
        let mut namespaces = pin!(namespaces.events());
        let mut nodes = pin!(Watch::all::<Node>(client.clone(), read_node).events());
        let volumes = Watch::all::<PersistentVolume>(client.clone(), read_volume);
        let mut volumes = pin!(volumes.events());
        let agents = Watch::namespaced::<Pod>(client.clone(), &self.namespace, AgentPod::read);
        let agents = agents.labels(&format!("{}={}", kubernetes::APP_NAME, names::AGENT));
        let mut agents = pin!(agents.events());
        let tunnels = Watch::all::<CustomResourceDefinition>(client.clone(), read_name);
        let mut tunnels = pin!(tunnels.named(inlets::TUNNELS).metadata_only().events());
        let mut classes = pin!(Watch::all::<StorageClass>(client, read_class).events());
        let mut reflectors = Reflectors::default();
        let mut schedule = Schedule::new(self.agent_grace);
        loop {
            let changed = tokio::select! {
                () = shutdown.requested() => return Ok(()),
                Some(event) = classes.next() => reflectors.classes.apply(event),
                Some(event) = nodes.next() => reflectors.nodes.apply(event),
                Some(event) = namespaces.next() => reflectors.namespaces.apply(event),
                Some(event) = tunnels.next() => reflectors.tunnels.apply(event),
                Some(event) = agents.next() => reflectors.agents.apply(event),
                Some(event) = volumes.next() => reflectors.volumes.apply(event),
                () = reached(schedule.next(&reflectors)) => {
                    self.publish(&reflectors, &mut schedule);
                    false
                }
            };
            // The first snapshot is published at once: the replica is not ready without it.
            if changed && (self.store.latest().is_none() || schedule.is_due()) {
                self.publish(&reflectors, &mut schedule);
            }
        }
    }

    fn publish(&self, reflectors: &Reflectors, schedule: &mut Schedule) {
        schedule.published();
        let snapshot =
            reflectors.snapshot(&self.namespace, &mut schedule.tracker, schedule.volumes_deadline);
        let Some(snapshot) = snapshot else { return };
        tracing::debug!(
            classes = snapshot.classes.len(),
            nodes = snapshot.nodes.len(),
            "published a snapshot"
        );
        self.store.put(snapshot);
        self.ready.ready();
    }
}

/// The schedule of snapshots.
struct Schedule {
    tracker: AgentTracker,
    /// Until when a snapshot without the list of volumes says so.
    volumes_deadline: Instant,
    last: Option<Instant>,
    /// When the next snapshot is due, if anything has changed.
    due: Option<Instant>,
}

impl Schedule {
    fn new(agent_grace: Duration) -> Self {
        let tracker = AgentTracker::new(agent_grace);
        let volumes_deadline = Instant::now() + VOLUMES_TIMEOUT;
        Self { tracker, volumes_deadline, last: None, due: None }
    }

    /// Records a change. Returns whether a snapshot is due now.
    fn is_due(&mut self) -> bool {
        let now = Instant::now();
        let next = self.last.map_or(now, |last| last + DEBOUNCE);
        self.due.get_or_insert(next);
        next <= now
    }

    fn published(&mut self) {
        self.due = None;
        self.last = Some(Instant::now());
    }

    /// Returns when the next snapshot is due.
    fn next(&self, reflectors: &Reflectors) -> Option<Instant> {
        let is_waiting =
            reflectors.volumes.all().is_none() && self.last <= Some(self.volumes_deadline);
        let deadline = is_waiting.then_some(self.volumes_deadline);
        self.due.into_iter().chain(self.tracker.next()).chain(deadline).min()
    }
}

/// The value of an object and its key. An object may have no value.
pub(crate) type Read<K, V> = Result<(K, Option<V>), serde_json::Error>;

pub(crate) fn read_class(text: &str) -> Read<String, ClassInfo> {
    let class: StorageClass = serde_json::from_str(text)?;
    let info = ClassInfo::read(&class);
    Ok((info.class.name.clone(), Some(info)))
}

fn read_node(text: &str) -> Read<NodeName, NodeInfo> {
    let node: PartialNode = serde_json::from_str(text)?;
    let name = NodeName::parse(node.metadata.name.as_deref().unwrap_or_default());
    Ok((name.map_err(serde::de::Error::custom)?, Some(NodeInfo::read(&node))))
}

fn read_name(text: &str) -> Read<String, ()> {
    Ok((trimmed::metadata(text)?.name.unwrap_or_default(), Some(())))
}

pub(crate) fn read_volume(text: &str) -> Read<String, Arc<VolumeInfo>> {
    let volume: PartialVolume<'_> = serde_json::from_str(text)?;
    let name = volume.metadata.name.as_deref().unwrap_or_default().to_owned();
    Ok((name, volume.info().map(Arc::new)))
}

pub(crate) fn read_namespace(text: &str) -> Read<String, NamespaceInfo> {
    let metadata = trimmed::metadata(text)?;
    let info = NamespaceInfo::read(&metadata);
    Ok((metadata.name.unwrap_or_default(), info))
}
