//! Looks after the pools, so that one that comes back is used at once.
//!
//! Work does not depend on it: every operation looks for itself.

use crate::context::Context;
use crate::metrics::OfPool;
use crate::pools::Change;
use crate::upkeep::condition::Condition;
use fastrak_api::reason::EventReason;
use fastrak_runtime::chain::Chain;
use fastrak_runtime::clock;
use fastrak_runtime::shutdown::Shutdown;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio_util::sync::CancellationToken;

const INTERVAL: Duration = Duration::from_secs(5);

/// Looks at the pools at intervals until shutdown is requested. Opens `gate` after the first look.
pub async fn run(
    context: Arc<Context>,
    gate: CancellationToken,
    shutdown: Shutdown,
) -> Result<(), Infallible> {
    let mut condition = Condition::default();
    look(&context, &mut condition).await;
    gate.cancel();
    loop {
        report(&context, &mut condition).await;
        tokio::select! {
            biased;
            () = shutdown.requested() => return Ok(()),
            () = tokio::time::sleep(INTERVAL) => look(&context, &mut condition).await,
        }
    }
}

/// Looks at the pools once.
async fn look(context: &Context, condition: &mut Condition) {
    context.store.pools().set_in_use(context.facts.pools_in_use());
    match context.on_disk(|store| Ok(store.pools().look())).await {
        Ok(changes) => {
            changes.iter().for_each(|change| tell(context, change));
            condition.take(&changes, clock::now());
        }
        Err(error) => tracing::warn!(error = %Chain(&error), "could not look after the pools"),
    }
}

async fn report(context: &Context, condition: &mut Condition) {
    let Some(node) = context.facts.node_uid() else { return };
    let Some(patch) = condition.to_write(&node, clock::now(), Instant::now()) else { return };
    match context.cluster.set_condition(&context.node, &patch).await {
        Ok(()) => condition.written(node),
        Err(error) => {
            condition.failed(Instant::now());
            tracing::warn!(error = %Chain(&error), "could not write the condition of the node");
        }
    }
}

fn tell(context: &Context, change: &Change) {
    let pool = &change.pool;
    context.metrics.set(OfPool::Up, pool, usize::from(change.problem.is_none()));
    match &change.problem {
        Some(why) => {
            tracing::warn!(%pool, why, "pool cannot be used");
            context.events.on_node(&context.node, EventReason::PoolUnusable, why);
        }
        None => {
            tracing::info!(%pool, "pool can be used");
            if !change.is_first {
                let text = format!("pool {pool} can be used");
                context.events.on_node(&context.node, EventReason::PoolUsable, text);
            }
            let waiting = context.facts.all_waiting().into_iter().chain(context.facts.volumes());
            waiting.for_each(|id| context.queue.add(id));
            context.scan.notify_one();
            context.trash.notify_one();
        }
    }
}
