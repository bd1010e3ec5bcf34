//! What a watch has shown, reduced to what is needed of it. It holds no object as a whole and
//! knows nothing of clients.

use kube::runtime::watcher::Event;
use std::collections::BTreeMap;
use std::sync::Arc;

/// The values read from the objects of one watch, by key.
#[derive(Debug)]
pub(crate) struct Reflector<K, V> {
    current: Arc<BTreeMap<K, V>>,
    relisted: BTreeMap<K, V>,
    synced: bool,
}

impl<K, V> Default for Reflector<K, V> {
    fn default() -> Self {
        Self { current: Arc::default(), relisted: BTreeMap::new(), synced: false }
    }
}

impl<K: Ord + Clone, V: Clone + PartialEq> Reflector<K, V> {
    /// Takes in an event of a watch. Returns whether anything that is kept has changed. An object
    /// that is there may have nothing to be kept: then what it said before is gone.
    pub(crate) fn take(&mut self, event: Event<(K, Option<V>)>) -> bool {
        match event {
            Event::Init => self.relisted.clear(),
            Event::InitApply((key, value)) => {
                self.relisted.extend(value.map(|value| (key, value)));
            }
            Event::InitDone => {
                let all = std::mem::take(&mut self.relisted);
                let changed = !self.synced || *self.current != all;
                self.synced = true;
                if changed {
                    self.current = Arc::new(all);
                }
                return changed;
            }
            Event::Apply((key, value)) => return self.put(key, value),
            Event::Delete((key, _)) => return self.put(key, None),
        }
        false
    }

    fn put(&mut self, key: K, value: Option<V>) -> bool {
        if self.current.get(&key) == value.as_ref() {
            return false;
        }
        let current = Arc::make_mut(&mut self.current);
        match value {
            Some(value) => current.insert(key, value),
            None => current.remove(&key),
        };
        true
    }

    /// Everything, once the first list is complete.
    pub(crate) fn all(&self) -> Option<Arc<BTreeMap<K, V>>> {
        self.synced.then(|| Arc::clone(&self.current))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(mirror: &Reflector<&'static str, i32>) -> Option<Vec<(&'static str, i32)>> {
        mirror.all().map(|all| all.iter().map(|(key, value)| (*key, *value)).collect())
    }

    #[test]
    fn nothing_is_known_before_the_first_list_is_complete() {
        let mut mirror = Reflector::default();
        assert!(!mirror.take(Event::Init));
        assert!(!mirror.take(Event::InitApply(("a", Some(1)))));
        assert_eq!(shown(&mirror), None);
        assert!(mirror.take(Event::InitDone));
        assert_eq!(shown(&mirror), Some(vec![("a", 1)]));
    }

    #[test]
    fn an_empty_cluster_is_known_too() {
        let mut mirror = Reflector::<&str, i32>::default();
        assert!(mirror.take(Event::InitDone));
        assert_eq!(shown(&mirror), Some(vec![]));
    }

    #[test]
    fn only_changes_count() {
        let mut mirror = Reflector::default();
        assert!(mirror.take(Event::InitDone));
        assert!(mirror.take(Event::Apply(("a", Some(1)))));
        assert!(!mirror.take(Event::Apply(("a", Some(1)))));
        assert!(mirror.take(Event::Apply(("a", Some(2)))));
        assert!(!mirror.take(Event::Delete(("b", Some(0)))));
        assert!(mirror.take(Event::Delete(("a", Some(0)))));
        assert_eq!(shown(&mirror), Some(vec![]));
    }

    #[test]
    fn an_object_that_ceases_to_say_anything_is_no_longer_kept() {
        let mut mirror = Reflector::default();
        for event in
            [Event::InitApply(("a", Some(1))), Event::InitApply(("b", None)), Event::InitDone]
        {
            mirror.take(event);
        }
        assert_eq!(shown(&mirror), Some(vec![("a", 1)]));
        assert!(!mirror.take(Event::Apply(("b", None))));
        assert!(mirror.take(Event::Apply(("a", None))));
        assert_eq!(shown(&mirror), Some(vec![]));
        assert!(!mirror.take(Event::Delete(("a", None))));
    }

    #[test]
    fn a_second_list_replaces_the_first_at_once() {
        let mut mirror = Reflector::default();
        for event in [Event::InitApply(("a", Some(1))), Event::InitDone, Event::Init] {
            mirror.take(event);
        }
        assert!(!mirror.take(Event::InitApply(("b", Some(2)))));
        assert_eq!(shown(&mirror), Some(vec![("a", 1)]));
        assert!(mirror.take(Event::InitDone));
        assert_eq!(shown(&mirror), Some(vec![("b", 2)]));
        for event in [Event::Init, Event::InitApply(("b", Some(2)))] {
            mirror.take(event);
        }
        assert!(!mirror.take(Event::InitDone));
    }
}
