//! Prints the decision about an object for people.

use super::{Exit, output};
use fastrak_admission::review::{Answer, Effect};
use fastrak_admission::verdict::{Outcome, Verdict};
use serde_json::Value;

/// Prints the decision about the object `title`, with the response that the API server would
/// receive. Returns the outcome.
pub(super) fn print(title: &str, answer: &Answer, verdict: &Verdict, response: &Value) -> Exit {
    let (effect, reason) = (answer.effect, verdict.reason);
    output::message(&format!("{title}: {}", describe(effect)));
    let explained = verdict.explained();
    output::message(&format!("  reason: {explained} ({}, {reason})", reason.rule().as_str()));
    if let (Outcome::Patched(edits), Effect::Patched) = (&verdict.outcome, effect) {
        for edit in edits {
            let value = edit.value.as_ref().map(|value| format!("is {value:?}"));
            let value = value.unwrap_or_else(|| "removed".to_owned());
            output::message(&format!("  {} {value}", edit.field));
        }
    }
    let warnings = response["warnings"].as_array().into_iter().flatten();
    for warning in warnings.filter_map(Value::as_str) {
        output::message(&format!("  Warning: {warning}"));
    }
    if effect == Effect::Denied { Exit::Denied } else { Exit::Admitted }
}

const fn describe(effect: Effect) -> &'static str {
    match effect {
        Effect::Untouched => "would be admitted unchanged",
        Effect::Patched => "would be admitted and changed",
        Effect::Denied => "would be denied",
        Effect::DryRun => "would be admitted unchanged, in dry-run mode",
        Effect::Failed => "would be admitted unchanged, because fastrak would fail",
        Effect::Rejected => "is not a review",
    }
}
