//! What was decided about an object: leave it, change it, or refuse it, and by which rule. It does
//! not say how that reaches the API server: an answer to a review is made in `review.rs`, a repair
//! in `repair/`.

use crate::patch::Edit;
use std::fmt;

/// The longest text of a warning: what the API server's guide advises, since clients print each on
/// one line.
const WARNING: usize = 120;

/// A decision with its reason.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// Why.
    pub reason: Reason,
    /// What is to be done.
    pub outcome: Outcome,
    /// What the user is to be told beside it, each in at most 120 characters.
    pub warnings: Vec<String>,
}

/// What is to be done about an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Nothing.
    Untouched,
    /// These changes. Never empty.
    Patched(Vec<Edit>),
    /// It is refused, and this says what to do instead.
    Denied(String),
}

/// Part of the product that a reason belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Rule {
    /// Which objects are fastrak's business.
    Scope,
    /// The class of a claim.
    Class,
    /// The node of a claim.
    Pin,
    /// The address of a Service.
    Balancer,
    /// The review itself.
    Review,
}

macro_rules! reasons {
    ($($(#[doc = $doc:literal])+ $variant:ident = $rule:ident, $text:literal;)+) => {
        /// Why something was decided: a label of metrics and an audit annotation, never free text.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Reason {
            $($(#[doc = $doc])+ $variant,)+
        }

        impl Reason {
            /// All of them.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)+];

            /// The reason as metrics and audit logs show it.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text,)+ }
            }

            /// The part of the product that it belongs to.
            #[must_use]
            pub const fn rule(self) -> Rule {
                match self { $(Self::$variant => Rule::$rule,)+ }
            }
        }
    };
}

reasons! {
    /// Its labels opt out.
    OptedOut = Scope, "opted-out";
    /// Its namespace is the cluster's own or fastrak's own.
    SystemNamespace = Scope, "system-namespace";
    /// It is being deleted.
    Deleting = Scope, "deleting";
    /// The operation changes nothing that could be decided about.
    Operation = Scope, "operation";
    /// The claim has, or names, its volume.
    VolumeNamed = Scope, "volume-named";
    /// The claim wants no dynamic provisioning.
    ClassRefused = Scope, "class-refused";
    /// The claim names its class by the annotation from before the field.
    BetaClass = Scope, "beta-class";
    /// The claim's class is another provisioner's.
    ForeignClass = Scope, "foreign-class";
    /// The claim's class does not exist.
    UnknownClass = Scope, "unknown-class";
    /// The claim has no class, and there is none to give it.
    NoClass = Scope, "no-class";
    /// The claim has no class, and another than fastrak's is the default.
    DefaultElsewhere = Class, "default-elsewhere";
    /// The claim got the default class.
    DefaultClass = Class, "default-class";
    /// The user wrote the node.
    UserPin = Pin, "user";
    /// The pin follows what dynamic provisioning was told.
    Mirrored = Pin, "mirrored";
    /// No other node can hold it.
    OnlyNode = Pin, "only-node";
    /// The class binds at once, so a node was chosen.
    Policy = Pin, "policy";
    /// It follows the claims of the same pod.
    Sibling = Pin, "sibling";
    /// What was left of a pin was taken off.
    PinWithdrawn = Pin, "withdrawn";
    /// The scheduler is to choose, with a pod in view.
    WaitsForPod = Pin, "waits-for-pod";
    /// No node can hold it.
    NoNodeAble = Pin, "no-node-able";
    /// The pin is no node's name.
    MalformedPin = Pin, "malformed-pin";
    /// The pin is a node that does not exist.
    UnknownNode = Pin, "unknown-node";
    /// The pin is a node that can never hold it.
    ImpossibleNode = Pin, "impossible-node";
    /// The pin and the node that provisioning is told differ.
    ContradictoryPin = Pin, "contradictory-pin";
    /// What provisioning is told is no node's name.
    MalformedSelectedNode = Pin, "malformed-selected-node";
    /// The Service wants no address.
    NotLoadBalancer = Balancer, "not-load-balancer";
    /// The Service no longer wants an address.
    GivenUp = Balancer, "given-up";
    /// The inlets operator is to serve it.
    Inlets = Balancer, "inlets";
    /// Nobody is to serve it.
    NoBalancer = Balancer, "none";
    /// It has no cluster address.
    Headless = Balancer, "headless";
    /// It names a class of load balancer.
    ForeignBalancer = Balancer, "foreign-balancer";
    /// It has an address from someone else.
    ForeignAddress = Balancer, "foreign-address";
    /// It bears another load balancer's marks.
    ForeignMark = Balancer, "foreign-mark";
    /// Its user tells the inlets operator what to do.
    UserManaged = Balancer, "user-managed";
    /// It asks for what is not served.
    UnservedChoice = Balancer, "unserved-choice";
    /// What was sent is no review.
    NotAReview = Review, "not-a-review";
    /// The review is of another kind of object than its path.
    WrongKind = Review, "wrong-kind";
    /// The object is missing or cannot be read.
    Unreadable = Review, "unreadable";
    /// Nothing is known of the cluster yet.
    NotReady = Review, "not-ready";
    /// A defect of fastrak's.
    Internal = Review, "internal";
}

impl Verdict {
    /// Nothing is to be done.
    #[must_use]
    pub const fn untouched(reason: Reason) -> Self {
        Self { reason, outcome: Outcome::Untouched, warnings: Vec::new() }
    }

    /// These changes are to be made; without any, nothing is to be done.
    #[must_use]
    pub fn patched(reason: Reason, edits: Vec<Edit>) -> Self {
        let outcome = if edits.is_empty() { Outcome::Untouched } else { Outcome::Patched(edits) };
        Self { reason, outcome, warnings: Vec::new() }
    }

    /// It is refused with a message for its user.
    #[must_use]
    pub fn denied(reason: Reason, message: String) -> Self {
        Self { reason, outcome: Outcome::Denied(message), warnings: Vec::new() }
    }

    /// With one more warning.
    #[must_use]
    pub fn warn(mut self, text: &str) -> Self {
        self.warnings.push(warning(text));
        self
    }
}

impl Rule {
    /// The rule as audit logs show it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Scope => "scope",
            Self::Class => "class",
            Self::Pin => "pin",
            Self::Balancer => "balancer",
            Self::Review => "review",
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A text as a warning: one line, short. The API server drops a warning with a control character
/// in silence.
#[must_use]
pub fn warning(text: &str) -> String {
    clipped(text, WARNING)
}

/// A text of a user's, fit to be shown to people: one line of at most `most` characters.
#[must_use]
pub fn clipped(text: &str, most: usize) -> String {
    let line = text.chars().map(|c| if c.is_control() { ' ' } else { c });
    if text.chars().count() <= most {
        return line.collect();
    }
    line.take(most.saturating_sub(1)).chain(['…']).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn every_reason_has_a_text_of_its_own_within_its_rule() {
        let texts: HashSet<_> =
            Reason::ALL.iter().map(|reason| (reason.rule(), reason.as_str())).collect();
        assert_eq!(texts.len(), Reason::ALL.len());
    }

    #[test]
    fn a_warning_is_one_short_line() {
        assert_eq!(warning("short"), "short");
        assert_eq!(warning("two\nlines\u{7}"), "two lines ");
        let long = warning(&"é".repeat(500));
        assert_eq!(long.chars().count(), 120);
        assert!(long.ends_with('…'));
    }

    #[test]
    fn a_patch_of_nothing_is_no_patch() {
        assert_eq!(Verdict::patched(Reason::UserPin, Vec::new()).outcome, Outcome::Untouched);
    }
}
