//! Carries out the decision about a claim: creates the directory, then the PersistentVolume.
//!
//! The PersistentVolume names its claim by UID; the controller manager binds them.

use crate::backoff::Backoff;
use crate::claims::plan::Plan;
use crate::claims::{self, pv};
use crate::context::Context;
use crate::events;
use crate::eviction;
use crate::failure::{Cause, During as _, Failure, Operation};
use crate::metrics::{Provision, Timer};
use crate::snapshot::VolumeView;
use crate::unfinished::Outcome;
use fastrak_api::claim::Claim;
use fastrak_api::reason::EventReason;
use fastrak_api::volume::VolumeId;
use fastrak_store::volumes::ProvisionedVolume;

/// Reconciles a claim that has no volume yet.
pub(crate) async fn reconcile(
    context: &Context,
    id: &VolumeId,
    claim: &Claim,
    view: &VolumeView,
) -> Outcome {
    let plan = match claims::plan(context, id, claim, view).await {
        Ok(plan) => plan,
        Err(outcome) => return outcome,
    };
    let timer = Timer::start(&context.metrics.provision_duration);
    let created = create(context, &plan).await;
    drop(timer);
    match created {
        Ok(volume) => {
            context.metrics.provision(Provision::created);
            report_created(context, claim, &plan, &volume);
            Outcome::Done
        }
        Err(failure) => {
            context.metrics.provision(Provision::failed);
            if eviction::evict_for_claim(context, failure.shortages(), &claim.namespace).await {
                return Outcome::Requeue(Backoff::Busy);
            }
            context.failed(id, claim, &failure)
        }
    }
}

async fn create(context: &Context, plan: &Plan) -> Result<ProvisionedVolume, Failure> {
    let spec = plan.spec.clone();
    let ensured = context.on_disk(move |store| store.ensure(&spec)).await;
    let (volume, is_new) = ensured.during(Operation::Create)?;
    if is_new {
        context.metrics.pools.volumes.add(&volume.pool, 1);
    }
    publish(context, plan, volume).await
}

async fn publish(
    context: &Context,
    plan: &Plan,
    volume: ProvisionedVolume,
) -> Result<ProvisionedVolume, Failure> {
    let object = pv::object(plan, &volume);
    if context.cluster.create(&object).await.during(Operation::Publish)? {
        context.snapshot.set_published(&plan.spec.identity.volume);
        return Ok(volume);
    }
    // An earlier attempt may have created it without seeing the response.
    let name = plan.spec.identity.volume.volume_name();
    let existing = context.cluster.volume(&name).await.during(Operation::Publish)?;
    let published = match existing {
        Some(existing) if pv::is_the_same(&existing, plan, &volume) => Ok(volume),
        Some(_) => Err(Cause::NameTaken(name)),
        None => Err(Cause::Vanished(name)),
    };
    published.during(Operation::Publish)
}

fn report_created(context: &Context, claim: &Claim, plan: &Plan, volume: &ProvisionedVolume) {
    let (name, path) = (plan.spec.identity.volume.volume_name(), volume.path.display());
    tracing::info!(
        namespace = claim.namespace,
        claim = claim.name,
        volume = name,
        %path,
        "created the volume"
    );
    let enforced = events::enforcement(volume.limit);
    let (size, pool, node) = (&plan.size, &volume.pool, &plan.node);
    let text = format!("created volume {name} of {size} in pool {pool} on node {node}{enforced}");
    context.events.write(claim, EventReason::ProvisioningSucceeded, text);
}
