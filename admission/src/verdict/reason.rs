//! The reasons of decisions: one table with the rule of each, its label in metrics and audit logs,
//! whether the requester is warned, and its message.
//!
//! A message starts with what fastrak did, so that it can follow "fastrak:" as well as "fastrak
//! would have". `{}` is the subject.
//!
//! A warning reports a change, or an unchanged object whose user may expect a change. Objects of
//! another provisioner or load balancer are not reported unless they request fastrak.

use fastrak_api::balancer::{Mode, SkipReason, Unsupported};

fastrak_api::text_enum! {
    /// The part of the product that a reason belongs to, as audit logs show it.
    pub enum Rule {
        /// The objects that fastrak decides about.
        Scope = "scope",
        /// The class of a claim.
        Class = "class",
        /// The node of a claim.
        Pin = "pin",
        /// The address of a Service.
        Balancer = "balancer",
        /// The review itself.
        Review = "review",
    }
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
        fastrak_api::text_enum! {
            /// Why something was decided: a label of metrics and an audit annotation, never free
            /// text.
            pub enum Reason {
                $($(#[doc = $doc])+ $variant = $label,)+
            }
        }

        impl Reason {
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
    OptedOut = Scope, "opted_out", Never,
        "left it unchanged: its label or the label of its namespace opts out";
    /// Its namespace is the cluster's own or fastrak's own.
    SystemNamespace = Scope, "system_namespace", Never,
        "left it unchanged: namespace {} belongs to the cluster or to fastrak";
    /// It is being deleted.
    Deleting = Scope, "deleting", Never, "left it unchanged: it is being deleted";
    /// The operation needs no decision.
    Operation = Scope, "operation", Never, "left it unchanged: operation {} needs no decision";
    /// The claim has a volume or names one.
    VolumeNamed = Scope, "volume_named", Never, "left it unchanged: spec.volumeName is {}";
    /// The claim opts out of dynamic provisioning.
    EmptyClass = Scope, "empty_class", Never,
        "left it unchanged: its empty class disables dynamic provisioning";
    /// The claim names its class by the annotation from before the field existed.
    BetaClass = Scope, "beta_class", Skip,
        "left it unchanged: a beta annotation sets its class; use spec.storageClassName";
    /// The claim's class is another provisioner's.
    ForeignClass = Scope, "foreign_class", Never,
        "left it unchanged: class {} belongs to another provisioner";
    /// The claim's class does not exist.
    UnknownClass = Scope, "unknown_class", Never, "left it unchanged: class {} does not exist";
    /// The claim has no class, and there is no default.
    NoClass = Scope, "no_class", Skip,
        "left it without a class: no class is the default; set spec.storageClassName";
    /// The claim has no class, and Kubernetes gives it the class that is marked as the default.
    ClusterDefault = Class, "cluster_default", Never,
        "left its class unset: Kubernetes sets the default class";
    /// The claim got the default class.
    DefaultClass = Class, "default_class", Change, "set class {}: it has no class, and this is the default";
    /// The claim got its namespace's default class.
    NamespaceClass = Class, "namespace_class", Change, "set class {}, the default of its namespace";
    /// The user wrote the node.
    UserPin = Pin, "user", Change, "pinned it to node {}, as requested";
    /// The pin follows the selected node.
    Mirrored = Pin, "mirrored", Never, "pinned it to node {}, its selected node";
    /// No other node is eligible.
    OnlyNode = Pin, "only_node", Change, "pinned it to node {}, the only eligible node";
    /// The class binds immediately, so a node was chosen.
    Policy = Pin, "policy", Change, "pinned it to node {}: its class binds immediately";
    /// It follows the claims of the same pod.
    Sibling = Pin, "sibling", Change, "pinned it to node {}, the node of its pod's other claims";
    /// The rest of a pin was removed.
    PinWithdrawn = Pin, "withdrawn", Change,
        "removed a withdrawn pin; to pin the claim, set annotation {}";
    /// The scheduler chooses when a pod uses the claim.
    WaitsForPod = Pin, "waits_for_pod", Never,
        "left its node to the scheduler, which chooses one for its first pod";
    /// Kubernetes can bind it to a volume that exists.
    ExistingVolume = Pin, "existing_volume", Skip,
        "left it unpinned: existing PersistentVolume {} fits it";
    /// No node can hold it.
    NoEligibleNode = Pin, "no_eligible_node", Skip,
        "left it without a node: no node is eligible for class {}; add one";
    /// The chosen node cannot serve it any more; another one is chosen.
    StalePin = Pin, "stale_pin", Change,
        "removed node {}, which cannot serve it; another node is chosen";
    /// No node that could hold it runs an agent that is Ready.
    NoAgent = Pin, "no_agent", Skip,
        "left it without a node: no node for class {} has a Ready agent; see its pods";
    /// Its class binds immediately, and no node takes pods now.
    NoNodeAvailable = Pin, "no_node_available", Skip,
        "left it without a node: all nodes for class {} are cordoned or not Ready";
    /// The pin is not a node's name.
    MalformedPin = Pin, "malformed_pin", Skip,
        "left it without a node: annotation {} is not a node name; correct it";
    /// The pin is a node that does not exist.
    UnknownNode = Pin, "unknown_node", Never, "refused it: node {} does not exist";
    /// The pin is a node that can never hold it.
    ImpossibleNode = Pin, "impossible_node", Never, "refused it: node {} is not eligible";
    /// The pin and the selected node differ.
    ContradictoryPin = Pin, "contradictory_pin", Never, "refused it: its annotations name two nodes";
    /// The selected node is not a node's name.
    MalformedSelectedNode = Pin, "malformed_selected_node", Skip,
        "left it without a node: {} is not a node name; remove it";
    /// A new claim selects a node that can never hold it.
    StaleSelectedNode = Pin, "stale_selected_node", Skip,
        "left it on node {}; remove selected-node";
    /// The Service is not a LoadBalancer.
    NotLoadBalancer = Balancer, "not_load_balancer", Never,
        "left it unchanged: its type is not LoadBalancer";
    /// The Service is no longer a LoadBalancer.
    NoLongerLoadBalancer = Balancer, "no_longer_load_balancer", Change,
        "removed its annotations: the type is no longer LoadBalancer";
    /// Its mode is inlets.
    Inlets = Balancer, "inlets", Change, "delegated it to inlets-operator";
    /// Its mode is auto.
    Auto = Balancer, "auto", Change, "delegated it to AddressPools, or else to node addresses";
    /// Its mode is node-ip.
    NodeIp = Balancer, "node_ip", Change, "delegated it to the addresses of the nodes";
    /// Its mode is address-pool.
    AddressPool = Balancer, "address_pool", Change, "delegated it to AddressPools";
    /// Its mode is a class.
    BalancerClass = Balancer, "balancer_class", Change, "delegated it to load balancer class {}";
    /// Its mode is none.
    NoBalancer = Balancer, "none", Change,
        "left it without an address: its mode is none; to get one, change {}";
    /// It gets the alternative mode, because its own cannot carry its ports.
    UnsupportedPort = Balancer, "unsupported_port", Change,
        "left it without an address: {}; set another mode";
    /// It gets the alternative mode, because its own would let in clients that it keeps out.
    SourceRanges = Balancer, "source_ranges", Change,
        "left it without an address: {}; remove them";
    /// It gets the alternative mode, because its own cannot give the address that it requests.
    RequestedAddress = Balancer, "requested_address", Change,
        "left it without an address: {}; remove it";
    /// It has no cluster address.
    Headless = Balancer, "headless", Skip,
        "left it unchanged: it is headless; to get an address, create it with a cluster IP";
    /// It names a class of load balancer.
    ForeignBalancer = Balancer, "foreign_balancer", Skip, "left it to load balancer class {}";
    /// It has an address of another load balancer.
    ForeignAddress = Balancer, "foreign_address", Skip,
        "left it unchanged: {} has an address that fastrak has not written";
    /// It has a mark of another load balancer.
    ForeignMark = Balancer, "foreign_mark", Skip,
        "left it unchanged: {} belongs to another load balancer";
    /// Its user has set the annotations of the inlets operator.
    UserManaged = Balancer, "user_managed", Skip, "left it unchanged: its user has set {}";
    /// It names no mode.
    UnsupportedMode = Balancer, "unsupported_mode", Skip,
        "left it: {} is not auto, inlets, address-pool, node-ip, class=NAME or none";
    /// It names a mode of a component that is not installed.
    ModeNotInstalled = Balancer, "mode_not_installed", Skip,
        "left it unchanged: mode {} needs the component deploy/addresses";
    /// It is a probe of the webhook.
    Probe = Review, "probe", Never, "set {}";
    /// The body is not a review.
    NotAReview = Review, "not_a_review", Never,
        "left it unchanged: the request is not an AdmissionReview";
    /// The review is of another kind of object than its path.
    WrongKind = Review, "wrong_kind", Skip, "left it unchanged: the review contains {}";
    /// The object is missing or cannot be read.
    Unreadable = Review, "unreadable", Skip, "left it unchanged: it cannot be read: {}";
    /// There is no snapshot of the cluster yet.
    NotReady = Review, "not_ready", Skip,
        "left it unchanged: the webhook is starting; fastrak retries later";
    /// There was no time left for the review.
    Overloaded = Review, "overloaded", Skip,
        "left it unchanged: the webhook is overloaded; fastrak retries later";
    /// A decision panicked.
    Internal = Review, "internal", Skip,
        "left it unchanged: internal error; fastrak retries later";
}

impl Reason {
    /// Returns the reason of a Service that a mode serves.
    #[must_use]
    pub const fn served(mode: Mode) -> Self {
        match mode {
            Mode::Inlets => Self::Inlets,
            Mode::Auto => Self::Auto,
            Mode::AddressPool => Self::AddressPool,
            Mode::NodeIp => Self::NodeIp,
            Mode::Class => Self::BalancerClass,
            Mode::None => Self::NoBalancer,
        }
    }

    /// Returns the reason of a Service that its mode cannot carry.
    #[must_use]
    pub const fn unsupported(what: Unsupported) -> Self {
        match what {
            Unsupported::SourceRanges => Self::SourceRanges,
            Unsupported::RequestedAddress => Self::RequestedAddress,
            Unsupported::Protocol(..) | Unsupported::ReservedPort(_) => Self::UnsupportedPort,
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
            SkipReason::UnsupportedMode => Self::UnsupportedMode,
        }
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
        let verbs = ["left", "set", "pinned", "removed", "refused", "delegated"];
        for reason in Reason::ALL {
            let words = reason.message();
            let verb = words.split(' ').next().unwrap();
            assert!(verbs.contains(&verb), "{reason}: {words}");
            assert!(words.matches("{}").count() <= 1, "{reason}: {words}");
        }
    }

    #[test]
    fn the_warning_of_an_unsupported_mode_names_every_mode() {
        for mode in Mode::ALL {
            let words = Reason::UnsupportedMode.message();
            assert!(
                words.split([' ', ',', '=']).any(|word| word == mode.as_str()),
                "{words}: {mode}"
            );
        }
    }

    #[test]
    fn only_changes_and_skips_that_a_user_may_not_expect_are_warned_of() {
        let warn_ons = |reasons: &[Reason]| -> HashSet<_> {
            reasons.iter().map(|reason| format!("{:?}", reason.warn_on())).collect()
        };
        let one = |warn_on: &str| HashSet::from([warn_on.to_owned()]);
        let never =
            [Reason::ForeignClass, Reason::UnknownClass, Reason::OptedOut, Reason::Mirrored];
        assert_eq!(warn_ons(&never), one("Never"));
        let changed =
            [Reason::DefaultClass, Reason::OnlyNode, Reason::Inlets, Reason::NoLongerLoadBalancer];
        assert_eq!(warn_ons(&changed), one("Change"));
        let left = [Reason::NoEligibleNode, Reason::ForeignMark, Reason::UnsupportedMode];
        assert_eq!(warn_ons(&left), one("Skip"));
    }
}
