//! The state that all reconcilers share: the snapshot, the store, the API client, events and
//! metrics.

use crate::clock::Clock;
use crate::cluster::Cluster;
use crate::events::{Events, Object};
use crate::failure::Failure;
use crate::metrics::Metrics;
use crate::orphans::{OrphanArgs, Orphans};
use crate::snapshot::Snapshot;
use crate::snapshot::hostname::OwnHostname;
use crate::unfinished::{Outcome, Unfinished};
use crate::unmounts::Unmounts;
use fastrak_api::node::NodeName;
use fastrak_api::pool::PoolName;
use fastrak_api::reason::EventReason;
use fastrak_api::volume::VolumeId;
use fastrak_runtime::chain::Chain;
use fastrak_runtime::work_queue::Queue;
use fastrak_store::volumes::orphan::Content;
use fastrak_store::volumes::{Location, Store, VolumeError};
use parking_lot::Mutex;
use std::path::PathBuf;
use std::sync::Arc;
use tokio::sync::Notify;

/// The state that all reconcilers share.
pub struct Context {
    /// This node.
    pub node: NodeName,
    /// The pools of this node.
    pub pools: Vec<PoolName>,
    /// The settings for orphans.
    pub orphan_args: OrphanArgs,
    /// The orphans that the latest scan has found.
    pub orphans: Orphans,
    /// The directories of other provisioners from which claims may import volumes.
    pub import_from: Vec<PathBuf>,
    /// The snapshot of the cluster.
    pub snapshot: Arc<Snapshot>,
    /// The volumes on the disk.
    pub store: Store,
    /// The API server.
    pub cluster: Box<dyn Cluster>,
    /// The event queue.
    pub events: Events,
    /// The metrics.
    pub metrics: Metrics,
    /// The work queue.
    pub queue: Arc<Queue<VolumeId>>,
    /// Wakes the scan that compares the pools with the cluster.
    pub scan: Notify,
    /// Wakes the removal of trash.
    pub trash: Notify,
    /// Whether this node's hostname label is known to be unique.
    pub own_hostname: OwnHostname,
    /// The work that waits for an unmount.
    pub unmounts: Unmounts,
    /// The state of volumes whose reconciliation is not complete.
    pub unfinished: Unfinished<VolumeId>,
    /// The cluster ID, once it is known.
    pub identity: Mutex<String>,
    /// The clock.
    pub clock: Arc<dyn Clock>,
    /// The thread for disk operations.
    pub disk_thread: DiskThread,
}

/// The thread that runs disk operations.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DiskThread {
    /// A separate thread, because the disk may be slow.
    Own,
    /// The caller's thread, for tests with a simulated disk.
    Callers,
}

impl Context {
    /// Requeues all waiting claims: there may be space for them now.
    pub(crate) fn wake_waiting(&self) {
        self.snapshot.all_waiting().into_iter().for_each(|id| self.queue.add(id));
    }

    /// Returns the cluster ID: the UID of its namespace `kube-system`. Empty until it is known.
    pub(crate) fn cluster_id(&self) -> String {
        self.identity.lock().clone()
    }

    pub(crate) fn set_cluster_id(&self, id: String) {
        *self.identity.lock() = id;
    }

    /// Returns the location of the volume's directory.
    pub(crate) async fn find(&self, id: &VolumeId) -> Result<Location, VolumeError> {
        let id = id.clone();
        self.on_disk(move |store| store.find(&id)).await
    }

    /// Returns the content of a volume's directory, or `None` if it does not exist.
    pub(crate) async fn content(
        &self,
        pool: &PoolName,
        id: &VolumeId,
    ) -> Result<Option<Content>, VolumeError> {
        let (pool, id) = (pool.clone(), id.clone());
        self.on_disk(move |store| store.content(&pool, &id)).await
    }

    /// Reports a failure to reconcile `id`. Returns when to retry.
    pub(crate) fn failed<'a>(
        &self,
        id: &VolumeId,
        object: impl Into<Object<'a>>,
        failure: &Failure,
    ) -> Outcome {
        let text = Chain(failure).to_string();
        match failure.reason() {
            Some(reason) => self.report(id, object, reason, &text),
            None if self.unfinished.should_report(id, &text) => {
                tracing::warn!(volume = %id, why = text, "could not reconcile the volume");
            }
            None => {}
        }
        Outcome::Requeue(failure.backoff())
    }

    /// Reports a problem with an object, unless the same text was reported recently for `id`.
    pub(crate) fn report<'a>(
        &self,
        id: &VolumeId,
        object: impl Into<Object<'a>>,
        reason: EventReason,
        text: &str,
    ) {
        if self.unfinished.should_report(id, text) {
            self.warn(object, reason, text);
        }
    }

    /// Writes a problem with an object to the log and as an event.
    pub(crate) fn warn<'a>(&self, object: impl Into<Object<'a>>, reason: EventReason, text: &str) {
        let object = object.into();
        let event = reason.as_str();
        match object {
            Object::Claim(claim) => {
                let (namespace, name) = (&claim.namespace, &claim.name);
                tracing::warn!(
                    namespace,
                    claim = name,
                    reason = event,
                    why = text,
                    "reported a problem with the claim"
                );
            }
            Object::Volume(volume) => {
                tracing::warn!(
                    volume = volume.name,
                    reason = event,
                    why = text,
                    "reported a problem with the volume"
                );
            }
            Object::Node(node) => {
                tracing::warn!(%node, reason = event, why = text, "reported a problem with the node");
            }
        }
        self.events.write(object, reason, text);
    }

    /// Runs a disk operation on its thread.
    pub(crate) async fn on_disk<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Store) -> Result<T, VolumeError> + Send + 'static,
    ) -> Result<T, VolumeError> {
        if self.disk_thread == DiskThread::Callers {
            return work(&self.store);
        }
        let store = self.store.clone();
        let done = tokio::task::spawn_blocking(move || work(&store)).await;
        done.map_err(VolumeError::Interrupted)?
    }
}
