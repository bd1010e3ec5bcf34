//! The labels of reviews, as they are shown.

use crate::review::{Effect, Subject};
use crate::verdict::Reason;
use prometheus_client::encoding::{EncodeLabelValue, LabelValueEncoder};
use std::fmt;

impl EncodeLabelValue for Subject {
    fn encode(&self, encoder: &mut LabelValueEncoder<'_>) -> fmt::Result {
        let text = match self {
            Self::Claims => "persistentvolumeclaims",
            Self::Services => "services",
        };
        text.encode(encoder)
    }
}

impl EncodeLabelValue for Effect {
    fn encode(&self, encoder: &mut LabelValueEncoder<'_>) -> fmt::Result {
        let text = match self {
            Self::Untouched => "untouched",
            Self::Patched => "patched",
            Self::Denied => "denied",
            Self::DryRun => "dry_run",
            Self::Failed => "failed",
            Self::Rejected => "rejected",
        };
        text.encode(encoder)
    }
}

impl EncodeLabelValue for Reason {
    fn encode(&self, encoder: &mut LabelValueEncoder<'_>) -> fmt::Result {
        self.as_str().encode(encoder)
    }
}
