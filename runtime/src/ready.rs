//! Whether the process can do its work, as the sum of named parts. It does not
//! probe anything: each part says so itself, through its own handle.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock};

/// All parts of a process and how each of them stands. Clones share one state.
#[derive(Debug, Clone, Default)]
pub struct Readiness {
    parts: Arc<RwLock<Vec<(&'static str, State)>>>,
    remarks: Arc<RwLock<BTreeMap<&'static str, String>>>,
}

/// How one part stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum State {
    /// It can do its work.
    Ready,
    /// It cannot yet, or no longer.
    Waiting {
        /// What it waits for, in words for an operator.
        reason: String,
    },
}

/// One part's own say. A part that is dropped keeps its last word.
#[derive(Debug)]
pub struct ReadyHandle {
    readiness: Readiness,
    index: usize,
}

/// One part's say that an operator should see and that makes nobody less ready: what is wrong
/// would not be mended by sending callers elsewhere.
#[derive(Debug, Clone)]
pub struct Remark {
    readiness: Readiness,
    name: &'static str,
}

impl Readiness {
    /// A process without parts: ready.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// A new part, not ready until its handle says so.
    #[must_use]
    pub fn handle(&self, name: &'static str) -> ReadyHandle {
        let starting = State::Waiting { reason: "starting".to_owned() };
        let mut parts = self.parts.write().unwrap_or_else(PoisonError::into_inner);
        parts.push((name, starting));
        ReadyHandle { readiness: self.clone(), index: parts.len() - 1 }
    }

    /// A part that only ever remarks.
    #[must_use]
    pub fn remark(&self, name: &'static str) -> Remark {
        Remark { readiness: self.clone(), name }
    }

    /// What is remarked at this moment, by the names of those who do.
    #[must_use]
    pub fn remarks(&self) -> BTreeMap<&'static str, String> {
        self.remarks.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Every part and how it stands, in the order in which they were made.
    #[must_use]
    pub fn snapshot(&self) -> Vec<(&'static str, State)> {
        self.parts.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Whether every part is ready.
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
    /// The part can do its work.
    pub fn ready(&self) {
        self.readiness.set(self.index, State::Ready);
    }

    /// The part cannot do its work, because of `reason`.
    pub fn not_ready(&self, reason: impl Into<String>) {
        self.readiness.set(self.index, State::Waiting { reason: reason.into() });
    }
}

impl Remark {
    /// There is this to say.
    pub fn say(&self, text: impl Into<String>) {
        let mut remarks = self.readiness.remarks.write().unwrap_or_else(PoisonError::into_inner);
        remarks.insert(self.name, text.into());
    }

    /// There is nothing to say any more.
    pub fn take_back(&self) {
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
    fn it_is_ready_only_while_every_part_is() {
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
    fn a_remark_makes_nobody_less_ready() {
        let readiness = Readiness::new();
        let remark = readiness.remark("network");
        assert!(readiness.remarks().is_empty());
        remark.say("slow");
        remark.say("gone");
        assert_eq!(readiness.remarks(), BTreeMap::from([("network", "gone".to_owned())]));
        assert!(readiness.is_ready());
        remark.take_back();
        assert!(readiness.remarks().is_empty());
    }

    #[test]
    fn two_parts_of_one_name_do_not_speak_for_each_other() {
        let readiness = Readiness::new();
        let (one, _two) = (readiness.handle("pool"), readiness.handle("pool"));
        one.ready();
        assert!(!readiness.is_ready());
    }

    #[test]
    fn a_dropped_part_keeps_its_last_word() {
        let readiness = Readiness::new();
        drop(readiness.handle("facts"));
        assert!(!readiness.is_ready());
    }

    #[test]
    fn parts_change_from_many_threads_at_once() {
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
