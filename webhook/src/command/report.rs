//! Prints the decision about an object for people.

use super::{Exit, output};
use fastrak_admission::review::{Answer, Effect};
use fastrak_admission::verdict::{Outcome, Verdict};
use serde_json::Value;

/// A decision about an object.
#[derive(Debug)]
pub(super) struct Report<'a> {
    /// Kind, namespace and name.
    pub(super) title: &'a str,
    pub(super) answer: &'a Answer,
    pub(super) verdict: &'a Verdict,
    /// The response that the API server would receive.
    pub(super) response: &'a Value,
}

impl Report<'_> {
    /// Prints the decision. Returns the outcome.
    pub(super) fn print(&self) -> Exit {
        let effect = self.answer.effect;
        output::message(&format!("{}: {}", self.title, describe(effect)));
        let (verdict, reason) = (self.verdict, self.verdict.reason);
        let explained = verdict.explained();
        output::message(&format!("  reason: {explained} ({}, {reason})", reason.rule().as_str()));
        if let (Outcome::Patched(edits), Effect::Patched) = (&verdict.outcome, effect) {
            for edit in edits {
                let value = edit.value.as_ref().map(|value| format!("is {value:?}"));
                let value = value.unwrap_or_else(|| "removed".to_owned());
                output::message(&format!("  {} {value}", edit.field));
            }
        }
        let warnings = self.response["warnings"].as_array().into_iter().flatten();
        for warning in warnings.filter_map(Value::as_str) {
            output::message(&format!("  Warning: {warning}"));
        }
        if effect == Effect::Denied { Exit::Denied } else { Exit::Admitted }
    }
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
