//! What the user of a claim is told that wants a volume which was there before and does not have it. It
//! does not decide when.

use crate::context::Context;
use crate::provision::plan::Plan;
use fastrak_api::claim::Claim;
use fastrak_api::reason::EventReason;

/// Tells the claim's user why it has no volume.
pub(super) fn report_failure(context: &Context, plan: &Plan, claim: &Claim, text: &str) {
    if context.unfinished.should_report(&plan.spec.identity.volume, text) {
        let (namespace, name) = (&claim.namespace, &claim.name);
        tracing::warn!(%namespace, claim = %name, why = text, "volume not given");
        context.events.on_claim(claim, EventReason::RestoreRefused, text);
    }
}
