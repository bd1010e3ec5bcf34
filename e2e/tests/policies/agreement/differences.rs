//! The differences between webhook and policies, and the check of results against them.

use super::cases::{Case, Results};
use super::claims::{is_chosen, is_pinned};
use fastrak_api::names::{CLASS_DEFAULT, NODE, PINNED_BY};
use serde_json::Value;

/// A documented difference.
#[derive(Clone, Copy)]
pub(crate) struct Difference {
    /// The cell of the table in docs/policies.md.
    pub(crate) what: &'static str,
    /// Whether it applies to a case.
    pub(crate) applies: fn(&Case) -> bool,
    /// Its effect.
    pub(crate) then: Then,
}

/// The effect of a difference.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Then {
    /// The policies do not change it, or remove the rest of a pin.
    PoliciesLeaveIt,
    /// The policies do not change it. The webhook chooses a node by the claim's namespace, which
    /// differs for each way.
    WebhookChooses,
    /// The webhook refuses it, the policies do not change it.
    WebhookRefuses,
    /// The webhook refuses it, the policies pin it as the user wrote.
    WebhookRefusesPoliciesPin,
    /// The policies undo it, so that the webhook sees no change after them.
    UndoneForBoth,
}

/// The findings: the cases with equal results, the differences that occurred, and the errors.
#[derive(Default)]
pub(crate) struct Findings {
    pub(crate) agreed: Vec<Case>,
    pub(crate) changed: usize,
    pub(crate) refused: usize,
    pub(crate) met: Vec<&'static str>,
    pub(crate) wrong: Vec<String>,
}

impl Findings {
    pub(crate) fn judge(&mut self, case: &Case, results: &Results, known: &[Difference]) {
        let Results { bare, webhook, policies, both } = results;
        // Refusals of the API server itself are equal for all ways.
        self.refused += usize::from(bare.get("refused").is_some());
        if policies == webhook && both == webhook {
            self.agreed.push(case.clone());
            self.changed += usize::from(webhook != bare);
            return;
        }
        match known.iter().find(|difference| (difference.applies)(case)) {
            None => self.wrong.push(description("they differ", case, results)),
            Some(difference) if accounts(difference.then, results) => {
                self.met.push(difference.what);
            }
            Some(difference) => {
                let text = format!("{} does not explain it", difference.what);
                self.wrong.push(description(&text, case, results));
            }
        }
    }

    /// Checks that enough cases were changed and few were refused.
    pub(crate) fn are_many(&self, cases: &[Case]) {
        let (all, changed, refused) = (cases.len(), self.changed, self.refused);
        let agreed = self.agreed.len();
        println!("{all} cases: {agreed} agreed, {changed} of them changed; {refused} refused");
        assert!(changed > all / 4, "only {changed} of {all} were changed at all");
        assert!(refused < all / 20, "{refused} of {all} were refused by the API server");
    }
}

fn accounts(then: Then, results: &Results) -> bool {
    let Results { bare, webhook, policies, both } = results;
    let refused = webhook.get("refused").is_some();
    let undone = policies == &without_remains(bare);
    let as_said = match then {
        Then::PoliciesLeaveIt => policies == bare || undone,
        Then::WebhookChooses => policies == bare && is_chosen(webhook),
        Then::WebhookRefuses => refused && (policies == bare || policies == &with_class(bare)),
        Then::WebhookRefusesPoliciesPin => refused && is_pinned(policies),
        Then::UndoneForBoth => undone,
    };
    // With both, the result must be the webhook's.
    let with_both = match then {
        Then::WebhookChooses => is_chosen(both),
        Then::UndoneForBoth => both == policies,
        Then::PoliciesLeaveIt | Then::WebhookRefuses | Then::WebhookRefusesPoliciesPin => {
            both == webhook
        }
    };
    as_said && with_both
}

fn description(what: &str, case: &Case, results: &Results) -> String {
    let Results { bare, webhook, policies, both } = results;
    let old = case.old.as_ref().map(Value::to_string).unwrap_or_default();
    format!(
        "{what}\n  in {:?}\n  old      {old}\n  new      {}\n  bare     {bare}\n  webhook  {webhook}\n  \
         policies {policies}\n  both     {both}",
        case.space, case.new
    )
}

/// Returns the object without the rest of a pin.
fn without_remains(object: &Value) -> Value {
    let mut object = object.clone();
    let Some(metadata) = object["metadata"].as_object_mut() else { return object };
    for map in ["annotations", "labels"] {
        let Some(entries) = metadata.get_mut(map).and_then(Value::as_object_mut) else { continue };
        entries.retain(|key, _| ![NODE, PINNED_BY].contains(&key.as_str()));
        if entries.is_empty() {
            metadata.remove(map);
        }
    }
    object
}

/// Returns the object with the default class if it has none.
fn with_class(object: &Value) -> Value {
    let mut object = object.clone();
    if object["spec"]["storageClassName"].is_null() {
        object["spec"]["storageClassName"] = CLASS_DEFAULT.into();
    }
    object
}
