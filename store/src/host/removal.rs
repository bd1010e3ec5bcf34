//! Removes a tree in small steps. The contents come from tenants and may be hostile.
//!
//! The removal follows no symbolic link and crosses no mount: it opens a directory by its name in
//! the parent directory and removes names in open directories only. A tenant who moves directories
//! or replaces them by symbolic links cannot redirect it: every open directory belonged to the
//! tenant when it was opened, and only a tenant can have put entries into it.
//!
//! Memory and descriptors do not grow with the tree. Each directory is read once from start to end
//! and emptied on the way. A directory that is too deep is moved up to a level with free
//! descriptors. A removal that stops at any point leaves a smaller tree for the next one.

mod attributes;
mod level;
mod obstacle;
pub(super) mod step_budget;
mod subvolume_records;

pub use obstacle::Obstacle;
pub use step_budget::Budget;
pub use subvolume_records::SubvolumeRecords;

use super::dirs::Dir;
use super::quota::{Limits, QuotaGroup};
use attributes::clear_protection;
use level::{Level, Moves};
use rustix::io::Errno;
use std::ffi::{OsStr, OsString};
use std::path::PathBuf;
use step_budget::StepBudget;

/// The number of directories that are open at a time. Ordinary trees are less deep and need no
/// moves.
const MAX_DEPTH: usize = 32;

/// The result of a step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Progress {
    /// Nothing with that name is left.
    Removed,
    /// A further step can remove more.
    More,
    /// The rest cannot be removed now.
    Blocked(Obstacle),
}

/// The removal of one tree. It keeps its open directories between two steps.
#[derive(Debug)]
pub struct Removal {
    name: OsString,
    // From the root of the tree down; each is in the one before it.
    levels: Vec<Level>,
    // The directories that were moved up.
    moves: Moves,
    removed: u64,
    obstacle: Option<Obstacle>,
    // Whether whole subvolumes can be removed in one call.
    can_remove_subvolumes: bool,
    records: SubvolumeRecords,
}

impl Removal {
    /// Creates the removal of `name`. Subvolumes are recorded before they are removed.
    #[must_use]
    pub fn new(name: &OsStr, records: SubvolumeRecords) -> Self {
        Self {
            name: name.to_owned(),
            levels: Vec::new(),
            moves: Moves::default(),
            removed: 0,
            obstacle: None,
            can_remove_subvolumes: true,
            records,
        }
    }

    /// Returns the name that is removed.
    #[must_use]
    pub fn name(&self) -> &OsStr {
        &self.name
    }

    /// Returns the number of entries removed so far.
    #[must_use]
    pub fn removed(&self) -> u64 {
        self.removed
    }

    /// Continues until `budget` is used up. `parent` is the directory that contains the tree. After
    /// any result but [`Progress::More`] the next step starts again.
    pub fn step(&mut self, parent: &Dir, budget: Budget) -> Progress {
        let mut left = StepBudget::new(budget);
        while left.take() {
            self.advance(parent);
            if self.levels.is_empty() {
                return self.obstacle.take().map_or(Progress::Removed, Progress::Blocked);
            }
        }
        Progress::More
    }

    /// Handles one entry.
    fn advance(&mut self, parent: &Dir) {
        let Some(level) = self.levels.last_mut() else {
            let name = self.name.clone();
            return self.remove(parent, &name);
        };
        match level.next() {
            Ok(Some(name)) => self.remove(parent, &name),
            Ok(None) => self.close(parent, None),
            Err(errno) => self.close(parent, Some(errno)),
        }
    }

    /// Removes `name` in the last level, or enters it if it is a directory that is not empty.
    fn remove(&mut self, parent: &Dir, name: &OsStr) {
        let dir = self.levels.last().map_or(parent, |level| &level.dir);
        let refusal = match self.try_to_remove(dir, name) {
            Err(Errno::PERM) if clear_protection(dir, name) => self.try_to_remove(dir, name),
            Err(Errno::ROFS) if self.make_writable() => self.try_to_remove(dir, name),
            other => other,
        };
        match refusal {
            Ok(()) => self.removed += 1,
            Err(Errno::NOENT) => {}
            Err(refusal) if is_not_empty(refusal) && self.remove_subvolume(name) => {
                self.removed += 1
            }
            Err(refusal) => self.open(parent, name, refusal),
        }
    }

    /// Removes the subvolume `name` in the last level with its content. Returns `false` if it is
    /// not a subvolume, contains another one, or the agent lacks the rights.
    fn remove_subvolume(&mut self, name: &OsStr) -> bool {
        let Some(level) = self.levels.last().filter(|_| self.can_remove_subvolumes) else {
            return false;
        };
        let refusal = level.dir.handle().remove_subvolume(name).err();
        // These errors apply to every other subvolume on this filesystem too.
        self.can_remove_subvolumes &=
            !matches!(refusal, Some(Errno::NOTTY | Errno::PERM | Errno::OPNOTSUPP));
        refusal.is_none()
    }

    /// Opens the directory `name`, which could not be removed: some of its content may be
    /// removable.
    fn open(&mut self, parent: &Dir, name: &OsStr, refusal: Errno) {
        let dir = self.levels.last().map_or(parent, |level| &level.dir);
        match dir.open_same_mount(name) {
            Ok(directory) => self.enter(directory, name),
            Err(opening) => {
                let path = dir.path().join(name);
                self.fail(path, if is_not_empty(refusal) { opening } else { refusal });
            }
        }
    }

    fn enter(&mut self, directory: Dir, name: &OsStr) {
        if self.levels.len() < MAX_DEPTH {
            self.levels.push(Level::new(directory, name));
        } else if let Err(errno) = self.move_up(&directory, name) {
            self.fail(directory.path().to_owned(), errno);
        }
    }

    /// Makes every subvolume writable whose root is open, because a tenant may have made it
    /// read-only. Only the owner or CAP_FOWNER can do this. Returns whether there was one: every
    /// subvolume between the trash and the last level is among the open directories.
    fn make_writable(&self) -> bool {
        let tried = self.levels.iter().map(|level| level.dir.handle().make_writable().is_ok());
        tried.fold(false, |any, done| any | done)
    }

    /// Moves `directory`, which is `name` in the last level, to a level above, which removes it
    /// later.
    fn move_up(&mut self, directory: &Dir, name: &OsStr) -> Result<(), Errno> {
        match self.try_to_move_up(name) {
            Err(Errno::ROFS) => {
                // A read-only subvolume cannot be moved either.
                let is_one = directory.handle().make_writable().is_ok();
                let any = self.make_writable() || is_one;
                if any { self.try_to_move_up(name) } else { Err(Errno::ROFS) }
            }
            other => other,
        }
    }

    /// Moves `name` to the highest level. A subvolume or a project that a tenant has created on the
    /// way blocks that: nothing can be moved out of it, but it can be moved as a whole.
    fn try_to_move_up(&mut self, name: &OsStr) -> Result<(), Errno> {
        let Some((last, above)) = self.levels.split_last_mut() else { return Ok(()) };
        match self.moves.move_to_first(above, &last.dir, name) {
            Err(Errno::XDEV) => {}
            other => return other,
        }
        let whole = last.name.clone();
        let Some((from, above)) = above.split_last_mut() else { return Ok(()) };
        self.moves.move_to_first(above, &from.dir, &whole)?;
        self.levels.pop();
        Ok(())
    }

    /// Removes the last level, whose listing is complete or has failed.
    fn close(&mut self, parent: &Dir, reading: Option<Errno>) {
        let Some(mut level) = self.levels.pop() else { return };
        let dir = self.levels.last().map_or(parent, |level| &level.dir);
        let refusal = match self.remove_empty(dir, &level.name) {
            Ok(()) => return self.gone(),
            Err(Errno::NOENT) => return,
            Err(refusal) => reading.unwrap_or(refusal),
        };
        if is_not_empty(refusal) && level.may_be_read_again() && self.moves.are_few() {
            match level.read_again() {
                Ok(()) => self.levels.push(level),
                Err(errno) => self.fail(level.dir.path().to_owned(), errno),
            }
        } else if level.blocked {
            // The obstacle is inside and is recorded.
            self.mark_blocked();
        } else {
            self.fail(level.dir.path().to_owned(), refusal);
        }
    }

    fn try_to_remove(&self, dir: &Dir, name: &OsStr) -> Result<(), Errno> {
        match dir.unlink(name) {
            Err(Errno::ISDIR) => self.remove_empty(dir, name),
            other => other,
        }
    }

    /// Removes an empty directory or subvolume. A subvolume that cannot be recorded stays, and its
    /// content is removed anyway: on a full disk this frees the space for the record.
    fn remove_empty(&self, dir: &Dir, name: &OsStr) -> Result<(), Errno> {
        self.records.record(dir, name)?;
        match dir.remove_empty(name) {
            Err(Errno::DQUOT) if self.clear_limits() => dir.remove_empty(name),
            other => other,
        }
    }

    /// Clears the limits of all subvolumes whose root is open. Returns whether one was cleared. The
    /// kernel charges the removal of a subvolume to the enclosing one, so a volume full of empty
    /// subvolumes could lose none of them.
    fn clear_limits(&self) -> bool {
        let lift = |level: &Level| level.dir.handle().limit(QuotaGroup::Subvolume, Limits::NONE);
        let tried = self.levels.iter().map(|level| lift(level).is_ok());
        tried.fold(false, |any, done| any | done)
    }

    fn gone(&mut self) {
        self.removed += 1;
        if self.levels.is_empty() {
            // The obstacle was removed by another process.
            self.obstacle = None;
        }
    }

    fn fail(&mut self, path: PathBuf, errno: Errno) {
        match self.levels.last_mut() {
            // Another process has replaced the entry: it is not an obstacle.
            Some(level) if was_replaced(errno) => level.changed = true,
            _ => {
                self.obstacle.get_or_insert(Obstacle { path, errno });
                self.mark_blocked();
            }
        }
    }

    fn mark_blocked(&mut self) {
        if let Some(level) = self.levels.last_mut() {
            level.blocked = true;
        }
    }
}

/// Removes `name` in `parent`, a small tree, in one step.
pub fn remove(parent: &Dir, name: &OsStr, records: SubvolumeRecords) -> Result<(), Obstacle> {
    match Removal::new(name, records).step(parent, Budget::UNLIMITED) {
        Progress::Removed | Progress::More => Ok(()),
        Progress::Blocked(obstacle) => Err(obstacle),
    }
}

/// Returns whether a directory was not removed because it is not empty.
fn is_not_empty(errno: Errno) -> bool {
    matches!(errno, Errno::NOTEMPTY | Errno::EXIST)
}

/// Returns whether an entry is no longer the directory that it was.
fn was_replaced(errno: Errno) -> bool {
    matches!(errno, Errno::NOTDIR | Errno::LOOP | Errno::NOENT)
}

#[cfg(test)]
mod tests;
