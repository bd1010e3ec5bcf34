//! Carries out the decision about a claim that requests an existing volume.
//!
//! The order is: move the data to its path, record the owner, flush both to the disk, create the object.
//! A kill between any two leaves a directory without an object, which the claim's next reconciliation
//! publishes. If the claim is gone by then, the orphan scan moves the directory back into the trash.

use super::plan::{self, Ask, Evidence, Step, Way};
use super::refusal::Wait;
use super::report::report_failure;
use super::{import, publish};
use crate::backoff::Backoff;
use crate::cluster::{Changed, ClaimState, ClusterError};
use crate::context::{Context, Outcome};
use crate::metrics::{Act, OfPool, Restore};
use crate::provision::controller as provision;
use crate::provision::plan::Decision;
use crate::snapshot::About;
use crate::snapshot::volume::{ClaimRef, Volume};
use fastrak_api::claim::{Claim, RestoreRequest, RestoreRequestError};
use fastrak_api::reason::EventReason;
use fastrak_runtime::chain::Chain;
use fastrak_store::volumes::records::owner::Owner;
use fastrak_store::volumes::trash::restore::{FoundVolume, SearchResult};
use fastrak_store::volumes::{ProvisionedVolume, VolumeError};

/// A restore that has failed.
#[derive(Debug, thiserror::Error)]
enum RestoreError {
    #[error("the volume could not be restored")]
    Volume(#[source] VolumeError),
    #[error("the request to the API server failed")]
    Cluster(#[source] ClusterError),
    #[error("the volume was changed concurrently")]
    Changed,
}

/// Reconciles a claim that requests an existing volume.
pub async fn reconcile(
    context: &Context,
    claim: &Claim,
    about: &About,
    wish: &Result<RestoreRequest, RestoreRequestError>,
) -> Outcome {
    let plan = match provision::decide(context, claim, about).await {
        Ok(Decision::Ignore(_)) => return Outcome::Done,
        Ok(Decision::Reject(rejection)) => return provision::reject(context, claim, &rejection),
        Ok(Decision::Make(plan)) => plan,
        Err(error) => return provision::undecided(context, claim, &error),
    };
    let (id, way) = match wish {
        Ok(RestoreRequest::Undelete(id)) => (id, Way::Undelete),
        Ok(RestoreRequest::Adopt(id)) => (id, Way::Adopt),
        Ok(RestoreRequest::Import(name)) => {
            return import::controller::reconcile(context, claim, &plan, name).await;
        }
        Err(error) => {
            report_failure(context, &plan, claim, &error.to_string());
            return Outcome::Requeue(Backoff::Refused);
        }
    };
    let ask = Ask { claim, plan: &plan, id, way };
    give(context, &ask).await.unwrap_or_else(|error| {
        context.metrics.restore(way.into(), Restore::failed);
        report_failure(context, &plan, claim, &Chain(&error).to_string());
        Outcome::Requeue(Backoff::Failed)
    })
}

async fn give(context: &Context, ask: &Ask<'_>) -> Result<Outcome, RestoreError> {
    let step = work(context, ask).await?;
    let act = ask.way.into();
    Ok(match step {
        Step::Done => Outcome::Done,
        Step::Wait(wait) => {
            context.metrics.restore(act, Restore::waiting);
            if wait == Wait::Mounted {
                context.unmounts.wake_after(ask.id, &ask.plan.spec.identity.volume);
            }
            // A condition that resolves within a moment is not reported.
            if context.unfinished.since(&ask.plan.spec.identity.volume).is_some() {
                report_failure(context, ask.plan, ask.claim, &wait.to_string());
            }
            Outcome::Requeue(Backoff::Busy)
        }
        Step::Refuse(refusal) => {
            context.metrics.restore(act, Restore::refused);
            report_failure(context, ask.plan, ask.claim, &refusal.to_string());
            Outcome::Requeue(Backoff::Refused)
        }
        Step::Publish(known) | Step::Repoint(known, _) => {
            context.metrics.restore(act, Restore::done);
            report_given(context, ask, &known);
            Outcome::Done
        }
    })
}

async fn work(context: &Context, ask: &Ask<'_>) -> Result<Step, RestoreError> {
    let own = ask.plan.spec.identity.volume == *ask.id;
    // No other worker reconciles the volume meanwhile, neither for its former claim nor as an orphan. The
    // worker already holds the claim's own UID.
    let held = context.queue.try_hold(ask.id);
    if held.is_none() && !own {
        return Ok(Step::Wait(Wait::Busy));
    }
    let step = plan::decide(ask, &gather(context, ask).await?);
    match &step {
        Step::Done | Step::Wait(_) | Step::Refuse(_) => {}
        Step::Publish(known) => publish(context, ask, known).await?,
        Step::Repoint(known, volume) => repoint(context, ask, known, volume).await?,
    }
    Ok(step)
}

async fn gather(context: &Context, ask: &Ask<'_>) -> Result<Evidence, RestoreError> {
    let id = ask.id.clone();
    let data = context.on_disk(move |store| store.search(&id)).await;
    let data = data.map_err(RestoreError::Volume)?;
    let name = ask.id.volume_name();
    let volume = context.cluster.volume(&name).await.map_err(RestoreError::Cluster)?;
    let (claims, namespace) = match &data {
        SearchResult::Found(known) => {
            let namespace = context.cluster.namespace(&ask.claim.namespace);
            let asked = tokio::try_join!(claims(context, ask, known), namespace);
            asked.map_err(RestoreError::Cluster)?
        }
        // Without a volume there is nothing to check.
        _ => (ClaimState::Gone, None),
    };
    // Read last, so that a mount cannot appear between the check of the claims and this one.
    let mounted = context.store.is_mounted(ask.id);
    Ok(Evidence { data, volume, claims, namespace, mounted })
}

/// Returns the state of the original and the last claim of the volume.
async fn claims(
    context: &Context,
    ask: &Ask<'_>,
    known: &FoundVolume,
) -> Result<ClaimState, ClusterError> {
    for owner in plan::others(ask, known) {
        let state = context.cluster.claim(&ClaimRef::from(owner)).await?;
        if state != ClaimState::Gone {
            return Ok(state);
        }
    }
    Ok(ClaimState::Gone)
}

async fn publish(
    context: &Context,
    ask: &Ask<'_>,
    known: &FoundVolume,
) -> Result<(), RestoreError> {
    let made = restore(context, ask, known).await?;
    let object = publish::object(ask.plan, known, &made, ask.claim);
    if !context.cluster.create(&object).await.map_err(RestoreError::Cluster)? {
        return Err(RestoreError::Changed);
    }
    context.snapshot.set_published(ask.id);
    context.snapshot.set_published(&ask.plan.spec.identity.volume);
    Ok(())
}

async fn repoint(
    context: &Context,
    ask: &Ask<'_>,
    known: &FoundVolume,
    volume: &Volume,
) -> Result<(), RestoreError> {
    restore(context, ask, known).await?;
    match context.cluster.repoint(volume, ask.claim).await.map_err(RestoreError::Cluster)? {
        Changed::Done(_) => Ok(()),
        Changed::Conflict | Changed::Gone => Err(RestoreError::Changed),
    }
}

async fn restore(
    context: &Context,
    ask: &Ask<'_>,
    known: &FoundVolume,
) -> Result<ProvisionedVolume, RestoreError> {
    let (pool, id) = (known.pool.clone(), ask.id.clone());
    let owner = Owner {
        namespace: ask.claim.namespace.clone(),
        claim: ask.claim.name.clone(),
        uid: ask.plan.spec.identity.volume.to_string(),
    };
    let made = context.on_disk(move |store| store.restore(&pool, &id, &owner)).await;
    let made = made.map_err(RestoreError::Volume)?;
    if known.trashed {
        context.metrics.add(OfPool::Volumes, &known.pool, 1);
        context.trash.notify_one();
    }
    Ok(made)
}

fn report_given(context: &Context, ask: &Ask<'_>, known: &FoundVolume) {
    let (claim, volume) = (ask.claim, ask.id.volume_name());
    let reason = match ask.way {
        Way::Undelete => EventReason::VolumeUndeleted,
        Way::Adopt => EventReason::VolumeAdopted,
    };
    let from = &known.identity.claim;
    tracing::info!(
        namespace = claim.namespace,
        claim = claim.name,
        volume,
        from,
        ?reason,
        "gave the claim a volume"
    );
    let text = format!("the claim has volume {volume} of former claim {from}");
    context.events.on_claim(claim, reason, text);
}

impl From<Way> for Act {
    fn from(way: Way) -> Self {
        match way {
            Way::Undelete => Self::undelete,
            Way::Adopt => Self::adopt,
        }
    }
}
