//! Events on claims, volumes and nodes.

use crate::snapshot::volume::Volume;
use fastrak_api::claim::Claim;
use fastrak_api::names;
use fastrak_api::node::NodeName;
use fastrak_api::reason::EventReason;
use fastrak_api::volume::QuotaGroup;
use fastrak_runtime::events::{self, Event, EventQueue, EventWriter, Recorder, Reporter};
use k8s_openapi::api::core::v1::ObjectReference;
use kube::Client;
use std::time::Duration;

/// The length of the event queue: a burst of a thousand claims writes two events each.
const WAITING: usize = 4096;
/// The delay of an event. The API server is about to bind the claim that the event is about, and on
/// a small machine a concurrent write makes the claim's user wait.
const EVENT_DELAY: Duration = Duration::from_millis(250);

/// The sending end of the event queue.
#[derive(Clone, Debug)]
pub struct Events {
    recorder: Recorder,
}

/// The object that an event is about.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Object<'a> {
    Claim(&'a Claim),
    Volume(&'a Volume),
    Node(&'a NodeName),
}

/// Creates the event queue.
#[must_use]
pub fn channel() -> (Events, EventQueue) {
    let (recorder, queue) = events::queue(WAITING);
    (Events { recorder }, queue)
}

impl Events {
    /// Queues an event on an object.
    pub(crate) fn write<'a>(
        &self,
        object: impl Into<Object<'a>>,
        reason: EventReason,
        note: impl Into<String>,
    ) {
        let (is_warning, reason) = (reason.is_warning(), reason.as_str());
        let event = Event { is_warning, reason, action: reason, note: note.into() };
        self.recorder.record(object.into().reference(), event);
    }
}

/// Returns the part of a message that says whether a quota enforces a volume's size.
pub(crate) const fn enforcement(limit: Option<QuotaGroup>) -> &'static str {
    match limit {
        None => "; no quota enforces its size",
        Some(_) => "; a quota enforces its size",
    }
}

impl Object<'_> {
    fn reference(self) -> ObjectReference {
        match self {
            Self::Claim(claim) => claim_reference(claim),
            Self::Volume(volume) => ObjectReference {
                resource_version: Some(volume.resource_version.clone()),
                ..reference("PersistentVolume", &volume.name, Some(volume.uid.clone()))
            },
            // The kubelet uses the node name as UID, and `kubectl describe node` looks for these
            // events too.
            Self::Node(node) => reference("Node", node.as_str(), Some(node.to_string())),
        }
    }
}

/// Returns an object reference to a claim.
pub(crate) fn claim_reference(claim: &Claim) -> ObjectReference {
    ObjectReference {
        namespace: Some(claim.namespace.clone()),
        resource_version: claim.resource_version.as_ref().map(ToString::to_string),
        ..reference("PersistentVolumeClaim", &claim.name, claim.uid.clone())
    }
}

fn reference(kind: &str, name: &str, uid: Option<String>) -> ObjectReference {
    ObjectReference {
        api_version: Some("v1".to_owned()),
        kind: Some(kind.to_owned()),
        name: Some(name.to_owned()),
        uid,
        ..ObjectReference::default()
    }
}

impl<'a> From<&'a Claim> for Object<'a> {
    fn from(claim: &'a Claim) -> Self {
        Self::Claim(claim)
    }
}

impl<'a> From<&'a Volume> for Object<'a> {
    fn from(volume: &'a Volume) -> Self {
        Self::Volume(volume)
    }
}

impl<'a> From<&'a NodeName> for Object<'a> {
    fn from(node: &'a NodeName) -> Self {
        Self::Node(node)
    }
}

/// Creates the writer of the queue for the agent of `node`.
pub(crate) fn writer(queue: EventQueue, client: Client, node: &NodeName) -> EventWriter {
    let reporter =
        Reporter { controller: names::PROVISIONER, instance: node.to_string(), delay: EVENT_DELAY };
    EventWriter::new(queue, client, reporter)
}
