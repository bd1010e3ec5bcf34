//! What all work on volumes shares: the memory, the disk, the API server, and where to report.
//!
//! It does nothing by itself.

use crate::clock::Clock;
use crate::cluster::Cluster;
use crate::config::OrphanTerms;
use crate::events::Events;
use crate::facts::Facts;
use crate::facts::hostname::OwnHostname;
use crate::metrics::Metrics;
use crate::pace::Pace;
use crate::queue::Queue;
use crate::reclaim::orphans::Orphans;
use crate::unmounts::Unmounts;
use fastrak_api::node::NodeName;
use fastrak_api::pool::PoolName;
use fastrak_api::volume::VolumeId;
use fastrak_store::volumes::{Store, VolumeError};
use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::Notify;

/// What was said is said again after this time, since the API server forgets events after an hour.
pub(crate) const SAY_AGAIN: Duration = Duration::from_secs(30 * 60);

/// What all work shares.
pub struct Context {
    /// This node.
    pub node: NodeName,
    /// Its pools.
    pub pools: Vec<PoolName>,
    /// What becomes of directories without an owner.
    pub orphan_terms: OrphanTerms,
    /// The directories without an owner, as the last scan has found them.
    pub orphans: Orphans,
    /// Folders whose volumes, of other provisioners, claims may take over.
    pub import_from: Vec<PathBuf>,
    /// What has been seen of the cluster.
    pub facts: Arc<Facts>,
    /// The volumes on the disk.
    pub store: Store,
    /// The API server.
    pub cluster: Box<dyn Cluster>,
    /// Where events are handed in.
    pub events: Events,
    /// Where it is counted.
    pub metrics: Metrics,
    /// What is to be looked at.
    pub queue: Arc<Queue<VolumeId>>,
    /// Woken when the pools should be compared with the cluster.
    pub scan: Notify,
    /// Woken when there is something in the trash.
    pub trash: Notify,
    /// Whether this node's hostname label is known to be its own.
    pub own_hostname: OwnHostname,
    /// What waits for a volume to be unmounted.
    pub unmounts: Unmounts,
    /// What is remembered of volumes whose work is not done.
    pub unfinished: Unfinished,
    /// The cluster's id, once it is known.
    pub identity: Mutex<String>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// The thread that works with the disk.
    pub disk_thread: DiskThread,
}

/// The thread that works with the disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DiskThread {
    /// One of its own: the disk may take its time.
    Own,
    /// The caller's: the disk answers at once and nothing else waits for the thread.
    Callers,
}

/// What has come of a look at a volume.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// There is nothing more to do until something changes.
    Done,
    /// Look again; ever later, if nothing changes.
    Again(Pace),
    /// It seems to belong to nobody: look again after this time.
    Stray(Duration),
}

/// What is remembered of volumes whose work is not done.
#[derive(Debug)]
pub struct Unfinished {
    volumes: Mutex<HashMap<VolumeId, Memory>>,
    clock: Arc<dyn Clock>,
}

#[derive(Debug)]
struct Memory {
    since: Instant,
    stray_since: Option<Instant>,
    looks: Option<(Pace, u32)>,
    said: Option<(String, Instant)>,
}

impl Context {
    /// Has all claims that wait looked at again: there may be room for them now.
    pub fn wake_waiting(&self) {
        self.facts.all_waiting().into_iter().for_each(|id| self.queue.add(id));
    }

    /// The cluster's id: the uid of its namespace `kube-system`. Empty until it is known.
    #[must_use]
    pub fn cluster_id(&self) -> String {
        self.identity.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Sets the cluster's id.
    pub fn set_cluster_id(&self, id: String) {
        *self.identity.lock().unwrap_or_else(PoisonError::into_inner) = id;
    }

    /// Works with the disk, on the thread for that.
    pub async fn on_disk<T: Send + 'static>(
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

impl Unfinished {
    /// Returns an empty memory that measures time by `clock`.
    #[must_use]
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self { volumes: Mutex::default(), clock }
    }

    /// How long ago the first look at this volume was that came to no end; `None` at the first.
    #[must_use]
    pub fn since(&self, id: &VolumeId) -> Option<Duration> {
        self.lock().get(id).map(|memory| self.elapsed(memory.since))
    }

    /// How long ago this volume was first seen to belong to nobody; `None` if it was not. Work on it
    /// while it had an owner does not count.
    #[must_use]
    pub fn stray_since(&self, id: &VolumeId) -> Option<Duration> {
        self.lock().get(id)?.stray_since.map(|since| self.elapsed(since))
    }

    /// Whether `text` is to be said about this volume, or has been said lately.
    #[must_use]
    pub fn is_news(&self, id: &VolumeId, text: &str) -> bool {
        let (mut volumes, now) = (self.lock(), self.clock.instant());
        let memory = volumes.entry(id.clone()).or_insert_with(|| Memory::new(now));
        let said = memory.said.as_ref();
        if said.is_some_and(|(last, at)| last == text && self.elapsed(*at) < SAY_AGAIN) {
            return false;
        }
        memory.said = Some((text.to_owned(), now));
        true
    }

    /// Remembers or forgets, as `outcome` says; after which time to look again, if at all.
    #[must_use]
    pub fn settle(&self, id: &VolumeId, outcome: Outcome) -> Option<Duration> {
        let (mut volumes, now) = (self.lock(), self.clock.instant());
        match outcome {
            Outcome::Done => {
                volumes.remove(id);
                None
            }
            Outcome::Stray(delay) => {
                let memory = volumes.entry(id.clone()).or_insert_with(|| Memory::new(now));
                memory.stray_since.get_or_insert(now);
                Some(delay)
            }
            Outcome::Again(pace) => {
                let memory = volumes.entry(id.clone()).or_insert_with(|| Memory::new(now));
                let times = match memory.looks {
                    Some((last, times)) if last == pace => times.saturating_add(1),
                    _ => 1,
                };
                memory.looks = Some((pace, times));
                Some(pace.delay(times))
            }
        }
    }

    fn elapsed(&self, since: Instant) -> Duration {
        self.clock.instant().saturating_duration_since(since)
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<VolumeId, Memory>> {
        self.volumes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Memory {
    fn new(now: Instant) -> Self {
        Self { since: now, stray_since: None, looks: None, said: None }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::SystemClock;

    #[test]
    fn what_is_unfinished_is_looked_at_ever_later_and_forgotten_when_done() {
        let id = VolumeId::parse("0b0a3a2e-0d6c-4f5f-9e57-3c2f1d2b4a59").unwrap();
        let unfinished = Unfinished::new(Arc::new(SystemClock));
        assert_eq!(unfinished.since(&id), None);
        let again = Outcome::Again(Pace::Refused);
        assert_eq!(unfinished.settle(&id, again), Some(Duration::from_secs(60)));
        assert_eq!(unfinished.settle(&id, again), Some(Duration::from_secs(120)));
        let busy = Outcome::Again(Pace::Busy);
        assert_eq!(unfinished.settle(&id, busy), Some(Duration::from_secs(2)));
        assert!(unfinished.since(&id).is_some());
        assert_eq!(unfinished.settle(&id, Outcome::Done), None);
        assert_eq!(unfinished.since(&id), None);
    }

    #[test]
    fn only_the_time_without_an_owner_counts_against_a_directory() {
        let id = VolumeId::parse("0b0a3a2e-0d6c-4f5f-9e57-3c2f1d2b4a59").unwrap();
        let unfinished = Unfinished::new(Arc::new(SystemClock));
        let _delay = unfinished.settle(&id, Outcome::Again(Pace::Refused));
        assert_eq!(unfinished.stray_since(&id), None);
        let _delay = unfinished.settle(&id, Outcome::Stray(Duration::from_secs(1)));
        assert!(unfinished.stray_since(&id).is_some());
        let _delay = unfinished.settle(&id, Outcome::Done);
        assert_eq!(unfinished.stray_since(&id), None);
    }

    #[test]
    fn the_same_is_not_said_twice_in_a_row() {
        let id = VolumeId::parse("0b0a3a2e-0d6c-4f5f-9e57-3c2f1d2b4a59").unwrap();
        let unfinished = Unfinished::new(Arc::new(SystemClock));
        let said = ["no", "no", "not so", "no"].map(|text| unfinished.is_news(&id, text));
        assert_eq!(said, [true, false, true, true]);
    }
}
