//! The events of the webhook.

use fastrak_api::names;
use fastrak_api::reason::EventReason;
use fastrak_runtime::events::{self, Event, EventQueue, EventWriter, Recorder, Reporter};
use k8s_openapi::api::core::v1::ObjectReference;
use kube::Client;
use std::time::Duration;

/// The length of the event queue. Repairs and reports are rate-limited, so the queue is short.
const CAPACITY: usize = 1024;

/// The sending end of the event queue.
#[derive(Clone, Debug)]
pub struct Events {
    recorder: Recorder,
}

fastrak_api::text_enum! {
    /// What the webhook was doing when it recorded an event.
    pub(crate) enum Action {
        Repairing = "Repairing",
        Watching = "Watching",
        Assigning = "Assigning",
        Deleting = "Deleting",
    }
}

pub(crate) fn channel() -> (Events, EventQueue) {
    let (recorder, queue) = events::queue(CAPACITY);
    (Events { recorder }, queue)
}

pub(crate) fn writer(queue: EventQueue, client: Client) -> EventWriter {
    let reporter = Reporter {
        controller: names::WEBHOOK,
        instance: names::WEBHOOK.to_owned(),
        delay: Duration::ZERO,
    };
    EventWriter::new(queue, client, reporter)
}

/// Returns the reference of a Service for an event.
pub(crate) fn service(namespace: &str, name: &str, uid: &str) -> ObjectReference {
    ObjectReference {
        api_version: Some("v1".to_owned()),
        kind: Some("Service".to_owned()),
        namespace: Some(namespace.to_owned()),
        name: Some(name.to_owned()),
        uid: Some(uid.to_owned()),
        ..ObjectReference::default()
    }
}

impl Events {
    /// Queues an event on an object.
    pub(crate) fn record(
        &self,
        regarding: ObjectReference,
        reason: EventReason,
        action: Action,
        note: String,
    ) {
        let (is_warning, reason) = (reason.is_warning(), reason.as_str());
        let event = Event { is_warning, reason, action: action.as_str(), note };
        self.recorder.record(regarding, event);
    }
}
