//! Checks the pools at intervals, so that a pool that becomes usable again is used at once.
//!
//! Other work does not depend on it: every operation checks its pool itself.

use crate::context::Context;
use crate::snapshot::Confirmations;
use crate::upkeep::condition::Condition;
use crate::upkeep::unless;
use fastrak_api::names;
use fastrak_api::pool::PoolName;
use fastrak_api::reason::EventReason;
use fastrak_runtime::chain::Chain;
use fastrak_runtime::shutdown::Shutdown;
use fastrak_store::pools::{Change, ClusterView};
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

const INTERVAL: Duration = Duration::from_secs(5);
/// The delay before the API server is read again for the cluster ID.
const FIRST_RETRY_DELAY: Duration = Duration::from_secs(1);
const MAX_RETRY_DELAY: Duration = Duration::from_secs(30);

/// Checks the pools at intervals until shutdown is requested. Opens `gate` after the first check.
pub(crate) async fn run(
    context: Arc<Context>,
    gate: CancellationToken,
    shutdown: Shutdown,
) -> Result<(), Infallible> {
    if unless(&shutdown, identify(&context)).await.is_none() {
        return Ok(());
    }
    let mut condition = Condition::default();
    check(&context, &mut condition).await;
    gate.cancel();
    report(&context, &mut condition).await;
    while unless(&shutdown, tokio::time::sleep(INTERVAL)).await.is_some() {
        check(&context, &mut condition).await;
        report(&context, &mut condition).await;
    }
    Ok(())
}

/// Reads the cluster ID. No pool is opened without it.
async fn identify(context: &Context) {
    let mut delay = FIRST_RETRY_DELAY;
    loop {
        match context.cluster.id().await {
            Ok(Some(cluster)) => return context.set_cluster_id(cluster),
            Ok(None) => {
                tracing::warn!("could not identify the cluster: it has no namespace kube-system")
            }
            Err(error) => tracing::warn!(error = %Chain(&error), "could not identify the cluster"),
        }
        tokio::time::sleep(delay).await;
        delay = delay.saturating_mul(2).min(MAX_RETRY_DELAY);
    }
}

/// Checks the pools once.
pub async fn check(context: &Context, condition: &mut Condition) {
    let Confirmations { adopt_pool: adopt, orphans } = context.snapshot.confirmations();
    let cluster = context.cluster_id();
    let in_use = context.snapshot.pools_in_use();
    context.store.pools().set_cluster_view(ClusterView { cluster, in_use, adopt: adopt.clone() });
    match context.on_disk(|store| Ok(store.pools().changes())).await {
        Ok(changes) => {
            changes.iter().for_each(|change| report_change(context, change));
            condition.take(&changes, context.clock.now());
        }
        Err(error) => tracing::warn!(error = %Chain(&error), "could not check the pools"),
    }
    if let Some(pool) = adopt {
        consume_adoption(context, &pool).await;
    }
    // Confirmed orphans do not wait for the next scan.
    let names = context.pools.iter().map(PoolName::as_str);
    if orphans.is_some_and(|pool| names.into_iter().any(|name| name == pool)) {
        context.scan.notify_one();
    }
}

/// Removes a confirmation that was used. The next disk of another cluster needs its own.
async fn consume_adoption(context: &Context, pool: &str) {
    let Ok(name) = PoolName::parse(pool) else { return };
    let is_open = context.on_disk(move |store| Ok(store.pools().open(&name).is_ok())).await;
    if !is_open.unwrap_or(false) {
        return;
    }
    if let Err(error) = context.cluster.consume(&context.node, names::ADOPT_POOL, pool).await {
        tracing::warn!(pool, error = %Chain(&error), "could not remove the confirmation from the node");
    }
}

/// Writes the condition of the node if it is due.
pub async fn report(context: &Context, condition: &mut Condition) {
    let clock = &context.clock;
    let Some(node) = context.snapshot.node_uid() else { return };
    let Some(patch) = condition.to_write(&node, clock.now(), clock.instant()) else { return };
    match context.cluster.set_condition(&context.node, &patch).await {
        Ok(()) => condition.written(node),
        Err(error) => {
            condition.failed(clock.instant());
            tracing::warn!(error = %Chain(&error), "could not write the condition of the node");
        }
    }
}

fn report_change(context: &Context, change: &Change) {
    let pool = &change.pool;
    context.metrics.pools.up.set(pool, change.problem.is_none());
    match &change.problem {
        Some(why) => context.warn(&context.node, EventReason::PoolUnusable, why),
        None => {
            tracing::info!(%pool, "found the pool usable");
            if change.adopted {
                let text = format!(
                    "this cluster has adopted pool {pool} on node {} with all of its volumes",
                    context.node
                );
                context.events.write(&context.node, EventReason::PoolAdopted, text);
            }
            if change.is_volatile {
                warn_of_memory(context, pool);
            }
            if !change.is_first {
                let text = format!("pool {pool} on node {} is usable", context.node);
                context.events.write(&context.node, EventReason::PoolUsable, text);
            }
            let waiting =
                context.snapshot.all_waiting().into_iter().chain(context.snapshot.volumes());
            waiting.for_each(|id| context.queue.add(id));
            context.scan.notify_one();
            context.trash.notify_one();
        }
    }
}

fn warn_of_memory(context: &Context, pool: &PoolName) {
    let text = format!(
        "pool {pool} on node {} is in memory (tmpfs): a restart of the node empties it, and its volumes \
         are lost; configure a directory on a disk to keep them",
        context.node
    );
    context.warn(&context.node, EventReason::PoolInMemory, &text);
}
