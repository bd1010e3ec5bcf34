//! Removing what is in a directory, in small steps, whatever tenants have left in it.
//!
//! It follows no link and crosses no mount, and holds two descriptors however deep the tree is: a
//! folder inside a folder is not descended into but moved up, so that every step works on the first
//! or second level and depth needs neither stack nor long paths. A step that is cut off anywhere
//! leaves a smaller tree for the next.

use super::dirs::Dir;
use rustix::io::Errno;
use std::collections::HashSet;
use std::ffi::{OsStr, OsString};
use std::sync::atomic::{AtomicU64, Ordering};

/// How many names are looked at before what they stand for is removed.
const BATCH: usize = 256;

/// Names that nobody else uses, for folders that are moved up.
const MOVED: &str = ".moved-";

/// Numbers those names. Shared by all steps, so that one need not find out what another has used.
static MOVES: AtomicU64 = AtomicU64::new(0);

/// What a step has come to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Progress {
    /// Nothing of that name is left.
    Gone,
    /// Something is left, and a further step can remove more.
    More,
    /// What is left cannot be removed now.
    Stuck {
        /// One name that cannot be removed.
        name: OsString,
        /// What the kernel says.
        errno: Errno,
    },
}

/// Removes `name` in `parent`, at most about `budget` things at once.
pub fn step(parent: &Dir, name: &OsStr, budget: usize) -> Progress {
    let mut step = Step { budget };
    match step.remove(parent, name) {
        Ok(()) => Progress::Gone,
        Err(Stop::Budget) => Progress::More,
        Err(Stop::Stuck(name, errno)) => Progress::Stuck { name, errno },
    }
}

struct Step {
    budget: usize,
}

enum Stop {
    Budget,
    Stuck(OsString, Errno),
}

impl Step {
    /// Removes `name`: its folders one by one, each with what was moved up into it.
    fn remove(&mut self, parent: &Dir, name: &OsStr) -> Result<(), Stop> {
        let Some(top) = self.remove_or_open(parent, name)? else { return Ok(()) };
        self.each(&top, |step, entry| {
            let Some(root) = step.remove_or_open(&top, entry)? else { return Ok(()) };
            step.empty(&root)?;
            step.finish(&top, entry)
        })?;
        self.finish(parent, name)
    }

    /// Empties `root`, with its folders' folders moved up into it on the way.
    fn empty(&mut self, root: &Dir) -> Result<(), Stop> {
        self.each(root, |step, entry| {
            let Some(folder) = step.remove_or_open(root, entry)? else { return Ok(()) };
            step.each(&folder, |step, inner| step.remove_or_move_up(&folder, inner, root))?;
            step.finish(root, entry)
        })
    }

    /// Calls `act` for every name in `dir` until there is none, going on past those that fail.
    fn each(
        &mut self,
        dir: &Dir,
        mut act: impl FnMut(&mut Self, &OsStr) -> Result<(), Stop>,
    ) -> Result<(), Stop> {
        let mut stuck = HashSet::new();
        let mut first = None;
        loop {
            let names = dir.names(BATCH + stuck.len());
            let mut names = names.map_err(|error| Stop::Stuck(dir.path().into(), error.errno))?;
            names.retain(|name| !stuck.contains(name));
            if names.is_empty() {
                return first.map_or(Ok(()), Err);
            }
            for (name, stop) in self.all(names, &mut act)? {
                first.get_or_insert(stop);
                stuck.insert(name);
            }
        }
    }

    /// Calls `act` for each of `names`; those that failed, and why. Ends early without budget.
    fn all(
        &mut self,
        names: Vec<OsString>,
        act: &mut impl FnMut(&mut Self, &OsStr) -> Result<(), Stop>,
    ) -> Result<Vec<(OsString, Stop)>, Stop> {
        let mut failed = Vec::new();
        for name in names {
            match act(self, &name) {
                Ok(()) => {}
                Err(Stop::Budget) => return Err(Stop::Budget),
                Err(stop) => failed.push((name, stop)),
            }
        }
        Ok(failed)
    }

    /// Removes `name` unless it is a folder with something in it: that is opened.
    fn remove_or_open(&mut self, dir: &Dir, name: &OsStr) -> Result<Option<Dir>, Stop> {
        self.spend()?;
        let stuck = |errno| Stop::Stuck(name.to_owned(), errno);
        match dir.unlink(name) {
            Ok(()) | Err(Errno::NOENT) => return Ok(None),
            Err(Errno::ISDIR) => {}
            Err(errno) => return Err(stuck(errno)),
        }
        match dir.remove_empty(name) {
            Ok(()) | Err(Errno::NOENT) => Ok(None),
            // It may have been exchanged for a link since the look at it: opening follows none.
            Err(Errno::NOTEMPTY | Errno::EXIST) => {
                dir.open_same_mount(name).map(Some).map_err(stuck)
            }
            Err(errno) => Err(stuck(errno)),
        }
    }

    fn remove_or_move_up(&mut self, dir: &Dir, name: &OsStr, root: &Dir) -> Result<(), Stop> {
        self.spend()?;
        let stuck = |errno| Stop::Stuck(name.to_owned(), errno);
        match dir.unlink(name) {
            Ok(()) | Err(Errno::NOENT) => return Ok(()),
            Err(Errno::ISDIR) => {}
            Err(errno) => return Err(stuck(errno)),
        }
        if dir.remove_empty(name).is_ok() {
            return Ok(());
        }
        loop {
            let number = MOVES.fetch_add(1, Ordering::Relaxed);
            let new = OsString::from(format!("{MOVED}{number}"));
            match dir.rename(name, root, &new) {
                Ok(()) => return Ok(()),
                Err(error) if error.is_taken() => {}
                Err(error) if error.is_missing() => return Ok(()),
                Err(error) => return Err(stuck(error.errno)),
            }
        }
    }

    fn finish(&self, dir: &Dir, name: &OsStr) -> Result<(), Stop> {
        match dir.remove_empty(name) {
            Ok(()) | Err(Errno::NOENT) => Ok(()),
            // Someone who still has it open has put something in: another step will see to it.
            Err(Errno::NOTEMPTY | Errno::EXIST) => Err(Stop::Budget),
            Err(errno) => Err(Stop::Stuck(name.to_owned(), errno)),
        }
    }

    fn spend(&mut self) -> Result<(), Stop> {
        self.budget = self.budget.checked_sub(1).ok_or(Stop::Budget)?;
        Ok(())
    }
}

#[cfg(test)]
mod tests;
