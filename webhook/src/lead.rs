//! What one replica does for all of them: which that is, and what work it has. Wiring; each part knows
//! its own work and none knows of the election, save that the reports of several default classes and of
//! agents ask whether this replica leads.

use crate::config::Config;
use crate::metrics::Metrics;
use crate::probe::controller::Probe;
use crate::repair::controller::RepairController;
use crate::snapshot::agents::AgentsWatch;
use crate::snapshot::defaults::DefaultsWatch;
use crate::snapshot::watcher::SnapshotStore;
use fastrak_api::names;
use fastrak_runtime::lease::{Election, Leadership, identity};
use fastrak_runtime::ready::Readiness;
use fastrak_runtime::shutdown::Shutdown;
use fastrak_runtime::supervise::Supervisor;
use kube::runtime::events::Recorder;
use kube::{Api, Client};
use std::convert::Infallible;
use std::sync::Arc;

/// The election, and the work of its winner.
pub struct Lead {
    election: Election,
    leadership: Leadership,
    defaults: DefaultsWatch,
    agents: AgentsWatch,
    mender: RepairController,
    probe: Option<Probe>,
}

/// What the work needs of the rest.
pub struct Needs<'a> {
    /// How to reach the API server.
    pub client: &'a Client,
    /// What is known of the cluster.
    pub board: &'a SnapshotStore,
    /// What is measured.
    pub metrics: &'a Arc<Metrics>,
    /// What records events.
    pub recorder: &'a Recorder,
    /// Whether this replica can answer.
    pub readiness: &'a Readiness,
}

impl Lead {
    /// A replica that stands for election.
    #[must_use]
    pub fn new(config: &Config, needs: &Needs<'_>) -> Self {
        let leases = Api::namespaced(needs.client.clone(), &config.namespace);
        let candidate = identity(&config.pod_name);
        let (election, leadership) =
            Election::new(leases, names::WEBHOOK_LEASE, candidate, config.lease_duration);
        let defaults = DefaultsWatch {
            board: needs.board.clone(),
            metrics: Arc::clone(needs.metrics),
            recorder: needs.recorder.clone(),
            leadership: leadership.clone(),
        };
        let agents = AgentsWatch {
            board: needs.board.clone(),
            metrics: Arc::clone(needs.metrics),
            recorder: needs.recorder.clone(),
            leadership: leadership.clone(),
            namespace: config.namespace.clone(),
            grace: config.agent_grace,
        };
        let mender = RepairController {
            client: needs.client.clone(),
            board: needs.board.clone(),
            settings: config.services,
            metrics: Arc::clone(needs.metrics),
            recorder: needs.recorder.clone(),
            delay: config.repair_delay,
            interval: config.repair_interval,
        };
        let probe = (!config.probe_interval.is_zero()).then(|| Probe {
            client: needs.client.clone(),
            interval: config.probe_interval,
            readiness: needs.readiness.clone(),
            metrics: Arc::clone(needs.metrics),
        });
        Self { election, leadership, defaults, agents, mender, probe }
    }

    /// Starts the election and the work.
    pub fn spawn(self, parts: &mut Supervisor, shutdown: &Shutdown) {
        let Self { election, leadership, defaults, agents, mender, probe } = self;
        parts.spawn("election", election.run(shutdown.clone()));
        parts.spawn("defaults", defaults.run(shutdown.clone()));
        parts.spawn("agents", agents.run(shutdown.clone()));
        let (repairs, ending) = (leadership.clone(), shutdown.clone());
        parts.spawn("repair", async move {
            repairs.while_held(&ending, || mender.run()).await;
            Ok::<_, Infallible>(())
        });
        let Some(probe) = probe else { return };
        let ending = shutdown.clone();
        parts.spawn("probe", async move {
            leadership.while_held(&ending, || probe.run()).await;
            Ok::<_, Infallible>(())
        });
    }
}
