//! Handles the directory of a volume without a known claim or PersistentVolume: asks the API server, and
//! carries out what `plan.rs` decides.

use super::plan::{self, Evidence, Verdict};
use crate::backoff::Backoff;
use crate::cluster::{ClaimState, ClusterError};
use crate::context::{Context, Outcome};
use crate::metrics::{Delete, OfPool};
use crate::snapshot::volume::ClaimRef;
use fastrak_api::pool::PoolName;
use fastrak_api::volume::{Identity, VolumeId};
use fastrak_runtime::chain::Chain;
use fastrak_store::volumes::orphan::{Content, Discarded};
use fastrak_store::volumes::records::owner::Owner;
use fastrak_store::volumes::{Location, VolumeError};

/// An orphan could not be handled and is retried.
#[derive(Debug, thiserror::Error)]
enum OrphanError {
    #[error("the directory could not be examined or moved")]
    Volume(#[source] VolumeError),
    #[error("the API server could not be asked for the owner")]
    Cluster(#[source] ClusterError),
}

/// Handles a volume that has neither a claim nor a PersistentVolume.
pub async fn reconcile(context: &Context, id: &VolumeId) -> Outcome {
    look(context, id).await.unwrap_or_else(|error| {
        tracing::warn!(volume = %id, error = %Chain(&error), "orphan not examined");
        Outcome::Requeue(Backoff::Failed)
    })
}

async fn look(context: &Context, id: &VolumeId) -> Result<Outcome, OrphanError> {
    let of = id.clone();
    let found = context.on_disk(move |store| store.find(&of)).await.map_err(OrphanError::Volume)?;
    let Location::InPool(pool, identity) = found else { return Ok(Outcome::Done) };
    match context.orphans.may_remove(&pool, id) {
        Some(true) => {}
        Some(false) => return Ok(Outcome::Done),
        // A PersistentVolume of another name may own it: the scan looks through all of them.
        None => {
            context.scan.notify_one();
            return Ok(Outcome::Done);
        }
    }
    let Some(evidence) = gather(context, id, (&pool, &identity)).await? else {
        return Ok(Outcome::Done);
    };
    let seen = context.unfinished.orphan_since(id);
    match plan::decide(&evidence, seen, context.orphan_terms.grace, context.orphan_terms.retention)
    {
        Verdict::Owned => {
            forget(context, &pool, id);
            Ok(Outcome::Done)
        }
        Verdict::LookAgain(delay) => Ok(Outcome::RequeueOrphan(delay)),
        Verdict::Keep(why) => {
            tracing::debug!(volume = %id, why, "orphan kept");
            Ok(Outcome::Done)
        }
        Verdict::Trash => trash(context, id, &pool).await,
    }
}

async fn gather(
    context: &Context,
    id: &VolumeId,
    (pool, identity): (&PoolName, &Identity),
) -> Result<Option<Evidence>, OrphanError> {
    let content = content_of(context, pool, id).await.map_err(OrphanError::Volume)?;
    let Some(content) = content else { return Ok(None) };
    let claims = claims(context, pool, identity).await?;
    let name = id.volume_name();
    let volume = context.cluster.volume(&name).await.map_err(OrphanError::Cluster)?;
    // Last, so that no mount can come between a claim that was there and this look.
    let mounted = context.store.is_mounted(id);
    Ok(Some(Evidence { content, has_volume: volume.is_some(), claims, mounted }))
}

async fn content_of(
    context: &Context,
    pool: &PoolName,
    id: &VolumeId,
) -> Result<Option<Content>, VolumeError> {
    let (pool, ids) = (pool.clone(), vec![id.clone()]);
    let contents = context.on_disk(move |store| store.contents(&pool, &ids)).await?;
    Ok(contents.into_iter().next().map(|(_, content)| content))
}

/// Returns the claim that the volume was created for, and the one that had it last.
async fn claims(
    context: &Context,
    pool: &PoolName,
    identity: &Identity,
) -> Result<ClaimState, OrphanError> {
    let (name, id) = (pool.clone(), identity.volume.clone());
    let owner = context.on_disk(move |store| store.owner(&name, &id)).await;
    let owner = owner.map_err(OrphanError::Volume)?;
    for owner in [Some(Owner::first(identity)), owner].into_iter().flatten() {
        let state = context.cluster.claim(&ClaimRef::from(owner)).await;
        let state = state.map_err(OrphanError::Cluster)?;
        if state != ClaimState::Gone {
            return Ok(state);
        }
    }
    Ok(ClaimState::Gone)
}

async fn trash(context: &Context, id: &VolumeId, pool: &PoolName) -> Result<Outcome, OrphanError> {
    let (name, of, retention) = (pool.clone(), id.clone(), context.orphan_terms.retention);
    let now = context.clock.now().as_second();
    let moved =
        context.on_disk(move |store| store.discard_orphan(&name, &of, retention, now)).await;
    if moved.map_err(OrphanError::Volume)? == Discarded::Done {
        tracing::info!(volume = %id, %pool, "orphan moved to the trash");
        context.metrics.delete(Delete::orphan);
        context.metrics.add(OfPool::Volumes, pool, -1);
        context.trash.notify_one();
    }
    forget(context, pool, id);
    Ok(Outcome::Done)
}

fn forget(context: &Context, pool: &PoolName, id: &VolumeId) {
    let left = context.orphans.forget(pool, id);
    context.metrics.set(OfPool::Orphans, pool, left);
}
