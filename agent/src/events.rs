//! Writes events on claims, volumes and nodes, asynchronously.
//!
//! Events that cannot be written in time are dropped: they are for people, and the state is in the
//! objects. Repetitions of the same message about the same object become one event with a count.

use crate::cluster::repoint;
use crate::snapshot::volume::Volume;
use fastrak_api::claim::Claim;
use fastrak_api::names;
use fastrak_api::node::NodeName;
use fastrak_api::reason::EventReason;
use fastrak_runtime::chain::Chain;
use futures::StreamExt;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::ObjectReference;
use k8s_openapi::api::events::v1::Event;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use kube::api::{ObjectMeta, Patch, PatchParams, PostParams};
use kube::{Api, Client};
use std::collections::HashMap;
use std::convert::Infallible;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::time::Instant;

/// The length of the event queue: a burst of a thousand claims writes two events each.
const WAITING: usize = 4096;
/// The delay of an event. The API server is about to bind the claim that the event is about, and on a
/// small machine a concurrent write makes the claim's user wait.
const EVENT_DELAY: Duration = Duration::from_millis(250);
/// The number of concurrent writes.
const AT_ONCE: usize = 8;
/// The limits of the API server.
const LONGEST_NOTE: usize = 1024;
const LONGEST_NAME: usize = 253;

/// The sending end of the event queue.
#[derive(Clone, Debug)]
pub struct Events {
    sender: mpsc::Sender<(Instant, Note)>,
}

/// The receiving end of the event queue.
#[derive(Debug)]
pub struct Waiting {
    receiver: mpsc::Receiver<(Instant, Note)>,
}

/// Writes the events of the queue.
pub struct EventWriter {
    waiting: Waiting,
    client: Client,
    node: NodeName,
    repeats: Repeats,
}

/// The number of repetitions of each event, by name.
type Repeats = Mutex<HashMap<String, i32>>;

/// An event to write.
#[derive(Clone, Debug, PartialEq)]
pub struct Note {
    regarding: ObjectReference,
    reason: EventReason,
    text: String,
    at: Timestamp,
}

/// The object that an event is about.
#[derive(Clone, Copy, Debug)]
pub enum Object<'a> {
    /// A claim.
    Claim(&'a Claim),
    /// A PersistentVolume.
    Volume(&'a Volume),
    /// A node.
    Node(&'a NodeName),
}

/// Creates the event queue.
#[must_use]
pub fn channel() -> (Events, Waiting) {
    let (sender, receiver) = mpsc::channel(WAITING);
    (Events { sender }, Waiting { receiver })
}

impl Events {
    /// Queues an event on an object.
    pub fn write<'a>(
        &self,
        object: impl Into<Object<'a>>,
        reason: EventReason,
        text: impl Into<String>,
    ) {
        let regarding = object.into().reference();
        let (text, at) = (text.into(), fastrak_runtime::clock::now());
        let event = (Instant::now(), Note { regarding, reason, text, at });
        if let Err(error) = self.sender.try_send(event) {
            tracing::warn!(%error, "dropped an event");
        }
    }
}

impl Object<'_> {
    fn reference(self) -> ObjectReference {
        match self {
            Self::Claim(claim) => repoint::reference(claim),
            Self::Volume(volume) => ObjectReference {
                api_version: Some("v1".to_owned()),
                kind: Some("PersistentVolume".to_owned()),
                name: Some(volume.name.clone()),
                uid: Some(volume.uid.clone()),
                resource_version: Some(volume.resource_version.clone()),
                ..ObjectReference::default()
            },
            Self::Node(node) => ObjectReference {
                api_version: Some("v1".to_owned()),
                kind: Some("Node".to_owned()),
                name: Some(node.to_string()),
                // The kubelet uses the node name as UID, and `kubectl describe node` looks for these events
                // too.
                uid: Some(node.to_string()),
                ..ObjectReference::default()
            },
        }
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

impl EventWriter {
    /// Creates a writer for the agent of `node`.
    #[must_use]
    pub fn new(waiting: Waiting, client: Client, node: NodeName) -> Self {
        Self { waiting, client, node, repeats: Repeats::default() }
    }

    /// Writes events until all senders are dropped.
    pub async fn run(self) -> Result<(), Infallible> {
        let Self { waiting: Waiting { mut receiver }, client, node, repeats } = self;
        let notes = futures::stream::poll_fn(move |context| receiver.poll_recv(context));
        let notes = notes.then(|(sent_at, note)| async move {
            tokio::time::sleep_until(sent_at + EVENT_DELAY).await;
            note
        });
        let (client, node, repeats) = (&client, &node, &repeats);
        let written = notes.for_each_concurrent(AT_ONCE, |note| async move {
            if let Err(error) = write(client, node, repeats, &note).await {
                let reason = note.reason.as_str();
                tracing::warn!(reason, error = %Chain(&error), "could not write an event");
            }
        });
        written.await;
        Ok(())
    }
}

async fn write(
    client: &Client,
    node: &NodeName,
    repeats: &Repeats,
    note: &Note,
) -> Result<(), kube::Error> {
    let event = event(note, node);
    let namespace = event.metadata.namespace.clone().unwrap_or_default();
    let events: Api<Event> = Api::namespaced(client.clone(), &namespace);
    match events.create(&PostParams::default(), &event).await {
        Err(kube::Error::Api(status)) if status.code == 409 => {}
        other => return other.map(drop),
    }
    let name = event.metadata.name.unwrap_or_default();
    let count = repeated(repeats, &name);
    let series = serde_json::json!({
        "series": { "count": count, "lastObservedTime": MicroTime(note.at) },
    });
    events.patch(&name, &PatchParams::default(), &Patch::Merge(series)).await.map(drop)
}

/// Returns how often the event was reported. Reports of an earlier process count as one.
fn repeated(repeats: &Repeats, name: &str) -> i32 {
    let mut repeats = repeats.lock().unwrap_or_else(PoisonError::into_inner);
    if repeats.len() >= WAITING {
        repeats.clear();
    }
    let count = repeats.entry(name.to_owned()).or_insert(1);
    *count = count.saturating_add(1);
    *count
}

/// Returns the event of a note. Its name is derived from its content.
fn event(note: &Note, node: &NodeName) -> Event {
    let warning = note.reason.is_warning();
    Event {
        metadata: ObjectMeta {
            name: Some(name(note)),
            namespace: Some(note.regarding.namespace.clone().unwrap_or("default".to_owned())),
            ..ObjectMeta::default()
        },
        action: Some(note.reason.as_str().to_owned()),
        event_time: Some(MicroTime(note.at)),
        note: Some(cut(&note.text, LONGEST_NOTE).to_owned()),
        reason: Some(note.reason.as_str().to_owned()),
        regarding: Some(note.regarding.clone()),
        reporting_controller: Some(names::PROVISIONER.to_owned()),
        reporting_instance: Some(cut(node.as_str(), 128).to_owned()),
        type_: Some(if warning { "Warning" } else { "Normal" }.to_owned()),
        ..Event::default()
    }
}

fn name(note: &Note) -> String {
    let mut hasher = DefaultHasher::new();
    (&note.regarding.uid, note.reason, &note.text).hash(&mut hasher);
    let hash = format!(".{:016x}", hasher.finish());
    let object = note.regarding.name.as_deref().unwrap_or_default();
    let head = cut(object, LONGEST_NAME - hash.len()).trim_end_matches(['.', '-']);
    format!("{head}{hash}")
}

fn cut(text: &str, longest: usize) -> &str {
    &text[..text.floor_char_boundary(longest)]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn note(name: &str, text: &str) -> Note {
        let regarding = ObjectReference {
            namespace: Some("shop".to_owned()),
            name: Some(name.to_owned()),
            uid: Some("u".to_owned()),
            ..ObjectReference::default()
        };
        let at = "2026-01-01T00:00:00Z".parse().unwrap();
        Note { regarding, reason: EventReason::ProvisioningFailed, text: text.to_owned(), at }
    }

    #[test]
    fn the_same_text_is_the_same_event_and_another_text_another() {
        assert_eq!(name(&note("data", "no")), name(&note("data", "no")));
        assert_ne!(name(&note("data", "no")), name(&note("data", "not")));
    }

    #[test]
    fn repetitions_are_counted_by_event() {
        let repeats = Repeats::default();
        let counts = ["a", "a", "b", "a"].map(|name| repeated(&repeats, name));
        assert_eq!(counts, [2, 3, 2, 4]);
    }

    #[test]
    fn the_longest_names_and_texts_fit() {
        let node = NodeName::parse(&"n".repeat(253)).unwrap();
        let claim = format!("{}.{}", "a".repeat(235), "b".repeat(17));
        let event = event(&note(&claim, &"ö".repeat(5000)), &node);
        let name = event.metadata.name.unwrap();
        assert!(name.len() <= 253 && !name.contains(".."), "{name}");
        assert_eq!(event.note.unwrap().len(), 1024);
        assert_eq!(event.reporting_instance.unwrap().len(), 128);
        assert_eq!(event.type_.as_deref(), Some("Warning"));
    }
}
