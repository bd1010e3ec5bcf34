//! Carries out what was decided about a claim's size: the record and the kernel's limit, that the
//! claim's status says so, the volume's object, and the status once more, in this order.
//!
//! A kill between any two leaves something that the next look finds and goes on from. A running pod
//! notices nothing but that it can write more. The status is as KEP-1790 has it: the size is promised
//! before the object says it (`allocatedResources`), and the promise stays when it has been kept.

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

/// How often a status is written anew because somebody else was quicker.
const TRIES: usize = 5;

/// A volume could not grow this time.
#[derive(Debug, thiserror::Error)]
enum ExpandError {
    #[error("the volume could not grow")]
    Volume(#[source] VolumeError),
    #[error("its directory cannot be found, or is not proven to be the volume's")]
    NotFound,
    #[error("what the volume may hold now could not be published")]
    Publish(#[source] ClusterError),
    #[error("the volume or its claim was changed by someone else at the same moment")]
    Changed,
}

/// Looks at the size of a claim whose volume is in use.
pub async fn reconcile(context: &Context, id: &VolumeId, volume: &Volume) -> Outcome {
    let Some((claim, growth)) = context.snapshot.owner(volume) else { return Outcome::Done };
    match plan::plan(&claim, &growth, volume) {
        Step::Nothing => Outcome::Done,
        Step::Tell { size } => finish(context, id, &claim, tell(context, &claim, &size).await),
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
        tracing::warn!(namespace, claim = claim_name, why = text, "volume not grown");
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
    let limit = hold(context, id, bytes).await?;
    if !promise(context, claim, size).await? {
        return Ok(());
    }
    match context.cluster.resize(volume, size).await.map_err(ExpandError::Publish)? {
        Changed::Done(_) => {}
        Changed::Conflict | Changed::Gone => return Err(ExpandError::Changed),
    }
    tell(context, claim, size).await?;
    say_grown(context, claim, volume, (size, limit));
    Ok(())
}

/// Lets the volume hold so much; returns how it is held to that.
async fn hold(
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

/// Has the claim say that its volume is about to hold `size`. Returns `false` if the claim is gone, or
/// has that already: then the memory is behind, and the watch is about to show it.
async fn promise(context: &Context, claim: &Claim, size: &str) -> Result<bool, ExpandError> {
    let now = context.clock.now();
    let stand = write(context, claim, |stand| match plan::promised(&stand.growth, size) {
        Promise::Kept | Promise::Made => None,
        Promise::ToMake => Some(status::growing((&stand.uid, &stand.version), size, now)),
    });
    let stand = stand.await?;
    Ok(stand.is_some_and(|stand| plan::promised(&stand.growth, size) != Promise::Kept))
}

/// Has the claim say what its volume may hold. The kubelet does so too, if a pod runs, and later.
async fn tell(context: &Context, claim: &Claim, size: &str) -> Result<(), ExpandError> {
    let status = |stand: &ClaimStatus| Some(status::grown((&stand.uid, &stand.version), size));
    write(context, claim, status).await.map(drop)
}

/// Has the claim say that it asks for too much. It is told by an event as well, so that an error
/// here is only logged.
async fn refuse(context: &Context, claim: &Claim, size: &str, why: &str) {
    let written = write(context, claim, |stand| {
        let is_known = stand.growth.error.as_deref() == Some(why);
        let now = fastrak_runtime::clock::now();
        (!is_known).then(|| status::refused((&stand.uid, &stand.version), size, why, now))
    });
    if let Err(error) = written.await {
        tracing::warn!(claim = claim.name, error = %Chain(&error), "could not say why it cannot grow");
    }
}

/// Writes the claim's status as it is at this moment, unless it need not be written. Returns what it
/// was before; `None` if the claim is gone.
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

fn say_grown(
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
    tracing::info!(namespace, claim = name, volume = volume.name, size, "volume grown");
    let text = format!("the volume may hold {size} now, not {before}{held}");
    context.events.on_claim(claim, EventReason::VolumeResizeSuccessful, text);
}
