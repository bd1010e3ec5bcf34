//! One process of the agent: the code that ships, from the controllers down to each call of the
//! machine and of the API server, with a simulated clock.
//!
//! What `run.rs` leaves to tasks, timers and watches is done here, one thing at a time: whose turn it
//! is, and what the watches have shown. No step waits for anything, and nothing is decided here.

use crate::api::Api;
use crate::clock::SimulatedClock;
use crate::cluster::{self, CLASSES, CLUSTER, Cluster, HOSTNAME, LEFT, NODE};
use crate::machine::FaultyMachine;
use fastrak_agent::clock::Clock;
use fastrak_agent::config::OrphanTerms;
use fastrak_agent::context::{Context, DiskThread};
use fastrak_agent::events::{self, Waiting};
use fastrak_agent::eviction;
use fastrak_agent::metrics::Metrics;
use fastrak_agent::orphans::Orphans;
use fastrak_agent::snapshot::Snapshot;
use fastrak_agent::snapshot::hostname::OwnHostname;
use fastrak_agent::unfinished::Unfinished;
use fastrak_agent::unmounts::Unmounts;
use fastrak_agent::upkeep::condition::Condition;
use fastrak_agent::upkeep::trash::Emptying;
use fastrak_agent::upkeep::unmounts;
use fastrak_agent::upkeep::{pools, scan};
use fastrak_agent::worker;
use fastrak_api::capacity::{Reserve, Room, Shortage, State, Terms};
use fastrak_api::node::NodeName;
use fastrak_api::pool::PoolName;
use fastrak_api::volume::VolumeId;
use fastrak_runtime::work_queue::Queue;
use fastrak_store::pools::{PoolConfig, Pools};
use fastrak_store::volumes::Store;
use futures::FutureExt;
use prometheus_client::registry::Registry;
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::{Arc, LazyLock, Mutex};
use std::time::{Duration, Instant};
use tokio::sync::Notify;

/// The pools, and where they are.
pub(crate) const POOLS: [(&str, &str); 2] = [("near", "/near"), ("far", "/far")];

/// How long a directory without an owner is left alone.
pub(crate) const GRACE: Duration = Duration::from_secs(60);

/// A few things are removed at once, so that the trash needs several steps.
const BUDGET: usize = 5;

/// How much of a pool the trash may hold.
const PERCENT: u8 = 25;

/// All agents count together: nobody looks at the numbers.
static METRICS: LazyLock<Metrics> = LazyLock::new(|| Metrics::register(&mut Registry::default()));

/// One process of the agent.
pub(crate) struct Agent {
    context: Context,
    api: Api,
    condition: Condition,
    emptying: Emptying,
    // What its watches have shown it.
    seen: Cluster,
    // When its workers look at volumes again.
    due: BTreeMap<VolumeId, Instant>,
    // Dropped with the process, as events are that nobody has written yet.
    _events: Waiting,
}

/// The cluster, and the witness of what the agent does to it.
pub(crate) type With<'a> = (&'a mut Cluster, &'a mut Witness);

/// What a witness has seen the agent do.
#[derive(Default)]
pub(crate) struct Witness {
    /// Volumes whose data was moved into the trash.
    pub(crate) let_go: BTreeSet<VolumeId>,
    /// What was wrong at the moment at which it was done.
    pub(crate) problems: Vec<String>,
}

impl Agent {
    /// One that has done nothing yet.
    pub(crate) fn new(machine: &FaultyMachine, clock: &SimulatedClock) -> Self {
        let node = NodeName::parse(NODE).expect("a name");
        let names: Vec<_> =
            POOLS.iter().map(|(name, _)| PoolName::parse(name).expect("a name")).collect();
        let configs = POOLS.iter().zip(&names).map(|((_, path), name)| PoolConfig {
            name: name.clone(),
            path: PathBuf::from(path),
            require_mount: false,
            terms: Terms { reserve: Reserve::Percent(0), ..Terms::default() },
        });
        let pools = Pools::new(Arc::new(machine.clone()), node.clone(), configs.collect());
        let clock: Arc<dyn Clock> = Arc::new(clock.clone());
        let (events, waiting) = events::channel();
        let api = Api::new(machine);
        let context = Context {
            node,
            pools: names,
            orphan_terms: OrphanTerms { grace: GRACE, retention: None },
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
            identity: Mutex::new(CLUSTER.to_owned()),
            clock,
            disk_thread: DiskThread::Callers,
        };
        context.snapshot.show_node(Some(NODE.to_owned()), Some(HOSTNAME.to_owned()));
        CLASSES.iter().filter_map(|(name, ..)| cluster::class(name)).for_each(|class| {
            context.snapshot.show_class(class);
        });
        Self {
            context,
            api,
            condition: Condition::default(),
            emptying: Emptying::new(PERCENT, BUDGET.into()),
            seen: Cluster::default(),
            due: BTreeMap::new(),
            _events: waiting,
        }
    }

    /// Starts one. It has seen the cluster before its first look at the pools.
    pub(crate) fn start(machine: &FaultyMachine, clock: &SimulatedClock, with: With<'_>) -> Self {
        let mut agent = Self::new(machine, clock);
        agent.see(with.0);
        agent.look(with);
        agent
    }

    /// Its watches show it what there is.
    pub(crate) fn see(&mut self, cluster: &Cluster) {
        if self.seen.version == cluster.version {
            return;
        }
        let (snapshot, seen) = (&self.context.snapshot, &self.seen);
        let (before, labelled) = (seen.labelled(), cluster.labelled());
        let gone = before.keys().filter(|id| !labelled.contains_key(id));
        gone.for_each(|id| snapshot.show_claim(id, None));
        for (id, claim) in &labelled {
            if before.get(id).is_none_or(|seen| !Arc::ptr_eq(seen, claim)) {
                let growth = cluster.growths.get(id).cloned().unwrap_or_default();
                snapshot.show_claim(id, Some((claim.as_ref().clone(), growth)));
            }
        }
        let gone = seen.volumes.keys().filter(|id| !cluster.volumes.contains_key(id));
        gone.for_each(|id| snapshot.show_volume(id, None));
        for (id, volume) in &cluster.volumes {
            if seen.volumes.get(id) != Some(volume) {
                snapshot.show_volume(id, Some(volume.clone()));
            }
        }
        self.seen = cluster.clone();
    }

    /// Returns whether it waits for time to pass.
    pub(crate) fn is_waiting(&self) -> bool {
        let is_stray = |id: &VolumeId| self.context.unfinished.orphan_since(id).is_some();
        self.due.keys().any(is_stray) || self.emptying.is_waiting(self.context.clock.instant())
    }

    /// It looks after its pools.
    pub(crate) fn look(&mut self, with: With<'_>) {
        let Self { context, condition, api, .. } = self;
        api.serve(with, async {
            pools::look(context, condition).await;
            pools::report(context, condition).await;
        });
    }

    /// It compares its pools with the cluster. Returns the volumes that wait for a worker then.
    pub(crate) fn scan(&mut self, with: With<'_>) -> BTreeSet<VolumeId> {
        self.api.serve(with, scan::scan(&self.context));
        self.queued()
    }

    /// The kernel reports a change of the mounts: what waits for one to go is worked on.
    pub(crate) fn see_mounts(&mut self, with: With<'_>) -> BTreeSet<VolumeId> {
        self.api.serve(with, unmounts::look(&self.context));
        self.queued()
    }

    /// It empties the trash.
    pub(crate) fn empty_trash(&mut self, (cluster, witness): With<'_>) {
        let Self { context, emptying, api, .. } = self;
        emptying.begin(true);
        while api.serve((&mut *cluster, &mut *witness), emptying.step(context)).is_some() {}
    }

    /// A claim finds no room in the first pool.
    pub(crate) fn evict_for_claim(&mut self, with: With<'_>) {
        let pool = PoolName::parse(POOLS[0].0).expect("a name");
        let room =
            Room { allocatable: 0, total: 1, grantable: 1, reserve: 0, state: State::default() };
        let shortage = Shortage::Bytes { pool, asked: 1, room };
        self.api.serve(with, eviction::evict_for_claim(&self.context, &[shortage], "other"));
    }

    /// All volumes that it knows of, and all that wait for a worker or are to be looked at again.
    pub(crate) fn known(&self) -> BTreeSet<VolumeId> {
        let (mut known, now) = (self.queued(), self.context.clock.instant());
        known.extend(self.due.iter().filter(|(_, at)| **at <= now).map(|(id, _)| id.clone()));
        known.extend(self.seen.claims.keys().chain(self.seen.volumes.keys()).cloned());
        known
    }

    /// A worker looks at a volume.
    pub(crate) fn reconcile(&mut self, id: &VolumeId, with: With<'_>) {
        // Nobody else is given the volume meanwhile.
        let _held = self.context.queue.try_hold(id);
        self.due.remove(id);
        if let Some(delay) = self.api.serve(with, worker::reconcile(&self.context, id)) {
            self.due.insert(id.clone(), self.context.clock.instant() + delay);
        }
    }

    /// Takes all volumes off the queue: their order is the world's, so that it is the same each time.
    fn queued(&self) -> BTreeSet<VolumeId> {
        let next = || self.context.queue.next().now_or_never().map(|held| held.key().clone());
        std::iter::from_fn(next).collect()
    }
}
