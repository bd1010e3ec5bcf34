//! Why something was decided: one table with the rule that each reason belongs to, its label in
//! metrics and audit logs, whether it is worth a warning, and the words for people. Nothing is
//! decided here.
//!
//! The words say what fastrak did, so that they can follow "fastrak:" as well as "fastrak would
//! have". `{}` is what it was done with or because of.
//!
//! What is reported as a warning: a change that somebody's request led to, and an object that was left
//! as it is where its user could have expected more. Not reported: that another's objects are another's.

use fastrak_api::balancer::{Mode, SkipReason, Unsupported};
use std::fmt;

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

/// Whether the requester gets a warning.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WarnOn {
    /// When something was changed.
    Change,
    /// When an object was left as it is.
    Skip,
    /// Never: it stands in audit logs and metrics alone.
    Never,
}

macro_rules! reasons {
    ($($(#[doc = $doc:literal])+
       $variant:ident = $rule:ident, $label:literal, $warn_on:ident, $message:literal;)+) => {
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
                match self { $(Self::$variant => $label,)+ }
            }

            /// The part of the product that it belongs to.
            #[must_use]
            pub const fn rule(self) -> Rule {
                match self { $(Self::$variant => Rule::$rule,)+ }
            }

            /// Returns whether the requester is warned.
            #[must_use]
            pub const fn warn_on(self) -> WarnOn {
                match self { $(Self::$variant => WarnOn::$warn_on,)+ }
            }

            /// What was done, for people; `{}` stands for what it was about.
            #[must_use]
            pub const fn message(self) -> &'static str {
                match self { $(Self::$variant => $message,)+ }
            }
        }
    };
}

reasons! {
    /// Its labels or its namespace's opt out.
    OptedOut = Scope, "opted-out", Never, "left it alone: its label or its namespace's opts out";
    /// Its namespace is the cluster's own or fastrak's own.
    SystemNamespace = Scope, "system-namespace", Never,
        "left it alone: namespace {} is the cluster's or fastrak's own";
    /// It is being deleted.
    Deleting = Scope, "deleting", Never, "left it alone: it is being deleted";
    /// The operation changes nothing that could be decided about.
    Operation = Scope, "operation", Never, "left it alone: the operation {} decides nothing";
    /// The claim has, or names, its volume.
    VolumeNamed = Scope, "volume-named", Never, "left it alone: it has volume {}";
    /// The claim wants no dynamic provisioning.
    ClassRefused = Scope, "class-refused", Never,
        "left it alone: its empty class asks for no provisioning";
    /// The claim names its class by the annotation from before the field.
    BetaClass = Scope, "beta-class", Skip,
        "left it alone: an old annotation names its class; use spec.storageClassName";
    /// The claim's class is another provisioner's.
    ForeignClass = Scope, "foreign-class", Never,
        "left it alone: class {} is another provisioner's";
    /// The claim's class does not exist.
    UnknownClass = Scope, "unknown-class", Never, "left it alone: class {} does not exist";
    /// The claim has no class, and there is none to give it.
    NoClass = Scope, "no-class", Skip,
        "left it without a class: there is none to give; name one";
    /// The claim has no class, and another than fastrak's is the default.
    DefaultElsewhere = Class, "default-elsewhere", Never,
        "left its class open: the cluster gives it its default";
    /// The claim got the default class.
    DefaultClass = Class, "default-class", Change, "set class {}, since it names none";
    /// The claim got the class that its namespace says.
    NamespaceClass = Class, "namespace-class", Change, "set class {}, its namespace's default";
    /// The user wrote the node.
    UserPin = Pin, "user", Change, "pinned it to node {}, as it asks";
    /// The pin follows the selected node.
    Mirrored = Pin, "mirrored", Never, "pinned it to node {}, where it is to be provisioned";
    /// No other node can hold it.
    OnlyNode = Pin, "only-node", Change, "pinned it to node {}: no other can hold it";
    /// The class binds at once, so a node was chosen.
    Policy = Pin, "policy", Change, "pinned it to node {}: its class binds at once";
    /// It follows the claims of the same pod.
    Sibling = Pin, "sibling", Change, "pinned it to node {}, with its pod's other claims";
    /// What was left of a pin was taken off.
    PinWithdrawn = Pin, "withdrawn", Change,
        "removed what was left of a pin; annotation {} pins a claim";
    /// The scheduler is to choose, with a pod in view.
    WaitsForPod = Pin, "waits-for-pod", Never,
        "left its node to the scheduler: it waits for its first pod";
    /// Kubernetes can bind it to a volume that exists.
    ExistingVolume = Pin, "existing-volume", Skip, "left it unpinned: existing PersistentVolume {} fits it";
    /// No node can hold it.
    NoNodeAble = Pin, "no-node-able", Skip,
        "left it without a node: none can hold class {} now; add one";
    /// The node that was chosen for it cannot serve it any more, and another is to be chosen.
    NodeVoid = Pin, "node-void", Change, "removed its node {}, which cannot serve it; another is to be chosen";
    /// No node that could hold it runs an agent that is Ready.
    NoAgent = Pin, "no-agent", Skip,
        "left it without a node: none for class {} has a Ready agent; see their pods";
    /// Its class binds at once, and no node takes pods now.
    NoNodeAvailable = Pin, "no-node-available", Skip,
        "left it without a node until one for class {} is Ready and not cordoned";
    /// The pin is no node's name.
    MalformedPin = Pin, "malformed-pin", Skip,
        "left it without a node: annotation {} names none; correct it";
    /// The pin is a node that does not exist.
    UnknownNode = Pin, "unknown-node", Never, "refused it: node {} does not exist";
    /// The pin is a node that can never hold it.
    ImpossibleNode = Pin, "impossible-node", Never, "refused it: node {} can never hold it";
    /// The pin and the selected node differ.
    ContradictoryPin = Pin, "contradictory-pin", Never, "refused it: it asks for two nodes";
    /// The selected node is not a node's name.
    MalformedSelectedNode = Pin, "malformed-selected-node", Skip,
        "left it without a node: {} names none; take it off";
    /// A new claim selects a node that can never hold it.
    StaleSelectedNode = Pin, "stale-selected-node", Skip, "left it on node {}";
    /// The Service wants no address.
    NotLoadBalancer = Balancer, "not-load-balancer", Never,
        "left it alone: its type is not LoadBalancer";
    /// The Service no longer wants an address.
    GivenUp = Balancer, "given-up", Change,
        "removed what it wrote: the Service wants no address any more";
    /// The inlets operator is to serve it.
    Inlets = Balancer, "inlets", Change, "left its address to the inlets operator";
    /// Nobody is to serve it.
    NoBalancer = Balancer, "none", Change, "left it without an address; write {}: inlets to ask for one";
    /// Nobody is to serve it, since the inlets operator cannot.
    BeyondInlets = Balancer, "beyond-inlets", Change,
        "left it without an address: {}";
    /// Nobody is to serve it: a tunnel would let in clients that it keeps out.
    SourceRanges = Balancer, "source-ranges", Change,
        "left it without an address: {}; remove them";
    /// Nobody is to serve it: a tunnel cannot have the address that it asks for.
    RequestedAddress = Balancer, "requested-address", Change,
        "left it without an address: {}; remove it";
    /// It has no cluster address.
    Headless = Balancer, "headless", Skip,
        "left it alone: without a cluster IP there is nothing to forward to";
    /// It names a class of load balancer.
    ForeignBalancer = Balancer, "foreign-balancer", Skip, "left it to load balancer class {}";
    /// It has an address from someone else.
    ForeignAddress = Balancer, "foreign-address", Skip, "left it alone: {} has its address";
    /// It bears another load balancer's marks.
    ForeignMark = Balancer, "foreign-mark", Skip, "left it alone: {} is another load balancer's";
    /// Its user tells the inlets operator what to do.
    UserManaged = Balancer, "user-managed", Skip, "left it alone: {} is set by hand";
    /// It asks for what is not served.
    UnservedChoice = Balancer, "unserved-choice", Skip,
        "left it alone: {} is not served; write inlets or none";
    /// It only asks whether the webhook is there.
    Probe = Review, "probe", Never, "set {}";
    /// What was sent is no review.
    NotAReview = Review, "not-a-review", Never, "left it alone: it is no review";
    /// The review is of another kind of object than its path.
    WrongKind = Review, "wrong-kind", Skip, "left it alone: the review is of {}";
    /// The object is missing or cannot be read.
    Unreadable = Review, "unreadable", Skip, "left it alone: it cannot be read: {}";
    /// Nothing is known of the cluster yet.
    NotReady = Review, "not-ready", Skip, "left it alone for now: still starting, will look again";
    /// There was no time left to look at the object.
    Overloaded = Review, "overloaded", Skip, "left it alone for now: overloaded, will look again";
    /// A defect of fastrak's.
    Internal = Review, "internal", Skip, "left it alone for now: a defect of its own, will look again";
}

impl Reason {
    /// Returns the reason of a Service that a mode serves.
    #[must_use]
    pub const fn served(mode: Mode) -> Self {
        match mode {
            Mode::Inlets => Self::Inlets,
            Mode::None => Self::NoBalancer,
        }
    }

    /// Returns the reason of a Service that its mode cannot carry.
    #[must_use]
    pub const fn unsupported(what: Unsupported) -> Self {
        match what {
            Unsupported::SourceRanges => Self::SourceRanges,
            Unsupported::RequestedAddress => Self::RequestedAddress,
            Unsupported::Protocol(..) | Unsupported::ReservedPort(_) => Self::BeyondInlets,
        }
    }

    /// Returns the reason of a Service that is left as it is.
    #[must_use]
    pub const fn skipped(reason: SkipReason) -> Self {
        match reason {
            SkipReason::Headless => Self::Headless,
            SkipReason::ForeignClass => Self::ForeignBalancer,
            SkipReason::ForeignAddress => Self::ForeignAddress,
            SkipReason::ForeignMark => Self::ForeignMark,
            SkipReason::UserManaged => Self::UserManaged,
            SkipReason::UnservedChoice => Self::UnservedChoice,
        }
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

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn every_reason_has_a_label_of_its_own_and_words_that_say_what_was_done() {
        let labels: HashSet<_> = Reason::ALL.iter().map(|reason| reason.as_str()).collect();
        assert_eq!(labels.len(), Reason::ALL.len());
        // They can follow "would have".
        let verbs = ["left", "set", "pinned", "removed", "refused"];
        for reason in Reason::ALL {
            let words = reason.message();
            let verb = words.split(' ').next().unwrap();
            assert!(verbs.contains(&verb), "{reason}: {words}");
            assert!(words.matches("{}").count() <= 1, "{reason}: {words}");
        }
    }

    #[test]
    fn the_warning_of_an_unserved_choice_names_every_mode() {
        for mode in Mode::ALL {
            let words = Reason::UnservedChoice.message();
            assert!(words.split(' ').any(|word| word == mode.as_str()), "{words}: {mode}");
        }
    }

    #[test]
    fn what_is_another_provisioners_is_told_to_nobody_and_what_a_user_may_miss_is() {
        let voices = |reasons: &[Reason]| -> HashSet<_> {
            reasons.iter().map(|reason| format!("{:?}", reason.warn_on())).collect()
        };
        let one = |warn_on: &str| HashSet::from([warn_on.to_owned()]);
        let mute = [Reason::ForeignClass, Reason::UnknownClass, Reason::OptedOut, Reason::Mirrored];
        assert_eq!(voices(&mute), one("Never"));
        let changed = [Reason::DefaultClass, Reason::OnlyNode, Reason::Inlets, Reason::GivenUp];
        assert_eq!(voices(&changed), one("Change"));
        let left = [Reason::NoNodeAble, Reason::ForeignMark, Reason::UnservedChoice];
        assert_eq!(voices(&left), one("Skip"));
    }
}
