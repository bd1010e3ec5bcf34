//! What would become of one object, in plain words. It is told, not decided, here.

use super::{End, output};
use fastrak_admission::review::{Answer, Effect};
use fastrak_admission::verdict::{Outcome, Verdict};
use serde_json::Value;

/// An object, the answer about it, and the verdict that the answer was made from.
#[derive(Debug)]
pub(super) struct Report<'a> {
    /// Kind, namespace and name.
    pub(super) title: &'a str,
    pub(super) answer: &'a Answer,
    pub(super) verdict: &'a Verdict,
    /// The answer as the API server reads it.
    pub(super) response: &'a Value,
}

impl Report<'_> {
    /// Tells it, and what it comes to.
    pub(super) fn tell(&self) -> End {
        let effect = self.answer.effect;
        output::say(&format!("{}: {}", self.title, outcome(effect)));
        let (verdict, reason) = (self.verdict, self.verdict.reason);
        let words = verdict.explained();
        output::say(&format!("  why: {words} ({}, {reason})", reason.rule().as_str()));
        if let (Outcome::Patched(edits), Effect::Patched) = (&verdict.outcome, effect) {
            for edit in edits {
                let value = edit.value.as_ref().map(|value| format!("is {value:?}"));
                let value = value.unwrap_or_else(|| "is taken off".to_owned());
                output::say(&format!("  {} {value}", edit.field));
            }
        }
        let warnings = self.response["warnings"].as_array().into_iter().flatten();
        for warning in warnings.filter_map(Value::as_str) {
            output::say(&format!("  Warning: {warning}"));
        }
        if effect == Effect::Denied { End::Denied } else { End::Admitted }
    }
}

const fn outcome(effect: Effect) -> &'static str {
    match effect {
        Effect::Untouched => "would be admitted as it is",
        Effect::Patched => "would be admitted, and changed",
        Effect::Denied => "would be refused",
        Effect::DryRun => "would be admitted as it is, in dry-run mode",
        Effect::Failed => "would be admitted as it is, since fastrak would fail",
        Effect::Rejected => "is no review",
    }
}
