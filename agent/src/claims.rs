//! Plans the volume of a claim, for a new volume and for an existing one: `plan.rs` decides by the
//! claim, its class and this node; `pv.rs` renders the PersistentVolume.

pub(crate) mod plan;
pub(crate) mod pv;

use crate::backoff::Backoff;
use crate::cluster::ClusterError;
use crate::context::Context;
use crate::failure::{During as _, Failure, Operation};
use crate::metrics::Provision;
use crate::snapshot::VolumeView;
use crate::unfinished::Outcome;
use fastrak_api::claim::Claim;
use fastrak_api::reason::EventReason;
use fastrak_api::volume::VolumeId;
use plan::{Decision, Plan, Rejection, ThisNode};

/// Returns the plan of the claim's volume. Returns the outcome of the reconciliation if the claim
/// gets none now; the reason is reported.
pub(crate) async fn plan(
    context: &Context,
    id: &VolumeId,
    claim: &Claim,
    view: &VolumeView,
) -> Result<Box<Plan>, Outcome> {
    match decide(context, claim, view).await {
        Ok(Decision::Create(plan)) => Ok(plan),
        Ok(Decision::Ignore(why)) => {
            let (namespace, name) = (&claim.namespace, &claim.name);
            tracing::debug!(namespace, claim = name, ?why, "ignored the claim");
            Err(Outcome::Done)
        }
        Ok(Decision::Reject(rejection)) => Err(reject(context, id, claim, &rejection)),
        Err(failure) => {
            context.metrics.provision(Provision::failed);
            Err(context.failed(id, claim, &failure))
        }
    }
}

/// Returns another node with this hostname label, if there is one. A volume's node affinity uses only
/// that label: the scheduler would send pods to the other node too, and they would never start.
async fn other_node(context: &Context, hostname: &str) -> Result<Option<String>, ClusterError> {
    let now = context.clock.instant();
    if context.own_hostname.is_known(hostname, now) {
        return Ok(None);
    }
    let nodes = context.cluster.nodes_with_hostname(hostname).await?;
    let other = nodes.into_iter().find(|name| name != context.node.as_str());
    if other.is_none() {
        context.own_hostname.remember(hostname, now);
    }
    Ok(other)
}

/// Decides about a claim, and checks that the hostname label of this node is unique.
async fn decide(context: &Context, claim: &Claim, view: &VolumeView) -> Result<Decision, Failure> {
    let this_node =
        ThisNode { node: &context.node, hostname: view.hostname.as_deref(), pools: &context.pools };
    let plan = match plan::plan(claim, view.class.as_ref(), &this_node) {
        Decision::Create(plan) => plan,
        other => return Ok(other),
    };
    Ok(match other_node(context, &plan.hostname).await.during(Operation::Plan)? {
        None => Decision::Create(plan),
        Some(other) => {
            let (node, hostname) = (context.node.clone(), plan.hostname);
            Decision::Reject(Rejection::SharedHostname { node, other, hostname })
        }
    })
}

fn reject(context: &Context, id: &VolumeId, claim: &Claim, rejection: &Rejection) -> Outcome {
    if context.unfinished.waited(id) < rejection.patience() {
        return Outcome::Requeue(Backoff::Busy);
    }
    context.metrics.provision(Provision::rejected);
    context.report(id, claim, EventReason::ProvisioningFailed, &rejection.to_string());
    Outcome::Requeue(Backoff::Refused)
}
