//! The two kinds of object that are mended, and all in which they differ. What is done with them is
//! the same, and is in `controller.rs`.

use super::plan::{self, Repair};
use crate::facts::Facts;
use crate::mutate::service::Settings;
use crate::review::Subject;
use crate::verdict::Reason;
use fastrak_api::balancer::ServiceView;
use fastrak_api::claim::Claim;
use fastrak_api::reason::EventReason;
use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::api::core::v1::{PersistentVolumeClaim, Service};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::fmt::Debug;

/// A kind of object that is mended.
pub(super) trait Kind {
    /// The object as the API has it.
    type Object: kube::Resource<DynamicType = (), Scope = NamespaceResourceScope>
        + Clone
        + Debug
        + DeserializeOwned
        + Serialize
        + Send
        + Sync
        + 'static;
    /// What metrics call it.
    const SUBJECT: Subject;
    /// The event that tells of a repair.
    const EVENT: EventReason;

    /// Whether the object may ever need anything as it is.
    fn concerns(object: &Self::Object) -> bool;
    /// Decides.
    fn plan(object: &Self::Object, facts: &Facts, settings: Settings) -> Repair;
    /// What was done, for people to read.
    fn note(changed: &Self::Object, reason: Reason) -> String;
}

/// Claims that wait for their volumes.
pub(super) enum Claims {}

/// Services that want an address, or no longer do.
pub(super) enum Services {}

impl Kind for Claims {
    type Object = PersistentVolumeClaim;
    const SUBJECT: Subject = Subject::Claims;
    const EVENT: EventReason = EventReason::PinRepaired;

    fn concerns(object: &Self::Object) -> bool {
        plan::waits(&Claim::read(object))
    }

    fn plan(object: &Self::Object, facts: &Facts, _settings: Settings) -> Repair {
        plan::claim(&Claim::read(object), facts)
    }

    fn note(changed: &Self::Object, reason: Reason) -> String {
        let node = Claim::read(changed).pin.map(|node| format!(", node {node}"));
        format!("put right after the fact: {reason}{}", node.unwrap_or_default())
    }
}

impl Kind for Services {
    type Object = Service;
    const SUBJECT: Subject = Subject::Services;
    const EVENT: EventReason = EventReason::BalancerRepaired;

    fn concerns(object: &Self::Object) -> bool {
        plan::asks(&ServiceView::read(object))
    }

    fn plan(object: &Self::Object, facts: &Facts, settings: Settings) -> Repair {
        plan::service(&ServiceView::read(object), facts, settings)
    }

    fn note(changed: &Self::Object, reason: Reason) -> String {
        match ServiceView::read(changed).decision {
            Some(decision) => format!("decided after the fact: {decision}"),
            None => format!("what was decided is taken back after the fact: {reason}"),
        }
    }
}
