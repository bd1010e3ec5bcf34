//! The locks of open files. Each has one holder until the file is closed or the process ends.

use crate::disk::Ino;
use std::collections::BTreeMap;

/// The number of the holder of each lock.
#[derive(Debug, Default)]
pub(super) struct Locks {
    held: BTreeMap<Ino, u64>,
    given: u64,
}

impl Locks {
    /// Takes a lock. Returns the number of the holder, or `None` if it is taken.
    pub(super) fn take(&mut self, ino: Ino) -> Option<u64> {
        if self.held.contains_key(&ino) {
            return None;
        }
        self.given += 1;
        self.held.insert(ino, self.given);
        Some(self.given)
    }

    /// Releases all locks: the process has exited.
    pub(super) fn end(&mut self) {
        self.held.clear();
    }

    /// Releases the lock if this holder has it.
    pub(super) fn release(&mut self, ino: Ino, number: u64) {
        if self.held.get(&ino) == Some(&number) {
            self.held.remove(&ino);
        }
    }
}
