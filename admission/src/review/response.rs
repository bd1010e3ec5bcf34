//! The parts of an answer other than its patch: its effect, warnings for the requester, annotations
//! for the audit log. In dry-run mode all say what would have been done.

use super::Effect;
use super::wire::Audit;
use crate::patch::Settled;
use crate::verdict::{Message, Outcome, Reason, Verdict, Warning};

/// Returns the effect of an answer.
pub(super) const fn effect(verdict: &Verdict, patched: bool, dry_run: bool) -> Effect {
    match (&verdict.outcome, verdict.reason) {
        (
            _,
            Reason::WrongKind
            | Reason::Unreadable
            | Reason::NotReady
            | Reason::Overloaded
            | Reason::Internal,
        ) => Effect::Failed,
        (Outcome::Denied(_) | Outcome::Patched(_), _) if dry_run => Effect::DryRun,
        (Outcome::Denied(_), _) => Effect::Denied,
        (Outcome::Patched(_), _) if patched => Effect::Patched,
        (Outcome::Patched(_) | Outcome::Untouched, _) => Effect::Untouched,
    }
}

/// Returns the warnings of a verdict. In dry-run mode a denial is one, because nothing else shows
/// it.
pub(super) fn warnings(verdict: &Verdict, dry_run: bool) -> impl Iterator<Item = Warning<'_>> {
    let denied = dry_run && matches!(verdict.outcome, Outcome::Denied(_));
    let denial = denied.then(|| Message::Did(verdict.explained()).warning(dry_run).into_owned());
    verdict.warnings(dry_run).chain(denial)
}

/// Returns the audit annotations of a verdict and its edits.
pub(super) fn audit<'a>(verdict: &Verdict, edits: &'a Settled<'a>, dry_run: bool) -> Audit<'a> {
    let (changed, would) = match &verdict.outcome {
        Outcome::Untouched => (None, None),
        Outcome::Patched(_) => (Some(edits), Some("patched")),
        Outcome::Denied(_) => (None, Some("denied")),
    };
    let reason = verdict.reason;
    Audit {
        changed,
        reason: reason.as_str(),
        rule: reason.rule().as_str(),
        dry_run: would.filter(|_| dry_run),
    }
}

/// Removes the messages of a verdict if the object before the update has the same verdict. In
/// dry-run mode nothing is done, so every update of the object would repeat them.
pub(super) fn unless_before(mut verdict: Verdict, before: Option<&Verdict>) -> Verdict {
    if before.is_some_and(|before| before.outcome == verdict.outcome) {
        verdict.messages.clear();
    }
    verdict
}
