//! Carries out the decision about a claim's size: the record and the kernel limit, the promise in the
//! claim's status, the capacity of the PersistentVolume, and the final status, in this order.
//!
//! A kill between any two steps leaves a state that the next reconciliation completes. A running pod
//! only notices that it can write more. The status follows KEP-1790: the size is promised
//! (`allocatedResources`) before the PersistentVolume has it, and the promise stays afterwards.

use super::plan::{self, Promise, Step};
use super::status;
use crate::backoff::Backoff;
use crate::cluster::{Changed, ClaimStatus, ClusterError};
use crate::context::{Context, Outcome};
use crate::metrics::Expansion;
use crate::snapshot::volume::Volume;
use fastrak_api::claim::Claim;
use fastrak_api::reason::EventReason;
use fastrak_api::volume::{QuotaGroup, VolumeId};
use fastrak_runtime::chain::Chain;
use fastrak_store::volumes::{Location, VolumeError};

/// How often a status patch is repeated after a conflict.
const TRIES: usize = 5;

/// A resize that has failed.
#[derive(Debug, thiserror::Error)]
enum ExpandError {
    #[error("the volume could not be resized")]
    Volume(#[source] VolumeError),
    #[error("its directory is missing or has no valid record")]
    NotFound,
    #[error("the new size of the volume could not be published")]
    Publish(#[source] ClusterError),
    #[error("the volume or its claim was changed concurrently")]
    Changed,
}

/// Reconciles the size of a claim whose volume is in use.
pub async fn reconcile(context: &Context, id: &VolumeId, volume: &Volume) -> Outcome {
    let Some((claim, growth)) = context.snapshot.owner(volume) else { return Outcome::Done };
    match plan::plan(&claim, &growth, volume) {
        Step::Nothing => Outcome::Done,
        Step::Tell { size } => {
            finish(context, id, &claim, set_capacity(context, &claim, &size).await)
        }
        Step::Grow { bytes, size } => {
            let told = grow(context, (id, &claim), volume, (bytes, &size)).await;
            if let Err(ExpandError::Volume(VolumeError::Full(shortage))) = &told {
                refuse(context, &claim, &size, &shortage.to_string()).await;
            }
            finish(context, id, &claim, told)
        }
    }
}

fn finish(
    context: &Context,
    id: &VolumeId,
    claim: &Claim,
    outcome: Result<(), ExpandError>,
) -> Outcome {
    let Err(error) = outcome else {
        context.metrics.expansion(Expansion::done);
        return Outcome::Done;
    };
    let refused = matches!(&error, ExpandError::Volume(VolumeError::Full(_)));
    context.metrics.expansion(if refused { Expansion::refused } else { Expansion::failed });
    let text = Chain(&error).to_string();
    if context.unfinished.should_report(id, &text) {
        let (namespace, claim_name) = (&claim.namespace, &claim.name);
        tracing::warn!(namespace, claim = claim_name, why = text, "could not resize the volume");
        context.events.on_claim(claim, EventReason::VolumeResizeFailed, text);
    }
    Outcome::Requeue(if refused { Backoff::Refused } else { Backoff::Failed })
}

async fn grow(
    context: &Context,
    (id, claim): (&VolumeId, &Claim),
    volume: &Volume,
    (bytes, size): (u64, &str),
) -> Result<(), ExpandError> {
    let limit = grow_on_disk(context, id, bytes).await?;
    if !promise(context, claim, size).await? {
        return Ok(());
    }
    match context.cluster.resize(volume, size).await.map_err(ExpandError::Publish)? {
        Changed::Done(_) => {}
        Changed::Conflict | Changed::Gone => return Err(ExpandError::Changed),
    }
    set_capacity(context, claim, size).await?;
    report_resized(context, claim, volume, (size, limit));
    Ok(())
}

/// Sets the volume's size and its kernel limit. Returns the quota group.
async fn grow_on_disk(
    context: &Context,
    id: &VolumeId,
    bytes: u64,
) -> Result<Option<QuotaGroup>, ExpandError> {
    let wanted = id.clone();
    let limit = context.on_disk(move |store| match store.find(&wanted)? {
        Location::InPool(pool, identity) => {
            store.grow(&pool, &wanted, bytes)?;
            Ok(Some(identity.limit))
        }
        _ => Ok(None),
    });
    limit.await.map_err(ExpandError::Volume)?.ok_or(ExpandError::NotFound)
}

/// Promises `size` in the claim's status. Returns `false` if the claim is gone or already has the size:
/// then the snapshot is behind the watch.
async fn promise(context: &Context, claim: &Claim, size: &str) -> Result<bool, ExpandError> {
    let now = context.clock.now();
    let stand = write(context, claim, |stand| match plan::promised(&stand.growth, size) {
        Promise::Kept | Promise::Made => None,
        Promise::ToMake => Some(status::growing((&stand.uid, &stand.version), size, now)),
    });
    let stand = stand.await?;
    Ok(stand.is_some_and(|stand| plan::promised(&stand.growth, size) != Promise::Kept))
}

/// Sets the capacity in the claim's status. The kubelet does so too, later, if a pod runs.
async fn set_capacity(context: &Context, claim: &Claim, size: &str) -> Result<(), ExpandError> {
    let status = |stand: &ClaimStatus| Some(status::grown((&stand.uid, &stand.version), size));
    write(context, claim, status).await.map(drop)
}

/// Sets the resize error in the claim's status. An event reports it too, so a failure is only logged.
async fn refuse(context: &Context, claim: &Claim, size: &str, why: &str) {
    let written = write(context, claim, |stand| {
        let is_known = stand.growth.error.as_deref() == Some(why);
        let now = fastrak_runtime::clock::now();
        (!is_known).then(|| status::refused((&stand.uid, &stand.version), size, why, now))
    });
    if let Err(error) = written.await {
        tracing::warn!(claim = claim.name, error = %Chain(&error), "could not report the resize error");
    }
}

/// Patches the current status of the claim if necessary. Returns the earlier status, or `None` if the
/// claim is gone.
async fn write(
    context: &Context,
    claim: &Claim,
    status: impl Fn(&ClaimStatus) -> Option<serde_json::Value>,
) -> Result<Option<ClaimStatus>, ExpandError> {
    for _ in 0..TRIES {
        let stand = context.cluster.claim_status(claim).await.map_err(ExpandError::Publish)?;
        let Some(stand) = stand else { return Ok(None) };
        let Some(patch) = status(&stand) else { return Ok(Some(stand)) };
        if context.cluster.write_status(claim, &patch).await.map_err(ExpandError::Publish)? {
            return Ok(Some(stand));
        }
    }
    Err(ExpandError::Changed)
}

fn report_resized(
    context: &Context,
    claim: &Claim,
    volume: &Volume,
    (size, limit): (&str, Option<QuotaGroup>),
) {
    let before = volume.capacity.as_deref().unwrap_or("less");
    let held = match limit {
        None => "; nothing in its pool enforces it",
        Some(_) => "",
    };
    let (namespace, name) = (&claim.namespace, &claim.name);
    tracing::info!(namespace, claim = name, volume = volume.name, size, "resized the volume");
    let text = format!("the volume may hold {size} now, not {before}{held}");
    context.events.on_claim(claim, EventReason::VolumeResizeSuccessful, text);
}
