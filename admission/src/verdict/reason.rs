//! The reasons of decisions: one table with the rule of each, its label in metrics and audit logs,
//! whether the requester is warned, and its message.
//!
//! A message starts with what fastrak did, so that it can follow "fastrak:" as well as "fastrak
//! would have". `{}` is the subject.
//!
//! A warning reports a change, or an unchanged object whose user may expect a change. Objects of
//! another provisioner or load balancer are not reported unless they request fastrak.

use fastrak_api::balancer::{Mode, SkipReason, Unsupported};
use std::fmt;

/// The part of the product that a reason belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Rule {
    /// The objects that fastrak decides about.
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

/// The outcomes that the requester is warned of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WarnOn {
    /// If the object was changed.
    Change,
    /// If the object was not changed.
    Skip,
    /// Never: it appears only in audit logs and metrics.
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
            /// All reasons.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)+];

            /// Returns the label of the reason in metrics and audit logs.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $label,)+ }
            }

            /// Returns the part of the product that it belongs to.
            #[must_use]
            pub const fn rule(self) -> Rule {
                match self { $(Self::$variant => Rule::$rule,)+ }
            }

            /// Returns whether the requester is warned.
            #[must_use]
            pub const fn warn_on(self) -> WarnOn {
                match self { $(Self::$variant => WarnOn::$warn_on,)+ }
            }

            /// Returns the message: what was done. `{}` is the place of the subject.
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
    /// The operation needs no decision.
    Operation = Scope, "operation", Never, "left it alone: the operation {} decides nothing";
    /// The claim has a volume or names one.
    VolumeNamed = Scope, "volume-named", Never, "left it alone: it has volume {}";
    /// The claim opts out of dynamic provisioning.
    ClassRefused = Scope, "class-refused", Never,
        "left it alone: its empty class opts out of provisioning";
    /// The claim names its class by the annotation from before the field existed.
    BetaClass = Scope, "beta-class", Skip,
        "left it alone: an old annotation names its class; use spec.storageClassName";
    /// The claim's class is another provisioner's.
    ForeignClass = Scope, "foreign-class", Never,
        "left it alone: class {} is another provisioner's";
    /// The claim's class does not exist.
    UnknownClass = Scope, "unknown-class", Never, "left it alone: class {} does not exist";
    /// The claim has no class, and there is no default.
    NoClass = Scope, "no-class", Skip,
        "left it without a class: there is none to give; name one";
    /// The claim has no class, and the default class is another provisioner's.
    DefaultElsewhere = Class, "default-elsewhere", Never,
        "left its class open: the cluster gives it its default";
    /// The claim got the default class.
    DefaultClass = Class, "default-class", Change, "set class {}, because it names none";
    /// The claim got its namespace's default class.
    NamespaceClass = Class, "namespace-class", Change, "set class {}, its namespace's default";
    /// The user wrote the node.
    UserPin = Pin, "user", Change, "pinned it to node {}, as requested";
    /// The pin follows the selected node.
    Mirrored = Pin, "mirrored", Never, "pinned it to node {}, where it is provisioned";
    /// No other node can hold it.
    OnlyNode = Pin, "only-node", Change, "pinned it to node {}: no other can hold it";
    /// The class binds at once, so a node was chosen.
    Policy = Pin, "policy", Change, "pinned it to node {}: its class binds at once";
    /// It follows the claims of the same pod.
    Sibling = Pin, "sibling", Change, "pinned it to node {}, with its pod's other claims";
    /// The rest of a pin was removed.
    PinWithdrawn = Pin, "withdrawn", Change,
        "removed what was left of a pin; annotation {} pins a claim";
    /// The scheduler chooses when a pod uses the claim.
    WaitsForPod = Pin, "waits-for-pod", Never,
        "left its node to the scheduler: it waits for its first pod";
    /// Kubernetes can bind it to a volume that exists.
    ExistingVolume = Pin, "existing-volume", Skip, "left it unpinned: existing PersistentVolume {} fits it";
    /// No node can hold it.
    NoNodeAble = Pin, "no-node-able", Skip,
        "left it without a node: none can hold class {} now; add one";
    /// The chosen node cannot serve it any more; another one is chosen.
    NodeVoid = Pin, "node-void", Change, "removed its node {}, which cannot serve it; another one is chosen";
    /// No node that could hold it runs an agent that is Ready.
    NoAgent = Pin, "no-agent", Skip,
        "left it without a node: none for class {} has a Ready agent; see their pods";
    /// Its class binds at once, and no node takes pods now.
    NoNodeAvailable = Pin, "no-node-available", Skip,
        "left it without a node until one for class {} is Ready and not cordoned";
    /// The pin is not a node's name.
    MalformedPin = Pin, "malformed-pin", Skip,
        "left it without a node: annotation {} names none; correct it";
    /// The pin is a node that does not exist.
    UnknownNode = Pin, "unknown-node", Never, "refused it: node {} does not exist";
    /// The pin is a node that can never hold it.
    ImpossibleNode = Pin, "impossible-node", Never, "refused it: node {} can never hold it";
    /// The pin and the selected node differ.
    ContradictoryPin = Pin, "contradictory-pin", Never, "refused it: it names two nodes";
    /// The selected node is not a node's name.
    MalformedSelectedNode = Pin, "malformed-selected-node", Skip,
        "left it without a node: {} names none; take it off";
    /// A new claim selects a node that can never hold it.
    StaleSelectedNode = Pin, "stale-selected-node", Skip, "left it on node {}";
    /// The Service is not a LoadBalancer.
    NotLoadBalancer = Balancer, "not-load-balancer", Never,
        "left it alone: its type is not LoadBalancer";
    /// The Service is no longer a LoadBalancer.
    GivenUp = Balancer, "given-up", Change,
        "removed what it wrote: the Service wants no address any more";
    /// Its mode is inlets.
    Inlets = Balancer, "inlets", Change, "left its address to the inlets operator";
    /// Its mode is address-pool.
    AddressPool = Balancer, "address_pool", Change, "left its address to the pools of addresses";
    /// Its mode is none.
    NoBalancer = Balancer, "none", Change, "left it without an address; write {}: inlets to ask for one";
    /// It gets the alternative mode, because its own cannot carry its ports.
    BeyondInlets = Balancer, "beyond-inlets", Change,
        "left it without an address: {}";
    /// It gets the alternative mode, because its own would let in clients that it keeps out.
    SourceRanges = Balancer, "source-ranges", Change,
        "left it without an address: {}; remove them";
    /// It gets the alternative mode, because its own cannot give the address that it requests.
    RequestedAddress = Balancer, "requested-address", Change,
        "left it without an address: {}; remove it";
    /// It has no cluster address.
    Headless = Balancer, "headless", Skip,
        "left it alone: without a cluster IP there is nothing to forward to";
    /// It names a class of load balancer.
    ForeignBalancer = Balancer, "foreign-balancer", Skip, "left it to load balancer class {}";
    /// It has an address of another load balancer.
    ForeignAddress = Balancer, "foreign-address", Skip, "left it alone: {} has its address";
    /// It has a mark of another load balancer.
    ForeignMark = Balancer, "foreign-mark", Skip, "left it alone: {} is another load balancer's";
    /// Its user has set the annotations of the inlets operator.
    UserManaged = Balancer, "user-managed", Skip, "left it alone: {} is set by hand";
    /// It names a mode that this version does not have.
    UnservedChoice = Balancer, "unserved-choice", Skip,
        "left it unchanged: no mode {} here; use inlets, address-pool or none";
    /// It is a probe of the webhook.
    Probe = Review, "probe", Never, "set {}";
    /// The body is not a review.
    NotAReview = Review, "not-a-review", Never, "left it alone: it is no review";
    /// The review is of another kind of object than its path.
    WrongKind = Review, "wrong-kind", Skip, "left it alone: the review is of {}";
    /// The object is missing or cannot be read.
    Unreadable = Review, "unreadable", Skip, "left it alone: it cannot be read: {}";
    /// There is no snapshot of the cluster yet.
    NotReady = Review, "not-ready", Skip, "left it alone for now: still starting, will look again";
    /// There was no time left for the review.
    Overloaded = Review, "overloaded", Skip, "left it alone for now: overloaded, will look again";
    /// fastrak has a defect.
    Internal = Review, "internal", Skip, "left it alone for now: a defect of its own, will look again";
}

impl Reason {
    /// Returns the reason of a Service that a mode serves.
    #[must_use]
    pub const fn served(mode: Mode) -> Self {
        match mode {
            Mode::Inlets => Self::Inlets,
            Mode::AddressPool => Self::AddressPool,
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

    /// Returns the reason of a Service that is not changed.
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
    /// Returns the rule as audit logs show it.
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
    fn every_reason_has_its_own_label_and_a_message_that_starts_with_a_verb() {
        let labels: HashSet<_> = Reason::ALL.iter().map(|reason| reason.as_str()).collect();
        assert_eq!(labels.len(), Reason::ALL.len());
        // Each can follow "would have".
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
            assert!(words.split([' ', ',']).any(|word| word == mode.as_str()), "{words}: {mode}");
        }
    }

    #[test]
    fn only_changes_and_skips_that_a_user_may_not_expect_are_warned_of() {
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
