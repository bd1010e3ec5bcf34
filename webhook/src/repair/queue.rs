//! The claims that wait for their volumes, each with the moment at which it is to be looked at.
//! Pure: `now` is passed in.

use std::collections::BTreeMap;
use std::time::Duration;
use tokio::time::Instant;

/// Namespace and name of a claim.
pub(super) type Key = (String, String);

/// The claims, with what is known of each.
#[derive(Debug)]
pub(super) struct Queue<T> {
    delay: Duration,
    claims: BTreeMap<Key, Waiting<T>>,
    relisted: Option<BTreeMap<Key, Waiting<T>>>,
}

#[derive(Debug)]
struct Waiting<T> {
    claim: T,
    due: Option<Instant>,
}

impl<T> Queue<T> {
    /// An empty queue that looks at a claim `delay` after it has changed: the webhook's own work
    /// and the scheduler's write are on their way then, and whoever looks at once sees neither.
    pub(super) fn new(delay: Duration) -> Self {
        Self { delay, claims: BTreeMap::new(), relisted: None }
    }

    /// A new list begins: what it does not name is gone.
    pub(super) fn relist(&mut self) {
        self.relisted = Some(BTreeMap::new());
    }

    /// The list is complete.
    pub(super) fn relisted(&mut self) {
        if let Some(claims) = self.relisted.take() {
            self.claims = claims;
        }
    }

    /// A claim is as it is now said to be.
    pub(super) fn put(&mut self, key: Key, claim: T, now: Instant) {
        let waiting = Waiting { claim, due: Some(now + self.delay) };
        self.relisted.as_mut().unwrap_or(&mut self.claims).insert(key, waiting);
    }

    /// A claim needs nothing any more.
    pub(super) fn remove(&mut self, key: &Key) {
        self.claims.remove(key);
    }

    /// The world has changed: every claim is to be looked at.
    pub(super) fn look_at_all(&mut self, now: Instant) {
        for waiting in self.claims.values_mut() {
            waiting.due.get_or_insert(now + self.delay);
        }
    }

    /// A claim is to be looked at again by then, if it is still there.
    pub(super) fn look_again(&mut self, key: &Key, at: Instant) {
        if let Some(waiting) = self.claims.get_mut(key) {
            waiting.due.get_or_insert(at);
        }
    }

    /// When the next claim is to be looked at.
    pub(super) fn next_due(&self) -> Option<Instant> {
        self.claims.values().filter_map(|waiting| waiting.due).min()
    }

    /// The claims to look at now. Each is looked at again only when something has changed.
    pub(super) fn take_due(&mut self, now: Instant) -> Vec<(Key, T)>
    where
        T: Clone,
    {
        let due =
            self.claims.iter_mut().filter(|(_, waiting)| waiting.due.is_some_and(|at| at <= now));
        due.map(|(key, waiting)| {
            waiting.due = None;
            (key.clone(), waiting.claim.clone())
        })
        .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DELAY: Duration = Duration::from_secs(2);

    fn key(name: &str) -> Key {
        ("shop".to_owned(), name.to_owned())
    }

    fn names(due: Vec<(Key, u32)>) -> Vec<(String, u32)> {
        due.into_iter().map(|((_, name), version)| (name, version)).collect()
    }

    #[test]
    fn a_claim_is_looked_at_once_a_while_after_its_last_change() {
        let (mut queue, start) = (Queue::new(DELAY), Instant::now());
        queue.put(key("a"), 1, start);
        queue.put(key("a"), 2, start + DELAY / 2);
        assert!(queue.take_due(start + DELAY).is_empty());
        assert_eq!(queue.next_due(), Some(start + DELAY / 2 + DELAY));
        assert_eq!(names(queue.take_due(start + DELAY * 2)), [("a".to_owned(), 2)]);
        assert_eq!(queue.next_due(), None);
        queue.look_at_all(start + DELAY * 2);
        assert_eq!(names(queue.take_due(start + DELAY * 3)), [("a".to_owned(), 2)]);
    }

    #[test]
    fn a_claim_whose_repair_failed_is_looked_at_again() {
        let (mut queue, start) = (Queue::new(DELAY), Instant::now());
        queue.put(key("a"), 1, start);
        assert_eq!(queue.take_due(start + DELAY).len(), 1);
        queue.look_again(&key("a"), start + DELAY * 5);
        queue.look_again(&key("gone"), start + DELAY * 5);
        assert!(queue.take_due(start + DELAY * 4).is_empty());
        assert_eq!(names(queue.take_due(start + DELAY * 5)), [("a".to_owned(), 1)]);
    }

    #[test]
    fn a_claim_that_is_gone_is_not_looked_at() {
        let (mut queue, start) = (Queue::new(DELAY), Instant::now());
        queue.put(key("a"), 1, start);
        queue.put(key("b"), 1, start);
        queue.remove(&key("a"));
        queue.relist();
        queue.put(key("c"), 1, start);
        queue.relisted();
        assert_eq!(names(queue.take_due(start + DELAY)), [("c".to_owned(), 1)]);
    }
}
