//! The objects that may need a repair, each with the moment at which it is to be looked at.
//! Pure: `now` is passed in.

use super::kind::Key;
use super::restorations::Restorations;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;
use tokio::time::Instant;

/// How long a report of an object is not repeated.
const REPEAT: Duration = Duration::from_secs(30 * 60);

/// The objects of one kind, with what is known of each.
#[derive(Debug)]
pub(super) struct Queue<T> {
    delay: Duration,
    objects: BTreeMap<Key, Waiting<T>>,
    /// The same moments as in `objects`, in their order.
    order: BTreeSet<(Instant, Key)>,
    relisted: Option<BTreeSet<Key>>,
    /// Outlives the objects: one that is restored needs nothing until the next time.
    pub(super) restorations: Restorations,
}

#[derive(Debug)]
struct Waiting<T> {
    object: T,
    due: Option<Instant>,
    /// What was reported of it last, and when.
    reported: Option<(String, Instant)>,
}

impl<T> Queue<T> {
    /// An empty queue that looks at an object `delay` after it has changed: the webhook's own work
    /// and the scheduler's write are on their way then, and a reader that looks at once sees neither.
    pub(super) fn new(delay: Duration) -> Self {
        Self {
            delay,
            objects: BTreeMap::new(),
            order: BTreeSet::new(),
            relisted: None,
            restorations: Restorations::default(),
        }
    }

    /// A new list begins: what it does not name is gone.
    pub(super) fn relist(&mut self) {
        self.relisted = Some(BTreeSet::new());
    }

    /// The list is complete.
    pub(super) fn relisted(&mut self) {
        let Some(named) = self.relisted.take() else { return };
        let gone: Vec<_> =
            self.objects.keys().filter(|key| !named.contains(*key)).cloned().collect();
        gone.iter().for_each(|key| self.remove(key));
    }

    /// An object is as it is now said to be.
    pub(super) fn put(&mut self, key: Key, object: T, now: Instant) {
        if let Some(named) = &mut self.relisted {
            named.insert(key.clone());
        }
        let reported = self.take(&key).and_then(|waiting| waiting.reported);
        let due = now + self.delay;
        self.order.insert((due, key.clone()));
        self.objects.insert(key, Waiting { object, due: Some(due), reported });
    }

    /// An object needs nothing any more.
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

    /// Records that this is reported of an object. Returns whether it has not been lately.
    pub(super) fn is_new(&mut self, key: &Key, note: &str, now: Instant) -> bool {
        let Some(waiting) = self.objects.get_mut(key) else { return true };
        let reported = waiting.reported.as_ref();
        if reported.is_some_and(|(last, at)| last == note && now < *at + REPEAT) {
            return false;
        }
        waiting.reported = Some((note.to_owned(), now));
        true
    }

    /// The world has changed: every object is to be looked at.
    pub(super) fn look_at_all(&mut self, now: Instant) {
        let keys: Vec<_> = self.objects.keys().cloned().collect();
        keys.iter().for_each(|key| self.look_again(key, now + self.delay));
    }

    /// An object is to be looked at then, if it is still there and has no turn yet: one that was
    /// refused is not asked about more often because the world changes.
    pub(super) fn look_again(&mut self, key: &Key, at: Instant) {
        let without = self.objects.get_mut(key).filter(|waiting| waiting.due.is_none());
        if let Some(waiting) = without {
            waiting.due = Some(at);
            self.order.insert((at, key.clone()));
        }
    }

    /// How many objects are still to be looked at.
    pub(super) fn backlog(&self) -> usize {
        self.order.len()
    }

    /// When the next object is to be looked at.
    pub(super) fn next_due(&self) -> Option<Instant> {
        self.order.first().map(|(due, _)| *due)
    }

    /// The object to look at now. It is looked at again only when something has changed.
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
    fn a_claim_is_looked_at_once_a_while_after_its_last_change() {
        let (mut queue, start) = (Queue::new(DELAY), Instant::now());
        queue.put(key("a"), 1, start);
        queue.put(key("a"), 2, start + DELAY / 2);
        assert!(taken(&mut queue, start + DELAY).is_empty());
        assert_eq!(queue.next_due(), Some(start + DELAY / 2 + DELAY));
        assert_eq!(taken(&mut queue, start + DELAY * 2), only(2));
        assert_eq!(queue.next_due(), None);
        queue.look_at_all(start + DELAY * 2);
        assert_eq!(taken(&mut queue, start + DELAY * 3), only(2));
    }

    #[test]
    fn a_claim_whose_repair_failed_is_looked_at_again() {
        let (mut queue, start) = (Queue::new(DELAY), Instant::now());
        queue.put(key("a"), 1, start);
        assert_eq!(taken(&mut queue, start + DELAY).len(), 1);
        queue.look_again(&key("a"), start + DELAY * 5);
        queue.look_again(&key("gone"), start + DELAY * 5);
        assert!(taken(&mut queue, start + DELAY * 4).is_empty());
        assert_eq!(taken(&mut queue, start + DELAY * 5), only(1));
    }

    #[test]
    fn one_that_changes_often_has_one_turn_and_they_come_in_order() {
        let (mut queue, start) = (Queue::new(DELAY), Instant::now());
        for (at, name) in ["b", "a", "b", "c"].into_iter().enumerate() {
            let at = u32::try_from(at).unwrap();
            queue.put(key(name), at, start + DELAY * at);
        }
        assert_eq!(queue.backlog(), 3);
        let order = taken(&mut queue, start + DELAY * 9);
        assert_eq!(order, [("a", 1), ("b", 2), ("c", 3)].map(|(name, at)| (name.to_owned(), at)));
        assert_eq!((queue.backlog(), queue.next_due()), (0, None));
        queue.relist();
        queue.put(key("b"), 4, start);
        queue.relisted();
        queue.look_at_all(start);
        assert_eq!(queue.backlog(), 1, "what is kept is kept once");
    }

    #[test]
    fn a_report_is_repeated_only_after_a_while_or_if_it_says_something_else() {
        let (mut queue, start) = (Queue::new(DELAY), Instant::now());
        queue.put(key("a"), 1, start);
        assert!(queue.is_new(&key("a"), "no node", start));
        queue.put(key("a"), 2, start + DELAY);
        assert!(!queue.is_new(&key("a"), "no node", start + DELAY));
        assert!(queue.is_new(&key("a"), "no agent", start + DELAY));
        assert!(queue.is_new(&key("a"), "no agent", start + DELAY + REPEAT));
        queue.remove(&key("a"));
        queue.put(key("a"), 1, start);
        assert!(queue.is_new(&key("a"), "no agent", start), "it is another of that name");
    }

    #[test]
    fn a_claim_that_is_gone_is_not_looked_at() {
        let (mut queue, start) = (Queue::new(DELAY), Instant::now());
        queue.put(key("a"), 1, start);
        queue.put(key("b"), 1, start);
        assert_eq!(queue.backlog(), 2);
        queue.remove(&key("a"));
        queue.relist();
        queue.put(key("c"), 1, start);
        queue.relisted();
        assert_eq!(taken(&mut queue, start + DELAY), [("c".to_owned(), 1)]);
    }
}
