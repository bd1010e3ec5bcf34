//! Wiring: creates the parts, connects them, and runs them under supervision.

use crate::assignments::Assignments;
use crate::config::Args;
use crate::controller::{Controller, Reports};
use crate::frontends::Frontends;
use crate::heartbeat::{Heartbeats, Status};
use crate::host::link::{LinkError, Sockets};
use crate::interface::InterfaceName;
use crate::leases::Leases;
use crate::metrics::Metrics;
use crate::network;
use fastrak_api::node::NodeName;
use fastrak_runtime::admin::{self, AdminError, Exposed};
use fastrak_runtime::client::{self, ClientError, Pings};
use fastrak_runtime::ready::Readiness;
use fastrak_runtime::shutdown::Shutdown;
use fastrak_runtime::supervise::{SuperviseError, Supervisor};
use kube::Client;
use prometheus_client::registry::Registry;
use std::time::Duration;
use tokio::sync::{mpsc, watch};

/// How long the tasks may take to end after a shutdown request: addresses are handed over.
pub const GRACE: Duration = Duration::from_secs(5);

/// A vanished API server is detected within five seconds, and another is used then: until that, no
/// node can take an address over.
const PINGS: Pings = Pings { interval: Duration::from_secs(3), timeout: Duration::from_secs(2) };

/// Why the speaker has stopped.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The sockets could not be opened.
    #[error("cannot receive packets")]
    Sockets(#[source] LinkError),
    /// The API client could not be created.
    #[error("cannot create the API client")]
    Client(#[source] ClientError),
    /// The admin port could not be opened.
    #[error("cannot serve health and metrics")]
    Admin(#[source] AdminError),
    /// A task has stopped.
    #[error("a task of the speaker has stopped")]
    Supervise(#[source] SuperviseError),
}

/// The parts of a speaker.
pub struct Speaker {
    /// The node that it works for.
    pub node: NodeName,
    /// The API client.
    pub client: Client,
    /// The sockets of the node's network.
    pub sockets: Sockets,
    /// The interface, or `None` for that of the default route.
    pub interface: Option<InterfaceName>,
    /// Where it reports whether it can do its work.
    pub readiness: Readiness,
    /// Its metrics.
    pub metrics: Metrics,
}

/// Runs a speaker until `shutdown` is requested.
pub async fn run(args: Args, shutdown: Shutdown) -> Result<(), RunError> {
    let Args { node, interface, admin, client, log: _ } = args;
    let sockets = Sockets::open().map_err(RunError::Sockets)?;
    let bound = admin::bind(&admin).await.map_err(RunError::Admin)?;
    let client = client::connect_with(&client, PINGS).await.map_err(RunError::Client)?;
    let mut registry = Registry::default();
    let (metrics, readiness) = (Metrics::register(&mut registry), Readiness::new());
    tracing::info!(%node, address = %bound.address(), "starting the speaker");
    let scrapes = metrics.scrapes.clone();
    let exposed =
        Exposed { readiness: readiness.clone(), registry, client: client.clone(), scrapes };
    let mut supervisor = Supervisor::new();
    let speaker = Speaker { node, client, sockets, interface, readiness, metrics };
    speaker.start(&mut supervisor, &shutdown);
    supervisor.spawn_companion("admin", bound.serve(exposed, shutdown.clone()));
    supervisor.run(shutdown, GRACE).await.map_err(RunError::Supervise)
}

impl Speaker {
    /// Starts the tasks of the speaker.
    pub fn start(self, supervisor: &mut Supervisor, shutdown: &Shutdown) {
        let Self { node, client, sockets, interface, readiness, metrics } = self;
        let leases = Leases::new(client, node.clone());
        let (commands, command_receiver) = mpsc::unbounded_channel();
        let (notice_sender, notices) = mpsc::unbounded_channel();
        let (status_sender, status) = watch::channel(Status::default());
        let reports = Reports {
            status: status_sender,
            interface: readiness.handle("interface"),
            node: readiness.handle("node"),
            assignments: readiness.handle("assignments"),
            metrics,
        };
        let controller = Controller::new(Assignments::new(node), leases.clone(), commands, reports);
        let frontends = Frontends::new(leases.clone());
        let heartbeats = Heartbeats::new(leases, status, notice_sender.clone());
        let network = network::run(sockets, interface, command_receiver, notice_sender);
        supervisor.spawn_companion("network", network);
        supervisor.spawn_companion("heartbeats", heartbeats.run(shutdown.clone()));
        supervisor.spawn_companion("frontends", frontends.run(shutdown.clone()));
        supervisor.spawn("controller", controller.run(notices, shutdown.clone()));
    }
}
