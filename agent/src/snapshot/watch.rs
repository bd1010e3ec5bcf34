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
pub(crate) struct Watches {
    pub(crate) client: Client,
    pub(crate) node: NodeName,
    pub(crate) snapshot: Arc<Snapshot>,
    pub(crate) queue: Arc<Queue<VolumeId>>,
}

/// Where a watch reports that it has synced.
#[derive(Debug)]
pub(crate) struct Ready {
    pub(crate) handle: ReadyHandle,
    /// Gets a permit when the watch has synced for the first time.
    pub(crate) synced: Arc<Semaphore>,
}

impl Watches {
    /// Watches the claims with this node's label.
    pub(crate) async fn claims(self, ready: Ready) -> Result<(), Infallible> {
        let watch = Watch::all::<PersistentVolumeClaim>(self.client.clone(), Claims::read);
        self.run::<Claims>(watch.labels(&self.label()), ready).await
    }

    /// Watches the volumes with this node's label.
    pub(crate) async fn volumes(self, ready: Ready) -> Result<(), Infallible> {
        let watch = Watch::all::<PersistentVolume>(self.client.clone(), Volumes::read);
        self.run::<Volumes>(watch.labels(&self.label()), ready).await
    }

    pub(crate) async fn classes(self, ready: Ready) -> Result<(), Infallible> {
        let watch = Watch::all::<StorageClass>(self.client.clone(), Classes::read);
        self.run::<Classes>(watch, ready).await
    }

    /// Watches the metadata of this node's object.
    pub(crate) async fn node(self, ready: Ready) -> Result<(), Infallible> {
        let watch = Watch::all::<Node>(self.client.clone(), OwnNode::read);
        self.run::<OwnNode>(watch.named(self.node.as_str()).metadata_only(), ready).await
    }

    fn label(&self) -> String {
        format!("{}={}", names::NODE, self.node.key())
    }

    async fn run<T: WatchedKind>(
        &self,
        watch: Watch<T::Object>,
        ready: Ready,
    ) -> Result<(), Infallible> {
        let mut stream = std::pin::pin!(watch.events());
        // The keys of the running list: when it is complete, all others are gone.
        let mut listed = HashSet::new();
        let mut synced = Some(ready.synced);
        while let Some(event) = stream.next().await {
            match event {
                Event::Init => listed.clear(),
                Event::InitApply(object) => listed.extend(self.put::<T>(object)),
                Event::Apply(object) => drop(self.put::<T>(object)),
                Event::Delete(object) => {
                    T::key(&object).into_iter().for_each(|key| self.remove::<T>(&key));
                }
                Event::InitDone => {
                    let mut gone = T::keys(&self.snapshot.seen.read());
                    gone.retain(|key| !listed.contains(key));
                    gone.iter().for_each(|key| self.remove::<T>(key));
                    listed = HashSet::new();
                    ready.handle.ready();
                    synced.take().into_iter().for_each(|synced| synced.add_permits(1));
                }
            }
        }
        Ok(())
    }

    fn put<T: WatchedKind>(&self, object: T::Object) -> Option<T::Key> {
        let key = T::key(&object)?;
        let affects_volumes = T::put(&mut self.snapshot.seen.write(), &key, Some(object));
        if affects_volumes {
            self.enqueue::<T>(&key);
        }
        Some(key)
    }

    fn remove<T: WatchedKind>(&self, key: &T::Key) {
        T::put(&mut self.snapshot.seen.write(), key, None);
        self.enqueue::<T>(key);
    }

    fn enqueue<T: WatchedKind>(&self, key: &T::Key) {
        T::affected(&self.snapshot, key).into_iter().for_each(|id| self.queue.add(id));
    }
}
