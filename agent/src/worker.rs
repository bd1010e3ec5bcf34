//! The workers: each takes one volume at a time from the queue and reconciles it.

use crate::context::{Context, Outcome};
use crate::{provision, reclaim, restore};
use fastrak_api::volume::VolumeId;
use fastrak_runtime::shutdown::Shutdown;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

/// Reconciles volumes until shutdown is requested. Completes a reconciliation that has started.
pub async fn work(context: Arc<Context>, shutdown: Shutdown) -> Result<(), Infallible> {
    loop {
        let held = tokio::select! {
            biased;
            () = shutdown.requested() => return Ok(()),
            held = context.queue.next() => held,
        };
        let id = held.key();
        if let Some(delay) = look(&context, id).await {
            context.queue.add_after(id.clone(), delay);
        }
    }
}

/// Reconciles one volume. Returns the delay until the next reconciliation, if there is one.
pub async fn look(context: &Context, id: &VolumeId) -> Option<Duration> {
    let outcome = reconcile(context, id).await;
    context.unfinished.settle(id, outcome)
}

async fn reconcile(context: &Context, id: &VolumeId) -> Outcome {
    let about = context.snapshot.about(id);
    if let Some(volume) = &about.volume
        && let Some(outcome) = reclaim::controller::reconcile(context, id, volume).await
    {
        return outcome;
    }
    match &about.claim {
        Some(_) if about.is_published => Outcome::Done,
        // A claim that requests an existing volume never gets an empty one.
        Some(claim) if let Some(wish) = &claim.restore_request => {
            restore::controller::reconcile(context, claim, &about, wish).await
        }
        Some(claim) => provision::controller::reconcile(context, claim, &about).await,
        None => reclaim::orphans::controller::reconcile(context, id).await,
    }
}
