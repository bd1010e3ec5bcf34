//! Wiring: creates the parts, connects them, and runs them under supervision.

use crate::announcer::Announcer;
use crate::assignments::Assignments;
use crate::controller::Controller;
use crate::leases::Leases;
use crate::{heartbeat, network};
use fastrak_api::node::NodeName;
use fastrak_runtime::shutdown::Shutdown;
use fastrak_runtime::supervise::{SuperviseError, Supervisor};
use kube::Client;
use std::time::Duration;
use tokio::sync::{mpsc, watch};

/// How long the tasks may take to end after a shutdown request: addresses are handed over.
const GRACE: Duration = Duration::from_secs(5);

/// Runs a speaker on one interface until `shutdown` is requested.
pub async fn run(
    node: NodeName,
    client: Client,
    announcer: Announcer,
    shutdown: Shutdown,
) -> Result<(), SuperviseError> {
    let leases = Leases::new(client, node.clone());
    let (commands, obeyed) = mpsc::unbounded_channel();
    let (noticed, notices) = mpsc::unbounded_channel();
    let (shown, answers) = watch::channel(false);
    let controller = Controller::new(Assignments::new(node), leases.clone(), commands, shown);
    let mut supervisor = Supervisor::new();
    supervisor.spawn_companion("network", network::run(announcer, obeyed, noticed));
    supervisor.spawn_companion("heartbeat", heartbeat::run(leases, answers, shutdown.clone()));
    supervisor.spawn("controller", controller.run(notices, shutdown.clone()));
    supervisor.run(shutdown, GRACE).await
}
