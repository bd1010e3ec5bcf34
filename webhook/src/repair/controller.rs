//! Carries repairs out: watches what may need one, looks at each object a while after it has
//! changed, and changes the very version that it looked at. It decides nothing, and it does not
//! know whether this replica leads: whoever runs it does.

use super::kind::{Claims, Kind, Services};
use super::plan::Repair;
use super::queue::{Key, Queue};
use crate::event::event;
use crate::facts::Facts;
use crate::facts::feed::Board;
use crate::metrics::{Metrics, RepairOutcome};
use crate::mutate::service::Settings;
use crate::patch::{Edit, Received, only_version};
use crate::verdict::Reason;
use fastrak_api::names;
use fastrak_runtime::chain::Chain;
use fastrak_runtime::superseded::is_superseded;
use futures::StreamExt as _;
use json_patch::PatchOperation;
use k8s_openapi::api::core::v1::ObjectReference;
use kube::api::{Patch, PatchParams};
use kube::runtime::WatchStreamExt as _;
use kube::runtime::events::Recorder;
use kube::runtime::watcher::{Config, Event, watcher};
use kube::{Api, Client, Resource as _, ResourceExt as _};
use serde::Deserialize as _;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// How long after a failure an object is tried again: whatever refused it is not gone at once.
const AGAIN: Duration = Duration::from_secs(30);

/// What mends.
pub struct Mender {
    /// How to reach the API server.
    pub client: Client,
    /// What is known of the cluster.
    pub board: Board,
    /// What the operator has configured.
    pub settings: Settings,
    /// What is measured.
    pub metrics: Arc<Metrics>,
    /// What records events.
    pub recorder: Recorder,
    /// How long an object is left alone after it has changed.
    pub delay: Duration,
    /// The least time between two repairs of a kind: a cluster that comes back with thousands of
    /// claims has other things to do as well.
    pub interval: Duration,
}

/// Why a repair came to nothing.
#[derive(Debug, thiserror::Error)]
enum RepairError {
    #[error("could not write the patch")]
    Encode(#[source] serde_json::Error),
    #[error("could not change the object")]
    Change(#[source] kube::Error),
}

impl Mender {
    /// Mends until it is dropped.
    pub async fn run(&self) {
        // In dry-run mode everything is decided and nothing done.
        if self.settings.dry_run {
            std::future::pending::<()>().await;
        }
        tokio::join!(self.mend::<Claims>(), self.mend::<Services>());
    }

    async fn mend<K: Kind>(&self) {
        let objects = Api::<K::Object>::all(self.client.clone());
        let mut events = pin!(watcher(objects, Config::default()).default_backoff());
        let mut news = self.board.subscribe();
        let mut queue = Queue::new(self.delay);
        let backlog = self.metrics.backlog(K::SUBJECT);
        let mut turn = Instant::now();
        loop {
            backlog.set(queue.backlog());
            // Without facts nothing can be decided; their arrival is news.
            let facts = self.board.latest();
            let next = facts.and_then(|facts| Some((queue.next_due()?.max(turn), facts)));
            tokio::select! {
                Some(event) = events.next() => match event {
                    Ok(event) => take::<K>(&mut queue, event),
                    Err(error) => {
                        let kind = K::Object::kind(&());
                        tracing::warn!(error = %Chain(&error), %kind, "a watch failed; trying again");
                    }
                },
                Ok(()) = news.changed() => queue.look_at_all(Instant::now()),
                facts = reached(next) => if self.look::<K>(&mut queue, &facts).await {
                    turn = Instant::now() + self.interval;
                },
            }
        }
    }

    /// Looks at the object whose turn it is; whether there was something to do about it.
    async fn look<K: Kind>(&self, queue: &mut Queue<Arc<K::Object>>, facts: &Facts) -> bool {
        let Some((key, object)) = queue.take_next(Instant::now()) else { return false };
        let Repair::Change(edits, reason) = K::plan(&object, facts, self.settings) else {
            return false;
        };
        match self.tried::<K>(&key, &object, &edits, reason).await {
            RepairOutcome::Failed => queue.look_again(&key, Instant::now() + AGAIN),
            // The watch will show what has become of it.
            RepairOutcome::Repaired | RepairOutcome::Superseded => {}
        }
        true
    }

    /// What came of a repair, counted and logged.
    async fn tried<K: Kind>(
        &self,
        key: &Key,
        object: &K::Object,
        edits: &[Edit],
        reason: Reason,
    ) -> RepairOutcome {
        let (namespace, name) = key;
        let kind = K::Object::kind(&());
        let outcome = self.change::<K>(object, edits, reason).await.unwrap_or_else(|error| {
            let error = Chain(&error);
            tracing::warn!(%error, %kind, namespace, name, "could not be put right");
            RepairOutcome::Failed
        });
        self.metrics.count_repair(K::SUBJECT, outcome);
        tracing::info!(%kind, namespace, name, %reason, ?outcome, "had been missed");
        outcome
    }

    /// Puts an object right.
    async fn change<K: Kind>(
        &self,
        object: &K::Object,
        edits: &[Edit],
        reason: Reason,
    ) -> Result<RepairOutcome, RepairError> {
        let namespace = object.namespace().unwrap_or_default();
        let operations = operations(object, edits).map_err(RepairError::Encode)?;
        let objects = Api::<K::Object>::namespaced(self.client.clone(), &namespace);
        let params = PatchParams {
            field_manager: Some(names::MANAGER_REPAIR.to_owned()),
            ..Default::default()
        };
        let patch = Patch::Json::<()>(json_patch::Patch(operations));
        match objects.patch(&object.name_any(), &params, &patch).await {
            Ok(changed) => {
                self.tell::<K>(&changed, reason).await;
                Ok(RepairOutcome::Repaired)
            }
            Err(error) if is_superseded(&error) => Ok(RepairOutcome::Superseded),
            Err(error) => Err(RepairError::Change(error)),
        }
    }

    async fn tell<K: Kind>(&self, changed: &K::Object, reason: Reason) {
        let event = event(K::EVENT, "Repairing", K::note(changed, reason));
        let regarding: ObjectReference = changed.object_ref(&());
        if let Err(error) = self.recorder.publish(&event, &regarding).await {
            tracing::warn!(error = %Chain(&error), "no event recorded");
        }
    }
}

fn take<K: Kind>(queue: &mut Queue<Arc<K::Object>>, event: Event<K::Object>) {
    match event {
        Event::Init => queue.relist(),
        Event::InitDone => queue.relisted(),
        Event::Delete(object) => queue.remove(&key(&object)),
        // What can need nothing is not kept for a moment: most Services of a cluster are such.
        Event::Apply(object) | Event::InitApply(object) if !K::concerns(&object) => {
            queue.remove(&key(&object));
        }
        Event::Apply(mut object) | Event::InitApply(mut object) => {
            object.managed_fields_mut().clear();
            queue.put(key(&object), Arc::new(object), Instant::now());
        }
    }
}

fn key(object: &impl kube::Resource) -> Key {
    (object.namespace().unwrap_or_default(), object.name_any())
}

fn operations(
    object: &(impl serde::Serialize + kube::Resource),
    edits: &[Edit],
) -> Result<Vec<PatchOperation>, serde_json::Error> {
    let value = serde_json::to_value(object)?;
    let received = Received::deserialize(&value)?;
    let version = object.resource_version().unwrap_or_default();
    Ok([vec![only_version(&version)], received.patch(edits)].concat())
}

async fn reached(next: Option<(Instant, Arc<Facts>)>) -> Arc<Facts> {
    match next {
        Some((due, facts)) => {
            tokio::time::sleep_until(due).await;
            facts
        }
        None => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn service(name: &str, kind: &str) -> k8s_openapi::api::core::v1::Service {
        let object = json!({
            "metadata": {
                "name": name, "namespace": "shop", "resourceVersion": "7",
                "managedFields": [{"manager": "kubectl", "operation": "Apply"}],
            },
            "spec": {"type": kind, "ports": [{"port": 80}]},
        });
        serde_json::from_value(object).unwrap()
    }

    #[test]
    fn what_can_need_nothing_is_not_kept_in_memory_and_the_rest_is_trimmed() {
        let mut queue = Queue::new(Duration::ZERO);
        take::<Services>(&mut queue, Event::Init);
        take::<Services>(&mut queue, Event::InitApply(service("inner", "ClusterIP")));
        take::<Services>(&mut queue, Event::InitApply(service("outer", "LoadBalancer")));
        take::<Services>(&mut queue, Event::InitDone);
        take::<Services>(&mut queue, Event::Apply(service("node", "NodePort")));
        assert_eq!(queue.backlog(), 1);
        let (key, object) = queue.take_next(Instant::now()).unwrap();
        assert_eq!(key.1, "outer");
        assert!(object.managed_fields().is_empty());
        // One that ceases to matter is let go.
        take::<Services>(&mut queue, Event::Apply(service("outer", "ClusterIP")));
        queue.look_at_all(Instant::now());
        assert_eq!(queue.backlog(), 0);
    }

    #[test]
    fn a_repair_is_of_the_version_that_was_looked_at() {
        let edit = Edit::set(crate::patch::Field::Annotation(names::BALANCER_DECISION), "inlets");
        let operations = operations(&service("outer", "LoadBalancer"), &[edit]).unwrap();
        let first = json!({"op": "test", "path": "/metadata/resourceVersion", "value": "7"});
        assert_eq!(json!(operations)[0], first);
        assert_eq!(operations.len(), 3, "{operations:?}");
    }
}
