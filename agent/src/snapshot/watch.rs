//! The watches that update the snapshot and queue the affected volumes.
//!
//! There are four watches: claims and volumes with this node's label, all classes, and this node's
//! object. Objects are reduced to the fields that decisions use.

use super::Snapshot;
use super::kinds::{Claims, Classes, OwnNode, Volumes, WatchedKind};
use fastrak_api::names;
use fastrak_api::node::NodeName;
use fastrak_api::volume::VolumeId;
use fastrak_runtime::ready::ReadyHandle;
use fastrak_runtime::watch::Watch;
use fastrak_runtime::work_queue::Queue;
use futures::StreamExt;
use k8s_openapi::api::core::v1::{Node, PersistentVolume, PersistentVolumeClaim};
use k8s_openapi::api::storage::v1::StorageClass;
use kube::Client;
use kube::runtime::watcher::Event;
use std::collections::HashSet;
use std::convert::Infallible;
use std::sync::Arc;
use tokio::sync::Semaphore;

/// The dependencies of the watches.
#[derive(Clone)]
pub struct Watches {
    /// The API client.
    pub client: Client,
    /// This node.
    pub node: NodeName,
    /// The snapshot to update.
    pub snapshot: Arc<Snapshot>,
    /// The queue for affected volumes.
    pub queue: Arc<Queue<VolumeId>>,
}

/// Where a watch reports that it has synced.
#[derive(Debug)]
pub struct Ready {
    /// The readiness of the process.
    pub handle: ReadyHandle,
    /// Gets a permit when the watch has synced for the first time.
    pub synced: Arc<Semaphore>,
}

impl Watches {
    /// Watches the claims with this node's label.
    pub async fn claims(self, ready: Ready) -> Result<(), Infallible> {
        let watch = Watch::all::<PersistentVolumeClaim>(self.client.clone(), Claims::read);
        self.run(watch.labels(&self.label()), Claims, ready).await
    }

    /// Watches the volumes with this node's label.
    pub async fn volumes(self, ready: Ready) -> Result<(), Infallible> {
        let watch = Watch::all::<PersistentVolume>(self.client.clone(), Volumes::read);
        self.run(watch.labels(&self.label()), Volumes, ready).await
    }

    /// Watches the classes.
    pub async fn classes(self, ready: Ready) -> Result<(), Infallible> {
        let watch = Watch::all::<StorageClass>(self.client.clone(), Classes::read);
        self.run(watch, Classes, ready).await
    }

    /// Watches the metadata of this node's object.
    pub async fn node(self, ready: Ready) -> Result<(), Infallible> {
        let watch = Watch::all::<Node>(self.client.clone(), OwnNode::read);
        self.run(watch.named(self.node.as_str()).metadata_only(), OwnNode, ready).await
    }

    fn label(&self) -> String {
        format!("{}={}", names::NODE, self.node.key())
    }

    async fn run<T: WatchedKind>(
        &self,
        watch: Watch<T::Object>,
        kind: T,
        ready: Ready,
    ) -> Result<(), Infallible> {
        let mut stream = std::pin::pin!(watch.events());
        // The keys of the running list: when it is complete, all others are gone.
        let mut listed = HashSet::new();
        let mut synced = Some(ready.synced);
        while let Some(event) = stream.next().await {
            match event {
                Event::Init => listed.clear(),
                Event::InitApply(object) => listed.extend(self.put(&kind, &object)),
                Event::Apply(object) => drop(self.put(&kind, &object)),
                Event::Delete(object) => {
                    T::key(&object).into_iter().for_each(|key| self.remove(&kind, &key));
                }
                Event::InitDone => {
                    self.remove_all_but(&kind, &listed);
                    listed = HashSet::new();
                    ready.handle.ready();
                    synced.take().into_iter().for_each(|synced| synced.add_permits(1));
                }
            }
        }
        Ok(())
    }

    fn put<T: WatchedKind>(&self, kind: &T, object: &T::Object) -> Option<T::Key> {
        let key = T::key(object)?;
        let affects_volumes = kind.put(&mut self.snapshot.write(), &key, object);
        if affects_volumes {
            self.enqueue(kind, &key);
        }
        Some(key)
    }

    fn remove<T: WatchedKind>(&self, kind: &T, key: &T::Key) {
        kind.remove(&mut self.snapshot.write(), key);
        self.enqueue(kind, key);
    }

    fn remove_all_but<T: WatchedKind>(&self, kind: &T, listed: &HashSet<T::Key>) {
        let known = kind.keys(&self.snapshot.read());
        known.iter().filter(|key| !listed.contains(*key)).for_each(|key| self.remove(kind, key));
    }

    fn enqueue<T: WatchedKind>(&self, kind: &T, key: &T::Key) {
        kind.affected(&self.snapshot, key).into_iter().for_each(|id| self.queue.add(id));
    }
}
