//! The watches that fill the memory, and whom each change concerns.
//!
//! Four watches and no more: claims and volumes with this node's label, all classes, and this
//! node's own object. Nothing is kept of an object but what is decided by.

use super::Facts;
use super::kinds::{Claims, Classes, Kept, OwnNode, Volumes};
use crate::queue::Queue;
use fastrak_api::names;
use fastrak_api::node::NodeName;
use fastrak_api::volume::VolumeId;
use fastrak_runtime::chain::Chain;
use fastrak_runtime::ready::ReadyHandle;
use futures::{Stream, StreamExt, TryStreamExt};
use k8s_openapi::api::core::v1::{Node, PersistentVolume, PersistentVolumeClaim};
use k8s_openapi::api::storage::v1::StorageClass;
use kube::runtime::utils::Backoff;
use kube::runtime::watcher::{self, Config, DefaultBackoff, Event};
use kube::runtime::{WatchStreamExt, watcher as watch};
use kube::{Api, Client};
use serde::de::DeserializeOwned;
use std::collections::HashSet;
use std::convert::Infallible;
use std::fmt::Debug;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Semaphore;

/// While nothing has been seen yet, the next try comes as soon as this. It makes a start short
/// whose API server is a little late, and lasts for as many tries as follow.
const EAGER: Duration = Duration::from_millis(100);
const EAGER_TRIES: u32 = 300;

/// How many objects are asked for at once. A page is held whole while it is read, and what that takes
/// stays with the process: a start with a thousand volumes came to 32 MiB with the usual 500, and to 17
/// with this.
const PAGE: u32 = 50;

/// What the watches fill and wake.
#[derive(Clone)]
pub struct Watches {
    /// The API.
    pub client: Client,
    /// This node.
    pub node: NodeName,
    /// The memory.
    pub facts: Arc<Facts>,
    /// Who is told.
    pub queue: Arc<Queue<VolumeId>>,
}

/// Where a watch says that it has seen all there is.
#[derive(Debug)]
pub struct Ready {
    /// For whoever asks whether the process can work.
    pub handle: ReadyHandle,
    /// For the first time: gets a permit from each watch.
    pub synced: Arc<Semaphore>,
}

impl Watches {
    /// Watches the claims that carry this node's label.
    pub async fn claims(self, ready: Ready) -> Result<(), Infallible> {
        let config = self.labelled();
        self.run(
            watch(Api::<PersistentVolumeClaim>::all(self.client.clone()), config),
            Claims,
            ready,
        )
        .await
    }

    /// Watches the volumes that carry this node's label.
    pub async fn volumes(self, ready: Ready) -> Result<(), Infallible> {
        let config = self.labelled();
        self.run(watch(Api::<PersistentVolume>::all(self.client.clone()), config), Volumes, ready)
            .await
    }

    /// Watches the classes.
    pub async fn classes(self, ready: Ready) -> Result<(), Infallible> {
        let api = Api::<StorageClass>::all(self.client.clone());
        self.run(watch(api, Config::default()), Classes, ready).await
    }

    /// Watches this node's own object.
    pub async fn node(self, ready: Ready) -> Result<(), Infallible> {
        let config = Config::default().fields(&format!("metadata.name={}", self.node));
        self.run(watch(Api::<Node>::all(self.client.clone()), config), OwnNode, ready).await
    }

    fn labelled(&self) -> Config {
        let config = Config::default().labels(&format!("{}={}", names::NODE, self.node.key()));
        config.page_size(PAGE)
    }

    async fn run<T: Kept>(
        &self,
        stream: impl Stream<Item = watcher::Result<Event<T::Object>>> + Send,
        kept: T,
        ready: Ready,
    ) -> Result<(), Infallible>
    where
        T::Object: DeserializeOwned + Debug + Clone + Send,
    {
        let stream = stream.backoff(Eager { tries: 0, then: DefaultBackoff::default() });
        let mut stream = std::pin::pin!(stream.into_stream());
        // What the list has shown so far: all else is gone when the list is complete.
        let mut listed = HashSet::new();
        let mut synced = Some(ready.synced);
        while let Some(event) = stream.next().await {
            match event {
                Ok(Event::Init) => listed.clear(),
                Ok(Event::InitApply(object)) => listed.extend(self.put(&kept, &object)),
                Ok(Event::Apply(object)) => drop(self.put(&kept, &object)),
                Ok(Event::Delete(object)) => {
                    T::key(&object).into_iter().for_each(|key| self.remove(&kept, &key));
                }
                Ok(Event::InitDone) => {
                    self.remove_all_but(&kept, &listed);
                    listed = HashSet::new();
                    ready.handle.ready();
                    synced.take().into_iter().for_each(|synced| synced.add_permits(1));
                }
                Err(error) => tracing::warn!(error = %Chain(&error), "watch interrupted"),
            }
        }
        Ok(())
    }

    fn put<T: Kept>(&self, kept: &T, object: &T::Object) -> Option<T::Key> {
        let key = T::key(object)?;
        kept.put(&mut self.facts.write(), &key, object);
        self.tell(kept, &key);
        Some(key)
    }

    fn remove<T: Kept>(&self, kept: &T, key: &T::Key) {
        kept.remove(&mut self.facts.write(), key);
        self.tell(kept, key);
    }

    fn remove_all_but<T: Kept>(&self, kept: &T, listed: &HashSet<T::Key>) {
        let known = kept.keys(&self.facts.read());
        known.iter().filter(|key| !listed.contains(*key)).for_each(|key| self.remove(kept, key));
    }

    fn tell<T: Kept>(&self, kept: &T, key: &T::Key) {
        kept.concerns(&self.facts, key).into_iter().for_each(|id| self.queue.add(id));
    }
}

/// Tries again soon for a while, then ever more slowly, as other clients of Kubernetes do.
struct Eager {
    tries: u32,
    then: DefaultBackoff,
}

impl Iterator for Eager {
    type Item = Duration;

    fn next(&mut self) -> Option<Duration> {
        self.tries = self.tries.saturating_add(1);
        if self.tries <= EAGER_TRIES { Some(EAGER) } else { self.then.next() }
    }
}

impl Backoff for Eager {
    // After a success the server is one that answers: no hurry is needed any more.
    fn reset(&mut self) {
        self.tries = EAGER_TRIES;
        self.then.reset();
    }
}
