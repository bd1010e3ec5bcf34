//! The labels of reviews. Their values come from enums alone.

use fastrak_admission::review::{Effect, Subject};
use fastrak_admission::verdict::Reason;
use prometheus_client::encoding::EncodeLabelSet;

/// The labels of a review.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct ReviewLabels {
    resource: &'static str,
    outcome: &'static str,
    reason: &'static str,
}

/// The label of the kind of object that is reviewed.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct SubjectLabel {
    resource: &'static str,
}

impl ReviewLabels {
    /// Returns the labels of a review.
    #[must_use]
    pub const fn new(subject: Subject, effect: Effect, reason: Reason) -> Self {
        Self { resource: subject.as_str(), outcome: effect.as_str(), reason: reason.as_str() }
    }
}

impl SubjectLabel {
    /// Returns the label of a kind of object.
    #[must_use]
    pub const fn new(subject: Subject) -> Self {
        Self { resource: subject.as_str() }
    }
}
