//! Records Kubernetes events asynchronously.
//!
//! A caller queues an event and does not wait for the API server. An event that does not fit into
//! the queue is dropped: events are for people, and the state is in the objects.
//!
//! An event is named after its content, so repetitions of a note become one event with a count,
//! also across restarts. kube's own recorder merges all events with the same reason on an object
//! and keeps the first note: a second cause would not be shown. It also makes the caller wait for
//! the write, and does not limit the length of a note, so the API server rejects a long one.

use crate::chain::Chain;
use crate::clock;
use futures::StreamExt as _;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::ObjectReference;
use k8s_openapi::api::events::v1::Event as ApiEvent;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use kube::api::{ObjectMeta, Patch, PatchParams, PostParams};
use kube::{Api, Client};
use std::collections::HashMap;
use std::convert::Infallible;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::time::Instant;

/// The number of concurrent writes.
const CONCURRENT_WRITES: usize = 8;
/// The number of events whose repetitions are counted.
const MAX_COUNTED: usize = 4096;
/// The limits of the API server, in bytes.
const MAX_NOTE: usize = 1024;
const MAX_NAME: usize = 253;
const MAX_INSTANCE: usize = 128;

/// An event.
#[derive(Clone, Debug, PartialEq)]
pub struct Event {
    /// Whether it is a warning.
    pub is_warning: bool,
    /// The reason, in CamelCase.
    pub reason: &'static str,
    /// The action that was taken or failed.
    pub action: &'static str,
    /// The message.
    pub note: String,
}

/// The sending end of the queue.
#[derive(Clone, Debug)]
pub struct Recorder {
    sender: mpsc::Sender<Queued>,
}

/// The receiving end of the queue.
#[derive(Debug)]
pub struct EventQueue {
    receiver: mpsc::Receiver<Queued>,
}

/// The source of the events.
#[derive(Clone, Debug)]
pub struct Reporter {
    /// The name of the controller.
    pub controller: &'static str,
    /// The name of the instance.
    pub instance: String,
    /// The time after which an event is written. It keeps events from delaying more urgent writes
    /// of the same cause.
    pub delay: Duration,
}

/// Writes the events of a queue.
pub struct EventWriter {
    queue: EventQueue,
    client: Client,
    reporter: Reporter,
    repeats: Repeats,
}

/// A queued event.
#[derive(Debug)]
struct Queued {
    regarding: ObjectReference,
    event: Event,
    at: Timestamp,
    since: Instant,
}

/// The number of repetitions of each event, by name.
type Repeats = Mutex<HashMap<String, i32>>;

/// Creates a queue for `capacity` events.
#[must_use]
pub fn queue(capacity: usize) -> (Recorder, EventQueue) {
    let (sender, receiver) = mpsc::channel(capacity);
    (Recorder { sender }, EventQueue { receiver })
}

impl Recorder {
    /// Queues an event on an object.
    pub fn record(&self, regarding: ObjectReference, event: Event) {
        let queued = Queued { regarding, event, at: clock::now(), since: Instant::now() };
        if let Err(error) = self.sender.try_send(queued) {
            tracing::warn!(%error, "dropped an event");
        }
    }
}

impl EventWriter {
    /// Creates a writer.
    #[must_use]
    pub fn new(queue: EventQueue, client: Client, reporter: Reporter) -> Self {
        Self { queue, client, reporter, repeats: Repeats::default() }
    }

    /// Writes events until all recorders are dropped.
    pub async fn run(self) -> Result<(), Infallible> {
        let Self { queue: EventQueue { mut receiver }, client, reporter, repeats } = self;
        let (client, reporter, repeats) = (&client, &reporter, &repeats);
        let events = futures::stream::poll_fn(move |context| receiver.poll_recv(context));
        let events = events.then(|queued| async move {
            tokio::time::sleep_until(queued.since + reporter.delay).await;
            queued
        });
        let written = events.for_each_concurrent(CONCURRENT_WRITES, |queued| async move {
            if let Err(error) = write(client, reporter, repeats, &queued).await {
                let reason = queued.event.reason;
                tracing::warn!(reason, error = %Chain(&error), "could not write an event");
            }
        });
        written.await;
        Ok(())
    }
}

async fn write(
    client: &Client,
    reporter: &Reporter,
    repeats: &Repeats,
    queued: &Queued,
) -> Result<(), kube::Error> {
    let event = api_event(queued, reporter);
    let namespace = event.metadata.namespace.clone().unwrap_or_default();
    let events: Api<ApiEvent> = Api::namespaced(client.clone(), &namespace);
    match events.create(&PostParams::default(), &event).await {
        Err(kube::Error::Api(status)) if status.code == 409 => {}
        other => return other.map(drop),
    }
    let name = event.metadata.name.unwrap_or_default();
    let count = repeated(repeats, &name);
    let series = serde_json::json!({
        "series": { "count": count, "lastObservedTime": MicroTime(queued.at) },
    });
    events.patch(&name, &PatchParams::default(), &Patch::Merge(series)).await.map(drop)
}

/// Returns how often the event was recorded. Records of an earlier process count as one.
fn repeated(repeats: &Repeats, name: &str) -> i32 {
    let mut repeats = repeats.lock().unwrap_or_else(PoisonError::into_inner);
    if repeats.len() >= MAX_COUNTED {
        repeats.clear();
    }
    let count = repeats.entry(name.to_owned()).or_insert(1);
    *count = count.saturating_add(1);
    *count
}

fn api_event(queued: &Queued, reporter: &Reporter) -> ApiEvent {
    let Queued { regarding, event, at, .. } = queued;
    ApiEvent {
        metadata: ObjectMeta {
            name: Some(name(regarding, event, reporter.controller)),
            namespace: Some(regarding.namespace.clone().unwrap_or("default".to_owned())),
            ..ObjectMeta::default()
        },
        action: Some(event.action.to_owned()),
        event_time: Some(MicroTime(*at)),
        note: Some(cut(&event.note, MAX_NOTE).to_owned()),
        reason: Some(event.reason.to_owned()),
        regarding: Some(regarding.clone()),
        reporting_controller: Some(reporter.controller.to_owned()),
        reporting_instance: Some(cut(&reporter.instance, MAX_INSTANCE).to_owned()),
        type_: Some(if event.is_warning { "Warning" } else { "Normal" }.to_owned()),
        ..ApiEvent::default()
    }
}

/// Returns the name of an event: the name of the object and a hash of the content.
fn name(regarding: &ObjectReference, event: &Event, controller: &str) -> String {
    let mut hasher = DefaultHasher::new();
    (controller, &regarding.uid, event.reason, &event.note).hash(&mut hasher);
    let hash = format!(".{:016x}", hasher.finish());
    let object = regarding.name.as_deref().unwrap_or_default();
    let head = cut(object, MAX_NAME - hash.len()).trim_end_matches(['.', '-']);
    format!("{head}{hash}")
}

fn cut(text: &str, longest: usize) -> &str {
    &text[..text.floor_char_boundary(longest)]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn queued(name: &str, note: &str) -> Queued {
        let regarding = ObjectReference {
            namespace: Some("shop".to_owned()),
            name: Some(name.to_owned()),
            uid: Some("u".to_owned()),
            ..ObjectReference::default()
        };
        let (reason, action, note) = ("Failed", "Testing", note.to_owned());
        let event = Event { is_warning: true, reason, action, note };
        Queued { regarding, event, at: clock::now(), since: Instant::now() }
    }

    fn name_of(queued: &Queued, controller: &str) -> String {
        name(&queued.regarding, &queued.event, controller)
    }

    #[test]
    fn events_with_the_same_content_have_the_same_name() {
        assert_eq!(name_of(&queued("data", "no"), "c"), name_of(&queued("data", "no"), "c"));
        assert_ne!(name_of(&queued("data", "no"), "c"), name_of(&queued("data", "not"), "c"));
        assert_ne!(name_of(&queued("data", "no"), "c"), name_of(&queued("data", "no"), "d"));
    }

    #[test]
    fn repetitions_are_counted_per_event() {
        let repeats = Repeats::default();
        let counts = ["a", "a", "b", "a"].map(|name| repeated(&repeats, name));
        assert_eq!(counts, [2, 3, 2, 4]);
    }

    #[test]
    fn names_and_notes_are_cut_to_the_limits_of_the_api_server() {
        let object = format!("{}.{}", "a".repeat(235), "b".repeat(17));
        let instance = "n".repeat(253);
        let reporter = Reporter { controller: "c", instance, delay: Duration::ZERO };
        let event = api_event(&queued(&object, &"ö".repeat(5000)), &reporter);
        let name = event.metadata.name.unwrap();
        assert!(name.len() <= MAX_NAME && !name.contains(".."), "{name}");
        assert_eq!(event.note.unwrap().len(), MAX_NOTE);
        assert_eq!(event.reporting_instance.unwrap().len(), MAX_INSTANCE);
        assert_eq!(event.type_.as_deref(), Some("Warning"));
        assert_eq!(event.action.as_deref(), Some("Testing"));
    }

    #[tokio::test]
    async fn an_event_that_does_not_fit_into_the_queue_is_dropped() {
        let (recorder, mut queue) = queue(1);
        for note in ["first", "second"] {
            let Queued { regarding, event, .. } = queued("data", note);
            recorder.record(regarding, event);
        }
        assert_eq!(queue.receiver.recv().await.unwrap().event.note, "first");
        drop(recorder);
        assert!(queue.receiver.recv().await.is_none());
    }
}
