//! The work of the leader: wiring of the election, and of the parts that run on one replica or
//! report from one replica.

use crate::allocation::controller::AllocationController;
use crate::allocation::reserved_ports::AllocationArgs;
use crate::event;
use crate::metrics::Metrics;
use crate::probe::controller::{Probe, ProbeArgs};
use crate::repair::controller::{RepairArgs, RepairController};
use crate::snapshot::reporter::SnapshotReporter;
use crate::snapshot::watcher::SnapshotStore;
use crate::tunnels::controller::{TunnelArgs, TunnelController};
use fastrak_admission::mutate::service::Settings;
use fastrak_api::duration::parse_second_or_more;
use fastrak_api::names;
use fastrak_runtime::events::EventWriter;
use fastrak_runtime::lease::{Election, Leadership, identity};
use fastrak_runtime::ready::Readiness;
use fastrak_runtime::shutdown::Shutdown;
use fastrak_runtime::supervise::Supervisor;
use kube::{Api, Client};
use std::convert::Infallible;
use std::time::Duration;

/// The flags of the leader.
#[derive(Clone, Debug, clap::Args)]
pub struct LeadArgs {
    /// Repairs.
    #[command(flatten)]
    pub repair: RepairArgs,
    /// Probes.
    #[command(flatten)]
    pub probe: ProbeArgs,
    /// Addresses.
    #[command(flatten)]
    pub allocation: AllocationArgs,
    /// Tunnels.
    #[command(flatten)]
    pub tunnels: TunnelArgs,
    /// Time after which another replica takes the Lease of a leader that does not renew it, in
    /// seconds.
    #[arg(long, env = "FASTRAK_LEASE_DURATION", default_value = "15", value_name = "SECONDS", value_parser = parse_second_or_more)]
    pub lease_duration: Duration,
    /// Name of this replica in the Lease.
    #[arg(long, env = "POD_NAME", default_value = names::WEBHOOK, value_name = "NAME")]
    pub pod_name: String,
}

/// The election, and the work of the leader.
pub struct Lead {
    election: Election,
    leadership: Leadership,
    events: EventWriter,
    reporter: SnapshotReporter,
    repair: RepairController,
    probe: Option<Probe>,
    allocation: Option<AllocationController>,
    tunnels: Option<TunnelController>,
}

/// What the leader uses of the other parts.
pub struct LeadDependencies<'a> {
    /// The API client.
    pub client: &'a Client,
    /// The snapshot of the cluster.
    pub store: &'a SnapshotStore,
    /// The metrics.
    pub metrics: &'a Metrics,
    /// The readiness of this replica.
    pub readiness: &'a Readiness,
    /// The settings that decisions use.
    pub settings: Settings,
    /// The namespace of fastrak.
    pub namespace: &'a str,
    /// How long an agent may be not Ready before it is down.
    pub agent_grace: Duration,
}

impl Lead {
    /// Creates the election and the work.
    #[must_use]
    pub fn new(args: &LeadArgs, dependencies: &LeadDependencies<'_>) -> Self {
        let LeadDependencies { client, store, metrics, namespace, .. } = *dependencies;
        let leases = Api::namespaced(client.clone(), namespace);
        let candidate = identity(&args.pod_name);
        let (election, leadership) =
            Election::new(leases, names::WEBHOOK_LEASE, candidate, args.lease_duration);
        let (events, queue) = event::channel();
        let reporter = SnapshotReporter {
            store: store.clone(),
            metrics: metrics.snapshot.clone(),
            events: events.clone(),
            leadership: leadership.clone(),
            namespace: namespace.to_owned(),
            agent_grace: dependencies.agent_grace,
        };
        let repair = RepairController {
            client: client.clone(),
            store: store.clone(),
            settings: dependencies.settings,
            metrics: metrics.repair.clone(),
            events: events.clone(),
            args: args.repair.clone(),
        };
        let allocates = dependencies.settings.addresses && !dependencies.settings.dry_run;
        let allocation = allocates.then(|| AllocationController {
            client: client.clone(),
            store: store.clone(),
            events: events.clone(),
            metrics: metrics.allocation.clone(),
            namespace: namespace.to_owned(),
            speaker_grace: dependencies.agent_grace,
            args: args.allocation.clone(),
        });
        let grace = args.tunnels.tunnel_cleanup_after.filter(|_| !dependencies.settings.dry_run);
        let tunnels = grace.map(|grace| TunnelController {
            client: client.clone(),
            store: store.clone(),
            events,
            metrics: metrics.tunnels.clone(),
            grace,
        });
        let interval = args.probe.probe_interval;
        let probe = (!interval.is_zero()).then(|| Probe {
            client: client.clone(),
            interval,
            readiness: dependencies.readiness.clone(),
            metrics: metrics.probe.clone(),
        });
        let events = event::writer(queue, client.clone());
        Self { election, leadership, events, reporter, repair, probe, allocation, tunnels }
    }

    /// Starts the election and the work.
    pub fn spawn(self, parts: &mut Supervisor, shutdown: &Shutdown) {
        let Self { election, leadership, events, reporter, repair, probe, allocation, tunnels } =
            self;
        parts.spawn("election", election.run(shutdown.clone()));
        // It ends once the tasks that record events have returned.
        parts.spawn("events", events.run());
        parts.spawn("reporter", reporter.run(shutdown.clone()));
        let (leads, ending) = (leadership.clone(), shutdown.clone());
        parts.spawn("repair", async move {
            leads.while_held(&ending, || repair.run()).await;
            Ok::<_, Infallible>(())
        });
        if let Some(probe) = probe {
            let (leads, ending) = (leadership.clone(), shutdown.clone());
            parts.spawn("probe", async move {
                leads.while_held(&ending, || probe.run()).await;
                Ok::<_, Infallible>(())
            });
        }
        if let Some(allocation) = allocation {
            let (leads, ending) = (leadership.clone(), shutdown.clone());
            parts.spawn("allocation", async move {
                leads.while_held(&ending, || allocation.run()).await;
                Ok::<_, Infallible>(())
            });
        }
        let Some(tunnels) = tunnels else { return };
        let ending = shutdown.clone();
        parts.spawn("tunnels", async move {
            leadership.while_held(&ending, || tunnels.run()).await;
            Ok::<_, Infallible>(())
        });
    }
}
