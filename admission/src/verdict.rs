//! The decision about an object: not to change it, to change it, or to refuse it, with the reason.
//! `review.rs` turns it into an answer to a review; the webhook's repairs write it themselves.

mod messages;
mod reason;

pub use self::messages::{Message, Warning, clipped};
pub use self::reason::{Reason, Rule, WarnOn};

use crate::patch::Edit;
use smol_str::SmolStr;

/// A decision with its reason.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// Why.
    pub reason: Reason,
    /// What is done.
    pub outcome: Outcome,
    /// The messages for the requester.
    pub messages: Vec<Message>,
    /// The subject of the reason: a node, a class, an annotation. A user's text, unbounded.
    pub about: SmolStr,
}

/// What is done about an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Nothing.
    Untouched,
    /// These changes. Never empty.
    Patched(Vec<Edit>),
    /// It is refused with a message for its user.
    Denied(String),
}

impl Verdict {
    /// Does not change the object.
    #[must_use]
    pub const fn untouched(reason: Reason) -> Self {
        Self {
            reason,
            outcome: Outcome::Untouched,
            messages: Vec::new(),
            about: SmolStr::new_static(""),
        }
    }

    /// Changes the object if there are edits.
    #[must_use]
    pub fn patched(reason: Reason, edits: Vec<Edit>) -> Self {
        let outcome = if edits.is_empty() { Outcome::Untouched } else { Outcome::Patched(edits) };
        Self { outcome, ..Self::untouched(reason) }
    }

    /// Refuses the object with a message for its user.
    #[must_use]
    pub fn denied(reason: Reason, message: String) -> Self {
        Self { outcome: Outcome::Denied(message), ..Self::untouched(reason) }
    }

    /// Adds the subject of the reason.
    #[must_use]
    pub fn about(mut self, what: impl Into<SmolStr>) -> Self {
        self.about = what.into();
        self
    }

    /// Adds a remark.
    #[must_use]
    pub fn remark(mut self, text: impl Into<String>) -> Self {
        self.messages.push(Message::Remark(text.into()));
        self
    }

    /// Adds the reason as a warning if the requester must be warned of it. A denial needs no
    /// warning, because its message reaches the requester.
    #[must_use]
    pub fn with_warning(mut self) -> Self {
        let warns = match (self.reason.warn_on(), &self.outcome) {
            (WarnOn::Never, _) | (_, Outcome::Denied(_)) => false,
            (WarnOn::Change, outcome) => matches!(outcome, Outcome::Patched(_)),
            (WarnOn::Skip, _) => true,
        };
        if warns {
            self.messages.push(Message::Did(self.explained()));
        }
        self
    }

    /// Describes what was done and why.
    #[must_use]
    pub fn explained(&self) -> String {
        match &self.outcome {
            Outcome::Denied(message) => format!("refused it: {message}"),
            Outcome::Untouched | Outcome::Patched(_) => {
                messages::explained(self.reason, &self.about)
            }
        }
    }

    /// Returns the warnings. In dry-run mode they say what would have been done.
    pub fn warnings(&self, dry_run: bool) -> impl Iterator<Item = Warning<'_>> {
        self.messages.iter().map(move |message| message.warning(dry_run))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_patch_of_nothing_is_no_patch() {
        assert_eq!(Verdict::patched(Reason::UserPin, Vec::new()).outcome, Outcome::Untouched);
    }

    #[test]
    fn a_denial_and_a_reason_that_never_warns_have_no_warning() {
        let denied = Verdict::denied(Reason::MalformedPin, "no".to_owned()).with_warning();
        assert_eq!((denied.messages.len(), denied.explained().as_str()), (0, "refused it: no"));
        assert!(Verdict::untouched(Reason::ForeignClass).with_warning().messages.is_empty());
        // A change that is there already, as the API server's second question finds it.
        assert!(Verdict::untouched(Reason::OnlyNode).with_warning().messages.is_empty());
        let left = Verdict::untouched(Reason::NoEligibleNode).about("fast").with_warning();
        let text = "fastrak: left it without a node: no node is eligible for class fast; add one";
        let warnings: Vec<_> = left.warnings(false).map(|warning| warning.to_string()).collect();
        assert_eq!(warnings, [text]);
    }
}
