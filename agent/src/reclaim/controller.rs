//! Carries out the decision about a released volume.
//!
//! The order is: delete the PersistentVolume if it is unchanged since the decision; move the data into
//! the trash; remove the finalizer. The deletion comes first because it is the only step that the API
//! server can make conditional: a volume that an administrator has just given to another claim, or
//! asked to retain, stays. The deletion cannot be undone. The finalizer is removed last, so a kill leaves
//! it in place and the next start continues by the same rules.

use super::owners;
use super::plan::{self, Evidence, Interest, Reason, Step};
use crate::backoff::Backoff;
use crate::cluster::{Changed, ClaimState, ClusterError};
use crate::context::{Context, Outcome};
use crate::expand;
use crate::metrics::{Delete, OfPool};
use crate::snapshot::volume::{ClaimRef, Phase, Volume};
use fastrak_api::class::ReclaimPolicy;
use fastrak_api::pool::PoolName;
use fastrak_api::reason::EventReason;
use fastrak_api::volume::VolumeId;
use fastrak_runtime::chain::Chain;
use fastrak_store::volumes::orphan::Content;
use fastrak_store::volumes::trash::discard::TrashMetadata;
use fastrak_store::volumes::{Location, Store, VolumeError};
use std::time::Duration;

/// How long a volume may stay mounted before it is reported: a terminating pod keeps it for a while.
const PATIENCE: Duration = Duration::from_secs(30);

/// How often the removal of the finalizer is repeated: others remove theirs concurrently.
const FINALIZE_TRIES: usize = 5;

/// A reclamation that has failed.
#[derive(Debug, thiserror::Error)]
pub(super) enum ReclaimError {
    #[error("the volume's data could not be moved into the trash")]
    Volume(#[source] VolumeError),
    #[error("the volume's deletion could not be written to the API server")]
    Cluster(#[source] ClusterError),
    #[error("the volume was changed concurrently")]
    Changed,
}

/// Reconciles a volume. Returns `None` if it is not this agent's.
pub async fn reconcile(context: &Context, id: &VolumeId, volume: &Volume) -> Option<Outcome> {
    let outcome = match plan::interest(volume, &context.node) {
        Interest::NotOurs => return None,
        Interest::InUse => in_use(context, id, volume).await,
        Interest::Keep => record_keep(context, id, volume).await,
        Interest::Ending => end(context, id, volume).await,
    };
    Some(outcome.unwrap_or_else(|error| {
        context.metrics.delete(Delete::failed);
        report(context, id, volume, &Chain(&error).to_string());
        Outcome::Requeue(Backoff::Failed)
    }))
}

/// Records on the disk that the volume is retained: an administrator may have changed the policy after
/// its creation, and the API objects may be lost one day.
async fn record_keep(
    context: &Context,
    id: &VolumeId,
    volume: &Volume,
) -> Result<Outcome, ReclaimError> {
    owners::record_owner(context, id, volume).await?;
    if let Location::InPool(pool, identity) = find(context, id).await? {
        if identity.reclaim_policy == ReclaimPolicy::Delete {
            keep(context, &pool, id).await?;
        }
        if volume.phase == Phase::Released {
            owners::note_namespace(context, (&pool, &identity), volume).await?;
        }
    }
    Ok(expand::controller::reconcile(context, id, volume).await)
}

async fn in_use(
    context: &Context,
    id: &VolumeId,
    volume: &Volume,
) -> Result<Outcome, ReclaimError> {
    owners::record_owner(context, id, volume).await?;
    Ok(expand::controller::reconcile(context, id, volume).await)
}

async fn end(context: &Context, id: &VolumeId, seen: &Volume) -> Result<Outcome, ReclaimError> {
    let timer = context.metrics.time_delete();
    let Some(volume) = to_decide_upon(context, seen).await? else { return Ok(Outcome::Done) };
    let evidence = gather(context, id, &volume).await?;
    match plan::decide(&volume, id, &evidence) {
        Step::Wait(reason) => {
            context.metrics.delete(Delete::waiting);
            Ok(wait(context, id, &volume, &reason))
        }
        step => {
            let outcome = carry_out(context, id, volume, (step, evidence.data)).await?;
            drop(timer);
            Ok(outcome)
        }
    }
}

/// Returns the volume to decide about, or `None` if it is gone.
///
/// The watch may be behind. That is harmless while the object is not being deleted: everything that
/// happens to the data follows the deletion, which the API server refuses if the UID or the resource
/// version has changed. An object that is being deleted cannot be deleted conditionally again, so it is
/// read again: it may have been given to another claim, or its policy may have changed.
async fn to_decide_upon(context: &Context, seen: &Volume) -> Result<Option<Volume>, ReclaimError> {
    if !seen.deleting {
        return Ok(Some(seen.clone()));
    }
    let live = context.cluster.volume(&seen.name).await.map_err(ReclaimError::Cluster)?;
    Ok(live.filter(|live| plan::interest(live, &context.node) == Interest::Ending))
}

async fn gather(
    context: &Context,
    id: &VolumeId,
    volume: &Volume,
) -> Result<Evidence, ReclaimError> {
    let claim = async {
        match &volume.claim {
            Some(claim) => context.cluster.claim(claim).await.map_err(ReclaimError::Cluster),
            None => Ok(ClaimState::Gone),
        }
    };
    let (claim, data) = tokio::try_join!(claim, find(context, id))?;
    let recorded = owners::recorded(context, volume, &data).await?;
    let is_empty = match (&claim, &data) {
        (ClaimState::Bound(_), Location::InPool(pool, _)) => is_empty(context, pool, id).await?,
        _ => false,
    };
    // Last, so that no mount can come between a claim that was there and this look.
    Ok(Evidence { claim, is_empty, recorded, data, mounted: context.store.is_mounted(id) })
}

async fn is_empty(context: &Context, pool: &PoolName, id: &VolumeId) -> Result<bool, ReclaimError> {
    let (pool, ids) = (pool.clone(), vec![id.clone()]);
    let contents = context.on_disk(move |store| store.contents(&pool, &ids)).await;
    let contents = contents.map_err(ReclaimError::Volume)?;
    Ok(matches!(contents[..], [(_, Content::Empty)]))
}

async fn carry_out(
    context: &Context,
    id: &VolumeId,
    volume: Volume,
    (step, data): (Step, Location),
) -> Result<Outcome, ReclaimError> {
    let outcome = match &step {
        Step::Wait(_) => return Ok(Outcome::Done),
        Step::LetGo => return finalize(context, volume).await.map(|()| Outcome::Done),
        Step::Keep(pool) => {
            keep(context, pool, id).await?;
            let name = &volume.name;
            tracing::info!(volume = name, %pool, directory = %id, "deleting the object and keeping the data");
            context.metrics.delete(Delete::kept);
            return finalize(context, volume).await.map(|()| Outcome::Done);
        }
        Step::Trash(_) | Step::Finish => Delete::trashed,
        Step::FinishMissing => Delete::missing,
    };
    let owner = volume.claim.as_ref().and_then(ClaimRef::owner);
    // Before the deletion: once that is done, the namespace may go.
    let metadata = owners::trash_metadata(context, owner, &data).await?;
    let marked = match mark_deleted(context, volume).await? {
        Changed::Done(marked) => *marked,
        // The watch brings what it is now, and the volume is looked at again.
        Changed::Conflict => return Ok(Outcome::Requeue(Backoff::Busy)),
        // It was seen before it went, and nobody can say whether its data was to go.
        Changed::Gone => return Ok(Outcome::Done),
    };
    match step {
        Step::Trash(pool) => discard(context, &pool, id, metadata).await?,
        _ => sync_trash(context).await?,
    }
    if outcome == Delete::missing {
        let text = "its directory is in none of this node's pools; only its object is deleted";
        context.events.on_volume(&marked, EventReason::VolumeDataMissing, text);
    }
    let (name, uid) = (marked.name.clone(), marked.uid.clone());
    finalize(context, marked).await?;
    // The watch is a moment behind: without this, the volume would be asked for once more.
    context.snapshot.forget_volume(id, &uid);
    tracing::info!(volume = name, ?outcome, "deleted the volume");
    context.metrics.delete(outcome);
    Ok(Outcome::Done)
}

/// Deletes the object if it is unchanged since the decision. Returns its state afterwards.
async fn mark_deleted(context: &Context, volume: Volume) -> Result<Changed, ReclaimError> {
    if volume.deleting {
        return Ok(Changed::Done(Box::new(volume)));
    }
    context.cluster.delete(&volume).await.map_err(ReclaimError::Cluster)
}

async fn finalize(context: &Context, volume: Volume) -> Result<(), ReclaimError> {
    let mut volume = volume;
    for _ in 0..FINALIZE_TRIES {
        match context.cluster.finalize(&volume).await.map_err(ReclaimError::Cluster)? {
            Changed::Done(_) | Changed::Gone => return Ok(()),
            Changed::Conflict => {}
        }
        let live = context.cluster.volume(&volume.name).await.map_err(ReclaimError::Cluster)?;
        match live {
            Some(live) if live.uid == volume.uid => volume = live,
            _ => return Ok(()),
        }
    }
    Err(ReclaimError::Changed)
}

pub(super) async fn find(context: &Context, id: &VolumeId) -> Result<Location, ReclaimError> {
    let id = id.clone();
    context.on_disk(move |store| store.find(&id)).await.map_err(ReclaimError::Volume)
}

async fn keep(context: &Context, pool: &PoolName, id: &VolumeId) -> Result<(), ReclaimError> {
    let (pool, id) = (pool.clone(), id.clone());
    context.on_disk(move |store| store.keep(&pool, &id)).await.map_err(ReclaimError::Volume)
}

async fn discard(
    context: &Context,
    pool: &PoolName,
    id: &VolumeId,
    metadata: TrashMetadata,
) -> Result<(), ReclaimError> {
    let (name, id) = (pool.clone(), id.clone());
    let moved = context.on_disk(move |store| store.discard(&name, &id, &metadata)).await;
    if moved.map_err(ReclaimError::Volume)? {
        context.metrics.add(OfPool::Volumes, pool, -1);
        context.trash.notify_one();
        context.wake_waiting();
    }
    Ok(())
}

/// Flushes the trash. After the object is gone, nothing else knows that the data was deleted.
async fn sync_trash(context: &Context) -> Result<(), ReclaimError> {
    context.on_disk(Store::sync_trash).await.map_err(ReclaimError::Volume)
}

fn wait(context: &Context, id: &VolumeId, volume: &Volume, reason: &Reason) -> Outcome {
    let (should_report, pace) = match reason {
        Reason::ClaimExists => (false, Backoff::Refused),
        Reason::Mounted => {
            context.unmounts.wake_after(id, id);
            let waited = context.unfinished.since(id).unwrap_or_default();
            (waited >= PATIENCE, Backoff::Busy)
        }
        Reason::MountsUnknown => (true, Backoff::Busy),
        Reason::RecordedClaimExists { .. }
        | Reason::UsedElsewhere { .. }
        | Reason::ForeignPath { .. }
        | Reason::Unverified { .. }
        | Reason::PoolUnusable { .. } => (true, Backoff::Refused),
    };
    if should_report {
        report(context, id, volume, &reason.to_string());
    }
    Outcome::Requeue(pace)
}

fn report(context: &Context, id: &VolumeId, volume: &Volume, text: &str) {
    if context.unfinished.should_report(id, text) {
        tracing::warn!(volume = volume.name, why = text, "could not delete the volume");
        context.events.on_volume(volume, EventReason::VolumeFailedDelete, text);
    }
}
