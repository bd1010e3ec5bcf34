//! Wiring: creates the parts, connects them, and runs them under supervision.

use crate::clock::{Clock, SystemClock};
use crate::cluster::KubeCluster;
use crate::config::Config;
use crate::context::{Context, DiskThread};
use crate::events;
use crate::metrics::Metrics;
use crate::snapshot::Snapshot;
use crate::snapshot::watch::{Ready, Watches};
use crate::unfinished::Unfinished;
use crate::upkeep::{UpkeepArgs, after};
use crate::{reclaim, upkeep, worker};
use fastrak_runtime::admin::{self, AdminError, Exposed};
use fastrak_runtime::client::{self, ClientError};
use fastrak_runtime::ready::Readiness;
use fastrak_runtime::shutdown::Shutdown;
use fastrak_runtime::supervise::{SuperviseError, Supervisor};
use fastrak_runtime::work_queue::Queue;
use fastrak_store::host::Kernel;
use fastrak_store::pools::Pools;
use fastrak_store::volumes::Store;
use prometheus_client::registry::Registry;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Notify, Semaphore};
use tokio_util::sync::CancellationToken;

/// The number of watches.
const WATCHES: u32 = 4;
/// The number of volumes that are reconciled concurrently.
const WORKERS: usize = 4;
/// How long running work may take to complete after a shutdown request.
const GRACE: Duration = Duration::from_secs(20);

/// Why the agent has stopped.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The API client could not be created.
    #[error("could not create the API client")]
    Client(#[source] ClientError),
    /// The admin port could not be opened.
    #[error("could not serve health and metrics")]
    Admin(#[source] AdminError),
    /// A task has stopped.
    #[error("a task of the agent has stopped")]
    Supervise(#[source] SuperviseError),
}

/// Runs an agent until `shutdown` is requested.
pub async fn run(config: Config, shutdown: Shutdown) -> Result<(), RunError> {
    let Config { node, pools, settings } = config;
    reclaim::warn_without(&settings.pods_dir);
    let bound = admin::bind(&settings.admin).await.map_err(RunError::Admin)?;
    let client = client::connect(&settings.client).await.map_err(RunError::Client)?;
    let mut registry = Registry::default();
    let (events, queue) = events::channel();
    let writer = events::writer(queue, client.clone(), &node);
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let names = pools.iter().map(|pool| pool.name.clone()).collect();
    tracing::info!(%node, address = %bound.address(), pools = pools.len(), "starting the agent");
    let context = Arc::new(Context {
        store: Store::new(Arc::new(Pools::new(Arc::new(Kernel), node.clone(), pools))),
        node,
        pools: names,
        orphan_args: settings.orphans,
        orphans: Default::default(),
        import_from: settings.import_from,
        snapshot: Arc::new(Snapshot::new(Arc::clone(&clock))),
        cluster: Box::new(KubeCluster::new(client.clone())),
        events,
        metrics: Metrics::register(&mut registry),
        queue: Arc::new(Queue::new()),
        scan: Notify::new(),
        trash: Notify::new(),
        own_hostname: Default::default(),
        unmounts: Default::default(),
        identity: Default::default(),
        unfinished: Unfinished::new(Arc::clone(&clock)),
        clock,
        disk_thread: DiskThread::Own,
    });
    let readiness = Readiness::new();
    let mut supervisor = Supervisor::new();
    let synced = watch(&mut supervisor, &context, &client, &readiness);
    work(&mut supervisor, &context, synced, (settings.upkeep, &shutdown));
    let exposed = Exposed { readiness, registry, client, scrapes: context.metrics.scrapes.clone() };
    // The tasks hold the remaining references: the event writer stops after they have.
    drop(context);
    supervisor.spawn("events", writer.run());
    supervisor.spawn_companion("admin", bound.serve(exposed, shutdown.clone()));
    supervisor.run(shutdown, GRACE).await.map_err(RunError::Supervise)
}

/// Starts the watches. The returned semaphore gets a permit from each watch that has synced.
fn watch(
    supervisor: &mut Supervisor,
    context: &Context,
    client: &kube::Client,
    readiness: &Readiness,
) -> Arc<Semaphore> {
    let synced = Arc::new(Semaphore::new(0));
    let watches = Watches {
        client: client.clone(),
        node: context.node.clone(),
        snapshot: Arc::clone(&context.snapshot),
        queue: Arc::clone(&context.queue),
    };
    let ready = |name| Ready { handle: readiness.handle(name), synced: Arc::clone(&synced) };
    supervisor.spawn_companion("claims", watches.clone().claims(ready("claims")));
    supervisor.spawn_companion("volumes", watches.clone().volumes(ready("volumes")));
    supervisor.spawn_companion("classes", watches.clone().classes(ready("classes")));
    supervisor.spawn_companion("node", watches.node(ready("node")));
    synced
}

/// Starts the work: the pools once all watches have synced, the rest once the pools are checked.
fn work(
    supervisor: &mut Supervisor,
    context: &Arc<Context>,
    synced: Arc<Semaphore>,
    (args, shutdown): (UpkeepArgs, &Shutdown),
) {
    let gate = CancellationToken::new();
    let seen = async move { drop(synced.acquire_many(WATCHES).await) };
    let pools = upkeep::pools::run(Arc::clone(context), gate.clone(), shutdown.clone());
    supervisor.spawn("pools", after(seen, shutdown.clone(), pools));
    let gated = || gate.clone().cancelled_owned();
    let scan = upkeep::scan::run(Arc::clone(context), args.orphan_scan, shutdown.clone());
    supervisor.spawn("scan", after(gated(), shutdown.clone(), scan));
    let trash = upkeep::trash::run(Arc::clone(context), args.trash_max_percent, shutdown.clone());
    supervisor.spawn("trash", after(gated(), shutdown.clone(), trash));
    let usage = upkeep::usage::run(Arc::clone(context), args.usage_interval, shutdown.clone());
    supervisor.spawn("usage", after(gated(), shutdown.clone(), usage));
    supervisor.spawn("unmounts", upkeep::unmounts::run(Arc::clone(context), shutdown.clone()));
    for _ in 0..WORKERS {
        let worker = worker::work(Arc::clone(context), shutdown.clone());
        supervisor.spawn("worker", after(gated(), shutdown.clone(), worker));
    }
}
