//! The kinds of objects that are repaired, and their differences. `controller.rs` handles all kinds
//! alike.

use super::bound::{self, Restoration};
use super::plan::{self, Repair};
use super::report::Report;
use fastrak_admission::mutate::service::Settings;
use fastrak_admission::patch::{Edit, Field};
use fastrak_admission::review::Subject;
use fastrak_admission::snapshot::Snapshot;
use fastrak_admission::verdict::Reason;
use fastrak_api::balancer::{PartialService, ServiceView};
use fastrak_api::claim::Claim;
use fastrak_api::names::kubernetes;
use fastrak_api::node::NodeName;
use fastrak_api::reason::EventReason;
use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::api::core::v1::{PersistentVolume, PersistentVolumeClaim, Service};
use serde_json::Error;
use std::sync::Arc;

/// The namespace and the name of an object.
pub(super) type Key = (String, String);

/// A kind of object that is repaired.
pub(super) trait Kind {
    /// The API type.
    type Object: kube::Resource<DynamicType = (), Scope = NamespaceResourceScope>;
    /// The fields that are kept while the object may need a repair. The length of texts is limited.
    type View: Clone + Send + 'static;
    /// The name in metrics.
    const SUBJECT: Subject;
    /// Parses an object.
    fn read(text: &str) -> Result<Self::View, Error>;
    fn key(view: &Self::View) -> Key;
    /// Returns whether the object may need a repair by this snapshot or a later one.
    fn concerns(view: &Self::View, snapshot: &Snapshot) -> bool;
    /// Returns whether objects that were not kept before may need a repair now.
    fn is_outdated(before: &Snapshot, now: &Snapshot) -> bool;
    /// Decides.
    fn plan(view: &Self::View, snapshot: &Snapshot, settings: Settings) -> Repair;
    /// Returns the node whose absence these changes rely on, if any: the watch of nodes may be
    /// behind.
    fn absent(view: &Self::View, edits: &[Edit]) -> Option<NodeName>;
    /// Returns what to restore from the volume on the object with this UID, if anything.
    fn restore(view: &Self::View, uid: &str, volume: &PersistentVolume) -> Option<Restoration>;
    /// Returns the event about a repair from `before` to `changed`.
    fn report(before: &Self::View, changed: &Self::View, reason: Reason) -> Report;
}

/// Claims that wait for a volume, and bound claims that do not name their node.
pub(super) enum Claims {}

/// Services that need an address, or no longer do.
pub(super) enum Services {}

impl Kind for Claims {
    type Object = PersistentVolumeClaim;
    type View = Claim;
    const SUBJECT: Subject = Subject::Claims;

    fn read(text: &str) -> Result<Claim, Error> {
        Claim::parse(text)
    }

    fn key(claim: &Claim) -> Key {
        (claim.namespace.clone(), claim.name.clone())
    }

    /// A claim whose class is another provisioner's needs nothing until there is another class of
    /// that name.
    fn concerns(claim: &Claim, snapshot: &Snapshot) -> bool {
        let class = claim.class_name().and_then(|name| snapshot.class(name));
        let is_pending = plan::is_pending(claim) && class.is_none_or(|class| class.is_ours());
        is_pending || bound::volume_to_read(claim, snapshot).is_some()
    }

    fn is_outdated(before: &Snapshot, now: &Snapshot) -> bool {
        !Arc::ptr_eq(&before.classes, &now.classes)
    }

    fn plan(claim: &Claim, snapshot: &Snapshot, _settings: Settings) -> Repair {
        plan::claim(claim, snapshot)
    }

    fn absent(claim: &Claim, edits: &[Edit]) -> Option<NodeName> {
        let selects = Field::Annotation(kubernetes::SELECTED_NODE);
        let node = claim.selected_node().ok().flatten()?;
        edits.iter().any(|edit| edit.field == selects).then_some(node)
    }

    fn restore(claim: &Claim, uid: &str, volume: &PersistentVolume) -> Option<Restoration> {
        bound::restore(claim, uid, volume)
    }

    fn report(before: &Claim, changed: &Claim, reason: Reason) -> Report {
        if let (Some(gone), true) =
            (&before.selected_node, before.selected_node != changed.selected_node)
        {
            let now = match &changed.pin {
                Some(node) => format!("pinned the claim to node {node}"),
                None => "the scheduler chooses again with the claim's pod".to_owned(),
            };
            let note = format!("node {gone}, chosen for the claim, does not exist any more; {now}");
            return Report { reason: EventReason::SelectedNodeRemoved, note };
        }
        let what = match &changed.pin {
            Some(node) => format!("pinned it to node {node}"),
            None => "changed it".to_owned(),
        };
        let note = format!("admission missed the claim; fastrak {what} ({reason})");
        Report { reason: EventReason::PinRepaired, note }
    }
}

impl Kind for Services {
    type Object = Service;
    type View = ServiceView;
    const SUBJECT: Subject = Subject::Services;

    fn read(text: &str) -> Result<ServiceView, Error> {
        serde_json::from_str::<PartialService<'_>>(text).map(|service| ServiceView::of(&service))
    }

    fn key(service: &ServiceView) -> Key {
        (service.namespace.clone(), service.name.clone())
    }

    fn concerns(service: &ServiceView, _snapshot: &Snapshot) -> bool {
        plan::needs_decision(service)
    }

    fn is_outdated(_before: &Snapshot, _now: &Snapshot) -> bool {
        false
    }

    fn plan(service: &ServiceView, snapshot: &Snapshot, settings: Settings) -> Repair {
        plan::service(service, snapshot, settings)
    }

    fn absent(_service: &ServiceView, _edits: &[Edit]) -> Option<NodeName> {
        None
    }

    fn restore(_: &ServiceView, _: &str, _: &PersistentVolume) -> Option<Restoration> {
        None
    }

    fn report(_before: &ServiceView, changed: &ServiceView, reason: Reason) -> Report {
        let what = match changed.decision() {
            Some(decision) => {
                format!("recorded the decision {decision} ({reason}); see docs/services.md")
            }
            None => format!("removed the decision ({reason})"),
        };
        let note = format!("admission missed the Service, or it has changed; fastrak {what}");
        Report { reason: EventReason::BalancerRepaired, note }
    }
}
