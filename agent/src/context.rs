//! The state that all reconcilers share: the snapshot, the store, the API client, events and metrics.

use crate::backoff::Backoff;
use crate::clock::Clock;
use crate::cluster::Cluster;
use crate::config::OrphanTerms;
use crate::events::Events;
use crate::metrics::Metrics;
use crate::queue::Queue;
use crate::reclaim::orphans::Orphans;
use crate::snapshot::Snapshot;
use crate::snapshot::hostname::OwnHostname;
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

/// The same message is reported again after this time, because the API server deletes events after an
/// hour.
pub(crate) const REPORT_INTERVAL: Duration = Duration::from_secs(30 * 60);

/// The state that all reconcilers share.
pub struct Context {
    /// This node.
    pub node: NodeName,
    /// The pools of this node.
    pub pools: Vec<PoolName>,
    /// The settings for orphans.
    pub orphan_terms: OrphanTerms,
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
    pub unfinished: Unfinished,
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

/// The result of a reconciliation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Nothing to do until something changes.
    Done,
    /// Reconcile again with a backoff.
    Requeue(Backoff),
    /// The directory seems to be an orphan: reconcile again after this time.
    RequeueOrphan(Duration),
}

/// The state of volumes whose reconciliation is not complete.
#[derive(Debug)]
pub struct Unfinished {
    volumes: Mutex<HashMap<VolumeId, State>>,
    clock: Arc<dyn Clock>,
}

#[derive(Debug)]
struct State {
    since: Instant,
    orphan_since: Option<Instant>,
    attempts: Option<(Backoff, u32)>,
    reported: Option<(String, Instant)>,
}

impl Context {
    /// Requeues all waiting claims: there may be space for them now.
    pub fn wake_waiting(&self) {
        self.snapshot.all_waiting().into_iter().for_each(|id| self.queue.add(id));
    }

    /// Returns the cluster ID: the UID of its namespace `kube-system`. Empty until it is known.
    #[must_use]
    pub fn cluster_id(&self) -> String {
        self.identity.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Sets the cluster ID.
    pub fn set_cluster_id(&self, id: String) {
        *self.identity.lock().unwrap_or_else(PoisonError::into_inner) = id;
    }

    /// Runs a disk operation on its thread.
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
    /// Creates an empty state that measures time by `clock`.
    #[must_use]
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self { volumes: Mutex::default(), clock }
    }

    /// Returns the time since the first incomplete reconciliation, or `None` if there was none.
    #[must_use]
    pub fn since(&self, id: &VolumeId) -> Option<Duration> {
        self.lock().get(id).map(|state| self.elapsed(state.since))
    }

    /// Returns the time since the volume was first found to be an orphan, or `None` if it was not. Work
    /// while it had an owner does not count.
    #[must_use]
    pub fn orphan_since(&self, id: &VolumeId) -> Option<Duration> {
        self.lock().get(id)?.orphan_since.map(|since| self.elapsed(since))
    }

    /// Returns whether to report `text` about this volume, or whether it was reported recently.
    #[must_use]
    pub fn should_report(&self, id: &VolumeId, text: &str) -> bool {
        let (mut volumes, now) = (self.lock(), self.clock.instant());
        let state = volumes.entry(id.clone()).or_insert_with(|| State::new(now));
        let last = state.reported.as_ref();
        if last.is_some_and(|(last, at)| last == text && self.elapsed(*at) < REPORT_INTERVAL) {
            return false;
        }
        state.reported = Some((text.to_owned(), now));
        true
    }

    /// Records the outcome. Returns the delay until the next reconciliation, if there is one.
    #[must_use]
    pub fn settle(&self, id: &VolumeId, outcome: Outcome) -> Option<Duration> {
        let (mut volumes, now) = (self.lock(), self.clock.instant());
        match outcome {
            Outcome::Done => {
                volumes.remove(id);
                None
            }
            Outcome::RequeueOrphan(delay) => {
                let state = volumes.entry(id.clone()).or_insert_with(|| State::new(now));
                state.orphan_since.get_or_insert(now);
                Some(delay)
            }
            Outcome::Requeue(pace) => {
                let state = volumes.entry(id.clone()).or_insert_with(|| State::new(now));
                let times = match state.attempts {
                    Some((last, times)) if last == pace => times.saturating_add(1),
                    _ => 1,
                };
                state.attempts = Some((pace, times));
                Some(pace.delay(times))
            }
        }
    }

    fn elapsed(&self, since: Instant) -> Duration {
        self.clock.instant().saturating_duration_since(since)
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<VolumeId, State>> {
        self.volumes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn new(now: Instant) -> Self {
        Self { since: now, orphan_since: None, attempts: None, reported: None }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::SystemClock;

    #[test]
    fn unfinished_work_is_retried_with_a_backoff_and_forgotten_when_done() {
        let id = VolumeId::parse("0b0a3a2e-0d6c-4f5f-9e57-3c2f1d2b4a59").unwrap();
        let unfinished = Unfinished::new(Arc::new(SystemClock));
        assert_eq!(unfinished.since(&id), None);
        let again = Outcome::Requeue(Backoff::Refused);
        assert_eq!(unfinished.settle(&id, again), Some(Duration::from_secs(60)));
        assert_eq!(unfinished.settle(&id, again), Some(Duration::from_secs(120)));
        let busy = Outcome::Requeue(Backoff::Busy);
        assert_eq!(unfinished.settle(&id, busy), Some(Duration::from_secs(2)));
        assert!(unfinished.since(&id).is_some());
        assert_eq!(unfinished.settle(&id, Outcome::Done), None);
        assert_eq!(unfinished.since(&id), None);
    }

    #[test]
    fn only_the_time_without_an_owner_counts_against_a_directory() {
        let id = VolumeId::parse("0b0a3a2e-0d6c-4f5f-9e57-3c2f1d2b4a59").unwrap();
        let unfinished = Unfinished::new(Arc::new(SystemClock));
        let _delay = unfinished.settle(&id, Outcome::Requeue(Backoff::Refused));
        assert_eq!(unfinished.orphan_since(&id), None);
        let _delay = unfinished.settle(&id, Outcome::RequeueOrphan(Duration::from_secs(1)));
        assert!(unfinished.orphan_since(&id).is_some());
        let _delay = unfinished.settle(&id, Outcome::Done);
        assert_eq!(unfinished.orphan_since(&id), None);
    }

    #[test]
    fn the_same_message_is_not_reported_twice_in_a_row() {
        let id = VolumeId::parse("0b0a3a2e-0d6c-4f5f-9e57-3c2f1d2b4a59").unwrap();
        let unfinished = Unfinished::new(Arc::new(SystemClock));
        let said = ["no", "no", "not so", "no"].map(|text| unfinished.should_report(&id, text));
        assert_eq!(said, [true, false, true, true]);
    }
}
