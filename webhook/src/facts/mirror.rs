//! What a watch has shown, reduced to what is needed of it. It holds no object as a whole and
//! knows nothing of clients.

use kube::runtime::watcher::Event;
use std::collections::BTreeMap;
use std::sync::Arc;

/// The values read from the objects of one watch, by key.
#[derive(Debug)]
pub(crate) struct Mirror<K, V> {
    current: Arc<BTreeMap<K, V>>,
    relisted: BTreeMap<K, V>,
    synced: bool,
}

impl<K, V> Default for Mirror<K, V> {
    fn default() -> Self {
        Self { current: Arc::default(), relisted: BTreeMap::new(), synced: false }
    }
}

impl<K: Ord + Clone, V: Clone + PartialEq> Mirror<K, V> {
    /// Takes in what a watch has to say; whether anything that is kept has changed. An object
    /// that `read` can make nothing of is as good as absent.
    pub(crate) fn take<O>(&mut self, event: Event<O>, read: impl Fn(&O) -> Option<(K, V)>) -> bool {
        self.take_some(event, |object| read(object).map(|(key, value)| (key, Some(value))))
    }

    /// The same where an object that is there may have nothing to be kept. Then nothing is kept,
    /// and what it said before is gone.
    pub(crate) fn take_some<O>(
        &mut self,
        event: Event<O>,
        read: impl Fn(&O) -> Option<(K, Option<V>)>,
    ) -> bool {
        match event {
            Event::Init => self.relisted.clear(),
            Event::InitApply(object) => {
                let kept = read(&object).and_then(|(key, value)| Some((key, value?)));
                self.relisted.extend(kept);
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
            Event::Apply(object) => {
                let Some((key, value)) = read(&object) else { return false };
                return self.put(key, value);
            }
            Event::Delete(object) => {
                let Some((key, _)) = read(&object) else { return false };
                return self.put(key, None);
            }
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

    fn read(object: &(&'static str, i32)) -> Option<(&'static str, i32)> {
        (object.1 >= 0).then_some(*object)
    }

    fn shown(mirror: &Mirror<&'static str, i32>) -> Option<Vec<(&'static str, i32)>> {
        mirror.all().map(|all| all.iter().map(|(key, value)| (*key, *value)).collect())
    }

    #[test]
    fn nothing_is_known_before_the_first_list_is_complete() {
        let mut mirror = Mirror::default();
        assert!(!mirror.take(Event::Init, read));
        assert!(!mirror.take(Event::InitApply(("a", 1)), read));
        assert_eq!(shown(&mirror), None);
        assert!(mirror.take(Event::InitDone, read));
        assert_eq!(shown(&mirror), Some(vec![("a", 1)]));
    }

    #[test]
    fn an_empty_cluster_is_known_too() {
        let mut mirror = Mirror::<&str, i32>::default();
        assert!(mirror.take(Event::InitDone, read));
        assert_eq!(shown(&mirror), Some(vec![]));
    }

    #[test]
    fn only_changes_count() {
        let mut mirror = Mirror::default();
        assert!(mirror.take(Event::InitDone, read));
        assert!(mirror.take(Event::Apply(("a", 1)), read));
        assert!(!mirror.take(Event::Apply(("a", 1)), read));
        assert!(!mirror.take(Event::Apply(("b", -1)), read));
        assert!(mirror.take(Event::Apply(("a", 2)), read));
        assert!(!mirror.take(Event::Delete(("b", 0)), read));
        assert!(mirror.take(Event::Delete(("a", 0)), read));
        assert_eq!(shown(&mirror), Some(vec![]));
    }

    #[test]
    fn an_object_that_ceases_to_say_anything_is_no_longer_kept() {
        let read =
            |object: &(&'static str, i32)| Some((object.0, Some(object.1).filter(|n| *n > 0)));
        let mut mirror = Mirror::default();
        for event in [Event::InitApply(("a", 1)), Event::InitApply(("b", 0)), Event::InitDone] {
            mirror.take_some(event, read);
        }
        assert_eq!(shown(&mirror), Some(vec![("a", 1)]));
        assert!(!mirror.take_some(Event::Apply(("b", 0)), read));
        assert!(mirror.take_some(Event::Apply(("a", 0)), read));
        assert_eq!(shown(&mirror), Some(vec![]));
        assert!(!mirror.take_some(Event::Delete(("a", 0)), read));
    }

    #[test]
    fn a_second_list_replaces_the_first_at_once() {
        let mut mirror = Mirror::default();
        for event in [Event::InitApply(("a", 1)), Event::InitDone, Event::Init] {
            mirror.take(event, read);
        }
        assert!(!mirror.take(Event::InitApply(("b", 2)), read));
        assert_eq!(shown(&mirror), Some(vec![("a", 1)]));
        assert!(mirror.take(Event::InitDone, read));
        assert_eq!(shown(&mirror), Some(vec![("b", 2)]));
        for event in [Event::Init, Event::InitApply(("b", 2))] {
            mirror.take(event, read);
        }
        assert!(!mirror.take(Event::InitDone, read));
    }
}
