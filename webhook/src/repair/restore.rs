//! Restores the label and the annotation of a bound claim: reads the claim and its volume from the
//! API server, and changes the claim in the version that was read.

use super::controller::{RETRY_DELAY, RepairController};
use super::kind::{Key, Kind};
use super::metrics::RepairOutcome;
use super::object::{Object, RepairError};
use super::plan::Repair;
use super::queue::Queue;
use crate::event::Action;
use fastrak_admission::snapshot::Snapshot;
use fastrak_runtime::chain::Chain;
use fastrak_runtime::not_found::is_not_found;
use k8s_openapi::api::core::v1::PersistentVolume;
use kube::{Api, Client, Resource as _};
use tokio::time::Instant;

/// The resource in the API server's response about a missing volume.
const VOLUMES: &str = "persistentvolumes";

impl RepairController {
    /// Restores an object if it was not restored recently. Returns whether the API server was
    /// asked.
    pub(super) async fn restore<K: Kind>(
        &self,
        queue: &mut Queue<K::View>,
        key: &Key,
        snapshot: &Snapshot,
    ) -> bool {
        let now = Instant::now();
        if let Some(at) = queue.restorations.due(key).filter(|at| now < *at) {
            queue.requeue(key, at);
            return false;
        }
        let restored = self.restored::<K>(key, snapshot).await;
        let outcome = restored.unwrap_or_else(|error| {
            let ((namespace, name), error) = (key, Chain(&error));
            let kind = K::Object::kind(&());
            tracing::warn!(%error, %kind, namespace, name, "could not restore the node label");
            Some(RepairOutcome::Failed)
        });
        match outcome {
            // The volume is not fastrak's. The watch shows the object again if it changes.
            None => queue.remove(key),
            Some(RepairOutcome::Repaired) => drop(queue.restorations.record(key.clone(), now)),
            Some(RepairOutcome::Superseded) => {}
            Some(RepairOutcome::Failed) => queue.requeue(key, now + RETRY_DELAY),
        }
        outcome.into_iter().for_each(|outcome| self.metrics.count(K::SUBJECT, outcome));
        true
    }

    /// Returns the outcome, or `None` if the volume has nothing to restore.
    async fn restored<K: Kind>(
        &self,
        key: &Key,
        snapshot: &Snapshot,
    ) -> Result<Option<RepairOutcome>, RepairError> {
        let superseded = Ok(Some(RepairOutcome::Superseded));
        let Some(object) = Object::<K>::get(&self.client, key).await? else { return superseded };
        let Repair::ReadVolume(name) = K::plan(&object.view, snapshot, self.settings) else {
            return superseded;
        };
        let Some(volume) = volume(&self.client, &name).await? else { return Ok(None) };
        let Some(restoration) = K::restore(&object.view, object.uid(), &volume) else {
            return Ok(None);
        };
        let Some(changed) = object.change(&self.client, &restoration.edits).await? else {
            return superseded;
        };
        let (namespace, object_name) = key;
        tracing::info!(namespace, name = object_name, volume = name, "restored the node label");
        self.record(&changed, restoration.report, Action::Repairing);
        Ok(Some(RepairOutcome::Repaired))
    }
}

/// Reads a volume. Returns `None` if it does not exist.
async fn volume(client: &Client, name: &str) -> Result<Option<PersistentVolume>, RepairError> {
    let volumes: Api<PersistentVolume> = Api::all(client.clone());
    match volumes.get(name).await {
        Ok(volume) => Ok(Some(volume)),
        Err(error) if is_not_found(&error, VOLUMES, name) => Ok(None),
        Err(error) => Err(RepairError::Volume(error)),
    }
}
