//! The workers: each takes one volume at a time from the queue and reconciles it by its role.

use crate::context::Context;
use crate::failure::Failure;
use crate::role::{Role, VolumeState};
use crate::snapshot::volume::Volume;
use crate::unfinished::Outcome;
use crate::upkeep::unless;
use crate::{expand, orphans, owners, provision, reclaim, restore};
use fastrak_api::volume::VolumeId;
use fastrak_runtime::shutdown::Shutdown;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

/// Reconciles volumes until shutdown is requested. Completes a reconciliation that has started.
pub(crate) async fn work(context: Arc<Context>, shutdown: Shutdown) -> Result<(), Infallible> {
    while let Some(held) = unless(&shutdown, context.queue.next()).await {
        let id = held.key();
        if let Some(delay) = reconcile(&context, id).await {
            context.queue.add_after(id.clone(), delay);
        }
    }
    Ok(())
}

/// Reconciles one volume. Returns the delay until the next reconciliation, if there is one.
pub async fn reconcile(context: &Context, id: &VolumeId) -> Option<Duration> {
    let view = context.snapshot.view(id);
    let outcome = match Role::of(&view, &context.node) {
        Role::Provision(claim) => provision::controller::reconcile(context, id, claim, &view).await,
        Role::Restore(claim, request) => {
            restore::controller::reconcile(context, (id, claim), &view, request).await
        }
        Role::Volume(VolumeState::InUse, volume) => {
            let recorded = owners::record_owner(context, id, volume).await;
            resize_after(recorded, context, id, volume).await
        }
        Role::Volume(VolumeState::Retained, volume) => {
            let recorded = reclaim::retain::record(context, id, volume).await;
            resize_after(recorded, context, id, volume).await
        }
        Role::Volume(VolumeState::Ending, volume) => {
            reclaim::controller::reconcile(context, id, volume).await
        }
        Role::Orphan => orphans::controller::reconcile(context, id).await,
        Role::Published => Outcome::Done,
    };
    context.unfinished.settle(id, outcome)
}

/// Reconciles the size of a volume once its records are complete.
async fn resize_after(
    recorded: Result<(), Failure>,
    context: &Context,
    id: &VolumeId,
    volume: &Volume,
) -> Outcome {
    match recorded {
        Ok(()) => expand::controller::reconcile(context, id, volume).await,
        Err(failure) => context.failed(id, volume, &failure),
    }
}
