//! A process of the agent: the code that ships, from the controllers down to each call of the
//! machine and of the API server, with a simulated clock.
//!
//! It replaces the tasks, timers and watches of `run.rs` by single steps. No step waits, and the
//! module decides nothing.

use crate::api::Api;
use crate::clock::SimulatedClock;
use crate::cluster::{self, CLASSES, CLUSTER, Cluster, HOSTNAME, LEFT, NODE};
use crate::machine::FaultyMachine;
use fastrak_agent::clock::Clock;
use fastrak_agent::context::{Context, DiskThread};
use fastrak_agent::events;
use fastrak_agent::eviction;
use fastrak_agent::metrics::Metrics;
use fastrak_agent::orphans::OrphanArgs;
use fastrak_agent::orphans::Orphans;
use fastrak_agent::snapshot::Snapshot;
use fastrak_agent::snapshot::hostname::OwnHostname;
use fastrak_agent::unfinished::Unfinished;
use fastrak_agent::unmounts::Unmounts;
use fastrak_agent::upkeep::condition::Condition;
use fastrak_agent::upkeep::trash::TrashRemover;
use fastrak_agent::upkeep::unmounts;
use fastrak_agent::upkeep::{pools, scan};
use fastrak_agent::worker;
use fastrak_api::capacity::{Available, CapacityLimits, Reserve, Shortage, State};
use fastrak_api::node::NodeName;
use fastrak_api::pool::PoolName;
use fastrak_api::volume::VolumeId;
use fastrak_runtime::events::EventQueue;
use fastrak_runtime::work_queue::Queue;
use fastrak_store::pools::{PoolConfig, Pools};
use fastrak_store::volumes::Store;
use futures::FutureExt;
use prometheus_client::registry::Registry;
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::{Arc, LazyLock};
use std::time::{Duration, Instant};
use tokio::sync::Notify;

/// The pools and their paths.
pub(crate) const POOLS: [(&str, &str); 2] = [("near", "/near"), ("far", "/far")];

/// The grace time of orphans.
pub(crate) const GRACE: Duration = Duration::from_secs(60);

/// The budget of a removal step. It is small, so that the trash needs several steps.
const BUDGET: usize = 5;

/// The part of a pool that the trash may hold, in percent.
const PERCENT: u8 = 25;

/// The metrics, shared by all agents: no test reads them.
static METRICS: LazyLock<Metrics> = LazyLock::new(|| Metrics::register(&mut Registry::default()));

/// A process of the agent.
pub(crate) struct Agent {
    context: Context,
    api: Api,
    condition: Condition,
    remover: TrashRemover,
    // The cluster as its watches have delivered it.
    seen: Cluster,
    // When its workers reconcile volumes again.
    due: BTreeMap<VolumeId, Instant>,
    // The unwritten events. A process loses them when it ends.
    _events: EventQueue,
}

/// The cluster, and the witness of the agent's changes.
pub(crate) type With<'a> = (&'a mut Cluster, &'a mut Witness);

/// The changes that the agent has made.
#[derive(Default)]
pub(crate) struct Witness {
    /// The volumes whose data may be removed.
    pub(crate) trashed: BTreeSet<VolumeId>,
    /// The invalid changes, found when they were made.
    pub(crate) problems: Vec<String>,
}

impl Agent {
    /// Creates an agent.
    pub(crate) fn new(machine: &FaultyMachine, clock: &SimulatedClock) -> Self {
        let node = NodeName::parse(NODE).expect("a name");
        let names: Vec<_> =
            POOLS.iter().map(|(name, _)| PoolName::parse(name).expect("a name")).collect();
        let configs = POOLS.iter().zip(&names).map(|((_, path), name)| PoolConfig {
            name: name.clone(),
            path: PathBuf::from(path),
            require_mount: false,
            limits: CapacityLimits { reserve: Reserve::Percent(0), ..CapacityLimits::default() },
        });
        let pools = Pools::new(Arc::new(machine.clone()), node.clone(), configs.collect());
        let clock: Arc<dyn Clock> = Arc::new(clock.clone());
        let (events, waiting) = events::channel();
        let api = Api::new(machine);
        let context = Context {
            node,
            pools: names,
            orphan_args: OrphanArgs { orphan_grace: GRACE, orphan_retention: None },
            orphans: Orphans::default(),
            import_from: vec![PathBuf::from(LEFT)],
            snapshot: Arc::new(Snapshot::new(Arc::clone(&clock))),
            store: Store::new(Arc::new(pools)),
            cluster: Box::new(api.clone()),
            events,
            metrics: METRICS.clone(),
            queue: Arc::new(Queue::new()),
            scan: Notify::new(),
            trash: Notify::new(),
            own_hostname: OwnHostname::default(),
            unmounts: Unmounts::default(),
            unfinished: Unfinished::new(Arc::clone(&clock)),
            identity: CLUSTER.to_owned().into(),
            clock,
            disk_thread: DiskThread::Callers,
        };
        context.snapshot.put_node(Some(NODE.to_owned()), Some(HOSTNAME.to_owned()));
        CLASSES.iter().filter_map(|(name, ..)| cluster::class(name)).for_each(|class| {
            context.snapshot.put_class(class);
        });
        Self {
            context,
            api,
            condition: Condition::default(),
            remover: TrashRemover::new(PERCENT, BUDGET.into()),
            seen: Cluster::default(),
            due: BTreeMap::new(),
            _events: waiting,
        }
    }

    /// Starts an agent. Its watches sync before its first check of the pools.
    pub(crate) fn start(machine: &FaultyMachine, clock: &SimulatedClock, with: With<'_>) -> Self {
        let mut agent = Self::new(machine, clock);
        agent.see(with.0);
        agent.check_pools(with);
        agent
    }

    /// Delivers the cluster to its watches.
    pub(crate) fn see(&mut self, cluster: &Cluster) {
        if self.seen.version == cluster.version {
            return;
        }
        let (snapshot, seen) = (&self.context.snapshot, &self.seen);
        let (before, labelled) = (seen.labelled(), cluster.labelled());
        let gone = before.keys().filter(|id| !labelled.contains_key(id));
        gone.for_each(|id| snapshot.put_claim(id, None));
        for (id, claim) in &labelled {
            if before.get(id).is_none_or(|seen| !Arc::ptr_eq(seen, claim)) {
                let growth = cluster.growths.get(id).cloned().unwrap_or_default();
                snapshot.put_claim(id, Some((claim.as_ref().clone(), growth)));
            }
        }
        let gone = seen.volumes.keys().filter(|id| !cluster.volumes.contains_key(id));
        gone.for_each(|id| snapshot.put_volume(id, None));
        for (id, volume) in &cluster.volumes {
            if seen.volumes.get(id) != Some(volume) {
                snapshot.put_volume(id, Some(volume.clone()));
            }
        }
        self.seen = cluster.clone();
    }

    /// Returns whether it waits for the clock.
    pub(crate) fn is_waiting(&self) -> bool {
        let is_orphan = |id: &VolumeId| self.context.unfinished.orphan_since(id).is_some();
        self.due.keys().any(is_orphan) || self.remover.is_waiting(self.context.clock.instant())
    }

    /// Checks its pools.
    pub(crate) fn check_pools(&mut self, with: With<'_>) {
        let Self { context, condition, api, .. } = self;
        api.serve(with, async {
            pools::check(context, condition).await;
            pools::report(context, condition).await;
        });
    }

    /// Scans its pools. Returns the queued volumes.
    pub(crate) fn scan(&mut self, with: With<'_>) -> BTreeSet<VolumeId> {
        self.api.serve(with, scan::scan(&self.context));
        self.queued()
    }

    /// Reports a change of the mounts. Returns the queued volumes.
    pub(crate) fn see_mounts(&mut self, with: With<'_>) -> BTreeSet<VolumeId> {
        self.api.serve(with, unmounts::wake(&self.context));
        self.queued()
    }

    /// Empties the trash.
    pub(crate) fn empty_trash(&mut self, (cluster, witness): With<'_>) {
        let Self { context, remover, api, .. } = self;
        remover.begin(true);
        while api.serve((&mut *cluster, &mut *witness), remover.step(context)).is_some() {}
    }

    /// Evicts volumes for a claim that does not fit into the first pool.
    pub(crate) fn evict_for_claim(&mut self, with: With<'_>) {
        let pool = PoolName::parse(POOLS[0].0).expect("a name");
        let available = Available {
            allocatable: 0,
            total: 1,
            grantable: 1,
            reserve: 0,
            state: State::default(),
        };
        let shortage = Shortage::Bytes { pool, requested: 1, available };
        self.api.serve(with, eviction::evict_for_claim(&self.context, &[shortage], "other"));
    }

    /// Returns all known volumes, and all that are queued or due.
    pub(crate) fn known(&self) -> BTreeSet<VolumeId> {
        let (mut known, now) = (self.queued(), self.context.clock.instant());
        known.extend(self.due.iter().filter(|(_, at)| **at <= now).map(|(id, _)| id.clone()));
        known.extend(self.seen.claims.keys().chain(self.seen.volumes.keys()).cloned());
        known
    }

    /// Reconciles a volume.
    pub(crate) fn reconcile(&mut self, id: &VolumeId, with: With<'_>) {
        // No other worker gets the volume meanwhile.
        let _held = self.context.queue.try_hold(id);
        self.due.remove(id);
        if let Some(delay) = self.api.serve(with, worker::reconcile(&self.context, id)) {
            self.due.insert(id.clone(), self.context.clock.instant() + delay);
        }
    }

    /// Takes all volumes off the queue, in a reproducible order.
    fn queued(&self) -> BTreeSet<VolumeId> {
        let next = || self.context.queue.next().now_or_never().map(|held| held.key().clone());
        std::iter::from_fn(next).collect()
    }
}
