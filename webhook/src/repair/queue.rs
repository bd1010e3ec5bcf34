//! The queue of objects that may need a repair, each with a due time. Pure: `now` is passed in.
//!
//! It is not the runtime's work queue: it keeps the reduced objects, postpones an object at each
//! change, and has one consumer.

use super::kind::Key;
use fastrak_runtime::retry::KeyedBackoff;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;
use tokio::time::Instant;

/// How long a report is not repeated.
const REPEAT: Duration = Duration::from_secs(30 * 60);

/// The time between the first restoration of an object and the second. A client that removes the
/// label each time would otherwise cause a write each time: the delay doubles.
const RESTORE_AGAIN: Duration = Duration::from_secs(30);
/// The longest time between two restorations of an object, and the time without one after which it
/// is forgotten.
const MAX_DELAY: Duration = Duration::from_secs(60 * 60);

/// The objects of one kind.
#[derive(Debug)]
pub(super) struct Queue<T> {
    delay: Duration,
    objects: BTreeMap<Key, Waiting<T>>,
    /// The due times in `objects`, in their order.
    order: BTreeSet<(Instant, Key)>,
    listed: Option<BTreeSet<Key>>,
    /// Outlives the objects: a restored object leaves the queue until the next time.
    pub(super) restorations: KeyedBackoff<Key, Instant>,
}

#[derive(Debug)]
struct Waiting<T> {
    object: T,
    due: Option<Instant>,
    /// The last report, and its time.
    reported: Option<(String, Instant)>,
}

impl<T> Queue<T> {
    /// Returns an empty queue in which an object is due `delay` after its last change: an earlier
    /// decision would not see the writes of the webhook and the scheduler that are in progress.
    pub(super) fn new(delay: Duration) -> Self {
        Self {
            delay,
            objects: BTreeMap::new(),
            order: BTreeSet::new(),
            listed: None,
            restorations: KeyedBackoff::new(RESTORE_AGAIN, MAX_DELAY, MAX_DELAY),
        }
    }

    pub(super) fn start_list(&mut self) {
        self.listed = Some(BTreeSet::new());
    }

    /// Completes the list. Removes the objects that it does not name.
    pub(super) fn finish_list(&mut self) {
        let Some(named) = self.listed.take() else { return };
        let gone: Vec<_> =
            self.objects.keys().filter(|key| !named.contains(*key)).cloned().collect();
        gone.iter().for_each(|key| self.remove(key));
    }

    /// Adds or updates an object.
    pub(super) fn put(&mut self, key: Key, object: T, now: Instant) {
        if let Some(named) = &mut self.listed {
            named.insert(key.clone());
        }
        let reported = self.take(&key).and_then(|waiting| waiting.reported);
        let due = now + self.delay;
        self.order.insert((due, key.clone()));
        self.objects.insert(key, Waiting { object, due: Some(due), reported });
    }

    pub(super) fn remove(&mut self, key: &Key) {
        self.take(key);
    }

    fn take(&mut self, key: &Key) -> Option<Waiting<T>> {
        let waiting = self.objects.remove(key)?;
        if let Some(due) = waiting.due {
            self.order.remove(&(due, key.clone()));
        }
        Some(waiting)
    }

    /// Records a report. Returns false if the same was reported recently.
    pub(super) fn is_new(&mut self, key: &Key, note: &str, now: Instant) -> bool {
        let Some(waiting) = self.objects.get_mut(key) else { return true };
        let reported = waiting.reported.as_ref();
        if reported.is_some_and(|(last, at)| last == note && now < *at + REPEAT) {
            return false;
        }
        waiting.reported = Some((note.to_owned(), now));
        true
    }

    /// Makes all objects due after the delay.
    pub(super) fn requeue_all(&mut self, now: Instant) {
        let keys: Vec<_> = self.objects.keys().cloned().collect();
        keys.iter().for_each(|key| self.requeue(key, now + self.delay));
    }

    /// Makes an object due at a time, unless it was removed or has a due time: a failed repair is
    /// not retried earlier because of other changes.
    pub(super) fn requeue(&mut self, key: &Key, at: Instant) {
        let without = self.objects.get_mut(key).filter(|waiting| waiting.due.is_none());
        if let Some(waiting) = without {
            waiting.due = Some(at);
            self.order.insert((at, key.clone()));
        }
    }

    /// Returns the number of objects with a due time.
    pub(super) fn backlog(&self) -> usize {
        self.order.len()
    }

    pub(super) fn next_due(&self) -> Option<Instant> {
        self.order.first().map(|(due, _)| *due)
    }

    /// Returns the next object that is due. It stays without a due time until it changes.
    pub(super) fn take_next(&mut self, now: Instant) -> Option<(Key, T)>
    where
        T: Clone,
    {
        self.next_due().filter(|due| *due <= now)?;
        let (_, key) = self.order.pop_first()?;
        let waiting = self.objects.get_mut(&key)?;
        waiting.due = None;
        Some((key, waiting.object.clone()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DELAY: Duration = Duration::from_secs(2);

    fn key(name: &str) -> Key {
        ("shop".to_owned(), name.to_owned())
    }

    fn taken(queue: &mut Queue<u32>, now: Instant) -> Vec<(String, u32)> {
        let next = std::iter::from_fn(|| queue.take_next(now));
        next.map(|((_, name), version)| (name, version)).collect()
    }

    fn only(version: u32) -> [(String, u32); 1] {
        [("a".to_owned(), version)]
    }

    #[test]
    fn an_object_is_due_once_after_its_last_change() {
        let (mut queue, start) = (Queue::new(DELAY), Instant::now());
        queue.put(key("a"), 1, start);
        queue.put(key("a"), 2, start + DELAY / 2);
        assert!(taken(&mut queue, start + DELAY).is_empty());
        assert_eq!(queue.next_due(), Some(start + DELAY / 2 + DELAY));
        assert_eq!(taken(&mut queue, start + DELAY * 2), only(2));
        assert_eq!(queue.next_due(), None);
        queue.requeue_all(start + DELAY * 2);
        assert_eq!(taken(&mut queue, start + DELAY * 3), only(2));
    }

    #[test]
    fn an_object_can_be_requeued_after_a_failed_repair() {
        let (mut queue, start) = (Queue::new(DELAY), Instant::now());
        queue.put(key("a"), 1, start);
        assert_eq!(taken(&mut queue, start + DELAY).len(), 1);
        queue.requeue(&key("a"), start + DELAY * 5);
        queue.requeue(&key("gone"), start + DELAY * 5);
        assert!(taken(&mut queue, start + DELAY * 4).is_empty());
        assert_eq!(taken(&mut queue, start + DELAY * 5), only(1));
    }

    #[test]
    fn an_object_that_changes_often_is_due_once_and_in_order() {
        let (mut queue, start) = (Queue::new(DELAY), Instant::now());
        for (at, name) in ["b", "a", "b", "c"].into_iter().enumerate() {
            let at = u32::try_from(at).unwrap();
            queue.put(key(name), at, start + DELAY * at);
        }
        assert_eq!(queue.backlog(), 3);
        let order = taken(&mut queue, start + DELAY * 9);
        assert_eq!(order, [("a", 1), ("b", 2), ("c", 3)].map(|(name, at)| (name.to_owned(), at)));
        assert_eq!((queue.backlog(), queue.next_due()), (0, None));
        queue.start_list();
        queue.put(key("b"), 4, start);
        queue.finish_list();
        queue.requeue_all(start);
        assert_eq!(queue.backlog(), 1, "an object is kept once");
    }

    #[test]
    fn a_report_is_repeated_after_an_interval_or_if_it_changes() {
        let (mut queue, start) = (Queue::new(DELAY), Instant::now());
        queue.put(key("a"), 1, start);
        assert!(queue.is_new(&key("a"), "no node", start));
        queue.put(key("a"), 2, start + DELAY);
        assert!(!queue.is_new(&key("a"), "no node", start + DELAY));
        assert!(queue.is_new(&key("a"), "no agent", start + DELAY));
        assert!(queue.is_new(&key("a"), "no agent", start + DELAY + REPEAT));
        queue.remove(&key("a"));
        queue.put(key("a"), 1, start);
        assert!(queue.is_new(&key("a"), "no agent", start), "another object of the same name");
    }

    #[test]
    fn a_deleted_object_is_not_due() {
        let (mut queue, start) = (Queue::new(DELAY), Instant::now());
        queue.put(key("a"), 1, start);
        queue.put(key("b"), 1, start);
        assert_eq!(queue.backlog(), 2);
        queue.remove(&key("a"));
        queue.start_list();
        queue.put(key("c"), 1, start);
        queue.finish_list();
        assert_eq!(taken(&mut queue, start + DELAY), [("c".to_owned(), 1)]);
    }
}
