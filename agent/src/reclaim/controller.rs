//! Carries out the decision about a released volume.
//!
//! The order is: delete the PersistentVolume if it is unchanged since the decision; move the data
//! into the trash; remove the finalizer. The deletion comes first because it is the only step that
//! the API server can make conditional: a volume that an administrator has just given to another
//! claim, or asked to retain, stays. The deletion cannot be undone. The finalizer is removed last,
//! so a kill leaves it in place and the next start continues by the same rules.

use super::evidence;
use super::plan::{self, Reason, Step};
use super::retain;
use crate::backoff::Backoff;
use crate::cluster::Changed;
use crate::context::Context;
use crate::failure::{Cause, During as _, Failure, Operation};
use crate::metrics::{Delete, Timer};
use crate::owners;
use crate::role::VolumeState;
use crate::snapshot::volume::Volume;
use crate::unfinished::Outcome;
use fastrak_api::claim_ref::ClaimRef;
use fastrak_api::pool::PoolName;
use fastrak_api::reason::EventReason;
use fastrak_api::volume::VolumeId;
use fastrak_store::volumes::trash::discard::TrashMetadata;
use fastrak_store::volumes::{Location, Store};
use std::time::Duration;

/// How long a volume may stay mounted before it is reported: a terminating pod keeps it for a
/// while.
const REPORT_MOUNTED_AFTER: Duration = Duration::from_secs(30);

/// How often the removal of the finalizer is repeated: others remove theirs concurrently.
const FINALIZE_ATTEMPTS: usize = 5;

/// Reconciles a volume that may have to be deleted.
pub(crate) async fn reconcile(context: &Context, id: &VolumeId, volume: &Volume) -> Outcome {
    delete(context, id, volume).await.unwrap_or_else(|failure| {
        context.metrics.delete(Delete::failed);
        context.failed(id, volume, &failure)
    })
}

async fn delete(context: &Context, id: &VolumeId, seen: &Volume) -> Result<Outcome, Failure> {
    let timer = Timer::start(&context.metrics.delete_duration);
    let Some(volume) = current(context, seen).await? else { return Ok(Outcome::Done) };
    let evidence = evidence::gather(context, id, &volume).await?;
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
/// happens to the data follows the deletion, which the API server refuses if the UID or the
/// resource version has changed. An object that is being deleted cannot be deleted conditionally
/// again, so it is read again: it may have been given to another claim, or its policy may have
/// changed.
async fn current(context: &Context, seen: &Volume) -> Result<Option<Volume>, Failure> {
    if !seen.deleting {
        return Ok(Some(seen.clone()));
    }
    let live = context.cluster.volume(&seen.name).await.during(Operation::Delete)?;
    Ok(live.filter(|live| VolumeState::of(live, &context.node) == Some(VolumeState::Ending)))
}

async fn carry_out(
    context: &Context,
    id: &VolumeId,
    volume: Volume,
    (step, data): (Step, Location),
) -> Result<Outcome, Failure> {
    let outcome = match &step {
        Step::Wait(_) => return Ok(Outcome::Done),
        Step::Release => return finalize(context, volume).await.map(|()| Outcome::Done),
        Step::Keep(pool) => {
            retain::keep(context, pool, id).await?;
            let name = &volume.name;
            tracing::info!(volume = name, %pool, directory = %id, "deleting the object and keeping the data");
            context.metrics.delete(Delete::kept);
            return finalize(context, volume).await.map(|()| Outcome::Done);
        }
        Step::Trash(_) | Step::Finish => Delete::trashed,
        Step::FinishMissing => Delete::missing,
    };
    let owner = volume.owner().cloned();
    // Read before the deletion: afterwards the namespace may be deleted.
    let metadata = trash_metadata(context, owner, &data).await?;
    let marked = match mark_deleted(context, volume).await? {
        Changed::Done(marked) => *marked,
        // The watch delivers the change, and the volume is reconciled again.
        Changed::Conflict => return Ok(Outcome::Requeue(Backoff::Busy)),
        // Another client has removed the object. Nothing proves that its data was to be deleted.
        Changed::Gone => return Ok(Outcome::Done),
    };
    match step {
        Step::Trash(pool) => discard(context, &pool, id, metadata).await?,
        _ => sync_trash(context).await?,
    }
    if outcome == Delete::missing {
        let text = format!(
            "the directory of volume {} is in no pool of node {}; only the PersistentVolume is \
             deleted; restore the data from a backup if it is needed",
            marked.name, context.node
        );
        context.warn(&marked, EventReason::VolumeDataMissing, &text);
    }
    let (name, uid) = (marked.name.clone(), marked.uid.clone());
    finalize(context, marked).await?;
    // The watch is a moment behind: without this, the volume would be reconciled again.
    context.snapshot.forget_volume(id, &uid);
    tracing::info!(volume = name, ?outcome, "deleted the volume");
    context.metrics.delete(outcome);
    Ok(Outcome::Done)
}

/// Deletes the object if it is unchanged since the decision. Returns its state afterwards.
async fn mark_deleted(context: &Context, volume: Volume) -> Result<Changed, Failure> {
    if volume.deleting {
        return Ok(Changed::Done(Box::new(volume)));
    }
    context.cluster.delete(&volume).await.during(Operation::Delete)
}

async fn finalize(context: &Context, volume: Volume) -> Result<(), Failure> {
    let mut volume = volume;
    for _ in 0..FINALIZE_ATTEMPTS {
        match context.cluster.finalize(&volume).await.during(Operation::Delete)? {
            Changed::Done(_) | Changed::Gone => return Ok(()),
            Changed::Conflict => {}
        }
        match context.cluster.volume(&volume.name).await.during(Operation::Delete)? {
            Some(live) if live.uid == volume.uid => volume = live,
            _ => return Ok(()),
        }
    }
    Err(Cause::Changed).during(Operation::Delete)
}

/// Returns what to record in the trash. The namespace is needed only if the volume can be restored.
async fn trash_metadata(
    context: &Context,
    owner: Option<ClaimRef>,
    data: &Location,
) -> Result<TrashMetadata, Failure> {
    let now = context.clock.now().as_second();
    let namespace_uid = match (data, &owner) {
        (Location::InPool(_, identity), Some(owner)) if identity.trash_seconds.is_some() => {
            owners::namespace_uid(context, owner, identity).await.during(Operation::Trash)?
        }
        _ => None,
    };
    Ok(TrashMetadata { owner, namespace_uid, now })
}

async fn discard(
    context: &Context,
    pool: &PoolName,
    id: &VolumeId,
    metadata: TrashMetadata,
) -> Result<(), Failure> {
    let (name, id) = (pool.clone(), id.clone());
    let discard = move |store: &Store| store.discard(&name, &id, &metadata);
    if context.on_disk(discard).await.during(Operation::Trash)? {
        context.metrics.pools.volumes.add(pool, -1);
        context.trash.notify_one();
        context.wake_waiting();
    }
    Ok(())
}

/// Flushes the trash. After the object is gone, nothing else knows that the data was deleted.
async fn sync_trash(context: &Context) -> Result<(), Failure> {
    context.on_disk(Store::sync_trash).await.during(Operation::Trash)
}

fn wait(context: &Context, id: &VolumeId, volume: &Volume, reason: &Reason) -> Outcome {
    let (should_report, backoff) = match reason {
        Reason::ClaimExists => (false, Backoff::Refused),
        Reason::Mounted => {
            context.unmounts.wake_after(id, id);
            (context.unfinished.waited(id) >= REPORT_MOUNTED_AFTER, Backoff::Busy)
        }
        Reason::MountsUnknown => (true, Backoff::Busy),
        Reason::RecordedClaimExists { .. }
        | Reason::UsedElsewhere { .. }
        | Reason::ForeignPath { .. }
        | Reason::Unverified { .. }
        | Reason::PoolUnusable { .. } => (true, Backoff::Refused),
    };
    if should_report {
        context.report(id, volume, EventReason::VolumeFailedDelete, &reason.to_string());
    }
    Outcome::Requeue(backoff)
}
