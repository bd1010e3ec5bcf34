//! The label and the annotation by which a claim names its node.

use super::Claim;
use crate::node::NodeName;

/// Which of the two a claim lacks. A mark that names another node counts as missing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MissingMarks {
    /// The label, by which an agent sees the claim.
    Label,
    /// The annotation, by which a policy lets an agent write the claim's status.
    Annotation,
    /// Both.
    Both,
}

impl MissingMarks {
    /// The marks, as messages name them.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Label => "label",
            Self::Annotation => "annotation",
            Self::Both => "label and annotation",
        }
    }

    /// Returns whether the label is missing.
    #[must_use]
    pub const fn label(self) -> bool {
        matches!(self, Self::Label | Self::Both)
    }

    /// Returns whether the annotation is missing.
    #[must_use]
    pub const fn annotation(self) -> bool {
        matches!(self, Self::Annotation | Self::Both)
    }
}

impl Claim {
    /// Returns the marks of `node` that the claim lacks. Returns nothing if it has both.
    #[must_use]
    pub fn missing_marks(&self, node: &NodeName) -> Option<MissingMarks> {
        let has_label = self.node_label.as_deref() == Some(node.key().as_str());
        let has_annotation = self.pin.as_deref() == Some(node.as_str());
        match (has_label, has_annotation) {
            (true, true) => None,
            (false, true) => Some(MissingMarks::Label),
            (true, false) => Some(MissingMarks::Annotation),
            (false, false) => Some(MissingMarks::Both),
        }
    }
}
