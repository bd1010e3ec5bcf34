//! The label and the annotation by which a claim names its node.

use super::Claim;
use crate::node::NodeName;

crate::text_enum! {
    /// Which of the two a claim lacks, as messages name them. A mark that names another node counts
    /// as missing.
    pub enum MissingMarks {
        /// The label, by which an agent sees the claim.
        Label = "label",
        /// The annotation, by which a policy lets an agent write the claim's status.
        Annotation = "annotation",
        /// Both.
        Both = "label and annotation",
    }
}

impl MissingMarks {
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
