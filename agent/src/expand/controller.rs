//! Carries out the decision about a claim's size: the record and the kernel limit, the promise in
//! the claim's status, the capacity of the PersistentVolume, and the final status, in this order.
//!
//! A kill between any two steps leaves a state that the next reconciliation completes. A running
//! pod only notices that it can write more. The status follows KEP-1790: the size is promised
//! (`allocatedResources`) before the PersistentVolume has it, and the promise stays afterwards.

use super::plan::{self, Promise, Step};
use super::status;
use crate::cluster::{Changed, ClaimStatus};
use crate::context::Context;
use crate::events;
use crate::failure::{Cause, During as _, Failure, Operation};
use crate::metrics::Expansion;
use crate::snapshot::volume::Volume;
use crate::unfinished::Outcome;
use fastrak_api::claim::Claim;
use fastrak_api::reason::EventReason;
use fastrak_api::volume::{QuotaGroup, VolumeId};
use fastrak_runtime::chain::Chain;
use fastrak_store::volumes::Location;

/// How often a status patch is repeated after a conflict.
const ATTEMPTS: usize = 5;

/// Reconciles the size of a volume and of its claim.
pub(crate) async fn reconcile(context: &Context, id: &VolumeId, volume: &Volume) -> Outcome {
    let Some((claim, growth)) = context.snapshot.owner(volume) else { return Outcome::Done };
    let resized = match plan::plan(&claim, &growth, volume) {
        Step::Nothing => return Outcome::Done,
        Step::UpdateStatus { size } => set_capacity(context, &claim, &size).await,
        Step::Grow { bytes, size } => {
            let grown = grow(context, (id, &claim), volume, (bytes, &size)).await;
            if let Err(failure) = &grown
                && let [shortage] = failure.shortages()
            {
                refuse(context, &claim, &size, &shortage.to_string()).await;
            }
            grown
        }
    };
    let Err(failure) = resized else {
        context.metrics.expansion(Expansion::done);
        return Outcome::Done;
    };
    let is_full = !failure.shortages().is_empty();
    context.metrics.expansion(if is_full { Expansion::refused } else { Expansion::failed });
    context.failed(id, &claim, &failure)
}

async fn grow(
    context: &Context,
    (id, claim): (&VolumeId, &Claim),
    volume: &Volume,
    (bytes, size): (u64, &str),
) -> Result<(), Failure> {
    let limit = grow_on_disk(context, id, bytes).await?;
    if !promise(context, claim, size).await? {
        return Ok(());
    }
    match context.cluster.resize(volume, size).await.during(Operation::PublishSize)? {
        Changed::Done(_) => {}
        Changed::Conflict | Changed::Gone => {
            return Err(Cause::Changed).during(Operation::PublishSize);
        }
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
) -> Result<Option<QuotaGroup>, Failure> {
    let wanted = id.clone();
    let limit = context.on_disk(move |store| match store.find(&wanted)? {
        Location::InPool(pool, identity) => {
            store.grow(&pool, &wanted, bytes)?;
            Ok(Some(identity.limit))
        }
        _ => Ok(None),
    });
    limit.await.during(Operation::Resize)?.ok_or(Cause::NoDirectory).during(Operation::Resize)
}

/// Promises `size` in the claim's status. Returns `false` if the claim is gone or already has the
/// size: then the snapshot is behind the watch.
async fn promise(context: &Context, claim: &Claim, size: &str) -> Result<bool, Failure> {
    let now = context.clock.now();
    let earlier = write(context, claim, |status| match plan::promised(&status.growth, size) {
        Promise::Kept | Promise::Made => None,
        Promise::ToMake => Some(status::growing(status, size, now)),
    });
    let earlier = earlier.await?;
    Ok(earlier.is_some_and(|earlier| plan::promised(&earlier.growth, size) != Promise::Kept))
}

/// Sets the capacity in the claim's status. The kubelet does so too, later, if a pod runs.
async fn set_capacity(context: &Context, claim: &Claim, size: &str) -> Result<(), Failure> {
    let patch = |status: &ClaimStatus| Some(status::grown(status, size));
    write(context, claim, patch).await.map(drop)
}

/// Sets the resize error in the claim's status. An event reports it too, so a failure is only
/// logged.
async fn refuse(context: &Context, claim: &Claim, size: &str, why: &str) {
    let now = context.clock.now();
    let written = write(context, claim, |status| {
        let is_known = status.growth.error.as_deref() == Some(why);
        (!is_known).then(|| status::refused(status, size, why, now))
    });
    if let Err(error) = written.await {
        tracing::warn!(claim = claim.name, error = %Chain(&error), "could not report the resize error");
    }
}

/// Patches the current status of the claim if necessary. Returns the earlier status, or `None` if
/// the claim is gone.
async fn write(
    context: &Context,
    claim: &Claim,
    patch: impl Fn(&ClaimStatus) -> Option<serde_json::Value>,
) -> Result<Option<ClaimStatus>, Failure> {
    for _ in 0..ATTEMPTS {
        let status = context.cluster.claim_status(claim).await.during(Operation::PublishSize)?;
        let Some(status) = status else { return Ok(None) };
        let Some(patch) = patch(&status) else { return Ok(Some(status)) };
        if context.cluster.write_status(claim, &patch).await.during(Operation::PublishSize)? {
            return Ok(Some(status));
        }
    }
    Err(Cause::Changed).during(Operation::PublishSize)
}

fn report_resized(
    context: &Context,
    claim: &Claim,
    volume: &Volume,
    (size, limit): (&str, Option<QuotaGroup>),
) {
    let before = volume.capacity.as_deref().unwrap_or("an unknown size");
    let enforced = events::enforcement(limit);
    let (namespace, name) = (&claim.namespace, &claim.name);
    tracing::info!(namespace, claim = name, volume = volume.name, size, "resized the volume");
    let text = format!("resized the volume from {before} to {size}{enforced}");
    context.events.write(claim, EventReason::VolumeResizeSuccessful, text);
}
