//! A copy of the objects of a watch, reduced to the values that are needed.
//!
//! kube's own reflector keeps complete objects, and readers lock it. This one keeps one value per
//! object, and readers share an immutable map.

use kube::runtime::watcher::Event;
use std::collections::BTreeMap;
use std::sync::Arc;

/// The values of the objects of one watch, by key.
#[derive(Debug)]
pub struct Reflector<K, V> {
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
    /// Applies an event of a watch. Returns whether a value has changed. An object without a value
    /// removes its previous value.
    pub fn apply(&mut self, event: Event<(K, Option<V>)>) -> bool {
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

    /// Returns all values. Returns `None` before the first list is complete.
    #[must_use]
    pub fn all(&self) -> Option<Arc<BTreeMap<K, V>>> {
        self.synced.then(|| Arc::clone(&self.current))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn objects(reflector: &Reflector<&'static str, i32>) -> Option<Vec<(&'static str, i32)>> {
        reflector.all().map(|all| all.iter().map(|(key, value)| (*key, *value)).collect())
    }

    #[test]
    fn there_are_no_values_before_the_first_list_is_complete() {
        let mut reflector = Reflector::default();
        assert!(!reflector.apply(Event::Init));
        assert!(!reflector.apply(Event::InitApply(("a", Some(1)))));
        assert_eq!(objects(&reflector), None);
        assert!(reflector.apply(Event::InitDone));
        assert_eq!(objects(&reflector), Some(vec![("a", 1)]));
    }

    #[test]
    fn an_empty_list_is_complete() {
        let mut reflector = Reflector::<&str, i32>::default();
        assert!(reflector.apply(Event::InitDone));
        assert_eq!(objects(&reflector), Some(vec![]));
    }

    #[test]
    fn only_changes_are_reported() {
        let mut reflector = Reflector::default();
        assert!(reflector.apply(Event::InitDone));
        assert!(reflector.apply(Event::Apply(("a", Some(1)))));
        assert!(!reflector.apply(Event::Apply(("a", Some(1)))));
        assert!(reflector.apply(Event::Apply(("a", Some(2)))));
        assert!(!reflector.apply(Event::Delete(("b", Some(0)))));
        assert!(reflector.apply(Event::Delete(("a", Some(0)))));
        assert_eq!(objects(&reflector), Some(vec![]));
    }

    #[test]
    fn an_object_that_loses_its_value_is_removed() {
        let mut reflector = Reflector::default();
        for event in
            [Event::InitApply(("a", Some(1))), Event::InitApply(("b", None)), Event::InitDone]
        {
            reflector.apply(event);
        }
        assert_eq!(objects(&reflector), Some(vec![("a", 1)]));
        assert!(!reflector.apply(Event::Apply(("b", None))));
        assert!(reflector.apply(Event::Apply(("a", None))));
        assert_eq!(objects(&reflector), Some(vec![]));
        assert!(!reflector.apply(Event::Delete(("a", None))));
    }

    #[test]
    fn a_second_list_replaces_the_first_when_it_is_complete() {
        let mut reflector = Reflector::default();
        for event in [Event::InitApply(("a", Some(1))), Event::InitDone, Event::Init] {
            reflector.apply(event);
        }
        assert!(!reflector.apply(Event::InitApply(("b", Some(2)))));
        assert_eq!(objects(&reflector), Some(vec![("a", 1)]));
        assert!(reflector.apply(Event::InitDone));
        assert_eq!(objects(&reflector), Some(vec![("b", 2)]));
        for event in [Event::Init, Event::InitApply(("b", Some(2)))] {
            reflector.apply(event);
        }
        assert!(!reflector.apply(Event::InitDone));
    }
}
