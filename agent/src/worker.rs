//! The workers: each takes one volume at a time and has it looked at by the part that it concerns.
//!
//! All work on one volume, making it or taking it away, is in turn: the queue gives it to one
//! worker at a time.

use crate::context::{Context, Outcome};
use crate::{provision, reclaim, restore};
use fastrak_api::volume::VolumeId;
use fastrak_runtime::shutdown::Shutdown;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

/// Works until shutdown is requested. What is begun is brought to its end.
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

/// Looks at one volume. Returns after which time to look again, if at all.
pub async fn look(context: &Context, id: &VolumeId) -> Option<Duration> {
    let outcome = tend(context, id).await;
    context.unfinished.settle(id, outcome)
}

async fn tend(context: &Context, id: &VolumeId) -> Outcome {
    let about = context.facts.about(id);
    if let Some(volume) = &about.volume
        && let Some(outcome) = reclaim::controller::tend(context, id, volume).await
    {
        return outcome;
    }
    match &about.claim {
        Some(_) if about.is_posted => Outcome::Done,
        // Never an empty volume in place of the one that it wants.
        Some(claim) if let Some(wish) = &claim.wish => {
            restore::controller::tend(context, claim, &about, wish).await
        }
        Some(claim) => provision::controller::tend(context, claim, &about).await,
        None => reclaim::orphans::controller::tend(context, id).await,
    }
}
