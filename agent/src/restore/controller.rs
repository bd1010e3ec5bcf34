//! Carries out the decision about a claim that requests an existing volume.
//!
//! The order is: move the data to its path, record the owner, flush both to the disk, create the
//! object. A kill between any two leaves a directory without an object, which the claim's next
//! reconciliation publishes. If the claim is gone by then, the orphan scan moves the directory back
//! into the trash.

use super::import;
use super::plan::{self, Evidence, Method, Request, Step};
use super::refusal::Wait;
use crate::backoff::Backoff;
use crate::claims::{self, pv};
use crate::cluster::{Changed, ClaimState};
use crate::context::Context;
use crate::failure::{Cause, During as _, Failure, Operation};
use crate::metrics::{Restore, RestoreKind};
use crate::owners;
use crate::snapshot::VolumeView;
use crate::snapshot::volume::Volume;
use crate::unfinished::Outcome;
use fastrak_api::claim::{Claim, RestoreRequest, RestoreRequestError};
use fastrak_api::claim_ref::ClaimRef;
use fastrak_api::class::ReclaimPolicy;
use fastrak_api::reason::EventReason;
use fastrak_api::size::Bytes;
use fastrak_api::volume::{Identity, VolumeId};
use fastrak_store::volumes::trash::restore::{FoundVolume, SearchResult};
use fastrak_store::volumes::{ProvisionedVolume, Store};
use k8s_openapi::api::core::v1::PersistentVolume;

/// Reconciles a claim that requests an existing volume.
pub(crate) async fn reconcile(
    context: &Context,
    (id, claim): (&VolumeId, &Claim),
    view: &VolumeView,
    request: &Result<RestoreRequest, RestoreRequestError>,
) -> Outcome {
    let plan = match claims::plan(context, id, claim, view).await {
        Ok(plan) => plan,
        Err(outcome) => return outcome,
    };
    let (volume, method) = match request {
        Ok(RestoreRequest::Undelete(volume)) => (volume, Method::Undelete),
        Ok(RestoreRequest::Adopt(volume)) => (volume, Method::Adopt),
        Ok(RestoreRequest::Import(name)) => {
            return import::controller::reconcile(context, claim, &plan, name).await;
        }
        Err(error) => {
            context.report(id, claim, EventReason::RestoreRefused, &error.to_string());
            return Outcome::Requeue(Backoff::Refused);
        }
    };
    let request = Request { claim, plan: &plan, id: volume, method };
    match carry_out(context, &request).await {
        Ok(step) => report_step(context, &request, step),
        Err(failure) => {
            context.metrics.restore(method.into(), Restore::failed);
            context.failed(id, claim, &failure)
        }
    }
}

/// Reports the step that was carried out. Returns the outcome.
fn report_step(context: &Context, request: &Request<'_>, step: Step) -> Outcome {
    let (own, kind) = (&request.plan.spec.identity.volume, request.method.into());
    let report =
        |text: String| context.report(own, request.claim, EventReason::RestoreRefused, &text);
    match step {
        Step::Done => Outcome::Done,
        Step::Wait(wait) => {
            context.metrics.restore(kind, Restore::waiting);
            if wait == Wait::Mounted {
                context.unmounts.wake_after(request.id, own);
            }
            // A condition that resolves within a moment is not reported.
            if context.unfinished.contains(own) {
                report(wait.to_string());
            }
            Outcome::Requeue(Backoff::Busy)
        }
        Step::Refuse(refusal) => {
            context.metrics.restore(kind, Restore::refused);
            report(refusal.to_string());
            Outcome::Requeue(Backoff::Refused)
        }
        Step::Publish(known) | Step::Repoint(known, _) => {
            context.metrics.restore(kind, Restore::done);
            report_restored(context, request, &known);
            Outcome::Done
        }
    }
}

/// Decides about the request and carries out the decision. Returns it.
async fn carry_out(context: &Context, request: &Request<'_>) -> Result<Step, Failure> {
    let is_own = request.plan.spec.identity.volume == *request.id;
    // No other worker reconciles the volume meanwhile, neither for its former claim nor as an
    // orphan. The worker already holds the claim's own UID.
    let held = context.queue.try_hold(request.id);
    if held.is_none() && !is_own {
        return Ok(Step::Wait(Wait::Busy));
    }
    let step = plan::decide(request, &gather(context, request).await?);
    match &step {
        Step::Done | Step::Wait(_) | Step::Refuse(_) => {}
        Step::Publish(known) => publish(context, request, known).await?,
        Step::Repoint(known, volume) => repoint(context, request, known, volume).await?,
    }
    Ok(step)
}

async fn gather(context: &Context, request: &Request<'_>) -> Result<Evidence, Failure> {
    let id = request.id.clone();
    let data = context.on_disk(move |store| store.search(&id)).await.during(Operation::Restore)?;
    let name = request.id.volume_name();
    let volume = context.cluster.volume(&name).await.during(Operation::Restore)?;
    let (claims, namespace) = match &data {
        SearchResult::Found(known) => {
            let namespace = context.cluster.namespace(&request.claim.namespace);
            let existing = owners::first_existing(context, plan::others(request, known));
            let (existing, namespace) =
                tokio::try_join!(existing, namespace).during(Operation::Restore)?;
            (existing.map_or(ClaimState::Gone, |(_, state)| state), namespace)
        }
        // Without a volume there is nothing to check.
        _ => (ClaimState::Gone, None),
    };
    // Read last, so that a mount cannot appear between the check of the claims and this one.
    let mounted = context.store.is_mounted(request.id);
    Ok(Evidence { data, volume, claims, namespace, mounted })
}

async fn publish(
    context: &Context,
    request: &Request<'_>,
    known: &FoundVolume,
) -> Result<(), Failure> {
    let made = restore(context, request, known).await?;
    let object = object(request, known, &made);
    if !context.cluster.create(&object).await.during(Operation::Restore)? {
        return Err(Cause::Changed).during(Operation::Restore);
    }
    context.snapshot.set_published(request.id);
    context.snapshot.set_published(&request.plan.spec.identity.volume);
    Ok(())
}

/// Returns the PersistentVolume that gives the existing volume `known` to the claim.
fn object(
    request: &Request<'_>,
    known: &FoundVolume,
    made: &ProvisionedVolume,
) -> PersistentVolume {
    let (new, old) = (&request.plan.spec.identity, &known.identity);
    let reclaim_policy = match (old.reclaim_policy, new.reclaim_policy) {
        (ReclaimPolicy::Delete, ReclaimPolicy::Delete) => ReclaimPolicy::Delete,
        // The owner who retained the data may be another one than the owner of this claim.
        _ => ReclaimPolicy::Retain,
    };
    let mut plan = request.plan.clone();
    plan.size = Bytes(old.bytes).to_string();
    plan.spec.identity = Identity { class: new.class.clone(), reclaim_policy, ..old.clone() };
    pv::object(&plan, made)
}

async fn repoint(
    context: &Context,
    request: &Request<'_>,
    known: &FoundVolume,
    volume: &Volume,
) -> Result<(), Failure> {
    restore(context, request, known).await?;
    match context.cluster.repoint(volume, request.claim).await.during(Operation::Restore)? {
        Changed::Done(_) => Ok(()),
        Changed::Conflict | Changed::Gone => Err(Cause::Changed).during(Operation::Restore),
    }
}

async fn restore(
    context: &Context,
    request: &Request<'_>,
    known: &FoundVolume,
) -> Result<ProvisionedVolume, Failure> {
    let (pool, id) = (known.pool.clone(), request.id.clone());
    let owner = ClaimRef {
        namespace: request.claim.namespace.clone(),
        name: request.claim.name.clone(),
        uid: Some(request.plan.spec.identity.volume.to_string()),
    };
    let restore = move |store: &Store| store.restore(&pool, &id, &owner);
    let made = context.on_disk(restore).await.during(Operation::Restore)?;
    if known.trashed {
        context.metrics.pools.volumes.add(&known.pool, 1);
        context.trash.notify_one();
    }
    Ok(made)
}

fn report_restored(context: &Context, request: &Request<'_>, known: &FoundVolume) {
    let (claim, volume) = (request.claim, request.id.volume_name());
    let reason = match request.method {
        Method::Undelete => EventReason::VolumeUndeleted,
        Method::Adopt => EventReason::VolumeAdopted,
    };
    let from = &known.identity.claim;
    tracing::info!(
        namespace = claim.namespace,
        claim = claim.name,
        volume,
        from,
        ?reason,
        "restored a volume"
    );
    let text = format!("restored volume {volume} of the former claim {from}");
    context.events.write(claim, reason, text);
}

impl From<Method> for RestoreKind {
    fn from(method: Method) -> Self {
        match method {
            Method::Undelete => Self::undelete,
            Method::Adopt => Self::adopt,
        }
    }
}
