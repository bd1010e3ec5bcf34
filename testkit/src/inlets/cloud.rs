//! A cloud in memory: its machines, and whether the operator reaches it. It outlives an operator that
//! is stopped, as machines do.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// A cloud. Clones share the machines.
#[derive(Clone, Debug, Default)]
pub struct Cloud {
    state: Arc<Mutex<State>>,
}

#[derive(Debug, Default)]
struct State {
    is_cut_off: bool,
    created: u8,
    machines: BTreeSet<String>,
}

impl Cloud {
    /// Sets whether the operator reaches the cloud.
    pub fn set_reachable(&self, is_reachable: bool) {
        self.lock().is_cut_off = !is_reachable;
    }

    /// Returns the IDs of the machines, which cost money.
    #[must_use]
    pub fn machines(&self) -> BTreeSet<String> {
        self.lock().machines.clone()
    }

    /// Creates a machine. Returns its ID, or `None` if the cloud cannot be reached.
    pub(super) fn create(&self) -> Option<String> {
        let mut state = self.lock();
        if state.is_cut_off {
            return None;
        }
        state.created = state.created.saturating_add(1);
        let id = format!("machine-{}", state.created);
        state.machines.insert(id.clone());
        Some(id)
    }

    /// Deletes a machine. Returns whether the cloud could be reached.
    pub(super) fn delete(&self, id: &str) -> bool {
        let mut state = self.lock();
        if !state.is_cut_off {
            state.machines.remove(id);
        }
        !state.is_cut_off
    }

    /// Returns the address of a machine.
    pub(super) fn address(id: &str) -> String {
        format!("203.0.113.{}", id.trim_start_matches("machine-"))
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
