//! Readiness of a process, composed of the readiness of its parts. Each part reports its own state
//! through a handle.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock};

/// The readiness of all parts of a process. Clones share the state.
#[derive(Debug, Clone, Default)]
pub struct Readiness {
    parts: Arc<RwLock<Vec<(&'static str, State)>>>,
    remarks: Arc<RwLock<BTreeMap<&'static str, String>>>,
}

/// The readiness of a part.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum State {
    /// The part can do its work.
    Ready,
    /// The part cannot do its work.
    Waiting {
        /// The reason, for an operator.
        reason: String,
    },
}

/// The handle through which a part reports its readiness. The last state remains after a drop.
#[derive(Debug)]
pub struct ReadyHandle {
    readiness: Readiness,
    index: usize,
}

/// A warning of `/readyz` that does not affect readiness: the problem would remain if clients were
/// sent to another replica.
#[derive(Debug, Clone)]
pub struct Remark {
    readiness: Readiness,
    name: &'static str,
}

impl Readiness {
    /// Returns the readiness of a process without parts, which is ready.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a part, which is not ready at first.
    #[must_use]
    pub fn handle(&self, name: &'static str) -> ReadyHandle {
        let starting = State::Waiting { reason: "starting".to_owned() };
        let mut parts = self.parts.write().unwrap_or_else(PoisonError::into_inner);
        parts.push((name, starting));
        ReadyHandle { readiness: self.clone(), index: parts.len() - 1 }
    }

    /// Returns a named remark, which is empty at first.
    #[must_use]
    pub fn remark(&self, name: &'static str) -> Remark {
        Remark { readiness: self.clone(), name }
    }

    /// Returns the current remarks by name.
    #[must_use]
    pub fn remarks(&self) -> BTreeMap<&'static str, String> {
        self.remarks.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Returns the state of every part, in the order in which the parts were added.
    #[must_use]
    pub fn snapshot(&self) -> Vec<(&'static str, State)> {
        self.parts.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Returns whether every part is ready.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        let parts = self.parts.read().unwrap_or_else(PoisonError::into_inner);
        parts.iter().all(|(_, state)| *state == State::Ready)
    }

    fn set(&self, index: usize, state: State) {
        let mut parts = self.parts.write().unwrap_or_else(PoisonError::into_inner);
        let Some((name, current)) = parts.get_mut(index) else {
            return;
        };
        if *current != state {
            tracing::info!(part = name, ?state, "readiness changed");
            *current = state;
        }
    }
}

impl ReadyHandle {
    /// Reports that the part can do its work.
    pub fn ready(&self) {
        self.readiness.set(self.index, State::Ready);
    }

    /// Reports that the part cannot do its work because of `reason`.
    pub fn not_ready(&self, reason: impl Into<String>) {
        self.readiness.set(self.index, State::Waiting { reason: reason.into() });
    }
}

impl Remark {
    /// Sets the text of the remark.
    pub fn set(&self, text: impl Into<String>) {
        let mut remarks = self.readiness.remarks.write().unwrap_or_else(PoisonError::into_inner);
        remarks.insert(self.name, text.into());
    }

    /// Removes the remark.
    pub fn clear(&self) {
        let mut remarks = self.readiness.remarks.write().unwrap_or_else(PoisonError::into_inner);
        remarks.remove(self.name);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn waiting(reason: &str) -> State {
        State::Waiting { reason: reason.to_owned() }
    }

    #[test]
    fn a_process_without_parts_is_ready() {
        assert!(Readiness::new().is_ready());
        assert_eq!(Readiness::new().snapshot(), []);
    }

    #[test]
    fn a_process_is_ready_only_while_every_part_is_ready() {
        let readiness = Readiness::new();
        let (facts, server) = (readiness.handle("facts"), readiness.handle("server"));
        assert_eq!(
            readiness.snapshot(),
            [("facts", waiting("starting")), ("server", waiting("starting"))]
        );
        facts.ready();
        assert!(!readiness.is_ready());
        server.ready();
        assert!(readiness.is_ready());
        facts.not_ready("watch broken");
        assert!(!readiness.is_ready());
        assert_eq!(
            readiness.snapshot(),
            [("facts", waiting("watch broken")), ("server", State::Ready)]
        );
        facts.ready();
        assert!(readiness.is_ready());
    }

    #[test]
    fn a_remark_does_not_affect_readiness() {
        let readiness = Readiness::new();
        let remark = readiness.remark("network");
        assert!(readiness.remarks().is_empty());
        remark.set("slow");
        remark.set("gone");
        assert_eq!(readiness.remarks(), BTreeMap::from([("network", "gone".to_owned())]));
        assert!(readiness.is_ready());
        remark.clear();
        assert!(readiness.remarks().is_empty());
    }

    #[test]
    fn two_parts_of_one_name_have_separate_states() {
        let readiness = Readiness::new();
        let (one, _two) = (readiness.handle("pool"), readiness.handle("pool"));
        one.ready();
        assert!(!readiness.is_ready());
    }

    #[test]
    fn a_dropped_part_keeps_its_last_state() {
        let readiness = Readiness::new();
        drop(readiness.handle("facts"));
        assert!(!readiness.is_ready());
    }

    #[test]
    fn many_threads_can_report_at_once() {
        let readiness = Readiness::new();
        let flip = |handle: ReadyHandle| {
            (0..100).for_each(|_| handle.not_ready("busy"));
            handle.ready();
        };
        std::thread::scope(|scope| {
            for _ in 0..8 {
                let handle = readiness.handle("part");
                scope.spawn(move || flip(handle));
            }
        });
        assert!(readiness.is_ready());
        assert_eq!(readiness.snapshot().len(), 8);
    }
}
