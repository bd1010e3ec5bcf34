//! The locks of open files: one holder each, until the file is closed or its process ends.

use crate::disk::Ino;
use std::collections::BTreeMap;

/// Who holds which lock, by a number that each holder gets.
#[derive(Debug, Default)]
pub(super) struct Locks {
    held: BTreeMap<Ino, u64>,
    given: u64,
}

impl Locks {
    /// The number of a new holder; `None` if there is one already.
    pub(super) fn take(&mut self, ino: Ino) -> Option<u64> {
        if self.held.contains_key(&ino) {
            return None;
        }
        self.given += 1;
        self.held.insert(ino, self.given);
        Some(self.given)
    }

    /// Every holder's process has ended.
    pub(super) fn end(&mut self) {
        self.held.clear();
    }

    /// Releases the lock, if this holder has it.
    pub(super) fn release(&mut self, ino: Ino, number: u64) {
        if self.held.get(&ino) == Some(&number) {
            self.held.remove(&ino);
        }
    }
}
