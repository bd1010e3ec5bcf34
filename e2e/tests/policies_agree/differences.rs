//! What may differ between webhook and policies, and how the results are held to it.

use crate::cases::{Case, Results};
use crate::claims::is_pinned;
use serde_json::Value;

/// A difference, as docs/policies.md has it.
#[derive(Clone, Copy)]
pub(crate) struct Difference {
    /// The cell of the table there.
    pub(crate) what: &'static str,
    /// Whether it can be had with a case.
    pub(crate) applies: fn(&Case) -> bool,
    /// What then becomes of the case.
    pub(crate) then: Then,
}

/// What becomes of a case on which webhook and policies differ.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Then {
    /// The policies leave it as it is, or take off remains of a pin.
    PoliciesLeaveIt,
    /// The webhook refuses it, the policies leave it as it is.
    WebhookRefuses,
    /// The webhook refuses it, the policies pin it as its user wrote.
    WebhookRefusesPoliciesPin,
}

/// What was found: how many cases agreed, how often each difference was met, and what is wrong.
#[derive(Default)]
pub(crate) struct Findings {
    pub(crate) agreed: usize,
    pub(crate) changed: usize,
    pub(crate) met: Vec<&'static str>,
    pub(crate) wrong: Vec<String>,
}

impl Findings {
    pub(crate) fn judge(&mut self, case: &Case, results: &Results, known: &[Difference]) {
        let Results { bare, webhook, policies, both } = results;
        if both != webhook {
            self.wrong.push(told("with both it is not as with the webhook alone", case, results));
        }
        if policies == webhook {
            self.agreed += 1;
            self.changed += usize::from(webhook != bare);
            return;
        }
        match known.iter().find(|difference| (difference.applies)(case)) {
            None => self.wrong.push(told("they differ", case, results)),
            Some(difference) if accounts(difference.then, results) => {
                self.met.push(difference.what);
            }
            Some(difference) => {
                let text = format!("{} does not account for it", difference.what);
                self.wrong.push(told(&text, case, results));
            }
        }
    }
}

fn accounts(then: Then, results: &Results) -> bool {
    let Results { bare, webhook, policies, .. } = results;
    let refused = webhook.get("refused").is_some();
    match then {
        Then::PoliciesLeaveIt => policies == bare || policies == &without_remains(bare),
        Then::WebhookRefuses => refused && (policies == bare || policies == &with_class(bare)),
        Then::WebhookRefusesPoliciesPin => refused && is_pinned(policies),
    }
}

fn told(what: &str, case: &Case, results: &Results) -> String {
    let Results { bare, webhook, policies, both } = results;
    let old = case.old.as_ref().map(Value::to_string).unwrap_or_default();
    format!(
        "{what}\n  in {:?}\n  old      {old}\n  new      {}\n  bare     {bare}\n  webhook  {webhook}\n  \
         policies {policies}\n  both     {both}",
        case.space, case.new
    )
}

/// The object without a pin's reason and label, where it has no pin.
fn without_remains(object: &Value) -> Value {
    use fastrak_api::names::{NODE, PINNED_BY};
    let mut object = object.clone();
    for (map, keys) in [("annotations", [NODE, PINNED_BY]), ("labels", [NODE, NODE])] {
        let Some(entries) = object["metadata"][map].as_object_mut() else { continue };
        entries.retain(|key, _| !keys.contains(&key.as_str()));
        if entries.is_empty() {
            drop(object["metadata"].as_object_mut().map(|metadata| metadata.remove(map)));
        }
    }
    object
}

/// The object with the class that one without gets.
fn with_class(object: &Value) -> Value {
    let mut object = object.clone();
    if object["spec"]["storageClassName"].is_null() {
        object["spec"]["storageClassName"] = fastrak_api::names::CLASS_DEFAULT.into();
    }
    object
}
