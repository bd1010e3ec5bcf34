//! What an answer tells beside its patch: what it comes to, warnings for whoever made the request,
//! annotations for the audit log. In shadow all say what would have been done.

use super::Effect;
use crate::patch::Edit;
use crate::verdict::{Outcome, Reason, Said, Verdict};
use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

/// What an answer comes to.
pub(super) const fn effect(verdict: &Verdict, patched: bool, shadow: bool) -> Effect {
    match (&verdict.outcome, verdict.reason) {
        (_, Reason::WrongKind | Reason::Unreadable | Reason::NotReady | Reason::Internal) => {
            Effect::Failed
        }
        (Outcome::Denied(_) | Outcome::Patched(_), _) if shadow => Effect::Shadow,
        (Outcome::Denied(_), _) => Effect::Denied,
        (Outcome::Patched(_), _) if patched => Effect::Patched,
        (Outcome::Patched(_) | Outcome::Untouched, _) => Effect::Untouched,
    }
}

/// The warnings of a verdict. In shadow a denial is one, as nothing else tells of it.
pub(super) fn warnings(verdict: &Verdict, shadow: bool) -> Vec<String> {
    let mut warnings = verdict.warnings(shadow);
    if shadow && matches!(verdict.outcome, Outcome::Denied(_)) {
        warnings.push(Said::Did(verdict.explained()).warning(shadow));
    }
    warnings
}

/// The audit annotations of a verdict. The API server puts the webhook's name and a slash before
/// each key, which can therefore have none.
pub(super) fn audit(verdict: &Verdict, shadow: bool) -> BTreeMap<&'static str, Cow<'static, str>> {
    let reason = verdict.reason;
    let mut all = BTreeMap::from([
        ("rule", Cow::Borrowed(reason.rule().as_str())),
        ("reason", Cow::Borrowed(reason.as_str())),
    ]);
    let would = match &verdict.outcome {
        Outcome::Untouched => None,
        Outcome::Patched(edits) => {
            all.insert("changed", Cow::Owned(changed(edits)));
            Some("patched")
        }
        Outcome::Denied(_) => Some("denied"),
    };
    all.extend(would.filter(|_| shadow).map(|would| ("shadow", Cow::Borrowed(would))));
    all
}

/// The fields that are changed, in order.
fn changed(edits: &[Edit]) -> String {
    let fields: BTreeSet<_> = edits.iter().map(|edit| edit.field).collect();
    fields.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

/// A verdict that says nothing where the same was to be done before the update. In shadow it is not
/// done, so every update of the object would bring it up again.
pub(super) fn unless_before(mut verdict: Verdict, before: Option<&Verdict>) -> Verdict {
    if before.is_some_and(|before| before.outcome == verdict.outcome) {
        verdict.said.clear();
    }
    verdict
}
