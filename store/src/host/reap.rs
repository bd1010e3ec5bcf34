//! Removing a tree, in steps as short as one likes, whatever tenants have left in it.
//!
//! It follows no link and crosses no mount: a folder is opened by its name in the folder above, and
//! what is removed is a name in a folder that is open. So whoever moves folders about meanwhile, or
//! puts links in their place, can lead it nowhere: all that it has open was the tenant's when it was
//! opened, and what is in there only a tenant can have put there.
//!
//! Neither its memory nor its descriptors grow with the tree. Each folder is read once, from its start
//! to its end, and emptied on the way; a folder that is too deep is moved up to where there are
//! descriptors for it. A removal that is given up at any point leaves a smaller tree for the next.

mod level;
pub(super) mod meter;
mod notes;
mod obstacle;
mod unlock;

pub use meter::Budget;
pub use notes::Notes;
pub use obstacle::Obstacle;

use super::dirs::Dir;
use super::quota::{Limits, QuotaGroup};
use level::{Level, Moves};
use meter::Meter;
use rustix::io::Errno;
use std::ffi::{OsStr, OsString};
use std::path::PathBuf;
use unlock::unlock;

/// As many folders are open at a time. Ordinary trees are less deep, and need no moves.
const DEEPEST: usize = 32;

/// What a step has come to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Progress {
    /// Nothing of that name is left.
    Gone,
    /// Something is left, and a further step can remove more.
    More,
    /// What is left cannot be removed now.
    Stuck(Obstacle),
}

/// The removal of one tree, with all that it has open between two steps.
#[derive(Debug)]
pub struct Removal {
    name: OsString,
    // From the tree's root down. Each is in the one before it.
    levels: Vec<Level>,
    // Where it has moved folders to, and what those are called.
    moves: Moves,
    removed: u64,
    obstacle: Option<Obstacle>,
    // Whether subvolumes can be removed as a whole.
    takes_wholes: bool,
    notes: Notes,
}

impl Removal {
    /// The removal of what `name` stands for; subvolumes are noted before they go. Nothing is done yet.
    #[must_use]
    pub fn new(name: &OsStr, notes: Notes) -> Self {
        Self {
            name: name.to_owned(),
            levels: Vec::new(),
            moves: Moves::default(),
            removed: 0,
            obstacle: None,
            takes_wholes: true,
            notes,
        }
    }

    /// What it removes.
    #[must_use]
    pub fn name(&self) -> &OsStr {
        &self.name
    }

    /// How many files and folders it has removed by now.
    #[must_use]
    pub fn removed(&self) -> u64 {
        self.removed
    }

    /// Goes on until `budget` is used up. `parent` is the directory that the tree is in; after
    /// anything but [`Progress::More`] a further step begins anew.
    pub fn step(&mut self, parent: &Dir, budget: Budget) -> Progress {
        let mut meter = Meter::new(budget);
        while meter.allows_one_more() {
            self.advance(parent);
            if self.levels.is_empty() {
                return self.obstacle.take().map_or(Progress::Gone, Progress::Stuck);
            }
        }
        Progress::More
    }

    /// Deals with one thing.
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

    /// Removes `name` in the last level, or enters it where it is a folder with something in it.
    fn remove(&mut self, parent: &Dir, name: &OsStr) {
        let dir = self.levels.last().map_or(parent, |level| &level.dir);
        let refusal = match self.try_to_remove(dir, name) {
            Err(Errno::PERM) if unlock(dir, name) => self.try_to_remove(dir, name),
            Err(Errno::ROFS) if self.make_writable() => self.try_to_remove(dir, name),
            other => other,
        };
        match refusal {
            Ok(()) => self.removed += 1,
            Err(Errno::NOENT) => {}
            Err(refusal) if is_full(refusal) && self.remove_whole(name) => self.removed += 1,
            Err(refusal) => self.open(parent, name, refusal),
        }
    }

    /// Removes the subvolume `name` in the last level with all that is in it, where it is one, and has
    /// none in it in its turn, and we may.
    fn remove_whole(&mut self, name: &OsStr) -> bool {
        let Some(level) = self.levels.last().filter(|_| self.takes_wholes) else { return false };
        let refusal = level.dir.handle().remove_subvolume(name).err();
        // Of no other here, then.
        self.takes_wholes &=
            !matches!(refusal, Some(Errno::NOTTY | Errno::PERM | Errno::OPNOTSUPP));
        refusal.is_none()
    }

    /// Opens the folder `name`, which was not removed. What may not be removed may have something in it
    /// that can be.
    fn open(&mut self, parent: &Dir, name: &OsStr, refusal: Errno) {
        let dir = self.levels.last().map_or(parent, |level| &level.dir);
        match dir.open_same_mount(name) {
            Ok(folder) => self.enter(folder, name),
            Err(opening) => {
                let path = dir.path().join(name);
                self.fail(path, if is_full(refusal) { opening } else { refusal });
            }
        }
    }

    fn enter(&mut self, folder: Dir, name: &OsStr) {
        if self.levels.len() < DEEPEST {
            self.levels.push(Level::new(folder, name));
        } else if let Err(errno) = self.move_up(&folder, name) {
            self.fail(folder.path().to_owned(), errno);
        }
    }

    /// Makes every subvolume writable whose root is open. A tenant may have made them read-only, and
    /// only the owner or CAP_FOWNER can undo that. Returns whether there is one: what is open is the
    /// tenant's, so every subvolume that it is in below the trash is among them.
    fn make_writable(&self) -> bool {
        let tried = self.levels.iter().map(|level| level.dir.handle().make_writable().is_ok());
        tried.fold(false, |any, done| any | done)
    }

    /// Moves `folder`, which is `name` in the last level, to one above, which will meet it there.
    fn move_up(&mut self, folder: &Dir, name: &OsStr) -> Result<(), Errno> {
        match self.try_to_move_up(name) {
            Err(Errno::ROFS) => {
                // A read-only subvolume cannot be moved either.
                let is_one = folder.handle().make_writable().is_ok();
                let any = self.make_writable() || is_one;
                if any { self.try_to_move_up(name) } else { Err(Errno::ROFS) }
            }
            other => other,
        }
    }

    /// The highest level will do, unless a tenant has made a subvolume or a project of his own on the
    /// way: out of such a one nothing can be moved, but it can be moved as a whole.
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

    /// Removes the last level, which has been read to its end, or to where that failed.
    fn close(&mut self, parent: &Dir, reading: Option<Errno>) {
        let Some(mut level) = self.levels.pop() else { return };
        let dir = self.levels.last().map_or(parent, |level| &level.dir);
        let refusal = match self.remove_empty(dir, &level.name) {
            Ok(()) => return self.gone(),
            Err(Errno::NOENT) => return,
            Err(refusal) => reading.unwrap_or(refusal),
        };
        if is_full(refusal) && level.may_be_read_again() && self.moves.are_few() {
            match level.read_again() {
                Ok(()) => self.levels.push(level),
                Err(errno) => self.fail(level.dir.path().to_owned(), errno),
            }
        } else if level.stuck {
            // By something in it, which has been noted.
            self.stick();
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

    /// An empty subvolume goes like a directory too. One that cannot be noted stays, and what is in it
    /// goes all the same: on a disk that is too full for a note there is room for one then.
    fn remove_empty(&self, dir: &Dir, name: &OsStr) -> Result<(), Errno> {
        self.notes.note(dir, name)?;
        match dir.remove_empty(name) {
            Err(Errno::DQUOT) if self.lift_limits() => dir.remove_empty(name),
            other => other,
        }
    }

    /// Takes the limits off all subvolumes whose root is open. The removal of a subvolume is counted for
    /// the one it is in, and a volume that is full of empty subvolumes could lose none of them. Returns
    /// whether there may be one less.
    fn lift_limits(&self) -> bool {
        let lift = |level: &Level| level.dir.handle().limit(QuotaGroup::Subvolume, Limits::NONE);
        let tried = self.levels.iter().map(|level| lift(level).is_ok());
        tried.fold(false, |any, done| any | done)
    }

    fn gone(&mut self) {
        self.removed += 1;
        if self.levels.is_empty() {
            // What was in the way has gone in another way.
            self.obstacle = None;
        }
    }

    fn fail(&mut self, path: PathBuf, errno: Errno) {
        match self.levels.last_mut() {
            // Someone has exchanged it since the last look: it is not what it was, and no obstacle.
            Some(level) if is_exchanged(errno) => level.changed = true,
            _ => {
                self.obstacle.get_or_insert(Obstacle { path, errno });
                self.stick();
            }
        }
    }

    fn stick(&mut self) {
        if let Some(level) = self.levels.last_mut() {
            level.stuck = true;
        }
    }
}

/// Removes `name` in `parent`, which is something small, at once.
pub fn remove(parent: &Dir, name: &OsStr, notes: Notes) -> Result<(), Obstacle> {
    match Removal::new(name, notes).step(parent, Budget::UNLIMITED) {
        Progress::Gone | Progress::More => Ok(()),
        Progress::Stuck(obstacle) => Err(obstacle),
    }
}

/// Whether a folder was not removed because there is something in it.
fn is_full(errno: Errno) -> bool {
    matches!(errno, Errno::NOTEMPTY | Errno::EXIST)
}

/// Whether a name that stood for a folder stands for something else, or for nothing.
fn is_exchanged(errno: Errno) -> bool {
    matches!(errno, Errno::NOTDIR | Errno::LOOP | Errno::NOENT)
}

#[cfg(test)]
mod tests;
