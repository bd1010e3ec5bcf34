//! Carries out the decision about a claim: creates the directory, then the PersistentVolume.
//!
//! The PersistentVolume names its claim by UID; the controller manager binds them.

use super::hostname;
use super::plan::{self, Decision, Here, Plan, Rejection};
use super::pv;
use crate::backoff::Backoff;
use crate::cluster::ClusterError;
use crate::context::{Context, Outcome};
use crate::metrics::{OfPool, Provision};
use crate::snapshot::About;
use crate::upkeep;
use fastrak_api::claim::Claim;
use fastrak_api::reason::EventReason;
use fastrak_api::volume::VolumeId;
use fastrak_runtime::chain::Chain;
use fastrak_store::volumes::{ProvisionedVolume, VolumeError};

/// A provisioning that has failed.
#[derive(Debug, thiserror::Error)]
enum ProvisionError {
    #[error("the volume could not be created")]
    Volume(#[source] VolumeError),
    #[error("the volume could not be published")]
    Publish(#[source] ClusterError),
    #[error(
        "a PersistentVolume named {name} exists that is not this claim's; nothing was changed. \
         Delete it if it is not needed"
    )]
    NameTaken { name: String },
    #[error("the PersistentVolume {name} was deleted concurrently")]
    Vanished { name: String },
}

/// Reconciles a claim that has no volume yet.
pub async fn reconcile(context: &Context, claim: &Claim, about: &About) -> Outcome {
    match decide(context, claim, about).await {
        Ok(Decision::Ignore(why)) => {
            tracing::debug!(
                namespace = claim.namespace,
                claim = claim.name,
                ?why,
                "ignored the claim"
            );
            Outcome::Done
        }
        Ok(Decision::Reject(rejection)) => reject(context, claim, &rejection),
        Ok(Decision::Make(plan)) => serve(context, claim, &plan).await,
        Err(error) => undecided(context, claim, &error),
    }
}

/// Decides about a claim, and checks that the hostname label of this node is unique.
pub async fn decide(
    context: &Context,
    claim: &Claim,
    about: &About,
) -> Result<Decision, ClusterError> {
    let here =
        Here { node: &context.node, hostname: about.hostname.as_deref(), pools: &context.pools };
    let plan = match plan::plan(claim, about.class.as_ref(), &here) {
        Decision::Make(plan) => plan,
        other => return Ok(other),
    };
    Ok(match hostname::other_node(context, &plan.hostname).await? {
        None => Decision::Make(plan),
        Some(other) => {
            let (node, hostname) = (context.node.clone(), plan.hostname);
            Decision::Reject(Rejection::SharedHostname { node, other, hostname })
        }
    })
}

/// Reports that the decision about a claim has failed.
pub fn undecided(context: &Context, claim: &Claim, error: &ClusterError) -> Outcome {
    context.metrics.provision(Provision::failed);
    report_failure(context, claim, &Chain(error).to_string());
    Outcome::Requeue(Backoff::Failed)
}

/// Reports that the claim cannot be served.
pub fn reject(context: &Context, claim: &Claim, rejection: &Rejection) -> Outcome {
    let waited = volume_of(claim).and_then(|id| context.unfinished.since(&id)).unwrap_or_default();
    if waited < rejection.patience() {
        return Outcome::Requeue(Backoff::Busy);
    }
    context.metrics.provision(Provision::rejected);
    report_failure(context, claim, &rejection.to_string());
    Outcome::Requeue(Backoff::Refused)
}

async fn serve(context: &Context, claim: &Claim, plan: &Plan) -> Outcome {
    let id = &plan.spec.identity.volume;
    let timer = context.metrics.time_provision();
    let made = make(context, plan).await;
    drop(timer);
    match made {
        Ok(made) => {
            let (name, path) = (id.volume_name(), made.path.display());
            tracing::info!(namespace = claim.namespace, claim = claim.name, volume = name, %path, "created the volume");
            context.metrics.provision(Provision::made);
            let held = match made.limit {
                None => "; no quota enforces its size",
                Some(_) => "; a quota enforces its size",
            };
            let (size, pool, node) = (&plan.size, &made.pool, &plan.node);
            let text = format!("made volume {name} of {size} in pool {pool} on node {node}{held}");
            context.events.on_claim(claim, EventReason::ProvisioningSucceeded, text);
            Outcome::Done
        }
        Err(error) => {
            context.metrics.provision(Provision::failed);
            if let ProvisionError::Volume(error) = &error
                && upkeep::trash::evict_for_claim(context, error.shortages(), &claim.namespace)
                    .await
            {
                return Outcome::Requeue(Backoff::Busy);
            }
            report_failure(context, claim, &Chain(&error).to_string());
            Outcome::Requeue(error.pace())
        }
    }
}

async fn make(context: &Context, plan: &Plan) -> Result<ProvisionedVolume, ProvisionError> {
    let order = plan.spec.clone();
    let (made, is_new) =
        context.on_disk(move |store| store.ensure(&order)).await.map_err(ProvisionError::Volume)?;
    if is_new {
        context.metrics.add(OfPool::Volumes, &made.pool, 1);
    }
    let object = pv::object(plan, &made);
    if context.cluster.create(&object).await.map_err(ProvisionError::Publish)? {
        context.snapshot.set_published(&plan.spec.identity.volume);
        return Ok(made);
    }
    // An earlier attempt may have created it without seeing the response.
    let name = plan.spec.identity.volume.volume_name();
    match context.cluster.volume(&name).await.map_err(ProvisionError::Publish)? {
        Some(existing) if pv::is_the_same(&existing, plan, &made) => Ok(made),
        Some(_) => Err(ProvisionError::NameTaken { name }),
        None => Err(ProvisionError::Vanished { name }),
    }
}

fn volume_of(claim: &Claim) -> Option<VolumeId> {
    claim.uid.as_deref().and_then(|uid| VolumeId::parse(uid).ok())
}

fn report_failure(context: &Context, claim: &Claim, text: &str) {
    if volume_of(claim).is_some_and(|id| context.unfinished.should_report(&id, text)) {
        tracing::warn!(
            namespace = claim.namespace,
            claim = claim.name,
            why = text,
            "could not create a volume"
        );
        context.events.on_claim(claim, EventReason::ProvisioningFailed, text);
    }
}

impl ProvisionError {
    fn pace(&self) -> Backoff {
        match self {
            Self::Volume(
                VolumeError::Pool(_)
                | VolumeError::Occupied { .. }
                | VolumeError::Full(_)
                | VolumeError::NoQuota { .. }
                | VolumeError::NoPool { .. },
            )
            | Self::NameTaken { .. } => Backoff::Refused,
            Self::Volume(_) | Self::Publish(_) | Self::Vanished { .. } => Backoff::Failed,
        }
    }
}
