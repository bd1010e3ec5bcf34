//! A work queue that gives each key to one worker at a time.
//!
//! A key that is added while a worker has it is queued again afterwards, so no change is missed. A
//! key that is added twice is queued once.

use crate::timer::reached;
use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};
use std::hash::Hash;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::Notify;
use tokio::time::Instant;

/// A work queue.
#[derive(Debug)]
pub struct Queue<K> {
    state: Mutex<State<K>>,
    changed: Notify,
}

#[derive(Debug)]
struct State<K> {
    ready: VecDeque<K>,
    // Queued, or to be queued when its worker is done.
    wanted: HashSet<K>,
    held: HashSet<K>,
    // The earliest due time of each delayed key, and the reverse index.
    delayed: HashMap<K, (Instant, u64)>,
    due: BTreeMap<(Instant, u64), K>,
    count: u64,
}

/// A key that no other worker gets until this is dropped.
#[derive(Debug)]
pub struct KeyGuard<'a, K: Clone + Eq + Hash> {
    queue: &'a Queue<K>,
    key: K,
}

impl<K: Clone + Eq + Hash> Queue<K> {
    /// Creates an empty queue.
    #[must_use]
    pub fn new() -> Self {
        let state = State {
            ready: VecDeque::new(),
            wanted: HashSet::new(),
            held: HashSet::new(),
            delayed: HashMap::new(),
            due: BTreeMap::new(),
            count: 0,
        };
        Self { state: Mutex::new(state), changed: Notify::new() }
    }

    /// Queues `key` now.
    pub fn add(&self, key: K) {
        self.lock().add(key);
        self.changed.notify_one();
    }

    /// Queues `key` after `delay`, unless it is due earlier.
    pub fn add_after(&self, key: K, delay: Duration) {
        self.lock().delay(key, Instant::now() + delay);
        self.changed.notify_one();
    }

    /// Returns the next key. Cancelling the wait loses no key.
    pub async fn next(&self) -> KeyGuard<'_, K> {
        loop {
            let (key, due) = self.lock().take(Instant::now());
            if let Some(key) = key {
                // Wakes the next worker: one notification may cover several keys.
                self.changed.notify_one();
                return KeyGuard { queue: self, key };
            }
            tokio::select! {
                () = self.changed.notified() => {}
                () = reached(due) => {}
            }
        }
    }

    /// Takes `key` from the queue and keeps it from all workers until the result is dropped.
    /// Returns `None` if a worker has it. It never waits: two workers that want each other's keys
    /// would deadlock.
    pub fn try_hold(&self, key: &K) -> Option<KeyGuard<'_, K>> {
        let mut state = self.lock();
        if !state.held.insert(key.clone()) {
            return None;
        }
        // The key stays in `wanted`, so it is queued again when it is released.
        state.ready.retain(|ready| ready != key);
        Some(KeyGuard { queue: self, key: key.clone() })
    }

    fn lock(&self) -> MutexGuard<'_, State<K>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<K: Clone + Eq + Hash> Default for Queue<K> {
    fn default() -> Self {
        Self::new()
    }
}

impl<K: Clone + Eq + Hash> State<K> {
    fn add(&mut self, key: K) {
        self.forget_delay(&key);
        if self.wanted.insert(key.clone()) && !self.held.contains(&key) {
            self.ready.push_back(key);
        }
    }

    fn delay(&mut self, key: K, at: Instant) {
        let sooner = self.delayed.get(&key).is_some_and(|(due, _)| *due <= at);
        if sooner || self.wanted.contains(&key) {
            return;
        }
        self.forget_delay(&key);
        self.count += 1;
        let due = (at, self.count);
        self.delayed.insert(key.clone(), due);
        self.due.insert(due, key);
    }

    /// Returns the next key, or the due time of the first delayed one.
    fn take(&mut self, now: Instant) -> (Option<K>, Option<Instant>) {
        while let Some(entry) = self.due.first_entry() {
            if entry.key().0 > now {
                break;
            }
            let key = entry.get().clone();
            self.add(key);
        }
        let Some(key) = self.ready.pop_front() else {
            return (None, self.due.keys().next().map(|(at, _)| *at));
        };
        self.wanted.remove(&key);
        self.held.insert(key.clone());
        (Some(key), None)
    }

    fn release(&mut self, key: K) {
        self.held.remove(&key);
        if self.wanted.contains(&key) {
            self.ready.push_back(key);
        }
    }

    fn forget_delay(&mut self, key: &K) {
        if let Some(due) = self.delayed.remove(key) {
            self.due.remove(&due);
        }
    }
}

impl<K: Clone + Eq + Hash> KeyGuard<'_, K> {
    /// Returns the key.
    #[must_use]
    pub fn key(&self) -> &K {
        &self.key
    }
}

impl<K: Clone + Eq + Hash> Drop for KeyGuard<'_, K> {
    fn drop(&mut self) {
        self.queue.lock().release(self.key.clone());
        self.queue.changed.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::FutureExt;

    fn key(queue: &Queue<u32>) -> Option<u32> {
        queue.next().now_or_never().map(|held| *held.key())
    }

    #[tokio::test]
    async fn a_key_added_twice_is_returned_once() {
        let queue = Queue::new();
        queue.add(1);
        queue.add(2);
        queue.add(1);
        assert_eq!((key(&queue), key(&queue), key(&queue)), (Some(1), Some(2), None));
    }

    #[tokio::test]
    async fn a_key_has_one_worker_at_a_time_and_no_change_is_missed() {
        let queue = Queue::new();
        queue.add(1);
        let held = queue.next().await;
        queue.add(1);
        assert_eq!(key(&queue), None);
        drop(held);
        assert_eq!(key(&queue), Some(1));
        assert_eq!(key(&queue), None);
    }

    #[tokio::test]
    async fn a_held_key_is_returned_after_its_release() {
        let queue = Queue::new();
        queue.add(1);
        queue.add(2);
        let held = queue.try_hold(&1).unwrap();
        assert!(queue.try_hold(&1).is_none());
        assert_eq!((key(&queue), key(&queue)), (Some(2), None));
        drop(held);
        assert_eq!((key(&queue), key(&queue)), (Some(1), None));
        let held = queue.try_hold(&3).unwrap();
        queue.add(3);
        assert_eq!(key(&queue), None);
        drop(held);
        assert_eq!(key(&queue), Some(3));
    }

    #[tokio::test]
    async fn a_delayed_key_is_returned_at_its_earliest_due_time() {
        let queue = Queue::new();
        queue.add_after(1, Duration::from_millis(30));
        queue.add_after(1, Duration::from_secs(600));
        queue.add_after(2, Duration::from_millis(10));
        assert_eq!(key(&queue), None);
        assert_eq!(*queue.next().await.key(), 2);
        assert_eq!(*queue.next().await.key(), 1);
        queue.add_after(3, Duration::from_secs(600));
        queue.add(3);
        assert_eq!(key(&queue), Some(3));
        let state = queue.lock();
        assert_eq!((state.due.len(), state.delayed.len()), (0, 0));
    }

    #[tokio::test]
    async fn every_waiting_worker_is_woken_if_there_is_work() {
        let queue = std::sync::Arc::new(Queue::new());
        let worker = |queue: std::sync::Arc<Queue<u32>>| async move {
            let held = queue.next().await;
            let key = *held.key();
            std::mem::forget(held);
            key
        };
        let workers: Vec<_> = (0..4).map(|_| tokio::spawn(worker(queue.clone()))).collect();
        tokio::task::yield_now().await;
        (0..4).for_each(|key| queue.add(key));
        let mut keys = Vec::new();
        for worker in workers {
            keys.push(worker.await.unwrap());
        }
        keys.sort_unstable();
        assert_eq!(keys, [0, 1, 2, 3]);
    }
}
