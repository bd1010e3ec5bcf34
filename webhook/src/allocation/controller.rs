//! Watches what addresses depend on, and carries out the plan.

mod pool_status;
mod steps;

use super::AllocationMetrics;
use super::endpoints::{self, by_service};
use super::on_demand::OnDemand;
use super::plan::{Plan, Step, Subject, View, plan};
use super::pools::{self, Checked};
use super::report::Reporter;
use super::reserved_ports::AllocationArgs;
use super::service::AddressService;
use super::state::{Watched, read_frontend, read_lease, read_namespace, read_network, read_pool};
use super::writes::{WriteError, Writer, Written};
use super::{heartbeats, host_ports};
use crate::event::Events;
use crate::snapshot::agent_pods::{AgentPod, AgentTracker};
use crate::snapshot::watcher::SnapshotStore;
use fastrak_admission::snapshot::Snapshot;
use fastrak_api::address_pool::AddressPool;
use fastrak_api::assignment;
use fastrak_api::names::{self, kubernetes};
use fastrak_runtime::clock;
use fastrak_runtime::retry::KeyedBackoff;
use fastrak_runtime::timer::reached;
use fastrak_runtime::watch::Watch;
use futures::StreamExt as _;
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::{Namespace, Pod, Service};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use k8s_openapi::api::networking::v1::ServiceCIDR;
use kube::Client;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::IpAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinSet;
use tokio::time::Instant;

/// The time between a change and a plan, so that one plan serves many changes.
const DEBOUNCE: Duration = Duration::from_millis(20);
/// The same in relation to the duration of the last plan, which grows with the number of Services.
const DEBOUNCE_FACTOR: u32 = 10;
/// The time between two plans without any change: some steps are due after a time.
const INTERVAL: Duration = Duration::from_secs(5);
/// How long the list of ServiceCIDRs may take. API servers before 1.33 do not have them.
const NETWORKS_TIMEOUT: Duration = Duration::from_secs(10);
/// How long an address whose Lease could not be created is not tried again.
const OCCUPIED: Duration = Duration::from_secs(60);
/// The maximum number of concurrent steps.
const CONCURRENT_STEPS: usize = 64;
/// The delays after failures.
const FIRST_DELAY: Duration = Duration::from_millis(500);
const LONGEST_DELAY: Duration = Duration::from_secs(30);
const FORGET_AFTER: Duration = Duration::from_secs(60);

/// Gives Services their addresses. The caller runs it only while this replica leads.
pub struct AllocationController {
    /// The API client.
    pub client: Client,
    /// The snapshot of the cluster.
    pub store: SnapshotStore,
    /// The event queue.
    pub events: Events,
    /// The metrics.
    pub metrics: AllocationMetrics,
    /// The namespace of the speakers' pods.
    pub namespace: String,
    /// How long a speaker may be not Ready before others take over its addresses.
    pub speaker_grace: Duration,
    /// The flags.
    pub args: AllocationArgs,
}

/// The state of a leadership.
struct Run<'a> {
    parts: &'a AllocationController,
    writer: Writer,
    watched: Watched,
    tracker: AgentTracker,
    /// The addresses whose Leases are being created, with the UIDs of their Services.
    pending: BTreeMap<IpAddr, String>,
    /// The addresses whose Leases exist and cannot be read, until another try.
    occupied: BTreeMap<IpAddr, Instant>,
    /// The steps of the newest plan that are not started.
    waiting: VecDeque<Step>,
    busy: BTreeSet<Subject>,
    backoff: KeyedBackoff<Subject, Instant>,
    requests: JoinSet<Outcome>,
    reporter: Reporter,
    status_due: Instant,
    networks_deadline: Instant,
}

/// The result of a request.
enum Outcome {
    Step(Step, Result<Written, WriteError>),
    Status(String, Result<(), WriteError>),
}

impl AllocationController {
    /// Allocates until the future is dropped.
    pub async fn run(&self) {
        let _cleared = self.metrics.clear_on_drop();
        let clean_up = heartbeats::clean_up(self.client.clone(), &self.store);
        tokio::join!(Run::new(self).run(), clean_up);
    }
}

impl<'a> Run<'a> {
    fn new(parts: &'a AllocationController) -> Self {
        Self {
            parts,
            writer: Writer::new(parts.client.clone()),
            watched: Watched::default(),
            tracker: AgentTracker::new(parts.speaker_grace),
            pending: BTreeMap::new(),
            occupied: BTreeMap::new(),
            waiting: VecDeque::new(),
            busy: BTreeSet::new(),
            backoff: KeyedBackoff::new(FIRST_DELAY, LONGEST_DELAY, FORGET_AFTER),
            requests: JoinSet::new(),
            reporter: Reporter::new(parts.events.clone()),
            status_due: Instant::now(),
            networks_deadline: Instant::now() + NETWORKS_TIMEOUT,
        }
    }

    async fn run(mut self) {
        let client = || self.parts.client.clone();
        let services = Watch::all::<Service>(client(), AddressService::read);
        let leases = Watch::namespaced::<Lease>(client(), names::ADDRESS_NAMESPACE, read_lease);
        let leases = leases.labels(&assignment::selector());
        let pools = Watch::all::<AddressPool>(client(), read_pool);
        let frontends =
            Watch::namespaced::<Lease>(client(), names::ADDRESS_NAMESPACE, read_frontend);
        let frontends = frontends.labels(names::FRONTEND);
        let namespaces = Watch::all::<Namespace>(client(), read_namespace).metadata_only();
        let pods = Watch::namespaced::<Pod>(client(), &self.parts.namespace, AgentPod::read);
        let pods = pods.labels(&format!("{}={}", kubernetes::APP_NAME, names::SPEAKER));
        let networks = Watch::all::<ServiceCIDR>(client(), read_network);
        let mut services = pin!(services.events());
        let mut leases = pin!(leases.events());
        let mut frontends = pin!(frontends.events());
        let (mut host_ports, mut endpoints) = (OnDemand::new(), OnDemand::new());
        let mut pools = pin!(pools.events());
        let mut namespaces = pin!(namespaces.events());
        let mut pods = pin!(pods.events());
        let mut networks = pin!(networks.events());
        let mut snapshots = self.parts.store.subscribe();
        let (mut due, mut debounce) = (Instant::now(), DEBOUNCE);
        loop {
            let watched = &mut self.watched;
            host_ports.start_if(watched.serves(AddressService::may_take_nodes), || {
                Watch::all::<Pod>(client(), host_ports::read).events()
            });
            endpoints.start_if(watched.serves(|one| one.decided.is_some() && one.is_local), || {
                Watch::all::<EndpointSlice>(client(), endpoints::read).events()
            });
            tokio::select! {
                Some(event) = services.next() => watched.services.apply(event),
                Some(event) = leases.next() => watched.leases.apply(event),
                Some(event) = frontends.next() => watched.frontends.apply(event),
                Some(event) = host_ports.next() => if !watched.host_ports.apply(event) {
                    continue;
                },
                Some(event) = endpoints.next() => if !watched.endpoints.apply(event) {
                    continue;
                },
                Some(event) = pools.next() => drop(watched.pools.apply(event)),
                Some(event) = namespaces.next() => drop(watched.namespaces.apply(event)),
                Some(event) = pods.next() => drop(watched.speakers.apply(event)),
                Some(event) = networks.next() => drop(watched.networks.apply(event)),
                Ok(()) = snapshots.changed() => {}
                Some(Ok(outcome)) = self.requests.join_next() => {
                    self.finish(outcome);
                    self.start_waiting();
                }
                () = reached(Some(due)) => {
                    debounce = self.advance();
                    due = Instant::now() + INTERVAL;
                    continue;
                }
            }
            due = due.min(Instant::now() + debounce);
        }
    }

    /// Starts what is due, once everything is known. Returns the time between the next change and its
    /// plan.
    fn advance(&mut self) -> Duration {
        let started = Instant::now();
        let snapshot = self.parts.store.latest();
        if let Some((plan, checked)) = snapshot.and_then(|snapshot| self.plan(&snapshot)) {
            self.carry_out(plan, &checked);
        }
        DEBOUNCE.max(started.elapsed() * DEBOUNCE_FACTOR)
    }

    fn carry_out(&mut self, plan: Plan, checked: &Checked) {
        if let Some(services) = self.watched.services.all() {
            self.reporter.problems(&plan.problems, services);
        }
        self.replace_waiting(plan.steps);
        self.start_waiting();
        self.write_status(checked);
    }

    fn plan(&mut self, snapshot: &Snapshot) -> Option<(Plan, Checked)> {
        let Watched {
            services,
            leases,
            frontends,
            host_ports,
            endpoints,
            pools,
            namespaces,
            speakers,
            networks,
        } = &self.watched;
        let frontends = frontends.all()?;
        let (host_ports, endpoints) = (host_ports.all(), endpoints.all());
        let endpoints = endpoints.as_deref().map(by_service);
        let (services, leases, namespaces) = (services.all()?, leases.all()?, namespaces.all()?);
        let (pools, speakers) = (pools.all()?, speakers.all()?);
        let speakers = self.tracker.track(&snapshot.nodes, &speakers, Instant::now());
        let speakers = speakers.unwrap_or_default();
        let pools = pools.iter().map(|(name, known)| (name.clone(), known.pool.clone())).collect();
        let networks = match networks.all() {
            Some(networks) => networks,
            None if Instant::now() < self.networks_deadline => return None,
            None => Arc::default(),
        };
        let networks: Vec<_> = networks.values().flatten().copied().collect();
        let checked = pools::check(&pools, &snapshot.nodes, &networks);
        self.occupied.retain(|_, until| Instant::now() < *until);
        let occupied = self.occupied.keys().copied().collect();
        let view = View {
            services,
            leases,
            pending: &self.pending,
            occupied: &occupied,
            frontends,
            host_ports: host_ports.as_deref(),
            endpoints: endpoints.as_ref(),
            reserved: &self.parts.args.node_ip_reserved_ports,
            pools: &checked,
            nodes: &snapshot.nodes,
            speakers: &speakers,
            namespaces: &namespaces,
            now: clock::now(),
        };
        let plan = plan(view);
        let without = plan.problems.iter().filter(|(_, problem)| problem.is_blocking());
        let without: BTreeSet<_> = without.map(|(service, _)| service).collect();
        let states = leases.values().map(|lease| lease.assignment.state);
        let on_nodes = frontends.values().map(|lease| lease.assignment.state);
        self.parts.metrics.show(states, on_nodes, without.len());
        Some((plan, checked))
    }
}
