//! Reads the API server about the directory of a volume without a known claim or PersistentVolume,
//! and carries out what `plan.rs` decides.

use super::plan::{self, Evidence, Verdict};
use crate::cluster::ClaimState;
use crate::context::Context;
use crate::failure::{During as _, Failure, Operation};
use crate::metrics::Delete;
use crate::owners;
use crate::unfinished::Outcome;
use fastrak_api::pool::PoolName;
use fastrak_api::volume::{Identity, VolumeId};
use fastrak_runtime::chain::Chain;
use fastrak_store::volumes::orphan::Discarded;
use fastrak_store::volumes::{Location, Store};

/// Reconciles a volume that has neither a claim nor a PersistentVolume.
pub(crate) async fn reconcile(context: &Context, id: &VolumeId) -> Outcome {
    examine(context, id).await.unwrap_or_else(|failure| {
        tracing::warn!(volume = %id, error = %Chain(&failure), "could not examine the orphan");
        Outcome::Requeue(failure.backoff())
    })
}

async fn examine(context: &Context, id: &VolumeId) -> Result<Outcome, Failure> {
    let found = context.find(id).await.during(Operation::Collect)?;
    let Location::InPool(pool, identity) = found else { return Ok(Outcome::Done) };
    match context.orphans.may_remove(&pool, id) {
        Some(true) => {}
        Some(false) => return Ok(Outcome::Done),
        // A PersistentVolume of another name may own it: the scan reads all of them.
        None => {
            context.scan.notify_one();
            return Ok(Outcome::Done);
        }
    }
    let Some(evidence) = gather(context, id, (&pool, &identity)).await? else {
        return Ok(Outcome::Done);
    };
    let seen = context.unfinished.orphan_since(id);
    let args = &context.orphan_args;
    match plan::decide(&evidence, seen, args.orphan_grace, args.orphan_retention) {
        Verdict::Owned => {
            forget(context, &pool, id);
            Ok(Outcome::Done)
        }
        Verdict::CheckAgain(delay) => Ok(Outcome::RequeueOrphan(delay)),
        Verdict::Keep(why) => {
            tracing::debug!(volume = %id, why, "kept the orphan");
            Ok(Outcome::Done)
        }
        Verdict::Trash => trash(context, id, &pool).await,
    }
}

async fn gather(
    context: &Context,
    id: &VolumeId,
    (pool, identity): (&PoolName, &Identity),
) -> Result<Option<Evidence>, Failure> {
    let content = context.content(pool, id).await.during(Operation::Collect)?;
    let Some(content) = content else { return Ok(None) };
    let recorded = owners::recorded(context, pool, identity).await.during(Operation::Collect)?;
    let existing = owners::first_existing(context, recorded).await.during(Operation::Collect)?;
    let claims = existing.map_or(ClaimState::Gone, |(_, state)| state);
    let volume = context.cluster.volume(&id.volume_name()).await.during(Operation::Collect)?;
    // Read last: a mount cannot appear after the claims were found to be gone.
    let mounted = context.store.is_mounted(id);
    Ok(Some(Evidence { content, has_volume: volume.is_some(), claims, mounted }))
}

async fn trash(context: &Context, id: &VolumeId, pool: &PoolName) -> Result<Outcome, Failure> {
    let (name, of, retention) = (pool.clone(), id.clone(), context.orphan_args.orphan_retention);
    let now = context.clock.now().as_second();
    let discard = move |store: &Store| store.discard_orphan(&name, &of, retention, now);
    if context.on_disk(discard).await.during(Operation::Collect)? == Discarded::Done {
        tracing::info!(volume = %id, %pool, "moved the orphan to the trash");
        context.metrics.delete(Delete::orphan);
        context.metrics.pools.volumes.add(pool, -1);
        context.trash.notify_one();
    }
    forget(context, pool, id);
    Ok(Outcome::Done)
}

fn forget(context: &Context, pool: &PoolName, id: &VolumeId) {
    let left = context.orphans.forget(pool, id);
    context.metrics.pools.orphans.set(pool, left);
}
