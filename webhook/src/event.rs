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

/// What the webhook was doing when it recorded an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Action {
    Repairing,
    Watching,
    Assigning,
}

/// Creates the event queue.
pub(crate) fn channel() -> (Events, EventQueue) {
    let (recorder, queue) = events::queue(CAPACITY);
    (Events { recorder }, queue)
}

/// Creates the writer of the event queue.
pub(crate) fn writer(queue: EventQueue, client: Client) -> EventWriter {
    let reporter = Reporter {
        controller: names::WEBHOOK,
        instance: names::WEBHOOK.to_owned(),
        delay: Duration::ZERO,
    };
    EventWriter::new(queue, client, reporter)
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
        let action = match action {
            Action::Repairing => "Repairing",
            Action::Watching => "Watching",
            Action::Assigning => "Assigning",
        };
        let (is_warning, reason) = (reason.is_warning(), reason.as_str());
        self.recorder.record(regarding, Event { is_warning, reason, action, note });
    }
}
