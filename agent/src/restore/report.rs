//! Reports why a claim does not have the existing volume that it requests.

use crate::context::Context;
use crate::provision::plan::Plan;
use fastrak_api::claim::Claim;
use fastrak_api::reason::EventReason;

/// Reports why the claim has no volume.
pub(super) fn report_failure(context: &Context, plan: &Plan, claim: &Claim, text: &str) {
    if context.unfinished.should_report(&plan.spec.identity.volume, text) {
        let (namespace, name) = (&claim.namespace, &claim.name);
        tracing::warn!(%namespace, claim = %name, why = text, "could not give the claim a volume");
        context.events.on_claim(claim, EventReason::RestoreRefused, text);
    }
}
