//! Carries repairs out: watches the claims that wait, looks at each a while after it has changed,
//! and changes the very version that it looked at. Every replica does so; the first wins and the
//! others see that they came too late.

use super::plan::{Repair, plan, waits};
use super::queue::{Key, Queue};
use crate::facts::feed::Board;
use crate::metrics::{Metrics, RepairOutcome};
use crate::patch::{Edit, Received, only_version};
use crate::verdict::Reason;
use fastrak_api::claim::Claim;
use fastrak_api::names;
use fastrak_api::reason::EventReason;
use fastrak_runtime::chain::Chain;
use fastrak_runtime::shutdown::Shutdown;
use futures::StreamExt as _;
use json_patch::PatchOperation;
use k8s_openapi::api::core::v1::{Namespace, ObjectReference, PersistentVolumeClaim};
use kube::api::{Patch, PatchParams};
use kube::runtime::WatchStreamExt as _;
use kube::runtime::events::{Event as Told, EventType, Recorder};
use kube::runtime::watcher::{Config, Event, watcher};
use kube::{Api, Client, Resource as _};
use serde::Deserialize as _;
use std::convert::Infallible;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// The least time between two repairs: a cluster that comes back with thousands of claims has
/// other things to do as well.
const SPACING: Duration = Duration::from_millis(20);
/// How long after a failure a claim is tried again: whatever refused it is not gone at once.
const AGAIN: Duration = Duration::from_secs(30);

/// The task that mends.
pub struct Mender {
    /// How to reach the API server.
    pub client: Client,
    /// What is known of the cluster.
    pub board: Board,
    /// What is measured.
    pub metrics: Arc<Metrics>,
    /// What records events.
    pub recorder: Recorder,
    /// How long a claim is left alone after it has changed.
    pub delay: Duration,
    /// Whether nothing is mended: fastrak is in shadow.
    pub shadow: bool,
}

/// Why a repair came to nothing.
#[derive(Debug, thiserror::Error)]
enum RepairError {
    #[error("could not read the claim's namespace")]
    Namespace(#[source] kube::Error),
    #[error("could not write the patch")]
    Encode(#[source] serde_json::Error),
    #[error("could not change the claim")]
    Change(#[source] kube::Error),
}

impl Mender {
    /// Mends until shutdown is requested.
    pub async fn run(self, shutdown: Shutdown) -> Result<(), Infallible> {
        if self.shadow {
            shutdown.requested().await;
            return Ok(());
        }
        let claims = Api::<PersistentVolumeClaim>::all(self.client.clone());
        let events = watcher(claims, Config::default()).default_backoff();
        let mut events = pin!(events);
        let mut news = self.board.subscribe();
        let mut queue = Queue::new(self.delay);
        loop {
            let due = queue.next_due();
            tokio::select! {
                () = shutdown.requested() => return Ok(()),
                Some(event) = events.next() => match event {
                    Ok(event) => take(&mut queue, event),
                    Err(error) => {
                        tracing::warn!(error = %Chain(&error), "the watch of claims failed; trying again");
                    }
                },
                Ok(()) = news.changed() => queue.look_at_all(Instant::now()),
                () = reached(due) => self.look(&mut queue, &shutdown).await,
            }
        }
    }

    async fn look(&self, queue: &mut Queue<Arc<PersistentVolumeClaim>>, shutdown: &Shutdown) {
        // Without facts nothing can be decided; their arrival makes every claim due again.
        let Some(facts) = self.board.latest() else {
            queue.take_due(Instant::now());
            return;
        };
        for (key, object) in queue.take_due(Instant::now()) {
            if shutdown.is_requested() {
                return;
            }
            let Repair::Change(edits, reason) = plan(&Claim::read(&object), &facts) else {
                continue;
            };
            if self.tried(&key, &object, &edits, reason).await == Some(RepairOutcome::Failed) {
                queue.look_again(&key, Instant::now() + AGAIN);
            }
            tokio::time::sleep(SPACING).await;
        }
    }

    /// What came of a repair, counted and logged.
    async fn tried(
        &self,
        key: &Key,
        object: &PersistentVolumeClaim,
        edits: &[Edit],
        reason: Reason,
    ) -> Option<RepairOutcome> {
        let (namespace, name) = key;
        let outcome = self.mend(object, edits, reason).await.unwrap_or_else(|error| {
            let error = Chain(&error);
            tracing::warn!(%error, namespace, name, "a claim could not be put right");
            Some(RepairOutcome::Failed)
        })?;
        self.metrics.count_repair(outcome);
        tracing::info!(namespace, name, %reason, ?outcome, "a claim that had been missed");
        Some(outcome)
    }

    /// Puts a claim right; none where its namespace wants to be left alone.
    async fn mend(
        &self,
        object: &PersistentVolumeClaim,
        edits: &[Edit],
        reason: Reason,
    ) -> Result<Option<RepairOutcome>, RepairError> {
        let namespace = object.metadata.namespace.as_deref().unwrap_or_default();
        if self.is_opted_out(namespace).await? {
            return Ok(None);
        }
        let operations = operations(object, edits).map_err(RepairError::Encode)?;
        let claims = Api::<PersistentVolumeClaim>::namespaced(self.client.clone(), namespace);
        let params = PatchParams {
            field_manager: Some(names::MANAGER_REPAIR.to_owned()),
            ..Default::default()
        };
        let name = object.metadata.name.as_deref().unwrap_or_default();
        let patch = Patch::Json::<()>(json_patch::Patch(operations));
        match claims.patch(name, &params, &patch).await {
            Ok(changed) => {
                self.tell(&changed, reason).await;
                Ok(Some(RepairOutcome::Repaired))
            }
            Err(error) if is_superseded(&error) => Ok(Some(RepairOutcome::Superseded)),
            Err(error) => Err(RepairError::Change(error)),
        }
    }

    /// Whether a namespace opts out. The API server sees to that for reviews; here nobody else does.
    async fn is_opted_out(&self, namespace: &str) -> Result<bool, RepairError> {
        let namespaces = Api::<Namespace>::all(self.client.clone());
        let found = namespaces.get_metadata_opt(namespace).await.map_err(RepairError::Namespace)?;
        let labels = found.and_then(|namespace| namespace.metadata.labels).unwrap_or_default();
        Ok(labels.get(names::INJECT).is_some_and(|value| value == names::INJECT_DISABLED))
    }

    async fn tell(&self, claim: &PersistentVolumeClaim, reason: Reason) {
        let node = Claim::read(claim).pin.map(|node| format!(", node {node}")).unwrap_or_default();
        let event_reason = EventReason::PinRepaired;
        let event = Told {
            type_: if event_reason.is_warning() { EventType::Warning } else { EventType::Normal },
            reason: event_reason.as_str().to_owned(),
            note: Some(format!("put right after the fact: {reason}{node}")),
            action: "Repairing".to_owned(),
            secondary: None,
        };
        let regarding: ObjectReference = claim.object_ref(&());
        if let Err(error) = self.recorder.publish(&event, &regarding).await {
            tracing::warn!(error = %Chain(&error), "no event recorded");
        }
    }
}

fn take(queue: &mut Queue<Arc<PersistentVolumeClaim>>, event: Event<PersistentVolumeClaim>) {
    match event {
        Event::Init => queue.relist(),
        Event::InitDone => queue.relisted(),
        Event::Delete(object) => queue.remove(&key(&object)),
        Event::Apply(mut object) | Event::InitApply(mut object) => {
            object.metadata.managed_fields = None;
            if waits(&Claim::read(&object)) {
                queue.put(key(&object), Arc::new(object), Instant::now());
            } else {
                queue.remove(&key(&object));
            }
        }
    }
}

fn key(object: &PersistentVolumeClaim) -> Key {
    let metadata = &object.metadata;
    (metadata.namespace.clone().unwrap_or_default(), metadata.name.clone().unwrap_or_default())
}

fn operations(
    object: &PersistentVolumeClaim,
    edits: &[Edit],
) -> Result<Vec<PatchOperation>, serde_json::Error> {
    let value = serde_json::to_value(object)?;
    let received = Received::deserialize(&value)?;
    let version = object.metadata.resource_version.as_deref().unwrap_or_default();
    Ok([vec![only_version(version)], received.patch(edits)].concat())
}

/// Whether somebody else changed or took the claim first. The API server says 422 of a JSON Patch
/// whose test does not hold.
fn is_superseded(error: &kube::Error) -> bool {
    matches!(error, kube::Error::Api(status) if matches!(status.code, 404 | 409)
        || (status.code == 422 && status.message.contains("test")))
}

async fn reached(due: Option<Instant>) {
    match due {
        Some(due) => tokio::time::sleep_until(due).await,
        None => std::future::pending().await,
    }
}
