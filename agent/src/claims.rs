//! Plans the volume of a claim, for a new volume and for an existing one: `plan.rs` decides by the
//! claim, its class and this node; `hostname.rs` checks that its hostname label is unique;
//! `pv.rs` renders the PersistentVolume.

mod hostname;
pub mod plan;
pub mod pv;

use crate::backoff::Backoff;
use crate::context::Context;
use crate::failure::{Failure, Operation};
use crate::metrics::Provision;
use crate::snapshot::VolumeView;
use crate::unfinished::Outcome;
use fastrak_api::claim::Claim;
use fastrak_api::reason::EventReason;
use fastrak_api::volume::VolumeId;
use plan::{Decision, Plan, Rejection, ThisNode};

/// Returns the plan of the claim's volume. Returns the outcome of the reconciliation if the claim
/// gets none now; the reason is reported.
pub async fn plan(
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

/// Decides about a claim, and checks that the hostname label of this node is unique.
async fn decide(context: &Context, claim: &Claim, view: &VolumeView) -> Result<Decision, Failure> {
    let this_node =
        ThisNode { node: &context.node, hostname: view.hostname.as_deref(), pools: &context.pools };
    let plan = match plan::plan(claim, view.class.as_ref(), &this_node) {
        Decision::Create(plan) => plan,
        other => return Ok(other),
    };
    let other = hostname::other_node(context, &plan.hostname).await;
    Ok(match other.map_err(Failure::of(Operation::Plan))? {
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
